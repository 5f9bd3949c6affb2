//! The launcher at work: it waits for signals, reports, and the end of its monitor.

use std::os::fd::OwnedFd;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use config::sshd::SshdConfig;
use rustix::fd::AsFd;
use tracing::{error, warn};

use super::daemon::{self, StandardError};
use super::listen::{self, Bound};
use super::monitor::{Clients, Monitor, MonitorLog, Plan, StartError, wait};
use super::pid_file::PidFile;
use super::runtime_directory::RuntimeDirectory;
use super::signals::{Signal, Signals, Stop};
use super::{LaunchError, Voice, code_of, notify};
use crate::command_line::{CommandLine, Log, Manner};

/// How long a monitor is left alone after one has died; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How often in a row a monitor may die before it serves.
const ATTEMPTS: u32 = 6;

/// A launcher whose monitor serves.
#[derive(Debug)]
pub(super) struct Supervisor<'a> {
    plan: Plan<'a>,
    manner: Manner,
    signals: Signals,
    /// Made before the monitor, removed after everything.
    directory: RuntimeDirectory,
    listening: Listening,
    config: SshdConfig,
    pid_file: Option<PidFile>,
    monitor: Monitor,
    /// How many monitors there have been.
    started: u32,
    /// Monitors that serve their last connections.
    draining: Vec<Monitor>,
}

/// Where the sockets come from.
#[derive(Debug)]
enum Listening {
    /// From the service manager: no reload changes them.
    Inherited(Vec<Bound>),
    /// From the configuration.
    Bound(Vec<Bound>),
}

impl Listening {
    fn open(config: &SshdConfig) -> Result<Self, LaunchError> {
        let inherited = listen::inherited()?;
        if !inherited.is_empty() {
            return Ok(Self::Inherited(inherited));
        }
        let (bound, failures) = listen::bind(config, &[])?;
        failures.iter().for_each(|failure| error!("{failure}"));
        Ok(Self::Bound(bound))
    }

    /// Copies for a monitor.
    fn sockets(&self) -> Result<Vec<OwnedFd>, StartError> {
        let (Self::Inherited(sockets) | Self::Bound(sockets)) = self;
        let copies = sockets.iter().map(|bound| bound.socket.try_clone());
        Ok(copies.collect::<Result<_, _>>()?)
    }
}

impl<'a> Supervisor<'a> {
    /// Listens, and returns when a monitor serves and everybody who waits for that knows.
    pub(super) fn start(
        line: &'a CommandLine,
        config: SshdConfig,
        manner: Manner,
        log: MonitorLog,
        voice: &mut Voice,
    ) -> Result<Self, LaunchError> {
        if manner == Manner::Daemon {
            daemon::detach()?;
        }
        let mut signals = Signals::block()?;
        let mut listening = Listening::open(&config)?;
        let directory = RuntimeDirectory::create()?;
        let clients = match manner {
            Manner::Debug | Manner::Inetd => Clients::One,
            Manner::Daemon | Manner::Foreground => Clients::All,
        };
        let plan = Plan { line, log, clients };
        let errors = errors_of(manner, &line.log);
        let mut monitor = plan.start(listening.sockets()?, directory.path(), 0, errors)?;
        monitor.wait_until_ready(&mut signals)?;
        let mut pid_file = None;
        match clients {
            // The port is closed with the one connection.
            Clients::One => listening = Listening::Bound(Vec::new()),
            Clients::All => pid_file = write_pid_file(&config),
        }
        notify::ready();
        if manner == Manner::Daemon {
            let errors = match line.log {
                Log::File(_) => StandardError::LogFile,
                Log::Journal | Log::StandardError => StandardError::Terminal,
            };
            daemon::release(errors)?;
            *voice = Voice::Log;
        }
        Ok(Self {
            plan,
            manner,
            signals,
            directory,
            listening,
            config,
            pid_file,
            monitor,
            started: 1,
            draining: Vec::new(),
        })
    }

    /// Supervises until a signal, or the end of the one connection, or of the patience with a monitor that dies.
    pub(super) fn run(mut self) -> Result<ExitCode, LaunchError> {
        loop {
            while let Some(signal) = self.signals.next()? {
                let stopped = match signal {
                    Signal::Reload => self.reload(),
                    Signal::Stop(stop) => Some(stop),
                    // Children are looked after below.
                    Signal::Child => None,
                };
                if let Some(stop) = stopped {
                    return Ok(self.stop(stop));
                }
            }
            self.monitor.pass_on_reports()?;
            for old in &self.draining {
                old.drop_reports()?;
            }
            self.draining
                .retain_mut(|old| matches!(old.ended(), Ok(None)));
            if let Some(status) = self.monitor.ended()? {
                if self.plan.clients == Clients::One {
                    return Ok(code_of(status));
                }
                if let Some(stop) = self.restart(status)? {
                    return Ok(self.stop(stop));
                }
            }
            let monitors = self.draining.iter().chain([&self.monitor]);
            let reports = monitors.map(|monitor| monitor.reports() as &dyn AsFd);
            let events: Vec<&dyn AsFd> = reports.chain([&self.signals as &dyn AsFd]).collect();
            wait(&events, None)?;
        }
    }

