//! How a connection ended, for the monitor's journal.
//!
//! The worker writes no journal of its own: whoever took it over would write what they like, under
//! the server's name. It tells the monitor what it saw, as a typed value, and the monitor escapes,
//! cuts and words it.

use rpc::preauth::ConnectionEnd;
use transport::{Error, Misbehaviour};

use crate::engine::EngineEnd;
use crate::handshake::HandshakeEnd;

impl From<HandshakeEnd> for ConnectionEnd {
    fn from(end: HandshakeEnd) -> Self {
        match end {
            HandshakeEnd::Closed => Self::Closed,
            HandshakeEnd::Disconnected {
                reason,
                description,
            } => Self::Disconnected {
                reason,
                description,
            },
            HandshakeEnd::TooManyFailures => Self::TooManyFailures,
            HandshakeEnd::NoMethods => Self::NoMethods,
            HandshakeEnd::Denied => Self::Denied,
            HandshakeEnd::Socket(error) => Self::Socket(error.to_string()),
            HandshakeEnd::Protocol(error) => protocol(&error),
            HandshakeEnd::Monitor(error) => Self::Failed(error.to_string()),
            HandshakeEnd::Lane(error) => Self::Failed(error.to_string()),
            HandshakeEnd::Algorithm(error) => Self::Failed(error.to_string()),
        }
    }
}

fn protocol(error: &Error) -> ConnectionEnd {
    let text = error.to_string();
    match error {
        Error::Misbehaved(Misbehaviour::NotSsh { .. } | Misbehaviour::IdentificationTooLong) => {
            ConnectionEnd::NotSsh(text)
        }
        Error::Misbehaved(_) => ConnectionEnd::Misbehaved(text),
        Error::Incompatible(_) => ConnectionEnd::Incompatible(text),
        Error::Internal(_) => ConnectionEnd::Failed(text),
    }
}

impl From<EngineEnd> for ConnectionEnd {
    fn from(end: EngineEnd) -> Self {
        match end {
            EngineEnd::Closed => Self::Closed,
            EngineEnd::Disconnected {
                reason,
                description,
            } => Self::Disconnected {
                reason,
                description,
            },
            EngineEnd::Socket(error) => Self::Socket(error),
            EngineEnd::Protocol(error) | EngineEnd::Engine(error) => Self::Misbehaved(error),
            EngineEnd::Monitor(error) | EngineEnd::Session(error) => Self::Failed(error),
            EngineEnd::Unresponsive => Self::Unresponsive,
            EngineEnd::Unused => Self::Unused,
        }
    }
}
