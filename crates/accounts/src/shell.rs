//! Whether an account's shell can be started at all.
//!
//! It is looked at as the user, in a thread of its own with a deadline: the shell of one account may be on a server that
//! is gone, or on a file system that its owner wrote.

use crate::account::Account;
use crate::bounded::{self, NotDone, Owner};
use crate::identity;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// What is known of a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// A file that somebody may execute. Whether this user may is the kernel's to say, when it is started.
    Usable,
    /// There is none, or the user cannot get there.
    Missing,
    /// Not a file, or nobody may execute it.
    NotExecutable,
    /// It cannot be told.
    Unknown(NotDone),
}

/// Looks at the shell of an account, on account of `owner`, for at most `timeout`. Blocks.
///
/// It is to be called for who does not exist, too, with an account that nobody has: the time must not tell.
#[must_use]
pub fn look_at_shell(account: &Account, owner: Owner, timeout: Duration) -> Shell {
    let account = account.clone();
    let look = move || {
        if identity::assume(&account).is_err() {
            return Shell::Unknown(NotDone::Failed);
        }
        // The test of sshd: any one of the bits will do.
        match account.shell.metadata() {
            Err(_) => Shell::Missing,
            Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
                Shell::NotExecutable
            }
            Ok(_) => Shell::Usable,
        }
    };
    bounded::run(owner, timeout, look).unwrap_or_else(Shell::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Home;
    use rustix::process::geteuid;
    use std::path::PathBuf;

    const ENOUGH: Duration = Duration::from_secs(10);

    fn look(home: &Home, shell: PathBuf) -> Shell {
        let account = Account {
            shell,
            ..home.account.clone()
        };
        look_at_shell(&account, Owner::User(account.uid), ENOUGH)
    }

    #[test]
    fn a_shell_is_a_file_that_somebody_may_execute() {
        let home = Home::new();
        home.write("program", "");
        let program = home.account.home.join("program");
        for (path, mode, expected) in [
            (PathBuf::from("/bin/sh"), 0o600, Shell::Usable),
            (program.clone(), 0o600, Shell::NotExecutable),
            (program.clone(), 0o001, Shell::Usable),
            (home.account.home.clone(), 0o600, Shell::NotExecutable),
            (program.join("below"), 0o600, Shell::Missing),
            (home.account.home.join("none"), 0o600, Shell::Missing),
        ] {
            home.give(&program, mode);
            assert_eq!(look(&home, path.clone()), expected, "{path:?} {mode:o}");
        }
    }

    #[test]
    fn a_shell_where_the_user_cannot_go_is_missing() {
        if !geteuid().is_root() {
            return;
        }
        let home = Home::new();
        let hidden = home.root.join("hidden");
        std::fs::create_dir(&hidden).unwrap();
        std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::copy("/bin/sh", hidden.join("sh")).unwrap();
        assert_eq!(look(&home, hidden.join("sh")), Shell::Missing);
    }
}
