//! Connections: one for each session, from its start to its end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::Duration;
use std::{io, mem};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rpc::accounting::{
    AccountingError, KnownSession, Origin, Recorded, Said, Sender, TerminalNumber,
};
use rpc::wtmpdb::Entry;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tracing::{debug, warn};

use crate::book::Book;
use crate::store::{Inheritance, Kept};

/// How long to stay when there is no session. systemd starts this process again when one comes.
const IDLE: Duration = Duration::from_secs(60);

/// Most terminals that one session has at once. MaxSessions is rarely above a hundred.
const TERMINALS_LIMIT: usize = 1024;

/// The listening socket among the events.
const LISTENER: u64 = 0;

/// systemd's word that this process is to end. Logins have numbers that count up from the next.
const TERMINATION: u64 = 1;

/// The name of a session's process.
const SESSION: &str = "session\n";

/// Whose end this process waits for.
#[derive(Debug)]
enum Login {
    Session(Session),
    /// What a predecessor of this process recorded, and the connection was not kept (it was stopped). The session's process
    /// goes on, and this is its descriptor (pidfd_open(2)).
    Adopted {
        process: OwnedFd,
        pid: i32,
    },
}

/// A session that may have terminals.
#[derive(Debug)]
struct Session {
    connection: Recorded,
    /// Once the monitor has spoken.
    known: Option<KnownSession>,
    /// For the next process, if this one dies.
    kept: Option<Kept>,
}

/// When to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    /// When there has been no session for a while.
    WhileNeeded,
    /// With the last session: systemd stops this process, and sessions perhaps at the same time.
    UntilTheLastEnds,
}

/// Serves connections until there have been none for a while.
///
/// # Errors
/// The system has no descriptors left, or what should be the listening socket is none.
pub fn serve(inheritance: Inheritance, book: &Book) -> io::Result<()> {
    let listener = &inheritance.listener;
    rustix::io::ioctl_fionbio(listener, true)?;
    let termination = termination()?;
    let events = epoll::create(CreateFlags::CLOEXEC)?;
    for (source, token) in [
        (listener.as_fd(), LISTENER),
        (termination.as_fd(), TERMINATION),
    ] {
        epoll::add(&events, source, EventData::new_u64(token), EventFlags::IN)?;
    }
    let mut logins = BTreeMap::new();
    let mut tokens = TERMINATION + 1..;
    let mut watch = |logins: &mut BTreeMap<u64, Login>, login: Login| -> io::Result<()> {
        let token = tokens.next().unwrap_or(u64::MAX);
        epoll::add(&events, &login, EventData::new_u64(token), EventFlags::IN)?;
        logins.insert(token, login);
        Ok(())
    };
    let mut alive = book.sweep();
    for (connection, known, kept) in inheritance.sessions {
        alive.remove(&known.pid);
        match connection {
            Some(connection) => {
                let session = Session {
                    connection,
                    known: Some(known),
                    kept: Some(kept),
                };
                watch(&mut logins, Login::Session(session))?;
            }
            None => end(known, Some(kept), book),
        }
    }
    for pid in alive.into_iter().filter(|pid| is_session(*pid)) {
        match adopt(pid) {
            Ok(Some(login)) => watch(&mut logins, login)?,
            // It has ended since.
            Ok(None) => book.log_out_all(pid),
            // It may live, so that its records stay. The next start asks again.
            Err(error) => warn!("the end of session {pid} is not waited for: {error}"),
        }
    }
    let mut stay = Stay::WhileNeeded;
    let idle = IDLE.try_into().map_err(io::Error::other)?;
    let mut ready = Vec::with_capacity(64);
    loop {
        if stay == Stay::UntilTheLastEnds && logins.is_empty() {
            return Ok(());
        }
        ready.clear();
        let limit = logins.is_empty().then_some(&idle);
        match epoll::wait(&events, rustix::buffer::spare_capacity(&mut ready), limit) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if ready.is_empty() && logins.is_empty() {
            return Ok(());
        }
        for event in &ready {
            match event.data.u64() {
                LISTENER => {
                    if let Some(session) = accept(listener)? {
                        watch(&mut logins, Login::Session(session))?;
                    }
                }
                TERMINATION => {
                    stay = Stay::UntilTheLastEnds;
                    epoll::delete(&events, &termination)?;
                }
                token => {
                    let heard = logins.get_mut(&token).map(|login| login.hear(book));
                    // The descriptor goes, and its place among the events with it.
                    if heard == Some(ControlFlow::Break(()))
                        && let Some(login) = logins.remove(&token)
                    {
                        login.end(book);
                    }
                }
            }
        }
    }
}

/// SIGTERM, as a descriptor that is read by nobody: it comes once.
fn termination() -> io::Result<SignalFd> {
    let set = SigSet::from_iter([Signal::SIGTERM]);
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?)
}

