//! StrictModes of sshd_config(5): nobody but the user and root may be able to change what lets the user in.

use crate::printable::Printable;
use rustix::fs::{FileType, Stat, fstat, stat};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Write permission for the group or for everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What has the wrong owner or mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file itself.
    File,
    /// A directory above it.
    Directory,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
        })
    }
}

/// Why a file is not trusted.
#[derive(Debug, Error)]
pub(crate) enum Untrusted {
    /// OpenSSH's words, for which people and tools search.
    #[error("bad ownership or modes for {kind} {}", Printable(path))]
    BadOwnershipOrModes { kind: Kind, path: PathBuf },
    /// It cannot be told.
    #[error("cannot check {}: {error}", Printable(path))]
    Unknown { path: PathBuf, error: io::Error },
}

/// Checks an open file and every directory from it up to the home directory, or up to `/` if the file is elsewhere.
///
/// As safe_path of OpenSSH: the path is the real one after all links, each part must belong to the user or root, and not be
/// writable by group or others. To be called with the user's identity.
pub(crate) fn check(file: impl AsFd, path: &Path, uid: u32, home: &Path) -> Result<(), Untrusted> {
    let unknown = |path: &Path, error: io::Error| Untrusted::Unknown {
        path: path.to_owned(),
        error,
    };
    let status = fstat(file).map_err(|error| unknown(path, error.into()))?;
    let home = home.canonicalize().ok();
    check_path(&status, path, uid, home.as_deref())
}

/// The same for a program that root alone may change: up to `/`.
pub(crate) fn check_program(path: &Path) -> Result<(), Untrusted> {
    let status = stat(path).map_err(|error| Untrusted::Unknown {
        path: path.to_owned(),
        error: error.into(),
    })?;
    check_path(&status, path, 0, None)
}

fn check_path(status: &Stat, path: &Path, uid: u32, home: Option<&Path>) -> Result<(), Untrusted> {
    let unknown = |path: &Path, error: io::Error| Untrusted::Unknown {
        path: path.to_owned(),
        error,
    };
    let real = path.canonicalize().map_err(|error| unknown(path, error))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile || !is_safe(status, uid) {
        return Err(Untrusted::BadOwnershipOrModes {
            kind: Kind::File,
            path: real,
        });
    }
    for directory in real.ancestors().skip(1) {
        let status = stat(directory).map_err(|error| unknown(directory, error.into()))?;
        if !is_safe(&status, uid) {
            return Err(Untrusted::BadOwnershipOrModes {
                kind: Kind::Directory,
                path: directory.to_owned(),
            });
        }
        // Who can change what is above the home directory can take the whole account, with or without keys.
        if home == Some(directory) {
            break;
        }
    }
    Ok(())
}

fn is_safe(status: &Stat, uid: u32) -> bool {
    (status.st_uid == 0 || status.st_uid == uid) && status.st_mode & WRITABLE_BY_OTHERS == 0
}
