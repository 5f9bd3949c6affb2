//! Between fork and exec: what a new process does to itself before it becomes the user's program.
//!
//! std runs code there only from unsafe closures, so the session's binary is started again with
//! `--program terminal|pipes shell HOME ARGV0 SHELL ARGUMENTS…` (`--program-in-jail` with ChrootDirectory), with the standard
//! descriptors of the program to come, whose environment it carries (`carried.rs`). It does what has to be done by the
//! process itself, and calls execve(2): no runtime, no journal, no memory of the session. That costs a second execve(2):
//! 1.2 ms of CPU in a release build, of which a program made for nothing else would save half; but this one is always there
//! and of the right version, whatever an upgrade does to the files. It runs as the user with the user's rights, so its
//! arguments need no protection from the user.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::signal::SigSet;
use sandbox::jail;

use crate::carried;
use crate::greeting::Preliminaries;

/// The first argument of a second stage.
pub const ARGUMENT: &str = "--program";

/// The same of one that is to enter a jail.
pub const ARGUMENT_IN_JAIL: &str = "--program-in-jail";

/// What a second stage does about its root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// Nothing.
    Kept,
    /// The working directory becomes it (ChrootDirectory).
    WorkingDirectory,
}

impl Root {
    /// As the first argument says; none if that is not the one of a second stage.
    pub fn of(argument: &OsStr) -> Option<Self> {
        [Self::Kept, Self::WorkingDirectory]
            .into_iter()
            .find(|root| root.argument() == argument)
    }

    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Kept => ARGUMENT,
            Self::WorkingDirectory => ARGUMENT_IN_JAIL,
        }
    }
}

/// The second argument if the standard descriptors are a terminal.
pub(crate) const TERMINAL: &str = "terminal";

/// The second argument if they are not.
pub(crate) const PIPES: &str = "pipes";

/// The third argument if the account's shell is to run.
pub(crate) const SHELL: &str = "shell";

/// What runs in place of the account's shell, as with sshd: it says why, and does little else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// The user's password has expired: passwd(1), which needs a terminal.
    PasswordChange,
    /// `/etc/nologin` exists: what is in it.
    NoLogin,
    /// Nothing but SFTP is permitted, and the client asked for something else.
    SftpOnly,
    /// No program of the client's: one of its displays is gone.
    ForgetDisplay,
}

impl Instead {
    /// The third argument.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::PasswordChange => "password-change",
            Self::NoLogin => "no-login",
            Self::SftpOnly => "sftp-only",
            Self::ForgetDisplay => "forget-display",
        }
    }

    fn of(argument: &OsStr) -> Option<Self> {
        let all = [
            Self::PasswordChange,
            Self::NoLogin,
            Self::SftpOnly,
            Self::ForgetDisplay,
        ];
        all.into_iter()
            .find(|instead| instead.argument() == argument)
    }

    /// Does it. Returns only what the process is to end with.
    fn run(self, descriptors: &OsStr) -> ExitCode {
        match self {
            Self::PasswordChange => {
                complain("WARNING: Your password has expired.");
                if descriptors == TERMINAL {
                    complain("You must change your password now and login again!");
                    let mut passwd = Command::new(PASSWD);
                    carried::restore(&mut passwd);
                    let error = passwd.arg0("passwd").exec();
                    complain(format_args!("passwd: {}", reason(&error)));
                } else {
                    complain("Password change required but no TTY available.");
                }
                ExitCode::FAILURE
            }
            Self::NoLogin => {
                if let Ok(mut text) = File::open(NO_LOGIN) {
                    // Whoever hung up does not care.
                    drop(io::copy(&mut text, &mut io::stderr()));
                }
                ExitCode::from(NO_LOGIN_STATUS)
            }
            Self::SftpOnly => {
                let said = writeln!(io::stdout(), "This service allows sftp connections only.");
                drop(said);
                ExitCode::FAILURE
            }
            Self::ForgetDisplay => {
                Preliminaries::told().forget_display();
                ExitCode::SUCCESS
            }
        }
    }
}

/// While it exists, nobody but root logs in (nologin(5)).
pub(crate) const NO_LOGIN: &str = "/etc/nologin";

/// sshd's exit status for it.
const NO_LOGIN_STATUS: u8 = 254;

/// passwd(1)
const PASSWD: &str = "/usr/bin/passwd";

/// Becomes the program that `arguments` (those after the first) describe. Returns only if that fails; the user has
/// the reason on stderr then.
pub fn run(root: Root, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match become_program(root, arguments) {
        Ok(status) => status,
        Err(message) => {
            complain(message);
            ExitCode::FAILURE
        }
    }
}

fn become_program(
    root: Root,
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<ExitCode, String> {
    const MISSING: &str = "session: internal arguments are missing";
    // First of all: until then this process has the capability to do it.
    if root == Root::WorkingDirectory
        && let Err(error) = jail::enter_working_directory()
    {
        return Err(error.to_string());
    }
    let (Some(descriptors), Some(what)) = (arguments.next(), arguments.next()) else {
        return Err(MISSING.to_owned());
    };

    // The session reads its signals from a descriptor (termination.rs); a program is to get them.
    if let Err(error) = SigSet::empty().thread_set_mask() {
        return Err(format!("signal mask: {}", reason(&error.into())));
    }
    // A session of its own, with the terminal as controlling terminal: job control, SIGHUP at its end, Ctrl-C.
    if let Err(error) = rustix::process::setsid() {
        return Err(format!("setsid: {}", reason(&error.into())));
    }
    if descriptors == TERMINAL
        && let Err(error) = rustix::process::ioctl_tiocsctty(io::stdin())
    {
        return Err(format!("controlling terminal: {}", reason(&error.into())));
    }
    if let Some(instead) = Instead::of(&what) {
        return Ok(instead.run(&descriptors));
    }
    let (Some(home), Some(argv0), Some(shell)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(MISSING.to_owned());
    };

    // A login without a home is allowed, in "/", as with sshd.
    if let Err(error) = std::env::set_current_dir(&home) {
        // In a jail that is no news.
        if root == Root::Kept {
            complain(format_args!(
                "Could not chdir to home directory {}: {}",
                home.display(),
                reason(&error)
            ));
        }
        drop(std::env::set_current_dir("/"));
    }

    Preliminaries::told().run(Path::new(&home), &shell);

    // exec() also gives SIGPIPE its default action, which std's start-up took.
    let mut program = Command::new(&shell);
    carried::restore(&mut program);
    let error = program.arg0(argv0).args(arguments).exec();
    Err(format!("{}: {}", shell.display(), reason(&error)))
}

/// strerror(3), without the number that std adds.
pub(crate) fn reason(error: &io::Error) -> String {
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
