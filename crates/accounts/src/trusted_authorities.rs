//! TrustedUserCAKeys of sshd_config(5): whose certificates count for every user.

use crate::key_text;
use thiserror::Error;

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
        assert_eq!(
            trusted(broken.as_bytes(), &directory.blob("ca")),
            Err(NoKey(1))
        );
    }
}
