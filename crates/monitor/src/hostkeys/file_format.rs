//! OpenSSH's private key format, unencrypted (PROTOCOL.key): from the armoured text to the numbers.
//!
//! Decoded here and not by crate ssh-key, whose version 0.6 refuses ECDSA keys with a short private
//! number: every second nistp521 key that ssh-keygen makes. Everything borrows from one buffer that
//! is cleared when it is dropped.

use base64ct::{Base64, Encoding};
use wire::codec::{DecodeError, Reader};
use wire::names::KeyType;
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Longest field: the private part of an RSA key of 16384 bits.
const FIELD_LIMIT: usize = 16 * 1024;
/// Longest name of a cipher, key derivation function, key type or curve.
const NAME_LIMIT: usize = 64;

const NOT_OPENSSH: &str = "not a private key in OpenSSH's format (ssh-keygen -p converts)";
const MALFORMED: &str = "private key is malformed";

/// The parts of a private key.
pub(super) struct PrivateKey<'a> {
    /// Public key blob as the file has it.
    pub(super) blob: &'a [u8],
    pub(super) numbers: Numbers<'a>,
}

/// Private and public numbers, big-endian.
pub(super) enum Numbers<'a> {
    Ed25519 {
        seed: &'a [u8],
        public: &'a [u8],
    },
    Ecdsa {
        kind: KeyType,
        /// Without leading zeros.
        scalar: &'a [u8],
        point: &'a [u8],
    },
    Rsa(Rsa<'a>),
}

/// n, e, d, q⁻¹ mod p, p and q, without leading zeros.
pub(super) struct Rsa<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) public_exponent: &'a [u8],
    pub(super) private_exponent: &'a [u8],
    pub(super) coefficient: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
}

/// Takes the armour off.
pub(super) fn unarmour(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| NOT_OPENSSH)?;
    let body = text.trim().strip_prefix(BEGIN).ok_or(NOT_OPENSSH)?;
    let body = body.strip_suffix(END).ok_or(NOT_OPENSSH)?;
    // Room from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(body.len()));
    bytes.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let length = Base64::decode_in_place(&mut bytes)
        .map_err(|_| NOT_OPENSSH)?
        .len();
    bytes.truncate(length);
    Ok(bytes)
}

/// Reads what was in the armour.
pub(super) fn decode(bytes: &[u8]) -> Result<PrivateKey<'_>, &'static str> {
    let bytes = bytes.strip_prefix(MAGIC).ok_or(NOT_OPENSSH)?;
    let (cipher, blob, private) = envelope(bytes).map_err(|_| MALFORMED)?;
    if cipher != "none" {
        return Err("it is encrypted");
    }
    let numbers = private_part(private).map_err(|_| MALFORMED)?;
    Ok(PrivateKey {
        blob,
        numbers: numbers.ok_or("its type is not supported")?,
    })
}

fn envelope(bytes: &[u8]) -> Result<(&str, &[u8], &[u8]), DecodeError> {
    let mut reader = Reader::new(bytes);
    let cipher = reader.text(NAME_LIMIT)?;
    let _derivation = reader.text(NAME_LIMIT)?;
    let _options = reader.string(FIELD_LIMIT)?;
    if reader.uint32()? != 1 {
        return Err(DecodeError::OutOfRange);
    }
    let blob = reader.string(FIELD_LIMIT)?;
    let private = reader.string(FIELD_LIMIT)?;
    reader.finish()?;
    Ok((cipher, blob, private))
}

/// The numbers, then a comment and padding, which say nothing. `None`: a type that is not ours.
fn private_part(bytes: &[u8]) -> Result<Option<Numbers<'_>>, DecodeError> {
    let mut reader = Reader::new(bytes);
    // Twice the same number, by which a wrong passphrase would show.
    if reader.uint32()? != reader.uint32()? {
        return Err(DecodeError::OutOfRange);
    }
    let Some(kind) = KeyType::from_name(reader.text(NAME_LIMIT)?) else {
        return Ok(None);
    };
    Ok(Some(match kind {
        KeyType::Ed25519 => {
            let public = reader.string(FIELD_LIMIT)?;
            // The seed and the public key once more.
            let both = reader.string(FIELD_LIMIT)?;
            let (seed, again) = both.split_at_checked(32).ok_or(DecodeError::Truncated)?;
            if again != public {
                return Err(DecodeError::OutOfRange);
            }
            Numbers::Ed25519 { seed, public }
        }
        KeyType::EcdsaNistp256 | KeyType::EcdsaNistp384 | KeyType::EcdsaNistp521 => {
            let _curve = reader.text(NAME_LIMIT)?;
            Numbers::Ecdsa {
                kind,
                point: reader.string(FIELD_LIMIT)?,
                scalar: number(&mut reader)?,
            }
        }
        KeyType::Rsa => Numbers::Rsa(Rsa {
            modulus: number(&mut reader)?,
            public_exponent: number(&mut reader)?,
            private_exponent: number(&mut reader)?,
            coefficient: number(&mut reader)?,
            p: number(&mut reader)?,
            q: number(&mut reader)?,
        }),
        // Private keys have no certificates in them, and those of security keys no numbers.
        _ => return Ok(None),
    }))
}

/// An mpint without its leading zeros.
fn number<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let bytes = reader.string(FIELD_LIMIT)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.get(zeros..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn armour_must_be_whole() {
        let body = "b3BlbnNzaC1rZXktdjEA";
        let whole = format!("{BEGIN}\n{body}\n{END}\n");
        assert_eq!(unarmour(whole.as_bytes()).unwrap().as_slice(), MAGIC);
        for text in [
            "",
            body,
            &format!("{BEGIN}\n{body}\n"),
            &format!("{body}\n{END}"),
            &format!("{BEGIN}\n{body}!\n{END}"),
            "-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----",
        ] {
            assert!(unarmour(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [MAGIC, &rest].concat();
            prop_assert!(decode(&bytes).is_err());
            let _refused_or_read = private_part(&rest);
        }
    }
}
