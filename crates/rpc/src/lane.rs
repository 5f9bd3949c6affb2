//! The lane: one SOCK_SEQPACKET datagram is one message plus its descriptors.
//!
//! Descriptors flow from the more trusted process to the less trusted one only. The kind of each
//! message fixes how many descriptors come with it and of which type; anything else ends the
//! connection ([`LaneError`]). A datagram has no half-read state, so a lane survives the death of
//! either side's memory: whoever holds the descriptor can go on with it.

pub(crate) mod convert;
mod descriptor;
mod forwarding;
mod timeouts;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::level_filters::LevelFilter;

use crate::identity::{ConnectionId, Endpoints};
use crate::pam::Variable;
use crate::reactor::watch;
use crate::session::{Accepted, Channel};

pub(crate) use descriptor::expect_lane;
pub use forwarding::{
    Directions, Forwarding, GatewayPorts, IpFamily, Places, Tunnels, X11Addresses, X11Forwarding,
};
pub use timeouts::{ChannelTimeouts, ChannelType, IdleSeconds};

/// Largest datagram in bytes.
const DATAGRAM_LIMIT: usize = 64 * 1024;

/// Most descriptors in one datagram; one more than any message has, so that an excess shows.
const DESCRIPTOR_LIMIT: usize = 4;

/// Why a lane cannot go on.
#[derive(Debug, Error)]
pub enum LaneError {
    /// The other side closed it or died.
    #[error("lane is closed")]
    Closed,
    /// A datagram or its control data was cut: too large, or more descriptors than any message has.
    #[error("datagram is truncated")]
    Truncated,
    /// The descriptors are not those that the message announces.
    #[error("wrong descriptors: {0}")]
    Descriptors(&'static str),
    /// The message does not convert to its domain type.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The system refused.
    #[error("lane: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for LaneError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// What an idle worker must know before its client comes: public knowledge only. Names are checked
/// by who uses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Text after "SSH-2.0-" (RFC 4253 section 4.2).
    pub software_version: String,
    /// Public host keys, in the order in which they are offered.
    pub host_keys: Vec<HostKey>,
    /// Key exchange methods in order of preference.
    pub kex_algorithms: Vec<String>,
    /// Ciphers in order of preference.
    pub ciphers: Vec<String>,
    /// MACs in order of preference.
    pub macs: Vec<String>,
    /// Compression methods in order of preference.
    pub compression: Vec<String>,
    /// Signature algorithms for publickey (RFC 8308 section 3.1).
    pub pubkey_algorithms: Vec<String>,
    /// RekeyLimit in bytes; 0 is the cipher's own.
    pub rekey_bytes: u64,
    /// RekeyLimit in seconds; 0 is never.
    pub rekey_seconds: u32,
}

/// A public host key and what the monitor signs with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// K_S
    pub public_key: Vec<u8>,
    /// Signature algorithm names.
    pub algorithms: Vec<String>,
}

/// The client that a worker serves from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Its name in every journal line.
    pub id: ConnectionId,
    /// Its addresses.
    pub endpoints: Endpoints,
}

/// What the worker must know of an accepted login.
///
/// A worker that somebody took over may ignore what is said of time here, and gains time to be idle in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionGrant {
    /// The user, for the journal.
    pub user: String,
    /// MaxSessions
    pub max_sessions: u32,
    /// ClientAliveInterval in seconds; 0 is off.
    pub client_alive_interval: u32,
    /// ClientAliveCountMax
    pub client_alive_count_max: u32,
    /// RekeyLimit in bytes; 0 is the cipher's own.
    pub rekey_bytes: u64,
    /// RekeyLimit in seconds; 0 is never.
    pub rekey_seconds: u32,
    /// UnusedConnectionTimeout in seconds; 0 is never.
    pub unused_connection_timeout: u32,
    /// ChannelTimeout
    pub channel_timeouts: ChannelTimeouts,
    /// IPQoS
    pub packet_marks: PacketMarks,
    /// What the user is told first, each in an SSH_MSG_DEBUG. The first [`REMARKS_LIMIT`] are sent, and of each the
    /// first [`REMARK_LIMIT`] bytes.
    pub remarks: Vec<String>,
}

