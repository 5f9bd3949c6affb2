//! Whether a key is among a user's authorized keys.

use crate::access::Source;
use crate::account::Account;
use crate::bounded::{self, NotDone, Owner};
use crate::identity::{self, IdentityError};
use crate::printable::Printable;
use crate::time_zone::SystemZone;
use crate::user_file::{self, FileRefusal, Purpose, REFUSALS_LIMIT};
use config::authorized_keys::{self, Constraints, Line, Malformed, Role, Situation, Unmet};
use config::glob;
use config::sshd::{AuthorizedKeysFile, YesNo};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

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
    /// It is on a line whose options permit it, now and from here.
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
    constraints: Box<Constraints>,
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

    /// What its options say. Those about the session are for who opens it to keep.
    #[must_use]
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }
}

/// Why a file or a line was not used. `Display` begins with OpenSSH's words where it has any.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyRefusal {
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
    /// The line of this very key does not count now, or not from here.
    #[error("{}:{line}: {why}", Printable(path))]
    Unmet {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// OpenSSH's words for it.
        why: String,
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

/// OpenSSH's words for a constraint that is not met.
fn unmet(user: &str, from: &Source, why: &Unmet) -> String {
    let address = from
        .address
        .map_or_else(|| "UNKNOWN".to_owned(), |address| address.to_string());
    let host = &from.host;
    match why {
        Unmet::Expired(_) => why.to_string(),
        Unmet::From(required) => {
            // The list is the user's text.
            let required = Printable(Path::new(required));
            format!(
                "Authentication tried for {user} with correct key but not from a permitted host \
                 (host={host}, ip={address}, required={required})."
            )
        }
        Unmet::SourceAddress(_) => format!(
            "Authentication tried for {user} with valid certificate but not from a permitted source address ({address})."
        ),
    }
}

/// A key that somebody presents, and where it is looked for.
#[derive(Debug, Clone, Copy)]
pub struct KeyQuery<'a> {
    /// Whose key it should be.
    pub account: &'a Account,
    /// On whose account the reading goes.
    pub owner: Owner,
    /// AuthorizedKeysFile. With wildcards a name stands for all files that match, glob(7).
    pub files: &'a [AuthorizedKeysFile],
    /// StrictModes.
    pub strict_modes: YesNo,
    /// The key, in the format of RFC 4253 section 6.6.
    pub key_blob: &'a [u8],
    /// Where the login comes from.
    pub source: &'a Source,
    /// Seconds since 1970.
    pub now: u64,
}

/// Looks for a key in the files of AuthorizedKeysFile, with the user's identity, for at most `timeout`.
///
/// Blocks for as long: an asynchronous caller calls this from where blocking is permitted. A file that does not exist is
/// nothing to remark on. Lines that cannot be read, lines that do not count now or from here, and files that are not
/// trusted are passed over, and reported.
#[must_use]
pub fn find_key(query: KeyQuery<'_>, timeout: Duration) -> KeySearch {
    let account = query.account;
    let paths = query
        .files
        .iter()
        .map(|file| file.expand(&account.name, account.uid, &account.home))
        .collect::<Vec<_>>();
    let job = Job {
        account: account.clone(),
        strict_modes: query.strict_modes,
        key_blob: query.key_blob.to_vec(),
        source: query.source.clone(),
        now: query.now,
        refusals: Vec::new(),
    };
    bounded::run(query.owner, timeout, move || job.run(&paths)).unwrap_or_else(|why| KeySearch {
        verdict: Verdict::Unknown(why),
        refusals: Vec::new(),
    })
}

/// One search, in its own thread.
struct Job {
    account: Account,
    strict_modes: YesNo,
    key_blob: Vec<u8>,
    source: Source,
    now: u64,
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
        // One name after the other: directories behind the one that lists the key are not read.
        for path in paths.iter().flat_map(|path| glob::files(path)) {
            let read = user_file::read(&self.account, Purpose::Keys, &path, self.strict_modes);
            let text = match read {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                Err(refusal) => {
                    self.refuse(refusal.into());
                    continue;
                }
            };
            if let Some((line, constraints)) = self.search(&path, &text) {
                let Self {
                    account,
                    key_blob,
                    refusals,
                    ..
                } = self;
                let key = AuthorizedKey {
                    account,
                    key_blob,
                    file: path,
                    line,
                    constraints: Box::new(constraints),
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

    /// The line of the key in a file, and what its options say.
    fn search(&mut self, path: &Path, text: &[u8]) -> Option<(usize, Constraints)> {
        for (line, content) in authorized_keys::lines(text) {
            let path = path.to_owned();
            match content {
                Line::Blank => {}
                Line::Key(entry) if entry.key_blob != self.key_blob => {}
                // Who may sign certificates may not therefore log in.
                Line::Key(entry) if entry.options.role != Role::User => {}
                Line::Key(entry) => match self.judge(entry.options.constraints, path, line) {
                    Ok(constraints) => return Some((line, constraints)),
                    Err(refusal) => self.refuse(refusal),
                },
                Line::Malformed(why) => self.refuse(KeyRefusal::Malformed { path, line, why }),
            }
        }
        None
    }

    /// Whether a line with the key counts.
    fn judge(
        &self,
        constraints: Constraints,
        path: PathBuf,
        line: usize,
    ) -> Result<Constraints, KeyRefusal> {
        let situation = Situation {
            host: &self.source.host,
            address: self.source.address,
            now: self.now,
            zone: &SystemZone::read(),
        };
        if let Err(why) = constraints.met_by(situation) {
            let why = unmet(&self.account.name, &self.source, &why);
            return Err(KeyRefusal::Unmet { path, line, why });
        }
        match constraints.names().as_slice() {
            [] => Ok(constraints),
            options => Err(KeyRefusal::Options {
                path,
                line,
                options: options.join(","),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
