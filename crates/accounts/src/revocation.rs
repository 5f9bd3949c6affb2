//! RevokedKeys of sshd_config(5): keys and certificates that count for nothing any more.
//!
//! The file is a list of public keys, one per line, or a key revocation list (PROTOCOL.krl). Whoever cannot tell whether a key is
//! revoked has to take it for revoked; [`RevokedKeys::check`] has no answer that could be mistaken for another.

mod files;
mod krl;
mod list;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use thiserror::Error;
use wire::certificate::Certificate;

pub use files::{RevokedKey, Unrevoked, unrevoked};

/// What the file of RevokedKeys says. It is read anew for each key, so that nothing is kept of it but its bytes.
#[derive(Debug, Clone, Copy)]
pub struct RevokedKeys<'a>(&'a [u8]);

/// What a client presents.
#[derive(Debug, Clone, Copy)]
pub enum Presented<'a> {
    /// A plain key, in the format of RFC 4253 section 6.6.
    Plain(&'a [u8]),
    /// A certificate: its key, its fields and its authority can each be revoked.
    Certified(&'a Certificate),
}

/// Whether something is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Revocation {
    /// The file does not name it.
    Valid,
    /// The file names it.
    Revoked(Reason),
    /// The file cannot be read, so that everything has to be taken for revoked.
    Unclear(Unreadable),
}

/// How the file names something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// The key, or its hash.
    #[error("key")]
    Key,
    /// The key of the certificate's authority.
    #[error("certificate authority")]
    Authority,
    /// The certificate's serial number.
    #[error("serial number")]
    Serial,
    /// The certificate's key id.
    #[error("key id")]
    KeyId,
}

/// Why the file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Not what PROTOCOL.krl says.
    #[error("key revocation list is malformed")]
    Malformed,
    /// Made by a newer version, perhaps, for which it says more than could be understood.
    #[error("key revocation list has a part of an unknown kind")]
    Unsupported,
    /// A list of keys with something else in it.
    #[error("line {0} is no public key")]
    Line(usize),
}

impl<'a> RevokedKeys<'a> {
    /// The contents of the file.
    #[must_use]
    pub fn new(file: &'a [u8]) -> Self {
        Self(file)
    }

    /// Whether a key, a certificate, or its authority is revoked.
    ///
    /// Takes time in proportion to the file and allocates next to nothing.
    pub fn check(self, presented: Presented<'_>) -> Revocation {
        let asked = Asked::new(presented);
        let found = match self.0.strip_prefix(krl::MAGIC) {
            Some(list) => krl::search(list, &asked),
            None => list::search(self.0, &asked),
        };
        match found {
            Ok(None) => Revocation::Valid,
            Ok(Some(reason)) => Revocation::Revoked(reason),
            Err(unreadable) => Revocation::Unclear(unreadable),
        }
    }
}

/// Everything by which a file can name what is presented.
struct Asked<'a> {
    key: Key<'a>,
    certificate: Option<(&'a Certificate, Key<'a>)>,
}

/// A plain key and its hashes.
struct Key<'a> {
    blob: &'a [u8],
    sha1: digest::Digest,
    sha256: digest::Digest,
}

impl<'a> Asked<'a> {
    fn new(presented: Presented<'a>) -> Self {
        match presented {
            Presented::Plain(blob) => Self {
                key: Key::new(blob),
                certificate: None,
            },
            Presented::Certified(certificate) => Self {
                key: Key::new(&certificate.key),
                certificate: Some((certificate, Key::new(&certificate.signature_key))),
            },
        }
    }

    /// What is named by something that is true for a key.
    fn named(&self, is: impl Fn(&Key<'_>) -> bool) -> Option<Reason> {
        let authority = self.certificate.as_ref().map(|(_, authority)| authority);
        match is(&self.key) {
            true => Some(Reason::Key),
            false => authority.is_some_and(is).then_some(Reason::Authority),
        }
    }
}

impl<'a> Key<'a> {
    fn new(blob: &'a [u8]) -> Self {
        Self {
            blob,
            // What the format has; nothing is signed with it.
            sha1: digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, blob),
            sha256: digest::digest(&SHA256, blob),
        }
    }
}

#[cfg(test)]
mod tests;
