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
        Self::from_parts(algorithm, &keys.key(length), *counter)
    }

    fn from_parts(
        algorithm: &'static Algorithm,
        key: &[u8],
        counter: [u8; BLOCK],
    ) -> Result<Self, Error> {
        let key = UnboundCipherKey::new(algorithm, key)
            .and_then(EncryptingKey::ctr)
            .map_err(|_| Failure::Cryptography)?;
        Ok(Self {
            key,
            counter: u128::from_be_bytes(counter),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// NIST SP 800-38A, appendices F.5.1, F.5.3 and F.5.5.
    #[test]
    fn vectors_of_sp_800_38a() {
        let counter: [u8; 16] = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
            .try_into()
            .unwrap();
        let clear = bytes(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        );
        for (algorithm, key, sealed) in [
            (
                &AES_128,
                "2b7e151628aed2a6abf7158809cf4f3c",
                "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff\
                 5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
            ),
            (
                &AES_192,
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94\
                 1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
            ),
            (
                &AES_256,
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
                 2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
            ),
        ] {
            let mut stream = KeyStream::from_parts(algorithm, &bytes(key), counter).unwrap();
            let mut out = clear.clone();
            // In two portions: the counter moves with them.
            let (first, rest) = out.split_at_mut(BLOCK);
            stream.apply(first).unwrap();
            stream.apply(rest).unwrap();
            assert_eq!(out, bytes(sealed));
        }
    }

    #[test]
    fn a_look_ahead_changes_nothing_and_the_counter_wraps() {
        let new = || KeyStream::from_parts(&AES_128, &[7; 16], [0xff; 16]).unwrap();
        let (mut stream, mut out) = (new(), [0; 64]);
        let ahead = stream.peek([0; 4]).unwrap();
        assert_eq!(stream.peek([0; 4]).unwrap(), ahead);
        stream.apply(&mut out).unwrap();
        assert_eq!(out[..4], ahead);

        let (mut stream, mut in_portions) = (new(), [0; 64]);
        for block in in_portions.chunks_mut(BLOCK) {
            stream.apply(block).unwrap();
        }
        assert_eq!(in_portions, out);
    }
}
