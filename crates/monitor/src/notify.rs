//! What the service manager, or a launcher in its place, is told (sd_notify(3)).
//!
//! A message that cannot be sent is logged and nothing else: serving goes on without an audience.
//! Only a second instance makes more of it, for its launcher must have ended.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Whether somebody heard a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// It was sent, or nobody wants to be told.
    Present,
    /// Somebody wanted to be told and is not there.
    Gone,
}

/// The monitor serves, or serves again after a reload.
pub fn ready(status: &str) -> Audience {
    send(&[NotifyState::Ready, NotifyState::Status(status)])
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    // Type=notify-reload of systemd 253 and later wants the time with it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    };
}

/// The monitor is about to end.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// A line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// The event loop is alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is due: half of WatchdogSec=. `None` if there is no watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn send(state: &[NotifyState<'_>]) -> Audience {
    match sd_notify::notify(state) {
        Ok(()) => Audience::Present,
        Err(error) => {
            warn!("the service manager cannot be notified: {error}");
            Audience::Gone
        }
    }
}
