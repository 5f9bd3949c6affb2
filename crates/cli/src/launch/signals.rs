//! SIGHUP, SIGTERM and their kin as events of a descriptor (signalfd(2)): no handler, nothing asynchronous.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM, SIGINT, SIGQUIT: stop listening and go.
    Stop(Stop),
    /// SIGCHLD: a monitor may have ended.
    Child,
}

/// How the end was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// SIGTERM, the orderly one.
    Terminate,
    /// Another one.
    Interrupt,
}

/// The signals, blocked and waiting to be read. A monitor inherits the block, and has its own descriptor for them.
#[derive(Debug)]
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Blocks them. To be called by the only thread: those that are started later inherit the mask.
    pub(super) fn block() -> io::Result<Self> {
        let set = SigSet::from_iter([
            Number::SIGHUP,
            Number::SIGTERM,
            Number::SIGINT,
            Number::SIGQUIT,
            Number::SIGCHLD,
        ]);
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// The next one that has come; none if there is none now.
    pub(super) fn next(&mut self) -> io::Result<Option<Signal>> {
        let Some(info) = self.0.read_signal()? else {
            return Ok(None);
        };
        let is = |number: Number| u32::try_from(number as i32) == Ok(info.ssi_signo);
        Ok(Some(match () {
            () if is(Number::SIGHUP) => Signal::Reload,
            () if is(Number::SIGCHLD) => Signal::Child,
            () if is(Number::SIGTERM) => Signal::Stop(Stop::Terminate),
            () => Signal::Stop(Stop::Interrupt),
        }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
