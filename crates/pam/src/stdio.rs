//! The channel's way from stdin to a descriptor that modules do not know.

use std::io;
use std::os::fd::AsFd;

use rpc::pam::{Channel, PamError};
use rustix::fs::{Mode, OFlags};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;

/// Moves the socket at stdin to a close-on-exec descriptor and leaves `/dev/null` at 0 and 1, where systemd has put the
/// channel both. Modules print, and programs that they start read and print.
///
/// Stderr is replaced too if it is such a socket: with systemd's default for `StandardError=`, it is a third copy.
///
/// # Errors
/// Stdin is not the channel, or `/dev/null` cannot be opened.
pub fn take_channel() -> Result<Channel, PamError> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(io::Error::from)?;
    rustix::stdio::dup2_stdin(&null).map_err(io::Error::from)?;
    rustix::stdio::dup2_stdout(&null).map_err(io::Error::from)?;
    if socket_type(io::stderr()) == Ok(SocketType::SEQPACKET) {
        rustix::stdio::dup2_stderr(&null).map_err(io::Error::from)?;
    }
    Channel::new(socket)
}
