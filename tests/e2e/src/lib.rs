//! What the end-to-end suites share: a server on a machine, the clients that log in to it, and its journal.
//!
//! Each test binary boots one machine, its tests run side by side on it with accounts of their own. The process's end
//! takes the machine down.
//!
//! The suites run against Debian's OpenSSH too (`SSHD_PRIVSEP_PEER=openssh`): what a test demands of our server is then
//! known to be what the world's servers do, and not a habit of ours.
//!
//! - [`server`]: the server under test, its configuration, its units
//! - [`keys`]: user keys of every type, in every client's format
//! - [`journal`]: the entries of one connection
//! - [`network`]: a host beside the server's
//! - [`script`]: Python programs inside the machine: raw packets, terminals
//! - [`clients`]: how each stock client is called
//! - [`packages`]: clients that are no Debian packages
//! - [`statistics`]: whether two samples differ
//! - [`beside`]: Debian's sshd beside ours
//! - [`process`]: what `/proc` and systemd say about the server's processes

#![forbid(unsafe_code)]

pub mod beside;
pub mod clients;
pub mod journal;
pub mod keys;
pub mod network;
pub mod packages;
pub mod process;
pub mod script;
pub mod server;
pub mod statistics;

pub use server::{Peer, Server, Shared};
