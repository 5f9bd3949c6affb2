//! A running program: its end, and signals to it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rpc::session::{ProgramEnd, Signal};
use rustix::io::Errno;
use rustix::process::{self, Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tracing::warn;

/// A program that was started for a channel. It leads a process group of its own.
#[derive(Debug)]
pub(crate) struct Process {
    leader: Pid,
    part_of: PartOf,
    /// Also the lock between reaping and signalling: a number is only used while the process of that number, alive or
    /// zombie, keeps it from being given to another one.
    life: watch::Sender<Life>,
}

/// Whose affair its end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartOf {
    /// The user's.
    Session,
    /// Also the administrator's: what ends the SFTP server by a signal is a mistake in it, or a limit.
    Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// It still runs, but nobody will hear of its end.
    Forgotten,
    Ended(ProgramEnd),
}

impl Process {
    /// Takes over a child that was just started and not waited for; a task of the current runtime reaps it.
    pub(crate) fn watch(child: &std::process::Child, part_of: PartOf) -> io::Result<Arc<Self>> {
        let leader = Pid::from_child(child);
        let pidfd = process::pidfd_open(leader, PidfdFlags::NONBLOCK)?;
        let pidfd = rpc::reactor::watch(pidfd, Interest::READABLE)?;
        let this = Arc::new(Self {
            leader,
            part_of,
            life: watch::Sender::new(Life::Running),
        });
        tokio::spawn(Arc::clone(&this).reap(pidfd));
        Ok(this)
    }

    async fn reap(self: Arc<Self>, pidfd: AsyncFd<OwnedFd>) {
        loop {
            let Ok(mut ready) = pidfd.readable().await else {
                return;
            };
            let reaped = self.life.send_if_modified(|life| {
                let waited = process::waitid(
                    WaitId::PidFd(pidfd.get_ref().as_fd()),
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
                );
                match waited {
                    Ok(Some(status)) => {
                        self.report(&status);
                        *life = Life::Ended(end(&status));
                    }
                    // Nobody else waits for our children; if it is gone nevertheless, this is all there is to say.
                    Err(error) if error != Errno::INTR && error != Errno::AGAIN => {
                        *life = Life::Ended(ProgramEnd::Gone);
                    }
                    Ok(None) | Err(_) => return false,
                }
                true
            });
            if reaped {
                return;
            }
            ready.clear_ready();
        }
    }

    fn report(&self, status: &WaitIdStatus) {
        // By SIGTERM systemd ends a unit with all that is in it, by SIGHUP a session its terminals.
        const ORDERLY: [i32; 2] = [
            process::Signal::TERM.as_raw(),
            process::Signal::HUP.as_raw(),
        ];
        let signal = status.terminating_signal();
        match (self.part_of, signal.filter(|it| !ORDERLY.contains(it))) {
            (PartOf::Server, Some(signal)) => warn!("internal-sftp was ended by signal {signal}"),
            (PartOf::Server, None) | (PartOf::Session, _) => {}
        }
    }

    /// Whether somebody may still hear of its end.
    pub(crate) fn runs(&self) -> bool {
        *self.life.borrow() == Life::Running
    }

    /// Waits until the program has ended, or was forgotten.
    pub(crate) async fn ended(&self) -> ProgramEnd {
        let mut life = self.life.subscribe();
        match life
            .wait_for(|life| *life != Life::Running)
            .await
            .as_deref()
        {
            Ok(Life::Ended(end)) => *end,
            Ok(Life::Running | Life::Forgotten) | Err(_) => ProgramEnd::Gone,
        }
    }

    /// Lets those who wait go. The program is still reaped when it ends.
    pub(crate) fn forget(&self) {
        self.life.send_if_modified(|life| {
            let running = *life == Life::Running;
            if running {
                *life = Life::Forgotten;
            }
            running
        });
    }

    /// Sends a signal to the program's process group.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let life = self.life.borrow();
        if matches!(*life, Life::Ended(_)) {
            return Err(Errno::SRCH);
        }
        let signal = number(signal);
        match process::kill_process_group(self.leader, signal) {
            // The second stage has not come to setsid(2) yet, so the process is alone.
            Err(Errno::SRCH) => process::kill_process(self.leader, signal),
            other => other,
        }
    }
}

fn number(signal: Signal) -> process::Signal {
    use process::Signal as Number;
    match signal {
        Signal::Abrt => Number::ABORT,
        Signal::Alrm => Number::ALARM,
        Signal::Fpe => Number::FPE,
        Signal::Hup => Number::HUP,
        Signal::Ill => Number::ILL,
        Signal::Int => Number::INT,
        Signal::Kill => Number::KILL,
        Signal::Pipe => Number::PIPE,
        Signal::Quit => Number::QUIT,
        Signal::Segv => Number::SEGV,
        Signal::Term => Number::TERM,
        Signal::Usr1 => Number::USR1,
        Signal::Usr2 => Number::USR2,
    }
}

/// All signals with a name in RFC 4254 section 6.10.
const NAMED: [Signal; 13] = [
    Signal::Abrt,
    Signal::Alrm,
    Signal::Fpe,
    Signal::Hup,
    Signal::Ill,
    Signal::Int,
    Signal::Kill,
    Signal::Pipe,
    Signal::Quit,
    Signal::Segv,
    Signal::Term,
    Signal::Usr1,
    Signal::Usr2,
];

/// What a shell adds to the number of a signal to make an exit status of it.
const SHELL_SIGNAL_STATUS: u32 = 128;

/// How the client is told of an end. A signal that RFC 4254 has no name for (SIGXCPU, SIGBUS, SIGSYS, …) becomes the exit
/// status that a shell would make of it: OpenSSH sends "SIG@openssh.com" for all of them, which tells the user nothing.
fn end(status: &WaitIdStatus) -> ProgramEnd {
    if let Some(code) = status.exit_status() {
        return ProgramEnd::Exited(u32::try_from(code).unwrap_or(u32::MAX));
    }
    let Some(terminated_by) = status.terminating_signal() else {
        return ProgramEnd::Gone;
    };
    match NAMED
        .into_iter()
        .find(|named| number(*named).as_raw() == terminated_by)
    {
        Some(signal) => ProgramEnd::Signaled {
            signal,
            core_dumped: status.dumped(),
        },
        None => ProgramEnd::Exited(
            SHELL_SIGNAL_STATUS.saturating_add(u32::try_from(terminated_by).unwrap_or(0)),
        ),
    }
}