fn accept(listener: &OwnedFd) -> io::Result<Option<Session>> {
    let connection = match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(connection) => connection,
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let connection = Recorded::new(connection).map_err(io::Error::other)?;
    Ok(Some(Session {
        connection,
        known: None,
        kept: None,
    }))
}

/// Whether a process is a session of ours. Others see to their records themselves.
fn is_session(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == SESSION)
}

/// Recorded logins of a process; none if there is no such process. An error does not say whether there is.
fn adopt(pid: i32) -> Result<Option<Login>, Errno> {
    let Some(leader) = Pid::from_raw(pid) else {
        return Ok(None);
    };
    match pidfd_open(leader, PidfdFlags::empty()) {
        Ok(process) => Ok(Some(Login::Adopted { process, pid })),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

impl AsFd for Login {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Session(session) => session.connection.as_fd(),
            Self::Adopted { process, .. } => process.as_fd(),
        }
    }
}

impl Login {
    /// Something happened: perhaps its end.
    fn hear(&mut self, book: &Book) -> ControlFlow<()> {
        let Self::Session(session) = self else {
            return ControlFlow::Break(());
        };
        match session.hear(book) {
            Ok(()) => ControlFlow::Continue(()),
            Err(AccountingError::Closed) => ControlFlow::Break(()),
            Err(error) => {
                warn!("a session's connection ends: {error}");
                ControlFlow::Break(())
            }
        }
    }

    fn end(self, book: &Book) {
        match self {
            Self::Session(session) => session.end(book),
            Self::Adopted { pid, .. } => book.log_out_all(pid),
        }
    }
}

impl Session {
    /// One message. Others have their turn before the next.
    fn hear(&mut self, book: &Book) -> Result<(), AccountingError> {
        match (self.connection.hear()?, &mut self.known) {
            (None, _) => {}
            (Some(Said::Origin(origin)), None) => {
                let known = KnownSession::new(origin);
                let kept = Kept::new(self.connection.as_fd(), &known);
                self.kept = kept
                    .inspect_err(|error| warn!("a session is not kept: {error}"))
                    .ok();
                self.known = Some(known);
            }
            (Some(Said::Failed(failed, sender)), None) => book.fail(&failed, sender.pid),
            (Some(Said::Opened(terminal, sender)), Some(known)) => {
                if !belongs_to(terminal, &known.origin, sender) {
                    return Err(AccountingError::Malformed("terminal of somebody else"));
                }
                if known.terminals.len() >= TERMINALS_LIMIT {
                    return Err(AccountingError::Malformed("too many terminals"));
                }
                debug!("{} is on terminal {}", known.origin.user, terminal.0);
                known.pid = sender.pid;
                let entry = mem::replace(&mut known.entry, Entry::New);
                let last = book.log_in(&known.origin, terminal, sender.pid, entry);
                known.terminals.insert(terminal);
                self.keep()?;
                self.connection.answer(last)?;
            }
            (Some(Said::Closed(terminal, _)), Some(known)) => {
                if known.terminals.remove(&terminal) {
                    book.log_out(terminal, known.pid);
                }
                self.keep()?;
            }
            (Some(_), _) => return Err(AccountingError::Malformed("out of order")),
        }
        Ok(())
    }

    fn keep(&self) -> io::Result<()> {
        match (&self.kept, &self.known) {
            (Some(kept), Some(known)) => kept.write(known),
            (None, _) | (_, None) => Ok(()),
        }
    }

    fn end(self, book: &Book) {
        if let Some(known) = self.known {
            end(known, self.kept, book);
        }
    }
}

/// A session has ended.
fn end(known: KnownSession, kept: Option<Kept>, book: &Book) {
    for terminal in known.terminals {
        book.log_out(terminal, known.pid);
    }
    if let Entry::OfSession(_) = known.entry {
        book.end(&known.origin);
    }
    if let Some(Err(error)) = kept.map(Kept::forget) {
        warn!("a session that has ended is still kept: {error}");
    }
}

/// Whether the terminal is the user's, who says so.
fn belongs_to(terminal: TerminalNumber, origin: &Origin, sender: Sender) -> bool {
    let device = std::fs::symlink_metadata(format!("/dev/pts/{}", terminal.0));
    sender.uid == origin.uid
        && device
            .is_ok_and(|device| device.file_type().is_char_device() && device.uid() == origin.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_is_not_there_has_ended() {
        let me = rustix::process::getpid().as_raw_pid();
        assert!(matches!(adopt(me), Ok(Some(Login::Adopted { pid, .. })) if pid == me));
        // No process has this number: pid_max is lower.
        assert!(matches!(adopt(i32::MAX), Ok(None)));
        // The number of a thread is there, and yet cannot be waited for: an error like any other.
        let thread = std::thread::spawn(|| adopt(nix::unistd::gettid().as_raw()));
        assert!(thread.join().unwrap().is_err());
    }
}
