//! The target of [`fuzz::packets`].
#![forbid(unsafe_code)]
#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::main!(fuzz::packets::run);
