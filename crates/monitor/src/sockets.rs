//! The sockets that systemd hands over (sd_listen_fds(3)), sorted by name.
//!
//! | name | what |
//! |---|---|
//! | `ssh…` | listening socket for clients; any number, IPv4 and IPv6 |
//! | `ctl` | listening socket at which workers report; exactly one |
//! | see [`stored`](crate::stored) | descriptors of live connections; kept open, not used yet |

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketType};
use thiserror::Error;

use crate::stored::{Part, StoredName};

/// Everything that systemd handed over.
#[derive(Debug)]
pub struct Sockets {
    /// Where clients come in.
    pub clients: Vec<TcpListener>,
    /// Where workers come in.
    pub control: UnixListener,
    /// What an earlier monitor left.
    pub stored: Vec<(StoredName, OwnedFd)>,
}

/// What is wrong with the sockets.
#[derive(Debug, Error)]
pub enum SocketsError {
    /// A descriptor is not what its name says.
    #[error("socket {name:?}: {error}")]
    Unfit {
        /// Its name.
        name: String,
        /// What is wrong.
        error: io::Error,
    },
    /// A name that is none of ours.
    #[error(
        "socket {0:?}: unknown name; FileDescriptorName= must be \"ctl\" or begin with \"ssh\""
    )]
    UnknownName(String),
    /// No socket for clients.
    #[error("no socket for clients: start sshd-privsep.socket, which starts this service")]
    NoClients,
    /// Not exactly one control socket.
    #[error("no control socket: sshd-privsep-ctl.socket must be active")]
    NoControl,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Clients,
    Control,
    Stored(StoredName),
}

/// Takes the sockets from the environment that systemd prepared.
///
/// # Errors
/// See [`SocketsError`].
pub fn take() -> Result<Sockets, SocketsError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut received = ListenFd::from_env();
    let (mut clients, mut control, mut stored) = (Vec::new(), None, Vec::new());
    for index in 0..received.len() {
        let name = names.get(index).copied().unwrap_or_default();
        let unfit = |error| SocketsError::Unfit {
            name: name.to_owned(),
            error,
        };
        match kind(name).ok_or_else(|| SocketsError::UnknownName(name.to_owned()))? {
            Kind::Clients => clients.extend(received.take_tcp_listener(index).map_err(unfit)?),
            Kind::Control => control = received.take_unix_listener(index).map_err(unfit)?,
            Kind::Stored(name) => {
                let kind = match name.part {
                    Part::WorkerStream => SocketType::STREAM,
                    Part::WorkerLane | Part::SessionLane => SocketType::SEQPACKET,
                };
                let (family, kind) = (AddressFamily::UNIX.as_raw(), kind.as_raw());
                let kind = i32::try_from(kind).unwrap_or_default();
                let taken: Option<OwnedFd> = received
                    .take_custom(index, i32::from(family), kind, "stored socket")
                    .map_err(unfit)?;
                stored.extend(taken.map(|descriptor| (name, descriptor)));
            }
        }
    }
    if clients.is_empty() {
        return Err(SocketsError::NoClients);
    }
    Ok(Sockets {
        clients,
        control: control.ok_or(SocketsError::NoControl)?,
        stored,
    })
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "ctl" => Some(Kind::Control),
        _ if name.starts_with("ssh") => Some(Kind::Clients),
        _ => StoredName::parse(name).map(Kind::Stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_what_a_socket_is_for() {
        assert_eq!(kind("ssh"), Some(Kind::Clients));
        assert_eq!(kind("ssh-internal"), Some(Kind::Clients));
        assert_eq!(kind("ctl"), Some(Kind::Control));
        assert!(matches!(
            kind("session-lane-0123456789abcdef"),
            Some(Kind::Stored(_))
        ));
        for unknown in ["", "unknown", "connection", "ctl2"] {
            assert_eq!(kind(unknown), None, "{unknown}");
        }
    }
}
