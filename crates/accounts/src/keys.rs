//! Whether a key is among a user's authorized keys.

use crate::account::Account;
use crate::bounded::{self, NotDone, Owner};
use crate::identity::{self, IdentityError};
use crate::printable::Printable;
use crate::strict_modes::{self, Kind, Untrusted};
use config::authorized_keys::{self, FILE_LIMIT, Line, Malformed};
use config::sshd::{AuthorizedKeysFile, YesNo};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How many refusals of one search are kept for the journal.
const REFUSALS_LIMIT: usize = 8;

/// What a search found.
#[derive(Debug)]
pub struct KeySearch {
    /// Whether the key may log in.
    pub verdict: Verdict,
    /// What was not used, and why: to be logged. At most eight.
    pub refusals: Vec<KeyRefusal>,
}

/// Whether a key may log in.
#[derive(Debug)]
pub enum Verdict {
    /// It is on a line of its own, without options.
    Found(AuthorizedKey),
    /// It is not.
    NotFound,
    /// It could not be told, which has to look like [`NotFound`](Self::NotFound) to the client.
    Unknown(NotDone),
}

/// Proof that a key is among the authorized keys of an account. Made by [`find_key`] only.
///
/// It does not say that the client has the private key: that is the signature's to prove.
#[derive(Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    account: Account,
    key_blob: Vec<u8>,
    file: PathBuf,
    line: usize,
}

impl AuthorizedKey {
    /// Whose key it is.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The key, in the format of RFC 4253 section 6.6.
    #[must_use]
    pub fn key_blob(&self) -> &[u8] {
        &self.key_blob
    }

    /// The file it was found in.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Why a file or a line was not used. `Display` begins with OpenSSH's words where it has any.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyRefusal {
    /// StrictModes.
    #[error(
        "Authentication refused: bad ownership or modes for {kind} {}",
        Printable(path)
    )]
    BadOwnershipOrModes {
        /// What has them.
        kind: Kind,
        /// The real path of it.
        path: PathBuf,
    },
    /// Not a file: a directory, a FIFO, a device.
    #[error(
        "User {user} authorized keys {} is not a regular file",
        Printable(path)
    )]
    NotRegular {
        /// The account's name.
        user: String,
        /// The file.
        path: PathBuf,
    },
    /// Longer than [`FILE_LIMIT`].
    #[error(
        "User {user} authorized keys {} is longer than {FILE_LIMIT} bytes",
        Printable(path)
    )]
    TooLong {
        /// The account's name.
        user: String,
        /// The file.
        path: PathBuf,
    },
    /// It is there and cannot be read, as this user.
    #[error(
        "Could not open user {user} authorized keys {}: {error}",
        Printable(path)
    )]
    Unreadable {
        /// The account's name.
        user: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
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
    /// The line of this very key has options, which this version does not enforce and therefore does not ignore.
    #[error(
        "{}:{line}: key refused because its options are not supported by this version: {options}",
        Printable(path)
    )]
    Options {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The names of the options, separated by commas.
        options: String,
    },
    /// The files could not be read with the user's identity, so they were not read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Looks for a key in the files of AuthorizedKeysFile, with the user's identity, for at most `timeout`.
///
/// Blocks for as long: an asynchronous caller calls this from where blocking is permitted. A file that does not exist is
/// nothing to remark on. Lines that cannot be read and files that are not trusted are passed over, and reported.
#[must_use]
pub fn find_key(
    account: &Account,
    files: &[AuthorizedKeysFile],
    strict_modes: YesNo,
    key_blob: &[u8],
    timeout: Duration,
) -> KeySearch {
    let paths = files
        .iter()
        .map(|file| file.expand(&account.name, account.uid, &account.home))
        .collect::<Vec<_>>();
    let job = Job {
        account: account.clone(),
        strict_modes,
        key_blob: key_blob.to_vec(),
        refusals: Vec::new(),
    };
    bounded::run(Owner::User(account.uid), timeout, move || job.run(&paths)).unwrap_or_else(|why| {
        KeySearch {
            verdict: Verdict::Unknown(why),
            refusals: Vec::new(),
        }
    })
}

/// One search, in its own thread.
struct Job {
    account: Account,
    strict_modes: YesNo,
    key_blob: Vec<u8>,
    refusals: Vec<KeyRefusal>,
}

impl Job {
    fn run(mut self, paths: &[PathBuf]) -> KeySearch {
        if let Err(error) = identity::assume(&self.account) {
            self.refuse(error.into());
            return KeySearch {
                verdict: Verdict::Unknown(NotDone::Failed),
                refusals: self.refusals,
            };
        }
        for path in paths {
            let text = match self.read(path) {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                Err(refusal) => {
                    self.refuse(refusal);
                    continue;
                }
            };
            if let Some(line) = self.search(path, &text) {
                let Self {
                    account,
                    key_blob,
                    refusals,
                    ..
                } = self;
                let key = AuthorizedKey {
                    account,
                    key_blob,
                    file: path.clone(),
                    line,
                };
                return KeySearch {
                    verdict: Verdict::Found(key),
                    refusals,
                };
            }
        }
        KeySearch {
            verdict: Verdict::NotFound,
            refusals: self.refusals,
        }
    }

    fn refuse(&mut self, refusal: KeyRefusal) {
        if self.refusals.len() < REFUSALS_LIMIT {
            self.refusals.push(refusal);
        }
    }

    /// The line of the key in a file.
    fn search(&mut self, path: &Path, text: &[u8]) -> Option<usize> {
        for (line, content) in authorized_keys::lines(text) {
            match content {
                Line::Blank => {}
                Line::Key(entry) if entry.key_blob != self.key_blob => {}
                Line::Key(entry) if entry.options.is_empty() => return Some(line),
                Line::Key(entry) => {
                    let options: Vec<String> =
                        entry.options.iter().map(ToString::to_string).collect();
                    let (path, options) = (path.to_owned(), options.join(","));
                    self.refuse(KeyRefusal::Options {
                        path,
                        line,
                        options,
                    });
                }
                Line::Malformed(why) => self.refuse(KeyRefusal::Malformed {
                    path: path.to_owned(),
                    line,
                    why,
                }),
            }
        }
        None
    }

    /// The contents of a file; none if it does not exist.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, KeyRefusal> {
        let user = || self.account.name.clone();
        let unreadable = |error: io::Error| KeyRefusal::Unreadable {
            user: user(),
            path: path.to_owned(),
            error,
        };
        // NONBLOCK: to open a FIFO would wait for somebody who writes. NOCTTY: to open a terminal would make it ours.
        // Links are followed, as OpenSSH does; StrictModes looks at what is behind them.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match open(path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(unreadable(error.into())),
        };
        let status = fstat(&file).map_err(|error| unreadable(error.into()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(KeyRefusal::NotRegular {
                user: user(),
                path: path.to_owned(),
            });
        }
        if self.strict_modes == YesNo::Yes {
            strict_modes::check(&file, path, self.account.uid, &self.account.home).map_err(
                |untrusted| match untrusted {
                    Untrusted::BadOwnershipOrModes { kind, path } => {
                        KeyRefusal::BadOwnershipOrModes { kind, path }
                    }
                    Untrusted::Unknown { path, error } => KeyRefusal::Unreadable {
                        user: user(),
                        path,
                        error,
                    },
                },
            )?;
        }
        let mut text = Vec::new();
        let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX);
        File::from(file)
            .take(limit.saturating_add(1))
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        if text.len() > FILE_LIMIT {
            return Err(KeyRefusal::TooLong {
                user: user(),
                path: path.to_owned(),
            });
        }
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests;
