//! Everything about a process that is neither a path nor a system call: capabilities, identity, limits, dumps.

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Rlimit, dumpable_behavior, getegid, geteuid, getgid, getuid,
    set_dumpable_behavior, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, no_new_privs,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::roles::{Identity, Profile};
use crate::status::{StatusError, StatusPage};

/// A privilege that could not be given up, or was not supposed to be there.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// A system call of the construction failed.
    #[error("{0} failed")]
    Call(&'static str, #[source] Errno),
    /// The role must not run as root.
    #[error("runs with root's user or group id, which this role must never have")]
    Root,
    /// Capabilities are left that the role does not keep.
    #[error("capabilities {0:#x} are left")]
    Capabilities(u64),
    /// The kernel's own account of the process cannot be had.
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// Gives up what `profile` does not keep.
pub(crate) fn give_up(profile: &Profile, page: &StatusPage) -> Result<(), PrivilegeError> {
    if profile.identity == Identity::Unprivileged
        && (getuid().is_root() || geteuid().is_root() || getgid().is_root() || getegid().is_root())
    {
        return Err(PrivilegeError::Root);
    }
    // From here on no program that this process might be tricked into executing gains anything by set-user-ID bits or
    // file capabilities; landlock and seccomp ask for it as well (`landlock_restrict_self(2)`).
    set_no_new_privs(true).map_err(|errno| PrivilegeError::Call("PR_SET_NO_NEW_PRIVS", errno))?;
    // No core file, no ptrace by processes of the same user, and /proc/PID belongs to root: two workers share a user id.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| PrivilegeError::Call("PR_SET_DUMPABLE", errno))?;
    for (resource, limit) in profile.limits {
        let limit = Rlimit {
            current: Some(*limit),
            maximum: Some(*limit),
        };
        setrlimit(*resource, limit).map_err(|errno| PrivilegeError::Call("setrlimit", errno))?;
    }
    drop_capabilities(profile.capabilities, page)
}

/// Reads back what [`give_up`] did, from the page and not from the calls that did it.
pub(crate) fn verify(profile: &Profile, page: &StatusPage) -> Result<(), PrivilegeError> {
    let status = page.read()?;
    for set in status.capabilities {
        let excess = set & !profile.capabilities.bits();
        if excess != 0 {
            return Err(PrivilegeError::Capabilities(excess));
        }
    }
    Ok(())
}

/// Whether no_new_privs is set and dumps are off, asked of the kernel.
pub(crate) fn hold() -> Result<bool, PrivilegeError> {
    let locked =
        no_new_privs().map_err(|errno| PrivilegeError::Call("PR_GET_NO_NEW_PRIVS", errno))?;
    let dumpable =
        dumpable_behavior().map_err(|errno| PrivilegeError::Call("PR_GET_DUMPABLE", errno))?;
    Ok(locked && dumpable == DumpableBehavior::NotDumpable)
}

fn drop_capabilities(keep: CapabilitySet, page: &StatusPage) -> Result<(), PrivilegeError> {
    clear_ambient_capability_set()
        .map_err(|errno| PrivilegeError::Call("PR_CAP_AMBIENT_CLEAR_ALL", errno))?;
    // The bounding set takes CAP_SETPCAP, which systemd's CapabilityBoundingSet= has usually taken away together with
    // the rest of the set. What is left of it then is dead: no_new_privs keeps execve from granting any of it.
    let bounding = page.read()?.bounding;
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if bounding & capability.bits() != 0 && !keep.contains(capability) {
            match remove_capability_from_bounding_set(capability) {
                Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
                Err(errno) => return Err(PrivilegeError::Call("PR_CAPBSET_DROP", errno)),
            }
        }
    }
    let now = capabilities(None).map_err(|errno| PrivilegeError::Call("capget", errno))?;
    let sets = CapabilitySets {
        effective: now.effective & keep,
        permitted: now.permitted & keep,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(|errno| PrivilegeError::Call("capset", errno))
}
