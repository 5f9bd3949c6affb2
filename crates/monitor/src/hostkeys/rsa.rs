//! RSA host keys: OpenSSH's file leaves out two numbers that the cryptographic library asks for.

use aws_lc_rs::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use zeroize::Zeroizing;

use super::file_format::Rsa;

/// The signing key for the numbers of a key file.
pub(super) fn key_pair(numbers: &Rsa<'_>) -> Result<KeyPair, &'static str> {
    let d = numbers.private_exponent;
    // The library checks d, dP and dQ against each other and against p and q, so a mistake in the
    // arithmetic below can refuse a key but not weaken one.
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n: numbers.modulus,
            e: numbers.public_exponent,
        },
        d,
        p: numbers.p,
        q: numbers.q,
        dP: &remainder(d, &one_less(numbers.p)),
        dQ: &remainder(d, &one_less(numbers.q)),
        qInv: numbers.coefficient,
    };
    KeyPair::from_components(&components)
        .map_err(|_| "RSA numbers do not fit together, or the modulus is not 2048 to 8192 bits")
}

/// A prime is odd: its last bit is the one to take away.
fn one_less(prime: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(prime.to_vec());
    if let Some(last) = out.last_mut() {
        *last &= !1;
    }
    out
}

/// `number` mod `modulus`, both big-endian, bit by bit.
///
/// Some milliseconds, once per key and start, and not in constant time: nobody who could measure it
/// is on the other side of anything yet.
fn remainder(number: &[u8], modulus: &[u8]) -> Zeroizing<Vec<u8>> {
    // One byte more than the modulus, for the bit that doubling pushes out.
    let mut modulus_wide = Zeroizing::new(vec![0; modulus.len() + 1]);
    for (to, from) in modulus_wide.iter_mut().skip(1).zip(modulus) {
        *to = *from;
    }
    let mut rest = Zeroizing::new(vec![0; modulus.len() + 1]);
    for byte in number {
        for shift in (0..8).rev() {
            double_and_add(&mut rest, byte >> shift & 1);
            if rest.as_slice() >= modulus_wide.as_slice() {
                subtract(&mut rest, &modulus_wide);
            }
        }
    }
    rest
}

fn double_and_add(number: &mut [u8], mut carry: u8) {
    for byte in number.iter_mut().rev() {
        let out = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = out;
    }
}

/// For numbers of one length, the first not smaller than the second.
fn subtract(number: &mut [u8], less: &[u8]) {
    let mut borrow = false;
    for (byte, less) in number.iter_mut().zip(less).rev() {
        let (first, under) = byte.overflowing_sub(*less);
        let (second, under_again) = first.overflowing_sub(u8::from(borrow));
        *byte = second;
        borrow = under || under_again;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainder_is_that_of_integer_division() {
        for (number, modulus) in [
            (0_u128, 1_u128),
            (1, 1),
            (0x1_0000, 0x101),
            (u128::MAX, 0xffff_ffff_ffff_fffe),
            (
                0xdead_beef_0000_0000_1234_5678_9abc_def0,
                0x8000_0000_0000_0000,
            ),
            (12_345, 99_999),
        ] {
            let rest = remainder(&number.to_be_bytes(), &modulus.to_be_bytes());
            assert_eq!(rest[0], 0);
            assert_eq!(rest[1..], (number % modulus).to_be_bytes());
        }
    }
}
