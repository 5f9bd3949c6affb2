//! One client from accept(2) to the end of its worker: a task that owns everything of it.
//!
//! ```text
//!  vigil         holds the socket and the admission ticket until login or LoginGraceTime
//!  serve         HTTP/2 with the worker, until that goes or breaks the contract
//!  conversation  questions and answers
//! ```
//!
//! The three run side by side; the first that ends is the end of the connection.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rpc::ServeEnd;
use rpc::lane::{Connection, LaneError, ToWorker};
use rpc::{Violation, preauth};
use rustix::net::{Shutdown, shutdown};
use thiserror::Error;
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep_until};
use tracing::field::Empty;
use tracing::{Span, error, info_span, warn};

use crate::admission::{Admission, Limits, Offence, Ticket};
use crate::audit;
use crate::connections::{Administrator, Connections};
use crate::conversation::{Broken, Conversation, Setting, face};
use crate::delay::FailureDelay;
use crate::open_session::Origin;
use crate::phase::Phase;
use crate::pool::{Ended, Place, Pool, Worker};
use crate::systemd::ServiceManager;

/// What all connections share.
pub struct Common<M> {
    /// Who starts and kills units.
    pub services: Arc<M>,
    /// Where workers come from.
    pub pool: Pool,
    /// Who makes refusals wait.
    pub delay: Arc<FailureDelay>,
    /// Those that live.
    pub connections: Connections,
    /// Who is let in.
    pub admission: Admission,
}

/// A client that was admitted.
pub struct Client {
    /// Name and addresses.
    pub origin: Origin,
    /// Its socket; this process never reads from it.
    pub socket: OwnedFd,
    /// Its share of MaxStartups.
    pub ticket: Ticket,
    /// What its source is judged by.
    pub limits: Arc<Limits>,
    /// When it must be logged in.
    pub deadline: Option<Instant>,
}

impl Client {
    /// The span of everything that is done for it.
    pub fn span(&self) -> Span {
        let endpoints = self.origin.endpoints;
        let (peer, local) = (endpoints.peer(), endpoints.local());
        info_span!(
            "connection",
            conn = %self.origin.id,
            peer = %peer.address(),
            peer_port = peer.port(),
            local = %local.address(),
            local_port = local.port(),
            // Until there is a worker, none.
            worker_pid = Empty,
            // Until the user is named, that of the process.
            log_level = Empty,
        )
    }
}

/// Why no worker has the client.
#[derive(Debug, Error)]
enum Unassigned {
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error("worker: {0}")]
    Lane(#[from] LaneError),
    #[error("client's socket: {0}")]
    Io(#[from] std::io::Error),
}

/// What became of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody had logged in when the connection ended.
    LoggedIn,
    /// Nobody had.
    NotLoggedIn,
}

/// How a connection ended.
enum End {
    GraceTime,
    Killed(Administrator),
    WorkerGone,
    Broken(Broken),
}

/// Serves one client. `place` is its place in the queue for a worker.
pub async fn serve<M: ServiceManager>(
    common: Arc<Common<M>>,
    client: Client,
    place: Place,
) -> Outcome {
    let login = Arc::new(SetOnce::new());
    attend(common, client, place, Arc::clone(&login)).await;
    match login.initialized() {
        true => Outcome::LoggedIn,
        false => Outcome::NotLoggedIn,
    }
}

async fn attend<M: ServiceManager>(
    common: Arc<Common<M>>,
    client: Client,
    place: Place,
    login: Arc<SetOnce<()>>,
) {
    let Client {
        origin,
        socket,
        ticket,
        limits,
        deadline,
    } = client;
    audit::connection(origin);
    let source = Source {
        admission: common.admission.clone(),
        peer: origin.endpoints.peer().ip(),
        limits,
    };
    let entry = Arc::new(common.connections.enter(origin));
    let for_worker = socket.try_clone();
    let unauthenticated = Unauthenticated {
        socket,
        _ticket: ticket,
        source: source.clone(),
    };
    let mut vigil = pin!(vigil(unauthenticated, deadline, Arc::clone(&login)));

    let assigned = tokio::select! {
        assigned = assign(&common.pool, place, origin, for_worker) => assigned,
        // It had no worker to talk to: the delay is ours.
        () = &mut vigil => return audit::grace_timeout(origin.endpoints, 0),
        by = entry.killed() => return audit::killed(origin.endpoints, None, by),
    };
    let worker = match assigned {
        Ok(worker) => worker,
        Err(error) => return warn!("client is sent away: {error}"),
    };

    entry.assigned(&worker.unit);
    Span::current().record("worker_pid", worker.pid);
    let lane = Arc::new(worker.lane);
    let (face, mut questions) = face();
    let mut conversation = Conversation::new(Setting {
        origin,
        policy: worker.policy,
        worker: Arc::clone(&lane),
        services: Arc::clone(&common.services),
        delay: Arc::clone(&common.delay),
        deadline,
        login: Arc::clone(&login),
        entry: Arc::clone(&entry),
    });
    let end = tokio::select! {
        () = &mut vigil => End::GraceTime,
        by = entry.killed() => End::Killed(by),
        end = preauth::serve(worker.rpc, face) => match end {
            ServeEnd::PeerClosed => End::WorkerGone,
            ServeEnd::Violation(violation) => End::Broken(violation.into()),
        },
        end = lane.closed() => match end {
            Ok(()) => End::WorkerGone,
            Err(error) => End::Broken(Violation::new(error.to_string()).into()),
        },
        broken = conversation.run(&mut questions) => End::Broken(broken),
    };
    match &end {
        End::WorkerGone => match conversation.phase() {
            Phase::Over => {}
            phase => audit::worker_lost(&worker.unit, phase.name()),
        },
        End::GraceTime => audit::grace_timeout(origin.endpoints, worker.pid),
        End::Killed(by) => audit::killed(origin.endpoints, conversation.phase().user(), *by),
        End::Broken(Broken::Violation(violation)) => {
            audit::violation(&worker.unit, conversation.phase().name(), violation);
        }
        // Said when it was decided.
        End::Broken(Broken::Prohibited) => {}
        End::Broken(broken) => error!("connection is ended: {broken}"),
    }
    if !login.initialized()
        && let Some(offence) = offence(&end, &conversation)
    {
        source.penalise(offence);
    }
    if !matches!(end, End::WorkerGone) {
        // An honest worker goes when its lane closes. One that broke the contract, or that let the
        // grace time pass, is not asked; nor is one whose client an administrator wants gone.
        if let Err(error) = common.services.kill_worker(&worker.unit).await {
            warn!("{} may still run: {error}", worker.unit);
        }
    }
    if let (End::Killed(_), Phase::Open(open)) = (&end, conversation.phase()) {
        // What runs in it may not care that the connection is gone.
        if let Err(error) = common.services.stop_session(&open.session.unit).await {
            warn!("{} may still run: {error}", open.session.unit);
        }
    }
    drop(worker.counted);
}

