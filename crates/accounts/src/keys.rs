//! Whether a key is among a user's authorized keys, or certified by an authority that counts for the user.

mod certified;

use crate::access::Source;
use crate::account::Account;
use crate::bounded::{self, NotDone, Owner};
use crate::certificate::Trust;
use crate::identity::{self, IdentityError};
use crate::printable::Printable;
use crate::revocation::Presented;
use crate::time_zone::SystemZone;
use crate::user_file::{self, FileRefusal, Purpose, REFUSALS_LIMIT};
use config::authorized_keys::{
    self, Constraints, Entry, Line, Malformed, Options, Role, Situation, Unmet,
};
use config::glob;
use config::sshd::{AuthorizedKeysFile, YesNo};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use wire::certificate::Certificate;

pub use certified::{CertifiedQuery, RefusedCertificate, certified};

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

/// Proof that a key may log in to an account: it is on a line of its authorized keys, or an authority that counts for the
/// account certified it. Made by [`find_key`], [`find_key_in_lines`] and [`certified`] only.
///
/// It does not say that the client has the private key: that is the signature's to prove.
#[derive(Debug, PartialEq, Eq)]
pub struct AuthorizedKey {
    account: Account,
    key_blob: Vec<u8>,
    place: Place,
    constraints: Box<Constraints>,
}

/// Where it is said that a key may log in. `Display` is OpenSSH's wording.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Place {
    /// A line of authorized keys has the key, or its authority.
    #[error("{}:{line}", Printable(file))]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// TrustedUserCAKeys names this file, which has its authority.
    #[error("{}", Printable(.0))]
    Authorities(PathBuf),
}

impl AuthorizedKey {
    /// Whose key it is.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The key, in the format of RFC 4253 section 6.6, or the certificate.
    #[must_use]
    pub fn key_blob(&self) -> &[u8] {
        &self.key_blob
    }

    /// Where it was found.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What the options say, of a certificate together with what it says itself. Those about the signature and the session
    /// are for others to keep.
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
    #[error("{place}: {why}")]
    Unmet {
        /// File and line, or what OpenSSH calls a certificate and the line of a principal here.
        place: String,
        /// OpenSSH's words for it in the log.
        why: String,
        /// And those that it has for the user.
        told: String,
    },
    /// The certificate by the authority of this line does not count.
    #[error(transparent)]
    Certificate(#[from] Box<RefusedCertificate>),
    /// An extension of the certificate that nobody knows. (What it would permit is not known either.)
    #[error("Certificate extension {0:?} is not supported")]
    Extension(String),
    /// The files could not be read with the user's identity, so they were not read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl KeyRefusal {
    /// A constraint that is not met, at a place.
    fn unmet(place: String, user: &str, from: &Source, why: &Unmet) -> Self {
        let address = from
            .address
            .map_or_else(|| "UNKNOWN".to_owned(), |address| address.to_string());
        let host = &from.host;
        let (why, told) = match why {
            Unmet::Expired(_) => (why.to_string(), why.to_string()),
            Unmet::From(required) => {
                // The list is the user's text.
                let required = Printable(Path::new(required));
                (
                    format!(
                        "Authentication tried for {user} with correct key but not from a permitted host \
                         (host={host}, ip={address}, required={required})."
                    ),
                    format!("Your host '{host}' is not permitted to use this key for login."),
                )
            }
            Unmet::SourceAddress(_) => (
                format!(
                    "Authentication tried for {user} with valid certificate but not from a permitted source address ({address})."
                ),
                format!(
                    "Your address '{address}' is not permitted to use this certificate for login."
                ),
            ),
        };
        Self::Unmet { place, why, told }
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
    /// The key: it must be on a line, or a line must have its authority.
    pub presented: Presented<'a>,
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
    let job = Job::new(&query);
    bounded::run(query.owner, timeout, move || job.run(&paths)).unwrap_or_else(|why| KeySearch {
        verdict: Verdict::Unknown(why),
        refusals: Vec::new(),
    })
}

/// The same for lines that AuthorizedKeysCommand wrote; `command` stands for a file in what is said of them.
///
/// There is nothing to wait for but the time zone's file. Who pays for the reading, and StrictModes, do not matter.
#[must_use]
pub fn find_key_in_lines(query: KeyQuery<'_>, command: &Path, text: &[u8]) -> KeySearch {
    let mut job = Job::new(&query);
    let found = job.search(command, text);
    job.done(command, found)
}

/// One search. In files, it has its own thread.
struct Job {
    account: Account,
    strict_modes: YesNo,
    sought: Sought,
    source: Source,
    now: u64,
    refusals: Vec<KeyRefusal>,
}

/// What is looked for.
enum Sought {
    /// This key.
    Key(Vec<u8>),
    /// The authority of this certificate.
    AuthorityOf(Box<Certificate>),
}

impl Sought {
    fn new(presented: Presented<'_>) -> Self {
        match presented {
            Presented::Plain(blob) => Self::Key(blob.to_vec()),
            Presented::Certified(certificate) => Self::AuthorityOf(Box::new(certificate.clone())),
        }
    }

    /// What was presented.
    fn into_blob(self) -> Vec<u8> {
        match self {
            Self::Key(blob) => blob,
            Self::AuthorityOf(certificate) => certificate.blob().to_vec(),
        }
    }
}

impl Job {
    fn new(query: &KeyQuery<'_>) -> Self {
        Self {
            account: query.account.clone(),
            strict_modes: query.strict_modes,
            sought: Sought::new(query.presented),
            source: query.source.clone(),
            now: query.now,
            refusals: Vec::new(),
        }
    }

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
            if let Some(found) = self.search(&path, &text) {
                return self.done(&path, Some(found));
            }
        }
        KeySearch {
            verdict: Verdict::NotFound,
            refusals: self.refusals,
        }
    }

