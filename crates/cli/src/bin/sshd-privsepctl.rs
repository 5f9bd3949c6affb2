//! See sshd-privsepctl(1).
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use cli::ctl::ask::AskError;
use cli::ctl::command_line::{Command, help};
use cli::ctl::explain::explain;
use cli::ctl::{self, Said, Verdict};
use cli::version::VERSION;

/// The exit code for words that mean nothing, as of other tools of systemd's kin.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            complain(&error);
            complain(&"see \"sshd-privsepctl --help\"");
            return USAGE.into();
        }
    };
    let answer = match command {
        Command::Help => Ok(text(help())),
        Command::Version => Ok(text(format!("{}\n", VERSION.replacen(' ', "ctl ", 1)))),
        Command::Explain(question) => match explain(question) {
            Ok(said) => Ok(said),
            Err(error) => {
                complain(&error);
                return ExitCode::FAILURE;
            }
        },
        Command::Status => ctl::status(),
        Command::List(legend) => ctl::list(legend),
        Command::Show(ids) => ctl::show(&ids),
        Command::Kill(ids) => ctl::kill(&ids),
        Command::Penalties(what) => ctl::penalties(what),
        Command::Reload(voice) => ctl::reload(voice),
    };
    finish(answer)
}

fn text(output: String) -> Said {
    Said {
        output,
        ..Said::default()
    }
}

fn finish(answer: Result<Said, AskError>) -> ExitCode {
    let said = match answer {
        Ok(said) => said,
        Err(error) => {
            complain(&error);
            return error.exit_code().into();
        }
    };
    complain_lines(&said.remarks);
    match (io::stdout().write_all(said.output.as_bytes()), said.verdict) {
        // `… | head` has seen enough.
        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&error);
            ExitCode::FAILURE
        }
        (_, Verdict::Failed) => ExitCode::FAILURE,
        (_, Verdict::Done) => ExitCode::SUCCESS,
    }
}

fn complain(text: &dyn Display) {
    complain_lines(&format!("{text}\n"));
}

fn complain_lines(text: &str) {
    // Nobody may be listening at standard error; there is nowhere else to say so.
    drop(io::stderr().write_all(text.as_bytes()));
}
