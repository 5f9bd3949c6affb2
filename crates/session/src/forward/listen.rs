//! "tcpip-forward" and "streamlocal-forward@openssh.com": ports and paths that the client takes connections of.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use journal::Escaped;
use rpc::Endpoints;
use rpc::session::{
    Accepted, Address, LISTEN_DEADLINE, Listening, Outcome, Port, Remark, Remarked,
};
use rustix::io::Errno;
use tracing::{debug, error, info};

use super::arrivals::{Arrivals, For, Listener};
use super::bind::{self, BoundPath, Reuse};
use super::policy::{ForwardPolicy, Interfaces, Refusal};
use crate::second_stage::reason;

/// Addresses that may be listened on at the same time: a large range of ports. Each has a descriptor for each family, of
/// 1024 that a process of a user mostly may have.
const LIMIT: usize = 400;

/// What the session listens on for the client.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    arrivals: Arrivals,
    forwards: Mutex<Vec<Forward>>,
}

/// One address of the client's choice.
#[derive(Debug)]
struct Forward {
    /// As the client names it, with the port that it has.
    address: Address,
    /// Its sockets, one for each address of the machine.
    _listeners: Vec<Listener>,
    _file: Option<BoundPath>,
}

impl Listeners {
    /// The next who has connected, see [`Arrivals::next`].
    pub(crate) async fn next(&self) -> (Accepted, OwnedFd) {
        self.arrivals.next().await
    }

    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Listens, if `policy` has nothing against it.
    pub(crate) async fn listen(
        &self,
        policy: &ForwardPolicy,
        endpoints: Endpoints,
        address: Address,
    ) -> Remarked<Listening> {
        if let Err(refusal) = policy.judge_listening(&address) {
            report(refusal, endpoints, &address);
            return Remarked {
                answer: Listening::Refused,
                remark: Some(remark(refusal, &address)),
            };
        }
        if self.forwards().len() >= LIMIT {
            info!("not listened on: {LIMIT} other addresses are, and no more may be");
            return Listening::Refused.into();
        }
        match address {
            Address::Port(port) => {
                let overridden = policy.overrides(&port.host);
                Remarked {
                    answer: self.port(policy, port).await,
                    remark: overridden.then_some(Remark::AddressOverridden),
                }
            }
            Address::Path(path) => self.path(policy, path).into(),
        }
    }

    /// Listens no more. Who is connected stays so.
    pub(crate) fn cancel(&self, address: &Address) -> Outcome {
        let mut forwards = self.forwards();
        let before = forwards.len();
        forwards.retain(|forward| forward.address != *address);
        match forwards.len() < before {
            true => Outcome::Done,
            false => Outcome::Refused,
        }
    }

    /// The connection is over.
    pub(crate) fn close(&self) {
        self.forwards().clear();
    }

    async fn port(&self, policy: &ForwardPolicy, wanted: Port) -> Listening {
        let mut addresses = match policy.interfaces(&wanted.host) {
            Interfaces::These(addresses) => addresses,
            Interfaces::Named(name) => match resolve(name).await {
                Some(addresses) => addresses,
                None => return Listening::Refused,
            },
        };
        addresses.retain(|address| policy.address_family().has(*address));
        let mut port = wanted.port;
        let mut listeners = Vec::new();
        for (place, address) in addresses.iter().enumerate() {
            let address = SocketAddr::new(*address, port);
            let bound = bind::port(address, Reuse::Address).and_then(|socket| {
                let chosen = local_port(&socket)?;
                Ok((socket, chosen))
            });
            let listener = bound
                .map_err(std::io::Error::from)
                .and_then(|(socket, chosen)| {
                    let whom = For::Port(wanted.host.clone());
                    Ok((self.arrivals.listen(socket, whom)?, chosen))
                });
            match listener {
                Ok((listener, chosen)) => {
                    // The port that the system chose is taken for every address.
                    port = chosen;
                    listeners.push(listener);
                }
                // A machine may have one family of addresses only.
                Err(error) => {
                    let last = place + 1 == addresses.len();
                    let text = format!(
                        "bind [{}]:{}: {}",
                        address.ip(),
                        address.port(),
                        reason(&error)
                    );
                    match last {
                        true => error!("{text}"),
                        false => debug!("{text}"),
                    }
                }
            }
        }
        if listeners.is_empty() {
            error!("channel_setup_fwd_listener_tcpip: cannot listen to port: {port}");
            return Listening::Refused;
        }
        self.forwards().push(Forward {
            address: Address::Port(Port {
                host: wanted.host,
                port,
            }),
            _listeners: listeners,
            _file: None,
        });
        Listening::On(port)
    }