/// How many remarks a worker is given.
pub const REMARKS_LIMIT: usize = 16;

/// The longest remark, in bytes: what fits into OpenSSH's buffer.
pub const REMARK_LIMIT: usize = 1023;

/// How the packets to a client are marked (IP_TOS and IPV6_TCLASS); none is the system's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacketMarks {
    /// While a terminal is open.
    pub interactive: Option<u8>,
    /// Otherwise.
    pub bulk: Option<u8>,
}

/// Everything that a session must know of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStart {
    /// Name of the connection.
    pub id: ConnectionId,
    /// Its addresses, for SSH_CONNECTION.
    pub endpoints: Endpoints,
    /// LogLevel
    pub log_level: LevelFilter,
    /// SyslogFacility: its number, at most 23.
    pub facility: u8,
    /// Login name.
    pub user: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// AcceptEnv patterns.
    pub accept_env: Vec<String>,
    /// PermitTTY
    pub permit_tty: bool,
    /// Subsystem: name and command line.
    pub subsystems: Vec<(String, String)>,
    /// MaxSessions
    pub max_sessions: u32,
    /// What runs whatever the client asks for: ForceCommand, or what the key or certificate says.
    pub forced_command: Option<String>,
    /// Variables that the user has set for this key: names and values.
    pub environment: Vec<(String, String)>,
    /// Which variables the user may set in `~/.ssh/environment`: patterns, separated by commas. `None`: the file is not
    /// read.
    pub user_environment: Option<String>,
    /// ChrootDirectory, expanded: the directory that is to be the session's root.
    pub chroot_directory: Option<String>,
    /// What the key or certificate of the login permits.
    pub permissions: Permissions,
    /// How the user was authenticated.
    pub login: LoginDetails,
    /// What may be forwarded.
    pub forwarding: Forwarding,
    /// What the user is greeted with, and how programs start.
    pub process: LoginProcess,
    /// Who speaks with whom.
    pub identifications: Identifications,
}

/// The identification strings (RFC 4253 section 4.2) as they were exchanged, without CR LF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifications {
    /// V_C: bytes of a stranger's choice.
    pub client: Vec<u8>,
    /// V_S
    pub server: Vec<u8>,
}

/// The login process of sshd(8), as far as sshd_config(5) has a say in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginProcess {
    /// UsePAM: what modules say is shown.
    pub use_pam: bool,
    /// PrintMotd
    pub print_motd: bool,
    /// PrintLastLog
    pub print_last_log: bool,
    /// PermitUserRC. The key or certificate has a say in it, too.
    pub user_rc: Permission,
    /// XAuthLocation. `None`: none is run.
    pub xauth_location: Option<String>,
    /// SetEnv: names and values.
    pub set_env: Vec<(String, String)>,
}

impl LoginProcess {
    /// Nothing is shown, and nothing runs but what is asked for.
    pub const PLAIN: Self = Self {
        use_pam: true,
        print_motd: false,
        print_last_log: false,
        user_rc: Permission::Denied,
        xauth_location: None,
        set_env: Vec::new(),
    };
}

/// Whether something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    Granted,
    /// It may not.
    Denied,
}

/// What the key or certificate of a login permits its session, apart from what `sshd_config` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// `agent-forwarding`
    pub agent_forwarding: Permission,
    /// `port-forwarding`
    pub port_forwarding: Permission,
    /// `X11-forwarding`
    pub x11_forwarding: Permission,
    /// `user-rc`: whether `~/.ssh/rc` is run.
    pub user_rc: Permission,
    /// `permitopen`: where connections may be opened to. Empty is everywhere.
    pub permit_open: Vec<ForwardPort>,
    /// `permitlisten`: where may be listened. Empty is everywhere.
    pub permit_listen: Vec<ForwardPort>,
    /// `tunnel`
    pub tunnel: Tunnel,
}

