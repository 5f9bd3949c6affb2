//! The client's side of key agreement and key derivation (RFC 4253 sections 7.2 and 8).

use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};
use aws_lc_rs::rand::SystemRandom;
use wire::names::{HashAlgorithm, KexAlgorithm};
use zeroize::Zeroizing;

/// Ephemeral private keys of one exchange.
pub(crate) struct Ephemeral {
    classical: EphemeralPrivateKey,
    post_quantum: Option<DecapsulationKey>,
    pub(crate) share: Vec<u8>,
}

impl Ephemeral {
    pub(crate) fn generate(kex: KexAlgorithm) -> Self {
        let classical = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let mut share = Vec::new();
        let post_quantum = match kex {
            KexAlgorithm::Mlkem768X25519Sha256 => {
                let key = DecapsulationKey::generate(&ML_KEM_768).unwrap();
                share.extend(
                    key.encapsulation_key()
                        .unwrap()
                        .key_bytes()
                        .unwrap()
                        .as_ref(),
                );
                Some(key)
            }
            _ => None,
        };
        share.extend(classical.compute_public_key().unwrap().as_ref());
        Self {
            classical,
            post_quantum,
            share,
        }
    }

    pub(crate) fn secret(self, server_share: &[u8]) -> Zeroizing<Vec<u8>> {
        let (ciphertext, classical) = server_share.split_at(server_share.len() - 32);
        let classical = UnparsedPublicKey::new(&X25519, classical);
        let classical =
            agree_ephemeral(self.classical, classical, (), |secret| Ok(secret.to_vec())).unwrap();
        Zeroizing::new(match self.post_quantum {
            None => classical,
            Some(key) => {
                let mut both = key
                    .decapsulate(Ciphertext::from(ciphertext))
                    .unwrap()
                    .as_ref()
                    .to_vec();
                both.extend(classical);
                digest(&SHA256, &both).as_ref().to_vec()
            }
        })
    }
}

/// HASH of a key exchange method.
pub(crate) fn digest_algorithm(kex: KexAlgorithm) -> &'static digest::Algorithm {
    match kex.hash() {
        HashAlgorithm::Sha256 => &SHA256,
        HashAlgorithm::Sha384 => &SHA384,
        HashAlgorithm::Sha512 => &SHA512,
    }
}

/// What keys are derived from.
pub(crate) struct KeySource<'a> {
    pub(crate) algorithm: &'static digest::Algorithm,
    /// K in its encoding.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    pub(crate) hash: &'a [u8],
    pub(crate) session: &'a [u8],
}

impl KeySource<'_> {
    /// The key of a letter.
    pub(crate) fn derive(&self, letter: u8, length: usize) -> Vec<u8> {
        let start = [self.secret.as_slice(), self.hash].concat();
        let mut key = digest(
            self.algorithm,
            &[start.as_slice(), &[letter], self.session].concat(),
        )
        .as_ref()
        .to_vec();
        while key.len() < length {
            let more = digest(self.algorithm, &[start.as_slice(), &key].concat());
            key.extend(more.as_ref());
        }
        key.truncate(length);
        key
    }
}
