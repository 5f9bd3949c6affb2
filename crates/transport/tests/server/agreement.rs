//! The client's side of key agreement and key derivation (RFC 4253 sections 7.2 and 8).

use aws_lc_rs::agreement::{
    Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey, X25519,
    agree_ephemeral,
};
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::kem::{self, ML_KEM_768};
use aws_lc_rs::rand::SystemRandom;
use num_bigint::BigUint;
use sntrup::sntrup761;
use wire::codec::{Write, magnitude};
use wire::groups::{ChosenGroup, DhGroup, FixedGroup};
use wire::names::{HashAlgorithm, KexAlgorithm};
use zeroize::Zeroizing;

/// Ephemeral private keys of one exchange.
pub(crate) struct Ephemeral {
    kex: KexAlgorithm,
    private: Private,
    pub(crate) share: Vec<u8>,
    /// The group that the server chose for it.
    pub(crate) group: Option<ChosenGroup>,
}

enum Private {
    Curve(&'static Algorithm, EphemeralPrivateKey),
    /// A key encapsulation and X25519.
    Hybrid(Decapsulation, EphemeralPrivateKey),
    /// An exponent.
    Field(DhGroup, BigUint),
}

enum Decapsulation {
    Mlkem768(kem::DecapsulationKey),
    Sntrup761(Box<sntrup761::DecapsulationKey>),
}

impl Ephemeral {
    pub(crate) fn generate(kex: KexAlgorithm) -> Self {
        let (private, share) = match kex {
            KexAlgorithm::Mlkem768X25519Sha256 => {
                let key = kem::DecapsulationKey::generate(&ML_KEM_768).unwrap();
                let public = key.encapsulation_key().unwrap().key_bytes().unwrap();
                hybrid(Decapsulation::Mlkem768(key), public.as_ref())
            }
            KexAlgorithm::Sntrup761X25519Sha512 | KexAlgorithm::Sntrup761X25519Sha512Openssh => {
                let mut seed = [0; 32];
                aws_lc_rs::rand::fill(&mut seed).unwrap();
                let (public, key) = sntrup761::generate_key_deterministic(&seed);
                hybrid(Decapsulation::Sntrup761(Box::new(key)), public.as_ref())
            }
            KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256Libssh => curve(&X25519),
            KexAlgorithm::EcdhSha2Nistp256 => curve(&ECDH_P256),
            KexAlgorithm::EcdhSha2Nistp384 => curve(&ECDH_P384),
            KexAlgorithm::EcdhSha2Nistp521 => curve(&ECDH_P521),
            KexAlgorithm::DhGroup14Sha256 => field(FixedGroup::Group14.group()),
            KexAlgorithm::DhGroup16Sha512 => field(FixedGroup::Group16.group()),
            KexAlgorithm::DhGroup18Sha512 => field(FixedGroup::Group18.group()),
            KexAlgorithm::DhGroupExchangeSha256 => panic!("a group has to be asked for first"),
        };
        Self {
            kex,
            private,
            share,
            group: None,
        }
    }

    /// In the group that the server chose.
    pub(crate) fn in_group(kex: KexAlgorithm, chosen: ChosenGroup) -> Self {
        let (private, share) = field(chosen.group.clone());
        Self {
            kex,
            private,
            share,
            group: Some(chosen),
        }
    }

    pub(crate) fn secret(self, server_share: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self.private {
            Private::Curve(curve, key) => agree(curve, key, server_share),
            Private::Hybrid(decapsulation, key) => {
                let (ciphertext, classical) = server_share.split_at(server_share.len() - 32);
                let mut both = decapsulation.secret(ciphertext);
                both.extend(agree(&X25519, key, classical));
                digest(digest_algorithm(self.kex), &both).as_ref().to_vec()
            }
            Private::Field(group, exponent) => {
                let f = BigUint::from_bytes_be(magnitude(server_share).unwrap());
                let p = BigUint::from_bytes_be(&group.prime);
                f.modpow(&exponent, &p).to_bytes_be()
            }
        })
    }
}

impl Decapsulation {
    fn secret(&self, ciphertext: &[u8]) -> Vec<u8> {
        match self {
            Self::Mlkem768(key) => {
                let secret = key.decapsulate(kem::Ciphertext::from(ciphertext)).unwrap();
                secret.as_ref().to_vec()
            }
            Self::Sntrup761(key) => {
                let ciphertext = sntrup761::Ciphertext::try_from(ciphertext).unwrap();
                key.decapsulate(&ciphertext).as_ref().to_vec()
            }
        }
    }
}

fn curve(curve: &'static Algorithm) -> (Private, Vec<u8>) {
    let key = EphemeralPrivateKey::generate(curve, &SystemRandom::new()).unwrap();
    let share = key.compute_public_key().unwrap().as_ref().to_vec();
    (Private::Curve(curve, key), share)
}

fn hybrid(decapsulation: Decapsulation, public: &[u8]) -> (Private, Vec<u8>) {
    let key = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
    let share = [public, key.compute_public_key().unwrap().as_ref()].concat();
    (Private::Hybrid(decapsulation, key), share)
}

fn field(group: DhGroup) -> (Private, Vec<u8>) {
    // As short as the tests are quick: every value but a trivial one will do.
    let mut exponent = [0; 24];
    aws_lc_rs::rand::fill(&mut exponent).unwrap();
    let exponent = BigUint::from_bytes_be(&exponent);
    let [p, g] = [&group.prime, &group.generator].map(|n| BigUint::from_bytes_be(n));
    let mut share = Vec::new();
    share.put_mpint(&g.modpow(&exponent, &p).to_bytes_be());
    (Private::Field(group, exponent), share.split_off(4))
}

fn agree(curve: &'static Algorithm, key: EphemeralPrivateKey, public: &[u8]) -> Vec<u8> {
    let public = UnparsedPublicKey::new(curve, public);
    agree_ephemeral(key, public, (), |secret| Ok(secret.to_vec())).unwrap()
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
