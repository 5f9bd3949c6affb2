//! What is forwarded: connections made and taken for the client, as the user.
//!
//! ```text
//!  worker ── Connect ─▶ policy ─▶ resolver ─▶ connect(2) ─▶ socket ─── lane ──▶ worker
//!  worker ── Listen ──▶ policy ─▶ bind(2), listen(2)
//!  worker ─ OpenTunnel ▶ policy ─▶ tun(4) ───────────────▶ device ──── lane ──▶ worker
//!  worker ── Accept ──▶ arrivals ◀─ accept(2) ───────────▶ connection ─ lane ──▶ worker
//! ```
//!
//! The user's own process connects and listens, so whoever is at the other end of a Unix socket sees the user's
//! credentials (SO_PEERCRED), and the kernel judges ports and files by the user's rights. Nothing of it needs the
//! monitor: a user who may not bind a port below 1024 may not do it here either, and root's session has root's rights.

mod agent;
mod arrivals;
mod bind;
mod connect;
mod display;
mod listen;
mod policy;
mod tunnel;

pub(crate) use agent::Agent;
pub(crate) use connect::Connector;
pub(crate) use display::Display;
pub(crate) use listen::Listeners;
pub(crate) use policy::{ForwardPolicy, NoDisplay};
pub(crate) use tunnel::Tunnels;
