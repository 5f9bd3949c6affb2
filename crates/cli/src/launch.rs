//! Serving: the launcher binds, starts a monitor with the sockets, and stays its parent.
//!
//! ```text
//!  sshd-privsep ──(daemon)──▶ sshd-privsep ── sockets, -f, -o ──▶ monitor ── one worker for each connection
//!   exits when it serves        │   ▲  ▲                              │
//!                               │   │  └── READY, STATUS, … ──────────┘
//!                     PidFile ◀─┘   └──── HUP, TERM
//! ```
//!
//! The launcher is the process to signal:
//! - SIGHUP: the configuration is read again. The monitor is told; if it asks for other addresses, they are bound, and a new
//!   monitor takes them while the old one serves its connections to their end. What is wrong with a configuration is said,
//!   and changes nothing.
//! - SIGTERM: nobody listens any more and the launcher is gone. The monitor ends with its last connection.
//!
//! A monitor that dies is started again, while the sockets stay open here and clients wait in their queues: with sshd's
//! listener everything would be over until somebody looks. One that does not start again ends the launcher with an error.
//!
//! What the launcher has besides is `/run/sshd-privsep-PID`, where the monitor reports.

mod daemon;
mod inetd;
mod listen;
mod log;
mod monitor;
mod notify;
mod pid_file;
mod runtime_directory;
mod signals;
mod supervise;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{ExitCode, ExitStatus};

use config::sshd::{Errors, LogLevel};
use rustix::fs::Mode;
use thiserror::Error;
use tracing::error;

use crate::command_line::{CommandLine, Log, Manner};
use daemon::Generation;
use listen::ListenError;
use log::LogError;
use monitor::{MonitorLog, StartError};
use supervise::Supervisor;

/// Why nobody is served.
#[derive(Debug, Error)]
enum LaunchError {
    /// Who calls is not root.
    #[error("serving needs root: systemd starts the processes of a connection for nobody else")]
    NotRoot,
    /// The configuration cannot be read: all of it, with file, line and column.
    #[error(transparent)]
    Configuration(#[from] Errors),
    /// No log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No monitor. If it has ended, it has said why.
    #[error(transparent)]
    Monitor(#[from] StartError),
    /// A monitor that dies again and again.
    #[error("the monitor ends again and again, the last time with {0}")]
    Restarts(ExitStatus),
    /// Something of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LaunchError {
    /// As sshd's: 1 for files that cannot be opened, 255 for the rest, unless the monitor knows better.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Monitor(StartError::Ended(status)) => code_of(*status),
            Self::Log(_) => ExitCode::FAILURE,
            _ => ExitCode::from(255),
        }
    }
}

/// What a monitor ended with is what the launcher ends with.
fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(255))
}

/// Serves in this manner until a signal or the one connection ends it.
pub fn run(line: &CommandLine, manner: Manner) -> ExitCode {
    let mut voice = match (manner, &line.log) {
        (Manner::Inetd, Log::Journal | Log::File(_)) if inetd::errors_reach_the_client() => {
            Voice::Nowhere
        }
        _ => Voice::Terminal,
    };
    let served = match (manner, daemon::generation()) {
        (Manner::Daemon, Generation::First) => daemon::start().map_err(LaunchError::from),
        _ => serve(line, manner, &mut voice),
    };
    served.unwrap_or_else(|failure| {
        voice.say(&failure, &line.log);
        failure.exit_code()
    })
}

fn serve(line: &CommandLine, manner: Manner, voice: &mut Voice) -> Result<ExitCode, LaunchError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LaunchError::NotRoot);
    }
    let config = line.server_config()?;
    voice.open_log(&line.log, config.log_level)?;
    // As sshd: nobody else writes to what is made here, and no file system is kept busy.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    rustix::process::chdir("/").map_err(io::Error::from)?;
    let log = match line.log {
        Log::Journal => MonitorLog::Journal,
        Log::StandardError | Log::File(_) => MonitorLog::StandardError,
    };
    match manner {
        Manner::Inetd => inetd::serve(line, log)
            .map(code_of)
            .map_err(LaunchError::from),
        Manner::Daemon | Manner::Foreground | Manner::Debug => {
            Supervisor::start(line, config, manner, log, voice).and_then(Supervisor::run)
        }
    }
}

/// Where failures are said.
#[derive(Debug)]
enum Voice {
    /// There is no log yet: to who called.
    Terminal,
    /// There is no log yet, and who called is the client: inetd's children have its socket as standard error, too.
    Nowhere,
    /// In the log.
    Log,
    /// In the log, and to who called, by what was standard error then.
    Both(File),
}

impl Voice {
    /// From here on the log is where it is to be.
    fn open_log(&mut self, log: &Log, level: LogLevel) -> Result<(), LaunchError> {
        let terminal = match self {
            Self::Nowhere => None,
            _ => Some(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
        };
        let errors = match (log, &terminal) {
            (Log::File(template), _) => Some(log::open(template)?),
            // What the monitor says there is not for the client either.
            (Log::Journal, None) => Some(File::options().write(true).open("/dev/null")?),
            (Log::Journal, Some(_)) | (Log::StandardError, _) => None,
        };
        if let Some(errors) = errors {
            rustix::stdio::dup2_stderr(errors).map_err(io::Error::from)?;
        }
        log::init(log, level);
        *self = match (log, terminal) {
            (Log::Journal | Log::File(_), Some(terminal)) => Self::Both(terminal),
            (Log::Journal | Log::File(_), None) | (Log::StandardError, _) => Self::Log,
        };
        Ok(())
    }

    fn say(&mut self, failure: &LaunchError, log: &Log) {
        if matches!(self, Self::Nowhere) {
            // If that fails as well, nobody is left to be told.
            drop(self.open_log(log, LogLevel::Info));
        }
        if !matches!(self, Self::Terminal | Self::Nowhere) {
            error!("{failure}");
        }
        // If nobody listens there is nowhere else to say it.
        match self {
            Self::Terminal => drop(writeln!(io::stderr(), "{failure}")),
            Self::Log | Self::Nowhere => {}
            Self::Both(terminal) => drop(writeln!(&*terminal, "{failure}")),
        }
    }
}
