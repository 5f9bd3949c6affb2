//! Host key files: OpenSSH's private key format, unencrypted, with sshd(8)'s permission check.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use thiserror::Error;
use wire::names::{KeyType, SignatureAlgorithm};
use zeroize::Zeroizing;

use super::file_format::{Numbers, PrivateKey, decode, unarmour};
use super::{HostKey, SignError, Signer, rsa};
use crate::public_key::{BadSignature, PublicKey, RequiredRsaSize};

/// Largest key file in bytes; an RSA key of 16384 bits has less than 13,000.
const FILE_LIMIT: usize = 64 * 1024;

const DIFFERENT: &str = "private and public half do not belong together";

/// Why a host key cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be opened or read.
    #[error("Unable to load host key \"{}\": {error}", path.display())]
    Read {
        /// Of the file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others may read or replace the file.
    #[error("{0}")]
    Unprotected(Unprotected),
    /// Not an unencrypted private key of a type and size that this server has.
    #[error("Unable to load host key \"{}\": {reason}", path.display())]
    Unusable {
        /// Of the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A HostCertificate file is none, or is malformed.
    #[error("Could not load host certificate \"{}\": {reason}", path.display())]
    BadCertificate {
        /// Of the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A HostCertificate for a key that is not loaded.
    #[error("No matching private key for certificate: {}", .0.display())]
    NoKeyForCertificate(PathBuf),
    /// Nothing to serve with.
    #[error("no hostkeys available -- exiting.")]
    NoHostKeys,
}

/// A private key file that others can reach. Shown as the banner that administrators know.
#[derive(Debug)]
pub struct Unprotected {
    /// Of the file.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub owner: u32,
}

impl fmt::Display for Unprotected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
        let path = self.path.display();
        writeln!(f, "{line}")?;
        writeln!(
            f,
            "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @"
        )?;
        writeln!(f, "{line}")?;
        if self.mode & 0o077 == 0 {
            writeln!(f, "Owner of '{path}' is user {}, not root.", self.owner)?;
        } else {
            writeln!(
                f,
                "Permissions 0{:03o} for '{path}' are too open.",
                self.mode
            )?;
        }
        writeln!(
            f,
            "It is required that your private key files are NOT accessible by others."
        )?;
        write!(f, "This private key will be ignored.")
    }
}

impl LoadError {
    /// Whether the file is simply not there, which is in order for those of the default list.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

impl HostKey {
    /// Loads a private key file.
    ///
    /// # Errors
    /// See [`LoadError`]; the file is to be skipped.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let read = |error| LoadError::Read {
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(read)?;
        // Of the open file, not of the path: what is checked is what is read.
        let metadata = file.metadata().map_err(read)?;
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        let own = rustix::process::geteuid().as_raw();
        if mode & 0o077 != 0 || (owner != 0 && owner != own) {
            return Err(LoadError::Unprotected(Unprotected {
                path: path.to_owned(),
                mode,
                owner,
            }));
        }
        // Room for all of it from the start: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_LIMIT + 1));
        file.take(FILE_LIMIT as u64 + 1)
            .read_to_end(&mut text)
            .map_err(read)?;
        Self::from_text(&text).map_err(|reason| LoadError::Unusable {
            path: path.to_owned(),
            reason,
        })
    }

    fn from_text(text: &[u8]) -> Result<Self, &'static str> {
        let bytes = unarmour(text)?;
        let PrivateKey { blob, numbers } = decode(&bytes)?;
        let signer = match numbers {
            Numbers::Ed25519 { seed, public } => {
                Ed25519KeyPair::from_seed_and_public_key(seed, public)
                    .map(Signer::Ed25519)
                    .map_err(|_| DIFFERENT)?
            }
            Numbers::Ecdsa {
                kind,
                scalar,
                point,
            } => ecdsa(kind, scalar, point)?,
            Numbers::Rsa(numbers) => Signer::Rsa(rsa::key_pair(&numbers)?),
        };
        let key = Self {
            blob: blob.to_vec(),
            signer,
            certificate: None,
        };
        match key.verifies_itself() {
            Ok(()) => Ok(key),
            Err(BadSignature) => Err(DIFFERENT),
        }
    }

    /// Clients will verify with the blob: whether that works is better known now.
    fn verifies_itself(&self) -> Result<(), BadSignature> {
        let algorithm = self.algorithm();
        let public = PublicKey::parse(&self.blob, RequiredRsaSize(0)).map_err(|_| BadSignature)?;
        let signature = self
            .sign(algorithm, b"")
            .map_err(|SignError| BadSignature)?;
        public.verify(algorithm, b"", &signature).map(drop)
    }
}

fn ecdsa(kind: KeyType, scalar: &[u8], point: &[u8]) -> Result<Signer, &'static str> {
    let (name, algorithm, length) = match kind {
        KeyType::EcdsaNistp256 => (
            SignatureAlgorithm::EcdsaNistp256,
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            32,
        ),
        KeyType::EcdsaNistp384 => (
            SignatureAlgorithm::EcdsaNistp384,
            &ECDSA_P384_SHA384_FIXED_SIGNING,
            48,
        ),
        KeyType::EcdsaNistp521 => (
            SignatureAlgorithm::EcdsaNistp521,
            &ECDSA_P521_SHA512_FIXED_SIGNING,
            66,
        ),
        _ => return Err(DIFFERENT),
    };
    let zeros = usize::checked_sub(length, scalar.len()).ok_or(DIFFERENT)?;
    let mut padded = Zeroizing::new(Vec::with_capacity(length));
    padded.resize(zeros, 0);
    padded.extend_from_slice(scalar);
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &padded, point)
        .map(|pair| Signer::Ecdsa(name, pair))
        .map_err(|_| DIFFERENT)
}
