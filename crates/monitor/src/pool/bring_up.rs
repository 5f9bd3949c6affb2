//! The way of a worker from StartUnit to its client.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::message_id::WORKER_LOST;
use journal::{RateLimit, Verdict};
use rpc::lane::{self, Lane, LaneError, ToWorker};
use rpc::peer::{self, Peer};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::census::{Kind, Register};
use super::{Counted, Worker};
use crate::policy::Policy;
use crate::systemd::{Instance, ServiceManager, StartError};
use crate::token_bucket::TokenBucket;

/// How long a worker may take from StartUnit to the control socket. 10 to 30 ms are usual, and a
/// queue of starts on a busy machine takes a second; this is for one that never comes.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long the first datagram to a worker may take. The socket's buffer takes it at once.
const WELCOME_DEADLINE: Duration = Duration::from_secs(5);

/// Waiting time after the first failed start; doubled with each further one, up to the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// What the tasks of the pool share.
pub(super) struct Shared<M> {
    services: Arc<M>,
    register: Register,
    policy: watch::Receiver<Arc<Policy>>,
    expected: Expected,
    backoff: Mutex<Backoff>,
    /// Idle workers queue at this lock in the order of their arrival; its holder is next.
    clients: tokio::sync::Mutex<mpsc::Receiver<oneshot::Sender<Worker>>>,
}

/// Workers that were started and have not reported yet.
#[derive(Default)]
struct Expected(Mutex<HashMap<Instance, oneshot::Sender<Arrival>>>);

/// A worker that reported.
struct Arrival {
    stream: UnixStream,
    pid: i32,
}

/// Why a start came to nothing.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("it did not report within {} s", START_DEADLINE.as_secs())]
    Silent,
    #[error("it could not be welcomed: {0}")]
    Welcome(#[from] LaneError),
}

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

impl<M> Shared<M> {
    pub(super) fn new(
        services: Arc<M>,
        register: Register,
        policy: watch::Receiver<Arc<Policy>>,
        clients: mpsc::Receiver<oneshot::Sender<Worker>>,
    ) -> Self {
        Self {
            services,
            register,
            policy,
            expected: Expected::default(),
            backoff: Mutex::default(),
            clients: tokio::sync::Mutex::new(clients),
        }
    }

