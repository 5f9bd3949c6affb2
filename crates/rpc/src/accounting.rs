//! Records of logins: what the monitor and a session say to the process that keeps them (`proto/accounting.proto`).
//!
//! ```text
//!  monitor ── connect, Origin ──▶ accounting
//!     └─ the connection ─▶ session ── opened, closed ──▶ accounting
//! ```

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};
use std::{io, path::Path};

use prost::Message;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, recvmsg, send, socket_with,
};
use thiserror::Error;

use crate::lane::{Lane, LaneError, expect_lane};
use crate::proto::accounting::v1 as pb;
use crate::wtmpdb::{Entry, from_microseconds, microseconds};
use pb::to_accounting::Body;

/// Where the process listens.
pub const SOCKET: &str = "/run/sshd-privsep/accounting.sock";

/// Largest datagram in bytes.
const DATAGRAM_LIMIT: usize = 4096;

/// How long a session waits for its last login. The records are four writes to small files.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why a connection is of no use any more.
#[derive(Debug, Error)]
pub enum AccountingError {
    /// The other side closed it or died.
    #[error("connection is closed")]
    Closed,
    /// The other side did not answer in time.
    #[error("no answer in time")]
    Deadline,
    /// The other side breaks the contract.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The system refused.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for AccountingError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Login name.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The client's host, as it is to be shown.
    pub host: String,
    /// Its address, if it has one.
    pub address: Option<IpAddr>,
    /// When it began, before its unit was started.
    pub began: SystemTime,
}

/// What is known of a session, beside its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSession {
    /// Whose it is.
    pub origin: Origin,
    /// The process that leads it, once it has spoken.
    pub pid: i32,
    /// The terminals that are open.
    pub terminals: BTreeSet<TerminalNumber>,
    /// Of its next terminal in the database of wtmpdb(8).
    pub entry: Entry,
}

impl KnownSession {
    /// One that has not spoken yet.
    pub fn new(origin: Origin) -> Self {
        Self {
            pid: 0,
            terminals: BTreeSet::new(),
            entry: Entry::OfSession(origin.began),
            origin,
        }
    }

    /// The form that [`Self::from_bytes`] reads, in this version and later ones.
    pub fn to_bytes(&self) -> Vec<u8> {
        let message = pb::KeptSession {
            origin: Some(origin_to_proto(&self.origin)),
            pid: self.pid,
            terminals: self.terminals.iter().map(|terminal| terminal.0).collect(),
            had_terminal: self.entry == Entry::New,
        };
        message.encode_to_vec()
    }

    /// Reads what an earlier process has kept.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AccountingError> {
        let message = pb::KeptSession::decode(bytes)
            .map_err(|_| AccountingError::Malformed("not a session"))?;
        let origin = message
            .origin
            .ok_or(AccountingError::Malformed("nobody's session"))?;
        let known = Self::new(origin_from_proto(origin)?);
        Ok(Self {
            pid: message.pid,
            terminals: message.terminals.into_iter().map(TerminalNumber).collect(),
            entry: match message.had_terminal {
                true => Entry::New,
                false => known.entry,
            },
            ..known
        })
    }
}

/// Somebody who was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedLogin {
    /// The name that was tried, which need not be anybody's.
    pub user: String,
    /// The client's host, as it is to be shown.
    pub host: String,
    /// Its address, if it has one.
    pub address: Option<IpAddr>,
}

/// A terminal: the number of a device in `/dev/pts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TerminalNumber(pub u32);

impl TerminalNumber {
    /// Of a device, by its path.
    pub fn of(device: &str) -> Option<Self> {
        Some(Self(device.strip_prefix("/dev/pts/")?.parse().ok()?))
    }
}

/// The login of a user before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLogin {
    /// In local time, as ctime(3) has it.
    pub time: String,
    /// Where it came from, unless that is unknown.
    pub host: String,
}

