//! Sockets that the session listens on for the client, and those who connect to them.
//!
//! Each socket has a task, which waits until somebody has connected, then until the worker has room for one more, and
//! only then accepts: who is not served waits in the kernel's backlog, as with any server.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rpc::session::{Accepted, Connections, Port};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::error;

use crate::second_stage::reason;

/// How long nobody is accepted after the process or the system ran out of descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// Everybody who has connected, on their way to the worker.
#[derive(Debug)]
pub(crate) struct Arrivals {
    sender: mpsc::Sender<(Accepted, OwnedFd)>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<(Accepted, OwnedFd)>>,
}

impl Default for Arrivals {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(1);
        Self {
            sender,
            receiver: tokio::sync::Mutex::new(receiver),
        }
    }
}

/// For whom a socket is listened on.
#[derive(Debug, Clone)]
pub(crate) enum For {
    /// "tcpip-forward": the host as the client named it.
    Port(String),
    /// "streamlocal-forward@openssh.com"
    Path(Vec<u8>),
    /// The client's agent.
    Agent,
    /// The client's display.
    Display(Connections),
}

/// A socket that is listened on. With this it is closed.
#[derive(Debug)]
pub(crate) struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Arrivals {
    /// The next who has connected. Waits for ever if nobody does.
    pub(crate) async fn next(&self) -> (Accepted, OwnedFd) {
        match self.receiver.lock().await.recv().await {
            Some(arrived) => arrived,
            // There is a sender here, so this is never seen.
            None => std::future::pending().await,
        }
    }

    /// Accepts on a listening socket from now on.
    pub(crate) fn listen(&self, socket: OwnedFd, whom: For) -> io::Result<Listener> {
        let socket = rpc::reactor::watch(socket, Interest::READABLE)?;
        let sender = self.sender.clone();
        Ok(Listener(tokio::spawn(async move {
            // An error of the reactor: the runtime ends.
            drop(accept_all(&socket, &whom, &sender).await);
        })))
    }
}

async fn accept_all(
    socket: &AsyncFd<OwnedFd>,
    whom: &For,
    sender: &mpsc::Sender<(Accepted, OwnedFd)>,
) -> io::Result<()> {
    loop {
        let mut ready = socket.readable().await?;
        let Ok(room) = sender.reserve().await else {
            return Ok(());
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match acceptfrom_with(socket.get_ref(), flags) {
            Ok((connection, peer)) => {
                let accepted = accepted(whom, &connection, peer.as_ref());
                room.send((accepted, connection));
                if let For::Display(Connections::One) = whom {
                    return Ok(());
                }
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(errno) => {
                error!("accept: {}", reason(&errno.into()));
                drop(room);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn accepted(whom: &For, connection: &OwnedFd, peer: Option<&SocketAddrAny>) -> Accepted {
    let originator = || {
        // No Nagle here either, see the connections that the session makes.
        sockopt::set_tcp_nodelay(connection, true).unwrap_or_default();
        port(peer.cloned())
    };
    match whom {
        For::Port(host) => Accepted::Port {
            listening: Port {
                host: host.clone(),
                port: port(rustix::net::getsockname(connection).ok()).port,
            },
            originator: originator(),
        },
        For::Path(path) => Accepted::Path(path.clone()),
        For::Agent => Accepted::Agent,
        For::Display(_) => Accepted::X11 {
            originator: originator(),
        },
    }
}

/// What a socket address is to the client.
fn port(address: Option<SocketAddrAny>) -> Port {
    match address.and_then(|address| SocketAddr::try_from(address).ok()) {
        Some(address) => Port {
            host: address.ip().to_canonical().to_string(),
            port: address.port(),
        },
        // As from sshd: some clients insist on an address.
        None => Port {
            host: "127.0.0.1".to_owned(),
            port: u16::MAX,
        },
    }
}
