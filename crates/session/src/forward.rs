//! What is forwarded: connections made for the client, as the user.
//!
//! ```text
//!  worker ── Connect ──▶ policy ─▶ resolver ─▶ connect(2) ──▶ socket ── lane ──▶ worker
//! ```
//!
//! The user's own process connects, so whoever is at the other end of a Unix socket sees the user's credentials
//! (SO_PEERCRED), and the kernel judges ports and files by the user's rights. Nothing of it needs the monitor: a user who
//! may not bind a port below 1024 may not do it here either, and root's session has root's rights.

mod connect;
mod policy;

pub(crate) use connect::Connector;
pub(crate) use policy::ForwardPolicy;
