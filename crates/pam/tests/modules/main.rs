//! The process with real PAM stacks, of a module that behaves and misbehaves on demand (`stunts.c`): this program starts
//! itself as the process, once per case, with the channel as its standard input and output, and plays the monitor.
//!
//! `cargo test -p pam --test modules -- NAME` runs the cases whose name contains NAME.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod case;

use std::io::{Write as _, stderr};
use std::panic;
use std::path::Path;
use std::process::ExitCode;

use pam::{Stacks, take_channel};

fn main() -> anyhow::Result<ExitCode> {
    if let Some(directory) = case::assigned() {
        let channel = take_channel()?;
        pam::run(channel, &Stacks::Directory(directory))?;
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'))
        .unwrap_or_default();
    case::compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modules/stunts.c"))?;
    let mut failures = 0;
    for (name, case) in case::CASES {
        if !name.contains(&wanted) {
            continue;
        }
        let outcome = match panic::catch_unwind(case) {
            Ok(()) => "ok",
            Err(_told) => {
                failures += 1;
                "FAILED"
            }
        };
        writeln!(stderr(), "test {name} ... {outcome}")?;
    }
    Ok(match failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
