//! The monitor at work: tasks, signals, and what the service manager hears.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::message_id::{CONFIGURATION_ERROR, LISTENING};
use sandbox::Sandboxed;
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::admission::Admission;
use crate::connection::Common;
use crate::delay::{FailureDelay, NoRandomness};
use crate::policy::{Loaded, Policy};
use crate::pool::Pool;
use crate::signals::{self, Signal};
use crate::sockets::Sockets;
use crate::systemd::ServiceManager;
use crate::{listener, notify};

/// How often the line of `systemctl status` may change.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// Threads for the name service and users' files; crate `accounts` bounds what hangs in them.
const BLOCKING_THREADS: usize = 160;

/// Everything that was made before the cage closed.
pub struct Prepared {
    /// From systemd.
    pub sockets: Sockets,
    /// Blocked before any thread existed.
    pub signals: signals::Blocked,
    /// Where the configuration is, for reloads.
    pub file: PathBuf,
    /// The first policy.
    pub policy: Arc<Policy>,
}

/// Why the monitor cannot serve.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The runtime or a socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No secret for delays.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Serves until a signal ends it. The cage is entered by who calls: there is no other way in.
///
/// # Errors
/// See [`ServerError`].
pub fn run<M: ServiceManager>(
    cage: Sandboxed,
    prepared: Prepared,
    services: M,
) -> Result<(), ServerError> {
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
) -> Result<(), ServerError> {
    let Prepared {
        sockets,
        signals,
        file,
        policy,
    } = prepared;
    let mut signals = signals.listen()?;
    let (policies, policy) = watch::channel(policy);
    let services = Arc::new(services);
    let admission = Admission::default();
    sockets.control.set_nonblocking(true)?;
    let control = UnixListener::from_std(sockets.control)?;
    let common = Arc::new(Common {
        pool: Pool::start(Arc::clone(&services), control, policy.clone()),
        services,
        delay: Arc::new(FailureDelay::new()?),
    });

    let mut addresses = Vec::new();
    for listener in sockets.clients {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        info!(
            message_id = LISTENING,
            "Server listening on {} port {}.",
            address.ip(),
            address.port()
        );
        addresses.push(address.to_string());
        tokio::spawn(listener::accept(
            listener,
            Arc::clone(&common),
            admission.clone(),
            policy.clone(),
        ));
    }
    // Kept open for a later take-over; see module `stored`.
    let stored = sockets.stored;
    if !stored.is_empty() {
        warn!(
            "{} descriptors of an earlier monitor are left alone",
            stored.len()
        );
    }

    let mut status = Status::new(addresses);
    notify::ready(&status.line(&common.pool, &admission));
    let mut refresh = steady(STATUS_INTERVAL);
    let mut watchdog = notify::watchdog_interval().map(steady);
    loop {
        tokio::select! {
            signal = signals.next() => match signal? {
                Signal::Reload => {
                    notify::reloading();
                    status.trouble = reload(&file, &policies).err();
                    notify::ready(&status.line(&common.pool, &admission));
                }
                Signal::Stop(number) => {
                    info!("Received signal {number}; terminating.");
                    notify::stopping();
                    return Ok(());
                }
            },
            () = tick(watchdog.as_mut()) => notify::alive(),
            _ = refresh.tick() => status.refresh(&common.pool, &admission),
        }
    }
}

/// The configuration is of no use; the one before stays in force.
struct KeepsOld;

/// Reads the configuration again. It counts for workers and connections from now on.
fn reload(file: &std::path::Path, policies: &watch::Sender<Arc<Policy>>) -> Result<(), KeepsOld> {
    info!("Received SIGHUP; reading {} again.", file.display());
    match Policy::load(file) {
        Ok(Loaded { policy, remarks }) => {
            remarks.iter().for_each(|remark| warn!("{remark}"));
            policies.send_replace(policy);
            Ok(())
        }
        Err(error) => {
            error!(
                message_id = CONFIGURATION_ERROR,
                "{error}\nThe configuration before it stays in force."
            );
            Err(KeepsOld)
        }
    }
}

/// The line of `systemctl status`.
struct Status {
    addresses: String,
    trouble: Option<KeepsOld>,
    told: String,
}

impl Status {
    fn new(addresses: Vec<String>) -> Self {
        Self {
            addresses: addresses.join(", "),
            trouble: None,
            told: String::new(),
        }
    }

    fn line(&mut self, pool: &Pool, admission: &Admission) -> String {
        let census = pool.census();
        let trouble = match self.trouble {
            None => "",
            Some(KeepsOld) => "configuration has errors, the one before it is in force; ",
        };
        self.told = format!(
            "{trouble}listening on {}; {} connections ({} not logged in), {} idle workers",
            self.addresses,
            census.busy,
            admission.unauthenticated(),
            census.idle,
        );
        self.told.clone()
    }

    fn refresh(&mut self, pool: &Pool, admission: &Admission) {
        let before = self.told.clone();
        let now = self.line(pool, admission);
        if now != before {
            notify::status(&now);
        }
    }
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
