//! What an administrator types: `sshd-privsep`, with the flags of sshd(8).
//!
//! Nothing here meets a network byte or decides about a login. The server itself is the monitor; the programs here check
//! and show its configuration, and start it.
#![forbid(unsafe_code)]

pub mod version;
