//! A started program: its descriptors, its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rpc::lane::ProgramDescriptors;
use rpc::session::{Channel, ProgramEnd, Session, Signal};
use russh::ChannelId;
use russh::server::Handle;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::channels::Number;
use super::end::EngineEnd;
use super::forward::report_idle;
use super::marks::OpenTerminal;
use super::mux::{Mux, Stream};
use super::pump::{Afterwards, Program};
use super::{feeder, pump};

/// How long the end of a program's output waits for the end of the program: a moment apart, usually.
const STATUS_FIRST: Duration = Duration::from_millis(250);

/// What becomes of a program's standard error, where it has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errors {
    /// The client gets it.
    Told,
    /// Nobody does: so does sshd with a subsystem, whatever runs in its place.
    Dropped,
}

/// What a program needs of its connection.
pub(super) struct Running {
    pub(super) mux: Arc<Mux>,
    pub(super) session: Session,
    pub(super) handle: Handle,
    pub(super) channel: ChannelId,
    pub(super) errors: Errors,
}

impl Running {
    /// Connects the descriptors to the channel and sees the program to its end.
    ///
    /// # Errors
    /// A descriptor cannot be polled.
    pub(super) fn start(self, descriptors: ProgramDescriptors) -> std::io::Result<()> {
        let number = Number::from(self.channel);
        let (stdin, stdout, stderr, afterwards, terminal) = match descriptors {
            ProgramDescriptors::Pty(master) => {
                let master = watched(master, Interest::READABLE | Interest::WRITABLE)?;
                let terminal = OpenTerminal::new(Arc::clone(&self.mux));
                (
                    Arc::clone(&master),
                    master,
                    None,
                    Afterwards::HungUp,
                    Some(terminal),
                )
            }
            ProgramDescriptors::Pipes {
                stdin,
                stdout,
                stderr,
            } => (
                watched(stdin, Interest::WRITABLE)?,
                watched(stdout, Interest::READABLE)?,
                Some(watched(stderr, Interest::READABLE)?),
                Afterwards::ToTheEnd,
                None,
            ),
        };
        self.mux.open_input(number, Arc::clone(&stdin));
        tokio::spawn(feeder::run(Arc::clone(&self.mux), number, stdin));
        tokio::spawn(async move {
            self.run(stdout, stderr, afterwards).await;
            drop(terminal);
        });
        Ok(())
    }

    async fn run(
        mut self,
        stdout: Arc<AsyncFd<OwnedFd>>,
        stderr: Option<Arc<AsyncFd<OwnedFd>>>,
        afterwards: Afterwards,
    ) {
        let number = Number::from(self.channel);
        let (ended, program) = watch::channel(Program::Runs);
        let mut program_ended = program.clone();
        // Tasks of their own: each packet wakes one of them, and nobody else.
        let pump = |stream, descriptor| {
            let (mux, program) = (Arc::clone(&self.mux), program.clone());
            tokio::spawn(pump::run(
                mux, number, stream, descriptor, afterwards, program,
            ))
        };
        let output = pump(Stream::Output, stdout);
        // Ends with this.
        let mut unheard = JoinSet::new();
        let error = stderr.and_then(|stderr| match self.errors {
            Errors::Told => Some(pump(Stream::Error, stderr)),
            Errors::Dropped => {
                unheard.spawn(pump::discard(stderr));
                None
            }
        });
        let (mux, handle, channel) = (Arc::clone(&self.mux), self.handle.clone(), self.channel);
        let drained = async move {
            drop(output.await);
            if let Some(error) = error {
                drop(error.await);
            }
            if mux.changes(number).is_none() {
                // The client gave it up: nothing is said of it but the program's end.
                return;
            }
            // Both streams are at their end: nothing follows but the exit status. A client whose
            // own input has ended closes the channel at our EOF, and has no ear for the status
            // after that. So the status goes first, unless the program lives on: the client may
            // wait for the end of output before it ends the input, which the program waits for.
            let end = program_ended.wait_for(|program| *program == Program::Ended);
            drop(tokio::time::timeout(STATUS_FIRST, end).await);
            // A channel that is closed already needs no end.
            handle.eof(channel).await.unwrap_or(());
        };
        let (mut session, handle) = (self.session.clone(), self.handle.clone());
        let mux = Arc::clone(&self.mux);
        let waited = async move {
            let end = session.wait(Channel(number)).await;
            if let Ok(end) = end {
                // At once, as by sshd: others may hold its output for long.
                report(&handle, channel, end).await;
                mux.end_program(number);
            }
            ended.send_replace(Program::Ended);
            end
        };
        let given_up = {
            let (mux, mut session) = (Arc::clone(&self.mux), self.session.clone());
            let handle = self.handle.clone();
            async move {
                tokio::select! {
                    () = mux.closed(number) => {}
                    time = mux.expired(number) => {
                        report_idle(session.clone(), number, time).await;
                        handle.eof(channel).await.unwrap_or(());
                        close(&handle, channel).await;
                    }
                }
                // Hangs up the terminal at once; the wait goes on.
                drop(session.close(Channel(number)).await);
                std::future::pending().await
            }
        };
        let ((), end) = tokio::select! {
            both = async { tokio::join!(drained, waited) } => both,
            never = given_up => never,
        };
        if let Err(error) = end {
            return self.mux.end(EngineEnd::Session(error.to_string()));
        }
        close(&self.handle, self.channel).await;
        drop(self.session.close(Channel(number)).await);
    }
}

/// SSH_MSG_CHANNEL_CLOSE, after what russh has to say of the channel before it: see [`super::closes`].
async fn close(handle: &Handle, channel: ChannelId) {
    handle.xon_xoff_request(channel, false).await.unwrap_or(());
}

/// "exit-status" or "exit-signal" (RFC 4254 section 6.10).
async fn report(handle: &Handle, channel: ChannelId, end: ProgramEnd) {
    let reported = match end {
        ProgramEnd::Exited(status) => handle.exit_status_request(channel, status).await,
        ProgramEnd::Signaled {
            signal,
            core_dumped,
        } => {
            let (empty, language) = (String::new(), String::new());
            let signal = russh_signal(signal);
            handle
                .exit_signal_request(channel, signal, core_dumped, empty, language)
                .await
        }
        ProgramEnd::Gone => Ok(()),
    };
    // The connection may have ended first; then nobody wants to know.
    reported.unwrap_or(());
}

fn watched(descriptor: OwnedFd, interest: Interest) -> std::io::Result<Arc<AsyncFd<OwnedFd>>> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    Ok(Arc::new(rpc::reactor::watch(descriptor, interest)?))
}

fn russh_signal(signal: Signal) -> russh::Sig {
    match signal {
        Signal::Abrt => russh::Sig::ABRT,
        Signal::Alrm => russh::Sig::ALRM,
        Signal::Fpe => russh::Sig::FPE,
        Signal::Hup => russh::Sig::HUP,
        Signal::Ill => russh::Sig::ILL,
        Signal::Int => russh::Sig::INT,
        Signal::Kill => russh::Sig::KILL,
        Signal::Pipe => russh::Sig::PIPE,
        Signal::Quit => russh::Sig::QUIT,
        Signal::Segv => russh::Sig::SEGV,
        Signal::Term => russh::Sig::TERM,
        Signal::Usr1 => russh::Sig::USR1,
        Signal::Usr2 => russh::Sig::Custom("USR2".to_owned()),
    }
}
