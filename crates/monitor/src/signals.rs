//! SIGTERM, SIGINT and SIGHUP as a stream of events (signalfd(2)): no handler, nothing asynchronous.

use std::io;

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the service manager or the administrator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM, SIGINT: end.
    Stop(i32),
}

/// The signals, blocked and waiting to be read.
pub struct Blocked(SignalFd);

/// The signals inside of a runtime.
pub struct Signals(AsyncFd<SignalFd>);

impl Blocked {
    /// Blocks the signals and opens their descriptor. To be called by the only thread: those that
    /// are started later inherit the mask.
    ///
    /// # Errors
    /// What sigprocmask(2) or signalfd(2) say.
    pub fn new() -> io::Result<Self> {
        let set = SigSet::from_iter([Number::SIGHUP, Number::SIGTERM, Number::SIGINT]);
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// Takes them into the current runtime.
    ///
    /// # Errors
    /// No reactor.
    #[expect(
        deprecated,
        reason = "what is unsound for other types holds for SignalFd: it owns its descriptor"
    )]
    pub fn listen(self) -> io::Result<Signals> {
        Ok(Signals(AsyncFd::with_interest(self.0, Interest::READABLE)?))
    }
}

impl Signals {
    /// Waits for the next one.
    ///
    /// # Errors
    /// What read(2) says.
    pub async fn next(&mut self) -> io::Result<Signal> {
        loop {
            let mut ready = self.0.readable_mut().await?;
            match ready.get_inner_mut().read_signal()? {
                None => ready.clear_ready(),
                Some(info) => {
                    let number = i32::try_from(info.ssi_signo).unwrap_or(0);
                    return Ok(match number == Number::SIGHUP as i32 {
                        true => Signal::Reload,
                        false => Signal::Stop(number),
                    });
                }
            }
        }
    }
}
