//! What is said while connections are dropped by MaxStartups: that it begins, now and then that it
//! goes on, and that it is over. The lines are sshd's, so that a flood is some of them and not one for
//! each connection. Unlike sshd this counts the interval from the last line and not from the last
//! connection: the longest flood would be the one that is told once.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Time between two lines about the same flood.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Whether connections are being dropped.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Throttling {
    /// No.
    #[default]
    Off,
    /// Yes.
    On {
        since: Instant,
        /// When something was said of it.
        said: Instant,
        dropped: u64,
    },
}

/// What is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The first connection is dropped.
    Begins,
    /// One of many is.
    GoesOn(Flood),
    /// There is room again.
    IsOver(Flood),
}

/// For how long, and how many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood {
    time: Duration,
    dropped: u64,
}

impl Throttling {
    /// A connection is dropped now.
    pub(super) fn drop_one(&mut self, now: Instant) -> Option<Remark> {
        match self {
            Self::Off => {
                *self = Self::On {
                    since: now,
                    said: now,
                    dropped: 1,
                };
                Some(Remark::Begins)
            }
            Self::On {
                since,
                said,
                dropped,
            } => {
                *dropped = dropped.saturating_add(1);
                if now.saturating_duration_since(*said) < INTERVAL {
                    return None;
                }
                *said = now;
                Some(Remark::GoesOn(Flood {
                    time: now.saturating_duration_since(*since),
                    dropped: *dropped,
                }))
            }
        }
    }

    /// A connection is let in, and there are clearly less of them than where dropping begins.
    pub(super) fn relax(&mut self, now: Instant) -> Option<Remark> {
        match std::mem::take(self) {
            Self::Off => None,
            Self::On { since, dropped, .. } => Some(Remark::IsOver(Flood {
                time: now.saturating_duration_since(since),
                dropped,
            })),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins => f.write_str("beginning MaxStartups throttling"),
            Self::GoesOn(flood) => write!(f, "in MaxStartups throttling for {flood}"),
            Self::IsOver(flood) => write!(f, "exited MaxStartups throttling after {flood}"),
        }
    }
}

/// `00:01:05, 7 connections dropped`, the time as fmt_timeframe() of OpenSSH has it.
impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (days / 7, days) {
            (0, 0) => write!(f, "{hours:02}:{:02}:{:02}", minutes % 60, seconds % 60)?,
            (0, _) => write!(f, "{days}d{:02}h{:02}m", hours % 24, minutes % 60)?,
            (weeks, _) => write!(f, "{weeks:02}w{}d{:02}h", days % 7, hours % 24)?,
        }
        write!(f, ", {} connections dropped", self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_at_its_beginning_now_and_then_and_at_its_end() {
        let (mut throttling, start) = (Throttling::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(throttling.relax(at(0)), None);
        assert_eq!(throttling.drop_one(at(0)), Some(Remark::Begins));
        assert_eq!(throttling.drop_one(at(100)), None);
        assert_eq!(throttling.drop_one(at(299)), None);
        let said = throttling.drop_one(at(311)).unwrap().to_string();
        assert_eq!(
            said,
            "in MaxStartups throttling for 00:05:11, 4 connections dropped"
        );
        assert_eq!(throttling.drop_one(at(600)), None);
        let said = throttling.relax(at(3703)).unwrap().to_string();
        assert_eq!(
            said,
            "exited MaxStartups throttling after 01:01:43, 5 connections dropped"
        );
        assert_eq!(throttling.relax(at(704)), None);
        assert_eq!(throttling.drop_one(at(705)), Some(Remark::Begins));
    }

    #[test]
    fn a_long_flood_is_told_in_larger_units() {
        let text = |seconds| {
            let flood = Flood {
                time: Duration::from_secs(seconds),
                dropped: 1,
            };
            flood.to_string().split(',').next().unwrap().to_owned()
        };
        assert_eq!(text(86_399), "23:59:59");
        assert_eq!(text(86_400 + 3600), "1d01h00m");
        assert_eq!(text(86_400 * 16 + 60), "02w2d00h");
    }
}