/// What a connection ended with that had no login, if its client is to blame.
fn offence<M: ServiceManager>(end: &End, conversation: &Conversation<M>) -> Option<Offence> {
    match end {
        End::GraceTime => Some(Offence::GraceExceeded),
        End::Killed(_) => None,
        End::WorkerGone => match conversation.phase() {
            Phase::Over => Some(conversation.conduct().offence()),
            // No last word: it crashed.
            Phase::AwaitingExchange
            | Phase::Authenticating(_)
            | Phase::Exhausted(_)
            | Phase::Denied(_)
            | Phase::Open(_) => Some(Offence::Crash),
        },
        // What an honest worker does not do, one does whom the client has taken over.
        End::Broken(Broken::Violation(_)) => Some(Offence::Crash),
        End::Broken(Broken::Prohibited) => Some(Offence::RefuseConnection),
        End::Broken(Broken::Sign(_) | Broken::Open { .. }) => None,
    }
}

/// Where a connection comes from, and what that is judged by.
#[derive(Clone)]
struct Source {
    admission: Admission,
    /// None: a connection without addresses belongs to no source.
    peer: Option<IpAddr>,
    limits: Arc<Limits>,
}

impl Source {
    fn penalise(&self, offence: Offence) {
        let Some(peer) = self.peer else { return };
        let (limits, now) = (&self.limits, Instant::now());
        if let Some(effect) = self.admission.penalise(peer, offence, limits, now) {
            audit::penalised(peer, offence, effect, limits);
        }
    }

    fn pardon(&self) {
        if let Some(peer) = self.peer {
            self.admission.pardon(peer, &self.limits);
        }
    }
}

/// What only a connection before login has.
struct Unauthenticated {
    socket: OwnedFd,
    /// Counts while it is there.
    _ticket: Ticket,
    source: Source,
}

/// Keeps LoginGraceTime, and what only a connection before login has. Ends when the time is over,
/// with the socket shut down for whoever else holds it; never after a login.
async fn vigil(
    unauthenticated: Unauthenticated,
    deadline: Option<Instant>,
    login: Arc<SetOnce<()>>,
) {
    tokio::select! {
        () = until(deadline) => {
            // Fails only if the client has gone already.
            let _gone = shutdown(&unauthenticated.socket, Shutdown::Both);
        }
        _ = login.wait() => {
            unauthenticated.source.pardon();
            drop(unauthenticated);
            std::future::pending().await
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Gives the client to a worker; to another one if the first died while it was idle.
async fn assign(
    pool: &Pool,
    place: Place,
    origin: Origin,
    socket: std::io::Result<OwnedFd>,
) -> Result<Worker, Unassigned> {
    let message = ToWorker::Connection {
        connection: Connection {
            id: origin.id,
            endpoints: origin.endpoints,
        },
        socket: socket?,
    };
    let worker = place.worker().await?;
    if worker.lane.send_to_worker(&message).await.is_ok() {
        return Ok(worker);
    }
    // It must not count for the bound on all workers while another one takes its place.
    drop(worker);
    let worker = pool.place().await?.worker().await?;
    worker.lane.send_to_worker(&message).await?;
    Ok(worker)
}

/// The deadline of LoginGraceTime for a client that is accepted now.
pub fn deadline(grace: Option<Duration>) -> Option<Instant> {
    grace.and_then(|grace| Instant::now().checked_add(grace))
}

#[cfg(test)]
mod tests;
