//! The client's socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{RecvFlags, Shutdown, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The one connection of this worker: TCP, or a stream of AF_VSOCK or AF_UNIX.
#[derive(Debug)]
pub struct ClientSocket(AsyncFd<OwnedFd>);

impl ClientSocket {
    /// Takes the socket that came through the lane into the runtime.
    ///
    /// # Errors
    /// Not a socket, or no reactor.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        // Not TCP: no such option, nothing to do.
        sockopt::set_tcp_nodelay(&socket, true).unwrap_or_default();
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(Self(rpc::reactor::watch(socket, interest)?))
    }

    /// Sends acknowledgements at once until the kernel decides otherwise; repeated before each read
    /// of the handshake, since the option does not last (tcp(7)). Stock clients run with Nagle
    /// until login: they wait for the acknowledgement of one packet before they send the next, and
    /// two delayed ones cost a login 80 ms.
    pub fn acknowledge_quickly(&self) {
        sockopt::set_tcp_quickack(self.0.get_ref(), true).unwrap_or_default();
    }

    /// Marks what is sent from now on (IPQoS).
    pub fn mark(&self, mark: u8) {
        // Both, since an IPv6 socket may carry IPv4. What is neither has no such options.
        sockopt::set_ip_tos(self.0.get_ref(), mark).unwrap_or_default();
        sockopt::set_ipv6_tclass(self.0.get_ref(), mark.into()).unwrap_or_default();
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// As recv(2).
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            match rustix::net::recv(self.0.as_fd(), &mut *buffer, RecvFlags::empty()) {
                Ok((_, count)) => {
                    // There was no more: asking again would be one system call more for each packet of a terminal.
                    if count < buffer.len() {
                        ready.clear_ready();
                    }
                    return Ok(count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits until the socket takes bytes.
    ///
    /// # Errors
    /// The reactor is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.0.writable().await?.retain_ready();
        Ok(())
    }

    /// Writes what the socket takes now; 0 if it takes nothing.
    ///
    /// By write(2), which the cage allows whatever its arguments are, so that the kernel need not ask. Of send(2) it has
    /// to: 31 filters were 7 % of what an echoed key costs.
    ///
    /// # Errors
    /// As write(2). Without a signal: std ignores SIGPIPE.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let write = |socket: &OwnedFd| Ok(rustix::io::write(socket, bytes)?);
        match self.0.try_io(Interest::WRITABLE, write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// As write(2).
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writable().await?;
            let count = self.try_write(bytes)?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        rustix::net::shutdown(self.0.get_ref(), Shutdown::Write).unwrap_or_default();
    }
}
