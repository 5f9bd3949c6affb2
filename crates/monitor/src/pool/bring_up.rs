//! The way of a worker from its start to its client.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::sshd::WorkerPool;
use journal::message_id::WORKER_LOST;
use journal::{RateLimit, Verdict};
use rpc::lane::{self, Lane, LaneError, ToWorker};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::census::{Demand, Kind, Register};
use super::source::Source;
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
    source: Source,
    demand: watch::Receiver<Demand>,
    backoff: Mutex<Backoff>,
    /// Idle workers queue at this lock in the order of their arrival; its holder is next.
    clients: tokio::sync::Mutex<mpsc::Receiver<oneshot::Sender<Worker>>>,
}

/// Why a start came to nothing.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("no channel to it can be made: {0}")]
    Channel(#[from] io::Error),
    #[error("it did not report within {} s", START_DEADLINE.as_secs())]
    Silent,
    #[error("it could not be welcomed: {0}")]
    Welcome(#[from] LaneError),
}

impl<M> Shared<M> {
    pub(super) fn new(
        services: Arc<M>,
        register: Register,
        policy: watch::Receiver<Arc<Policy>>,
        source: Source,
        demand: watch::Receiver<Demand>,
        clients: mpsc::Receiver<oneshot::Sender<Worker>>,
    ) -> Self {
        Self {
            services,
            register,
            policy,
            source,
            demand,
            backoff: Mutex::default(),
            clients: tokio::sync::Mutex::new(clients),
        }
    }

    /// What the configuration says of the pool, as far as the demand lets it.
    fn limits(&self) -> WorkerPool {
        let configured = self.policy.borrow().config.worker_pool;
        self.demand.borrow().limit(configured)
    }

    fn backoff<T>(&self, act: impl FnOnce(&mut Backoff) -> T) -> T {
        act(&mut self.backoff.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps as many workers as the census wants; never ends.
pub(super) async fn refill<M: ServiceManager>(shared: Arc<Shared<M>>) {
    let mut pace = Pace::new(shared.limits().start_rate);
    let mut instance = first_instance();
    loop {
        let limits = shared.limits();
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

/// One worker's way until a client has it or it ends.
async fn bring_up<M: ServiceManager>(shared: Arc<Shared<M>>, instance: Instance, counted: Counted) {
    static FAILURES: RateLimit = RateLimit::new(5, Duration::from_secs(60));
    match start(&shared, instance, counted).await {
        Ok(worker) => {
            shared.backoff(Backoff::succeeded);
            idle(&shared, worker).await;
        }
        Err(failure) => {
            shared.backoff(Backoff::failed);
            if let Verdict::Log { suppressed } = FAILURES.check() {
                let unit = shared.source.unit(instance);
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
    counted: Counted,
) -> Result<Worker, Failure> {
    let started = shared.source.start(&*shared.services, instance);
    let arrival = timeout(START_DEADLINE, started)
        .await
        .unwrap_or(Err(Failure::Silent))?;
    // Not before: there may have been a reload while it started.
    let policy = shared.policy.borrow().clone();
    let (lane, rpc) = timeout(WELCOME_DEADLINE, welcome(&arrival.stream, &policy))
        .await
        .unwrap_or(Err(LaneError::Closed))?;
    Ok(Worker {
        unit: shared.source.unit(instance),
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
    let mut demand = shared.demand.clone();
    // What changed while it was started counts as well.
    while Arc::ptr_eq(&policy.borrow_and_update(), &worker.policy) {
        let client = tokio::select! {
            // A client that comes after a reload is not served by what was known before it.
            biased;
            _ = policy.changed() => continue,
            // A client that waits gets another one.
            _ = demand.wait_for(|demand| *demand == Demand::Drain) => return,
            _ended = worker.lane.closed() => {
                let unit = &worker.unit;
                warn!(message_id = WORKER_LOST, worker_unit = unit, "idle worker {unit} ended");
                shared.backoff(Backoff::failed);
                return;
            }
            client = next_client(shared) => client,
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
    use super::super::{Pool, WorkerSource, census};
    use super::*;
    use crate::pool;
    use crate::testing::{Machine, Services};

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
            let shared = Shared::new(
                services,
                pool.register.clone(),
                policy,
                Source::new(WorkerSource::Transient(1)),
                pool.demand.subscribe(),
                clients,
            );
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

    #[tokio::test]
    async fn a_drained_pool_ends_idle_workers_and_still_serves_who_waits() {
        let bench = Bench::new();
        let (worker, _theirs) = bench.worker();
        bench.pool.drain();
        idle(&bench.shared, worker).await;
        let census = bench.pool.census();
        assert_eq!((census.idle, census.deficit(bench.shared.limits())), (0, 0));
        let client = bench.pool.place().await.unwrap();
        let wait = timeout(Duration::from_millis(1), client.worker());
        let missed = async { bench.pool.census().deficit(bench.shared.limits()) };
        assert_eq!(tokio::join!(wait, missed).1, 1);
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
