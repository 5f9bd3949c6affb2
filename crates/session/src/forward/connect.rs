//! Connections to ports and paths, in the order and with the words of OpenSSH (connect_next() in channels.c).

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use journal::Escaped;
use rpc::Endpoints;
use rpc::lane;
use rpc::session::{Address, CONNECT_DEADLINE, Connect, OpenFailure, OpenFailureReason, Port};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, connect};
use tokio::io::Interest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, error, info};

use super::bind::{from_root, shown, stream_socket};
use super::policy::{ForwardPolicy, Refusal};
use crate::second_stage::reason;

/// Connections that may be on their way at once. A resolver that hangs keeps its place until it gives up, so this also
/// bounds what waits for its threads.
const LIMIT: usize = 256;

/// What the client says of who is behind a connection: for the log, whose lines are short.
const LOGGED: usize = 100;

/// Makes connections for one session.
#[derive(Debug)]
pub(crate) struct Connector {
    places: Arc<Semaphore>,
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(LIMIT)),
        }
    }
}

impl Connector {
    /// Connects, if `policy` has nothing against it.
    pub(crate) async fn connect(
        &self,
        policy: &ForwardPolicy,
        endpoints: Endpoints,
        wanted: Connect,
    ) -> Result<OwnedFd, OpenFailure> {
        if let Err(refusal) = policy.judge(&wanted.target) {
            report(refusal, endpoints, &wanted);
            return Err(match (refusal, &wanted.target) {
                // sshd tells only those who want a port that it is forbidden.
                (_, Address::Port(_)) => {
                    OpenFailure::untold(OpenFailureReason::AdministrativelyProhibited)
                }
                (_, Address::Path(_)) => OpenFailure::untold(OpenFailureReason::ConnectFailed),
            });
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(OpenFailure::untold(OpenFailureReason::ResourceShortage));
        };
        let family = policy.address_family();
        let connecting = async {
            match wanted.target {
                Address::Port(port) => to_port(port, family, place).await,
                Address::Path(path) => to_path(&path),
            }
        };
        match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
            Ok(connected) => connected,
            Err(_elapsed) => Err(failed(&reason(&Errno::TIMEDOUT.into()))),
        }
    }
}

fn report(refusal: Refusal, endpoints: Endpoints, wanted: &Connect) {
    let originator = Escaped::new(&wanted.originator.host).limit(LOGGED);
    let originator_port = wanted.originator.port;
    let peer = endpoints.peer();
    match (refusal, &wanted.target) {
        (Refusal::Kind, Address::Port(Port { host, port })) => info!(
            "refused local port forward: originator {originator} port {originator_port}, target {} port {port}",
            Escaped::new(host).limit(LOGGED)
        ),
        (Refusal::Kind, Address::Path(path)) => info!(
            "refused streamlocal port forward: originator {originator} port {originator_port}, target {}",
            Escaped::new(path).limit(LOGGED)
        ),
        (Refusal::Place, Address::Port(Port { host, port })) => info!(
            "Received request from {} port {} to connect to host {} port {port}, but the request was denied.",
            peer.address(),
            peer.port(),
            Escaped::new(host).limit(LOGGED)
        ),
        (Refusal::Place, Address::Path(path)) => info!(
            "Received request to connect to path {}, but the request was denied.",
            Escaped::new(path).limit(LOGGED)
        ),
    }
}

fn failed(description: &str) -> OpenFailure {
    OpenFailure {
        reason: OpenFailureReason::ConnectFailed,
        description: description.to_owned(),
    }
}

