//! One monitor as a child process: sockets go in, reports come out. See sshd-privsep-monitor(8) for its side.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal as Number, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use thiserror::Error;
use tracing::warn;

use super::notify::Reports;
use super::signals::{Signal, Signals, Stop};
use crate::MONITOR;
use crate::command_line::CommandLine;

/// How long a monitor may take until it serves. It reads files and closes its cage: a second is long.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The first descriptor of a handed-over socket, sd_listen_fds(3).
const FIRST_SOCKET: i32 = 3;

/// What a monitor is started with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    /// File and options of the configuration.
    pub(super) line: &'a CommandLine,
    /// Whether it writes its log to standard error.
    pub(super) log: MonitorLog,
    /// How many connections it serves.
    pub(super) clients: Clients,
}

/// Where a monitor's lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MonitorLog {
    /// To the journal; standard error has its last words only.
    Journal,
    /// To standard error.
    StandardError,
}

/// How many connections a monitor serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clients {
    /// All that come.
    All,
    /// One, with which it ends.
    One,
}

/// A running monitor.
#[derive(Debug)]
pub(super) struct Monitor {
    child: Child,
    reports: Reports,
    /// Passes on what it writes to standard error, if that is not ours.
    relay: Option<JoinHandle<()>>,
}

/// Why a monitor does not serve.
#[derive(Debug, Error)]
pub(super) enum StartError {
    /// It cannot be run.
    #[error("{MONITOR}: {0}")]
    Spawn(#[source] io::Error),
    /// It ended before it served; it has said why.
    #[error("the monitor does not start: {0}")]
    Ended(ExitStatus),
    /// It says nothing.
    #[error("the monitor does not start within {} seconds", START_DEADLINE.as_secs())]
    Silent,
    /// The launcher was told to end.
    #[error("interrupted")]
    Stopped(Stop),
    /// Signals or reports cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Plan<'_> {
    /// The command, with these sockets under one name.
    pub(super) fn command(&self, sockets: Vec<OwnedFd>, name: &str) -> io::Result<Command> {
        let mut command = Command::new(MONITOR);
        command.args(self.line.for_monitor());
        if self.log == MonitorLog::StandardError {
            command.arg("-e");
        }
        if self.clients == Clients::One {
            command.arg("--one");
        }
        // Without LISTEN_PID: it would have to be a number that is not known before the process is there.
        let names = vec![name; sockets.len()].join(":");
        command
            .current_dir("/")
            .env("LISTEN_FDS", sockets.len().to_string())
            .env("LISTEN_FDNAMES", names)
            .env_remove("LISTEN_PID")
            .env_remove("NOTIFY_SOCKET")
            // The launcher is the watched process; what the monitor says is passed on.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C on a terminal is for the launcher: two signals would end sessions, too.
            .process_group(0);
        let mappings = (FIRST_SOCKET..)
            .zip(sockets)
            .map(|(child_fd, parent_fd)| FdMapping {
                parent_fd,
                child_fd,
            });
        command
            .fd_mappings(mappings.collect())
            .map_err(io::Error::other)?;
        Ok(command)
    }

    /// Starts a monitor with listening sockets. It need not serve yet: see [`Monitor::wait_until_ready`].
    pub(super) fn start(
        &self,
        sockets: Vec<OwnedFd>,
        directory: &Path,
        number: u32,
        errors: Stdio,
    ) -> Result<Monitor, StartError> {
        let reports = Reports::listen(directory, number)?;
        let path: &OsStr = reports.path().as_os_str();
        let mut child = self
            .command(sockets, "ssh")?
            .env("NOTIFY_SOCKET", path)
            .stderr(errors)
            .spawn()
            .map_err(StartError::Spawn)?;
        let relay = child.stderr.take().map(relay).transpose()?;
        Ok(Monitor {
            child,
            reports,
            relay,
        })
    }
}

impl Monitor {
    /// Returns when the monitor serves. Reports until then stay here, but for the last one, which is passed on.
    pub(super) fn wait_until_ready(&mut self, signals: &mut Signals) -> Result<(), StartError> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            // Signals first: that of a child that ends after it was asked about wakes up the wait below.
            while let Some(signal) = signals.next()? {
                if let Signal::Stop(stop) = signal {
                    self.terminate();
                    return Err(StartError::Stopped(stop));
                }
            }
            while let Some(report) = self.reports.next()? {
                if report.is_ready() {
                    report.pass_on();
                    return Ok(());
                }
            }
            if let Some(status) = self.ended()? {
                // Its last words come before ours.
                drop(self.relay.take().map(JoinHandle::join));
                return Err(StartError::Ended(status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // It has no connection yet that could be lost.
                drop(self.child.kill());
                drop(self.child.wait());
                return Err(StartError::Silent);
            }
            wait(&[signals, &self.reports], Some(left))?;
        }
    }

    /// Reports since the last question, to be passed on.
    pub(super) fn pass_on_reports(&self) -> io::Result<()> {
        while let Some(report) = self.reports.next()? {
            report.pass_on();
        }
        Ok(())
    }

    /// How it ended; none while it runs.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// SIGHUP: it reads its configuration again.
    pub(super) fn reload(&mut self) {
        self.signal(Number::SIGHUP);
    }

    /// SIGTERM: it accepts nobody more, and ends when its last connection has ended.
    pub(super) fn terminate(&mut self) {
        self.signal(Number::SIGTERM);
    }

    /// Reports of a monitor that drains: read, so that it does not wait for a reader, and of no interest.
    pub(super) fn drop_reports(&self) -> io::Result<()> {
        while self.reports.next()?.is_some() {}
        Ok(())
    }

    /// For [`wait`].
    pub(super) fn reports(&self) -> &Reports {
        &self.reports
    }

    fn signal(&mut self, number: Number) {
        // The number is its own as long as nobody has waited for its end; later it can be anybody's.
        let running = matches!(self.ended(), Ok(None));
        let Some(id) = i32::try_from(self.child.id()).ok().filter(|_| running) else {
            return;
        };
        if let Err(error) = kill(Pid::from_raw(id), number) {
            warn!("the monitor cannot be signalled: {error}");
        }
    }
}

/// Passes on what comes to our standard error, whatever that is at the time, until the monitor has ended.
fn relay(errors: ChildStderr) -> io::Result<JoinHandle<()>> {
    let copy = move || {
        let mut errors = File::from(OwnedFd::from(errors));
        drop(io::copy(&mut errors, &mut io::stderr()));
    };
    thread::Builder::new().name("errors".to_owned()).spawn(copy)
}

/// Waits until one of these can be read, or the time is over.
pub(super) fn wait(what: &[&dyn AsFd], limit: Option<Duration>) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = what
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
        .collect();
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(&mut polled, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
