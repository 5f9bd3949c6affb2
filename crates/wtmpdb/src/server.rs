//! Records, one after the other, until there have been none for a while.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use journal::{RateLimit, Verdict};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rpc::wtmpdb::{RecordError, receive};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::warn;

use crate::database::Database;

/// How long to stay when there is nothing to do. systemd starts this process again when there is.
const IDLE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

/// Writes what comes from `socket`. Asked to end, it writes what has come before: the ends of sessions that were stopped,
/// too.
///
/// # Errors
/// The system has no descriptors left, or `socket` is no socket for datagrams.
pub fn serve(socket: &UnixDatagram, database: &Database) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let termination = termination()?;
    loop {
        let mut events = [
            PollFd::new(socket, PollFlags::IN),
            PollFd::from_borrowed_fd(termination.as_fd(), PollFlags::IN),
        ];
        match poll(&mut events, Some(&IDLE)) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        match receive(socket) {
            Ok(record) => {
                if let Err(error) = database.write(&record) {
                    // Everybody may read the database, and so lock it.
                    static LINES: RateLimit = RateLimit::new(1, Duration::from_secs(60));
                    if let Verdict::Log { suppressed } = LINES.check() {
                        let path = database.path().display();
                        warn!(suppressed, "{path}: {error}");
                    }
                }
            }
            Err(RecordError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(());
            }
            Err(RecordError::Io(error)) => return Err(error),
            Err(error @ RecordError::Malformed) => warn!("{error}"),
        }
    }
}

/// SIGTERM, as a descriptor that is read by nobody.
fn termination() -> io::Result<SignalFd> {
    let set = SigSet::from_iter([Signal::SIGTERM]);
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?)
}
