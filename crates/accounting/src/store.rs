//! What outlives this process: the connection of each session and what is known of it, in systemd's file descriptor store
//! (FileDescriptorStoreMax=, sd_pid_notify_with_fds(3)).
//!
//! Two descriptors of one name: the connection, and a file in memory that holds the rest. systemd drops a connection that
//! has ended; the file stays, so that whoever comes next learns of the end, too.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use listenfd::ListenFd;
use rpc::accounting::{KnownSession, Recorded};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sendmsg_addr, socket_with,
};
use tracing::warn;

/// What systemd hands over.
#[derive(Debug)]
pub struct Inheritance {
    /// Where sessions connect.
    pub listener: OwnedFd,
    /// Sessions of a predecessor. One without a connection has ended.
    pub sessions: Vec<(Option<Recorded>, KnownSession, Kept)>,
}

/// A session's place in the store.
#[derive(Debug)]
pub struct Kept {
    name: String,
    file: File,
}

/// The name of the listening socket is that of its unit.
const LISTENER: &str = "sshd-privsep-accounting.socket";

/// Names of sessions begin with this.
const SESSION: &str = "session-";

/// The first descriptor that is handed over, sd_listen_fds(3).
const FIRST: usize = 3;

/// Largest file: a thousand terminals.
const LIMIT: u64 = 64 * 1024;

/// Takes what systemd hands over.
///
/// # Errors
/// There is no listening socket.
pub fn inherit() -> io::Result<Inheritance> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut received = ListenFd::from_env();
    let mut listener = None;
    let mut connections = BTreeMap::new();
    let mut files = Vec::new();
    for (index, name) in names.split(':').enumerate().take(received.len()) {
        let kind = (
            i32::from(AddressFamily::UNIX.as_raw()),
            i32::try_from(SocketType::SEQPACKET.as_raw()).unwrap_or_default(),
        );
        let socket = received.take_custom::<OwnedFd>(index, kind.0, kind.1, "connection");
        match (name.starts_with(SESSION), socket) {
            (false, Ok(socket)) if name == LISTENER => listener = socket,
            (true, Ok(Some(socket))) => drop(connections.insert(name, socket)),
            (true, Err(_)) => files.push((name, FIRST + index)),
            (_, _) => {}
        }
    }
    let mut sessions = Vec::new();
    for (name, descriptor) in files {
        match take_up(name, descriptor) {
            Ok((kept, known)) => {
                let connection = connections.remove(name);
                let connection = connection.and_then(|connection| Recorded::new(connection).ok());
                sessions.push((connection, known, kept));
            }
            Err(error) => warn!("{name} is lost: {error}"),
        }
    }
    Ok(Inheritance {
        listener: listener.ok_or_else(|| io::Error::other("no listening socket"))?,
        sessions,
    })
}

fn take_up(name: &str, descriptor: usize) -> io::Result<(Kept, KnownSession)> {
    // Opened once more by its number, for a bare number is nothing that safe code could own.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/self/fd/{descriptor}"))?;
    let kept = Kept {
        name: name.to_owned(),
        file,
    };
    let known = kept.read()?;
    Ok((kept, known))
}

impl Kept {
    /// Keeps a session.
    ///
    /// # Errors
    /// No memory, or systemd does not hear.
    pub fn new(connection: BorrowedFd<'_>, known: &KnownSession) -> io::Result<Self> {
        let file = File::from(memfd_create("session", MemfdFlags::CLOEXEC)?);
        // No other file in memory has this number, neither of this process nor of one before it.
        let name = format!("{SESSION}{}", file.metadata()?.ino());
        let kept = Self { name, file };
        kept.write(known)?;
        let state = format!("FDSTORE=1\nFDNAME={}\n", kept.name);
        notify(&state, &[connection, kept.file.as_fd()])?;
        Ok(kept)
    }

    /// Writes down what is known now.
    ///
    /// # Errors
    /// No memory.
    pub fn write(&self, known: &KnownSession) -> io::Result<()> {
        let known = known.to_bytes();
        let length = u32::try_from(known.len()).map_err(io::Error::other)?;
        // At once: the length says what of it counts.
        let whole = [&length.to_le_bytes(), known.as_slice()].concat();
        self.file.write_all_at(&whole, 0)
    }

    fn read(&self) -> io::Result<KnownSession> {
        let mut whole = Vec::new();
        (&self.file).take(LIMIT).read_to_end(&mut whole)?;
        let known = whole.split_first_chunk().and_then(|(length, rest)| {
            let length = u32::from_le_bytes(*length).try_into().ok()?;
            rest.get(..length)
        });
        let known = known.ok_or_else(|| io::Error::other("cut off"))?;
        KnownSession::from_bytes(known).map_err(io::Error::other)
    }

    /// The session has ended.
    ///
    /// # Errors
    /// systemd does not hear.
    pub fn forget(self) -> io::Result<()> {
        notify(&format!("FDSTOREREMOVE=1\nFDNAME={}\n", self.name), &[])
    }
}

/// sd_pid_notify_with_fds(3), which never waits.
fn notify(state: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    // Not started by systemd: there is nobody to keep anything.
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors"));
    }
    let address = SocketAddrUnix::new(path)?;
    let parts = [IoSlice::new(state.as_bytes())];
    sendmsg_addr(&socket, &address, &parts, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::accounting::{Origin, TerminalNumber};
    use std::os::fd::AsRawFd as _;
    use std::time::SystemTime;

    fn known() -> KnownSession {
        KnownSession::new(Origin {
            user: "alice".into(),
            uid: 1000,
            host: "192.0.2.1".into(),
            address: None,
            began: SystemTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn what_was_written_last_is_taken_up() {
        let file = File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
        let kept = Kept {
            name: "session-1".into(),
            file,
        };
        let mut known = known();
        for terminals in [vec![1, 2, 3], vec![], vec![7]] {
            known.terminals = terminals.into_iter().map(TerminalNumber).collect();
            kept.write(&known).unwrap();
            let descriptor = usize::try_from(kept.file.as_raw_fd()).unwrap();
            assert_eq!(take_up("session-1", descriptor).unwrap().1, known);
        }
        kept.file.write_all_at(&[0xff; 4], 0).unwrap();
        assert!(kept.read().is_err());
    }
}
