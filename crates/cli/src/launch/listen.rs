//! Listening sockets, made as sshd makes them: one for each address, those that fail are said and left out.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;

use config::sshd::{AddressFamily, Listener, SshdConfig};
use listenfd::ListenFd;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::BindToDevice};
use rustix::net::{self, SocketFlags, SocketType, ipproto, sockopt};
use thiserror::Error;

/// Room for a burst while nobody accepts, as in sshd-privsep.socket.
const BACKLOG: i32 = 512;

/// A socket that listens, and where.
#[derive(Debug)]
pub(super) struct Bound {
    at: At,
    pub(super) socket: OwnedFd,
}

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// Bound here.
    Address(SocketAddr, Option<String>),
    /// Somebody else knows, who bound it.
    Inherited,
}

/// Why there is no socket at all.
#[derive(Debug, Error)]
pub(super) enum ListenError {
    /// An address that does not exist.
    #[error("bad addr or host: {0} ({1})")]
    Host(String, #[source] io::Error),
    /// What was handed over is not a listening socket.
    #[error("a socket that was handed over cannot be used: {0}")]
    Inherited(#[source] io::Error),
    /// None could be bound, each for its reason.
    #[error("{}\nCannot bind any address.", .0.join("\n"))]
    Nothing(Vec<String>),
}

/// The sockets that the service manager hands over (sd_listen_fds(3)); none if it does not. They stand above Port and
/// ListenAddress, as in Debian's sshd.
pub(super) fn inherited() -> Result<Vec<Bound>, ListenError> {
    let mut received = ListenFd::from_env();
    let mut bound = Vec::new();
    for index in 0..received.len() {
        let taken = received.take_tcp_listener(index);
        let socket = taken.map_err(ListenError::Inherited)?;
        bound.extend(socket.map(|socket| Bound {
            at: At::Inherited,
            socket: socket.into(),
        }));
    }
    Ok(bound)
}

/// Binds what the configuration asks for. What is bound already is taken over from `present`.
///
/// The second value says which addresses failed, in sshd's words.
pub(super) fn bind(
    config: &SshdConfig,
    present: &[Bound],
) -> Result<(Vec<Bound>, Vec<String>), ListenError> {
    let mut bound: Vec<Bound> = Vec::new();
    let mut failures = Vec::new();
    // An address may lie within one that is to be left (the wildcard, say): for this moment they share the port.
    let shared = Shared::all(present);
    for listener in config.listeners() {
        for address in resolve(&listener, config.address_family)? {
            let at = At::Address(address, listener.rdomain.clone());
            if bound.iter().any(|bound| bound.at == at) {
                continue;
            }
            let old = present.iter().find(|present| present.at == at);
            let socket = match old {
                Some(old) => old.socket.try_clone(),
                None => open(address, listener.rdomain.as_deref(), &shared),
            };
            match socket {
                Ok(socket) => bound.push(Bound { at, socket }),
                Err(error) => failures.push(format!(
                    "Bind to port {} on {} failed: {}.",
                    address.port(),
                    address.ip(),
                    reason(&error)
                )),
            }
        }
    }
    match bound.is_empty() {
        true => Err(ListenError::Nothing(failures)),
        false => Ok((bound, failures)),
    }
}

/// The addresses of a host, of the family that is configured.
fn resolve(
    listener: &Listener,
    family: AddressFamily,
) -> Result<impl Iterator<Item = SocketAddr>, ListenError> {
    let found = (listener.host.as_str(), listener.port).to_socket_addrs();
    let found = found.map_err(|error| ListenError::Host(listener.host.clone(), error))?;
    Ok(found.filter(move |address| match family {
        AddressFamily::Any => true,
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
    }))
}

/// Sockets that let others onto their ports while this value lives.
struct Shared<'a>(&'a [Bound]);

impl<'a> Shared<'a> {
    fn all(sockets: &'a [Bound]) -> Self {
        let shared = Self(sockets);
        shared.set(true);
        shared
    }

