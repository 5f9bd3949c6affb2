//! Where workers come from. Two ways lead to the same stream to a new worker.
//!
//! | | of the service | of a second instance |
//! |---|---|---|
//! | unit | `sshd-privsep-preauth@N.service` | `sshd-privsep-preauth-PID-N.service`, transient |
//! | the stream | it connects to the control socket | it is given one end of a pair |
//! | is trusted | by its unit's name, if it was started here, once | because nobody else has that end |
//!
//! One file has the policy of both units: the template, of which the transient units' drop-in is a link.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::{RateLimit, Verdict};
use rpc::peer::{self, Peer};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::warn;

use super::bring_up::Failure;
use crate::systemd::{Instance, ServiceManager, WorkerUnit};

/// How long to leave a control socket alone that gave an error.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a pool's workers come from.
#[derive(Debug)]
pub enum WorkerSource {
    /// Instances of the template unit, which report at this socket.
    Template(UnixListener),
    /// Transient units of the second instance with this process id.
    Transient(u32),
}

/// A source in service.
pub(super) enum Source {
    Template(Arc<Expected>),
    Transient(u32),
}

/// A worker's first contact.
pub(super) struct Arrival {
    /// Where its lane goes.
    pub(super) stream: UnixStream,
    /// 0: not known.
    pub(super) pid: i32,
}

impl Source {
    /// Begins to take reports, if there are any to be taken, in the current runtime.
    pub(super) fn new(source: WorkerSource) -> Self {
        match source {
            WorkerSource::Template(control) => {
                let expected = Arc::<Expected>::default();
                tokio::spawn(receive(Arc::clone(&expected), control));
                Self::Template(expected)
            }
            WorkerSource::Transient(monitor) => Self::Transient(monitor),
        }
    }

    /// The unit of a worker.
    pub(super) fn unit(&self, worker: Instance) -> String {
        match self {
            Self::Template(_) => worker.unit(),
            Self::Transient(monitor) => worker.transient_unit(*monitor),
        }
    }

    /// Has a worker started and waits for its stream.
    pub(super) async fn start<M: ServiceManager>(
        &self,
        services: &M,
        worker: Instance,
    ) -> Result<Arrival, Failure> {
        match self {
            Self::Template(expected) => {
                // Expected before it is started: it may report before systemd answers.
                let (report, arrival) = oneshot::channel();
                let _expectation = expected.add(worker, report);
                services.start_worker(WorkerUnit::Instance(worker)).await?;
                arrival.await.map_err(|_| Failure::Silent)
            }
            Self::Transient(_) => {
                // The worker's end must block: its first read is before it has a runtime.
                let (ours, theirs) = Pair::pair()?;
                ours.set_nonblocking(true)?;
                let unit = WorkerUnit::Transient {
                    name: self.unit(worker),
                    stdio: OwnedFd::from(theirs),
                };
                services.start_worker(unit).await?;
                // What is sent now waits for it. If it never comes, its end closes, and what was sent with it.
                let stream = UnixStream::from_std(ours)?;
                Ok(Arrival { stream, pid: 0 })
            }
        }
    }
}

/// Workers that were started and have not reported yet.
#[derive(Default)]
pub(super) struct Expected(Mutex<HashMap<Instance, oneshot::Sender<Arrival>>>);

