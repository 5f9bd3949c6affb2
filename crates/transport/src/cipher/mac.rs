//! The MACs that go with a cipher which does not authenticate by itself.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use wire::names::MacAlgorithm;

use super::umac::{self, Umac};
use crate::error::{Error, Failure};
use crate::keys::DirectionKeys;

/// What the tag covers, and when it can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `packet_length` in clear and the ciphertext (OpenSSH PROTOCOL section 1.5).
    EncryptThenMac,
    /// The packet in clear (RFC 4253 section 6.4).
    EncryptAndMac,
}

/// Key of one direction.
pub(super) enum Mac {
    /// RFC 2104; all of the hash is the tag.
    Hmac(Box<hmac::Key>),
    /// RFC 4418 with a tag of 64 bits.
    Umac64(Umac<2>),
    /// RFC 4418 with a tag of 128 bits.
    Umac128(Umac<4>),
}

/// A tag, of [`Mac::tag_len`] bytes.
enum Tag {
    Hmac(hmac::Tag),
    Umac64([u8; 8]),
    Umac128([u8; 16]),
}

impl Mac {
    pub(super) fn new(mac: MacAlgorithm, keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let hmac = |algorithm: hmac::Algorithm| {
            let key = hmac::Key::new(algorithm, &keys.mac(algorithm.tag_len()));
            Self::Hmac(Box::new(key))
        };
        let umac_key = keys.mac(umac::KEY);
        let umac_key = umac_key.first_chunk().ok_or(Failure::Cryptography)?;
        Ok(match mac {
            MacAlgorithm::HmacSha2_256 | MacAlgorithm::HmacSha2_256Etm => hmac(hmac::HMAC_SHA256),
            MacAlgorithm::HmacSha2_512 | MacAlgorithm::HmacSha2_512Etm => hmac(hmac::HMAC_SHA512),
            MacAlgorithm::HmacSha1Etm => hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            MacAlgorithm::Umac64 | MacAlgorithm::Umac64Etm => Self::Umac64(Umac::new(umac_key)?),
            MacAlgorithm::Umac128 | MacAlgorithm::Umac128Etm => Self::Umac128(Umac::new(umac_key)?),
        })
    }

    /// Bytes of a tag.
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Hmac(key) => key.algorithm().tag_len(),
            Self::Umac64(_) => 8,
            Self::Umac128(_) => 16,
        }
    }

    /// Writes the tag of `covered`.
    pub(super) fn sign(&self, sequence: u32, covered: &[u8], tag: &mut [u8]) -> Result<(), Error> {
        let computed = self.compute(sequence, covered)?;
        if computed.as_ref().len() != tag.len() {
            return Err(Failure::Cryptography.into());
        }
        tag.copy_from_slice(computed.as_ref());
        Ok(())
    }

    /// Whether `tag` is the tag of `covered`, found out in constant time.
    pub(super) fn verify(&self, sequence: u32, covered: &[u8], tag: &[u8]) -> Result<bool, Error> {
        let computed = self.compute(sequence, covered)?;
        Ok(computed.as_ref().ct_eq(tag).into())
    }

    fn compute(&self, sequence: u32, covered: &[u8]) -> Result<Tag, Error> {
        Ok(match self {
            Self::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(&sequence.to_be_bytes());
                context.update(covered);
                Tag::Hmac(context.sign())
            }
            // The sequence number is the nonce, so it is not in the message (draft-miller-secsh-umac
            // section 2).
            Self::Umac64(key) => Tag::Umac64(key.tag64(sequence.into(), covered)?),
            Self::Umac128(key) => Tag::Umac128(key.tag128(sequence.into(), covered)?),
        })
    }
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Hmac(tag) => tag.as_ref(),
            Self::Umac64(tag) => tag,
            Self::Umac128(tag) => tag,
        }
    }
}

/// What an algorithm's tag covers.
pub(super) fn order(mac: MacAlgorithm) -> Order {
    match mac {
        MacAlgorithm::Umac128Etm
        | MacAlgorithm::HmacSha2_256Etm
        | MacAlgorithm::HmacSha2_512Etm
        | MacAlgorithm::Umac64Etm
        | MacAlgorithm::HmacSha1Etm => Order::EncryptThenMac,
        MacAlgorithm::Umac128
        | MacAlgorithm::HmacSha2_256
        | MacAlgorithm::HmacSha2_512
        | MacAlgorithm::Umac64 => Order::EncryptAndMac,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 and RFC 4231, each test case 1: "Hi There", of which the first four bytes are in the
    /// place of a sequence number.
    #[test]
    fn hmac_vectors() {
        for (algorithm, expected) in [
            (
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                "b617318655057264e28bc0b6fb378c8ef146be00",
            ),
            (
                hmac::HMAC_SHA256,
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                hmac::HMAC_SHA512,
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ),
        ] {
            let mac = Mac::Hmac(Box::new(hmac::Key::new(algorithm, &[0x0b; 20])));
            let mut tag = vec![0; mac.tag_len()];
            mac.sign(u32::from_be_bytes(*b"Hi T"), b"here", &mut tag)
                .unwrap();
            let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
        }
    }

    #[test]
    fn a_tag_of_another_length_is_never_right() {
        let mac = Mac::Umac64(Umac::new(&[1; 16]).unwrap());
        let mut tag = [0; 8];
        mac.sign(1, b"message", &mut tag).unwrap();
        assert!(mac.verify(1, b"message", &tag).unwrap());
        assert!(!mac.verify(1, b"message", &tag[..7]).unwrap());
        assert!(!mac.verify(1, b"message", &[]).unwrap());
        assert!(mac.sign(1, b"message", &mut [0; 7]).is_err());
    }
}
