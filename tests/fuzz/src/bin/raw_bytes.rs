//! The target of [`fuzz::raw_bytes`].
#![forbid(unsafe_code)]
#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::main!(fuzz::raw_bytes::run);
