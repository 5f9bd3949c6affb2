//! The AES-CTR key stream (RFC 4344 section 4).

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use wire::names::CipherAlgorithm;

use crate::error::{Error, Failure};
use crate::keys::DirectionKeys;

pub(super) const BLOCK: usize = 16;

/// Key and counter of one direction.
pub(super) struct KeyStream {
    key: EncryptingKey,
    /// X: the counter block of the next packet. All packets are whole blocks, so a packet always
    /// starts with a fresh one.
    counter: u128,
}

impl KeyStream {
    pub(super) fn new(cipher: CipherAlgorithm, keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let (algorithm, length): (&'static Algorithm, _) = match cipher {
            CipherAlgorithm::Aes128Ctr => (&AES_128, 16),
            CipherAlgorithm::Aes192Ctr => (&AES_192, 24),
            CipherAlgorithm::Aes256Ctr => (&AES_256, 32),
            CipherAlgorithm::Chacha20Poly1305
            | CipherAlgorithm::Aes128Gcm
            | CipherAlgorithm::Aes256Gcm => return Err(Failure::Cryptography.into()),
        };
        let iv = keys.iv(BLOCK);
        let counter = iv.first_chunk::<BLOCK>().ok_or(Failure::Cryptography)?;
        let key = UnboundCipherKey::new(algorithm, &keys.key(length))
            .and_then(EncryptingKey::ctr)
            .map_err(|_| Failure::Cryptography)?;
        Ok(Self {
            key,
            counter: u128::from_be_bytes(*counter),
        })
    }

    /// Encrypts or decrypts whole blocks, and moves the counter behind them.
    pub(super) fn apply(&mut self, blocks: &mut [u8]) -> Result<(), Error> {
        self.apply_at_counter(blocks)?;
        let count = u128::try_from(blocks.len() / BLOCK).map_err(|_| Failure::Cryptography)?;
        self.counter = self.counter.wrapping_add(count);
        Ok(())
    }

    /// Decrypts the first bytes of the next packet, and leaves the counter where it is.
    pub(super) fn peek<const N: usize>(&self, mut bytes: [u8; N]) -> Result<[u8; N], Error> {
        self.apply_at_counter(&mut bytes)?;
        Ok(bytes)
    }

    fn apply_at_counter(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let context = EncryptionContext::Iv128(self.counter.to_be_bytes().into());
        self.key
            .less_safe_encrypt(bytes, context)
            .map_err(|_| Failure::Cryptography)?;
        Ok(())
    }
}
