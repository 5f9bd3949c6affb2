//! Files that say who may log in to an account. They are the user's, who need not be honest.

use crate::account::Account;
use crate::printable::Printable;
use crate::server_file::Words;
use crate::strict_modes::{self, Kind, Untrusted};
use config::authorized_keys::FILE_LIMIT;
use config::sshd::YesNo;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How many refusals of one look into files are kept for the journal.
pub(crate) const REFUSALS_LIMIT: usize = 8;

/// What a file is for, as OpenSSH's log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// AuthorizedKeysFile
    Keys,
    /// AuthorizedPrincipalsFile
    Principals,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "authorized keys",
            Self::Principals => "authorized principals",
        })
    }
}

/// Why a file was not used. `Display` begins with OpenSSH's words where it has any.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileRefusal {
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
    #[error("User '{user}' {purpose} '{}' is not a regular file", Printable(path))]
    NotRegular {
        /// The account's name.
        user: String,
        /// What it is for.
        purpose: Purpose,
        /// The file.
        path: PathBuf,
    },
    /// Longer than [`FILE_LIMIT`].
    #[error(
        "User '{user}' {purpose} '{}' is longer than {FILE_LIMIT} bytes",
        Printable(path)
    )]
    TooLong {
        /// The account's name.
        user: String,
        /// What it is for.
        purpose: Purpose,
        /// The file.
        path: PathBuf,
    },
    /// It is there and cannot be read, as this user.
    #[error(
        "Could not open user '{user}' {purpose} '{}': {}",
        Printable(path),
        Words(error)
    )]
    Unreadable {
        /// The account's name.
        user: String,
        /// What it is for.
        purpose: Purpose,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

/// The contents of a file; none if it does not exist. To be called with the user's identity.
pub(crate) fn read(
    account: &Account,
    purpose: Purpose,
    path: &Path,
    strict_modes: YesNo,
) -> Result<Option<Vec<u8>>, FileRefusal> {
    let user = || account.name.clone();
    let unreadable = |path: &Path, error: io::Error| FileRefusal::Unreadable {
        user: user(),
        purpose,
        path: path.to_owned(),
        error,
    };
    // NONBLOCK: to open a FIFO would wait for somebody who writes. NOCTTY: to open a terminal would make it ours.
    // Links are followed, as OpenSSH does; StrictModes looks at what is behind them.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(unreadable(path, error.into())),
    };
    let status = fstat(&file).map_err(|error| unreadable(path, error.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(FileRefusal::NotRegular {
            user: user(),
            purpose,
            path: path.to_owned(),
        });
    }
    if strict_modes == YesNo::Yes {
        let checked = strict_modes::check(&file, path, account.uid, &account.home);
        checked.map_err(|untrusted| match untrusted {
            Untrusted::BadOwnershipOrModes { kind, path } => {
                FileRefusal::BadOwnershipOrModes { kind, path }
            }
            Untrusted::Unknown { path, error } => unreadable(&path, error),
        })?;
    }
    let mut text = Vec::new();
    let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX);
    File::from(file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(|error| unreadable(path, error))?;
    match text.len() > FILE_LIMIT {
        true => Err(FileRefusal::TooLong {
            user: user(),
            purpose,
            path: path.to_owned(),
        }),
        false => Ok(Some(text)),
    }
}