    /// What a search comes to that found a line of `file`, or none.
    fn done(self, file: &Path, found: Option<(usize, Constraints)>) -> KeySearch {
        let verdict = found.map_or(Verdict::NotFound, |(line, constraints)| {
            Verdict::Found(AuthorizedKey {
                account: self.account,
                key_blob: self.sought.into_blob(),
                place: Place::Line {
                    file: file.to_owned(),
                    line,
                },
                constraints: Box::new(constraints),
            })
        });
        KeySearch {
            verdict,
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
            match content {
                Line::Blank => {}
                Line::Key(entry) => {
                    let judged = self.judge(*entry, path, line);
                    if let Some(constraints) = judged {
                        return Some((line, constraints));
                    }
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

    /// What a line permits, if it counts for what is looked for.
    fn judge(&mut self, entry: Entry, path: &Path, line: usize) -> Option<Constraints> {
        let place = Place::Line {
            file: path.to_owned(),
            line,
        };
        let judged = match (&self.sought, &entry.options.role) {
            (Sought::Key(blob), Role::User) if *blob == entry.key_blob => {
                self.judge_key(entry.options.constraints, &place)
            }
            (Sought::AuthorityOf(certificate), Role::Authority { .. })
                if certificate.signature_key == entry.key_blob =>
            {
                self.judge_certificate(certificate, &entry.options, &place)
            }
            // Who may sign certificates may not therefore log in, and the other way round.
            (Sought::Key(_) | Sought::AuthorityOf(_), Role::User | Role::Authority { .. }) => {
                return None;
            }
        };
        match judged {
            Ok(Judged {
                constraints,
                remarks,
            }) => {
                remarks.into_iter().for_each(|remark| self.refuse(remark));
                Some(constraints)
            }
            Err(refusals) => {
                refusals
                    .into_iter()
                    .for_each(|refusal| self.refuse(refusal));
                None
            }
        }
    }

    /// Whether a line with the key counts.
    fn judge_key(
        &self,
        constraints: Constraints,
        place: &Place,
    ) -> Result<Judged, Vec<KeyRefusal>> {
        let met = constraints.met_by(Situation {
            host: &self.source.host,
            address: self.source.address,
            now: self.now,
            zone: &SystemZone::read(),
        });
        match met {
            Ok(()) => Ok(Judged {
                constraints,
                remarks: Vec::new(),
            }),
            Err(why) => {
                let (user, from) = (&self.account.name, &self.source);
                Err(vec![KeyRefusal::unmet(place.to_string(), user, from, &why)])
            }
        }
    }

    /// Whether a line with the authority of the certificate counts, and the certificate does.
    fn judge_certificate(
        &self,
        certificate: &Certificate,
        options: &Options,
        place: &Place,
    ) -> Result<Judged, Vec<KeyRefusal>> {
        let query = CertifiedQuery {
            account: &self.account,
            certificate,
            source: &self.source,
            now: self.now,
        };
        let user = &self.account.name;
        certified::judged(query, Trust::ByLine { options, user }, place)
    }
}

/// What a line permits.
struct Judged {
    constraints: Constraints,
    /// What else the journal gets.
    remarks: Vec<KeyRefusal>,
}

#[cfg(test)]
mod tests;
