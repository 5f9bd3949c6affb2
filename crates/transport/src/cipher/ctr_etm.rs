//! AES-CTR (RFC 4344) with an encrypt-then-MAC HMAC (OpenSSH PROTOCOL section 1.5): the tag covers
//! the sequence number, `packet_length` in clear, and the ciphertext.

use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use wire::names::MacAlgorithm;

use super::{LENGTH_FIELD, Layout};
use crate::error::{Error, Failure, Misbehaviour};
use crate::keys::DirectionKeys;

const BLOCK: usize = 16;

/// Keys and counter of one direction.
pub(crate) struct Key {
    cipher: EncryptingKey,
    /// The counter block of the next packet. All packets are whole blocks, so a packet always
    /// starts with a fresh one.
    counter: u128,
    mac: hmac::Key,
}

impl Key {
    pub(super) fn new(mac: MacAlgorithm, keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let algorithm = match mac {
            MacAlgorithm::HmacSha2_256Etm => hmac::HMAC_SHA256,
        };
        let key = UnboundCipherKey::new(&AES_256, &keys.key(AES_256_KEY_LEN))
            .map_err(|_| Failure::Cryptography)?;
        let iv = keys.iv(BLOCK);
        let counter = iv.first_chunk::<BLOCK>().ok_or(Failure::Cryptography)?;
        Ok(Self {
            cipher: EncryptingKey::ctr(key).map_err(|_| Failure::Cryptography)?,
            counter: u128::from_be_bytes(*counter),
            mac: hmac::Key::new(algorithm, &keys.mac(algorithm.tag_len())),
        })
    }

    pub(super) fn layout(&self) -> Layout {
        Layout {
            block: BLOCK,
            aligned_from: LENGTH_FIELD,
            tag: self.mac.algorithm().tag_len(),
        }
    }

    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (covered, tag) = self.split(packet).ok_or(Failure::Cryptography)?;
        self.apply_key_stream(covered)?;
        tag.copy_from_slice(self.tag(sequence, covered).as_ref());
        Ok(())
    }

    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (covered, tag) = self.split(packet).ok_or(Misbehaviour::Corrupted)?;
        verify_slices_are_equal(self.tag(sequence, covered).as_ref(), tag)
            .map_err(|_| Misbehaviour::Corrupted)?;
        self.apply_key_stream(covered)
    }

    /// What the tag covers, and the tag.
    fn split<'p>(&self, packet: &'p mut [u8]) -> Option<(&'p mut [u8], &'p mut [u8])> {
        let covered = packet.len().checked_sub(self.mac.algorithm().tag_len())?;
        packet.split_at_mut_checked(covered)
    }

    fn tag(&self, sequence: u32, covered: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(&sequence.to_be_bytes());
        context.update(covered);
        context.sign()
    }

    fn apply_key_stream(&mut self, covered: &mut [u8]) -> Result<(), Error> {
        let body = covered
            .get_mut(LENGTH_FIELD..)
            .ok_or(Failure::Cryptography)?;
        let blocks = u128::try_from(body.len() / BLOCK).map_err(|_| Failure::Cryptography)?;
        let context = EncryptionContext::Iv128(self.counter.to_be_bytes().into());
        self.cipher
            .less_safe_encrypt(body, context)
            .map_err(|_| Failure::Cryptography)?;
        self.counter = self.counter.wrapping_add(blocks);
        Ok(())
    }
}
