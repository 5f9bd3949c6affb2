//! What an administrator types: `sshd-privsep`, with the flags of sshd(8), and `sshd-privsepctl`.
//!
//! Nothing here meets a network byte or decides about a login. The server itself is the monitor; the programs here check
//! and show its configuration, and start it.
//!
//! - [`flags`], [`command_line`]: the flags and what they mean together.
//! - [`generator`]: `sshd-privsep-generator`, which systemd runs to learn where to listen.
//! - [`check`]: `-t`, `-T`, `-G`, with [`groups`] for `-C` and [`running_socket`] for what is open.
//! - [`launch`]: serving, in the foreground, in the background, or one connection.
//! - [`ctl`]: questions to the running server, and about whom its configuration means.
#![forbid(unsafe_code)]

pub mod check;
pub mod command_line;
pub mod ctl;
pub mod flags;
pub mod generator;
pub mod groups;
pub mod launch;
pub mod running_socket;
pub mod version;

/// The program that serves.
pub const MONITOR: &str = "/usr/libexec/sshd-privsep/monitor";
