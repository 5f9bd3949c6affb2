//! The worker's entry: see the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    preauth::worker::main()
}
