//! A budget that refills with time.

use std::time::Duration;

use tokio::time::Instant;

/// At most `burst` at once, and `rate` per second in the long run.
///
/// Takes the time as an argument, so that it can be tested without waiting.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    burst: f64,
    rate: f64,
    tokens: f64,
    updated: Instant,
}

impl TokenBucket {
    /// A full bucket. A `rate` of zero never refills.
    pub fn new(burst: u32, rate: u32, now: Instant) -> Self {
        Self {
            burst: f64::from(burst),
            rate: f64::from(rate),
            tokens: f64::from(burst),
            updated: now,
        }
    }

    /// Takes one token, which may leave a debt; how long the caller must wait before it acts.
    ///
    /// `None`: never, since the bucket does not refill.
    pub fn take(&mut self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.updated = self.updated.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        if self.tokens < 1.0 && self.rate == 0.0 {
            return None;
        }
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(-self.tokens / self.rate).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(3, 10, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Some(Duration::ZERO));
        }
        assert_eq!(bucket.take(start), Some(Duration::from_millis(100)));
        assert_eq!(bucket.take(start), Some(Duration::from_millis(200)));
    }

    #[test]
    fn it_refills_to_the_burst_and_not_beyond() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(2, 10, start);
        let later = start + Duration::from_secs(3600);
        for _ in 0..2 {
            assert_eq!(bucket.take(later), Some(Duration::ZERO));
        }
        assert_eq!(bucket.take(later), Some(Duration::from_millis(100)));
    }

    #[test]
    fn without_a_rate_the_burst_is_all() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1, 0, start);
        assert_eq!(bucket.take(start), Some(Duration::ZERO));
        assert_eq!(bucket.take(start + Duration::from_secs(9999)), None);
    }

    #[test]
    fn a_clock_reading_from_before_adds_nothing() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut bucket = TokenBucket::new(1, 1, start);
        assert_eq!(bucket.take(start), Some(Duration::ZERO));
        assert_eq!(
            bucket.take(start - Duration::from_secs(30)),
            Some(Duration::from_secs(1))
        );
    }
}
