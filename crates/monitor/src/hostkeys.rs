//! Host keys: loaded once, used by [`HostKeys::for_algorithm`] and [`HostKey::sign`], shown nowhere.
//!
//! Private material is in zeroized buffers on its way from the file and in the cryptographic
//! library's memory afterwards, which that library clears when it frees it. No type here that holds
//! any has `Debug` or `Clone`.

mod file_format;
mod load;
mod rsa;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512};
use thiserror::Error;
use wire::codec::Write;
use wire::names::{KeyType, SignatureAlgorithm};

pub use load::{LoadError, Unprotected};

/// The cryptographic library refused to sign.
#[derive(Debug, Error)]
#[error("signing with the host key failed")]
pub struct SignError;

/// The host keys of this server in order of preference.
pub struct HostKeys(Vec<HostKey>);

/// One host key and what it signs with.
pub struct HostKey {
    blob: Vec<u8>,
    signer: Signer,
    algorithms: Vec<SignatureAlgorithm>,
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(KeyType, EcdsaKeyPair),
    Rsa(aws_lc_rs::rsa::KeyPair),
}

impl HostKeys {
    /// Those of `keys` that may sign with any of `offered`, ordered by `offered`'s preference.
    ///
    /// # Errors
    /// [`LoadError::NoHostKeys`] when nothing is left: a server without a host key cannot serve.
    pub fn new(keys: Vec<HostKey>, offered: &[SignatureAlgorithm]) -> Result<Self, LoadError> {
        let mut keys: Vec<HostKey> = keys
            .into_iter()
            .map(|key| key.restricted_to(offered))
            .filter(|key| !key.algorithms.is_empty())
            .collect();
        let rank = |key: &HostKey| {
            let first = key.algorithms.first();
            offered
                .iter()
                .position(|algorithm| Some(algorithm) == first)
        };
        keys.sort_by_key(rank);
        match keys.is_empty() {
            true => Err(LoadError::NoHostKeys),
            false => Ok(Self(keys)),
        }
    }

    /// The key that signs with this algorithm.
    pub fn for_algorithm(&self, algorithm: SignatureAlgorithm) -> Option<&HostKey> {
        self.0
            .iter()
            .find(|key| key.algorithms.contains(&algorithm))
    }

    /// What workers are told: public halves and algorithm names.
    pub fn public(&self) -> Vec<rpc::lane::HostKey> {
        let names = |key: &HostKey| key.algorithms.iter().map(|a| a.name().to_owned()).collect();
        self.0
            .iter()
            .map(|key| rpc::lane::HostKey {
                public_key: key.blob.clone(),
                algorithms: names(key),
            })
            .collect()
    }
}

impl HostKey {
    /// K_S: the public key blob (RFC 4253 section 6.6).
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Signs; the signature blob of RFC 4253 section 6.6.
    ///
    /// # Errors
    /// The algorithm is not this key's, or the library failed.
    pub fn sign(&self, algorithm: SignatureAlgorithm, data: &[u8]) -> Result<Vec<u8>, SignError> {
        let signed = match (&self.signer, algorithm) {
            (Signer::Ed25519(pair), SignatureAlgorithm::Ed25519) => {
                pair.sign(data).as_ref().to_vec()
            }
            (Signer::Ecdsa(kind, pair), _) if algorithm.key_type() == *kind => ecdsa(pair, data)?,
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

    fn key_type(&self) -> KeyType {
        match &self.signer {
            Signer::Ed25519(_) => KeyType::Ed25519,
            Signer::Ecdsa(kind, _) => *kind,
            Signer::Rsa(_) => KeyType::Rsa,
        }
    }

    fn restricted_to(mut self, offered: &[SignatureAlgorithm]) -> Self {
        let kind = self.key_type();
        self.algorithms = offered
            .iter()
            .copied()
            .filter(|algorithm| algorithm.key_type() == kind)
            .collect();
        self
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
