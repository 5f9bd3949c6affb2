//! The words of the SSH protocol, without IO, clock, randomness or cryptography.
//!
//! ```text
//!  bytes ──▶ codec ──▶ message ──▶ (crate transport)
//!            names: algorithm and method names, one table each
//!            exchange: what an exchange hash is made of (RFC 4253 section 8)
//!            groups: integers modulo a prime, to exchange keys in (RFC 3526)
//!            userauth: what a client asks and what it signs (RFC 4252)
//!            secret: passwords and responses, wiped after use
//!            channel: opening and closing channels that are not sessions
//!            forwarding: what the client wants to be listened on
//!            tunnel: packets in channels
//!            hostkeys: how clients learn a server's other keys
//!            quirks: what some clients do differently
//!            certificate: the fields of OpenSSH's certificates
//! ```
//!
//! Both sides of the privilege border use [`exchange`] and [`userauth`]: the network process to
//! speak, the monitor to build from its own knowledge what it signs and verifies.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod channel;
pub mod codec;
pub mod exchange;
pub mod forwarding;
pub mod groups;
pub mod hostkeys;
pub mod message;
pub mod names;
pub mod quirks;
pub mod secret;
pub mod tunnel;
pub mod userauth;
