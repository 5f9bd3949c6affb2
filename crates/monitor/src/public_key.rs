//! Public keys of users: from the blob of RFC 4253 section 6.6 to a key that can verify.
//!
//! The blob comes from the network through a worker, so everything here is bounded and strict: one
//! encoding per key. A second encoding of the same key would compare unequal to the line in
//! authorized_keys and is refused there, never taken for the listed one.

use std::fmt;

use aws_lc_rs::{digest, signature};
use base64ct::{Base64Unpadded, Encoding};
use thiserror::Error;
use wire::codec::{DecodeError, Reader};
use wire::names::{KeyType, SignatureAlgorithm};

/// Longest name of a key type, curve or signature format in bytes (RFC 4250 section 4.6.1).
const NAME_LIMIT: usize = 64;
/// Longest number: an RSA modulus of 8192 bits and its sign byte.
const NUMBER_LIMIT: usize = 1025;
/// Longest signature: two numbers of ECDSA, or one of RSA.
const SIGNATURE_LIMIT: usize = 2048;

/// Why a blob is not a key that this server can verify with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not the fields of RFC 4253, 5656 or 8709, or bytes after them.
    #[error("public key is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A type that is not ours, for example a certificate.
    #[error("public key has an unknown type")]
    UnknownType,
    /// The curve named inside is not the type's, or the point has another form than uncompressed.
    #[error("public key does not fit its type")]
    Unfit,
    /// An RSA modulus below the required size or above 8192 bits.
    #[error("RSA modulus of {0} bits is refused")]
    Size(usize),
}

/// The signature does not verify under this key. Nothing more: whoever asks knows what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct BadSignature;

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
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
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
            KeyType::Ed25519 => {
                let key = reader.string(32)?;
                if key.len() != 32 {
                    return Err(KeyError::Unfit);
                }
                Material::Ed25519(key.to_vec())
            }
            KeyType::EcdsaNistp256 => ecdsa(&mut reader, Curve::Nistp256)?,
            KeyType::EcdsaNistp384 => ecdsa(&mut reader, Curve::Nistp384)?,
            KeyType::EcdsaNistp521 => ecdsa(&mut reader, Curve::Nistp521)?,
            KeyType::Rsa => {
                let exponent = positive(&mut reader)?.to_vec();
                let modulus = positive(&mut reader)?.to_vec();
                let bits = bits(&modulus);
                if bits < required.0 || bits > 8192 {
                    return Err(KeyError::Size(bits));
                }
                Material::Rsa { modulus, exponent }
            }
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
        }
    }

    /// The type as OpenSSH's log has it: `ED25519`, `ECDSA`, `RSA`.
    pub fn log_name(&self) -> &'static str {
        match &self.material {
            Material::Ed25519(_) => "ED25519",
            Material::Ecdsa(..) => "ECDSA",
            Material::Rsa { .. } => "RSA",
        }
    }

    /// The fingerprint for the journal.
    pub fn fingerprint(&self) -> Fingerprint {
        let sum = digest::digest(&digest::SHA256, &self.blob);
        let text = Base64Unpadded::encode_string(sum.as_ref());
        Fingerprint(format!("SHA256:{text}"))
    }

    /// Verifies a signature blob (RFC 4253 section 6.6: format, signature) over `data`.
    ///
    /// The format inside must be `algorithm`, and `algorithm` must belong to this key's type: a
    /// signature made under one name must not count under another (RFC 8332 section 3.2).
    ///
    /// # Errors
    /// [`BadSignature`], whatever is wrong with it.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        data: &[u8],
        blob: &[u8],
    ) -> Result<(), BadSignature> {
        if algorithm.key_type() != self.key_type() {
            return Err(BadSignature);
        }
        let mut reader = Reader::new(blob);
        let format = reader.text(NAME_LIMIT).map_err(|_| BadSignature)?;
        let signed = reader.string(SIGNATURE_LIMIT).map_err(|_| BadSignature)?;
        reader.finish().map_err(|_| BadSignature)?;
        if format != algorithm.name() {
            return Err(BadSignature);
        }
        match &self.material {
            Material::Ed25519(key) => verify_with(&signature::ED25519, key, data, signed),
            Material::Ecdsa(curve, point) => {
                let fixed = curve.fixed_signature(signed).ok_or(BadSignature)?;
                verify_with(curve.verification(), point, data, &fixed)
            }
            Material::Rsa { modulus, exponent } => {
                let parameters = match algorithm {
                    SignatureAlgorithm::RsaSha2_256 => {
                        &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
                    }
                    SignatureAlgorithm::RsaSha2_512 => {
                        &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
                    }
                    SignatureAlgorithm::Ed25519
                    | SignatureAlgorithm::EcdsaNistp256
                    | SignatureAlgorithm::EcdsaNistp384
                    | SignatureAlgorithm::EcdsaNistp521 => return Err(BadSignature),
                };
                // Some clients drop leading zeros (RFC 8017 section 8.2.2 wants the full length).
                let padded = left_padded(signed, modulus.len()).ok_or(BadSignature)?;
                signature::RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                }
                .verify(parameters, data, &padded)
                .map_err(|_| BadSignature)
            }
        }
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

    fn verification(self) -> &'static signature::EcdsaVerificationAlgorithm {
        match self {
            Self::Nistp256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Nistp384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Nistp521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }

    /// From mpint r, mpint s (RFC 5656 section 3.1.2) to both at their full length.
    fn fixed_signature(self, signed: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader::new(signed);
        let r = left_padded(positive(&mut reader).ok()?, self.length())?;
        let s = left_padded(positive(&mut reader).ok()?, self.length())?;
        reader.finish().ok()?;
        Some([r, s].concat())
    }
}

fn ecdsa(reader: &mut Reader<'_>, curve: Curve) -> Result<Material, KeyError> {
    if reader.text(NAME_LIMIT)? != curve.name() {
        return Err(KeyError::Unfit);
    }
    let uncompressed = 1 + 2 * curve.length();
    let point = reader.string(uncompressed)?;
    // RFC 5656 section 3.1 permits compressed points; nobody sends them.
    if point.len() != uncompressed || point.first() != Some(&4) {
        return Err(KeyError::Unfit);
    }
    Ok(Material::Ecdsa(curve, point.to_vec()))
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

fn left_padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; length.checked_sub(number.len())?];
    out.extend_from_slice(number);
    Some(out)
}

fn verify_with(
    algorithm: &'static dyn signature::VerificationAlgorithm,
    key: &[u8],
    data: &[u8],
    signed: &[u8],
) -> Result<(), BadSignature> {
    signature::UnparsedPublicKey::new(algorithm, key)
        .verify(data, signed)
        .map_err(|_| BadSignature)
}

#[cfg(test)]
mod tests;
