//! HostCertificate files: a certificate in the form of a public key file, for one of the host keys.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64ct::{Base64, Encoding};
use wire::certificate::{CERTIFICATE_LIMIT, CertificateKind};
use wire::names::SignatureAlgorithm;

use super::{HostKey, LoadError};
use crate::certificate::{Certified, Requirements};
use crate::public_key::RequiredRsaSize;

/// Largest file in bytes: a certificate in base64, its type and a comment.
const FILE_LIMIT: usize = 2 * CERTIFICATE_LIMIT;

impl HostKey {
    /// Reads a certificate and gives it to the one of `keys` that it is for. Of two certificates
    /// for one key the later counts (as in sshd).
    ///
    /// Whether it is still valid, and whether its authority is one to be trusted, is the clients' to
    /// judge; sshd presents an expired one as well.
    ///
    /// # Errors
    /// See [`LoadError`]; the certificate is to be skipped.
    pub fn certify(keys: &mut [Self], path: &Path) -> Result<(), LoadError> {
        let certified = load(path)?;
        let key = keys
            .iter_mut()
            .find(|key| key.blob == certified.key().blob())
            .ok_or_else(|| LoadError::NoKeyForCertificate(path.to_owned()))?;
        key.certificate = Some(certified.certificate().blob().to_vec());
        Ok(())
    }
}

fn load(path: &Path) -> Result<Certified, LoadError> {
    let bad = |reason: String| LoadError::BadCertificate {
        path: path.to_owned(),
        reason,
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT as u64).read_to_string(&mut text))
        .map_err(|error| bad(error.to_string()))?;
    let blob = text
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|word| Base64::decode_vec(word).ok())
        .ok_or_else(|| bad("not a public key file".to_owned()))?;
    // The file is the administrator's: what clients will think of its algorithms is theirs to say.
    let requirements = Requirements {
        rsa: RequiredRsaSize(0),
        authority: SignatureAlgorithm::ALL,
    };
    let certified =
        Certified::parse(&blob, requirements).map_err(|error| bad(error.to_string()))?;
    match certified.certificate().kind {
        CertificateKind::Host => Ok(certified),
        CertificateKind::User => Err(bad("it is the certificate of a user".to_owned())),
    }
}
