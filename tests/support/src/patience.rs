//! How long tests wait for what must happen.
//!
//! The deadlines in tests say how long a thing may take on a machine that does nothing else. Whoever runs tests side by
//! side says so in a variable of their environment, and all of these deadlines become longer: what never happens fails
//! all the same, only later.

use std::sync::LazyLock;
use std::time::Duration;

/// A number, by which deadlines are multiplied. Without it, or with what is not a number from 1 to 100, they stay.
pub const VARIABLE: &str = "SSHD_PRIVSEP_TEST_PATIENCE";

static FACTOR: LazyLock<u32> = LazyLock::new(|| {
    let said = std::env::var(VARIABLE).ok();
    let factor = said.and_then(|said| said.parse().ok());
    factor
        .filter(|factor| (1..=100).contains(factor))
        .unwrap_or(1)
});

/// The deadline as it holds here.
#[must_use]
pub fn stretched(deadline: Duration) -> Duration {
    deadline.saturating_mul(*FACTOR)
}
