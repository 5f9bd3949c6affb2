//! accept(2), and who is let in.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use config::sshd::YesNo;
use journal::{RateLimit, Verdict as LogVerdict};
use rpc::{ConnectionId, Endpoint, Endpoints};
use rustix::net::{SendFlags, getpeername, getsockname, send, sockopt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::admission::{Admission, Ticket, Verdict};
use crate::audit;
use crate::connection::{self, Client};
use crate::open_session::Origin;
use crate::policy::Policy;
use crate::pool::{Place, Pool};
use crate::routing_domain::RoutingDomain;

/// What a client that is not let in reads, as from sshd.
const REFUSAL: &[u8] = b"Not allowed at this time\r\n";

/// How long to wait when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// A client that is let in, and its place in the queue for a worker.
pub type Admitted = (Client, Place);

/// Accepts clients until nobody takes them any more. A place in the queue comes first: when there is
/// none, clients wait in TCP's backlog, where they cost nothing here.
pub async fn accept(
    listener: TcpListener,
    pool: Pool,
    admission: Admission,
    policy: watch::Receiver<Arc<Policy>>,
    clients: mpsc::Sender<Admitted>,
) {
    static TROUBLE: RateLimit = RateLimit::new(5, Duration::from_secs(60));
    while let Ok(place) = pool.place().await {
        let policy = || Arc::clone(&policy.borrow());
        let admitted = match listener.accept().await {
            Ok((tcp, _)) => tcp
                .into_std()
                .and_then(|tcp| admit(tcp.into(), &admission, &policy())),
            Err(error) => {
                sleep(PAUSE).await;
                Err(error)
            }
        };
        match admitted {
            Ok(Some(client)) => {
                if clients.send((client, place)).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                if let LogVerdict::Log { suppressed } = TROUBLE.check() {
                    warn!(suppressed, "accept: {error}");
                }
            }
        }
    }
}

/// The client at the other end of a socket that somebody else has accepted. Whom to
/// let in was theirs to decide.
///
/// # Errors
/// It is not connected.
pub fn connected(socket: OwnedFd, admission: &Admission, policy: &Policy) -> io::Result<Client> {
    let endpoints = endpoints(&socket)?;
    let ticket = admission.admit(endpoints.peer().ip(), &policy.limits);
    client(socket, endpoints, ticket, policy)
}

fn client(
    socket: OwnedFd,
    endpoints: Endpoints,
    ticket: Ticket,
    policy: &Policy,
) -> io::Result<Client> {
    let rdomain = match endpoints.peer() {
        Endpoint::Inet(_) => {
            // Who listens may have set it, and the socket inherits that.
            let keep_alive = policy.config.tcp_keep_alive == YesNo::Yes;
            sockopt::set_socket_keepalive(&socket, keep_alive)?;
            // Not to know it would be to leave out a Match block about it.
            Some(RoutingDomain::of(&socket)?)
        }
        Endpoint::Unknown => None,
    };
    Ok(Client {
        origin: Origin {
            id: ConnectionId::from_bytes(random()?),
            endpoints,
            rdomain,
        },
        socket,
        ticket,
        limits: Arc::clone(&policy.limits),
        deadline: connection::deadline(policy.config.login_grace_time),
    })
}

/// Decides about one connection. `None`: it was dropped.
fn admit(socket: OwnedFd, admission: &Admission, policy: &Policy) -> io::Result<Option<Client>> {
    let endpoints = endpoints(&socket)?;
    let roll = u32::from_be_bytes(random()?) % 100;
    let peer = endpoints.peer().ip();
    let (verdict, remark) = admission.decide(peer, &policy.limits, roll, Instant::now());
    if let Some(remark) = remark {
        audit::throttling(remark);
    }
    match verdict {
        Verdict::Admitted(ticket) => client(socket, endpoints, ticket, policy).map(Some),
        Verdict::Dropped { number, reason } => {
            audit::dropped(endpoints, number, reason, remark);
            // A courtesy: 26 bytes fit a new socket's buffer, and if not, nobody waits.
            let _unread = send(&socket, REFUSAL, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            Ok(None)
        }
    }
}

/// Between which addresses a connected socket runs.
///
/// # Errors
/// As getpeername(2): the client may have gone in the meantime.
fn endpoints(socket: &OwnedFd) -> io::Result<Endpoints> {
    let inet = |address| SocketAddr::try_from(address).ok();
    let (local, peer) = (getsockname(socket)?, getpeername(socket)?);
    Ok(match (peer.and_then(inet), inet(local)) {
        (Some(peer), Some(local)) => Endpoints::inet(peer, local),
        _ => Endpoints::UNKNOWN,
    })
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("random generator failed"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::testing::Machine;

    #[test]
    fn the_kernel_says_between_which_addresses_a_connection_runs() {
        // A dual-stack socket, as systemd makes them; its IPv4 clients come mapped.
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let accepted = OwnedFd::from(listener.accept().unwrap().0);
        let expected = Endpoints::inet(client.local_addr().unwrap(), ([127, 0, 0, 1], port).into());
        assert_eq!(endpoints(&accepted).unwrap(), expected);
        assert_eq!(
            expected.local().to_string(),
            format!("127.0.0.1 port {port}")
        );
    }

    #[test]
    fn a_connection_is_probed_as_configured_whatever_its_listener_does() {
        for (setting, expected) in [("", true), ("TCPKeepAlive no", false)] {
            let policy = Machine::new(&[], setting).policy;
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            sockopt::set_socket_keepalive(&listener, !expected).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let accepted = OwnedFd::from(listener.accept().unwrap().0);
            let client = connected(accepted, &Admission::default(), &policy).unwrap();
            let found = sockopt::socket_keepalive(&client.socket).unwrap();
            assert_eq!(found, expected, "{setting}");
        }
    }

    #[test]
    fn a_local_socket_runs_between_no_addresses() {
        let (socket, _other) = UnixStream::pair().unwrap();
        assert_eq!(endpoints(&socket.into()).unwrap(), Endpoints::UNKNOWN);
    }
}