    fn path(&self, policy: &ForwardPolicy, wanted: Vec<u8>) -> Listening {
        let path = bind::from_root(&wanted);
        if policy.unlinks() {
            bind::clear(&path);
        }
        let listening = bind::path(&path, policy.bind_mask())
            .map_err(std::io::Error::from)
            .and_then(|(socket, file)| {
                let whom = For::Path(wanted.clone());
                Ok((self.arrivals.listen(socket, whom)?, file))
            });
        match listening {
            Ok((listener, file)) => {
                self.forwards().push(Forward {
                    address: Address::Path(wanted),
                    _listeners: vec![listener],
                    _file: Some(file),
                });
                Listening::On(0)
            }
            Err(error) => {
                error!(
                    "unix_listener: cannot bind to path {}: {}",
                    bind::shown(&path),
                    reason(&error)
                );
                Listening::Refused
            }
        }
    }

    fn forwards(&self) -> MutexGuard<'_, Vec<Forward>> {
        // A panic ends a release build; in a test the list is as good as before: each change of it is one call.
        self.forwards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The addresses of a name, in time.
async fn resolve(name: String) -> Option<Vec<IpAddr>> {
    let shown = Escaped::new(&name).limit(100).to_string();
    let resolving = tokio::task::spawn_blocking(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs()?;
        std::io::Result::Ok(addresses.map(|address| address.ip()).collect())
    });
    match tokio::time::timeout(LISTEN_DEADLINE, resolving).await {
        Ok(Ok(Ok(addresses))) => Some(addresses),
        Ok(Ok(Err(error))) => {
            let text = super::connect::resolver_text(&error);
            error!("channel_setup_fwd_listener_tcpip: getaddrinfo({shown}): {text}");
            None
        }
        Ok(Err(_)) | Err(_) => None,
    }
}

fn local_port(socket: &OwnedFd) -> Result<u16, Errno> {
    let address = SocketAddr::try_from(rustix::net::getsockname(socket)?);
    address
        .map(|address| address.port())
        .map_err(|_| Errno::AFNOSUPPORT)
}

fn remark(refusal: Refusal, address: &Address) -> Remark {
    match (refusal, address) {
        (Refusal::Kind, Address::Port(_)) => Remark::PortForwardingDisabled,
        (Refusal::Kind, Address::Path(_)) => Remark::StreamLocalForwardingDisabled,
        (Refusal::Place, _) => Remark::ForwardingRefused,
    }
}

fn report(refusal: Refusal, endpoints: Endpoints, address: &Address) {
    // sshd has no sentence for the other.
    if refusal == Refusal::Kind {
        return debug!("Server has disabled port forwarding.");
    }
    let peer = endpoints.peer();
    let from = format!(
        "Received request from {} port {}",
        peer.address(),
        peer.port()
    );
    match address {
        Address::Port(Port { host, port }) => info!(
            "{from} to remote forward to host {} port {port}, but the request was denied.",
            Escaped::new(host).limit(100)
        ),
        Address::Path(path) => info!(
            "{from} to remote forward to path \"{}\", but the request was denied.",
            Escaped::new(path).limit(100)
        ),
    }
}
