//! Connections: one for each session, from its start to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::Duration;

use rpc::accounting::{AccountingError, Origin, Recorded, Said, Sender, TerminalNumber};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use tracing::{debug, warn};

use crate::book::Book;

/// How long to stay when there is no session. systemd starts this process again when one comes.
const IDLE: Duration = Duration::from_secs(60);

/// Most terminals that one session has at once. MaxSessions is rarely above a hundred.
const TERMINALS_LIMIT: usize = 1024;

/// The listening socket among the events. Connections have numbers that count up from the next.
const LISTENER: u64 = 0;

/// A session that may have terminals.
#[derive(Debug)]
struct Session {
    connection: Recorded,
    origin: Option<Origin>,
    open: BTreeSet<TerminalNumber>,
    /// The process that leads it, once it has spoken.
    pid: i32,
}

/// Serves connections until there have been none for a while.
///
/// # Errors
/// The system has no descriptors left, or `listener` is no listening socket.
pub fn serve(listener: &OwnedFd, book: &Book) -> io::Result<()> {
    book.sweep();
    rustix::io::ioctl_fionbio(listener, true)?;
    let events = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &events,
        listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    let mut next = LISTENER + 1;
    let idle = IDLE.try_into().map_err(io::Error::other)?;
    let mut ready = Vec::with_capacity(64);
    loop {
        ready.clear();
        let limit = sessions.is_empty().then_some(&idle);
        match epoll::wait(&events, rustix::buffer::spare_capacity(&mut ready), limit) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if ready.is_empty() && sessions.is_empty() {
            return Ok(());
        }
        for event in &ready {
            let token = event.data.u64();
            if token == LISTENER {
                if let Some(session) = accept(listener)? {
                    let data = EventData::new_u64(next);
                    epoll::add(&events, &session.connection, data, EventFlags::IN)?;
                    sessions.insert(next, session);
                    next += 1;
                }
            } else if let Some(session) = sessions.get_mut(&token)
                && let Err(error) = session.hear(book)
            {
                if !matches!(error, AccountingError::Closed) {
                    warn!("a session's connection ends: {error}");
                }
                // The descriptor goes, and its place among the events with it.
                if let Some(session) = sessions.remove(&token) {
                    session.end(book);
                }
            }
        }
    }
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
        origin: None,
        open: BTreeSet::new(),
        pid: 0,
    }))
}

impl Session {
    /// One message. Others have their turn before the next.
    fn hear(&mut self, book: &Book) -> Result<(), AccountingError> {
        match (self.connection.hear()?, &self.origin) {
            (None, _) => {}
            (Some(Said::Origin(origin)), None) => self.origin = Some(origin),
            (Some(Said::Opened(terminal, sender)), Some(origin)) => {
                if !belongs_to(terminal, origin, sender) {
                    return Err(AccountingError::Malformed("terminal of somebody else"));
                }
                if self.open.len() >= TERMINALS_LIMIT {
                    return Err(AccountingError::Malformed("too many terminals"));
                }
                debug!("{} is on terminal {}", origin.user, terminal.0);
                self.pid = sender.pid;
                let last = book.log_in(origin, terminal, sender.pid);
                self.open.insert(terminal);
                self.connection.answer(last)?;
            }
            (Some(Said::Closed(terminal, _)), Some(_)) => {
                if self.open.remove(&terminal) {
                    book.log_out(terminal, self.pid);
                }
            }
            (Some(_), _) => return Err(AccountingError::Malformed("out of order")),
        }
        Ok(())
    }

    fn end(self, book: &Book) {
        for terminal in self.open {
            book.log_out(terminal, self.pid);
        }
    }
}

/// Whether the terminal is the user's, who says so.
fn belongs_to(terminal: TerminalNumber, origin: &Origin, sender: Sender) -> bool {
    let device = std::fs::symlink_metadata(format!("/dev/pts/{}", terminal.0));
    sender.uid == origin.uid
        && device
            .is_ok_and(|device| device.file_type().is_char_device() && device.uid() == origin.uid)
}
