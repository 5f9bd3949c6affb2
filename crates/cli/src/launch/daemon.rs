//! Into the background: the program starts itself once more, and the first process waits until the second one serves.
//!
//! A fork(2) would do, but it is not memory-safe to call; setsid(2) and the rest of daemon(3) are done by the second process.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::setsid;

/// Tells the second process that it is the second one. Its value is the first one's number.
const MARK: &str = "SSHD_PRIVSEP_STARTED_BY";

/// What the second process writes when it serves.
const SERVES: &[u8] = b"1";

/// Which process this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// The one that was called.
    First,
    /// The one that serves.
    Second,
}

/// Which process this is.
pub(super) fn generation() -> Generation {
    // A mark that somebody's environment happens to hold is not from the parent.
    let marked_by = std::env::var(MARK).ok().and_then(|id| id.parse().ok());
    let parent = rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get());
    match marked_by.is_some() && marked_by == parent {
        true => Generation::Second,
        false => Generation::First,
    }
}

/// Starts the second process and returns when it serves, or with its exit code if it never does.
pub(super) fn start() -> io::Result<ExitCode> {
    let mut words = std::env::args_os();
    let name = words
        .next()
        .unwrap_or_else(|| OsString::from("sshd-privsep"));
    let (mut reader, writer) = io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg0(name)
        .args(words)
        .env(MARK, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(writer);
    let mut second = command.spawn()?;
    // Its copy of the pipe, without which the end is never seen.
    drop(command);
    let mut said = Vec::new();
    reader.read_to_end(&mut said)?;
    if said == SERVES {
        return Ok(ExitCode::SUCCESS);
    }
    let status = second.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(
        code.filter(|code| *code != 0).unwrap_or(255),
    ))
}

/// Leaves the terminal of who called.
pub(super) fn detach() -> io::Result<()> {
    setsid()?;
    Ok(())
}

/// Tells the first process that this one serves, and lets go of what it was called with.
pub(super) fn release(errors: StandardError) -> io::Result<()> {
    io::stdout().write_all(SERVES)?;
    io::stdout().flush()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    if errors == StandardError::Terminal {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(())
}

/// What standard error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StandardError {
    /// That of who called.
    Terminal,
    /// The file of `-E`.
    LogFile,
}
