//! What the worker says about its connection, in the words that log analysers know from sshd(8).
//!
//! The monitor's lines about decisions are the authoritative ones; these are about the protocol,
//! which only the worker sees. All text of the client is escaped and cut.

use std::io;

use journal::{Escaped, message_id};
use rpc::Endpoints;
use tracing::info;
use wire::userauth::UserName;

use crate::engine::EngineEnd;
use crate::handshake::{Failed, HandshakeEnd};

/// A connection that ended before login.
pub fn handshake_failed(endpoints: Endpoints, failed: &Failed) {
    let (ip, port) = (endpoints.peer.ip(), endpoints.peer.port());
    let who = authenticating(failed.user.as_ref());
    let message_id = message_id::DISCONNECTED;
    match &failed.end {
        HandshakeEnd::Closed => {
            info!(
                message_id,
                phase = "preauth",
                "Connection closed by {who}{ip} port {port} [preauth]"
            );
        }
        HandshakeEnd::Disconnected {
            reason,
            description,
        } => {
            let text = Escaped::new(description);
            info!(
                phase = "preauth",
                "Received disconnect from {ip} port {port}:{reason}: {text} [preauth]"
            );
            info!(
                message_id,
                phase = "preauth",
                "Disconnected from {who}{ip} port {port} [preauth]"
            );
        }
        HandshakeEnd::Socket(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            info!(
                message_id,
                phase = "preauth",
                "Connection reset by {who}{ip} port {port} [preauth]"
            );
        }
        HandshakeEnd::TooManyFailures => info!(
            message_id,
            phase = "preauth",
            "Disconnecting {who}{ip} port {port}: Too many authentication failures [preauth]"
        ),
        HandshakeEnd::Protocol(error @ transport::Error::Incompatible(_)) => info!(
            message_id,
            phase = "preauth",
            reason = %error,
            "Unable to negotiate with {ip} port {port}: {error} [preauth]"
        ),
        HandshakeEnd::Protocol(error @ transport::Error::Misbehaved(misbehaviour)) => {
            use transport::Misbehaviour::{IdentificationTooLong, NotSsh};
            if matches!(misbehaviour, NotSsh { .. } | IdentificationTooLong) {
                info!(
                    message_id,
                    phase = "preauth",
                    reason = %error,
                    "banner exchange: Connection from {ip} port {port}: invalid format [preauth]"
                );
            } else {
                info!(
                    message_id,
                    phase = "preauth",
                    reason = %error,
                    "Disconnecting {who}{ip} port {port}: {error} [preauth]"
                );
            }
        }
        end @ (HandshakeEnd::Protocol(transport::Error::Internal(_))
        | HandshakeEnd::Socket(_)
        | HandshakeEnd::Monitor(_)
        | HandshakeEnd::Lane(_)) => info!(
            message_id,
            phase = "preauth",
            reason = %end,
            "Connection with {who}{ip} port {port} ended: {end} [preauth]"
        ),
    }
}

/// A connection that ended after login.
pub fn engine_ended(endpoints: Endpoints, user: &str, end: &EngineEnd) {
    let (ip, port) = (endpoints.peer.ip(), endpoints.peer.port());
    let user = Escaped::new(user);
    let message_id = message_id::DISCONNECTED;
    match end {
        EngineEnd::Closed => info!(
            message_id,
            "Connection closed by user {user} {ip} port {port}"
        ),
        EngineEnd::Disconnected {
            reason,
            description,
        } => {
            let text = Escaped::new(description);
            info!("Received disconnect from {ip} port {port}:{reason}: {text}");
            info!(message_id, "Disconnected from user {user} {ip} port {port}");
        }
        EngineEnd::Protocol(text) | EngineEnd::Engine(text) => {
            let text = Escaped::new(text);
            info!(message_id, reason = %text, "Disconnecting user {user} {ip} port {port}: {text}");
        }
        EngineEnd::Socket(_) | EngineEnd::Monitor(_) | EngineEnd::Session(_) => {
            info!(message_id, reason = %end, "Connection with user {user} {ip} port {port} ended: {end}");
        }
    }
}

fn authenticating(user: Option<&UserName>) -> String {
    match user {
        Some(user) => format!("authenticating user {} ", Escaped::new(user.as_str())),
        None => String::new(),
    }
}