/// The monitor's part: connects for a session. It never waits.
///
/// # Errors
/// Nobody listens, or too many are waiting.
pub fn connect(origin: &Origin) -> Result<OwnedFd, AccountingError> {
    connect_to(Path::new(SOCKET), origin)
}

/// The monitor's part: has a failure recorded. It never waits.
///
/// # Errors
/// As of [`connect`].
pub fn failed_login(failed: &FailedLogin) -> Result<(), AccountingError> {
    failed_login_to(Path::new(SOCKET), failed)
}

fn failed_login_to(path: &Path, failed: &FailedLogin) -> Result<(), AccountingError> {
    let failed = pb::FailedLogin {
        user: failed.user.clone(),
        host: failed.host.clone(),
        address: failed.address.map(|address| address.to_string()),
    };
    say(socket_to(path)?.as_fd(), Body::Failed(failed))
}

fn socket_to(path: &Path) -> Result<OwnedFd, AccountingError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn connect_to(path: &Path, origin: &Origin) -> Result<OwnedFd, AccountingError> {
    let socket = socket_to(path)?;
    say(socket.as_fd(), Body::Origin(origin_to_proto(origin)))?;
    Ok(socket)
}

/// The session's part.
#[derive(Debug)]
pub struct Records(Lane);

impl Records {
    /// Takes the connection into the current runtime.
    ///
    /// # Errors
    /// It is not one.
    pub fn new(connection: OwnedFd) -> Result<Self, AccountingError> {
        Ok(Self(Lane::new(connection).map_err(from_lane)?))
    }

    /// Has a terminal recorded. When this returns, `who` shows it.
    ///
    /// # Errors
    /// It may not be recorded.
    pub async fn opened(
        &self,
        terminal: TerminalNumber,
    ) -> Result<Option<LastLogin>, AccountingError> {
        self.say(Body::Opened(to_proto(terminal)))?;
        let reply = tokio::time::timeout(DEADLINE, self.0.receive()).await;
        let (bytes, _none) = reply
            .map_err(|_elapsed| AccountingError::Deadline)?
            .map_err(from_lane)?;
        let reply = pb::LastLogin::decode(bytes.as_slice())
            .map_err(|_| AccountingError::Malformed("not an answer"))?;
        Ok(reply.time.map(|time| LastLogin {
            time,
            host: reply.host.unwrap_or_default(),
        }))
    }

    /// Has the end of a terminal recorded. It never waits.
    ///
    /// # Errors
    /// It is recorded at the end of the connection, at the latest.
    pub fn closed(&self, terminal: TerminalNumber) -> Result<(), AccountingError> {
        self.say(Body::Closed(to_proto(terminal)))
    }

    fn say(&self, body: Body) -> Result<(), AccountingError> {
        say(self.0.as_fd(), body)
    }
}

/// The other end of a connection. Nothing here waits.
#[derive(Debug)]
pub struct Recorded(OwnedFd);

/// What was said, and by whom.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// By the monitor.
    Origin(Origin),
    /// By the monitor.
    Failed(FailedLogin, Sender),
    /// By a session: a terminal is open.
    Opened(TerminalNumber, Sender),
    /// By a session: it is not any more.
    Closed(TerminalNumber, Sender),
}

/// The process that said it, in the kernel's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// Its number; its process leads the session of logind.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

impl Recorded {
    /// Takes a connection that was accepted. Its listening socket has `PassCredentials=`.
    ///
    /// # Errors
    /// It is not one.
    pub fn new(connection: OwnedFd) -> Result<Self, AccountingError> {
        expect_lane(&connection).map_err(from_lane)?;
        rustix::io::ioctl_fionbio(&connection, true)?;
        Ok(Self(connection))
    }

