//! UMAC (RFC 4418) with AES-128 and tags of 64 and 128 bits, as draft-miller-secsh-umac and
//! OpenSSH's umac.c use it.
//!
//! ```text
//!             1024 bytes          16 MiB          one value
//!   message ──▶ NH (L1) ──▶ polynomial mod 2^64-59 (L2) ──▶ inner product (L3) ──▶ xor ──▶ tag
//!                                                            AES(nonce) (PDF) ────▶
//! ```
//!
//! Each 32 bits of a tag are a hash of the whole message with keys of its own; their number is the
//! parameter of [`Umac`]. There is no crate of it. What can be taken from one, AES, is; the rest is
//! multiplication and addition, written so that no branch and no index depends on a key (but for
//! RFC 4418's own step for large words, which one in 2^32 takes).
//!
//! A message of more than 16 MiB would need the polynomial over 128 bits too (RFC 4418 section 5.3).
//! No packet comes near that, so it is refused, where OpenSSH's code leaves it undefined.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::Failure;

/// Bytes of a key.
pub(super) const KEY: usize = 16;

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// Bytes that NH makes one word of.
const CHUNK: usize = 1024;

/// Bytes that one step of NH takes.
const STRIDE: usize = 32;

/// Key words of NH: a chunk's, and four more for each iteration after the first (at most four).
const NH_WORDS: usize = CHUNK / 4 + 3 * 4;

/// Key words that one step sees, all iterations together.
const NH_WINDOW: usize = STRIDE / 4 + 3 * 4;

/// Chunks for which the polynomial over 64 bits is enough: 2^17 bytes of its input.
const CHUNKS: usize = 1 << 14;

/// prime(64) is 2^64 less this.
const PRIME64_OFFSET: u64 = 59;

/// prime(36)
const PRIME36: u64 = (1 << 36) - 5;

/// Words from here on do not fit under prime(64) and are hashed in two steps.
const LARGE_WORD: u64 = u64::MAX - 0xffff_ffff + 1;

