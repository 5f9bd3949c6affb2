//! Certificates as far as they are cryptography: an authority's signature over somebody's key.
//!
//! A [`Certified`] key says that this authority signed these fields, and nothing about whether the
//! authority is one to be trusted, whether the certificate is of the right kind, for the right
//! name, or still valid. Those are the questions of whoever lets it count for something.

use thiserror::Error;
use wire::certificate::Certificate;
use wire::codec::DecodeError;
use wire::names::SignatureAlgorithm;

use crate::public_key::{BadSignature, KeyError, PublicKey, RequiredRsaSize, signature_algorithm};

/// Why a certificate is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not the fields of PROTOCOL.certkeys.
    #[error("certificate is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The key that it is about.
    #[error("certificate's key: {0}")]
    Key(KeyError),
    /// The authority's key, which must be a plain one: an authority cannot be certified itself.
    #[error("certificate's authority: {0}")]
    Authority(KeyError),
    /// CASignatureAlgorithms does not have the signature's algorithm.
    #[error(
        "certificate signature algorithm {}: signature algorithm not supported",
        .0.map_or("unknown", SignatureAlgorithm::name)
    )]
    Algorithm(Option<SignatureAlgorithm>),
    /// The authority did not sign this.
    #[error("certificate's {0}")]
    Signature(#[from] BadSignature),
}

/// What keys and certificates must be like (RequiredRSASize and CASignatureAlgorithms).
#[derive(Debug, Clone, Copy)]
pub struct Requirements<'a> {
    /// Of the key and of the authority's.
    pub rsa: RequiredRsaSize,
    /// Algorithms of authorities, of plain keys.
    pub authority: &'a [SignatureAlgorithm],
}

/// A certificate with a signature that verifies. Made by [`Certified::parse`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    certificate: Certificate,
    key: PublicKey,
    authority: PublicKey,
}

impl Certified {
    /// Reads a certificate and verifies its authority's signature.
    ///
    /// # Errors
    /// See [`CertificateError`]; the peer's fault in each case.
    pub fn parse(blob: &[u8], requirements: Requirements<'_>) -> Result<Self, CertificateError> {
        let certificate = Certificate::decode(blob)?;
        let key =
            PublicKey::parse(&certificate.key, requirements.rsa).map_err(CertificateError::Key)?;
        let authority = PublicKey::parse(&certificate.signature_key, requirements.rsa)
            .map_err(CertificateError::Authority)?;
        let named = signature_algorithm(&certificate.signature);
        let algorithm = named
            .filter(|algorithm| requirements.authority.contains(algorithm))
            .ok_or(CertificateError::Algorithm(named))?;
        authority.verify(algorithm, certificate.signed_data(), &certificate.signature)?;
        Ok(Self {
            certificate,
            key,
            authority,
        })
    }

    /// Its fields.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The key that it is about.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Who signed it.
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }
}

#[cfg(test)]
mod tests;
