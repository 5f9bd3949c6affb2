//! The target of [`fuzz::sshd_config`].
#![forbid(unsafe_code)]
#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::main!(fuzz::sshd_config::run);
