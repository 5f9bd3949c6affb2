//! The client's ciphers and MACs.

use aws_lc_rs::aead::chacha20_poly1305_openssh as chacha;
use aws_lc_rs::aead::{self, AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use wire::names::{CipherAlgorithm, MacAlgorithm};

use crate::agreement::KeySource;
use crate::umac;

/// Cipher and MAC of one direction, both ways.
pub(crate) enum Key {
    Clear,
    Gcm {
        key: Box<LessSafeKey>,
        iv: [u8; 12],
    },
    Chacha {
        sealing: chacha::SealingKey,
        opening: chacha::OpeningKey,
    },
    Ctr {
        cipher: Box<EncryptingKey>,
        counter: u128,
        mac: Box<Mac>,
        order: Order,
    },
}

/// What the MAC covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    EncryptThenMac,
    EncryptAndMac,
}

pub(crate) enum Mac {
    Hmac(Box<hmac::Key>),
    Umac { key: [u8; 16], tag: usize },
}

impl Key {
    /// With the letters of initial IV, encryption key and integrity key.
    pub(crate) fn new(
        cipher: CipherAlgorithm,
        mac: MacAlgorithm,
        [iv, key, integrity]: [u8; 3],
        keys: &KeySource<'_>,
    ) -> Self {
        let gcm = |algorithm: &'static aead::Algorithm| {
            let key = UnboundKey::new(algorithm, &keys.derive(key, algorithm.key_len())).unwrap();
            Self::Gcm {
                key: Box::new(LessSafeKey::new(key)),
                iv: keys.derive(iv, 12).try_into().unwrap(),
            }
        };
        let ctr = |algorithm: &'static cipher::Algorithm, length| {
            let key = UnboundCipherKey::new(algorithm, &keys.derive(key, length)).unwrap();
            let (mac, order) = Mac::new(mac, |length| keys.derive(integrity, length));
            Self::Ctr {
                cipher: Box::new(EncryptingKey::ctr(key).unwrap()),
                counter: u128::from_be_bytes(keys.derive(iv, 16).try_into().unwrap()),
                mac: Box::new(mac),
                order,
            }
        };
        match cipher {
            CipherAlgorithm::Aes128Gcm => gcm(&AES_128_GCM),
            CipherAlgorithm::Aes256Gcm => gcm(&AES_256_GCM),
            CipherAlgorithm::Chacha20Poly1305 => {
                let key: [u8; 64] = keys.derive(key, 64).try_into().unwrap();
                Self::Chacha {
                    sealing: chacha::SealingKey::new(&key),
                    opening: chacha::OpeningKey::new(&key),
                }
            }
            CipherAlgorithm::Aes128Ctr => ctr(&AES_128, 16),
            CipherAlgorithm::Aes192Ctr => ctr(&AES_192, 24),
            CipherAlgorithm::Aes256Ctr => ctr(&AES_256, 32),
        }
    }

    pub(crate) fn block(&self) -> usize {
        match self {
            Self::Clear | Self::Chacha { .. } => 8,
            Self::Gcm { .. } | Self::Ctr { .. } => 16,
        }
    }

    /// Header bytes that padding counts.
    pub(crate) fn covered_header(&self) -> usize {
        match self {
            Self::Clear
            | Self::Ctr {
                order: Order::EncryptAndMac,
                ..
            } => 5,
            _ => 1,
        }
    }

    pub(crate) fn tag(&self) -> usize {
        match self {
            Self::Clear => 0,
            Self::Gcm { .. } | Self::Chacha { .. } => 16,
            Self::Ctr { mac, .. } => mac.tag_len(),
        }
    }

    pub(crate) fn length(&self, sequence: u32, field: [u8; 4]) -> u32 {
        u32::from_be_bytes(match self {
            Self::Chacha { opening, .. } => opening.decrypt_packet_length(sequence, field),
            Self::Ctr {
                cipher,
                counter,
                order: Order::EncryptAndMac,
                ..
            } => {
                let mut block = [0; 16];
                block[..4].copy_from_slice(&field);
                key_stream(cipher, &mut counter.clone(), &mut block);
                block[..4].try_into().unwrap()
            }
            _ => field,
        })
    }

    pub(crate) fn seal(&mut self, sequence: u32, packet: &mut Vec<u8>) {
        match self {
            Self::Clear => {}
            Self::Gcm { key, iv } => {
                let aad: [u8; 4] = packet[..4].try_into().unwrap();
                let nonce = Nonce::assume_unique_for_key(*iv);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut packet[4..])
                    .unwrap();
                packet.extend(tag.as_ref());
                advance(iv);
            }
            Self::Chacha { sealing, .. } => {
                let mut tag = [0; 16];
                sealing.seal_in_place(sequence, packet, &mut tag);
                packet.extend(tag);
            }
            Self::Ctr {
                cipher,
                counter,
                mac,
                order: Order::EncryptThenMac,
            } => {
                key_stream(cipher, counter, &mut packet[4..]);
                packet.extend(mac.sign(sequence, packet));
            }
            Self::Ctr {
                cipher,
                counter,
                mac,
                order: Order::EncryptAndMac,
            } => {
                let tag = mac.sign(sequence, packet);
                key_stream(cipher, counter, packet);
                packet.extend(tag);
            }
        }
    }

    pub(crate) fn open(&mut self, sequence: u32, packet: &mut [u8]) {
        match self {
            Self::Clear => {}
            Self::Gcm { key, iv } => {
                let aad: [u8; 4] = packet[..4].try_into().unwrap();
                let nonce = Nonce::assume_unique_for_key(*iv);
                key.open_in_place(nonce, Aad::from(aad), &mut packet[4..])
                    .unwrap();
                advance(iv);
            }
            Self::Chacha { opening, .. } => {
                let (body, tag) = packet.split_last_chunk_mut().unwrap();
                opening.open_in_place(sequence, body, tag).unwrap();
            }
            Self::Ctr {
                cipher,
                counter,
                mac,
                order,
            } => {
                let (body, tag) = packet.split_at_mut(packet.len() - mac.tag_len());
                match order {
                    Order::EncryptThenMac => {
                        assert_eq!(mac.sign(sequence, body), tag);
                        key_stream(cipher, counter, &mut body[4..]);
                    }
                    Order::EncryptAndMac => {
                        key_stream(cipher, counter, body);
                        assert_eq!(mac.sign(sequence, body), tag);
                    }
                }
            }
        }
    }
}