    /// What was said since; `None` if nothing was.
    ///
    /// # Errors
    /// The connection has ended, or must.
    pub fn hear(&self) -> Result<Option<Said>, AccountingError> {
        let mut bytes = vec![0; DATAGRAM_LIMIT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        let received = match recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(Errno::CONNRESET) => return Err(AccountingError::Closed),
            other => other?,
        };
        let mut sender = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmCredentials(credentials) = message {
                sender = Some(Sender {
                    pid: credentials.pid.as_raw_nonzero().get(),
                    uid: credentials.uid.as_raw(),
                });
            }
        }
        if received
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Err(AccountingError::Malformed("too long"));
        }
        if received.bytes == 0 {
            return Err(AccountingError::Closed);
        }
        bytes.truncate(received.bytes);
        let sender = sender.ok_or(AccountingError::Malformed("nobody's"))?;
        said(&bytes, sender).map(Some)
    }

    /// Answers [`Said::Opened`].
    ///
    /// # Errors
    /// Whoever asked does not read, or is gone.
    pub fn answer(&self, last: Option<LastLogin>) -> Result<(), AccountingError> {
        let (time, host) = last.map(|last| (last.time, last.host)).unzip();
        let reply = pb::LastLogin { time, host }.encode_to_vec();
        // A datagram of no bytes would be the end.
        let reply = if reply.is_empty() {
            pb::LastLogin {
                time: None,
                host: Some(String::new()),
            }
            .encode_to_vec()
        } else {
            reply
        };
        send_whole(self.0.as_fd(), &reply)
    }
}

impl AsFd for Recorded {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn said(bytes: &[u8], sender: Sender) -> Result<Said, AccountingError> {
    let message = pb::ToAccounting::decode(bytes)
        .map_err(|_| AccountingError::Malformed("not for accounting"))?;
    Ok(
        match message.body.ok_or(AccountingError::Malformed("no body"))? {
            Body::Origin(_) | Body::Failed(_) if sender.uid != 0 => {
                return Err(AccountingError::Malformed("it is not the monitor's"));
            }
            Body::Origin(origin) => Said::Origin(origin_from_proto(origin)?),
            Body::Failed(failed) => {
                let failed = FailedLogin {
                    user: failed.user,
                    host: failed.host,
                    address: address(failed.address)?,
                };
                Said::Failed(failed, sender)
            }
            Body::Opened(terminal) => Said::Opened(TerminalNumber(terminal.number), sender),
            Body::Closed(terminal) => Said::Closed(TerminalNumber(terminal.number), sender),
        },
    )
}

fn origin_to_proto(origin: &Origin) -> pb::Origin {
    pb::Origin {
        user: origin.user.clone(),
        uid: origin.uid,
        host: origin.host.clone(),
        address: origin.address.map(|address| address.to_string()),
        began: microseconds(origin.began),
    }
}

fn origin_from_proto(origin: pb::Origin) -> Result<Origin, AccountingError> {
    Ok(Origin {
        user: origin.user,
        uid: origin.uid,
        host: origin.host,
        address: address(origin.address)?,
        began: from_microseconds(origin.began).ok_or(AccountingError::Malformed("time"))?,
    })
}

fn address(text: Option<String>) -> Result<Option<IpAddr>, AccountingError> {
    let address = text.map(|text| text.parse()).transpose();
    address.map_err(|_| AccountingError::Malformed("address"))
}

fn to_proto(terminal: TerminalNumber) -> pb::Terminal {
    pb::Terminal { number: terminal.0 }
}

fn say(socket: BorrowedFd<'_>, body: Body) -> Result<(), AccountingError> {
    let message = pb::ToAccounting { body: Some(body) };
    send_whole(socket, &message.encode_to_vec())
}

fn send_whole(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), AccountingError> {
    // A datagram is sent whole or not at all; MSG_NOSIGNAL: a dead peer is an error, not a signal.
    match send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
        Ok(_whole) => Ok(()),
        Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(AccountingError::Closed),
        Err(error) => Err(error.into()),
    }
}

