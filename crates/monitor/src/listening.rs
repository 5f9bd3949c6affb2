//! Where this server listens, beside what `sshd_config` says.
//!
//! systemd binds the addresses, sshd-privsep-generator tells it which. Between a change of the file and the restart of the
//! socket unit the two differ, and nobody should learn that from a client: it is said at start and at each reload.
//!
//! In between there may also be a `systemctl daemon-reload`, of whatever package. With it systemd closes those of its
//! sockets that the unit no longer names, and opens no new one before the unit is restarted. As long as this process runs
//! it serves the old addresses with its own descriptors. The next monitor is given none: see [`reopen`].

use std::io;
use std::net::TcpListener;
use std::path::Path;

use config::sshd::listening::{Socket, V6Only, remarks};
use config::sshd::{DEFAULT_FILE, SshdConfig};
use rustix::net::sockopt::ipv6_v6only;

use crate::options::Source;
use crate::sockets::{Entrance, Sockets};
use crate::systemd::{StartError, Systemd};

/// The sockets of the service, beside its configuration.
#[derive(Debug)]
pub struct Watch(Vec<Socket>);

impl Watch {
    /// Looks at the sockets. `None` if the socket unit does not follow this configuration: it follows the usual file.
    ///
    /// # Errors
    /// One of them is not bound.
    pub fn new(sockets: &Sockets, source: &Source) -> io::Result<Option<Self>> {
        let is_usual = source.file == Path::new(DEFAULT_FILE) && source.lines.is_empty();
        match (&sockets.clients, &sockets.control) {
            (Entrance::Listeners(listeners), Some(_)) if is_usual => {
                Ok(Some(Self(open(listeners)?)))
            }
            _ => Ok(None),
        }
    }

    /// What an administrator should know of where this server listens by this configuration, one line each.
    #[must_use]
    pub fn remarks(&self, config: &SshdConfig) -> Vec<String> {
        remarks(config, &self.0)
    }
}

/// What sockets listen on.
fn open(listeners: &[TcpListener]) -> io::Result<Vec<Socket>> {
    let socket = |listener: &TcpListener| {
        let address = listener.local_addr()?;
        let v6_only = match address.is_ipv6() && !ipv6_v6only(listener)? {
            true => V6Only::No,
            false => V6Only::Yes,
        };
        Ok(Socket::open(address, v6_only))
    };
    listeners.iter().map(socket).collect()
}

/// Has systemd restart the socket unit, and with it this service, since it has lost the listening sockets. Nobody can log
/// in any more; where the file says to listen is where the administrator will look.
///
/// # Errors
/// systemd cannot be asked, or does not want to.
pub fn reopen() -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::Bus(error.into()))?;
    runtime.block_on(Systemd::default().restart_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_both_families_is_told_from_one_for_ipv4() {
        let listeners =
            ["127.0.0.1:0", "[::]:0"].map(|address| TcpListener::bind(address).unwrap());
        let port = |at: usize| listeners[at].local_addr().unwrap();
        // By default a socket for IPv6 takes IPv4 too: /proc/sys/net/ipv6/bindv6only.
        assert_eq!(
            open(&listeners).unwrap(),
            [Socket::At(port(0)), Socket::Everywhere(port(1).port())]
        );
    }
}
