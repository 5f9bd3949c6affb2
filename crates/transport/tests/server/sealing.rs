//! The client's ciphers and MACs.

use aws_lc_rs::aead::chacha20_poly1305_openssh as chacha;
use aws_lc_rs::aead::{self, AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use wire::names::{CipherAlgorithm, MacAlgorithm};

use crate::agreement::KeySource;

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
    CtrEtm {
        cipher: Box<EncryptingKey>,
        counter: u128,
        mac: Box<hmac::Key>,
    },
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
        let ctr = |algorithm, length| {
            let key = UnboundCipherKey::new(algorithm, &keys.derive(key, length)).unwrap();
            Self::CtrEtm {
                cipher: Box::new(EncryptingKey::ctr(key).unwrap()),
                counter: u128::from_be_bytes(keys.derive(iv, 16).try_into().unwrap()),
                mac: Box::new(match mac {
                    MacAlgorithm::HmacSha2_256Etm => {
                        hmac::Key::new(hmac::HMAC_SHA256, &keys.derive(integrity, 32))
                    }
                }),
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
            CipherAlgorithm::Aes256Ctr => ctr(&AES_256, 32),
        }
    }

    pub(crate) fn block(&self) -> usize {
        match self {
            Self::Clear | Self::Chacha { .. } => 8,
            Self::Gcm { .. } | Self::CtrEtm { .. } => 16,
        }
    }

    /// Header bytes that padding counts.
    pub(crate) fn covered_header(&self) -> usize {
        match self {
            Self::Clear => 5,
            _ => 1,
        }
    }

    pub(crate) fn tag(&self) -> usize {
        match self {
            Self::Clear => 0,
            Self::Gcm { .. } | Self::Chacha { .. } => 16,
            Self::CtrEtm { .. } => 32,
        }
    }

    pub(crate) fn length(&self, sequence: u32, field: [u8; 4]) -> u32 {
        match self {
            Self::Chacha { opening, .. } => {
                u32::from_be_bytes(opening.decrypt_packet_length(sequence, field))
            }
            _ => u32::from_be_bytes(field),
        }
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
            Self::CtrEtm {
                cipher,
                counter,
                mac,
            } => {
                key_stream(cipher, counter, &mut packet[4..]);
                let covered = [&sequence.to_be_bytes(), packet.as_slice()].concat();
                packet.extend(hmac::sign(mac, &covered).as_ref());
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
            Self::CtrEtm {
                cipher,
                counter,
                mac,
            } => {
                let (body, tag) = packet.split_at_mut(packet.len() - 32);
                let covered = [&sequence.to_be_bytes(), &*body].concat();
                hmac::verify(mac, &covered, tag).unwrap();
                key_stream(cipher, counter, &mut body[4..]);
            }
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
