//! Signatures of users and certificate authorities, and what an authenticator adds to them.

use aws_lc_rs::{digest, signature};
use thiserror::Error;
use wire::codec::{DecodeError, Reader, Write};
use wire::names::SignatureAlgorithm;

use super::webauthn::Assertion;
use super::{Curve, Material, NAME_LIMIT, PublicKey, positive};

/// Longest signature: two numbers of ECDSA, or one of RSA.
pub(super) const SIGNATURE_LIMIT: usize = 2048;

/// The signature does not verify under this key. Nothing more: whoever asks knows what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// What a security key says of itself, under its signature (OpenSSH PROTOCOL.u2f).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authenticator {
    flags: u8,
    counter: u32,
}

impl Authenticator {
    /// The bits of the FIDO attestation that OpenSSH knows: SSH_SK_USER_PRESENCE_REQD and
    /// SSH_SK_USER_VERIFICATION_REQD.
    const USER_PRESENT: u8 = 0x01;
    const USER_VERIFIED: u8 = 0x04;

    /// Somebody touched it for this signature.
    pub fn user_present(self) -> bool {
        self.has(Self::USER_PRESENT)
    }

    /// It checked a PIN or a fingerprint for this signature.
    pub fn user_verified(self) -> bool {
        self.has(Self::USER_VERIFIED)
    }

    /// How many signatures it says to have made. Authenticators need not count.
    pub fn counter(self) -> u32 {
        self.counter
    }
}

impl PublicKey {
    /// Verifies a signature blob (RFC 4253 section 6.6: format, signature) over `data`.
    ///
    /// `algorithm` is that of a plain key. The format inside must be its name, and it must belong to
    /// this key's type: a signature made under one name must not count under another (RFC 8332
    /// section 3.2). Yields what the authenticator said, if the key is on one.
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
        let Parts { signed, rest } = parts(blob, algorithm)?;
        match &self.material {
            Material::SkEd25519 { key, application } => {
                let said = authenticator(rest)?;
                let data = said.signed_data(application, &[], data);
                verify_with(&signature::ED25519, key, &data, signed)?;
                return Ok(Some(said));
            }
            Material::SkEcdsa { point, application } => {
                let (said, data) = match algorithm {
                    SignatureAlgorithm::WebauthnSkEcdsaNistp256 => {
                        let assertion = Assertion::read(rest, data)?;
                        (assertion.said(), assertion.signed_data(application))
                    }
                    _ => {
                        let said = authenticator(rest)?;
                        (said, said.signed_data(application, &[], data))
                    }
                };
                Curve::Nistp256.verify(point, &data, signed)?;
                return Ok(Some(said));
            }
            Material::Ed25519(key) => verify_with(&signature::ED25519, key, data, signed)?,
            Material::Ecdsa(curve, point) => curve.verify(point, data, signed)?,
            Material::Rsa { modulus, exponent } => {
                let parameters = rsa_parameters(algorithm).ok_or(BadSignature)?;
                // Some clients drop leading zeros (RFC 8017 section 8.2.2 wants the full length).
                let padded = left_padded(signed, modulus.len()).ok_or(BadSignature)?;
                signature::RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                }
                .verify(parameters, data, &padded)
                .map_err(|_| BadSignature)?;
            }
        }
        match rest.is_empty() {
            true => Ok(None),
            false => Err(BadSignature),
        }
    }
}

/// The algorithm that a signature blob names.
pub fn signature_algorithm(blob: &[u8]) -> Option<SignatureAlgorithm> {
    SignatureAlgorithm::from_name(Reader::new(blob).text(NAME_LIMIT).ok()?)
}

/// A signature blob behind its format.
struct Parts<'a> {
    signed: &'a [u8],
    /// Nothing, except for keys on an authenticator.
    rest: &'a [u8],
}

fn parts(blob: &[u8], algorithm: SignatureAlgorithm) -> Result<Parts<'_>, BadSignature> {
    let mut reader = Reader::new(blob);
    let format = reader.text(NAME_LIMIT).map_err(|_| BadSignature)?;
    let signed = reader.string(SIGNATURE_LIMIT).map_err(|_| BadSignature)?;
    match format == algorithm.name() {
        true => Ok(Parts {
            signed,
            rest: reader.rest(),
        }),
        false => Err(BadSignature),
    }
}

/// "flags" and "counter" behind the signature (OpenSSH PROTOCOL.u2f, "SSH U2F signatures").
fn authenticator(rest: &[u8]) -> Result<Authenticator, BadSignature> {
    let mut reader = Reader::new(rest);
    let said = Authenticator::read(&mut reader).map_err(|_| BadSignature)?;
    reader.finish().map_err(|_| BadSignature)?;
    Ok(said)
}

impl Authenticator {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            flags: reader.byte()?,
            counter: reader.uint32()?,
        })
    }

    /// Whether it says all of these.
    pub(super) fn has(self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The bytes that the authenticator signs: SHA256(application), flags, counter, extensions, SHA256(data).
    pub(super) fn signed_data(self, application: &[u8], extensions: &[u8], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_bytes(digest::digest(&digest::SHA256, application).as_ref());
        out.put_byte(self.flags);
        out.put_uint32(self.counter);
        out.put_bytes(extensions);
        out.put_bytes(digest::digest(&digest::SHA256, data).as_ref());
        out
    }
}

impl Curve {
    fn verification(self) -> &'static signature::EcdsaVerificationAlgorithm {
        match self {
            Self::Nistp256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Nistp384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Nistp521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }

    fn verify(self, point: &[u8], data: &[u8], signed: &[u8]) -> Result<(), BadSignature> {
        let fixed = self.fixed_signature(signed).ok_or(BadSignature)?;
        verify_with(self.verification(), point, data, &fixed)
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

/// Moduli are checked against RequiredRSASize when a key is read. `None`: not an RSA algorithm.
fn rsa_parameters(algorithm: SignatureAlgorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        SignatureAlgorithm::RsaSha2_512 => {
            Some(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY)
        }
        SignatureAlgorithm::RsaSha2_256 => {
            Some(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY)
        }
        SignatureAlgorithm::RsaSha1 => {
            Some(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY)
        }
        _ => None,
    }
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