fn from_lane(error: LaneError) -> AccountingError {
    match error {
        LaneError::Closed => AccountingError::Closed,
        LaneError::Io(error) => AccountingError::Io(error),
        LaneError::Truncated | LaneError::Descriptors(_) | LaneError::Malformed(_) => {
            AccountingError::Malformed("not of accounting")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{accept_with, bind, listen, sockopt};

    fn origin() -> Origin {
        Origin {
            user: "alice".to_owned(),
            uid: 1000,
            host: "client.example".to_owned(),
            address: Some([192, 0, 2, 1].into()),
            began: SystemTime::UNIX_EPOCH + Duration::from_micros(1_800_000_000_000_001),
        }
    }

    /// A listening socket as systemd makes it, and its path.
    fn listening(name: &str) -> (OwnedFd, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        drop(std::fs::remove_file(&path));
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        sockopt::set_socket_passcred(&socket, true).unwrap();
        listen(&socket, 8).unwrap();
        (socket, path)
    }

    #[test]
    fn what_is_said_arrives_with_who_said_it() {
        let (listener, path) = listening("accounting-said");
        let client = connect_to(&path, &origin());
        let me = Sender {
            pid: i32::try_from(std::process::id()).unwrap(),
            uid: rustix::process::getuid().as_raw(),
        };
        let client = client.unwrap();
        let server = Recorded::new(accept_with(&listener, SocketFlags::CLOEXEC).unwrap()).unwrap();
        if me.uid == 0 {
            assert_eq!(server.hear().unwrap(), Some(Said::Origin(origin())));
        } else {
            assert!(matches!(server.hear(), Err(AccountingError::Malformed(_))));
        }
        assert!(server.hear().unwrap().is_none());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let records = Records::new(client).unwrap();
            for last in [
                None,
                Some(LastLogin {
                    time: "Thu Jan  1 00:00:00 1970".to_owned(),
                    host: String::new(),
                }),
            ] {
                server.answer(last.clone()).unwrap();
                assert_eq!(records.opened(TerminalNumber(7)).await.unwrap(), last);
                let heard = server.hear().unwrap();
                assert_eq!(heard, Some(Said::Opened(TerminalNumber(7), me)));
            }
            records.closed(TerminalNumber(7)).unwrap();
            let heard = server.hear().unwrap();
            assert_eq!(heard, Some(Said::Closed(TerminalNumber(7), me)));
        });
        assert!(matches!(server.hear(), Err(AccountingError::Closed)));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_session_is_read_as_it_was_kept() {
        let fresh = KnownSession::new(origin());
        let grown = KnownSession {
            pid: 4711,
            terminals: [TerminalNumber(0), TerminalNumber(7)].into(),
            entry: Entry::New,
            ..fresh.clone()
        };
        for session in [fresh, grown] {
            let read = KnownSession::from_bytes(&session.to_bytes()).unwrap();
            assert_eq!(read, session);
        }
        assert!(KnownSession::from_bytes(&[]).is_err());
        assert!(KnownSession::from_bytes(b"something else").is_err());
    }

    #[test]
    fn only_the_monitor_says_whose_session_it_is_and_who_was_not_let_in() {
        for body in [
            Body::Origin(pb::Origin::default()),
            Body::Failed(pb::FailedLogin::default()),
        ] {
            let message = pb::ToAccounting { body: Some(body) }.encode_to_vec();
            let said = |uid| said(&message, Sender { pid: 1, uid });
            assert!(said(0).is_ok());
            assert!(matches!(said(1000), Err(AccountingError::Malformed(_))));
        }
    }

    #[test]
    fn a_terminal_is_a_device_of_devpts() {
        assert_eq!(TerminalNumber::of("/dev/pts/12"), Some(TerminalNumber(12)));
        for other in [
            "/dev/tty1",
            "pts/1",
            "/dev/pts/",
            "/dev/pts/../tty",
            "/dev/pts/1x",
        ] {
            assert_eq!(TerminalNumber::of(other), None, "{other}");
        }
    }
}
