//! Public keys of users: from the blob of RFC 4253 section 6.6 to a key that can verify.
//!
//! The blob comes from the network through a worker, so everything here is bounded and strict: one
//! encoding per key. A second encoding of the same key would compare unequal to the line in
//! authorized_keys, so it is refused here and never taken for the listed one.

mod verification;
mod webauthn;

use std::fmt;

use aws_lc_rs::digest;
use base64ct::{Base64Unpadded, Encoding};
use thiserror::Error;
use wire::codec::{DecodeError, Reader};
use wire::names::KeyType;

pub use verification::{Authenticator, BadSignature, signature_algorithm};

/// Longest name of a key type, curve or signature format in bytes (RFC 4250 section 4.6.1).
const NAME_LIMIT: usize = 64;
/// Longest number: an RSA modulus of 8192 bits and its sign byte.
const NUMBER_LIMIT: usize = 1025;
/// Longest application of a key on a security key; ssh-keygen wants `ssh:` and a word.
const APPLICATION_LIMIT: usize = 256;

/// Why a blob is not a key that this server can verify with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not the fields of RFC 4253, 5656 or 8709, or bytes after them.
    #[error("public key is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A type that is not ours, or a certificate where a plain key must be.
    #[error("public key has an unknown type")]
    UnknownType,
    /// The curve named inside is not the type's, or the point has another form than uncompressed.
    #[error("public key does not fit its type")]
    Unfit,
    /// An RSA modulus below the required size or above 8192 bits.
    #[error("RSA modulus of {0} bits is refused")]
    Size(usize),
}

/// Smallest RSA modulus in bits that is accepted (RequiredRSASize of sshd_config(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequiredRsaSize(pub usize);

/// A public key that this server can verify signatures with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    blob: Vec<u8>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    Ecdsa(Curve, Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// On a security key, for this application (OpenSSH PROTOCOL.u2f).
    SkEd25519 {
        key: Vec<u8>,
        application: Vec<u8>,
    },
    /// The same on NIST P-256.
    SkEcdsa {
        point: Vec<u8>,
        application: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Nistp256,
    Nistp384,
    Nistp521,
}

