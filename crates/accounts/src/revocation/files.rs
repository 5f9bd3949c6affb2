//! The files of RevokedKeys, and the proof that they do not name a key.

use super::{Presented, Reason, Revocation, RevokedKeys, Unreadable};
use crate::printable::Printable;
use crate::server_file::{self, FileError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use wire::certificate::Certificate;

/// The longest file in bytes: some 400,000 hashes. Of these a few may be in memory at once.
const FILE_LIMIT: usize = 16 << 20;

/// Proof that no file of RevokedKeys names a key. Made by [`unrevoked`] only.
#[derive(Debug)]
pub struct Unrevoked {
    blob: Vec<u8>,
}

impl Unrevoked {
    /// The key or certificate that was presented.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }
}

/// Why a key counts for nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RevokedKey {
    /// A file names it, or something about it.
    #[error("revoked by file {}", Printable(file))]
    Named {
        /// The file.
        file: PathBuf,
        /// How it names it.
        reason: Reason,
    },
    /// A file says something that is not understood, so that it may name any key.
    #[error("revoked keys file {}: {why}", Printable(file))]
    Unclear {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: Unreadable,
    },
    /// A file is not read, so that it may name any key.
    #[error("revoked keys file {}: {why}", Printable(file))]
    Unread {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        why: FileError,
    },
}

/// Looks for a key or certificate in the files of RevokedKeys, each for at most `timeout`. Blocks for as long.
///
/// `blob` is one that was read as what it is: a certificate if it can be decoded as one, else a plain key.
///
/// # Errors
///
/// A file names it, or cannot be read: then it revokes every key, as sshd_config(5) says.
pub fn unrevoked(
    files: &[PathBuf],
    blob: &[u8],
    timeout: Duration,
) -> Result<Unrevoked, RevokedKey> {
    let blob = blob.to_vec();
    for file in files {
        consult(file, &blob, timeout)?;
    }
    Ok(Unrevoked { blob })
}

fn consult(file: &Path, blob: &[u8], timeout: Duration) -> Result<(), RevokedKey> {
    let path = || file.to_owned();
    let blob = blob.to_vec();
    let answer = server_file::look(file, FILE_LIMIT, timeout, move |contents| {
        let certificate = Certificate::decode(&blob);
        let presented = match &certificate {
            Ok(certificate) => Presented::Certified(certificate),
            Err(_) => Presented::Plain(&blob),
        };
        RevokedKeys::new(contents).check(presented)
    });
    match answer {
        Ok(Revocation::Valid) => Ok(()),
        Ok(Revocation::Revoked(reason)) => Err(RevokedKey::Named {
            file: path(),
            reason,
        }),
        Ok(Revocation::Unclear(why)) => Err(RevokedKey::Unclear { file: path(), why }),
        Err(why) => Err(RevokedKey::Unread { file: path(), why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn each_file_must_be_there_and_say_nothing_of_the_key() {
        let directory = Directory::new();
        for name in ["a", "b", "ca"] {
            directory.key(name);
        }
        directory.certificate("ca", "5");
        let empty = directory.write("empty", "");
        let with_a = directory.write("with-a", &directory.public("a"));
        let with_ca = directory.write("with-ca", &directory.public("ca"));
        let broken = directory.write("broken", "x\n");
        let missing = empty.with_file_name("missing");
        let ask = |files: &[&PathBuf], name| {
            let files: Vec<PathBuf> = files.iter().map(|&file| file.clone()).collect();
            unrevoked(&files, &directory.blob(name), LONG)
        };
        assert!(ask(&[], "a").is_ok());
        let proof = ask(&[&empty, &with_a, &with_ca], "b").unwrap();
        assert_eq!(proof.blob(), directory.blob("b"));
        for (files, name) in [
            (&[&with_a][..], "a"),
            (&[&empty, &with_a], "a"),
            (&[&with_a, &empty], "a"),
            (&[&with_a], "a-ca-5"),
            (&[&with_ca], "a-ca-5"),
        ] {
            let refused = ask(files, name);
            assert!(matches!(refused, Err(RevokedKey::Named { .. })), "{name}");
        }
        let refused = ask(&[&empty, &broken], "b");
        assert!(matches!(refused, Err(RevokedKey::Unclear { .. })));
        let refused = ask(&[&missing, &empty], "b").unwrap_err().to_string();
        assert!(
            refused.ends_with("missing: No such file or directory"),
            "{refused}"
        );
    }
}
