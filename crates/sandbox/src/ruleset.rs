//! Landlock: the objects that stay reachable. For the worker that is none.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::roles::Files;

/// What a kernel must have. Landlock's first version (Linux 5.13) already makes every path unusable, and the distributions
/// that this server supports start with the second (Debian 12, Linux 6.1).
const REQUIRED: ABI = ABI::V1;

/// What is asked for on top, best effort: TCP (6.7), ioctls of devices (6.10), signals and abstract sockets (6.12), AF_UNIX by path.
///
/// Best effort is enough for these because for the worker they are a second wall: seccomp lets no socket, connection,
/// ioctl or signal through on any kernel.
const WISHED: ABI = ABI::V9;

/// Landlock is missing, or would not hold.
#[derive(Debug, thiserror::Error)]
pub enum RulesetError {
    /// There is no landlock here, or only one older than required.
    #[error(
        "landlock is missing: it takes Linux 5.13 with landlock among the lsm= of its command line and, in a container, \
         a manager that lets landlock_create_ruleset(2) through"
    )]
    Missing,
    /// The kernel refuses the ruleset.
    #[error("landlock cannot be used")]
    Refused(#[source] landlock::RulesetError),
    /// The root directory cannot be opened for the rule that is to hold for it.
    #[error("landlock rule for the root directory")]
    Root(#[from] landlock::PathFdError),
    /// The kernel took the ruleset and enforces nothing of it.
    #[error("landlock is not enforced by this kernel")]
    NotEnforced,
}

impl From<landlock::RulesetError> for RulesetError {
    fn from(error: landlock::RulesetError) -> Self {
        match error {
            // Only the rights that are required can fail this way; the others are best effort.
            landlock::RulesetError::HandleAccesses(_) => Self::Missing,
            other => Self::Refused(other),
        }
    }
}

/// Leaves only `files` reachable to this thread and those that it will start.
pub(crate) fn restrict(files: Files) -> Result<(), RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WISHED))?
        .handle_access(AccessNet::from_all(WISHED))?
        .scope(Scope::from_all(WISHED))?
        .create()?;
    if let Some(access) = permitted(files) {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new("/")?, access))?;
    }
    let status = ruleset.restrict_self()?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err(RulesetError::NotEnforced),
    }
}

/// The access rights below the root directory, if there are any.
fn permitted(files: Files) -> Option<BitFlags<AccessFs>> {
    match files {
        Files::Nothing => None,
        Files::Readable => Some(AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::ResolveUnix),
        // The kinds of files that may be made are also those that may be renamed into another directory.
        Files::Permitted => Some(
            AccessFs::from_all(WISHED)
                & !(AccessFs::Execute | AccessFs::IoctlDev | AccessFs::ResolveUnix),
        ),
    }
}
