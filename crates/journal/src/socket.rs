//! The way to journald: a connected datagram socket that never blocks.

use crate::datagram::Datagram;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where journald listens for its native protocol.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Connects a socket to journald, to be kept by this process or handed to a caged one.
///
/// The socket outlives a restart of journald: systemd keeps the other end (`systemd-journald.socket`).
///
/// # Errors
///
/// What socket(2) or connect(2) say; `NotFound` and `ConnectionRefused` mean that there is no journal here.
pub fn connect() -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(JOURNAL_SOCKET)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    // Nothing is ever read here: a descriptor that a caged process holds should be good for one direction only.
    rustix::net::shutdown(&socket, Shutdown::Read)?;
    Ok(socket)
}

/// A connected socket and the count of what it could not take.
#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    lost: AtomicU64,
}

impl Socket {
    pub(crate) fn new(descriptor: OwnedFd) -> Self {
        Self {
            descriptor,
            lost: AtomicU64::new(0),
        }
    }

    /// Sends one entry, or counts it as lost: a full journal must not stop the server, whoever filled it.
    pub(crate) fn send(&self, datagram: Datagram) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let bytes = datagram.finish(lost);
        // DONTWAIT although the socket is non-blocking already: the flag lives in the open file description, which
        // whoever connected the socket may still share.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent =
            rustix::io::retry_on_intr(|| rustix::net::send(self.descriptor.as_fd(), &bytes, flags));
        if sent.is_err() {
            self.lost
                .fetch_add(lost.saturating_add(1), Ordering::Relaxed);
        }
    }
}
