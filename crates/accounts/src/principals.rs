//! The principals that a user's AuthorizedPrincipalsFile lists.

use crate::account::Account;
use crate::bounded::{self, NotDone, Owner};
use crate::identity::{self, IdentityError};
use crate::printable::Printable;
use crate::user_file::{self, FileRefusal, Purpose, REFUSALS_LIMIT};
use config::authorized_keys::{self, Malformed, Principal};
use config::glob;
use config::sshd::{AuthorizedKeysFile, YesNo};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How many principals of one file count. They are held in memory, unlike keys.
const PRINCIPALS_LIMIT: usize = 4096;

/// What the file says.
#[derive(Debug, Default)]
pub struct Principals {
    /// In the order of the file: the first that a certificate has counts. Empty if there is no such file.
    pub listed: Vec<Principal>,
    /// What was not used, and why: to be logged. At most eight.
    pub refusals: Vec<PrincipalRefusal>,
}

/// Why a file or a line was not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrincipalRefusal {
    /// The whole file.
    #[error(transparent)]
    File(#[from] FileRefusal),
    /// A line that cannot be read.
    #[error("{}:{line}: {why}", Printable(path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Why not.
        why: Malformed,
    },
    /// The lines after this one.
    #[error("{}:{line}: more than {PRINCIPALS_LIMIT} principals", Printable(path))]
    TooMany {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// It could not be read with the user's identity, so it was not read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Reads the file of AuthorizedPrincipalsFile, with the user's identity and on `owner`'s account, for at
/// most `timeout`. With wildcards all files
/// that match are one, glob(7).
///
/// # Errors
///
/// If there is no result in time, which has to look like no principals.
pub fn read_principals(
    account: &Account,
    owner: Owner,
    file: &AuthorizedKeysFile,
    strict_modes: YesNo,
    timeout: Duration,
) -> Result<Principals, NotDone> {
    let path = file.expand(&account.name, account.uid, &account.home);
    let account = account.clone();
    bounded::run(owner, timeout, move || {
        let mut principals = Principals::default();
        if let Err(error) = identity::assume(&account) {
            principals.refuse(error.into());
            return principals;
        }
        for path in glob::files(&path) {
            match user_file::read(&account, Purpose::Principals, &path, strict_modes) {
                Ok(Some(text)) => principals.take(path, &text),
                Ok(None) => {}
                Err(refusal) => principals.refuse(refusal.into()),
            }
        }
        principals
    })
}

/// The principals that AuthorizedPrincipalsCommand wrote; `command` stands for a file in what is said of them.
#[must_use]
pub fn principals_in_lines(command: &Path, text: &[u8]) -> Principals {
    let mut principals = Principals::default();
    principals.take(command.to_owned(), text);
    principals
}

impl Principals {
    fn take(&mut self, path: PathBuf, text: &[u8]) {
        for (line, principal) in authorized_keys::principals(text) {
            let path = path.clone();
            match principal {
                Ok(_) if self.listed.len() >= PRINCIPALS_LIMIT => {
                    self.refuse(PrincipalRefusal::TooMany { path, line });
                    return;
                }
                Ok(principal) => self.listed.push(principal),
                Err(why) => self.refuse(PrincipalRefusal::Malformed { path, line, why }),
            }
        }
    }

    fn refuse(&mut self, refusal: PrincipalRefusal) {
        if self.refusals.len() < REFUSALS_LIMIT {
            self.refusals.push(refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Home;

    const LONG: Duration = Duration::from_secs(30);

    fn read(home: &Home, file: &str) -> Principals {
        let file = AuthorizedKeysFile::parse(file).unwrap();
        read_principals(
            &home.account,
            Owner::User(home.account.uid),
            &file,
            YesNo::Yes,
            LONG,
        )
        .unwrap()
    }

    fn names(principals: &Principals) -> Vec<&str> {
        let names = principals.listed.iter();
        names.map(|principal| principal.name.as_str()).collect()
    }

    #[test]
    fn principals_are_listed_in_order_and_bad_lines_passed_over() {
        let home = Home::new();
        home.write(
            ".ssh/principals",
            "# who\nstaff\nbad options\nno-pty alice\n",
        );
        let principals = read(&home, ".ssh/principals");
        assert_eq!(names(&principals), ["staff", "alice"]);
        let refusal = principals.refusals[0].to_string();
        assert!(
            refusal.ends_with("principals:3: bad key options: unknown key option"),
            "{refusal}"
        );
        assert!(read(&home, ".ssh/missing").listed.is_empty());
    }

    #[test]
    fn strict_modes_holds_for_principals() {
        let home = Home::new();
        home.write(".ssh/principals", "alice\n");
        home.give(&home.account.home.join(".ssh/principals"), 0o622);
        let principals = read(&home, ".ssh/principals");
        assert!(principals.listed.is_empty());
        let refusal = principals.refusals[0].to_string();
        assert!(refusal.starts_with("Authentication refused: bad ownership or modes for file"));
        assert_eq!(read(&home, ".ssh").refusals.len(), 1);
    }

    #[test]
    fn principals_of_one_file_are_bounded() {
        let home = Home::new();
        home.write(".ssh/principals", &"a\n".repeat(PRINCIPALS_LIMIT + 9));
        let principals = read(&home, ".ssh/p*");
        assert_eq!(principals.listed.len(), PRINCIPALS_LIMIT);
        assert_eq!(principals.refusals.len(), 1);
    }
}
