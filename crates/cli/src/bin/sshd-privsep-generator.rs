//! See sshd-privsep-generator(8).
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use cli::generator::{self, Log, Place};
use config::sshd::FileSystem;

fn main() -> ExitCode {
    let mut log = Log::open();
    // The other two directories are for units that stand above or below all others.
    let Some(directory) = std::env::args_os().nth(1) else {
        log.say("usage: sshd-privsep-generator NORMAL-DIR [EARLY-DIR LATE-DIR]");
        return ExitCode::FAILURE;
    };
    match generator::run(&Place::default(), Path::new(&directory), &FileSystem) {
        Ok(remarks) => {
            remarks.iter().for_each(|remark| log.say(remark));
            ExitCode::SUCCESS
        }
        Err(error) => {
            log.say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
