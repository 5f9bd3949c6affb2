//! The monitor at work: clients, signals, and what the service manager hears.
//!
//! It is the service, or a *second instance* beside it that somebody started by hand; the sockets
//! tell. A second instance belongs to its launcher and ends gently: it closes its listeners and stays
//! until its last connection has ended, so that the keys of living sessions are still exchanged. The
//! service ends at once; what it leaves behind is for the monitor that systemd starts next.

mod door;
mod in_force;
mod status;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use accounts::bounded::SHARED_LIMIT;
use journal::Threshold;
use sandbox::Sandboxed;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{Instrument, info, warn};

use self::door::Door;
use self::in_force::{Asked, InForce};
use self::status::Status;
use crate::admin::{self, Question};
use crate::admission::Admission;
use crate::connection::{self, Common, Outcome};
use crate::connections::Connections;
use crate::delay::{FailureDelay, NoRandomness};
use crate::listening::Watch;
use crate::notify::{self, Audience};
use crate::options::{Clients, Source};
use crate::policy::Policy;
use crate::pool::{Demand, Ended as PoolEnded, Pool, WorkerSource};
use crate::signals::{self, Parent, Signal};
use crate::sockets::{Entrance, Sockets};
use crate::systemd::ServiceManager;

/// How often the line of `systemctl status` may change.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// Threads that wait for the name service and users' files. Crate `accounts` bounds how many of them strangers and users can
/// hold up; the rest is for root, the server's own files, and signatures.
const BLOCKING_THREADS: usize = SHARED_LIMIT + 64;

/// Questions of administrators that may wait while one is answered.
const QUESTIONS: usize = 1;

/// Everything that was made before the cage closed.
pub struct Prepared {
    /// From systemd or a launcher.
    pub sockets: Sockets,
    /// Blocked before any thread existed.
    pub signals: signals::Blocked,
    /// Whose monitor this is.
    pub owner: Owner,
    /// How many connections to serve.
    pub clients: Clients,
    /// Where the configuration is, for reloads.
    pub source: Source,
    /// The first policy.
    pub policy: Arc<Policy>,
    /// LogLevel, for reloads.
    pub threshold: Threshold,
}

/// Whose monitor this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// systemd's: the service.
    ServiceManager,
    /// Somebody's who started a second instance, and whether they are still there.
    Launcher(Parent),
}

/// Why the monitor cannot serve.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The runtime or a socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The client that was handed over cannot be served.
    #[error("socket \"connection\": {0}")]
    Connection(io::Error),
    /// No secret for delays.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// No worker will come.
    #[error(transparent)]
    Pool(#[from] PoolEnded),
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody wanted it to.
    Stopped,
    /// It was for one client.
    Served(Outcome),
}

/// Serves until a signal, or the end of the one client, ends it. The cage is entered by who calls:
/// there is no other way in.
///
/// # Errors
/// See [`ServerError`].
pub fn run<M: ServiceManager>(
    cage: Sandboxed,
    prepared: Prepared,
    services: M,
) -> Result<Ended, ServerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let outcome = runtime.block_on(serve(cage, prepared, services));
    // Not dropped: that would wait for look-ups in progress, and nobody waits for those any more.
    runtime.shutdown_background();
    outcome
}

