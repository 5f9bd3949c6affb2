//! The key of a publickey request: plain, or in a certificate.

use base64ct::{Base64, Encoding as _};
use thiserror::Error;
use wire::codec::Reader;
use wire::names::{KeyType, SignatureAlgorithm};

use crate::certificate::{CertificateError, Certified, Requirements};
use crate::public_key::{Authenticator, BadSignature, Fingerprint, KeyError, PublicKey};

/// A key that a client can prove to have.
///
/// A certificate is never taken for the plain key inside: whoever lists the one does not list the
/// other, and their blobs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKey {
    /// As in authorized_keys.
    Plain(PublicKey),
    /// With an authority's word for it.
    Certified(Box<Certified>),
}

/// Why a blob is no key of a client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientKeyError {
    /// Of a type that is not the algorithm's.
    #[error("key type does not fit the signature algorithm")]
    Type,
    /// A plain key.
    #[error(transparent)]
    Plain(#[from] KeyError),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl ClientKey {
    /// Reads a blob in the form that `algorithm` has.
    ///
    /// # Errors
    /// See [`ClientKeyError`]; the peer's fault in each case.
    pub fn parse(
        blob: &[u8],
        algorithm: SignatureAlgorithm,
        requirements: Requirements<'_>,
    ) -> Result<Self, ClientKeyError> {
        let key = match algorithm.is_certificate() {
            false => Self::Plain(PublicKey::parse(blob, requirements.rsa)?),
            true => Self::Certified(Box::new(Certified::parse(blob, requirements)?)),
        };
        match key.key_type() == algorithm.key_type() {
            true => Ok(key),
            false => Err(ClientKeyError::Type),
        }
    }

    /// The blob as it was read.
    pub fn blob(&self) -> &[u8] {
        match self {
            Self::Plain(key) => key.blob(),
            Self::Certified(certified) => certified.certificate().blob(),
        }
    }

    /// The type that the blob names.
    pub fn key_type(&self) -> KeyType {
        match self {
            Self::Plain(key) => key.key_type(),
            Self::Certified(certified) => certified.certificate().key_type(),
        }
    }

    /// The type as OpenSSH's log has it: `ED25519`, `RSA-CERT`.
    pub fn log_name(&self) -> &'static str {
        self.key_type().log_name()
    }

    /// The key or certificate as a line of authorized_keys has it: type and Base64.
    pub fn text(&self) -> String {
        let blob = self.blob();
        // It begins with the name of its type (RFC 4253 section 6.6).
        let name = Reader::new(blob).string(64).unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        format!("{name} {}", Base64::encode_string(blob))
    }

    /// The fingerprint for the journal: of a certificate, that of its key (as in OpenSSH).
    pub fn fingerprint(&self) -> Fingerprint {
        self.public_key().fingerprint()
    }

    /// Whether it is the same key, with a certificate or without.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.public_key() == other.public_key()
    }

    /// Verifies a signature blob that was made under the name `algorithm`.
    ///
    /// # Errors
    /// [`BadSignature`], whatever is wrong with it.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        data: &[u8],
        blob: &[u8],
    ) -> Result<Option<Authenticator>, BadSignature> {
        if algorithm.key_type() != self.key_type() {
            return Err(BadSignature);
        }
        self.public_key().verify(algorithm.plain(), data, blob)
    }

    fn public_key(&self) -> &PublicKey {
        match self {
            Self::Plain(key) => key,
            Self::Certified(certified) => certified.key(),
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::codec::Write;

    use super::*;
    use crate::hostkeys::HostKey;
    use crate::public_key::RequiredRsaSize;
    use crate::testing::{Directory, SecurityKey, published, read_public};

    const REQUIREMENTS: Requirements<'_> = Requirements {
        rsa: RequiredRsaSize(2048),
        authority: SignatureAlgorithm::DEFAULT,
    };

    /// A private key of any kind.
    enum Signer {
        Software(Box<HostKey>),
        Device(SecurityKey),
    }

    impl Signer {
        fn sign(&self, algorithm: SignatureAlgorithm) -> Option<Vec<u8>> {
            match self {
                Self::Software(key) => key.sign(algorithm, b"x").ok(),
                Self::Device(key) => key.sign_as(algorithm, b"x", 1, 1),
            }
        }
    }

    /// A key of each type, and a certificate for each.
    fn keys(directory: &Directory) -> Vec<(Signer, Vec<u8>)> {
        let authority = directory.key("authority", &["-t", "ed25519", "-N", ""]);
        let mut keys = Vec::new();
        for (at, options) in [
            ["-t", "ed25519", "-b", "256"],
            ["-t", "ecdsa", "-b", "256"],
            ["-t", "ecdsa", "-b", "384"],
            ["-t", "ecdsa", "-b", "521"],
            ["-t", "rsa", "-b", "2048"],
        ]
        .iter()
        .enumerate()
        {
            let name = format!("key{at}");
            let path = directory.key(&name, &[options.as_slice(), &["-N", ""]].concat());
            let load = || {
                let key = HostKey::load(&path).unwrap_or_else(|error| panic!("{error}"));
                Signer::Software(Box::new(key))
            };
            let certificate = directory.certificate(&authority, &name, &["-n", "alice"]);
            keys.push((load(), published(&path)));
            keys.push((load(), read_public(&certificate)));
        }
        for (at, device) in [SecurityKey::ed25519, SecurityKey::ecdsa]
            .iter()
            .enumerate()
        {
            let (plain, certified) = (device(), device());
            let name = format!("device{at}");
            directory.write(&format!("{name}.pub"), &certified.line());
            let certificate = directory.certificate(&authority, &name, &["-n", "alice"]);
            let blob = plain.blob();
            keys.push((Signer::Device(plain), blob));
            keys.push((Signer::Device(certified), read_public(&certificate)));
        }
        keys
    }

    #[test]
    fn each_key_verifies_under_the_names_of_its_own_type_only() {
        let directory = Directory::new();
        let mut verified = Vec::new();
        for (signer, blob) in keys(&directory) {
            for parsed_as in SignatureAlgorithm::ALL {
                let Ok(key) = ClientKey::parse(&blob, *parsed_as, REQUIREMENTS) else {
                    continue;
                };
                assert_eq!(key.blob(), blob);
                assert_eq!(key.key_type(), parsed_as.key_type());
                for asked in SignatureAlgorithm::ALL {
                    for made in SignatureAlgorithm::ALL {
                        let Some(signature) = signer.sign(*made) else {
                            continue;
                        };
                        let own = asked.key_type() == key.key_type() && asked.plain() == *made;
                        assert_eq!(
                            key.verify(*asked, b"x", &signature).is_ok(),
                            own,
                            "{asked:?} {made:?} {blob:02x?}"
                        );
                        // The same numbers under another name.
                        let mut reader = Reader::new(&signature);
                        reader.string(100).unwrap();
                        let mut renamed = Vec::new();
                        renamed.put_string(asked.name().as_bytes());
                        renamed.put_bytes(reader.rest());
                        let own = own && asked == made;
                        assert_eq!(key.verify(*asked, b"x", &renamed).is_ok(), own);
                    }
                }
                verified.push(*parsed_as);
            }
        }
        // Every algorithm had a key that is read under its name.
        verified.sort_by_key(|algorithm| algorithm.name());
        verified.dedup();
        assert_eq!(verified.len(), SignatureAlgorithm::ALL.len());
    }
}