impl Permissions {
    /// Those of a login with a password, or with a key without options.
    pub const ALL: Self = Self {
        agent_forwarding: Permission::Granted,
        port_forwarding: Permission::Granted,
        x11_forwarding: Permission::Granted,
        user_rc: Permission::Granted,
        permit_open: Vec::new(),
        permit_listen: Vec::new(),
        tunnel: Tunnel::Any,
    };

    /// Those of a login that has to change its password first.
    pub const NONE: Self = Self {
        agent_forwarding: Permission::Denied,
        port_forwarding: Permission::Denied,
        x11_forwarding: Permission::Denied,
        user_rc: Permission::Denied,
        permit_open: Vec::new(),
        permit_listen: Vec::new(),
        tunnel: Tunnel::Refused,
    };
}

/// A place to forward from or to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardPort {
    /// Without brackets. With `permitlisten` `*` and `?` are wildcards.
    pub host: String,
    /// `None` is any.
    pub port: Option<u16>,
}

/// Which tun(4) devices may be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// Whichever the client asks for.
    Any,
    /// The one with this number.
    Device(u32),
    /// None.
    Refused,
}

/// How a user was authenticated, as far as the session has a part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginDetails {
    /// ExposeAuthInfo: a line for each method that was completed. `None`: the session is not told.
    pub exposed: Option<String>,
    /// The environment of the PAM transaction that authenticated the user.
    pub environment: Vec<Variable>,
    /// Who obeys `/etc/nologin`.
    pub no_login: NoLogin,
    /// What the session may be used for.
    pub password: Password,
}

impl LoginDetails {
    /// Those of which the session learns nothing.
    pub const UNTOLD: Self = Self {
        exposed: None,
        environment: Vec::new(),
        no_login: NoLogin::Judged,
        password: Password::Good,
    };
}

/// Whether the user has a password to change first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// Not that anybody knows.
    Good,
    /// It has expired: the user may change it, and do nothing else.
    Expired,
}

/// Who obeys `/etc/nologin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLogin {
    /// PAM did (pam_nologin(8)), or was not configured to.
    Judged,
    /// The session is to, for each program (UsePAM no).
    Obeyed,
}

/// What the monitor sends to a worker.
#[derive(Debug)]
pub enum ToWorker {
    /// First datagram.
    Welcome {
        /// Public knowledge.
        welcome: Welcome,
        /// Stream of `preauth.proto`.
        rpc: OwnedFd,
    },
    /// A client came.
    Connection {
        /// Who.
        connection: Connection,
        /// Its socket.
        socket: OwnedFd,
    },
    /// The login is accepted.
    Session {
        /// What it may.
        grant: SessionGrant,
        /// Stream of `session.proto`.
        rpc: OwnedFd,
        /// Lane of the session.
        lane: OwnedFd,
    },
}

/// What the monitor sends to a session.
#[derive(Debug)]
pub enum ToSession {
    /// First and only datagram.
    Start {
        /// Everything it must know.
        start: SessionStart,
        /// Stream of `session.proto`.
        rpc: OwnedFd,
        /// Lane to the worker.
        lane: OwnedFd,
        /// Connection to accounting, see [`accounting`](crate::accounting). `None`: nothing is recorded.
        accounting: Option<OwnedFd>,
    },
}

/// Descriptors of a started program.
#[derive(Debug)]
pub enum ProgramDescriptors {
    /// Master of its pseudo-terminal.
    Pty(OwnedFd),
    /// Our ends of its pipes.
    Pipes {
        /// Writable.
        stdin: OwnedFd,
        /// Readable.
        stdout: OwnedFd,
        /// Readable.
        stderr: OwnedFd,
    },
}

