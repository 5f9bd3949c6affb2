//! The target of [`fuzz::connection`].
#![forbid(unsafe_code)]
#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::main!(fuzz::connection::run);
