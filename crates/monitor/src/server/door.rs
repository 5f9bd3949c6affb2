//! Where clients come in, until nobody is let in any more.

use std::sync::Arc;

use journal::message_id::LISTENING;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::info;

use super::ServerError;
use crate::admission::Admission;
use crate::listener::{self, Admitted};
use crate::policy::Policy;
use crate::pool::Pool;
use crate::sockets::Entrance;

/// One task for each listening socket, or the one client that is here already.
pub(super) struct Door {
    listeners: JoinSet<()>,
    clients: mpsc::Receiver<Admitted>,
    addresses: Vec<String>,
}

impl Door {
    /// Begins to let clients in, in the current runtime.
    pub(super) async fn open(
        entrance: Entrance,
        pool: &Pool,
        admission: &Admission,
        policy: &watch::Receiver<Arc<Policy>>,
    ) -> Result<Self, ServerError> {
        let (admitted, clients) = mpsc::channel(1);
        let mut door = Self {
            listeners: JoinSet::new(),
            clients,
            addresses: Vec::new(),
        };
        let sockets = match entrance {
            Entrance::Listeners(sockets) => sockets,
            Entrance::Connection(socket) => {
                let first = listener::connected(socket, admission, &policy.borrow())
                    .map_err(ServerError::Connection)?;
                let place = pool.place().await?;
                // The queue is empty and its other end is here.
                drop(admitted.try_send((first, place)));
                return Ok(door);
            }
        };
        for socket in sockets {
            socket.set_nonblocking(true)?;
            let listener = TcpListener::from_std(socket)?;
            let address = listener.local_addr()?;
            info!(
                message_id = LISTENING,
                "Server listening on {} port {}.",
                address.ip(),
                address.port()
            );
            door.addresses.push(address.to_string());
            let (pool, admission, policy) = (pool.clone(), admission.clone(), policy.clone());
            let accepting = listener::accept(listener, pool, admission, policy, admitted.clone());
            door.listeners.spawn(accepting);
        }
        Ok(door)
    }

    /// Where it is, for people.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The next client that is let in. `None`: no other will come.
    pub(super) async fn next(&mut self) -> Option<Admitted> {
        self.clients.recv().await
    }

    /// Lets nobody in any more. When this returns, the ports are free.
    pub(super) async fn close(&mut self) {
        self.listeners.shutdown().await;
        self.clients.close();
        while self.clients.try_recv().is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener as Listener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::pool::testing::pool;
    use crate::testing::Machine;

    async fn open(
        machine: &Machine,
        entrance: Entrance,
        pool: &Pool,
    ) -> (Result<Door, ServerError>, Admission) {
        let admission = Admission::default();
        let (_, policy) = watch::channel(Arc::clone(&machine.policy));
        let door = Door::open(entrance, pool, &admission, &policy).await;
        (door, admission)
    }

    #[tokio::test]
    async fn a_closed_door_frees_its_port_and_lets_go_who_was_not_served() {
        let machine = Machine::new(&[], "");
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (pool, _clients) = pool();
        let entrance = Entrance::Listeners(vec![listener]);
        let (door, admission) = open(&machine, entrance, &pool).await;
        let mut door = door.unwrap();
        let _first = TcpStream::connect(address).unwrap();
        assert!(door.next().await.is_some());

        let mut second = TcpStream::connect(address).unwrap();
        // Let in, and in nobody's hands.
        while admission.unauthenticated() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(Listener::bind(address).is_err());
        door.close().await;
        Listener::bind(address).unwrap();
        assert!(door.next().await.is_none());
        assert_eq!(second.read(&mut [0]).unwrap(), 0);
        assert_eq!(admission.unauthenticated(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_is_here_already_is_the_only_one() {
        // MaxStartups is for who comes by himself.
        let machine = Machine::new(&[], "MaxStartups 1:100:1");
        let (socket, _other) = UnixStream::pair().unwrap();
        let (pool, _clients) = pool();
        let entrance = Entrance::Connection(socket.into());
        let (door, admission) = open(&machine, entrance, &pool).await;
        let mut door = door.unwrap();
        let (client, _place) = door.next().await.unwrap();
        assert_eq!(admission.unauthenticated(), 1);
        assert!(client.deadline.is_some());
        assert!(door.next().await.is_none());
        drop(client);
        assert_eq!(admission.unauthenticated(), 0);
    }

    #[tokio::test]
    async fn what_is_not_connected_is_no_connection() {
        let machine = Machine::new(&[], "");
        let (pool, _clients) = pool();
        let socket = Listener::bind("127.0.0.1:0").unwrap();
        let entrance = Entrance::Connection(socket.into());
        let (door, _) = open(&machine, entrance, &pool).await;
        assert!(matches!(door, Err(ServerError::Connection(_))));
    }
}