/// A key that makes tags of `ITERATIONS` times 32 bits.
pub(super) struct Umac<const ITERATIONS: usize> {
    pad: EncryptingKey,
    hash: Box<HashKey<ITERATIONS>>,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct HashKey<const ITERATIONS: usize> {
    nh: [u32; NH_WORDS],
    polynomial: [u64; ITERATIONS],
    /// Of the eight keys in RFC 4418 the first four meet zeros only: the result of the polynomial
    /// over 64 bits fills the second half of its 128.
    inner_product: [[u64; 4]; ITERATIONS],
    mask: [u32; ITERATIONS],
}

impl Umac<2> {
    /// The tag of 64 bits.
    pub(super) fn tag64(&self, nonce: u64, message: &[u8]) -> Result<[u8; 8], Failure> {
        // Two nonces share one block (RFC 4418 section 3.3).
        let pad = encrypt_block(&self.pad, nonce & !1, 0)?;
        let (first, second) = (pad.first_chunk::<8>(), pad.last_chunk::<8>());
        let pad = if nonce & 1 == 0 { first } else { second };
        let [a, b] = self.hash.hash(message)?;
        let hash = u64::from(a) << 32 | u64::from(b);
        let pad = u64::from_be_bytes(*pad.ok_or(Failure::Cryptography)?);
        Ok((hash ^ pad).to_be_bytes())
    }
}

impl Umac<4> {
    /// The tag of 128 bits.
    pub(super) fn tag128(&self, nonce: u64, message: &[u8]) -> Result<[u8; 16], Failure> {
        let pad = u128::from_be_bytes(encrypt_block(&self.pad, nonce, 0)?);
        let hash = self.hash.hash(message)?;
        let hash = hash
            .iter()
            .fold(0, |tag: u128, word| tag << 32 | u128::from(*word));
        Ok((hash ^ pad).to_be_bytes())
    }
}

impl<const ITERATIONS: usize> Umac<ITERATIONS> {
    /// Derives everything that the key stands for.
    pub(super) fn new(key: &[u8; KEY]) -> Result<Self, Failure> {
        let kdf = block_cipher(key)?;
        let pad_key = derive(&kdf, 0, KEY)?;
        let nh = derive(&kdf, 1, CHUNK + (ITERATIONS - 1) * 16)?;
        let polynomial = derive(&kdf, 2, ITERATIONS * 24)?;
        let inner_product = derive(&kdf, 3, ITERATIONS * 64)?;
        let mask = derive(&kdf, 4, ITERATIONS * 4)?;

        let mut hash = Box::new(HashKey {
            nh: [0; NH_WORDS],
            polynomial: [0; ITERATIONS],
            inner_product: [[0; 4]; ITERATIONS],
            mask: [0; ITERATIONS],
        });
        for (word, bytes) in hash.nh.iter_mut().zip(nh.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for (word, [bytes, ..]) in hash
            .polynomial
            .iter_mut()
            .zip(polynomial.as_chunks::<8>().0.as_chunks::<3>().0)
        {
            *word = u64::from_be_bytes(*bytes) & 0x01ff_ffff_01ff_ffff;
        }
        for (words, [_, _, _, _, bytes @ ..]) in hash
            .inner_product
            .iter_mut()
            .zip(inner_product.as_chunks::<8>().0.as_chunks::<8>().0)
        {
            *words = bytes.map(|bytes| u64::from_be_bytes(bytes) % PRIME36);
        }
        for (word, bytes) in hash.mask.iter_mut().zip(mask.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        Ok(Self {
            pad: block_cipher(&pad_key)?,
            hash,
        })
    }
}

impl<const ITERATIONS: usize> HashKey<ITERATIONS> {
    /// UHASH (RFC 4418 section 5).
    fn hash(&self, message: &[u8]) -> Result<[u32; ITERATIONS], Failure> {
        if message.len() > CHUNKS * CHUNK {
            return Err(Failure::Cryptography);
        }
        let mut words = [1; ITERATIONS];
        if message.len() <= CHUNK {
            words = self.nh(message);
        } else {
            for chunk in message.chunks(CHUNK) {
                let hashes = self.nh(chunk);
                for ((word, key), hash) in words.iter_mut().zip(&self.polynomial).zip(hashes) {
                    *word = polynomial(*key, *word, hash);
                }
            }
            words = words.map(|word| word.checked_sub(PRIME64).unwrap_or(word));
        }
        let mut out = [0; ITERATIONS];
        for (((out, word), keys), mask) in out
            .iter_mut()
            .zip(words)
            .zip(&self.inner_product)
            .zip(&self.mask)
        {
            *out = inner_product(keys, word) ^ mask;
        }
        Ok(out)
    }

    /// L1-HASH of one chunk (RFC 4418 section 5.2): NH for each iteration, plus the length in bits.
    fn nh(&self, chunk: &[u8]) -> [u64; ITERATIONS] {
        let mut sums = [[0_u64; 4]; ITERATIONS];
        let (strides, rest) = chunk.as_chunks::<STRIDE>();
        let mut keys = self.nh.windows(NH_WINDOW).step_by(STRIDE / 4);
        for (stride, keys) in strides.iter().zip(&mut keys) {
            nh_step(&mut sums, stride, keys);
        }
        // An empty message is a block of zeros as well.
        if (!rest.is_empty() || chunk.is_empty())
            && let Some(keys) = keys.next()
        {
            let mut stride = [0; STRIDE];
            for (to, from) in stride.iter_mut().zip(rest) {
                *to = *from;
            }
            nh_step(&mut sums, &stride, keys);
        }
        let bits = u64::try_from(chunk.len() * 8).unwrap_or(u64::MAX);
        sums.map(|lanes| lanes.into_iter().fold(bits, u64::wrapping_add))
    }
}

/// 32 bytes of message meet the key, once per iteration four words further on. The four lanes are
/// for the compiler, which makes vectors of them.
#[inline(always)]
fn nh_step<const ITERATIONS: usize>(
    sums: &mut [[u64; 4]; ITERATIONS],
    stride: &[u8; STRIDE],
    keys: &[u32],
) {
    let mut words = [0; STRIDE / 4];
    for (word, bytes) in words.iter_mut().zip(stride.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let [a, b, c, d, e, f, g, h] = words;
    let (low, high) = ([a, b, c, d], [e, f, g, h]);
    let (keys, _) = keys.as_chunks::<4>();
    for (lanes, (low_key, high_key)) in sums
        .iter_mut()
        .zip(keys.iter().zip(keys.get(1..).unwrap_or_default()))
    {
        let left = low.iter().zip(low_key);
        let right = high.iter().zip(high_key);
        for (lane, ((low, low_key), (high, high_key))) in lanes.iter_mut().zip(left.zip(right)) {
            let product =
                u64::from(low.wrapping_add(*low_key)) * u64::from(high.wrapping_add(*high_key));
            *lane = lane.wrapping_add(product);
        }
    }
}

/// prime(64)
const PRIME64: u64 = u64::MAX - PRIME64_OFFSET + 1;

/// One step of POLY over 64 bits (RFC 4418 section 5.3), modulo 2^64-59 but not always below it.
fn polynomial(key: u64, sum: u64, word: u64) -> u64 {
    if word >= LARGE_WORD {
        let marked = multiply_add(key, sum, PRIME64 - 1);
        return multiply_add(key, marked, word - PRIME64_OFFSET);
    }
    multiply_add(key, sum, word)
}

/// `a * b + c` modulo 2^64-59: what is above 64 bits counts 59 times.
fn multiply_add(a: u64, b: u64, c: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, c);
    let (low, high) = high.carrying_mul(PRIME64_OFFSET, low);
    // `high` is below 60 by now, and after a carry `low` is small: the second addition has none.
    let (low, carry) = low.overflowing_add(high * PRIME64_OFFSET);
    low.wrapping_add(u64::from(carry) * PRIME64_OFFSET)
}

/// L3-HASH (RFC 4418 section 5.4) without its last step.
fn inner_product(keys: &[u64; 4], word: u64) -> u32 {
    let mut sum = 0;
    for (key, half) in keys.iter().zip(word.to_be_bytes().as_chunks().0) {
        // 36 bits and 16 bits, four times: 54 bits.
        sum += key * u64::from(u16::from_be_bytes(*half));
    }
    let [_, _, _, _, a, b, c, d] = (sum % PRIME36).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// KDF (RFC 4418 section 3.2).
fn derive(kdf: &EncryptingKey, index: u64, length: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut out = Zeroizing::new(Vec::with_capacity(length.next_multiple_of(BLOCK)));
    for counter in 1.. {
        if out.len() >= length {
            break;
        }
        out.extend_from_slice(Zeroizing::new(encrypt_block(kdf, index, counter)?).as_slice());
    }
    out.truncate(length);
    Ok(out)
}

fn block_cipher(key: &[u8]) -> Result<EncryptingKey, Failure> {
    UnboundCipherKey::new(&AES_128, key)
        .and_then(EncryptingKey::ecb)
        .map_err(|_| Failure::Cryptography)
}

/// AES of two words.
fn encrypt_block(key: &EncryptingKey, high: u64, low: u64) -> Result<[u8; BLOCK], Failure> {
    let mut block = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    key.less_safe_encrypt(&mut block, EncryptionContext::None)
        .map_err(|_| Failure::Cryptography)?;
    Ok(block)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4418 appendix: key "abcdefghijklmnop", nonce "bcdefghi".
    const RFC_KEY: &[u8; 16] = b"abcdefghijklmnop";
    const RFC_NONCE: &[u8; 8] = b"bcdefghi";

    fn tags(message: &[u8]) -> (String, String) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let nonce = u64::from_be_bytes(*RFC_NONCE);
        let short = Umac::<2>::new(RFC_KEY).unwrap();
        let long = Umac::<4>::new(RFC_KEY).unwrap();
        (
            hex(&short.tag64(nonce, message).unwrap()),
            hex(&long.tag128(nonce, message).unwrap()),
        )
    }

    #[test]
    fn rfc_4418_vectors() {
        for (message, short, long) in [
            (
                vec![],
                "6E155FAD26900BE1",
                "32FEDB100C79AD58F07FF7643CC60465",
            ),
            (
                vec![b'a'; 3],
                "44B5CB542F220104",
                "185E4FE905CBA7BD85E4C2DC3D117D8D",
            ),
            (
                vec![b'a'; 1 << 10],
                "26BF2F5D60118BD9",
                "7A54ABE04AF82D60FB298C3CBD195BCB",
            ),
            (
                vec![b'a'; 1 << 15],
                "27F8EF643B0D118D",
                "7B136BD911E4B734286EF2BE501F2C3C",
            ),
            (
                vec![b'a'; 1 << 20],
                "A4477E87E9F55853",
                "F8ACFA3AC31CFEEA047F7B115B03BEF5",
            ),
            (
                b"abc".to_vec(),
                "D4D7B9F6BD4FBFCF",
                "883C3D4B97A61976FFCF232308CBA5A5",
            ),
            (
                b"abc".repeat(500),
                "D4CF26DDEFD5C01A",
                "8824A260C53C66A36C9260A62CB83AA1",
            ),
        ] {
            assert_eq!(
                tags(&message),
                (short.to_owned(), long.to_owned()),
                "{} bytes",
                message.len()
            );
        }
    }

    #[test]
    fn a_message_too_long_for_the_polynomial_is_refused() {
        let key = Umac::<4>::new(RFC_KEY).unwrap();
        let mut message = vec![0; CHUNKS * CHUNK];
        assert!(key.tag128(0, &message).is_ok());
        message.push(0);
        assert_eq!(key.tag128(0, &message), Err(Failure::Cryptography));
    }
    /// POLY as RFC 4418 section 5.3 writes it.
    fn literal_polynomial(key: u64, sum: u64, word: u64) -> u128 {
        let (prime, key, word) = (u128::from(PRIME64), u128::from(key), u128::from(word));
        let sum = u128::from(sum);
        if word >= (1 << 64) - (1 << 32) {
            let marked = (key * sum + prime - 1) % prime;
            return (key * marked + word - 59) % prime;
        }
        (key * sum + word) % prime
    }

    proptest! {
        /// No message of a test has a large word: one in 2^32 is.
        #[test]
        fn the_polynomial_is_that_of_the_rfc(
            key in 0..=0x01ff_ffff_01ff_ffff_u64,
            sum in prop_oneof![any::<u64>(), u64::MAX - 100..],
            word in prop_oneof![any::<u64>(), LARGE_WORD - 2.., PRIME64 - 2..],
        ) {
            let ours = u128::from(polynomial(key, sum, word)) % u128::from(PRIME64);
            prop_assert_eq!(ours, literal_polynomial(key, sum, word));
        }
    }
}
