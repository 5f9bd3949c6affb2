//! Where administrators ask: `admin.sock`, `sshd-privsepctl` at the other end.
//!
//! ```text
//!  sshd-privsepctl ──▶ accept ──▶ face ── Reload, Status ──▶ the server's loop
//!                                  ├───── Kill ────────────▶ connections
//!                                  └───── penalties ───────▶ admission
//! ```
//!
//! Root is trusted, but not to be quick: a few connections at a time, each with a deadline. All that
//! one can do is to make other administrators wait for that long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use journal::{RateLimit, Verdict};
use rpc::admin::{self, AdminFace, Exempt, Kill, Penalties, Penalty, Reload, Status};
use rpc::peer::{self, Credentials};
use rpc::{ConnectionId, Network, ServeEnd, Violation};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::admission::{Admission, Exemption, Force, Listed};
use crate::audit;
use crate::connections::{Administrator, Connections};

/// Administrators at a time; more of them wait in the socket's backlog.
const ADMINISTRATORS: usize = 8;

/// How long one connection may last. Longer than [`admin::DEADLINE`], after which nobody listens.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// What only the server's loop can answer.
#[derive(Debug)]
pub enum Question {
    /// Read the configuration again.
    Reload(Administrator, oneshot::Sender<Reload>),
    /// What the server does.
    Status(oneshot::Sender<Status>),
}

/// Why a connection is closed unanswered.
#[derive(Debug, Error)]
enum Stranger {
    #[error("it cannot be identified: {0}")]
    Unknown(#[from] io::Error),
    #[error("user id {0} connected, not root")]
    Uid(u32),
}

/// Serves administrators, each for as long as `patience`; never ends. What it cannot answer goes to
/// `questions`.
pub async fn accept(
    listener: UnixListener,
    connections: Connections,
    admission: Admission,
    questions: mpsc::Sender<Question>,
    patience: Duration,
) {
    static STRANGERS: RateLimit = RateLimit::new(10, Duration::from_secs(60));
    let places = Arc::new(Semaphore::new(ADMINISTRATORS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _unnamed)) => stream,
            Err(error) => {
                warn!("admin socket: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let face = identify(peer::credentials(&stream)).map(|administrator| Face {
            administrator,
            connections: connections.clone(),
            admission: admission.clone(),
            questions: questions.clone(),
        });
        match face {
            Ok(face) => {
                tokio::spawn(async move {
                    serve(stream, face, patience).await;
                    drop(place);
                });
            }
            Err(stranger) => {
                if let Verdict::Log { suppressed } = STRANGERS.check() {
                    warn!(suppressed, "admin socket: connection closed: {stranger}");
                }
            }
        }
    }
}

/// Root, and nobody else whatever the socket's mode became.
fn identify(credentials: io::Result<Credentials>) -> Result<Administrator, Stranger> {
    let Credentials { pid, uid } = credentials?;
    match uid {
        0 => Ok(Administrator {
            pid,
            login: login(pid),
        }),
        uid => Err(Stranger::Uid(uid)),
    }
}

/// Who logged in to become root, as the kernel's audit knows it; for the journal only.
fn login(pid: i32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    // 2³²-1: nobody did.
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

async fn serve(stream: UnixStream, face: Face, patience: Duration) {
    match timeout(patience, admin::serve(stream, face)).await {
        Ok(ServeEnd::PeerClosed) => {}
        Ok(ServeEnd::Violation(violation)) => warn!("admin socket: {violation}"),
        Err(_elapsed) => warn!("admin socket: a connection was open for too long, and is closed"),
    }
}

/// The face that an administrator's calls meet.
struct Face {
    administrator: Administrator,
    connections: Connections,
    admission: Admission,
    questions: mpsc::Sender<Question>,
}

impl Face {
    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Violation> {
        let (reply, answer) = oneshot::channel();
        let ended = || Violation::new("the server ends");
        let asked = self.questions.send(question(reply)).await;
        asked.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

impl AdminFace for Face {
    async fn reload(&self) -> Result<Reload, Violation> {
        self.ask(|reply| Question::Reload(self.administrator, reply))
            .await
    }

    async fn status(&self) -> Result<Status, Violation> {
        self.ask(Question::Status).await
    }

    async fn kill(&self, id: ConnectionId) -> Result<Kill, Violation> {
        Ok(self.connections.kill(id, self.administrator))
    }

    async fn penalties(&self) -> Result<Penalties, Violation> {
        let (penalties, exempt) = self.admission.list(Instant::now());
        Ok(Penalties {
            count: u64::try_from(penalties.len()).unwrap_or(u64::MAX),
            penalties: penalties.into_iter().map(penalty).collect(),
            exempt,
        })
    }

    async fn clear_penalties(&self, network: Option<Network>) -> Result<u64, Violation> {
        let count = self.admission.clear(network, Instant::now());
        audit::penalties_cleared(network, count, self.administrator);
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn exempt(&self, network: Network) -> Result<Exempt, Violation> {
        Ok(match self.admission.exempt(network) {
            Exemption::Added => {
                audit::exempted(network, self.administrator);
                Exempt::Exempted
            }
            Exemption::TooMany => Exempt::TooMany,
        })
    }
}

fn penalty(listed: Listed) -> Penalty {
    Penalty {
        source: listed.source,
        reason: listed.offence.reason().to_owned(),
        force: match listed.force {
            Force::Active => admin::Force::Active,
            Force::Deferred => admin::Force::Deferred,
        },
        left: listed.left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_root_is_an_administrator() {
        let of = |uid| identify(Ok(Credentials { pid: 1, uid }));
        assert!(of(0).is_ok());
        assert!(matches!(of(1000), Err(Stranger::Uid(1000))));
        assert!(identify(Err(io::Error::other("gone"))).is_err());
    }

    /// Who connects and says nothing has its place for a while, and no longer.
    #[tokio::test]
    async fn clients_that_hang_hold_nobody_for_ever() {
        let patience = Duration::from_millis(300);
        let directory = crate::testing::Directory::new();
        let path = directory.path("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (questions, mut asked) = mpsc::channel(1);
        tokio::spawn(accept(
            listener,
            Connections::default(),
            Admission::default(),
            questions,
            patience,
        ));
        tokio::spawn(async move {
            while let Some(question) = asked.recv().await {
                if let Question::Reload(_, reply) = question {
                    let warnings = Vec::new();
                    drop(reply.send(Reload::InForce { warnings }));
                }
            }
        });
        let began = Instant::now();
        let mut hanging = Vec::new();
        for _ in 0..ADMINISTRATORS {
            hanging.push(UnixStream::connect(&path).await.unwrap());
        }
        let next = UnixStream::connect(&path).await.unwrap();
        let mut monitor = admin::Monitor::start(next).await.unwrap();
        let reload = monitor.reload().await.unwrap();
        assert_eq!(reload, Reload::InForce { warnings: vec![] });
        assert!(began.elapsed() >= patience, "it had to wait for a place");
    }
}
