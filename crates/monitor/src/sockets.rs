//! The sockets that somebody hands over (sd_listen_fds(3)), sorted by name.
//!
//! | name | what |
//! |---|---|
//! | `ssh…` | listening socket for clients; any number, IPv4 and IPv6 |
//! | `connection` | instead of those: the connected socket of one client, TCP or AF_UNIX |
//! | `ctl` | listening socket at which workers report; at most one, see [`WorkerSource`](crate::pool::WorkerSource) |
//! | `admin` | listening socket of administrators; at most one |
//! | see [`stored`](crate::stored) | descriptors of live connections; kept open, not used yet |

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketType};
use thiserror::Error;

use crate::stored::{Part, StoredName};

/// Everything that was handed over.
#[derive(Debug)]
pub struct Sockets {
    /// Where clients come in.
    pub clients: Entrance,
    /// Where workers come in. `None`: this is no service, but a second instance beside it.
    pub control: Option<UnixListener>,
    /// Where administrators come in.
    pub admin: Option<UnixListener>,
    /// What an earlier monitor left.
    pub stored: Vec<(StoredName, OwnedFd)>,
}

/// Where clients come in.
#[derive(Debug)]
pub enum Entrance {
    /// Here, at least at one.
    Listeners(Vec<TcpListener>),
    /// One is here already, and no other will come.
    Connection(OwnedFd),
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
        "socket {0:?}: unknown name; it must be \"ctl\", \"admin\" or \"connection\", or begin with \"ssh\""
    )]
    UnknownName(String),
    /// No socket for clients.
    #[error("no socket for clients: start sshd-privsep.socket, which starts this service")]
    NoClients,
    /// The same of a service, which has its control socket: see [`listening`](crate::listening).
    #[error(
        "systemd has lost the sockets for clients: sshd-privsep.socket has other addresses than when it was started"
    )]
    Lost,
    /// More than one way for clients to come in.
    #[error("a socket \"connection\" beside other sockets for clients")]
    Ambiguous,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Clients,
    Connection,
    Control,
    Admin,
    Stored(StoredName),
}

/// Takes the sockets from the environment that systemd or a launcher prepared.
///
/// # Errors
/// See [`SocketsError`].
pub fn take() -> Result<Sockets, SocketsError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut received = ListenFd::from_env();
    let (mut listeners, mut connections) = (Vec::new(), Vec::new());
    let (mut control, mut admin, mut stored) = (None, None, Vec::new());
    for index in 0..received.len() {
        let name = names.get(index).copied().unwrap_or_default();
        let unfit = |error| SocketsError::Unfit {
            name: name.to_owned(),
            error,
        };
        match kind(name).ok_or_else(|| SocketsError::UnknownName(name.to_owned()))? {
            Kind::Clients => listeners.extend(received.take_tcp_listener(index).map_err(unfit)?),
            Kind::Connection => {
                // By the library's leave AF_INET is AF_INET6, too.
                let taken = take_socket(
                    &mut received,
                    index,
                    AddressFamily::INET,
                    SocketType::STREAM,
                )
                .or_else(|_| {
                    take_socket(
                        &mut received,
                        index,
                        AddressFamily::UNIX,
                        SocketType::STREAM,
                    )
                });
                connections.extend(taken.map_err(unfit)?);
            }
            Kind::Control => control = received.take_unix_listener(index).map_err(unfit)?,
            Kind::Admin => admin = received.take_unix_listener(index).map_err(unfit)?,
            Kind::Stored(name) => {
                let kind = match name.part {
                    Part::WorkerStream => SocketType::STREAM,
                    Part::WorkerLane | Part::SessionLane => SocketType::SEQPACKET,
                };
                let taken =
                    take_socket(&mut received, index, AddressFamily::UNIX, kind).map_err(unfit)?;
                stored.extend(taken.map(|descriptor| (name, descriptor)));
            }
        }
    }
    let clients = match (entrance(listeners, connections), &control) {
        (Err(SocketsError::NoClients), Some(_)) => Err(SocketsError::Lost),
        (clients, _) => clients,
    };
    Ok(Sockets {
        clients: clients?,
        control,
        admin,
        stored,
    })
}

fn take_socket(
    received: &mut ListenFd,
    index: usize,
    family: AddressFamily,
    kind: SocketType,
) -> io::Result<Option<OwnedFd>> {
    let kind = i32::try_from(kind.as_raw()).unwrap_or_default();
    let family = i32::from(family.as_raw());
    received.take_custom(index, family, kind, "socket of its name")
}

fn entrance(
    listeners: Vec<TcpListener>,
    mut connections: Vec<OwnedFd>,
) -> Result<Entrance, SocketsError> {
    match (
        connections.pop(),
        listeners.is_empty(),
        connections.is_empty(),
    ) {
        (None, true, _) => Err(SocketsError::NoClients),
        (None, false, _) => Ok(Entrance::Listeners(listeners)),
        (Some(connection), true, true) => Ok(Entrance::Connection(connection)),
        (Some(_), ..) => Err(SocketsError::Ambiguous),
    }
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "connection" => Some(Kind::Connection),
        "ctl" => Some(Kind::Control),
        "admin" => Some(Kind::Admin),
        _ if name.starts_with("ssh") => Some(Kind::Clients),
        _ => StoredName::parse(name).map(Kind::Stored),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn names_decide_what_a_socket_is_for() {
        assert_eq!(kind("ssh"), Some(Kind::Clients));
        assert_eq!(kind("ssh-internal"), Some(Kind::Clients));
        assert_eq!(kind("connection"), Some(Kind::Connection));
        assert_eq!(kind("ctl"), Some(Kind::Control));
        assert_eq!(kind("admin"), Some(Kind::Admin));
        assert!(matches!(
            kind("session-lane-0123456789abcdef"),
            Some(Kind::Stored(_))
        ));
        for unknown in ["", "unknown", "connections", "ctl2"] {
            assert_eq!(kind(unknown), None, "{unknown}");
        }
    }
    #[test]
    fn clients_come_in_by_listeners_or_as_one_connection() {
        let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = || OwnedFd::from(UnixStream::pair().unwrap().0);
        let one = entrance(vec![], vec![connection()]);
        assert!(matches!(one, Ok(Entrance::Connection(_))));
        let two = entrance(vec![listener(), listener()], vec![]);
        assert!(matches!(two, Ok(Entrance::Listeners(listeners)) if listeners.len() == 2));
        let none = entrance(vec![], vec![]);
        assert!(matches!(none, Err(SocketsError::NoClients)));
        for both in [
            entrance(vec![listener()], vec![connection()]),
            entrance(vec![], vec![connection(), connection()]),
        ] {
            assert!(matches!(both, Err(SocketsError::Ambiguous)));
        }
    }
}
