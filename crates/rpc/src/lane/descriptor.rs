//! Is a descriptor what its message says it is?

use std::os::fd::AsFd;

use rustix::fs::{FileType, major, minor};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::LaneError;

fn expect_socket(
    descriptor: impl AsFd,
    families: &[AddressFamily],
    kind: SocketType,
    what: &'static str,
) -> Result<(), LaneError> {
    let descriptor = descriptor.as_fd();
    let wrong = |_| LaneError::Descriptors(what);
    let family = sockopt::socket_domain(descriptor).map_err(wrong)?;
    if !families.contains(&family) || sockopt::socket_type(descriptor).map_err(wrong)? != kind {
        return Err(LaneError::Descriptors(what));
    }
    Ok(())
}

/// A lane: SOCK_SEQPACKET of AF_UNIX.
pub(crate) fn expect_lane(descriptor: impl AsFd) -> Result<(), LaneError> {
    expect_socket(
        descriptor,
        &[AddressFamily::UNIX],
        SocketType::SEQPACKET,
        "not a lane",
    )
}

/// A gRPC stream: SOCK_STREAM of AF_UNIX.
pub(super) fn expect_stream(descriptor: impl AsFd) -> Result<(), LaneError> {
    expect_socket(
        descriptor,
        &[AddressFamily::UNIX],
        SocketType::STREAM,
        "not a Unix stream",
    )
}

/// A client: SOCK_STREAM of the Internet families, a virtual machine's host, or a local socket.
pub(super) fn expect_client(descriptor: impl AsFd) -> Result<(), LaneError> {
    const CLIENTS: [AddressFamily; 4] = [
        AddressFamily::INET,
        AddressFamily::INET6,
        AddressFamily::VSOCK,
        AddressFamily::UNIX,
    ];
    expect_socket(
        descriptor,
        &CLIENTS,
        SocketType::STREAM,
        "not a client's stream",
    )
}

/// The other end of a forwarded connection: SOCK_STREAM of the Internet families, or a local socket.
pub(super) fn expect_forwarded(descriptor: impl AsFd) -> Result<(), LaneError> {
    const FORWARDED: [AddressFamily; 3] = [
        AddressFamily::INET,
        AddressFamily::INET6,
        AddressFamily::UNIX,
    ];
    expect_socket(
        descriptor,
        &FORWARDED,
        SocketType::STREAM,
        "not a forwarded stream",
    )
}

/// A pipe or a Unix stream: what a program's standard streams may be.
pub(super) fn expect_program_stream(descriptor: impl AsFd) -> Result<(), LaneError> {
    match file_type(descriptor.as_fd())? {
        FileType::Fifo => Ok(()),
        FileType::Socket => expect_stream(descriptor),
        _ => Err(LaneError::Descriptors("not a pipe")),
    }
}

/// The master of a pseudo-terminal: a character device.
pub(super) fn expect_terminal(descriptor: impl AsFd) -> Result<(), LaneError> {
    match file_type(descriptor)? {
        FileType::CharacterDevice => Ok(()),
        _ => Err(LaneError::Descriptors("not a terminal")),
    }
}

/// The end of a tunnel: what `/dev/net/tun` is when it is opened.
pub(super) fn expect_tunnel(descriptor: impl AsFd) -> Result<(), LaneError> {
    // Of the kernel's list of devices (devices.txt).
    const TUN: (u32, u32) = (10, 200);
    let stat = rustix::fs::fstat(descriptor)?;
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if device == TUN => Ok(()),
        _ => Err(LaneError::Descriptors("not a tunnel")),
    }
}

fn file_type(descriptor: impl AsFd) -> Result<FileType, LaneError> {
    let stat = rustix::fs::fstat(descriptor)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}
