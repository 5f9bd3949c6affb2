//! Calls about what is forwarded: connections that the session makes for the client.

use std::time::Duration;

use super::{Channel, Session};
use crate::convert::forwarding as convert;
use crate::grpc::{self, CallError};

/// Longest name of a host in bytes: NI_MAXHOST of getnameinfo(3).
pub const HOST_LIMIT: usize = 1025;

/// Longest path of a socket in bytes: what unix(7) has room for.
pub const PATH_LIMIT: usize = 108;

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

/// Where a connection is wanted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// "direct-tcpip"
    Port(Port),
    /// "direct-streamlocal@openssh.com": at most [`PATH_LIMIT`] bytes, without NUL.
    Path(Vec<u8>),
}

/// A connection that the client wants for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Where to.
    pub target: Target,
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
}
