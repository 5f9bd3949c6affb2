//! How many workers there are and how many there should be.

use std::sync::{Arc, Mutex, PoisonError};

use config::sshd::WorkerPool;
use tokio::sync::Notify;

/// Workers by what they do, and clients that wait for one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Started, not heard of yet.
    pub starting: u32,
    /// Waiting for a client.
    pub idle: u32,
    /// Serving a client.
    pub busy: u32,
    /// Clients that wait for a worker.
    pub waiting: u32,
}

/// What the pool is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Clients that come at any time: as many workers wait as is configured.
    Any,
    /// One client.
    One,
    /// Those who wait already.
    Drain,
}

impl Demand {
    /// What is left of the configured numbers.
    pub(super) fn limit(self, configured: WorkerPool) -> WorkerPool {
        let (idle, max) = match self {
            Self::Any => return configured,
            Self::One => (1, 1),
            Self::Drain => (0, configured.max),
        };
        WorkerPool {
            idle,
            max,
            ..configured
        }
    }
}

impl Census {
    /// How many workers to start now: enough for those who wait and for the reserve, within the
    /// bound on all of them.
    pub fn deficit(&self, limits: WorkerPool) -> u32 {
        let wanted = limits.idle.saturating_add(self.waiting);
        let coming = self.starting.saturating_add(self.idle);
        let room = limits.max.saturating_sub(coming.saturating_add(self.busy));
        wanted.saturating_sub(coming).min(room)
    }

    fn place(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Starting => &mut self.starting,
            Kind::Idle => &mut self.idle,
            Kind::Busy => &mut self.busy,
            Kind::Waiting => &mut self.waiting,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Starting,
    Idle,
    Busy,
    Waiting,
}

/// The census as it changes.
#[derive(Debug, Default, Clone)]
pub(super) struct Register(Arc<RegisterState>);

#[derive(Debug, Default)]
struct RegisterState {
    census: Mutex<Census>,
    changed: Notify,
}

/// One entry in the register; it leaves with its value, whatever way that goes.
#[derive(Debug)]
pub(super) struct Entry {
    register: Register,
    kind: Kind,
}

impl Register {
    pub(super) fn enter(&self, kind: Kind) -> Entry {
        self.update(|census| {
            let count = census.place(kind);
            *count = count.saturating_add(1);
        });
        Entry {
            register: self.clone(),
            kind,
        }
    }

    pub(super) fn census(&self) -> Census {
        *self.0.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change. One that came since the last call counts.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn update(&self, change: impl FnOnce(&mut Census)) {
        change(&mut self.0.census.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.notify_one();
    }
}

impl Entry {
    /// The same entry, counted as something else.
    pub(super) fn turn_into(self, kind: Kind) -> Self {
        // Entered before the other leaves: the sum must never look smaller than it is.
        self.register.enter(kind)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.register.update(|census| {
            let count = census.place(self.kind);
            *count = count.saturating_sub(1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WorkerPool = WorkerPool {
        idle: 4,
        max: 10,
        start_rate: 20,
    };

    fn deficit(starting: u32, idle: u32, busy: u32, waiting: u32) -> u32 {
        Census {
            starting,
            idle,
            busy,
            waiting,
        }
        .deficit(LIMITS)
    }

    #[test]
    fn the_reserve_is_refilled() {
        assert_eq!(deficit(0, 0, 0, 0), 4);
        assert_eq!(deficit(1, 2, 0, 0), 1);
        assert_eq!(deficit(0, 4, 0, 0), 0);
        assert_eq!(deficit(0, 9, 0, 0), 0);
    }

    #[test]
    fn waiting_clients_come_on_top_of_the_reserve() {
        assert_eq!(deficit(0, 0, 0, 3), 7);
        assert_eq!(deficit(4, 0, 0, 3), 3);
    }

    #[test]
    fn the_bound_on_all_workers_holds() {
        assert_eq!(deficit(0, 0, 8, 100), 2);
        assert_eq!(deficit(2, 0, 8, 100), 0);
        assert_eq!(deficit(0, 0, 50, 1), 0);
    }

    #[test]
    fn one_client_costs_one_worker() {
        let limits = Demand::One.limit(LIMITS);
        let deficit = |starting, busy, waiting| {
            let census = Census {
                starting,
                busy,
                waiting,
                ..Census::default()
            };
            census.deficit(limits)
        };
        assert_eq!(deficit(0, 0, 0), 1);
        assert_eq!(deficit(0, 0, 1), 1);
        assert_eq!(deficit(1, 0, 1), 0);
        assert_eq!(deficit(0, 1, 0), 0);
    }

    #[test]
    fn entries_count_until_they_are_dropped() {
        let register = Register::default();
        let entry = register.enter(Kind::Starting);
        let entry = entry.turn_into(Kind::Idle);
        assert_eq!((register.census().starting, register.census().idle), (0, 1));
        drop(entry);
        assert_eq!(register.census(), Census::default());
    }
}
