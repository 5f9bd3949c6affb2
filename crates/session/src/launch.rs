//! Starting a program: its descriptors, its environment, its second stage.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rpc::ConnectionId;
use rpc::lane::ProgramDescriptors;
use rustix::pipe::PipeFlags;

use crate::carried;
use crate::environment::Account;
use crate::greeting::{Preliminaries, XAuthority};
use crate::internal_sftp::InternalSftp;
use crate::outside::Outside;
use crate::policy::ShellInput;
use crate::process::{PartOf, Process};
use crate::second_stage::{self, Instead, Root};
use crate::terminal::Pty;

/// This very program, also after an upgrade replaced or removed its file: a running session and its second stage are
/// always of one version.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The shell of an account that has none (passwd(5)).
const DEFAULT_SHELL: &str = "/bin/sh";

/// What is started.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What<'a> {
    /// The account's shell.
    Shell(&'a ShellInput),
    /// The SFTP server, for this connection.
    Sftp(&'a InternalSftp, ConnectionId),
    /// Something in its place.
    Instead(Instead),
}

/// Starts the account's shell, or what is in its place, on the terminal if there is one. The descriptors are for the
/// worker.
pub(crate) fn start(
    outside: &Outside,
    account: &Account,
    what: What<'_>,
    environment: &BTreeMap<OsString, OsString>,
    preliminaries: &Preliminaries,
    pty: Option<&Pty>,
) -> io::Result<(Arc<Process>, ProgramDescriptors)> {
    let mut command = match what {
        What::Sftp(sftp, connection) => {
            sftp.command(outside.root(), account, connection, environment)
        }
        What::Shell(_) | What::Instead(_) => {
            let mut command = second_stage(outside.root(), account, what, pty);
            carried::carry(&mut command, environment);
            preliminaries.tell(&mut command);
            command
        }
    };
    let descriptors = match pty {
        Some(pty) => {
            command
                .stdin(pty.slave.try_clone()?)
                .stdout(pty.slave.try_clone()?)
                .stderr(pty.slave.try_clone()?);
            ProgramDescriptors::Pty(pty.terminal.master.try_clone()?)
        }
        None => {
            let (stdin_read, stdin) = pipe()?;
            let (stdout, stdout_write) = pipe()?;
            let (stderr, stderr_write) = pipe()?;
            command
                .stdin(stdin_read)
                .stdout(stdout_write)
                .stderr(stderr_write);
            if let What::Sftp(..) = what {
                for pipe in [&stdin, &stdout] {
                    // As large as it may be; a small one serves, too.
                    rustix::pipe::fcntl_setpipe_size(pipe, SFTP_PIPE).ok();
                }
            }
            // Only our ends: a pipe's ends are separate open files, and programs expect theirs to block.
            for ours in [&stdin, &stdout, &stderr] {
                rustix::io::ioctl_fionbio(ours, true)?;
            }
            ProgramDescriptors::Pipes {
                stdin,
                stdout,
                stderr,
            }
        }
    };
    // With it go the last copies of the programs' ends here: with them open, the end of a program's output would never
    // come.
    let mut child = outside.run(move || command.spawn())?;
    let part_of = match what {
        What::Sftp(..) => PartOf::Server,
        What::Shell(_) | What::Instead(_) => PartOf::Session,
    };
    match Process::watch(&child, part_of) {
        Ok(process) => Ok((process, descriptors)),
        Err(error) => {
            // Out of descriptors. A program that nobody can wait for must not run.
            child.kill()?;
            child.wait()?;
            Err(error)
        }
    }
}

/// The command that has xauth(1) forget the display of what was started, with the environment in which it was told. None
/// if it was not: xauth(1) is in no cage, and the user's environment may have it load the user's code (LD_PRELOAD), which
/// who is restricted to SFTP must not run.
pub(crate) fn forget_display(
    outside: &Outside,
    account: &Account,
    shown_to: What<'_>,
    environment: &BTreeMap<OsString, OsString>,
    gone: XAuthority,
) -> Option<Command> {
    match shown_to {
        What::Shell(_) => {}
        What::Sftp(..) | What::Instead(_) => return None,
    }
    let what = What::Instead(Instead::ForgetDisplay);
    let mut command = second_stage(outside.root(), account, what, None);
    carried::carry(&mut command, environment);
    let preliminaries = Preliminaries {
        x_authority: Some(gone),
        ..Preliminaries::default()
    };
    preliminaries.tell(&mut command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Some(command)
}

fn second_stage(root: Root, account: &Account, what: What<'_>, pty: Option<&Pty>) -> Command {
    let shell = if account.shell.is_empty() {
        DEFAULT_SHELL
    } else {
        account.shell.as_str()
    };
    let name = Path::new(shell)
        .file_name()
        .unwrap_or_else(|| OsStr::new(shell));
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0("session").arg(root.argument()).arg(match pty {
        Some(_) => second_stage::TERMINAL,
        None => second_stage::PIPES,
    });
    let input = match what {
        What::Shell(input) => input,
        What::Instead(instead) => {
            command.arg(instead.argument());
            return command;
        }
        // It has no second stage.
        What::Sftp(..) => return command,
    };
    command.arg(second_stage::SHELL).arg(&account.home);
    match input {
        ShellInput::Login => {
            // The dash makes it a login shell.
            let mut login = OsString::from("-");
            login.push(name);
            command.arg(login).arg(shell);
        }
        ShellInput::CommandLine(line) => {
            command
                .arg(name)
                .arg(shell)
                .arg("-c")
                .arg(OsString::from_vec(line.clone()));
        }
    }
    command
}

/// Size of the pipes of an SFTP server, in bytes: four of the longest packets, so that it and the worker seldom wait for
/// each other.
const SFTP_PIPE: usize = 1 << 20;

/// A pipe of the default size, 64 KiB. With 256 KiB and 1 MiB, `cat` into a reader that does a cipher's work was no faster
/// (0.66 to 0.74 GB/s, all sizes, two cores), and large pipes use up what the user may have in all pipes together
/// (pipe(7), pipe-user-pages-soft), after which every new pipe of the user is small.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Rank;
    use crate::internal_sftp::Line;

    #[test]
    fn only_users_programs_have_displays_forgotten() {
        let account = Account {
            user: "tester".into(),
            home: "/tmp".into(),
            shell: "/bin/sh".into(),
            rank: Rank::User,
        };
        let forgotten = |what| {
            let gone = XAuthority {
                display: "unix:10.0".into(),
                protocol: String::new(),
                cookie: String::new(),
                program: Some("/usr/bin/xauth".into()),
            };
            forget_display(&Outside::here(), &account, what, &BTreeMap::new(), gone).is_some()
        };
        let Line::Sftp(sftp) = Line::of("internal-sftp") else {
            panic!("it is the SFTP server");
        };
        assert!(forgotten(What::Shell(&ShellInput::Login)));
        assert!(!forgotten(What::Sftp(
            &sftp,
            ConnectionId::from_bytes([9; 8])
        )));
        assert!(!forgotten(What::Instead(Instead::SftpOnly)));
        assert!(!forgotten(What::Instead(Instead::NoLogin)));
    }
}
