//! The monitor: root, holder of the host keys, maker of every decision; it never sees a network byte.
//!
//! ```text
//!                 accept(2)                       questions                     StartTransientUnit
//!  clients ──▶ listener ──▶ connection ◀────────── preauth worker ┐              ┌▶ session
//!                 │             │ │ └─ conversation: one at a time ┘              │
//!             admission      pool └──── phase: what may be asked ───┐            │
//!                               │                                   ▼            │
//!                            systemd      exchange ◀── SignExchange, Authenticate ──▶ authenticate
//!                                             │                                    │        │
//!                                          hostkeys                      verify, account ─▶ proof
//!                                                                                           │
//!                                                                   open_session ◀──────────┘
//! ```
//!
//! Before a decision:
//! - [`listener`], [`admission`]: who is let in, before a worker is spent on them.
//! - [`pool`]: warm workers, started by [`systemd`] at the pace of a [`token_bucket`].
//! - [`connection`]: one task per client, which owns everything of it; LoginGraceTime.
//! - [`conversation`], [`phase`]: what a worker asks, and where that is permitted. The table is there.
//!
//! Decisions:
//! - [`exchange`], [`hostkeys`]: the exchange hash is computed here and signed.
//! - [`rules`]: what holds for a connection once its user is named: the Match blocks about it.
//! - [`authenticate`]: one authentication request, with [`account`] and [`verify`].
//! - [`command`]: what AuthorizedKeysCommand and AuthorizedPrincipalsCommand say.
//! - [`client_key`], [`public_key`], [`certificate`]: what a client can prove to have.
//! - [`pam_process`]: what PAM or shadow(5) says about a password, in a process of its own.
//! - [`proof`]: what it takes to be logged in. To review that, begin there.
//! - [`progress`]: which methods that is, in which order (AuthenticationMethods).
//! - [`open_session`], [`session_start`]: from an authenticated user to a session unit, and what it
//!   may do.
//! - [`conduct`]: what a client without a login did, for which its source may be refused.
//! - [`signing`], [`shares`]: what one user may not use up of what is for all.
//! - [`delay`], [`audit`]: what a refused client can measure, and what the journal says.
//!
//! The process around them:
//! - [`options`], [`sockets`], [`stored`], [`signals`], [`policy`]: what it starts with.
//! - [`server`], [`notify`]: the loop, reloads, and the service manager.
//! - [`admin`], [`connections`]: what administrators ask, see and end.
//! - [`listening`]: whether the sockets are where the configuration says.
//!
//! The worker is assumed to be corrupted. It can ask few things; each is legal in named phases, is
//! answered from the monitor's own knowledge, and costs the worker its connection otherwise.
#![forbid(unsafe_code)]

pub mod account;
pub mod admin;
pub mod admission;
pub mod audit;
pub mod authenticate;
pub mod banner;
pub mod certificate;
mod channel_timeouts;
pub mod client_key;
pub mod command;
pub mod conduct;
pub mod connection;
pub mod connections;
pub mod conversation;
pub mod delay;
pub mod denial;
pub mod exchange;
mod failures;
mod forwarding;
pub mod groups;
pub mod host_name;
pub mod hostbased;
pub mod hostkeys;
mod key_options;
pub mod listener;
pub mod listening;
pub mod listing;
pub mod notify;
pub mod open_session;
pub mod options;
pub mod pam_process;
pub mod phase;
pub mod policy;
pub mod pool;
pub mod progress;
pub mod proof;
pub mod public_key;
pub mod recorded_host;
pub mod routing_domain;
pub mod rules;
pub mod server;
pub mod session_start;
pub mod shares;
pub mod signals;
pub mod signing;
pub mod sockets;
pub mod stored;
pub mod systemd;
pub mod token_bucket;
pub mod told;
pub mod verify;

#[cfg(test)]
mod testing;
