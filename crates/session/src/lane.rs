//! The lane's way from stdin to a descriptor that no program inherits.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;

/// Moves the socket at stdin to a close-on-exec descriptor and leaves `/dev/null` at 0 and 1, where systemd has put the
/// lane both. Were it left there, a program that the user starts could speak to the monitor as its session.
///
/// Stderr is replaced too if it is such a socket: with systemd's default for `StandardError=`, it is a third copy.
///
/// # Errors
/// Stdin is not open, or `/dev/null` cannot be opened.
pub fn take_from_stdin() -> io::Result<OwnedFd> {
    let lane = io::stdin().as_fd().try_clone_to_owned()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    if socket_type(io::stderr()) == Ok(SocketType::SEQPACKET) {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(lane)
}
