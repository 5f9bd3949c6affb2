//! Between fork and exec: what a new process does to itself before it becomes the user's program.
//!
//! std runs code there only from unsafe closures, so the session's binary is started again with
//! `--program terminal|pipes HOME ARGV0 SHELL ARGUMENTS…`, in the environment, and with the standard descriptors, of the
//! program to come. It does what has to be done by the process itself, and calls execve(2): no runtime, no journal, no
//! memory of the session. That costs a second execve(2): 1.2 ms of CPU in a release build, of which a program made for
//! nothing else would save half; but this one is always there and of the right version, whatever an upgrade does to the
//! files. It runs as the user with the user's rights, so its arguments need no protection from the user.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// The first argument of a second stage.
pub const ARGUMENT: &str = "--program";

/// The second argument if the standard descriptors are a terminal.
pub(crate) const TERMINAL: &str = "terminal";

/// The second argument if they are not.
pub(crate) const PIPES: &str = "pipes";

/// Becomes the program that `arguments` (those after [`ARGUMENT`]) describe. Returns only if that fails; the user has
/// the reason on stderr then.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    complain(become_program(arguments));
    ExitCode::FAILURE
}

fn become_program(mut arguments: impl Iterator<Item = OsString>) -> String {
    let (Some(descriptors), Some(home), Some(argv0), Some(shell)) = (
        arguments.next(),
        arguments.next(),
        arguments.next(),
        arguments.next(),
    ) else {
        return "session: internal arguments are missing".to_owned();
    };

    // A session of its own, with the terminal as controlling terminal: job control, SIGHUP at its end, Ctrl-C.
    if let Err(error) = rustix::process::setsid() {
        return format!("setsid: {}", reason(&error.into()));
    }
    if descriptors == TERMINAL
        && let Err(error) = rustix::process::ioctl_tiocsctty(io::stdin())
    {
        return format!("controlling terminal: {}", reason(&error.into()));
    }

    // A login without a home is allowed, in "/", as with sshd.
    if let Err(error) = std::env::set_current_dir(&home) {
        complain(format_args!(
            "Could not chdir to home directory {}: {}",
            home.display(),
            reason(&error)
        ));
        drop(std::env::set_current_dir("/"));
    }

    // exec() also gives SIGPIPE its default action, which std's start-up took, and empties the signal mask.
    let error = Command::new(&shell).arg0(argv0).args(arguments).exec();
    format!("{}: {}", shell.display(), reason(&error))
}

/// strerror(3), without the number that std adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn complain(message: impl Display) {
    // A terminal that is gone already cannot be told.
    drop(writeln!(io::stderr(), "{message}"));
}
