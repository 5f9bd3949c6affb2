//! The target of [`fuzz::sftp_requests`].
#![forbid(unsafe_code)]
#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::main!(fuzz::sftp_requests::run);
