//! A bound on what a stranger can make the server log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most `burst` entries per `interval` for one place in the source; the others are counted.
///
/// ```
/// use journal::{RateLimit, Verdict};
/// use std::time::Duration;
///
/// static GARBAGE: RateLimit = RateLimit::new(20, Duration::from_secs(10));
///
/// if let Verdict::Log { suppressed } = GARBAGE.check() {
///     tracing::info!(suppressed, "banner exchange: invalid format");
/// }
/// ```
///
/// Decisions (accepted, failed, invalid user) are bounded by admission and MaxAuthTries already; the limit is for what
/// costs a stranger nothing.
#[derive(Debug)]
pub struct RateLimit {
    burst: u32,
    interval: Duration,
    window: Mutex<Option<Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: Instant,
    admitted: u32,
    suppressed: u64,
}

/// What to do with one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Log it.
    Log {
        /// How many entries were held back since the last one that was logged; none if none were, so that the event has
        /// this field only when it says something.
        suppressed: Option<u64>,
    },
    /// Be silent; it has been counted.
    Suppress,
}

impl RateLimit {
    /// `burst` entries per `interval`.
    #[must_use]
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self {
            burst,
            interval,
            window: Mutex::new(None),
        }
    }

    /// Asks for one entry now.
    pub fn check(&self) -> Verdict {
        self.check_at(Instant::now())
    }

    fn check_at(&self, now: Instant) -> Verdict {
        // A panic while the lock was held leaves three numbers behind, each of them valid.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = match *window {
            Some(current) if now.saturating_duration_since(current.start) < self.interval => {
                current
            }
            earlier => Window {
                start: now,
                admitted: 0,
                suppressed: earlier.map_or(0, |earlier| earlier.suppressed),
            },
        };
        let verdict = if current.admitted < self.burst {
            current.admitted = current.admitted.saturating_add(1);
            let suppressed = std::mem::take(&mut current.suppressed);
            Verdict::Log {
                suppressed: (suppressed > 0).then_some(suppressed),
            }
        } else {
            current.suppressed = current.suppressed.saturating_add(1);
            Verdict::Suppress
        };
        *window = Some(current);
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_back_what_exceeds_the_burst_and_tells_how_much() {
        let limit = RateLimit::new(2, Duration::from_secs(10));
        let start = Instant::now();
        assert_eq!(limit.check_at(start), Verdict::Log { suppressed: None });
        assert_eq!(limit.check_at(start), Verdict::Log { suppressed: None });
        for second in 0..5 {
            assert_eq!(
                limit.check_at(start + Duration::from_secs(second)),
                Verdict::Suppress
            );
        }
        let later = start + Duration::from_secs(10);
        assert_eq!(
            limit.check_at(later),
            Verdict::Log {
                suppressed: Some(5)
            }
        );
        assert_eq!(limit.check_at(later), Verdict::Log { suppressed: None });
        assert_eq!(limit.check_at(later), Verdict::Suppress);
    }

    #[test]
    fn a_clock_reading_from_before_does_not_open_a_new_window() {
        let limit = RateLimit::new(1, Duration::from_secs(10));
        let start = Instant::now();
        assert_eq!(
            limit.check_at(start + Duration::from_secs(5)),
            Verdict::Log { suppressed: None }
        );
        assert_eq!(limit.check_at(start), Verdict::Suppress);
    }
}