    fn set(&self, whether: bool) {
        for bound in self.0 {
            // If it fails, binding does, which is said.
            sockopt::set_socket_reuseport(&bound.socket, whether).ok();
        }
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

fn open(address: SocketAddr, rdomain: Option<&str>, shared: &Shared<'_>) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => net::AddressFamily::INET,
        SocketAddr::V6(_) => net::AddressFamily::INET6,
    };
    let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
    let socket = net::socket_with(family, kind, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // So that the wildcards of both families can be bound.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // Accepted sockets inherit both, as from sshd-privsep.socket.
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(rdomain) = rdomain {
        // vrf(8): a routing domain is a device on Linux.
        setsockopt(&socket, BindToDevice, &OsString::from(rdomain))?;
    }
    let sharing = !shared.0.is_empty();
    sockopt::set_socket_reuseport(&socket, sharing)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    sockopt::set_socket_reuseport(&socket, false)?;
    Ok(socket)
}

/// What strerror(3) says, without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::sshd::{Criteria, NoFiles, Offers, read_text};
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    fn config(lines: &str) -> SshdConfig {
        let offers = Offers::ours();
        let read = read_text(lines, "test", &[], &NoFiles, &offers.offered()).unwrap();
        read.effective(&Criteria::default()).config
    }

    /// A port that nobody listens on.
    fn free_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        listener.local_addr().unwrap().port()
    }

    #[test]
    fn both_families_are_bound_on_one_port() {
        let port = free_port();
        let (bound, failures) = bind(&config(&format!("Port {port}")), &[]).unwrap();
        assert_eq!((bound.len(), failures.len()), (2, 0), "{failures:?}");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn an_address_that_fails_is_said_and_the_others_are_bound() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let both = format!("ListenAddress 127.0.0.1:{port}\nListenAddress [::1]:{port}");
        let (bound, failures) = bind(&config(&both), &[]).unwrap();
        assert_eq!(bound.len(), 1);
        let said = format!("Bind to port {port} on 127.0.0.1 failed: Address already in use.");
        assert_eq!(failures, [said.as_str()]);

        let one = format!("ListenAddress 127.0.0.1:{port}");
        let error = bind(&config(&one), &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{said}\nCannot bind any address.")
        );
    }

    #[test]
    fn names_are_resolved_within_the_family() {
        let port = free_port();
        let line = format!("ListenAddress localhost:{port}\nAddressFamily inet");
        let (bound, _) = bind(&config(&line), &[]).unwrap();
        let at = At::Address((Ipv4Addr::LOCALHOST, port).into(), None);
        assert_eq!(
            bound.into_iter().map(|bound| bound.at).collect::<Vec<_>>(),
            [at]
        );
        let nowhere = config("ListenAddress host.invalid:22");
        let error = bind(&nowhere, &[]).unwrap_err().to_string();
        assert!(
            error.starts_with("bad addr or host: host.invalid ("),
            "{error}"
        );
    }

    #[test]
    fn what_is_bound_already_is_taken_over() {
        let (first, second) = (free_port(), free_port());
        let one = format!("ListenAddress 127.0.0.1:{first}");
        let (old, _) = bind(&config(&one), &[]).unwrap();
        let two = format!("{one}\nListenAddress 127.0.0.1:{second}");
        let (new, failures) = bind(&config(&two), &old).unwrap();
        assert_eq!((new.len(), failures.len()), (2, 0), "{failures:?}");
        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd.as_fd()).unwrap().st_ino;
        assert_eq!(inode(&old[0].socket), inode(&new[0].socket));
    }

    #[test]
    fn an_address_within_one_that_is_left_can_be_bound_and_nobody_else_can() {
        let port = free_port();
        let (old, _) = bind(&config(&format!("ListenAddress 0.0.0.0:{port}")), &[]).unwrap();
        let narrow = config(&format!("ListenAddress 127.0.0.1:{port}"));
        let (new, failures) = bind(&narrow, &old).unwrap();
        assert_eq!((new.len(), failures.len()), (1, 0), "{failures:?}");
        for sockets in [&old, &new] {
            assert!(!sockopt::socket_reuseport(&sockets[0].socket).unwrap());
        }
        assert!(bind(&narrow, &[]).is_err());
        drop(old);
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