/// Each address in the order of getaddrinfo(3), until one answers.
async fn to_port(
    target: Port,
    family: lane::IpFamily,
    place: OwnedSemaphorePermit,
) -> Result<OwnedFd, OpenFailure> {
    let Port { host, port } = target;
    let shown = Escaped::new(&host).limit(LOGGED).to_string();
    let (mut addresses, wrong_family, _place) = match host.parse() {
        // Nothing to look for: a thread would cost more than the connection.
        Ok(address) => (
            vec![SocketAddr::new(address, port)],
            "Address family for hostname not supported",
            place,
        ),
        Err(_) => match resolve(host, port, place).await? {
            (Ok(addresses), place) => (addresses, "No address associated with hostname", place),
            (Err(error), _) => {
                let text = resolver_text(&error);
                error!("connect_to {shown}: unknown host ({text})");
                return Err(failed(&text));
            }
        },
    };
    // AddressFamily, with the words of getaddrinfo(3).
    addresses.retain(|address| family.has(address.ip()));
    if addresses.is_empty() {
        error!("connect_to {shown}: unknown host ({wrong_family})");
        return Err(failed(wrong_family));
    }
    // As sshd: the client hears why the last address did not answer, but not why one could not be asked.
    let mut failure = OpenFailure::untold(OpenFailureReason::ConnectFailed);
    for address in addresses {
        match attempt(address).await {
            Ok(socket) => {
                debug!("connected to {shown} port {port}");
                return Ok(socket);
            }
            Err(Attempt::NotMade(error)) => debug!("{address}: {}", reason(&error)),
            Err(Attempt::Failed(error)) => failure = failed(&reason(&error)),
        }
    }
    error!("connect_to {shown} port {port}: failed.");
    Err(failure)
}

/// Asks the resolver. The place is kept in its thread, which cannot be stopped, and comes back with what it has found.
async fn resolve(
    host: String,
    port: u16,
    place: OwnedSemaphorePermit,
) -> Result<(io::Result<Vec<SocketAddr>>, OwnedSemaphorePermit), OpenFailure> {
    let resolved = tokio::task::spawn_blocking(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        (addresses.map(Iterator::collect), place)
    });
    // An error: the runtime ends.
    resolved
        .await
        .map_err(|_| OpenFailure::untold(OpenFailureReason::ConnectFailed))
}

/// How an attempt to connect went wrong.
enum Attempt {
    /// There is no way to that address.
    NotMade(io::Error),
    /// Nobody answered there, or with a refusal.
    Failed(io::Error),
}

impl From<Errno> for Attempt {
    fn from(errno: Errno) -> Self {
        Self::NotMade(errno.into())
    }
}

async fn attempt(address: SocketAddr) -> Result<OwnedFd, Attempt> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = stream_socket(family)?;
    // Whoever forwards interactive traffic does not want it to wait for an acknowledgement.
    sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &SocketAddrAny::from(address)) {
        Ok(()) => return Ok(socket),
        Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    let socket = rpc::reactor::watch(socket, Interest::WRITABLE).map_err(Attempt::NotMade)?;
    drop(socket.writable().await.map_err(Attempt::NotMade)?);
    match sockopt::socket_error(socket.get_ref())? {
        Ok(()) => Ok(socket.into_inner()),
        Err(errno) => Err(Attempt::Failed(errno.into())),
    }
}

fn to_path(path: &[u8]) -> Result<OwnedFd, OpenFailure> {
    let path = from_root(path);
    let connected = (|| {
        let address = SocketAddrUnix::new(&*path)?;
        let socket = stream_socket(AddressFamily::UNIX)?;
        connect(&socket, &address)?;
        Ok(socket)
    })();
    connected.map_err(|errno: Errno| {
        error!(
            "connect to {} port -2 failed: {}",
            shown(&path),
            reason(&errno.into())
        );
        OpenFailure::untold(OpenFailureReason::ConnectFailed)
    })
}

/// gai_strerror(3), which std puts a preface to.
pub(super) fn resolver_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix("failed to lookup address information: ") {
        Some(reason) => reason.to_owned(),
        None => reason(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_connection_keeps_its_place_until_somebody_answers() {
        // Nobody accepts, and the queue is full: who comes next has no answer.
        let deaf = stream_socket(AddressFamily::INET).unwrap();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        rustix::net::bind(&deaf, &SocketAddrAny::from(any)).unwrap();
        rustix::net::listen(&deaf, 0).unwrap();
        let bound = rustix::net::getsockname(&deaf).unwrap();
        let bound: SocketAddr = bound.try_into().unwrap();
        let attempts: Vec<_> = (0..4).map(|_| tokio::spawn(attempt(bound))).collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(attempts.iter().any(|attempt| !attempt.is_finished()));

        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let target = Port {
            host: bound.ip().to_string(),
            port: bound.port(),
        };
        let connecting = tokio::spawn(to_port(target, lane::IpFamily::Any, place));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(places.available_permits(), 0);
        connecting.abort();
        drop(connecting.await);
        assert_eq!(places.available_permits(), 1);
    }
}
