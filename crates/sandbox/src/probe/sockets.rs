//! Attempts on the network and on other processes' sockets. Standard input is the victim where one is needed.

use std::io::{self, IoSlice, stdin, stdout};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use libc::{EAFNOSUPPORT, EPERM};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sockopt,
};
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::Attempt;
use super::Expected::{Killed, Refused, Unspecified, Works};

#[rustfmt::skip] // A table.
pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("socket-inet", Killed, Refused(EAFNOSUPPORT), Killed, || socket(AddressFamily::INET)),
    Attempt::new("socket-inet6", Killed, Refused(EAFNOSUPPORT), Killed, || socket(AddressFamily::INET6)),
    Attempt::new("socket-unix", Killed, Works, Killed, || socket(AddressFamily::UNIX)),
    Attempt::new("socket-netlink", Killed, Refused(EAFNOSUPPORT), Killed, || socket(AddressFamily::NETLINK)),
    Attempt::new("socket-packet", Killed, Refused(EPERM), Killed, || socket(AddressFamily::PACKET)),
    Attempt::new("socket-vsock", Killed, Refused(EPERM), Killed, || socket(AddressFamily::VSOCK)),
    Attempt::new("socket-pair", Killed, Works, Killed, || {
        let flags = SocketFlags::CLOEXEC;
        Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).map(drop)?)
    }),
    Attempt::new("connect", Killed, Unspecified, Killed, || Ok(rustix::net::connect(stdin(), &journal()?)?)),
    Attempt::new("bind", Killed, Refused(EPERM), Killed, || Ok(rustix::net::bind(stdin(), &journal()?)?)),
    Attempt::new("listen", Killed, Refused(EPERM), Killed, || Ok(rustix::net::listen(stdin(), 1)?)),
    Attempt::new("accept", Killed, Unspecified, Killed, || Ok(rustix::net::accept(stdin()).map(drop)?)),
    Attempt::new("send-to-address", Killed, Unspecified, Killed,
        || Ok(rustix::net::sendto(stdin(), b"x", SendFlags::DONTWAIT, &journal()?).map(drop)?)),
    Attempt::new("send-descriptor", Killed, Unspecified, Killed, send_descriptor),
    Attempt::new("socket-option", Killed, Works, Killed,
        || Ok(sockopt::set_socket_send_buffer_size(stdin(), 4096)?)),
    Attempt::new("pipe", Killed, Works, Killed, || Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map(drop)?)),
    Attempt::new("splice", Killed, Refused(EPERM), Killed, || {
        Ok(rustix::pipe::splice(stdin(), None, stdout(), None, 1, SpliceFlags::NONBLOCK).map(drop)?)
    }),
    Attempt::new("terminal-request", Killed, Refused(EPERM), Killed, || Ok(rustix::termios::ioctl_tiocexcl(stdin())?)),
];

fn socket(family: AddressFamily) -> io::Result<()> {
    Ok(
        rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
            .map(drop)?,
    )
}

/// The address of a datagram socket that everybody may write to.
fn journal() -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new("/run/systemd/journal/socket")?)
}

fn send_descriptor() -> io::Result<()> {
    let stdin = stdin();
    let descriptors = [stdin.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let bytes = [IoSlice::new(b"x")];
    Ok(rustix::net::sendmsg(stdin.as_fd(), &bytes, &mut control, SendFlags::DONTWAIT).map(drop)?)
}
