//! See sshd-privsep(8).
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use cli::check::{self, Privilege, Verdict};
use cli::command_line::{CommandLine, Task};
use cli::launch;
use cli::version::VERSION;

fn main() -> ExitCode {
    let line = match CommandLine::parse(std::env::args_os().skip(1)) {
        Ok(line) => line,
        Err(error) => {
            say(&error);
            return error.exit_code().into();
        }
    };
    line.remarks.iter().for_each(|remark| say(remark));
    match line.task {
        Task::Version => {
            say(&VERSION);
            ExitCode::SUCCESS
        }
        Task::Show | Task::Check | Task::CheckAndShow => check(&line),
        Task::Serve(manner) => launch::run(&line, manner),
    }
}

fn check(line: &CommandLine) -> ExitCode {
    let privilege = match rustix::process::geteuid().is_root() {
        true => Privilege::Root,
        false => Privilege::User,
    };
    let (mut output, mut remarks) = (std::io::stdout().lock(), std::io::stderr().lock());
    match check::run(line, privilege, &mut output, &mut remarks) {
        Ok(Verdict::InOrder) => ExitCode::SUCCESS,
        Ok(Verdict::Unenforced) => ExitCode::from(255),
        Ok(Verdict::Refused(code)) => code.into(),
        Err(error) => {
            drop(remarks);
            say(&error);
            error.exit_code().into()
        }
    }
}

fn say(text: &dyn Display) {
    // In one piece, for standard error has no buffer. Nobody may be listening; there is nowhere else to say so.
    drop(std::io::stderr().write_all(format!("{text}\n").as_bytes()));
}
