//! The process with the user's identity: it starts what the user asked for, and never sees an SSH packet.
//!
//! ```text
//!  monitor ── lane: Start, once ──▶ ┌──────────────────────────────┐
//!                                   │ session     as the user      │ second stage    program
//!  worker ─── gRPC: typed calls ──▶ │ policy ─▶ environment        │  setsid, tty,
//!         ◀── lane: descriptors ─── │   │    └▶ terminal ─▶ launch ├─ chdir, exec ─▶ shell
//!                                   │   └▶ forward: connections,   │                   │
//!                                   │      listeners, devices      │                   │
//!                                   └──────────────────────────────┘                   │
//!         ◀──────────────── bytes: pipes or pseudo-terminal ───────────────────────────┘
//! ```
//!
//! * [`lane`] takes the socket to the monitor off stdin, so that no program ever inherits it.
//! * [`Session`] answers the worker's calls (`proto/session.proto`). Each channel is prepared (environment, terminal),
//!   then runs one program.
//! * [`Policy`] is the one place that says no. It stands on this side of the border: a worker that was taken over gains a
//!   restricted account nothing.
//! * `forward` connects, listens and opens devices as the user, and gives what it has to the worker.
//! * `greeting` is what a login shows and runs before the program; `internal_sftp` starts the server for files, in
//!   its own cage; `outside` is the one thread that stays out of a ChrootDirectory, to start programs.
//! * The bytes of a program go between it and the worker through descriptors that are sent to the worker; this process
//!   never touches them, and has no buffer that could fill.
//! * [`second_stage`] is what happens between fork and exec. std offers that place only to unsafe code; so this binary
//!   starts itself again, does it there, and becomes the program.
//!
//! The session ends with the worker's stream: the connection is gone, terminals are hung up. It does not end with the
//! monitor, which may restart at any time.
#![forbid(unsafe_code)]

mod auth_info;
mod carried;
mod environment;
mod forgetting;
mod forward;
mod glob;
mod greeting;
mod internal_sftp;
pub mod lane;
mod launch;
mod modes;
mod outside;
mod policy;
mod process;
pub mod second_stage;
mod service;
mod symlinks;
mod terminal;
mod termination;
mod user_environment;

pub use auth_info::{AuthInfo, Place};
pub use environment::{NotTaken, UnitEnvironment, password, said};
pub use greeting::words;
pub use outside::Outside;
pub use policy::Policy;
pub use service::Session;
pub use termination::Termination;
