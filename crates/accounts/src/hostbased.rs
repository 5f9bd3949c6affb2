//! Whether a client's host is believed when it says who its user is: HostbasedAuthentication of sshd_config(5).
//!
//! Two things have to be in files: that the host is trusted for the user (hosts.equiv(5), `.shosts`), and that the key is
//! the host's (`ssh_known_hosts`). The system's files are read first, as root; then the thread takes the user's identity.

use crate::account::Account;
use crate::bounded::{self, NotDone, Owner};
use crate::identity::{self, IdentityError};
use crate::known_hosts::{self, HostStatus, KnownHost};
use crate::printable::Printable;
use crate::revocation::Presented;
use crate::trusted_hosts::{self, Claim, Netgroups, Trust};
use config::pattern::{PatternList, Verdict as Match};
use config::sshd::{IgnoreRhosts, YesNo};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use wire::certificate::{Certificate, CertificateKind};

/// The longest file that is read, in bytes: room for the keys of ten thousand hosts.
const FILE_LIMIT: usize = 8 << 20;

/// Write permission for the group or for everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The system's files.
#[derive(Debug, Clone)]
pub struct SystemFiles {
    /// Trusted hosts: hosts.equiv(5), and the same for sshd alone. Not for root.
    pub equivalent: [PathBuf; 2],
    /// Keys of hosts; the second one is read if the first says nothing.
    pub known_hosts: [PathBuf; 2],
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self {
            equivalent: ["/etc/hosts.equiv", "/etc/ssh/shosts.equiv"].map(PathBuf::from),
            known_hosts: ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
                .map(PathBuf::from),
        }
    }
}

/// What a host claims, and where it is looked for.
#[derive(Debug, Clone)]
pub struct HostQuery {
    /// Whom its user wants to be here.
    pub account: Account,
    /// On whose account the reading goes.
    pub owner: Owner,
    /// The host's name: what the address resolves to, or what the client says (HostbasedUsesNameFromPacketOnly).
    pub host: String,
    /// Its address, or what the client says.
    pub address: String,
    /// The user there.
    pub client_user: String,
    /// The host's key.
    pub key: HostKey,
    /// StrictModes.
    pub strict_modes: YesNo,
    /// IgnoreRhosts.
    pub ignore_rhosts: IgnoreRhosts,
    /// IgnoreUserKnownHosts.
    pub ignore_user_known_hosts: YesNo,
    /// Seconds since 1970.
    pub now: u64,
}

/// A key that a host presents.
#[derive(Debug, Clone)]
pub enum HostKey {
    /// A plain key, in the format of RFC 4253 section 6.6.
    Plain(Vec<u8>),
    /// A certificate whose signature is its authority's.
    Certified(Box<Certificate>),
}

impl HostKey {
    fn presented(&self) -> Presented<'_> {
        match self {
            Self::Plain(blob) => Presented::Plain(blob),
            Self::Certified(certificate) => Presented::Certified(certificate),
        }
    }

    fn blob(&self) -> &[u8] {
        match self {
            Self::Plain(blob) => blob,
            Self::Certified(certificate) => certificate.blob(),
        }
    }
}

/// What a search found.
#[derive(Debug)]
pub struct HostSearch {
    /// Whether the host is believed.
    pub verdict: HostVerdict,
    /// What was not used, and why: to be logged.
    pub refusals: Vec<HostRefusal>,
}

/// Whether a host is believed.
#[derive(Debug)]
pub enum HostVerdict {
    /// Its user may log in to the account.
    Trusted(TrustedHost),
    /// It is not.
    NotTrusted,
    /// It could not be told, which has to look like [`NotTrusted`](Self::NotTrusted) to the client.
    Unknown(NotDone),
}

/// Proof that the files of an account or of the system trust a host with this key for a user there. Made by
/// [`find_host`] only.
///
/// It does not say that the host's key signed anything: that is the signature's to prove.
#[derive(Debug)]
pub struct TrustedHost {
    account: Account,
    host: String,
    client_user: String,
    key_blob: Vec<u8>,
}

impl TrustedHost {
    /// Whom the client's user may be here.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The host's name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The user there.
    #[must_use]
    pub fn client_user(&self) -> &str {
        &self.client_user
    }

    /// The host's key or certificate, in the format of RFC 4253 section 6.6.
    #[must_use]
    pub fn key_blob(&self) -> &[u8] {
        &self.key_blob
    }
}