async fn serve<M: ServiceManager>(
    _cage: Sandboxed,
    prepared: Prepared,
    services: M,
) -> Result<Ended, ServerError> {
    let Prepared {
        sockets,
        signals,
        owner,
        clients,
        source,
        policy,
        threshold,
    } = prepared;
    let mut signals = signals.listen()?;
    let listening = Watch::new(&sockets, &source)?;
    if let Some(listening) = &listening {
        let remarks = listening.remarks(&policy.config);
        remarks.iter().for_each(|remark| warn!("{remark}"));
    }
    let (policies, policy) = watch::channel(policy);
    let services = Arc::new(services);
    let admission = Admission::default();
    let clients = match &sockets.clients {
        Entrance::Listeners(_) => clients,
        Entrance::Connection(_) => Clients::One,
    };
    let demand = match clients {
        Clients::All => Demand::Any,
        Clients::One => Demand::One,
    };
    let workers = worker_source(sockets.control)?;
    let pool = Pool::start(Arc::clone(&services), workers, demand, policy.clone());
    let common = Arc::new(Common {
        pool: pool.clone(),
        services,
        delay: Arc::new(FailureDelay::new()?),
        connections: Connections::default(),
        admission: admission.clone(),
    });
    let (ask, mut questions) = mpsc::channel(QUESTIONS);
    if let Some(socket) = sockets.admin {
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(socket)?;
        let connections = common.connections.clone();
        let admission = admission.clone();
        let accepting = admin::accept(listener, connections, admission, ask, admin::PATIENCE);
        tokio::spawn(accepting);
    }
    // Kept open for a later take-over; see module `stored`.
    let stored = sockets.stored;
    if !stored.is_empty() {
        warn!(
            "{} descriptors of an earlier monitor are left alone",
            stored.len()
        );
    }

    let mut door = Door::open(sockets.clients, &pool, &admission, &policy).await?;
    let mut connections = JoinSet::new();
    let mut life = Life::Serving;
    let mut in_force = InForce::new(source, listening, policies, threshold);
    let mut status = Status::new(door.addresses());
    let audience = notify::ready(&status.line(&pool, &admission, &in_force));
    if let (Owner::Launcher(_), Audience::Gone) | (Owner::Launcher(Parent::Gone), _) =
        (owner, audience)
    {
        life = retire(&mut door, &pool, "who started this monitor has ended").await;
    }
    let mut refresh = steady(STATUS_INTERVAL);
    let mut watchdog = notify::watchdog_interval().map(steady);
    while !(life == Life::Retiring && connections.is_empty()) {
        tokio::select! {
            signal = signals.next() => match (signal?, owner, life) {
                (Signal::Reload, _, Life::Serving) => {
                    notify::reloading();
                    in_force.reload(&Asked::Signal);
                    notify::ready(&status.line(&pool, &admission, &in_force));
                }
                // It would count for nobody any more.
                (Signal::Reload, _, Life::Retiring) => {}
                (Signal::Stop(number), Owner::Launcher(_), Life::Serving) => {
                    let why = format!("Received signal {number}; terminating.");
                    life = retire(&mut door, &pool, &why).await;
                }
                (Signal::Orphaned, Owner::Launcher(_), Life::Serving) => {
                    life = retire(&mut door, &pool, "who started this monitor has ended").await;
                }
                (Signal::Orphaned, ..) => {}
                (Signal::Stop(number), ..) => {
                    info!("Received signal {number}; terminating.");
                    notify::stopping();
                    return Ok(Ended::Stopped);
                }
            },
            // Who asked may have stopped waiting.
            Some(question) = questions.recv() => match question {
                Question::Reload(administrator, reply) => {
                    notify::reloading();
                    let outcome = in_force.reload(&Asked::By(administrator));
                    notify::ready(&status.line(&pool, &admission, &in_force));
                    drop(reply.send(outcome));
                }
                Question::Status(reply) => {
                    drop(reply.send(status.report(&common, &admission, &in_force)));
                }
            },
            Some((client, place)) = door.next() => {
                if clients == Clients::One {
                    door.close().await;
                }
                let span = client.span();
                let serving = connection::serve(Arc::clone(&common), client, place);
                connections.spawn(serving.instrument(span));
            }
            Some(ended) = connections.join_next() => {
                if clients == Clients::One {
                    notify::stopping();
                    let outcome = ended.map_err(io::Error::other)?;
                    return Ok(Ended::Served(outcome));
                }
            }
            // Who retires may have nobody any more who listens.
            () = tick(watchdog.as_mut()), if life == Life::Serving => notify::alive(),
            _ = refresh.tick(), if life == Life::Serving => {
                status.refresh(&pool, &admission, &in_force);
            }
        }
    }
    Ok(Ended::Stopped)
}

/// How long a second instance still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Until it is told otherwise.
    Serving,
    /// As long as its last connection.
    Retiring,
}

/// Begins to end.
async fn retire(door: &mut Door, pool: &Pool, why: &str) -> Life {
    door.close().await;
    info!("{why}");
    pool.drain();
    notify::stopping();
    Life::Retiring
}

fn worker_source(control: Option<std::os::unix::net::UnixListener>) -> io::Result<WorkerSource> {
    Ok(match control {
        Some(control) => {
            control.set_nonblocking(true)?;
            WorkerSource::Template(UnixListener::from_std(control)?)
        }
        None => WorkerSource::Transient(std::process::id()),
    })
}

fn steady(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
