//! SIGTERM, SIGINT, SIGHUP and SIGURG as a stream of events (signalfd(2)): no handler, nothing asynchronous.

use std::io;

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{getppid, set_parent_process_death_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the service manager or the administrator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM, SIGINT: end.
    Stop(i32),
    /// SIGURG, see [`bind_to_parent`]: who started this process has ended.
    Orphaned,
}

/// Whether the process that started this one is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// It was a moment ago.
    Alive,
    /// It has ended.
    Gone,
}

/// Asks the kernel for [`Signal::Orphaned`] when the parent ends (PR_SET_PDEATHSIG).
///
/// The signal is not SIGTERM: a launcher that passes one on and ends at once would look like two of
/// them, and the second one means haste. Its number is higher, for of two that have come signalfd(2)
/// gives the lower one first, and SIGTERM after this one would be haste, too.
///
/// # Errors
/// What prctl(2) says.
pub fn bind_to_parent() -> io::Result<Parent> {
    let parent = getppid();
    set_parent_process_death_signal(Some(rustix::process::Signal::URG))?;
    // It may have ended between the two calls. Before the first, nobody hears of READY=1.
    Ok(match getppid() == parent {
        true => Parent::Alive,
        false => Parent::Gone,
    })
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
        let set = SigSet::from_iter([
            Number::SIGHUP,
            Number::SIGTERM,
            Number::SIGINT,
            Number::SIGURG,
        ]);
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
                    return Ok(match Number::try_from(number) {
                        Ok(Number::SIGHUP) => Signal::Reload,
                        Ok(Number::SIGURG) => Signal::Orphaned,
                        Ok(_) | Err(_) => Signal::Stop(number),
                    });
                }
            }
        }
    }
}
