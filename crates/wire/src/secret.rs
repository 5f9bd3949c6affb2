//! What users type to prove who they are.

use std::fmt;

use zeroize::Zeroizing;

use crate::codec::{DecodeError, Reader};
use crate::message::BLOB_LIMIT;

/// Longest password or response in bytes, as in sshd: longer ones only cost hashing time.
pub const SECRET_LIMIT: usize = 1024;

/// A password or a response to a prompt: wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// `None` if it is longer than [`SECRET_LIMIT`], or has a NUL, behind which PAM would not see it.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() <= SECRET_LIMIT && !bytes.contains(&0)).then_some(Self(bytes))
    }

    /// Of a copy; the original is the caller's to wipe.
    pub fn copy(bytes: &[u8]) -> Option<Self> {
        Self::new(Zeroizing::new(bytes.to_vec()))
    }

    /// Reads a `string`; `None` if it cannot be a secret.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        Ok(Self::copy(reader.string(BLOB_LIMIT)?))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves, for somebody who wipes them.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pam_would_not_see_whole_is_no_secret() {
        assert_eq!(Secret::copy(b"").unwrap().expose(), b"");
        assert!(Secret::copy(&[b'a'; SECRET_LIMIT]).is_some());
        assert!(Secret::copy(&[b'a'; SECRET_LIMIT + 1]).is_none());
        assert!(Secret::copy(b"hunter2\0").is_none());
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::copy(b"hunter2")), "Some(Secret)");
    }
}
