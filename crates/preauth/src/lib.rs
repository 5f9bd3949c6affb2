//! The worker: every byte that the network sends is parsed here, before login and after it.
//!
//! ```text
//!   TCP ══▶ handshake ── SignExchange, Authenticate ──▶ monitor
//!            │ login
//!            ▼
//!   TCP ══▶ engine: mux ── channel data ──────────────▶ descriptors of the user's programs
//!                    └──── everything else ── russh ──▶ session (typed requests)
//! ```
//!
//! One process serves one connection and ends with it. It has no path, no socket but the client's,
//! no private key and no user's identity, before login and after; it asks the [monitor] for every
//! decision and the session for every deed, and both decide on their side of the border.
//!
//! Life: [`worker`] enters the cage, waits for a client, runs the [`handshake`], then the
//! [`engine`].
//!
//! [monitor]: rpc::preauth
#![forbid(unsafe_code)]

pub mod client;
pub mod engine;
pub mod handshake;
mod report;
pub mod settings;
pub mod worker;
