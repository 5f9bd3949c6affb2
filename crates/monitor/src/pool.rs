//! The pool: workers that wait, caged and welcomed, for a client.
//!
//! ```text
//!  refill ─▶ source ─ systemd ─▶ worker ─ stdin ─▶ welcome ─▶ idle
//!    ▲                                                          │
//!    └── census: starting, idle, busy, waiting ◀── check out ◀──┘
//! ```
//!
//! PID 1 is asked at the pace of a token bucket and never at that of the network. A worker is taken
//! in only if it is one that was started here, and each of them once: see module `source`.

mod bring_up;
mod census;
mod source;

use std::fmt;
use std::sync::Arc;

use rpc::lane::Lane;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::census::{Census, Demand};
pub use self::source::WorkerSource;

use self::bring_up::Shared;
use self::census::{Entry, Kind, Register};
use self::source::Source;
use crate::policy::Policy;
use crate::systemd::ServiceManager;

/// Clients that may wait for a worker. When so many do, accepting stops and TCP's backlog waits.
const QUEUE: usize = 128;

/// A welcomed worker: idle in the pool, or the one of a connection.
pub struct Worker {
    /// Its unit, for the journal.
    pub unit: String,
    /// Its process, for the journal. 0: not known.
    pub pid: i32,
    /// Where descriptors go to it.
    pub lane: Lane,
    /// Where it asks.
    pub rpc: UnixStream,
    /// The policy that it was welcomed with.
    pub policy: Arc<Policy>,
    /// Its line in the census, for as long as somebody holds it.
    pub counted: Counted,
}

/// A worker's line in the census.
#[derive(Debug)]
pub struct Counted(Entry);

/// The pool as those see it who need a worker.
#[derive(Debug, Clone)]
pub struct Pool {
    register: Register,
    queue: mpsc::Sender<oneshot::Sender<Worker>>,
    demand: watch::Sender<Demand>,
}

/// A place in the queue of clients.
pub struct Place {
    register: Register,
    permit: mpsc::OwnedPermit<oneshot::Sender<Worker>>,
}

/// The pool has ended, which it does with the monitor only.
#[derive(Debug, Clone, Copy, Error)]
#[error("the worker pool has ended")]
pub struct Ended;

impl Pool {
    /// Starts the pool's tasks in the current runtime.
    pub fn start<M: ServiceManager>(
        services: Arc<M>,
        source: WorkerSource,
        demand: Demand,
        policy: watch::Receiver<Arc<Policy>>,
    ) -> Self {
        let register = Register::default();
        let (queue, clients) = mpsc::channel(QUEUE);
        let (demand, wanted) = watch::channel(demand);
        let shared = Shared::new(
            services,
            register.clone(),
            policy,
            Source::new(source),
            wanted,
            clients,
        );
        tokio::spawn(bring_up::refill(Arc::new(shared)));
        Self {
            register,
            queue,
            demand,
        }
    }

    /// Ends idle workers. From now on one is started only for a client that waits for it.
    pub fn drain(&self) {
        self.demand.send_replace(Demand::Drain);
    }

    /// A place in the queue; waits while it is full.
    ///
    /// # Errors
    /// The pool has ended.
    pub async fn place(&self) -> Result<Place, Ended> {
        let permit = self.queue.clone().reserve_owned().await;
        Ok(Place {
            register: self.register.clone(),
            permit: permit.map_err(|_| Ended)?,
        })
    }

    /// How many workers there are.
    pub fn census(&self) -> Census {
        self.register.census()
    }
}

impl Place {
    /// Waits for a worker. A caller that stops waiting costs nothing.
    ///
    /// # Errors
    /// The pool has ended.
    pub async fn worker(self) -> Result<Worker, Ended> {
        let _waiting = self.register.enter(Kind::Waiting);
        let (reply, worker) = oneshot::channel();
        self.permit.send(reply);
        worker.await.map_err(|_| Ended)
    }
}

impl Counted {
    fn turn_into(self, kind: Kind) -> Self {
        Self(self.0.turn_into(kind))
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.unit)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A pool without systemd: requests come out at the other end.

    use std::os::fd::OwnedFd;

    use super::*;

    pub(crate) fn pool() -> (Pool, mpsc::Receiver<oneshot::Sender<Worker>>) {
        let (queue, requests) = mpsc::channel(QUEUE);
        let pool = Pool {
            register: Register::default(),
            queue,
            demand: watch::Sender::new(Demand::Any),
        };
        (pool, requests)
    }

    pub(crate) fn worker(pool: &Pool, lane: OwnedFd, rpc: OwnedFd, policy: Arc<Policy>) -> Worker {
        Worker {
            unit: "sshd-privsep-preauth@1.service".to_owned(),
            pid: 1,
            lane: Lane::new(lane).unwrap(),
            rpc: rpc::grpc::stream(rpc).unwrap(),
            policy,
            counted: Counted(pool.register.enter(Kind::Busy)),
        }
    }
}