/// SHA-256 of a public key blob in the form that OpenSSH prints: `SHA256:` and unpadded base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl PublicKey {
    /// Reads a blob.
    ///
    /// # Errors
    /// See [`KeyError`]; the peer's fault in each case.
    pub fn parse(blob: &[u8], required: RequiredRsaSize) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let name = reader.text(NAME_LIMIT)?;
        let material = match KeyType::from_name(name).ok_or(KeyError::UnknownType)? {
            KeyType::Ed25519 => Material::Ed25519(ed25519(&mut reader)?),
            KeyType::EcdsaNistp256 => ecdsa(&mut reader, Curve::Nistp256)?,
            KeyType::EcdsaNistp384 => ecdsa(&mut reader, Curve::Nistp384)?,
            KeyType::EcdsaNistp521 => ecdsa(&mut reader, Curve::Nistp521)?,
            KeyType::SkEd25519 => Material::SkEd25519 {
                key: ed25519(&mut reader)?,
                application: reader.string(APPLICATION_LIMIT)?.to_vec(),
            },
            KeyType::SkEcdsaNistp256 => Material::SkEcdsa {
                point: point(&mut reader, Curve::Nistp256)?,
                application: reader.string(APPLICATION_LIMIT)?.to_vec(),
            },
            KeyType::Rsa => {
                let exponent = minimal(&mut reader)?.to_vec();
                let modulus = minimal(&mut reader)?.to_vec();
                let bits = bits(&modulus);
                if bits < required.0 || bits > 8192 {
                    return Err(KeyError::Size(bits));
                }
                Material::Rsa { modulus, exponent }
            }
            KeyType::Ed25519Cert
            | KeyType::EcdsaNistp256Cert
            | KeyType::EcdsaNistp384Cert
            | KeyType::EcdsaNistp521Cert
            | KeyType::SkEd25519Cert
            | KeyType::SkEcdsaNistp256Cert
            | KeyType::RsaCert => return Err(KeyError::UnknownType),
        };
        reader.finish()?;
        Ok(Self {
            blob: blob.to_vec(),
            material,
        })
    }

    /// The blob as it was read.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The type that the blob names.
    pub fn key_type(&self) -> KeyType {
        match &self.material {
            Material::Ed25519(_) => KeyType::Ed25519,
            Material::Ecdsa(Curve::Nistp256, _) => KeyType::EcdsaNistp256,
            Material::Ecdsa(Curve::Nistp384, _) => KeyType::EcdsaNistp384,
            Material::Ecdsa(Curve::Nistp521, _) => KeyType::EcdsaNistp521,
            Material::Rsa { .. } => KeyType::Rsa,
            Material::SkEd25519 { .. } => KeyType::SkEd25519,
            Material::SkEcdsa { .. } => KeyType::SkEcdsaNistp256,
        }
    }

    /// The type as OpenSSH's log has it: `ED25519`, `ECDSA`, `RSA`, `ED25519-SK`, `ECDSA-SK`.
    pub fn log_name(&self) -> &'static str {
        self.key_type().log_name()
    }

    /// The fingerprint for the journal.
    pub fn fingerprint(&self) -> Fingerprint {
        let sum = digest::digest(&digest::SHA256, &self.blob);
        let text = Base64Unpadded::encode_string(sum.as_ref());
        Fingerprint(format!("SHA256:{text}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.log_name(), self.fingerprint())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Self::Nistp256 => "nistp256",
            Self::Nistp384 => "nistp384",
            Self::Nistp521 => "nistp521",
        }
    }

    /// Length of a coordinate, and of each half of a signature, in bytes.
    fn length(self) -> usize {
        match self {
            Self::Nistp256 => 32,
            Self::Nistp384 => 48,
            Self::Nistp521 => 66,
        }
    }
}

fn ed25519(reader: &mut Reader<'_>) -> Result<Vec<u8>, KeyError> {
    let key = reader.string(32)?;
    match key.len() {
        32 => Ok(key.to_vec()),
        _ => Err(KeyError::Unfit),
    }
}

fn ecdsa(reader: &mut Reader<'_>, curve: Curve) -> Result<Material, KeyError> {
    Ok(Material::Ecdsa(curve, point(reader, curve)?))
}

/// The name of a curve, and a point on it (RFC 5656 section 3.1).
fn point(reader: &mut Reader<'_>, curve: Curve) -> Result<Vec<u8>, KeyError> {
    if reader.text(NAME_LIMIT)? != curve.name() {
        return Err(KeyError::Unfit);
    }
    let uncompressed = 1 + 2 * curve.length();
    let point = reader.string(uncompressed)?;
    // RFC 5656 section 3.1 permits compressed points; nobody sends them.
    if point.len() != uncompressed || point.first() != Some(&4) {
        return Err(KeyError::Unfit);
    }
    Ok(point.to_vec())
}

/// An mpint above zero in its only encoding (RFC 4251 section 5), without its sign byte.
fn minimal<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let encoded = reader.clone().string(NUMBER_LIMIT)?;
    let number = positive(reader)?;
    let sign = number.first().is_some_and(|first| first & 0x80 != 0);
    match encoded.len() == number.len() + usize::from(sign) {
        true => Ok(number),
        false => Err(DecodeError::OutOfRange),
    }
}

/// An mpint above zero without its leading zeros.
fn positive<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let bytes = reader.string(NUMBER_LIMIT)?;
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return Err(DecodeError::OutOfRange);
    }
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .ok_or(DecodeError::OutOfRange)?;
    Ok(bytes.get(start..).unwrap_or_default())
}

/// Length in bits of a number without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    (number.len() * 8).saturating_sub(usize::try_from(unused).unwrap_or(0))
}

#[cfg(test)]
mod tests;
