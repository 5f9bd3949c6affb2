//! SIGTERM and SIGHUP, by which systemd and logind end a session, as an event (signalfd(2)): what the session has made
//! (sockets, the agent's directory) is removed before it goes.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The signals, waiting to be read.
#[derive(Debug)]
pub struct Termination(AsyncFd<SignalFd>);

impl Termination {
    /// Blocks the signals for this thread, and for those that it starts from now on. The second stage unblocks them for
    /// programs.
    ///
    /// # Errors
    /// What sigprocmask(2) or signalfd(2) say, or no reactor.
    #[expect(
        deprecated,
        reason = "what is unsound for other types holds for SignalFd: it owns its descriptor"
    )]
    pub fn new() -> io::Result<Self> {
        let set = SigSet::from_iter([Signal::SIGTERM, Signal::SIGHUP]);
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&set, flags)?;
        let descriptor = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        Ok(Self(descriptor))
    }

    /// Waits for the first one.
    pub async fn requested(&self) {
        // Without a reactor nothing goes on.
        drop(self.0.readable().await);
    }
}
