//! What can go wrong, split by who is to blame, and the disconnect reason that follows from it.

use std::ops::RangeInclusive;

use thiserror::Error;
use wire::codec::DecodeError;
use wire::message::DisconnectReason;

use crate::random::RandomUnavailable;

/// Anything that keeps the transport from going on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The peer broke the protocol.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaviour),
    /// The peer keeps to the protocol, but there is nothing that both sides can do.
    #[error(transparent)]
    Incompatible(#[from] Incompatibility),
    /// This side failed or was used wrongly.
    #[error(transparent)]
    Internal(#[from] Failure),
}

/// How a peer broke the protocol. Text from the peer is already fit for a log line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misbehaviour {
    /// The first line is not an identification string (RFC 4253 section 4.2).
    #[error("invalid SSH identification string \"{line}\"")]
    NotSsh {
        /// What came instead, escaped and cut.
        line: String,
    },
    /// The first line has no end within 255 bytes.
    #[error("identification string is too long")]
    IdentificationTooLong,
    /// "packet_length" is outside of what may come now, or no multiple of the block size.
    #[error("bad packet length {0}")]
    PacketLength(u32),
    /// "padding_length" leaves no payload, or is below four.
    #[error("bad padding length {0}")]
    PaddingLength(u8),
    /// The packet is not what was sealed with these keys.
    #[error("message authentication code incorrect")]
    Corrupted,
    /// A message of a known type has the wrong form.
    #[error("malformed message of type {message}: {source}")]
    Malformed {
        /// Message number.
        message: u8,
        /// What does not fit.
        source: DecodeError,
    },
    /// A message that is not allowed now.
    #[error("unexpected message of type {message} {stage}")]
    Unexpected {
        /// Message number.
        message: u8,
        /// When it came.
        stage: &'static str,
    },
    /// A message that strict key exchange does not allow (OpenSSH PROTOCOL section 1.10).
    #[error("strict KEX violation: unexpected packet type {message} (seqnr {sequence})")]
    StrictKeyExchange {
        /// Message number.
        message: u8,
        /// Its sequence number.
        sequence: u32,
    },
    /// A compressed payload that is no part of the stream, or becomes nothing.
    #[error("malformed compressed payload")]
    CompressedPayload,
    /// A compressed payload that becomes more than a packet may hold.
    #[error("compressed payload is too long when decompressed")]
    InflatedPayload,
    /// The client's share of the key exchange is not a valid key, or leads to no secret.
    #[error("invalid key exchange share")]
    InvalidShare,
    /// The client asks for a group of a size that nobody uses, or in the wrong order
    /// (RFC 4419 section 3).
    #[error("group size out of range ({min} to {max} bits)")]
    GroupSize {
        /// "min"
        min: u32,
        /// "max"
        max: u32,
    },
    /// More packets or bytes than a login can need.
    #[error("too much traffic before authentication")]
    TooMuchBeforeLogin,
    /// The peer goes on sending with a key that it was asked to replace.
    #[error("key used beyond its limit")]
    KeyExhausted,
    /// No account can have this name.
    #[error("illegal user name: {0}")]
    IllegalUserName(DecodeError),
    /// RFC 4252 section 5 allows a change; no honest client makes one, and it would allow to ask
    /// about many accounts for the price of one connection.
    #[error("change of username or service not allowed")]
    UserChanged,
}

/// Why both sides cannot talk to each other.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Incompatibility {
    /// Another major version of the protocol.
    #[error("protocol major versions differ: \"{line}\"")]
    ProtocolVersion {
        /// The client's identification string, escaped and cut.
        line: String,
    },
    /// No algorithm in common. The text is OpenSSH's, which log analysers know.
    #[error("no matching {what} found. Their offer: {offer}")]
    NoCommon {
        /// "key exchange method", "host key type", "cipher", "MAC" or "compression method".
        what: &'static str,
        /// The client's list, cut.
        offer: String,
    },
    /// There is no group of a size that the client permits. The text is OpenSSH's.
    #[error("no matching DH grp found ({} to {} bits)", .0.start(), .0.end())]
    NoGroup(RangeInclusive<u32>),
    /// A service that does not exist here.
    #[error("service \"{service}\" is not available")]
    Service {
        /// Its name, escaped and cut.
        service: String,
    },
}