/// Why a connection at the control socket is closed.
#[derive(Debug, Error)]
enum Stranger {
    #[error("it cannot be identified: {0}")]
    Unknown(#[from] io::Error),
    #[error("user id {0} connected, not the service manager")]
    Uid(u32),
    #[error("unit {0:?} is not a worker that was started here, or it has reported before")]
    Unit(String),
}

/// Takes reports at the control socket; never ends.
async fn receive(expected: Arc<Expected>, control: UnixListener) {
    static STRANGERS: RateLimit = RateLimit::new(10, Duration::from_secs(60));
    loop {
        let stream = match control.accept().await {
            Ok((stream, _unnamed)) => stream,
            Err(error) => {
                warn!("control socket: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let peer = peer::identify(&stream);
        if let Err(stranger) = expected.meet(peer, stream)
            && let Verdict::Log { suppressed } = STRANGERS.check()
        {
            warn!(suppressed, "control socket: connection closed: {stranger}");
        }
    }
}

impl Expected {
    fn add(&self, instance: Instance, report: oneshot::Sender<Arrival>) -> Expectation<'_> {
        self.lock().insert(instance, report);
        Expectation(self, instance)
    }

    /// Hands `stream` to the start that waits for it.
    fn meet(&self, peer: io::Result<Peer>, stream: UnixStream) -> Result<(), Stranger> {
        let peer = peer?;
        // systemd connects the worker's stdin before it drops root.
        if peer.uid != 0 {
            return Err(Stranger::Uid(peer.uid));
        }
        let expected = Instance::of_unit(&peer.unit)
            .and_then(|instance| self.lock().remove(&instance))
            .ok_or(Stranger::Unit(peer.unit))?;
        let pid = peer.pid;
        // If nobody waits any more, the start has been given up and the stream closes here.
        drop(expected.send(Arrival { stream, pid }));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Instance, oneshot::Sender<Arrival>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the expectation of one worker when it is dropped.
struct Expectation<'a>(&'a Expected, Instance);

impl Drop for Expectation<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rpc::lane::{self, LaneError};

    use super::*;
    use crate::testing::Services;

    fn peer(uid: u32, unit: &str) -> io::Result<Peer> {
        let unit = unit.to_owned();
        Ok(Peer { pid: 1, uid, unit })
    }

    #[tokio::test]
    async fn a_worker_is_taken_in_once_and_only_if_it_was_started_here() {
        let expected = Expected::default();
        let (report, mut arrival) = oneshot::channel();
        let expectation = expected.add(Instance(3), report);
        let meet = |peer| expected.meet(peer, UnixStream::pair().unwrap().0);

        let three = "sshd-privsep-preauth@3.service";
        let no_one = meet(Err(io::ErrorKind::NotConnected.into()));
        assert!(matches!(no_one, Err(Stranger::Unknown(_))));
        assert!(matches!(meet(peer(33, three)), Err(Stranger::Uid(33))));
        for unit in ["sshd-privsep-preauth@4.service", "ssh.service"] {
            assert!(matches!(meet(peer(0, unit)), Err(Stranger::Unit(_))));
        }
        assert!(arrival.try_recv().is_err());
        assert!(meet(peer(0, three)).is_ok());
        assert!(arrival.try_recv().is_ok());
        assert!(matches!(meet(peer(0, three)), Err(Stranger::Unit(_))));
        drop(expectation);
    }

    #[test]
    fn a_start_that_was_given_up_is_not_expected() {
        let expected = Expected::default();
        drop(expected.add(Instance(3), oneshot::channel().0));
        assert!(expected.lock().is_empty());
    }

    #[tokio::test]
    async fn a_transient_worker_has_the_other_end_of_its_stream_and_nobody_else() {
        let services = Services {
            starts_workers: true,
            ..Services::default()
        };
        let source = Source::new(WorkerSource::Transient(77));
        let arrival = source.start(&services, Instance(5)).await;
        let stream = arrival.unwrap_or_else(|error| panic!("{error}")).stream;
        let mut started = services.workers.lock().unwrap();
        let [WorkerUnit::Transient { name, .. }] = started.as_slice() else {
            panic!("{started:?}");
        };
        assert_eq!(name, "sshd-privsep-preauth-77-5.service");
        assert_eq!(*name, source.unit(Instance(5)));
        let (ours, theirs) = lane::pair().unwrap();
        lane::send_bootstrap(&stream, theirs.as_fd()).unwrap();
        drop((stream, theirs));
        let Some(WorkerUnit::Transient { stdio, .. }) = started.pop() else {
            panic!("no descriptor");
        };
        // As the worker reads it: with a call that blocks.
        let theirs = lane::receive_bootstrap(&stdio).unwrap();
        let again = lane::receive_bootstrap(&stdio);
        assert!(matches!(again, Err(LaneError::Closed)), "{again:?}");
        drop(ours);
        assert_eq!(rustix::io::read(theirs, &mut [0; 1]), Ok(0));
    }

    #[tokio::test]
    async fn a_transient_worker_that_is_refused_has_no_stream() {
        let source = Source::new(WorkerSource::Transient(77));
        let arrival = source.start(&Services::default(), Instance(5)).await;
        assert!(matches!(arrival, Err(Failure::Start(_))));
    }
}
