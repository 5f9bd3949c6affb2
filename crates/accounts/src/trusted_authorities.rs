//! TrustedUserCAKeys of sshd_config(5): whose certificates count for every user.

use crate::key_text;
use crate::printable::Printable;
use crate::server_file::{self, FileError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The longest file in bytes.
const FILE_LIMIT: usize = 1 << 20;

/// Proof that TrustedUserCAKeys lists an authority. Made by [`trusted_authority`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedAuthority {
    blob: Vec<u8>,
    file: PathBuf,
}

impl TrustedAuthority {
    /// Its key, in the format of RFC 4253 section 6.6.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The file that lists it.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Why an authority is not trusted. `Display` is what OpenSSH says at its second level of debugging.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// The file lists others.
    #[error("CA is not listed in {}", Printable(.0))]
    NotListed(PathBuf),
    /// A line of the file is no key, and those behind it do not count.
    #[error("{}: {no_key}", Printable(file))]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line.
        no_key: NoKey,
    },
    /// The file is not read.
    #[error("{}: {why}", Printable(file))]
    Unread {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        why: FileError,
    },
}

/// Looks for the key of an authority, in the format of RFC 4253 section 6.6, in the file of TrustedUserCAKeys, for at most
/// `timeout`. Blocks for as long.
///
/// # Errors
///
/// It is not there, or that cannot be told.
pub fn trusted_authority(
    file: &Path,
    authority: &[u8],
    timeout: Duration,
) -> Result<TrustedAuthority, Untrusted> {
    let blob = authority.to_vec();
    let found = server_file::look(file, FILE_LIMIT, timeout, move |contents| {
        trusted(contents, &blob)
    });
    let file = file.to_owned();
    match found {
        Ok(Ok(Trusted::Listed { .. })) => Ok(TrustedAuthority {
            blob: authority.to_vec(),
            file,
        }),
        Ok(Ok(Trusted::NotListed)) => Err(Untrusted::NotListed(file)),
        Ok(Err(no_key)) => Err(Untrusted::Malformed { file, no_key }),
        Err(why) => Err(Untrusted::Unread { file, why }),
    }
}

/// Whether an authority is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trusted {
    /// It is.
    Listed {
        /// The line, counted from 1.
        line: usize,
    },
    /// It is not.
    NotListed,
}

/// A line that is no public key. What follows it is not looked at, as in OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {0} is no public key")]
pub struct NoKey(pub usize);

/// Looks for the key of an authority, in the format of RFC 4253 section 6.6, in the file of TrustedUserCAKeys.
///
/// # Errors
///
/// A line before it is no public key.
pub fn trusted(file: &[u8], authority: &[u8]) -> Result<Trusted, NoKey> {
    for (line, text) in key_text::lines(file) {
        if key_text::key(text).ok_or(NoKey(line))? == authority {
            return Ok(Trusted::Listed { line });
        }
    }
    Ok(Trusted::NotListed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;

    #[test]
    fn an_authority_is_trusted_by_its_own_key_only() {
        let directory = Directory::new();
        for name in ["a", "ca", "other"] {
            directory.key(name);
        }
        directory.certificate("ca", "1");
        let (ca, certificate) = (directory.public("ca"), directory.public("a-ca-1"));
        let file = format!("# ours\n{certificate}  {ca}");
        let look = |name| trusted(file.as_bytes(), &directory.blob(name));
        assert_eq!(look("ca"), Ok(Trusted::Listed { line: 3 }));
        assert_eq!(look("other"), Ok(Trusted::NotListed));
        // A certificate makes no authority of its key.
        assert_eq!(look("a"), Ok(Trusted::NotListed));
        let broken = format!("x\n{ca}");
        let path = directory.write("broken", &broken);
        let limit = Duration::from_secs(30);
        let refused = trusted_authority(&path, &directory.blob("ca"), limit);
        assert!(matches!(refused, Err(Untrusted::Malformed { .. })));
        let path = directory.write("authorities", &file);
        let proof = trusted_authority(&path, &directory.blob("ca"), limit).unwrap();
        assert_eq!(
            (proof.blob(), proof.file()),
            (&*directory.blob("ca"), &*path)
        );
        let refused = trusted_authority(&path, &directory.blob("other"), limit);
        assert!(matches!(refused, Err(Untrusted::NotListed(_))));
        let refused = trusted_authority(&path.join("x"), &directory.blob("ca"), limit);
        assert!(matches!(refused, Err(Untrusted::Unread { .. })));
        assert_eq!(
            trusted(broken.as_bytes(), &directory.blob("ca")),
            Err(NoKey(1))
        );
    }
}
