//! Developer commands: `cargo xtask help` lists them.
//!
//! The pipeline in `.ci/` only calls these, so that what it does can be done at home.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a command line tool speaks on standard output"
)]

mod bench;
#[cfg(test)]
mod borders;
mod deb;
mod demo;
mod fuzz;
mod machine;
mod side_by_side;
mod suites;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use support::progress;

use crate::deb::Profile;

const HELP: &str = "\
cargo xtask COMMAND

  bench                               logins, bytes, keys and memory beside OpenSSH, see `cargo xtask bench --help`
  run [--once] [--port N]             builds, installs on a throwaway machine, logs in, stays up until Ctrl-C
  test [--only SUITE] [FILTER]        unit, e2e, security and compat tests
  timing                              500 refusals of each kind, compared by the time they take
  soak                                1,000 logins, which leave nothing behind; streams of 3 GiB that wait
                                      for their readers; sftp with 1,000 killed clients, with 100,000
                                      files and with a sparse one of 20 GiB
  fuzz [--target NAME] [--seconds N]  coverage-guided fuzzing, see `cargo xtask fuzz --help`
  deb [--dev]                         builds target/debian/sshd-privsep_VERSION_ARCH.deb
  units                               systemd-analyze on the units, with thresholds
  machine up|exec|down|list           test machines by hand
  needs                               installs what these commands need from Debian
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::line(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["bench", rest @ ..] => bench::run(rest),
        ["run", rest @ ..] => demo::run(rest),
        ["test", rest @ ..] => suites::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["timing"] => suites::timing(),
        ["soak"] => suites::soak(),
        ["units"] => suites::units(),
        ["needs"] => demo::install_needs(),
        ["deb"] => show_deb(Profile::Release),
        ["deb", "--dev"] => show_deb(Profile::Dev),
        ["machine", rest @ ..] => machine::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        [command, ..] => bail!("unknown command {command:?}\n\n{HELP}"),
    }
}

fn show_deb(profile: Profile) -> Result<()> {
    println!("{}", deb::build(profile)?.display());
    Ok(())
}
