//! Host keys: loaded once, used by [`HostKeys::for_algorithm`] and [`HostKeys::prove`], shown nowhere.
//!
//! Private material is in zeroized buffers on its way from the file and in the cryptographic
//! library's memory afterwards, which that library clears when it frees it. No type here that holds
//! any has `Debug` or `Clone`.

mod certificate;
mod file_format;
mod load;
mod prove;
mod rsa;

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512};
use thiserror::Error;
use wire::codec::Write;
use wire::names::SignatureAlgorithm;

use crate::public_key::{KeyError, PublicKey, RequiredRsaSize};

pub use load::{LoadError, Unprotected};

/// The cryptographic library refused to sign.
#[derive(Debug, Error)]
#[error("signing with the host key failed")]
pub struct SignError;

/// What this server is known by, in order of preference.
pub struct HostKeys(Vec<HostIdentity>);

/// A host key, or a certificate for one, and what it is offered with in key exchange.
pub struct HostIdentity {
    key: Arc<HostKey>,
    public: Vec<u8>,
    algorithms: Vec<SignatureAlgorithm>,
}

/// One host key.
pub struct HostKey {
    blob: Vec<u8>,
    signer: Signer,
    /// HostCertificate
    certificate: Option<Vec<u8>>,
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(SignatureAlgorithm, EcdsaKeyPair),
    Rsa(aws_lc_rs::rsa::KeyPair),
}

impl HostKeys {
    /// Those of `keys` and of their certificates that may sign with any of `offered`, ordered by
    /// `offered`'s preference. A key that may not is kept behind them: clients are told of it
    /// before it is offered (hostkeys-00@openssh.com).
    ///
    /// # Errors
    /// [`LoadError::NoHostKeys`] when nothing can be offered: a server without a host key cannot
    /// serve.
    pub fn new(keys: Vec<HostKey>, offered: &[SignatureAlgorithm]) -> Result<Self, LoadError> {
        let mut identities: Vec<HostIdentity> = keys
            .into_iter()
            .flat_map(|key| HostIdentity::of(key, offered))
            .collect();
        let rank = |identity: &HostIdentity| {
            let first = identity.algorithms.first();
            offered
                .iter()
                .position(|algorithm| Some(algorithm) == first)
                .unwrap_or(usize::MAX)
        };
        identities.sort_by_key(rank);
        let none = identities
            .iter()
            .all(|identity| identity.algorithms.is_empty());
        match none {
            true => Err(LoadError::NoHostKeys),
            false => Ok(Self(identities)),
        }
    }

    /// The key or certificate that is offered with this algorithm.
    pub fn for_algorithm(&self, algorithm: SignatureAlgorithm) -> Option<&HostIdentity> {
        self.0
            .iter()
            .find(|identity| identity.algorithms.contains(&algorithm))
    }

    /// What workers are told: public halves and algorithm names.
    pub fn public(&self) -> Vec<rpc::lane::HostKey> {
        let names = |identity: &HostIdentity| {
            let algorithms = identity.algorithms.iter();
            algorithms.map(|a| a.name().to_owned()).collect()
        };
        self.0
            .iter()
            .map(|identity| rpc::lane::HostKey {
                public_key: identity.public.clone(),
                algorithms: names(identity),
            })
            .collect()
    }
}

impl HostIdentity {
    /// A key's certificate, if it is offered, and the key.
    fn of(mut key: HostKey, offered: &[SignatureAlgorithm]) -> Vec<Self> {
        let certificate = key.certificate.take();
        let (plain, kind) = (key.blob.clone(), key.algorithm().key_type());
        let key = Arc::new(key);
        let identity = |public: Vec<u8>| {
            let is_certificate = public != key.blob;
            let fits = |algorithm: &SignatureAlgorithm| {
                algorithm.key_type().plain() == kind && algorithm.is_certificate() == is_certificate
            };
            Self {
                key: Arc::clone(&key),
                public,
                algorithms: offered.iter().copied().filter(fits).collect(),
            }
        };
        certificate
            .map(identity)
            .filter(|identity| !identity.algorithms.is_empty())
            .into_iter()
            .chain([identity(plain)])
            .collect()
    }

    /// K_S: the public key blob (RFC 4253 section 6.6), or the certificate.
    pub fn blob(&self) -> &[u8] {
        &self.public
    }

    /// Signs; the signature blob of RFC 4253 section 6.6, which is the plain key's in both forms.
    ///
    /// # Errors
    /// The algorithm is not this key's, or the library failed.
    pub fn sign(&self, algorithm: SignatureAlgorithm, data: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(algorithm.plain(), data)
    }
}

impl HostKey {
    /// The public key blob (RFC 4253 section 6.6).
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Signs; the signature blob of RFC 4253 section 6.6.
    ///
    /// # Errors
    /// The algorithm is not this key's or that of a certificate, or the library failed.
    pub fn sign(&self, algorithm: SignatureAlgorithm, data: &[u8]) -> Result<Vec<u8>, SignError> {
        let signed = match (&self.signer, algorithm) {
            (Signer::Ed25519(pair), SignatureAlgorithm::Ed25519) => {
                pair.sign(data).as_ref().to_vec()
            }
            (Signer::Ecdsa(own, pair), _) if algorithm == *own => ecdsa(pair, data)?,
            (Signer::Rsa(pair), SignatureAlgorithm::RsaSha2_256) => {
                rsa_pkcs1(pair, &RSA_PKCS1_SHA256, data)?
            }
            (Signer::Rsa(pair), SignatureAlgorithm::RsaSha2_512) => {
                rsa_pkcs1(pair, &RSA_PKCS1_SHA512, data)?
            }
            (Signer::Ed25519(_) | Signer::Ecdsa(..) | Signer::Rsa(_), _) => return Err(SignError),
        };
        let mut blob = Vec::new();
        blob.put_string(algorithm.name().as_bytes());
        blob.put_string(&signed);
        Ok(blob)
    }

    /// Whether it is an RSA key with a smaller modulus.
    pub fn is_weaker_than(&self, required: RequiredRsaSize) -> bool {
        matches!(
            PublicKey::parse(&self.blob, required),
            Err(KeyError::Size(_))
        )
    }

    /// The best algorithm of this key's type.
    fn algorithm(&self) -> SignatureAlgorithm {
        match &self.signer {
            Signer::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Signer::Ecdsa(algorithm, _) => *algorithm,
            Signer::Rsa(_) => SignatureAlgorithm::RsaSha2_512,
        }
    }
}

/// mpint r, mpint s (RFC 5656 section 3.1.2).
fn ecdsa(pair: &EcdsaKeyPair, data: &[u8]) -> Result<Vec<u8>, SignError> {
    let signature = pair
        .sign(&SystemRandom::new(), data)
        .map_err(|_| SignError)?;
    let fixed = signature.as_ref();
    let (r, s) = fixed.split_at_checked(fixed.len() / 2).ok_or(SignError)?;
    let mut out = Vec::new();
    out.put_mpint(r);
    out.put_mpint(s);
    Ok(out)
}

fn rsa_pkcs1(
    pair: &aws_lc_rs::rsa::KeyPair,
    padding: &'static dyn aws_lc_rs::signature::RsaEncoding,
    data: &[u8],
) -> Result<Vec<u8>, SignError> {
    let mut out = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), data, &mut out)
        .map_err(|_| SignError)?;
    Ok(out)
}

#[cfg(test)]
pub(crate) mod tests;
