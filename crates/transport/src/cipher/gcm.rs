//! aes128-gcm@openssh.com and aes256-gcm@openssh.com: RFC 5647 as OpenSSH's PROTOCOL section 1.6
//! changes it. `packet_length` is additional data, the nonce a counter of packets.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use wire::names::CipherAlgorithm;

use super::{LENGTH_FIELD, Layout};
use crate::error::{Error, Failure, Misbehaviour};
use crate::keys::DirectionKeys;

pub(super) const LAYOUT: Layout = Layout {
    block: 16,
    aligned_from: LENGTH_FIELD,
    tag: TAG,
};

const TAG: usize = 16;
const IV: usize = 12;

/// Key and nonce of one direction.
pub(crate) struct Key {
    key: LessSafeKey,
    /// "fixed" part of the nonce (RFC 5647 section 7.1)
    fixed: [u8; 4],
    /// "invocation counter": it wraps, but a key is replaced long before it comes around.
    counter: u64,
}

impl Key {
    pub(super) fn new(cipher: CipherAlgorithm, keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let algorithm = match cipher {
            CipherAlgorithm::Aes128Gcm => &AES_128_GCM,
            CipherAlgorithm::Aes256Gcm => &AES_256_GCM,
            CipherAlgorithm::Chacha20Poly1305
            | CipherAlgorithm::Aes128Ctr
            | CipherAlgorithm::Aes192Ctr
            | CipherAlgorithm::Aes256Ctr => return Err(Failure::Cryptography.into()),
        };
        let key = UnboundKey::new(algorithm, &keys.key(algorithm.key_len()))
            .map_err(|_| Failure::Cryptography)?;
        let iv = keys.iv(IV);
        let (fixed, counter) = iv.split_first_chunk::<4>().ok_or(Failure::Cryptography)?;
        let counter = counter.first_chunk::<8>().ok_or(Failure::Cryptography)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            fixed: *fixed,
            counter: u64::from_be_bytes(*counter),
        })
    }

    fn next_nonce(&mut self) -> Nonce {
        let [a, b, c, d] = self.fixed;
        let [e, f, g, h, i, j, k, l] = self.counter.to_be_bytes();
        self.counter = self.counter.wrapping_add(1);
        Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    pub(super) fn seal(&mut self, packet: &mut [u8]) -> Result<(), Error> {
        let nonce = self.next_nonce();
        let (length, rest) = packet
            .split_first_chunk_mut::<LENGTH_FIELD>()
            .ok_or(Failure::Cryptography)?;
        let (body, tag) = rest
            .split_last_chunk_mut::<TAG>()
            .ok_or(Failure::Cryptography)?;
        let sealed = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(*length), body)
            .map_err(|_| Failure::Cryptography)?;
        tag.copy_from_slice(sealed.as_ref());
        Ok(())
    }

    pub(super) fn open(&mut self, packet: &mut [u8]) -> Result<(), Error> {
        let nonce = self.next_nonce();
        let (length, body) = packet
            .split_first_chunk_mut::<LENGTH_FIELD>()
            .ok_or(Misbehaviour::Corrupted)?;
        self.key
            .open_in_place(nonce, Aad::from(*length), body)
            .map_err(|_| Misbehaviour::Corrupted)?;
        Ok(())
    }
}
