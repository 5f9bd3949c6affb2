//! How large a window has to be so that a client never waits for it: twice what the path holds (its bandwidth-delay
//! product), as with receive buffers of TCP.
//!
//! How long the path is shows from here: the first byte that the client could not have sent without a credit arrives a
//! round trip after the credit left, or later if the client still had something to send. So the shortest such time is the
//! round trip, and what came in a time says how much comes in a round trip.
//!
//! Only what was consumed is credited, so a slow reader makes no window grow. A client can pretend to be far away. It gets
//! what a client gets that is.

use std::time::{Duration, Instant};

/// How much comes in how long.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The shortest time that an answer to a credit took.
    round_trip: Option<Duration>,
    measurement: Option<Measurement>,
    wanted: u32,
}

/// A credit is on its way to the client, or what it permits is on its way to us.
#[derive(Debug)]
struct Measurement {
    since: Instant,
    /// What the client could send without the credit.
    before: u32,
    /// How much of it has not come yet.
    left: u32,
}

impl Pace {
    /// The client is given a credit now, and could send so much without it.
    pub(super) fn credited(&mut self, now: Instant, before: u32) {
        self.measurement.get_or_insert(Measurement {
            since: now,
            before,
            left: before,
        });
    }

    /// Whether these bytes, which have come, tell something. If so, [`Self::measured`] has to be called.
    pub(super) fn received(&mut self, count: u32) -> Told {
        let Some(measurement) = &mut self.measurement else {
            return Told::Nothing;
        };
        match measurement.left.checked_sub(count) {
            Some(left) => {
                measurement.left = left;
                Told::Nothing
            }
            None => Told::Something,
        }
    }

    /// What was measured counts.
    pub(super) fn measured(&mut self, now: Instant) {
        let Some(Measurement { since, before, .. }) = self.measurement.take() else {
            return;
        };
        let time = now.saturating_duration_since(since);
        let round_trip = self.round_trip.map_or(time, |shortest| shortest.min(time));
        self.round_trip = Some(round_trip);
        let per_round_trip = u128::from(before) * round_trip.as_nanos() / time.as_nanos().max(1);
        let wanted = u32::try_from(2 * per_round_trip).unwrap_or(u32::MAX);
        self.wanted = self.wanted.max(wanted);
    }

    /// The window that the client would make use of, as far as is known.
    pub(super) fn wanted(&self) -> u32 {
        self.wanted
    }
}

/// Whether a measurement has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Something,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 1 << 20;

    /// A client that sends as fast as the path and the window permit, to a reader that reads at once: the window that it
    /// has in the end. `rate` is in MiB for each second.
    fn settled(rate: u32, round_trip: Duration) -> u32 {
        let (mut pace, mut now, mut window) = (Pace::default(), Instant::now(), 2 * MIB);
        for _ in 0..50 {
            let before = window / 8 * 7;
            pace.credited(now, before);
            let sending = Duration::from_secs_f64(f64::from(before) / f64::from(MIB)) / rate;
            now += sending.max(round_trip);
            assert_eq!(pace.received(before), Told::Nothing);
            assert_eq!(pace.received(1), Told::Something);
            pace.measured(now);
            window = window.max(pace.wanted());
        }
        window / MIB
    }

    #[test]
    fn a_window_comes_to_hold_what_the_path_does_and_no_more_than_twice_that() {
        for (rate, milliseconds, holds) in [(100, 50, 5), (100, 200, 20), (1000, 50, 50)] {
            let window = settled(rate, Duration::from_millis(milliseconds));
            assert!(
                (holds..=2 * holds).contains(&window),
                "{window} MiB for {holds}"
            );
        }
    }

    #[test]
    fn a_short_path_needs_no_larger_window() {
        for rate in [10, 100, 1000] {
            let window = settled(rate, Duration::from_micros(100));
            assert!(window <= 4, "{window} MiB");
        }
    }

    #[test]
    fn a_reader_that_is_slow_makes_no_window_grow() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let round_trip = Duration::from_millis(50);
        // Its queue is full: the client can send what was just read, and does so a round trip later.
        for turn in 0..1000 {
            let now = now + turn * round_trip;
            pace.credited(now, 0);
            assert_eq!(pace.received(MIB / 4), Told::Something);
            pace.measured(now + round_trip);
        }
        assert_eq!(pace.wanted(), 0);
    }
}
