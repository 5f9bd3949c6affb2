//! The connections that live: what an administrator sees of them, and may end.
//!
//! Each task of a connection holds its [`Entry`] and writes into it; the entry goes with the task.
//! Nothing is decided by what stands here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::Escaped;
use rpc::ConnectionId;
use rpc::admin::{self, Kill};
use tokio::sync::SetOnce;
use tokio::time::Instant;

use crate::open_session::Origin;
use crate::phase::Phase;

/// All of them. There are at most as many as workers and clients that wait for one.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Register>>);

#[derive(Default)]
struct Register {
    /// The number of the next one: lines are in the order of their arrival.
    next: u64,
    lines: BTreeMap<u64, Line>,
}

struct Line {
    origin: Origin,
    since: Instant,
    worker_unit: Option<String>,
    seen: Seen,
    killed: Arc<SetOnce<Administrator>>,
}

/// How far a connection was when it was last looked at.
struct Seen {
    phase: admin::Phase,
    user: Option<String>,
    session_unit: Option<String>,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Administrator {
    /// The process that asked, which root runs.
    pub pid: i32,
    /// With which user id its person logged in (audit's `loginuid`), if that is known.
    pub login: Option<u32>,
}

/// One connection's line, for as long as its task holds it.
pub struct Entry {
    connections: Connections,
    number: u64,
    killed: Arc<SetOnce<Administrator>>,
}

impl Connections {
    /// A connection was accepted.
    pub fn enter(&self, origin: Origin) -> Entry {
        let killed = Arc::new(SetOnce::new());
        let line = Line {
            origin,
            since: Instant::now(),
            worker_unit: None,
            seen: Seen {
                phase: admin::Phase::Waiting,
                user: None,
                session_unit: None,
            },
            killed: Arc::clone(&killed),
        };
        let mut register = self.lock();
        let number = register.next;
        register.next = number.wrapping_add(1);
        register.lines.insert(number, line);
        Entry {
            connections: self.clone(),
            number,
            killed,
        }
    }

    /// What there is, the oldest first.
    pub fn list(&self) -> Vec<admin::Connection> {
        let show = |line: &Line| admin::Connection {
            id: line.origin.id,
            endpoints: line.origin.endpoints,
            phase: line.seen.phase,
            age: line.since.elapsed(),
            user: line.seen.user.clone(),
            worker_unit: line.worker_unit.clone(),
            session_unit: line.seen.session_unit.clone(),
        };
        self.lock().lines.values().map(show).collect()
    }

    /// Tells a connection's task to end it.
    pub fn kill(&self, id: ConnectionId, by: Administrator) -> Kill {
        let register = self.lock();
        match register.lines.values().find(|line| line.origin.id == id) {
            None => Kill::NoSuchConnection,
            Some(line) => {
                // If another administrator was faster, the connection ends for them.
                let _first = line.killed.set(by);
                Kill::Ending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// A worker has the connection now.
    pub fn assigned(&self, unit: &str) {
        self.update(|line| {
            line.worker_unit = Some(unit.to_owned());
            line.seen.phase = admin::Phase::KeyExchange;
        });
    }

    /// The connection came as far as this.
    pub fn seen(&self, phase: &Phase) {
        self.update(|line| line.seen.look(phase));
    }

    /// Waits until an administrator wants the connection to end.
    pub async fn killed(&self) -> Administrator {
        *self.killed.wait().await
    }

    fn update(&self, update: impl FnOnce(&mut Line)) {
        if let Some(line) = self.connections.lock().lines.get_mut(&self.number) {
            update(line);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.lock().lines.remove(&self.number);
    }
}

impl Seen {
    fn look(&mut self, phase: &Phase) {
        if let Some(user) = phase.user() {
            // A stranger's text on an administrator's terminal.
            self.user = Some(Escaped::word(user).to_string());
        }
        self.phase = match phase {
            Phase::AwaitingExchange => admin::Phase::KeyExchange,
            Phase::Authenticating(_) => admin::Phase::Authenticating,
            Phase::Exhausted(_) => admin::Phase::Exhausted,
            Phase::Denied(_) => admin::Phase::Over,
            Phase::Open(open) => {
                self.session_unit = Some(open.session.unit.clone());
                admin::Phase::Open
            }
            Phase::Over => admin::Phase::Over,
        };
    }
}

impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.login {
            Some(uid) => write!(f, "user id {uid} as root, process {}", self.pid),
            None => write!(f, "root, process {}", self.pid),
        }
    }
}

#[cfg(test)]
mod tests {
    use rpc::Endpoints;

    use super::*;

    const ROOT: Administrator = Administrator {
        pid: 1,
        login: None,
    };

    fn origin(byte: u8) -> Origin {
        Origin {
            id: ConnectionId::from_bytes([byte; 8]),
            endpoints: Endpoints::UNKNOWN,
            rdomain: None,
        }
    }

    #[tokio::test]
    async fn connections_are_listed_in_their_order_until_they_end() {
        let connections = Connections::default();
        let ids = || {
            let list = connections.list().into_iter();
            list.map(|connection| connection.id).collect::<Vec<_>>()
        };
        let (first, second) = (connections.enter(origin(9)), connections.enter(origin(1)));
        second.assigned("a.service");
        assert_eq!(ids(), [origin(9).id, origin(1).id]);
        drop(first);
        assert_eq!(ids(), [origin(1).id]);
        let list = connections.list();
        assert_eq!(list[0].phase, admin::Phase::KeyExchange);
        assert_eq!(list[0].worker_unit.as_deref(), Some("a.service"));
        drop(second);
        assert!(ids().is_empty());
    }

    #[tokio::test]
    async fn a_connection_is_killed_by_its_own_name_only() {
        let connections = Connections::default();
        let entry = connections.enter(origin(1));
        assert_eq!(connections.kill(origin(2).id, ROOT), Kill::NoSuchConnection);
        assert!(entry.killed.get().is_none());
        assert_eq!(connections.kill(origin(1).id, ROOT), Kill::Ending);
        assert_eq!(entry.killed().await, ROOT);
    }
}
