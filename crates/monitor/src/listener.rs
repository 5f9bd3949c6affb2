//! accept(2), and who is let in.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use journal::{RateLimit, Verdict as LogVerdict};
use rpc::{ConnectionId, Endpoints};
use rustix::net::{SendFlags, send};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{Instrument, info_span, warn};

use crate::admission::{Admission, Verdict};
use crate::audit;
use crate::connection::{self, Client, Common};
use crate::open_session::Origin;
use crate::policy::Policy;
use crate::systemd::ServiceManager;

/// What a client that is not let in reads, as from sshd.
const REFUSAL: &[u8] = b"Not allowed at this time\r\n";

/// How long to wait when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients for ever. A place in the queue for a worker comes first: when there is none,
/// clients wait in TCP's backlog, where they cost nothing here.
pub async fn accept<M: ServiceManager>(
    listener: TcpListener,
    common: Arc<Common<M>>,
    admission: Admission,
    policy: watch::Receiver<Arc<Policy>>,
) {
    static TROUBLE: RateLimit = RateLimit::new(5, Duration::from_secs(60));
    while let Ok(place) = common.pool.place().await {
        let policy = || Arc::clone(&policy.borrow());
        let admitted = match listener.accept().await {
            Ok((tcp, peer)) => tcp
                .into_std()
                .and_then(|tcp| admit(tcp, peer, &admission, &policy())),
            Err(error) => {
                sleep(PAUSE).await;
                Err(error)
            }
        };
        match admitted {
            Ok(Some(client)) => {
                let (id, Endpoints { peer, local }) = (client.origin.id, client.origin.endpoints);
                let span = info_span!(
                    "connection",
                    conn = %id,
                    peer = %peer.ip(),
                    peer_port = peer.port(),
                    local = %local.ip(),
                    local_port = local.port(),
                );
                let serving = connection::serve(Arc::clone(&common), client, place);
                tokio::spawn(serving.instrument(span));
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

/// Decides about one connection. `None`: it was dropped.
fn admit(
    tcp: TcpStream,
    peer: SocketAddr,
    admission: &Admission,
    policy: &Policy,
) -> io::Result<Option<Client>> {
    let endpoints = Endpoints {
        peer: unmapped(peer),
        local: unmapped(tcp.local_addr()?),
    };
    let limits = policy.config.max_startups;
    let roll = u32::from_be_bytes(random()?) % 100;
    match admission.decide(limits, roll) {
        Verdict::Admitted(ticket) => Ok(Some(Client {
            origin: Origin {
                id: ConnectionId::from_bytes(random()?),
                endpoints,
            },
            tcp,
            ticket,
            deadline: connection::deadline(policy.config.login_grace_time),
        })),
        Verdict::Dropped { number } => {
            audit::dropped(endpoints, number);
            // A courtesy: 26 bytes fit a new socket's buffer, and if not, nobody waits.
            let _unread = send(&tcp, REFUSAL, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            Ok(None)
        }
    }
}

/// An IPv4 client of a dual-stack socket under its own address (RFC 4291 section 2.5.5.2): in logs,
/// in Match blocks and in limits per source.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("random generator failed"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_unmapped_and_others_left_alone() {
        let map = |text: &str| unmapped(text.parse().unwrap()).to_string();
        assert_eq!(map("[::ffff:192.0.2.1]:22"), "192.0.2.1:22");
        assert_eq!(map("192.0.2.1:22"), "192.0.2.1:22");
        assert_eq!(map("[2001:db8::1]:22"), "[2001:db8::1]:22");
        assert_eq!(map("[::1]:22"), "[::1]:22");
    }
}
