//! The target of [`fuzz::session`].
#![forbid(unsafe_code)]
#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::main!(fuzz::session::run);
