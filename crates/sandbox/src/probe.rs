//! Attempts at what a cage must refuse, by name (feature `probe`, tests only).
//!
//! An attempt is made from inside by [`attempt`], in the process whose cage is examined. A call that the cage kills for
//! never returns, so whoever asks for an attempt waits for one of three ends: an [`Outcome`], or death by SIGSYS.
//! [`Attempt::expected`] says which of them a role must show.
//!
//! In a real worker the attempts are made by a test build (feature `cage-probe` of crate `preauth`), which calls
//! [`reached`] in each phase of a connection; the environment says what to try where ([`PLAN_VARIABLE`]).
//!
//! Each attempt ends in the one system call that it is named for, through safe wrappers only. What has no safe wrapper
//! (executable memory, io_uring, bpf) is tested on the compiled filter instead.

mod paths;
mod phase;
mod processes;
mod sockets;

use std::io;

use crate::Role;

pub use phase::{PLAN_VARIABLE, Phase, reached};

/// Something that a caged process may try.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Short and stable: tests and journals refer to it.
    pub name: &'static str,
    /// What a worker must see.
    pub preauth: Expected,
    /// What a monitor must see.
    pub monitor: Expected,
    /// What an SFTP server must see. What would change a file says nothing about it: that is its work.
    pub sftp: Expected,
    run: fn() -> io::Result<()>,
}

/// Every attempt.
pub fn attempts() -> impl Iterator<Item = &'static Attempt> {
    [paths::ATTEMPTS, sockets::ATTEMPTS, processes::ATTEMPTS]
        .into_iter()
        .flatten()
}

impl Attempt {
    const fn new(
        name: &'static str,
        preauth: Expected,
        monitor: Expected,
        sftp: Expected,
        run: fn() -> io::Result<()>,
    ) -> Self {
        Self {
            name,
            preauth,
            monitor,
            sftp,
            run,
        }
    }

    /// What `role` must see.
    #[must_use]
    pub const fn expected(&self, role: Role) -> Expected {
        match role {
            Role::Preauth => self.preauth,
            Role::Monitor => self.monitor,
            Role::Sftp => self.sftp,
        }
    }
}

/// What must come of an [`Attempt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The process dies of SIGSYS.
    Killed,
    /// The call fails with this errno and does nothing.
    Refused(i32),
    /// The role needs it: the call works.
    Works,
    /// The attempt says nothing about this role.
    Unspecified,
}

/// What came of an [`Attempt`] that the process survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call failed with this errno.
    Refused(i32),
    /// The call worked.
    Worked,
    /// There is no such attempt.
    Unknown,
}

/// Makes one attempt. It does not return if the cage kills for it.
#[must_use]
pub fn attempt(name: &str) -> Outcome {
    let Some(attempt) = attempts().find(|attempt| attempt.name == name) else {
        return Outcome::Unknown;
    };
    match (attempt.run)() {
        Ok(()) => Outcome::Worked,
        // Every attempt ends in one system call, so an error without an errno is the attempt's own mistake.
        Err(error) => Outcome::Refused(error.raw_os_error().unwrap_or(0)),
    }
}
