//! Programs that the configuration names, and that decide about logins.

use crate::printable::Printable;
use crate::strict_modes::{self, Kind, Untrusted};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a program is not run.
#[derive(Debug, Error)]
pub enum ProgramRefusal {
    /// Others than root could change it.
    #[error("bad ownership or modes for {kind} {}", Printable(path))]
    Unsafe {
        /// What has them.
        kind: Kind,
        /// The real path of it.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error(transparent)]
    Unknown(#[from] io::Error),
}

/// Checks that nobody but root can change a program, or what stands in its place: as in OpenSSH, it and each directory
/// above it belong to root and are not writable by group or others. To be called with the identity under which it is run.
///
/// # Errors
///
/// If that is not so, or if it is not there for this identity.
pub fn check_program(path: &Path) -> Result<(), ProgramRefusal> {
    strict_modes::check_program(path).map_err(|untrusted| match untrusted {
        Untrusted::BadOwnershipOrModes { kind, path } => ProgramRefusal::Unsafe { kind, path },
        Untrusted::Unknown { error, .. } => ProgramRefusal::Unknown(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Home;
    use rustix::process::geteuid;
    use std::os::unix::fs::chown;

    #[test]
    fn programs_of_the_system_are_trusted() {
        check_program(Path::new("/usr/bin/env")).unwrap();
    }

    #[test]
    fn a_program_that_somebody_else_could_change_is_not() {
        let home = Home::new();
        home.write("program", "#!/bin/sh\n");
        let program = home.account.home.join("program");
        let refusal = |path: &Path| check_program(path).unwrap_err().to_string();
        let bad = "bad ownership or modes for ";
        if geteuid().is_root() {
            home.give(&program, 0o755);
            chown(&program, Some(home.account.uid), None).unwrap();
            assert!(refusal(&program).starts_with(&format!("{bad}file ")));
            chown(&program, Some(0), None).unwrap();
        }
        home.give(&program, 0o775);
        assert!(refusal(&program).starts_with(&format!("{bad}file ")));
        home.give(&program, 0o755);
        if geteuid().is_root() {
            chown(&program, Some(0), None).unwrap();
            // The directories above are the user's.
            assert!(refusal(&program).starts_with(&format!("{bad}directory ")));
        }
        // No file, but root's own.
        assert!(refusal(Path::new("/usr/bin")).starts_with(&format!("{bad}file ")));
        let missing = refusal(&home.account.home.join("missing"));
        assert!(
            missing.starts_with("No such file or directory"),
            "{missing}"
        );
    }
}
