//! Refusals take a time that says nothing about the reason.
//!
//! As OpenSSH: a refusal is answered after at least 5 ms and up to 4 ms more, which depend on the
//! user name and a secret of this process; and if that was not enough, after a multiple of it. An
//! unknown user's constant looks like a known one's, and averaging over many attempts does not help.
//!
//! Where a password was judged, work takes much longer, and differs: a hash is computed for whoever
//! has one. So such a refusal is answered at one of a few times that are the same for everybody
//! (an eighth of a second, doubled as often as is needed), and never earlier than at the latest that
//! was needed so far; and not before the time is over that PAM would have the user wait. Whether a
//! user exists can then be told at most from the few attempts that raise it.
//!
//! The first request of a connection has the user looked up, and its answer may be no refusal of
//! anything: it takes a fourth of that time in the same manner, which every login pays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use wire::userauth::UserName;

const LEAST: Duration = Duration::from_millis(5);
const SPREAD_MICROSECONDS: u32 = 4000;

/// The random generator failed.
#[derive(Debug, Clone, Copy, Error)]
#[error("random generator failed")]
pub struct NoRandomness;

/// The first time at which a wrong password is answered.
const DIALOG_LEAST: Duration = Duration::from_millis(125);

/// The latest time that later refusals wait for: as long as libpam makes them wait by default. One
/// attempt that took longer, because a server was slow, is none that all others take as long as.
const DIALOG_MOST: Duration = Duration::from_secs(2);

/// Makes refusals wait.
pub struct FailureDelay {
    secret: hmac::Key,
    /// How long wrong passwords take, in milliseconds.
    dialogs: AtomicU64,
    waits: Waits,
}

/// Whether refusals wait. Tests that walk through many of them do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Always,
    #[cfg(test)]
    Never,
}

impl FailureDelay {
    /// With a secret of its own.
    ///
    /// # Errors
    /// The random generator failed.
    pub fn new() -> Result<Self, NoRandomness> {
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            secret: secret.map_err(|_| NoRandomness)?,
            dialogs: AtomicU64::new(0),
            waits: Waits::Always,
        })
    }

    /// Makes nobody wait.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            waits: Waits::Never,
            ..Self::new().unwrap()
        }
    }

    /// Waits until it is time to answer a request of `user` that came at `asked`.
    pub async fn settle(&self, user: &UserName, asked: Instant) {
        let delay = self.of_user(user);
        self.wait_until(asked + after(delay, asked.elapsed())).await;
    }

    /// Waits until it is time to go on after `user`, who was named at `asked`, was looked up.
    pub async fn settle_lookup(&self, user: &UserName, asked: Instant) {
        let delay = self.of_user(user) / 4;
        self.wait_until(asked + after(delay, asked.elapsed())).await;
    }

    /// Waits until it is time to answer that a password, which came at `asked`, was wrong. PAM wants
    /// the user to wait for `wanted`.
    pub async fn settle_dialog(&self, asked: Instant, wanted: Duration) {
        let time = self.of_dialog(asked.elapsed()).max(wanted);
        self.wait_until(asked + time).await;
    }

    async fn wait_until(&self, time: Instant) {
        // The control of the timing test: without delays it must see who exists.
        if cfg!(feature = "without-delays") {
            return;
        }
        match self.waits {
            Waits::Always => sleep_until(time).await,
            #[cfg(test)]
            Waits::Never => {}
        }
    }

    fn of_dialog(&self, elapsed: Duration) -> Duration {
        let needed = after(DIALOG_LEAST, elapsed);
        let common = u64::try_from(needed.min(DIALOG_MOST).as_millis()).unwrap_or(u64::MAX);
        let so_far = self.dialogs.fetch_max(common, Ordering::Relaxed);
        needed.max(Duration::from_millis(so_far))
    }

    fn of_user(&self, user: &UserName) -> Duration {
        let tag = hmac::sign(&self.secret, user.as_str().as_bytes());
        let number = tag
            .as_ref()
            .first_chunk()
            .copied()
            .map_or(0, u32::from_be_bytes);
        LEAST + Duration::from_micros(u64::from(number % SPREAD_MICROSECONDS))
    }
}

/// The first multiple of a delay, doubling, that is not over.
fn after(mut delay: Duration, elapsed: Duration) -> Duration {
    while delay < elapsed {
        delay = delay.saturating_mul(2);
    }
    delay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_is_constant_per_user_and_within_its_bounds() {
        let delay = FailureDelay::new().unwrap();
        let mut different = 0;
        for name in ["root", "alice", "bob", "carol", "dave"] {
            let user = UserName::new(name).unwrap();
            let first = delay.of_user(&user);
            assert_eq!(first, delay.of_user(&user));
            assert!((LEAST..LEAST + Duration::from_millis(4)).contains(&first));
            different += usize::from(first != delay.of_user(&UserName::new("root").unwrap()));
        }
        assert!(different > 0);
    }

    #[test]
    fn wrong_passwords_take_what_the_slowest_of_them_took() {
        let (delay, ms) = (FailureDelay::new().unwrap(), Duration::from_millis);
        assert_eq!(delay.of_dialog(ms(30)), ms(125));
        assert_eq!(delay.of_dialog(ms(130)), ms(250));
        // An unknown user after a known one.
        assert_eq!(delay.of_dialog(ms(30)), ms(250));
        // A slow server makes others wait, but not for as long.
        assert_eq!(delay.of_dialog(ms(5000)), ms(8000));
        assert_eq!(delay.of_dialog(ms(30)), ms(2000));
    }

    #[test]
    fn slow_work_ends_at_a_multiple_and_not_when_it_is_done() {
        let delay = FailureDelay::new().unwrap();
        let user = UserName::new("alice").unwrap();
        let one = delay.of_user(&user);
        assert_eq!(after(one, Duration::ZERO), one);
        assert_eq!(after(one, one + Duration::from_micros(1)), one * 2);
        assert_eq!(after(one, one * 3), one * 4);
    }
}
