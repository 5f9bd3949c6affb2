//! Finite fields: diffie-hellman-group14-sha256, -group16-sha512, -group18-sha512 (RFC 8268), and the
//! groups of diffie-hellman-group-exchange-sha256 (RFC 4419).
//!
//! A stranger's two numbers cost this side two exponentiations of milliseconds each, and cost him
//! nothing (CVE-2002-20001, "D(HE)at"): none of these methods is on offer by default.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use wire::codec::{Write, magnitude};
use wire::groups::DhGroup;
use zeroize::Zeroizing;

use super::Agreement;
use crate::error::{Error, Failure, Misbehaviour};

/// Bits of our exponent: twice the 256 bits that a key can need, for the best attack on a short
/// exponent takes the square root of its range. OpenSSH doubles this for ciphers with two keys, but
/// no group here is worth 256 bits: RFC 7919 appendix A.5 asks for 400 with 8192 bits.
const EXPONENT_BITS: u32 = 512;

/// Bits that a public value has set at least (OpenSSH's dh_pub_is_valid). Of a power of two, or of
/// few of them, the logarithm to the base 2 can be read off.
const BITS_SET: u32 = 4;

pub(super) fn agree(group: &DhGroup, client_share: &[u8]) -> Result<Agreement, Error> {
    let group = Group::new(group).ok_or(Failure::Cryptography)?;
    let e = magnitude(client_share)
        .ok()
        .and_then(|e| group.public_value(e))
        .ok_or(Misbehaviour::InvalidShare)?;
    let exponent = exponent()?;

    let f = group.power(&group.generator, &exponent).to_be_bytes();
    // Cannot fail by chance, but would tell the exponent.
    group.public_value(&f).ok_or(Failure::Cryptography)?;
    let shared_secret = Zeroizing::new(group.power(&e, &exponent).to_be_bytes().into_vec());

    let mut server_share = Vec::new();
    server_share.put_mpint(&f);
    Ok(Agreement {
        // Without the length.
        server_share: server_share.split_off(4),
        shared_secret,
    })
}

/// Whether these numbers can be a group at all. That the prime is one is the word of whoever chose
/// it: to test it takes longer than the exchange.
pub(super) fn is_usable(group: &DhGroup) -> bool {
    Group::new(group).is_some_and(|ready| {
        let one = BoxedUint::one_with_precision(ready.bits);
        ready.generator > one && ready.generator < ready.minus_one()
    })
}

fn exponent() -> Result<Zeroizing<BoxedUint>, Error> {
    let mut bytes = Zeroizing::new([0; EXPONENT_BITS as usize / 8]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| Failure::Cryptography)?;
    let exponent = BoxedUint::from_be_slice(&*bytes, EXPONENT_BITS);
    Ok(Zeroizing::new(exponent.map_err(|_| Failure::Cryptography)?))
}

/// A group, ready for arithmetic.
struct Group {
    params: BoxedMontyParams,
    generator: BoxedUint,
    bits: u32,
}

impl Group {
    /// `None` if the prime is even or the generator is not below it.
    fn new(group: &DhGroup) -> Option<Self> {
        let bits = group.bits();
        let prime: Odd<BoxedUint> = BoxedUint::from_be_slice(&group.prime, bits)
            .ok()?
            .into_odd()
            .into_option()?;
        let generator = BoxedUint::from_be_slice(&group.generator, bits).ok()?;
        Some(Self {
            // In variable time: the prime is public.
            params: BoxedMontyParams::new_vartime(prime),
            generator,
            bits,
        })
    }

    /// Reads e or f if 1 < value < p - 1 (RFC 4253 section 8) and enough bits are set.
    fn public_value(&self, digits: &[u8]) -> Option<BoxedUint> {
        let set: u32 = digits.iter().map(|byte| byte.count_ones()).sum();
        let value = BoxedUint::from_be_slice(digits, self.bits).ok()?;
        let one = BoxedUint::one_with_precision(self.bits);
        (set >= BITS_SET && value > one && value < self.minus_one()).then_some(value)
    }

    /// p - 1
    fn minus_one(&self) -> BoxedUint {
        // The prime is odd: this clears its lowest bit.
        self.params.modulus().as_ref() ^ &BoxedUint::one_with_precision(self.bits)
    }

    /// base^exponent, in a time that depends on the sizes only.
    fn power(&self, base: &BoxedUint, exponent: &BoxedUint) -> Zeroizing<BoxedUint> {
        let base = BoxedMontyForm::new(base.clone(), &self.params);
        let power = Zeroizing::new(base.pow_bounded_exp(exponent, EXPONENT_BITS));
        Zeroizing::new(power.retrieve())
    }
}

#[cfg(test)]
mod tests;