/// Why something was not used, in OpenSSH's words where it has any.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostRefusal {
    /// There is no home directory.
    #[error(
        "Rhosts authentication refused for {user}: no home directory {}",
        Printable(path)
    )]
    NoHome {
        /// The account's name.
        user: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// StrictModes, of the home directory.
    #[error("Rhosts authentication refused for {user}: bad ownership or modes for home directory.")]
    Home {
        /// The account's name.
        user: String,
    },
    /// StrictModes, of `.shosts` or `.rhosts`.
    #[error(
        "Rhosts authentication refused for {user}: bad modes for {}",
        Printable(path)
    )]
    Rhosts {
        /// The account's name.
        user: String,
        /// The file.
        path: PathBuf,
    },
    /// StrictModes, of the user's keys of hosts.
    #[error(
        "Authentication refused for {user}: bad owner or modes for {}",
        Printable(path)
    )]
    KnownHosts {
        /// The account's name.
        user: String,
        /// The file.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error("Could not read {}: {error}", Printable(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The key is marked `@revoked`.
    #[error("WARNING: revoked key for {} attempted authentication", host.escape_default())]
    Revoked {
        /// The host's name, which can be the client's word.
        host: String,
    },
    /// The certificate does not count for this host now.
    #[error("Certificate invalid: {0}")]
    Certificate(&'static str),
    /// The files could not be read with the user's identity, so they were not read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Looks for a host in the files of the system and of an account, for at most `timeout`.
///
/// Blocks for as long: an asynchronous caller calls this from where blocking is permitted.
#[must_use]
pub fn find_host(query: HostQuery, files: SystemFiles, timeout: Duration) -> HostSearch {
    let owner = query.owner;
    let job = Job {
        query,
        refusals: Vec::new(),
    };
    bounded::run(owner, timeout, move || job.run(&files)).unwrap_or_else(|why| HostSearch {
        verdict: HostVerdict::Unknown(why),
        refusals: Vec::new(),
    })
}

/// A file that was read.
struct Content {
    text: Vec<u8>,
    status: Stat,
}

/// One search, in its own thread.
struct Job {
    query: HostQuery,
    refusals: Vec<HostRefusal>,
}

impl Job {
    fn run(mut self, files: &SystemFiles) -> HostSearch {
        let equivalent = self.read_all(&files.equivalent);
        let known_hosts = self.read_all(&files.known_hosts);
        let verdict = match identity::assume(&self.query.account) {
            Err(error) => {
                self.refusals.push(error.into());
                HostVerdict::Unknown(NotDone::Failed)
            }
            Ok(()) if self.trusts(&equivalent) && self.key_is_known(&known_hosts) => {
                let HostQuery {
                    account,
                    host,
                    client_user,
                    key,
                    ..
                } = self.query;
                let key_blob = key.blob().to_vec();
                HostVerdict::Trusted(TrustedHost {
                    account,
                    host,
                    client_user,
                    key_blob,
                })
            }
            Ok(()) => HostVerdict::NotTrusted,
        };
        HostSearch {
            verdict,
            refusals: self.refusals,
        }
    }

    fn read_all(&mut self, paths: &[PathBuf; 2]) -> [Option<Content>; 2] {
        paths.each_ref().map(|path| self.read(path))
    }

    /// A file, if it is there.
    fn read(&mut self, path: &Path) -> Option<Content> {
        read(path).unwrap_or_else(|error| {
            let path = path.to_owned();
            self.refusals.push(HostRefusal::Unreadable { path, error });
            None
        })
    }

    /// Whether a file trusts the host for the user (auth_rhosts2 of OpenSSH).
    fn trusts(&mut self, equivalent: &[Option<Content>; 2]) -> bool {
        let of_system = equivalent.iter().flatten();
        if self.query.account.uid != 0 && of_system.clone().any(|file| self.grants(&file.text)) {
            return true;
        }
        let home = self.query.account.home.clone();
        let user = || self.query.account.name.clone();
        match stat(&home) {
            Err(_) => {
                let refusal = HostRefusal::NoHome {
                    user: user(),
                    path: home,
                };
                self.refusals.push(refusal);
                return false;
            }
            Ok(status) if !self.is_safe(&status) => {
                let refusal = HostRefusal::Home { user: user() };
                self.refusals.push(refusal);
                return false;
            }
            Ok(_) => {}
        }
        let names: &[&str] = match self.query.ignore_rhosts {
            IgnoreRhosts::Yes => &[],
            IgnoreRhosts::ShostsOnly => &[".shosts"],
            IgnoreRhosts::No => &[".shosts", ".rhosts"],
        };
        names.iter().any(|name| {
            let path = home.join(name);
            match self.read(&path) {
                Some(file) if !self.is_safe(&file.status) => {
                    let user = self.query.account.name.clone();
                    self.refusals.push(HostRefusal::Rhosts { user, path });
                    false
                }
                Some(file) => self.grants(&file.text),
                None => false,
            }
        })
    }

    fn grants(&self, file: &[u8]) -> bool {
        let claim = Claim {
            host: &self.query.host,
            address: &self.query.address,
            client_user: &self.query.client_user,
            server_user: &self.query.account.name,
        };
        match trusted_hosts::trust(file, claim, &NoNetgroups) {
            Trust::Granted { .. } => true,
            Trust::Denied { .. } | Trust::NotListed => false,
        }
    }

    /// Whether the key is the host's (check_key_in_hostfiles of OpenSSH).
    fn key_is_known(&mut self, of_system: &[Option<Content>; 2]) -> bool {
        if let HostKey::Certified(certificate) = &self.query.key
            && let Err(refusal) = certifies(certificate, &self.query.host, self.query.now)
        {
            self.refusals.push(refusal);
            return false;
        }
        for (of_system, name) in of_system.iter().zip(["known_hosts", "known_hosts2"]) {
            let mut lines = Vec::new();
            if let Some(file) = of_system {
                self.collect(&file.text, &mut lines);
            }
            if let Some(text) = self.user_known_hosts(name) {
                self.collect(&text, &mut lines);
            }
            let presented = self.query.key.presented();
            match known_hosts::status(lines.iter(), &self.query.host, presented) {
                HostStatus::Known => return true,
                HostStatus::New => {}
                HostStatus::Changed => return false,
                HostStatus::Revoked => {
                    let host = self.query.host.clone();
                    self.refusals.push(HostRefusal::Revoked { host });
                    return false;
                }
            }
        }
        false
    }

    fn user_known_hosts(&mut self, name: &str) -> Option<Vec<u8>> {
        if self.query.ignore_user_known_hosts == YesNo::Yes {
            return None;
        }
        let path = self.query.account.home.join(".ssh").join(name);
        let file = self.read(&path)?;
        if !self.is_safe(&file.status) {
            let user = self.query.account.name.clone();
            self.refusals.push(HostRefusal::KnownHosts { user, path });
            return None;
        }
        Some(file.text)
    }

    /// The lines that are about the host. Others are as many as the file is long.
    fn collect(&self, text: &[u8], lines: &mut Vec<KnownHost>) {
        let read = known_hosts::lines(text).filter_map(|(_, line)| line.ok());
        lines.extend(read.filter(|line| line.hosts.contain(&self.query.host)));
    }

    /// StrictModes: nobody but the user and root may be able to change it.
    fn is_safe(&self, status: &Stat) -> bool {
        let owned = status.st_uid == 0 || status.st_uid == self.query.account.uid;
        self.query.strict_modes == YesNo::No || (owned && status.st_mode & WRITABLE_BY_OTHERS == 0)
    }
}

/// Whether a certificate is one of this host, now (sshkey_cert_check_host of OpenSSH). One without principals is
/// nobody's.
fn certifies(certificate: &Certificate, host: &str, now: u64) -> Result<(), HostRefusal> {
    let host = host.to_ascii_lowercase();
    // A principal with a comma in it is one, and no list.
    let names = |principal: &String| {
        !principal.contains(',')
            && PatternList::new(&principal.to_ascii_lowercase()).verdict(&host) == Match::Included
    };
    let why = match certificate {
        _ if certificate.kind != CertificateKind::Host => "not a host certificate",
        _ if now < certificate.validity.after => "not yet valid",
        _ if !certificate.validity.contains(now) => "expired",
        _ if !certificate.principals.iter().any(names) => "name is not a listed principal",
        _ if !certificate.critical_options.is_empty() => "unsupported critical option(s)",
        _ => return Ok(()),
    };
    Err(HostRefusal::Certificate(why))
}

/// netgroup(5) has no safe interface here: no host is trusted because of its group, and whoever is refused by group
/// stays so.
struct NoNetgroups;

impl Netgroups for NoNetgroups {
    fn has_host(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn has_user(&self, _: &str, _: &str) -> Option<bool> {
        None
    }
}

/// A regular file; none if it does not exist or is something else.
fn read(path: &Path) -> io::Result<Option<Content>> {
    // NONBLOCK: to open a FIFO would wait for somebody who writes. NOCTTY: to open a terminal would make it ours.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let status = fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut text = Vec::new();
    let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX);
    let mut file = File::from(file).take(limit.saturating_add(1));
    file.read_to_end(&mut text)?;
    match text.len() > FILE_LIMIT {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(Some(Content { text, status })),
    }
}

#[cfg(test)]
mod tests;