/// What a session sends to the worker.
#[derive(Debug)]
pub enum FromSession {
    /// A program was started for this channel.
    Descriptors {
        /// The channel of the call.
        channel: Channel,
        /// Its descriptors.
        descriptors: ProgramDescriptors,
    },
    /// What the other end of this channel is connected to.
    Forwarded {
        /// The channel of the call.
        channel: Channel,
        /// A connected stream.
        socket: OwnedFd,
    },
    /// Somebody has connected to what the session listens on.
    Accepted {
        /// The channel of the call.
        channel: Channel,
        /// Whom the client is to be told of.
        accepted: Accepted,
        /// A connected stream.
        socket: OwnedFd,
    },
    /// The device that this channel's packets come from and go to.
    Tunnel {
        /// The channel of the call.
        channel: Channel,
        /// A tun(4) device.
        device: OwnedFd,
    },
}

/// One end of a lane.
#[derive(Debug)]
pub struct Lane {
    socket: AsyncFd<OwnedFd>,
}

/// A pair of connected lane descriptors.
///
/// # Errors
/// The system has no descriptors left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// A pair of connected stream descriptors for gRPC.
///
/// # Errors
/// The system has no descriptors left.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

impl Lane {
    /// Takes a lane descriptor into the current runtime.
    ///
    /// # Errors
    /// Not a SOCK_SEQPACKET socket of AF_UNIX, or no reactor.
    pub fn new(descriptor: OwnedFd) -> Result<Self, LaneError> {
        expect_lane(&descriptor)?;
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Self {
            socket: watch(descriptor, Interest::READABLE | Interest::WRITABLE)?,
        })
    }

    /// Sends one message to a worker. The descriptors stay open here; the caller drops them.
    ///
    /// # Errors
    /// [`LaneError::Closed`] when the worker is gone.
    pub async fn send_to_worker(&self, message: &ToWorker) -> Result<(), LaneError> {
        let (bytes, descriptors) = convert::to_worker(message);
        self.send(&bytes, &descriptors).await
    }

    /// Sends one message to a session.
    ///
    /// # Errors
    /// [`LaneError::Closed`] when the session is gone.
    pub async fn send_to_session(&self, message: &ToSession) -> Result<(), LaneError> {
        let (bytes, descriptors) = convert::to_session(message);
        self.send(&bytes, &descriptors).await
    }

    /// Tells the PAM stack of a session's unit how its user was authenticated: the first datagram, ahead of the
    /// [`ToSession::Start`]. pam_sshd_privsep(8) takes it from the unit's standard input before the session's program
    /// is run. A unit's properties would be for everybody to read.
    ///
    /// # Errors
    /// [`LaneError::Closed`] when the session is gone.
    pub async fn send_auth_info(&self, text: &str) -> Result<(), LaneError> {
        let variable = format!("SSH_AUTH_INFO_0={text}");
        self.send(variable.as_bytes(), &[]).await
    }

    /// Sends a started program's descriptors to the worker.
    ///
    /// # Errors
    /// [`LaneError::Closed`] when the worker is gone.
    pub async fn send_from_session(&self, message: &FromSession) -> Result<(), LaneError> {
        let (bytes, descriptors) = convert::from_session(message);
        self.send(&bytes, &descriptors).await
    }

    /// Tells the monitor that its session is up, and what PAM said to the user.
    ///
    /// # Errors
    /// [`LaneError::Closed`] when the monitor is gone.
    pub async fn send_ready(&self, said: &str) -> Result<(), LaneError> {
        self.send(&convert::ready(said), &[]).await
    }

    /// Waits until a session says that it is up; yields what PAM said to its user, at most 16 KiB. A session is the
    /// user's process: anything else that it says is an error.
    ///
    /// # Errors
    /// [`LaneError::Closed`] when the session ended, or was never started.
    pub async fn receive_ready(&self) -> Result<String, LaneError> {
        let (bytes, descriptors) = self.receive().await?;
        if !descriptors.is_empty() {
            return Err(LaneError::Descriptors("none were asked for"));
        }
        convert::read_ready(&bytes)
    }

    /// Receives what the monitor sends to a worker.
    ///
    /// # Errors
    /// See [`LaneError`]; each of them ends the lane's use.
    pub async fn receive_to_worker(&self) -> Result<ToWorker, LaneError> {
        let (bytes, descriptors) = self.receive().await?;
        convert::read_to_worker(&bytes, descriptors)
    }

    /// Receives what the monitor sends to a session.
    ///
    /// # Errors
    /// See [`LaneError`]; each of them ends the lane's use.
    pub async fn receive_to_session(&self) -> Result<ToSession, LaneError> {
        let (bytes, descriptors) = self.receive().await?;
        convert::read_to_session(&bytes, descriptors)
    }

    /// Receives what a session sends to the worker.
    ///
    /// # Errors
    /// See [`LaneError`]; each of them ends the lane's use.
    pub async fn receive_from_session(&self) -> Result<FromSession, LaneError> {
        let (bytes, descriptors) = self.receive().await?;
        convert::read_from_session(&bytes, descriptors)
    }

    /// Waits until the other side is gone. For the end that only sends: whatever arrives here was
    /// not asked for, and its descriptors are closed.
    ///
    /// # Errors
    /// [`LaneError::Malformed`] when something arrived.
    pub async fn closed(&self) -> Result<(), LaneError> {
        match self.receive().await {
            Err(LaneError::Closed) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(LaneError::Malformed("message in the wrong direction")),
        }
    }

    async fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), LaneError> {
        let sent = self
            .socket
            .async_io(Interest::WRITABLE, |socket| {
                Ok(send_once(socket.as_fd(), bytes, descriptors)?)
            })
            .await;
        match sent {
            Ok(()) => Ok(()),
            Err(error) if is_gone(&error) => Err(LaneError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn receive(&self) -> Result<(Vec<u8>, Vec<OwnedFd>), LaneError> {
        loop {
            let mut ready = self.socket.readable().await?;
            match receive_once(self.socket.get_ref().as_fd()) {
                Err(LaneError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready()
                }
                other => return other,
            }
        }
    }
}

impl AsFd for Lane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

/// Hands a worker its lane over the stream that systemd connected to its stdin.
///
/// # Errors
/// The worker is gone.
pub fn send_bootstrap(stream: impl AsFd, lane: BorrowedFd<'_>) -> io::Result<()> {
    Ok(send_once(stream.as_fd(), b"L", &[lane])?)
}

/// Takes the lane from the stream at stdin; waits until it comes, without a deadline: an idle
/// worker has nothing else to do, and the monitor's end of the stream closes with the monitor.
///
/// # Errors
/// The monitor is gone, or something else than one lane came.
pub fn receive_bootstrap(stream: impl AsFd) -> Result<OwnedFd, LaneError> {
    let (_, mut descriptors) = receive_once(stream.as_fd())?;
    let lane = descriptors.pop().ok_or(LaneError::Descriptors("no lane"))?;
    if !descriptors.is_empty() {
        return Err(LaneError::Descriptors("more than a lane"));
    }
    expect_lane(&lane)?;
    Ok(lane)
}

fn send_once(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::MSGSIZE);
    }
    // A datagram is sent whole or not at all; MSG_NOSIGNAL: a dead peer is an error, not a signal.
    sendmsg(
        socket,
        &[io::IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

fn receive_once(socket: BorrowedFd<'_>) -> Result<(Vec<u8>, Vec<OwnedFd>), LaneError> {
    let mut bytes = vec![0; DATAGRAM_LIMIT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        match recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Err(LaneError::Closed),
            other => break other?,
        }
    };
    // Collected before any check: what is refused must be closed, not leaked.
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(LaneError::Truncated);
    }
    if received.bytes == 0 {
        return Err(LaneError::Closed);
    }
    bytes.truncate(received.bytes);
    Ok((bytes, descriptors))
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

#[cfg(test)]
mod tests;