    /// Everything that is the launcher's goes with it at once; the monitor stays for its connections.
    fn stop(mut self, stop: Stop) -> ExitCode {
        notify::stopping();
        self.monitor.terminate();
        match stop {
            Stop::Terminate => ExitCode::SUCCESS,
            Stop::Interrupt => ExitCode::from(255),
        }
    }

    fn reload(&mut self) -> Option<Stop> {
        let config = match self.plan.line.server_config() {
            Ok(config) => config,
            Err(errors) => {
                notify::reloading();
                keep("the configuration has errors", &errors);
                return None;
            }
        };
        let moves = config.listeners() != self.config.listeners()
            || config.address_family != self.config.address_family;
        match &self.listening {
            Listening::Bound(_) if moves => {
                notify::reloading();
                match self.move_to(&config) {
                    Ok(()) => notify::ready(),
                    Err(LaunchError::Monitor(StartError::Stopped(stop))) => return Some(stop),
                    Err(failure) => {
                        keep("the configuration cannot be used", &failure);
                        return None;
                    }
                }
            }
            // It reads the same file, and says what it thinks of it.
            Listening::Bound(_) | Listening::Inherited(_) => self.monitor.reload(),
        }
        if config.pid_file != self.config.pid_file {
            self.pid_file = write_pid_file(&config);
        }
        self.config = config;
        None
    }

    /// Other addresses: a new monitor has them; the old one serves its connections to their end.
    fn move_to(&mut self, config: &SshdConfig) -> Result<(), LaunchError> {
        let present = match &self.listening {
            Listening::Bound(present) => present.as_slice(),
            Listening::Inherited(_) => &[],
        };
        let (bound, failures) = listen::bind(config, present)?;
        failures.iter().for_each(|failure| error!("{failure}"));
        let listening = Listening::Bound(bound);
        let monitor = self.start_monitor(listening.sockets()?)?;
        let mut old = std::mem::replace(&mut self.monitor, monitor);
        old.terminate();
        self.draining.push(old);
        self.listening = listening;
        Ok(())
    }

    fn start_monitor(&mut self, sockets: Vec<OwnedFd>) -> Result<Monitor, StartError> {
        let number = self.started;
        self.started = number.wrapping_add(1);
        let errors = errors_of(self.manner, &self.plan.line.log);
        let directory = self.directory.path();
        let mut monitor = self.plan.start(sockets, directory, number, errors)?;
        monitor.wait_until_ready(&mut self.signals)?;
        Ok(monitor)
    }

    /// After a death that nobody asked for. Clients that come meanwhile wait in the sockets' queues.
    fn restart(&mut self, mut last: ExitStatus) -> Result<Option<Stop>, LaunchError> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS {
            error!("the monitor has ended unexpectedly, with {last}; another one is started");
            if let Some(stop) = self.rest(pause)? {
                return Ok(Some(stop));
            }
            pause = pause.saturating_mul(2);
            let sockets = self.listening.sockets()?;
            let started = self.start_monitor(sockets);
            match started {
                Ok(monitor) => {
                    self.monitor = monitor;
                    return Ok(None);
                }
                Err(StartError::Stopped(stop)) => return Ok(Some(stop)),
                Err(StartError::Ended(status)) => last = status,
                Err(other) => warn!("{other}"),
            }
        }
        Err(LaunchError::Restarts(last))
    }

    /// Waits, unless it is to end.
    fn rest(&mut self, pause: Duration) -> Result<Option<Stop>, LaunchError> {
        let until = Instant::now() + pause;
        loop {
            while let Some(signal) = self.signals.next()? {
                if let Signal::Stop(stop) = signal {
                    return Ok(Some(stop));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            wait(&[&self.signals as &dyn AsFd], Some(left))?;
        }
    }
}

/// A reload that comes to nothing.
fn keep(what: &str, why: &dyn std::fmt::Display) {
    error!("{why}\nThe configuration before it stays in force.");
    notify::status(&format!("{what}, the one before it is in force"));
    notify::ready();
}

/// The terminal of who started a daemon must not stay open through the monitor.
fn errors_of(manner: Manner, log: &Log) -> Stdio {
    match (manner, log) {
        (Manner::Daemon, Log::Journal | Log::StandardError) => Stdio::piped(),
        _ => Stdio::inherit(),
    }
}

fn write_pid_file(config: &SshdConfig) -> Option<PidFile> {
    let path = config.pid_file.as_deref()?;
    PidFile::write(path)
        .inspect_err(|error| error!("{error}"))
        .ok()
}
