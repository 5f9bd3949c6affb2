//! How a logged-in connection ends.

use thiserror::Error;

/// Why the engine stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineEnd {
    /// The client closed the connection.
    #[error("closed")]
    Closed,
    /// The client sent SSH_MSG_DISCONNECT.
    #[error("disconnect {reason}: {description}")]
    Disconnected {
        /// Reason code of RFC 4253 section 11.1.
        reason: u32,
        /// Sanitised text.
        description: String,
    },
    /// The client's socket failed.
    #[error("socket: {0}")]
    Socket(String),
    /// The client broke the protocol of RFC 4253 or RFC 4254.
    #[error("{0}")]
    Protocol(String),
    /// russh gave up on what the client sent.
    #[error("connection protocol: {0}")]
    Engine(String),
    /// The monitor is gone and a key exchange needs it.
    #[error("monitor: {0}")]
    Monitor(String),
    /// The client has left too many questions open (ClientAliveCountMax).
    #[error("client does not respond")]
    Unresponsive,
    /// No channel was open for too long (UnusedConnectionTimeout).
    #[error("connection is not used")]
    Unused,
    /// The session of the user is gone.
    #[error("session: {0}")]
    Session(String),
}
