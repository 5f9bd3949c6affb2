//! Calls about what is forwarded: connections that the session makes or takes for the client.

use std::fmt;
use std::time::Duration;

use super::{Channel, Outcome, Session};
use crate::convert::forwarding as convert;
use crate::grpc::{self, CallError};
use crate::proto::session::v1 as pb;

/// Longest name of a host in bytes: NI_MAXHOST of getnameinfo(3).
pub const HOST_LIMIT: usize = 1025;

/// Longest path of a socket in bytes: what unix(7) has room for.
pub const PATH_LIMIT: usize = 108;

/// Longest protocol and cookie of X11 in bytes.
const XAUTH_LIMIT: usize = 1024;

/// How long the session may take to look for an address to listen on.
pub const LISTEN_DEADLINE: Duration = Duration::from_secs(20);

/// How long the session may take to connect.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(150);

/// Longer than [`CONNECT_DEADLINE`]: it is the session that says why there is no connection.
const CALL_DEADLINE: Duration = Duration::from_secs(180);

/// A host and a port of it, as the client names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Address or name, at most [`HOST_LIMIT`] bytes, without NUL.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Where a socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A port.
    Port(Port),
    /// A path: at most [`PATH_LIMIT`] bytes, without NUL.
    Path(Vec<u8>),
}

/// A connection that the client wants for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Where to.
    pub target: Address,
    /// Who has connected at the client's side, as the client says.
    pub originator: Port,
}

/// Answer to a request to open a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Its socket is in the lane.
    Done,
    /// There is none.
    Failed(OpenFailure),
}

/// Why a channel cannot be opened (RFC 4254 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFailure {
    /// The reason.
    pub reason: OpenFailureReason,
    /// What the client shows to its user.
    pub description: String,
}

/// Answer to a request to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// On this port, which the system chose if the client named none; 0 with a path.
    On(u16),
    /// Not at all.
    Refused,
}

/// An answer, and what the user is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remarked<T> {
    /// It.
    pub answer: T,
    /// For an SSH_MSG_DEBUG before it.
    pub remark: Option<Remark>,
}

impl<T> From<T> for Remarked<T> {
    /// Without a word.
    fn from(answer: T) -> Self {
        Self {
            answer,
            remark: None,
        }
    }
}

/// What a user is told (`ssh -v` shows it) of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// No ports are listened on.
    PortForwardingDisabled,
    /// No paths are listened on.
    StreamLocalForwardingDisabled,
    /// Not on this one.
    ForwardingRefused,
    /// It is listened on every address, although the client named one (GatewayPorts).
    AddressOverridden,
    /// No display is forwarded for this key.
    X11DisabledForKey,
    /// There is no xauth(1), and without it no display.
    NoXauth,
}

/// "x11-req" (RFC 4254 section 6.3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct X11Request {
    /// "single connection"
    pub connections: Connections,
    /// "x11 authentication protocol": see [`is_xauth_word`].
    pub protocol: String,
    /// "x11 authentication cookie", of the client's making: the client's own is never sent. See [`is_xauth_word`].
    pub cookie: String,
    /// "x11 screen number"
    pub screen: u32,
}

impl fmt::Debug for X11Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever knows the cookie is let in.
        f.debug_struct("X11Request").finish_non_exhaustive()
    }
}

/// Whether xauth(1), which reads commands, takes this for one word and nothing else.
pub fn is_xauth_word(word: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b".:/-_".contains(&byte);
    word.len() <= XAUTH_LIMIT && word.bytes().all(harmless)
}

/// How many connections to a display are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Each.
    Any,
    /// The first one.
    One,
}

/// How many channels one call of [`SessionFace::accept`](super::SessionFace::accept) may have.
pub const ACCEPT_LIMIT: usize = 8;

/// Somebody who has connected to what the session listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// "forwarded-tcpip"
    Port {
        /// The address as the client named it, and the port.
        listening: Port,
        /// Who.
        originator: Port,
    },
    /// "forwarded-streamlocal@openssh.com"
    Path(Vec<u8>),
    /// "auth-agent@openssh.com"
    Agent,
    /// "x11"
    X11 {
        /// Who.
        originator: Port,
    },
}

/// Reason codes of SSH_MSG_CHANNEL_OPEN_FAILURE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFailureReason {
    /// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED
    AdministrativelyProhibited,
    /// SSH_OPEN_CONNECT_FAILED
    ConnectFailed,
    /// SSH_OPEN_RESOURCE_SHORTAGE
    ResourceShortage,
}

impl OpenFailureReason {
    /// The number of RFC 4254 section 5.1.
    pub fn code(self) -> u32 {
        match self {
            Self::AdministrativelyProhibited => 1,
            Self::ConnectFailed => 2,
            Self::ResourceShortage => 4,
        }
    }
}

impl OpenFailure {
    /// A failure of which the client learns nothing but the reason, in sshd's words.
    pub fn untold(reason: OpenFailureReason) -> Self {
        Self {
            reason,
            description: "open failed".to_owned(),
        }
    }
}

impl Session {
    /// See [`SessionFace::connect`](super::SessionFace::connect).
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn connect(
        &mut self,
        channel: Channel,
        connect: Connect,
    ) -> Result<Opened, CallError> {
        let request = convert::connect_to_proto(channel, connect);
        let reply = grpc::within(CALL_DEADLINE, self.client.connect(request)).await?;
        convert::opened_from_proto(reply)
    }

    /// See [`SessionFace::listen`](super::SessionFace::listen).
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn listen(&mut self, address: Address) -> Result<Remarked<Listening>, CallError> {
        let request = convert::address_to_proto(address);
        let reply = grpc::within(grpc::CALL_DEADLINE, self.client.listen(request)).await?;
        convert::listening_from_proto(reply)
    }

    /// See [`SessionFace::cancel_listen`](super::SessionFace::cancel_listen).
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn cancel_listen(&mut self, address: Address) -> Result<Outcome, CallError> {
        let request = convert::address_to_proto(address);
        super::outcome(grpc::within(grpc::CALL_DEADLINE, self.client.cancel_listen(request)).await?)
    }

    /// See [`SessionFace::forward_agent`](super::SessionFace::forward_agent).
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn forward_agent(&mut self, channel: Channel) -> Result<Outcome, CallError> {
        let request = pb::ChannelRequest { channel: channel.0 };
        super::outcome(grpc::within(grpc::CALL_DEADLINE, self.client.forward_agent(request)).await?)
    }

    /// See [`SessionFace::forward_x11`](super::SessionFace::forward_x11).
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn forward_x11(
        &mut self,
        channel: Channel,
        request: X11Request,
    ) -> Result<Remarked<Outcome>, CallError> {
        let request = convert::x11_to_proto(channel, request);
        let reply = grpc::within(grpc::CALL_DEADLINE, self.client.forward_x11(request)).await?;
        let remark = convert::remark_from_proto(reply.remark());
        let answer = reply.outcome.ok_or(CallError::Malformed("outcome"))?;
        Ok(Remarked {
            answer: super::outcome(answer)?,
            remark,
        })
    }

    /// See [`SessionFace::accept`](super::SessionFace::accept); at most [`ACCEPT_LIMIT`] channels. Has no deadline: nobody
    /// need ever connect.
    ///
    /// # Errors
    /// The session is gone.
    pub async fn accept(&mut self, channels: &[Channel]) -> Result<(), CallError> {
        let channels = channels.iter().map(|channel| channel.0).collect();
        let request = pb::AcceptRequest { channels };
        let reply = self.client.accept(request).await;
        reply.map_err(|status| CallError::Ended(status.message().to_owned()))?;
        Ok(())
    }
}