impl Mac {
    fn new(mac: MacAlgorithm, key: impl Fn(usize) -> Vec<u8>) -> (Self, Order) {
        use Order::{EncryptAndMac, EncryptThenMac};
        let hmac = |algorithm: hmac::Algorithm| {
            let key = hmac::Key::new(algorithm, &key(algorithm.tag_len()));
            Self::Hmac(Box::new(key))
        };
        let umac = |tag| Self::Umac {
            key: key(16).try_into().unwrap(),
            tag,
        };
        match mac {
            MacAlgorithm::Umac128Etm => (umac(16), EncryptThenMac),
            MacAlgorithm::HmacSha2_256Etm => (hmac(hmac::HMAC_SHA256), EncryptThenMac),
            MacAlgorithm::HmacSha2_512Etm => (hmac(hmac::HMAC_SHA512), EncryptThenMac),
            MacAlgorithm::Umac64Etm => (umac(8), EncryptThenMac),
            MacAlgorithm::Umac128 => (umac(16), EncryptAndMac),
            MacAlgorithm::HmacSha2_256 => (hmac(hmac::HMAC_SHA256), EncryptAndMac),
            MacAlgorithm::HmacSha2_512 => (hmac(hmac::HMAC_SHA512), EncryptAndMac),
            MacAlgorithm::Umac64 => (umac(8), EncryptAndMac),
            MacAlgorithm::HmacSha1Etm => {
                (hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY), EncryptThenMac)
            }
        }
    }

    fn tag_len(&self) -> usize {
        match self {
            Self::Hmac(key) => key.algorithm().tag_len(),
            Self::Umac { tag, .. } => *tag,
        }
    }

    fn sign(&self, sequence: u32, covered: &[u8]) -> Vec<u8> {
        match self {
            Self::Hmac(key) => {
                let covered = [&sequence.to_be_bytes(), covered].concat();
                hmac::sign(key, &covered).as_ref().to_vec()
            }
            Self::Umac { key, tag } => umac::tag(key, sequence.into(), covered, *tag),
        }
    }
}

fn advance(iv: &mut [u8; 12]) {
    let counter = u64::from_be_bytes(iv[4..].try_into().unwrap()).wrapping_add(1);
    iv[4..].copy_from_slice(&counter.to_be_bytes());
}

fn key_stream(cipher: &EncryptingKey, counter: &mut u128, body: &mut [u8]) {
    let context = EncryptionContext::Iv128(counter.to_be_bytes().into());
    cipher.less_safe_encrypt(body, context).unwrap();
    *counter = counter.wrapping_add(body.len() as u128 / 16);
}
