//! The roles: which process gets which cage. One file each, data only.

mod monitor;
mod preauth;
mod sftp;

use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use crate::rule::{Rule, Verdict};

/// A process of sshd-privsep that runs in a cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The process that speaks SSH with the network, before and after login.
    Preauth,
    /// The process that holds the host keys and decides.
    Monitor,
    /// The process that reads and writes a user's files for an SFTP client.
    Sftp,
}

impl Role {
    /// Every role.
    pub const ALL: &[Self] = &[Self::Preauth, Self::Monitor, Self::Sftp];

    /// The system call table: what this role may call, and why.
    #[must_use]
    pub const fn rules(self) -> &'static [Rule] {
        self.profile().rules
    }

    /// What happens to a system call that the table does not hold.
    #[must_use]
    pub const fn default_verdict(self) -> Verdict {
        self.profile().default
    }

    pub(crate) const fn profile(self) -> &'static Profile {
        match self {
            Self::Preauth => &preauth::PROFILE,
            Self::Monitor => &monitor::PROFILE,
            Self::Sftp => &sftp::PROFILE,
        }
    }
}

/// All that [`crate::enter`] needs to know about a role.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The system call table.
    pub(crate) rules: &'static [Rule],
    /// The verdict for calls outside of it.
    pub(crate) default: Verdict,
    /// What landlock leaves of the file system.
    pub(crate) files: Files,
    /// The capabilities that are kept, if the process has them at all.
    pub(crate) capabilities: CapabilitySet,
    /// Whether the process may have root's user id.
    pub(crate) identity: Identity,
    /// Resource limits, soft and hard alike.
    pub(crate) limits: &'static [(Resource, u64)],
}

/// What landlock leaves of the file system. Programs cannot be executed by anyone here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// No path can be opened at all.
    Nothing,
    /// Files and directories can be read as far as their permissions go, and AF_UNIX sockets reached by path;
    /// nothing can be created, written, removed or renamed.
    Readable,
    /// Whatever permissions say, but no program, no device's ioctl and no AF_UNIX socket by path.
    Permitted,
}

/// Which user a role may run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Any user but root: without capabilities uid 0 still owns most of the system's files.
    Unprivileged,
    /// Root, as systemd started it.
    Root,
    /// Whoever logged in.
    Any,
}