/// What this side did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    /// See [`RandomUnavailable`].
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The cryptography library refused to work.
    #[error("cryptographic operation failed")]
    Cryptography,
    /// The compression library refused to work.
    #[error("compression failed")]
    Compression,
    /// The settings cannot be put into an offer, such as a name with a space.
    #[error("settings do not fit into a key exchange offer")]
    Settings,
    /// Nothing can be sent now: ask [`Transport::can_send`](crate::Transport::can_send).
    #[error("not in a state to send")]
    Busy,
    /// A payload beyond the limit.
    #[error("payload of {0} bytes is too long")]
    PayloadTooLong(usize),
    /// `seal_payload` without a slot, or after something else was sent.
    #[error("no payload slot is open")]
    NoSlot,
    /// An answer to a question that is not open.
    #[error("no such question is open")]
    NoQuestion,
    /// An answer that the open question does not allow, such as a success for an unsigned request.
    #[error("answer does not fit the question")]
    UnfitAnswer,
    /// The connection has ended.
    #[error("connection has ended")]
    Closed,
}

impl Error {
    /// What SSH_MSG_DISCONNECT tells the peer; `None` where there is nothing to tell: the peer does
    /// not speak the protocol, or the connection is not at fault.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match self {
            Self::Misbehaved(misbehaviour) => match misbehaviour {
                Misbehaviour::NotSsh { .. } | Misbehaviour::IdentificationTooLong => None,
                Misbehaviour::Corrupted => Some(DisconnectReason::MacError),
                Misbehaviour::CompressedPayload | Misbehaviour::InflatedPayload => {
                    Some(DisconnectReason::CompressionError)
                }
                Misbehaviour::InvalidShare | Misbehaviour::GroupSize { .. } => {
                    Some(DisconnectReason::KeyExchangeFailed)
                }
                Misbehaviour::IllegalUserName(_) => Some(DisconnectReason::IllegalUserName),
                Misbehaviour::PacketLength(_)
                | Misbehaviour::PaddingLength(_)
                | Misbehaviour::Malformed { .. }
                | Misbehaviour::Unexpected { .. }
                | Misbehaviour::StrictKeyExchange { .. }
                | Misbehaviour::TooMuchBeforeLogin
                | Misbehaviour::KeyExhausted
                | Misbehaviour::UserChanged => Some(DisconnectReason::ProtocolError),
            },
            Self::Incompatible(incompatibility) => match incompatibility {
                Incompatibility::ProtocolVersion { .. } => None,
                Incompatibility::NoCommon { .. } | Incompatibility::NoGroup(_) => {
                    Some(DisconnectReason::KeyExchangeFailed)
                }
                Incompatibility::Service { .. } => Some(DisconnectReason::ServiceNotAvailable),
            },
            Self::Internal(failure) => match failure {
                Failure::Random(_)
                | Failure::Cryptography
                | Failure::Compression
                | Failure::Settings => Some(DisconnectReason::ByApplication),
                Failure::Busy
                | Failure::PayloadTooLong(_)
                | Failure::NoSlot
                | Failure::NoQuestion
                | Failure::UnfitAnswer
                | Failure::Closed => None,
            },
        }
    }

    /// The line that a peer without keys is told in clear (RFC 4253 section 4.2 leaves it open;
    /// these are OpenSSH's words).
    pub(crate) fn clear_text(&self) -> Option<&'static str> {
        match self {
            Self::Misbehaved(Misbehaviour::NotSsh { .. } | Misbehaviour::IdentificationTooLong) => {
                Some("Invalid SSH identification string.\r\n")
            }
            Self::Incompatible(Incompatibility::ProtocolVersion { .. }) => {
                Some("Protocol major versions differ.\r\n")
            }
            Self::Misbehaved(_) | Self::Incompatible(_) | Self::Internal(_) => None,
        }
    }

    /// A message of this number did not decode.
    pub(crate) fn malformed(message: u8) -> impl Fn(DecodeError) -> Self {
        move |source| Misbehaviour::Malformed { message, source }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_algorithm_is_told_in_the_words_of_openssh() {
        let error = Error::from(Incompatibility::NoCommon {
            what: "key exchange method",
            offer: "diffie-hellman-group1-sha1".to_owned(),
        });
        assert_eq!(
            error.to_string(),
            "no matching key exchange method found. Their offer: diffie-hellman-group1-sha1"
        );
        assert_eq!(
            error.disconnect_reason(),
            Some(DisconnectReason::KeyExchangeFailed)
        );
    }

    #[test]
    fn a_peer_that_does_not_speak_ssh_gets_clear_text_and_no_packet() {
        let error = Error::from(Misbehaviour::NotSsh {
            line: "GET /".to_owned(),
        });
        assert_eq!(error.disconnect_reason(), None);
        assert_eq!(
            error.clear_text(),
            Some("Invalid SSH identification string.\r\n")
        );
    }
}