    fn backoff<T>(&self, act: impl FnOnce(&mut Backoff) -> T) -> T {
        act(&mut self.backoff.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps as many workers as the census wants; never ends.
pub(super) async fn refill<M: ServiceManager>(shared: Arc<Shared<M>>) {
    let limits = |shared: &Shared<M>| shared.policy.borrow().config.worker_pool;
    let mut pace = Pace::new(limits(&shared).start_rate);
    let mut instance = first_instance();
    loop {
        let limits = limits(&shared);
        if shared.register.census().deficit(limits) == 0 {
            shared.register.changed().await;
            continue;
        }
        sleep_until(shared.backoff(|backoff| backoff.until())).await;
        pace.wait(limits.start_rate).await;
        let counted = Counted(shared.register.enter(Kind::Starting));
        tokio::spawn(bring_up(Arc::clone(&shared), instance, counted));
        instance.0 = instance.0.wrapping_add(1);
    }
}

/// Takes reports at the control socket; never ends.
pub(super) async fn receive<M: ServiceManager>(shared: Arc<Shared<M>>, control: UnixListener) {
    static STRANGERS: RateLimit = RateLimit::new(10, Duration::from_secs(60));
    loop {
        let stream = match control.accept().await {
            Ok((stream, _unnamed)) => stream,
            Err(error) => {
                warn!("control socket: {error}");
                sleep(FIRST_BACKOFF).await;
                continue;
            }
        };
        let peer = peer::identify(&stream);
        if let Err(stranger) = shared.expected.meet(peer, stream)
            && let Verdict::Log { suppressed } = STRANGERS.check()
        {
            warn!(suppressed, "control socket: connection closed: {stranger}");
        }
    }
}

/// One worker's way until a client has it or it ends.
async fn bring_up<M: ServiceManager>(shared: Arc<Shared<M>>, instance: Instance, counted: Counted) {
    static FAILURES: RateLimit = RateLimit::new(5, Duration::from_secs(60));
    let policy = shared.policy.borrow().clone();
    match start(&shared, instance, policy, counted).await {
        Ok(worker) => {
            shared.backoff(Backoff::succeeded);
            idle(&shared, worker).await;
        }
        Err(failure) => {
            shared.backoff(Backoff::failed);
            if let Verdict::Log { suppressed } = FAILURES.check() {
                let unit = instance.unit();
                warn!(
                    worker_unit = unit,
                    suppressed, "{unit} did not start: {failure}"
                );
            }
        }
    }
}

async fn start<M: ServiceManager>(
    shared: &Shared<M>,
    instance: Instance,
    policy: Arc<Policy>,
    counted: Counted,
) -> Result<Worker, Failure> {
    // Expected before it is started: it may report before systemd answers.
    let (report, arrival) = oneshot::channel();
    let _expectation = shared.expected.add(instance, report);
    let started = async {
        shared.services.start_worker(instance).await?;
        arrival.await.map_err(|_| Failure::Silent)
    };
    let arrival = timeout(START_DEADLINE, started)
        .await
        .unwrap_or(Err(Failure::Silent))?;
    let (lane, rpc) = timeout(WELCOME_DEADLINE, welcome(&arrival.stream, &policy))
        .await
        .unwrap_or(Err(LaneError::Closed))?;
    Ok(Worker {
        unit: instance.unit(),
        pid: arrival.pid,
        lane,
        rpc,
        policy,
        counted: counted.turn_into(Kind::Idle),
    })
}

/// Gives a worker its lane, and through it all that an idle worker has.
async fn welcome(stream: &UnixStream, policy: &Policy) -> Result<(Lane, UnixStream), LaneError> {
    let (ours, theirs) = lane::pair()?;
    let (rpc, rpc_theirs) = lane::stream_pair()?;
    lane::send_bootstrap(stream, theirs.as_fd())?;
    let lane = Lane::new(ours)?;
    let message = ToWorker::Welcome {
        welcome: policy.welcome(),
        rpc: rpc_theirs,
    };
    lane.send_to_worker(&message).await?;
    Ok((lane, rpc::grpc::stream(rpc)?))
}

/// Waits with `worker` for a client.
async fn idle<M>(shared: &Shared<M>, mut worker: Worker) {
    let mut policy = shared.policy.clone();
    // What changed while it was started counts as well.
    while Arc::ptr_eq(&policy.borrow_and_update(), &worker.policy) {
        let client = tokio::select! {
            client = next_client(shared) => client,
            _ended = worker.lane.closed() => {
                let (unit, pid) = (&worker.unit, worker.pid);
                warn!(message_id = WORKER_LOST, worker_unit = %unit, "idle worker {pid} ended");
                shared.backoff(Backoff::failed);
                return;
            }
            _ = policy.changed() => continue,
        };
        let Some(client) = client else { return };
        worker.counted = worker.counted.turn_into(Kind::Busy);
        match client.send(worker) {
            Ok(()) => return,
            // The client has gone in the meantime.
            Err(unwanted) => worker = unwanted,
        }
        worker.counted = worker.counted.turn_into(Kind::Idle);
    }
    debug!("{} ends: the configuration has changed", worker.unit);
}

async fn next_client<M>(shared: &Shared<M>) -> Option<oneshot::Sender<Worker>> {
    shared.clients.lock().await.recv().await
}

/// Where the numbers of this monitor's workers begin: the age of the system in milliseconds.
///
/// Workers of an earlier monitor may still serve, and their units must not be met again. At most
/// 1000 are started per second, so those numbers are below this one.
fn first_instance() -> Instance {
    let age = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let milliseconds = age.tv_sec.saturating_mul(1000) + age.tv_nsec / 1_000_000;
    Instance(u64::try_from(milliseconds).unwrap_or(0))
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

/// Starts per second, with a burst of as many.
struct Pace {
    rate: u32,
    bucket: TokenBucket,
}

impl Pace {
    fn new(rate: u32) -> Self {
        let bucket = TokenBucket::new(rate, rate, Instant::now());
        Self { rate, bucket }
    }

    async fn wait(&mut self, rate: u32) {
        if rate != self.rate {
            *self = Self::new(rate);
        }
        sleep(self.bucket.take(Instant::now()).unwrap_or(LONGEST_BACKOFF)).await;
    }
}

/// How long to leave systemd alone after failures.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    last: Option<Instant>,
}

impl Backoff {
    fn succeeded(&mut self) {
        *self = Self::default();
    }

    fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some(Instant::now());
    }

    fn until(&self) -> Instant {
        let Some(last) = self.last else {
            return Instant::now();
        };
        let doubled = 2_u32.saturating_pow(self.failures.saturating_sub(1));
        last + FIRST_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pool, census};
    use super::*;
    use crate::pool;
    use crate::testing::{Machine, Services};

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

    /// A pool of the one worker that is put into it.
    struct Bench {
        shared: Shared<Services>,
        pool: Pool,
        policies: watch::Sender<Arc<Policy>>,
        _machine: Machine,
    }

    impl Bench {
        fn new() -> Self {
            let machine = Machine::new(&[], "");
            let (policies, policy) = watch::channel(Arc::clone(&machine.policy));
            let (pool, clients) = pool::testing::pool();
            let services = Arc::new(Services::default());
            let shared = Shared::new(services, pool.register.clone(), policy, clients);
            Self {
                shared,
                pool,
                policies,
                _machine: machine,
            }
        }

        /// A worker that waits, and the other end of its lane.
        fn worker(&self) -> (Worker, std::os::fd::OwnedFd) {
            let (ours, theirs) = lane::pair().unwrap();
            let (rpc, _) = lane::stream_pair().unwrap();
            let policy = self.policies.borrow().clone();
            (pool::testing::worker(&self.pool, ours, rpc, policy), theirs)
        }
    }

    #[tokio::test]
    async fn an_idle_worker_goes_to_the_first_client_that_still_waits() {
        let bench = Bench::new();
        let (worker, _theirs) = bench.worker();
        let gone = bench.pool.place().await.unwrap().worker();
        assert!(timeout(Duration::from_millis(1), gone).await.is_err());
        let client = bench.pool.place().await.unwrap();
        let (got, ()) = tokio::join!(client.worker(), idle(&bench.shared, worker));
        assert_eq!(got.unwrap().unit, Instance(1).unit());
        assert_eq!(bench.pool.census(), census::Census::default());
    }

    #[tokio::test]
    async fn an_idle_worker_that_dies_is_given_up_and_missed() {
        let bench = Bench::new();
        let (worker, theirs) = bench.worker();
        drop(theirs);
        idle(&bench.shared, worker).await;
        let limits = bench.shared.policy.borrow().config.worker_pool;
        assert_eq!(bench.pool.census().deficit(limits), limits.idle);
        assert!(bench.shared.backoff(|backoff| backoff.until()) > Instant::now());
    }

    #[tokio::test]
    async fn a_new_configuration_ends_idle_workers() {
        let bench = Bench::new();
        let (worker, _theirs) = bench.worker();
        let other = Machine::new(&[], "");
        let reload = async {
            tokio::task::yield_now().await;
            bench.policies.send_replace(Arc::clone(&other.policy));
        };
        tokio::join!(idle(&bench.shared, worker), reload);
        assert_eq!(bench.pool.census().idle, 0);
    }

    #[test]
    fn failures_double_the_wait_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let wait = |backoff: &Backoff| backoff.until() - backoff.last.unwrap();
        backoff.failed();
        assert_eq!(wait(&backoff), FIRST_BACKOFF);
        backoff.failed();
        backoff.failed();
        assert_eq!(wait(&backoff), FIRST_BACKOFF * 4);
        for _ in 0..100 {
            backoff.failed();
        }
        assert_eq!(wait(&backoff), LONGEST_BACKOFF);
        backoff.succeeded();
        assert!(backoff.until() <= Instant::now());
    }
}
