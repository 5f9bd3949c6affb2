//! The construction of a cage, in the one order that works, and the token that proves it.

use std::fs::File;
use std::io;

use rustix::process::getpid;
use rustix::thread::{SecureComputingMode, secure_computing_mode};

use crate::filter::{Filter, FilterError};
use crate::privileges::{self, PrivilegeError};
use crate::roles::{Files, Role};
use crate::ruleset::{self, RulesetError};
use crate::status::{StatusError, StatusPage};

/// The cage could not be built or does not hold. The process must end: what it was going to do needs the cage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Landlock binds the thread that asks for it and those it starts later, so a thread that exists already would stay outside.
    #[error("{0} threads are running: the cage must be entered by the only one")]
    Threads(u32),
    /// The kernel's own account of the process cannot be had.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A privilege could not be given up.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Landlock is missing or does not hold.
    #[error(transparent)]
    Landlock(#[from] RulesetError),
    /// The system call filter is missing.
    #[error(transparent)]
    Seccomp(#[from] FilterError),
    /// The cage was built and is not there when looked at.
    #[error("the cage does not hold: {0}")]
    Leak(&'static str),
}

/// Proof that this process is in the cage of a role.
///
/// Only [`enter`] makes one, once. Drivers take it by value, so that a path to their code that does not go through the
/// cage does not compile.
#[derive(Debug)]
pub struct Sandboxed {
    role: Role,
}

impl Sandboxed {
    /// Whose cage it is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }
}

/// Locks this process into the cage of `role`, for good.
///
/// To be called by the only thread, after everything that needs a path or a new socket (the journal's socket, standard
/// streams) is open, and before the runtime exists.
///
/// # Errors
///
/// Any error leaves the process partly restricted and useless: report it and exit. There is no weaker mode to fall back to,
/// in no build.
pub fn enter(role: Role) -> Result<Sandboxed, Error> {
    enter_from_jail(role, &StatusPage::open()?)
}

/// As [`enter`], for a process whose root may have no `/proc` any more.
///
/// # Errors
///
/// As [`enter`].
pub fn enter_from_jail(role: Role, page: &StatusPage) -> Result<Sandboxed, Error> {
    let profile = role.profile();
    let threads = page.read()?.threads;
    if threads != 1 {
        return Err(Error::Threads(threads));
    }
    // Compiled before anything is closed: a wrong table must not be found out halfway.
    let filter = Filter::compile(profile.rules, profile.default, getpid())?;
    privileges::give_up(profile, page)?;
    privileges::verify(profile, page)?;
    ruleset::restrict(profile.files)?;
    try_the_walls(profile.files)?;
    filter.install()?;
    if !privileges::hold()? {
        return Err(Error::Leak(
            "no_new_privs or the dumpable flag did not stay",
        ));
    }
    match secure_computing_mode() {
        Ok(SecureComputingMode::Filter) => Ok(Sandboxed { role }),
        Ok(_) | Err(_) => Err(Error::Leak("no system call filter is in force")),
    }
}

/// Landlock cannot be read back, so it is tried: the kernel may have it built in and yet switched off by `lsm=`.
fn try_the_walls(files: Files) -> Result<(), Error> {
    let tried = match files {
        Files::Nothing => File::open("/"),
        Files::Readable => File::options().write(true).open("/dev/null"),
        // Nothing is refused here that could be tried without being done.
        Files::Permitted => return Ok(()),
    };
    match tried {
        Err(refused) if refused.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Ok(_) | Err(_) => Err(Error::Leak(
            "a path can be opened that landlock should refuse",
        )),
    }
}
