//! MaxStartups: whether a client gets a worker, decided before one is spent.
//!
//! A [`Ticket`] stands for one unauthenticated connection. It is given back by dropping it, at login
//! or when the connection ends, whatever way it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use config::sshd::MaxStartups;

/// Counts the connections that have not authenticated yet.
#[derive(Debug, Default, Clone)]
pub struct Admission {
    unauthenticated: Arc<AtomicU32>,
}

/// One unauthenticated connection.
#[derive(Debug)]
pub struct Ticket {
    unauthenticated: Arc<AtomicU32>,
}

/// What becomes of a new connection.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on.
    Admitted(Ticket),
    /// It is dropped; so many were unauthenticated already.
    Dropped {
        /// "#N" of the log line.
        number: u32,
    },
}

impl Admission {
    /// Decides about one new connection. `roll` is a random number below 100.
    pub fn decide(&self, limits: MaxStartups, roll: u32) -> Verdict {
        let number = self.unauthenticated.load(Ordering::Relaxed);
        if roll < drop_percentage(limits, number) {
            return Verdict::Dropped { number };
        }
        Verdict::Admitted(self.admit())
    }

    /// Lets a connection in that somebody else has accepted and answers for.
    pub fn admit(&self) -> Ticket {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
        Ticket {
            unauthenticated: Arc::clone(&self.unauthenticated),
        }
    }

    /// How many connections have not authenticated.
    pub fn unauthenticated(&self) -> u32 {
        self.unauthenticated.load(Ordering::Relaxed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.unauthenticated.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The chance in percent that a connection is dropped while `number` are unauthenticated
/// (sshd_config(5), MaxStartups): nothing below `start`, from `rate` at `start` linearly to all at
/// `full`. Integer arithmetic as in sshd, so that the numbers are the same.
fn drop_percentage(limits: MaxStartups, number: u32) -> u32 {
    let MaxStartups { start, rate, full } = limits;
    if number < start {
        return 0;
    }
    if number >= full || rate >= 100 {
        return 100;
    }
    let (above, span) = (u64::from(number - start), u64::from(full - start));
    let share = u64::from(100 - rate) * above / span.max(1);
    rate.saturating_add(u32::try_from(share).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MaxStartups = MaxStartups {
        start: 10,
        rate: 30,
        full: 100,
    };

    #[test]
    fn chance_grows_linearly_from_rate_at_start_to_all_at_full() {
        for (number, percent) in [
            (0, 0),
            (9, 0),
            (10, 30),
            (55, 65),
            (99, 99),
            (100, 100),
            (u32::MAX, 100),
        ] {
            assert_eq!(drop_percentage(LIMITS, number), percent, "at {number}");
        }
    }

    #[test]
    fn start_equal_to_full_is_a_plain_limit() {
        let plain = MaxStartups {
            start: 10,
            rate: 30,
            full: 10,
        };
        assert_eq!(drop_percentage(plain, 9), 0);
        assert_eq!(drop_percentage(plain, 10), 100);
    }

    #[test]
    fn the_roll_decides_at_the_chance() {
        let admission = Admission::default();
        let tickets: Vec<Verdict> = (0..10).map(|_| admission.decide(LIMITS, 0)).collect();
        assert!(tickets.iter().all(|v| matches!(v, Verdict::Admitted(_))));
        assert!(matches!(
            admission.decide(LIMITS, 29),
            Verdict::Dropped { number: 10 }
        ));
        assert!(matches!(admission.decide(LIMITS, 30), Verdict::Admitted(_)));
    }

    #[test]
    fn a_dropped_ticket_makes_room() {
        let admission = Admission::default();
        let one = MaxStartups {
            start: 1,
            rate: 100,
            full: 1,
        };
        let ticket = admission.decide(one, 99);
        assert_eq!(admission.unauthenticated(), 1);
        assert!(matches!(
            admission.decide(one, 99),
            Verdict::Dropped { number: 1 }
        ));
        drop(ticket);
        assert!(matches!(admission.decide(one, 99), Verdict::Admitted(_)));
    }
}
