//! The server's side of the SSH transport protocol (RFC 4253) and of user authentication
//! (RFC 4252), without sockets, clock, threads or private keys.
//!
//! ```text
//!          handle_input                                        poll_output
//!  bytes ──▶ identification ─▶ inbound ─▶ admission ─┐   ┌─▶ outbound ──▶ bytes
//!            (first line)      (open)     (table)    ▼   │   (seal)
//!                                                 transport
//!                                     exchange ◀──┤   ├──▶ userauth
//!                       kexinit, kex, keys, rekey │   │
//!                                                 ▼   ▼
//!                          Event::SignExchange, Authenticate, Packet, Disconnected
//! ```
//!
//! Two questions go to the outside, because this code talks to strangers and must not hold their
//! answers: the host key's signature on an exchange hash, and whether somebody may log in. Packets
//! are opened and sealed in the buffers in which they arrive and leave.
#![forbid(unsafe_code)]

mod admission;
mod cipher;
mod compression;
mod error;
mod event;
mod exchange;
mod extensions;
mod identification;
mod inbound;
mod kex;
mod kexinit;
mod keys;
pub mod link;
mod outbound;
mod peer_text;
mod ping;
mod random;
mod rekey;
mod settings;
mod transport;
mod userauth;

pub use cipher::DirectionAlgorithms;
pub use error::{Error, Failure, Incompatibility, Misbehaviour};
pub use event::{Event, Phase, Step};
pub use kexinit::{Negotiated, StrictKex};
pub use outbound::PAYLOAD_LIMIT;
pub use random::{Random, RandomUnavailable, SystemRandom};
pub use settings::{HostKey, RekeyLimit, Settings};
pub use transport::Transport;
pub use wire::message::DisconnectReason;

/// The longest packet that a client may send, all of it: what a driver's input buffer must hold.
pub const PACKET_LIMIT: usize =
    cipher::LENGTH_FIELD + inbound::AFTER_LOGIN as usize + cipher::TAG_LIMIT;
