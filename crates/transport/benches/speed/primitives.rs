//! The fastest that a library does with the same bytes: what the packet layer is measured by.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::cipher::{
    self, AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use wire::names::{CipherAlgorithm, MacAlgorithm};

use crate::client::Offer;

/// aws-lc's primitives for an offer.
pub(crate) enum Bare {
    /// AES-GCM; for ChaCha20-Poly1305 the construction of RFC 8439, which has fused assembly.
    Aead(Box<LessSafeKey>),
    /// One after the other. No library has UMAC: then it is the cipher alone.
    CtrMac(Box<EncryptingKey>, Option<Box<hmac::Key>>),
}

impl Bare {
    pub(crate) fn new(offer: &Offer) -> Self {
        match offer.cipher {
            CipherAlgorithm::Chacha20Poly1305 => aead(&CHACHA20_POLY1305),
            CipherAlgorithm::Aes128Gcm => aead(&AES_128_GCM),
            CipherAlgorithm::Aes256Gcm => aead(&AES_256_GCM),
            CipherAlgorithm::Aes128Ctr => ctr_mac(&AES_128, 16, offer.mac),
            CipherAlgorithm::Aes192Ctr => ctr_mac(&AES_192, 24, offer.mac),
            CipherAlgorithm::Aes256Ctr => ctr_mac(&AES_256, 32, offer.mac),
        }
    }

    pub(crate) fn seal(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Aead(key) => {
                let nonce = Nonce::assume_unique_for_key([7; 12]);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from([0; 4]), bytes);
                drop(std::hint::black_box(tag));
            }
            Self::CtrMac(key, mac) => {
                let context = EncryptionContext::Iv128([7; 16].into());
                key.less_safe_encrypt(bytes, context).unwrap();
                if let Some(mac) = mac {
                    std::hint::black_box(hmac::sign(mac, bytes));
                }
            }
        }
    }
}

fn aead(algorithm: &'static Algorithm) -> Bare {
    let key = UnboundKey::new(algorithm, &[1; 32][..algorithm.key_len()]).unwrap();
    Bare::Aead(Box::new(LessSafeKey::new(key)))
}

fn ctr_mac(cipher: &'static cipher::Algorithm, key: usize, mac: MacAlgorithm) -> Bare {
    let key = UnboundCipherKey::new(cipher, &[1; 32][..key]).unwrap();
    let hash = match mac {
        MacAlgorithm::HmacSha2_256 | MacAlgorithm::HmacSha2_256Etm => Some(hmac::HMAC_SHA256),
        MacAlgorithm::HmacSha2_512 | MacAlgorithm::HmacSha2_512Etm => Some(hmac::HMAC_SHA512),
        MacAlgorithm::HmacSha1Etm => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        MacAlgorithm::Umac64
        | MacAlgorithm::Umac64Etm
        | MacAlgorithm::Umac128
        | MacAlgorithm::Umac128Etm => None,
    };
    Bare::CtrMac(
        Box::new(EncryptingKey::ctr(key).unwrap()),
        hash.map(|hash| Box::new(hmac::Key::new(hash, &[2; 64][..hash.tag_len()]))),
    )
}
