use num_bigint::BigUint;
use wire::groups::FixedGroup;

use super::*;

/// The client's arithmetic, of another crate.
fn power(base: &BigUint, exponent: &BigUint, group: &DhGroup) -> BigUint {
    base.modpow(exponent, &BigUint::from_bytes_be(&group.prime))
}

/// Contents of the mpint.
fn contents(value: &BigUint) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_mpint(&value.to_bytes_be());
    out.split_off(4)
}

fn refused(share: &[u8]) -> bool {
    matches!(
        agree(&FixedGroup::Group14.group(), share),
        Err(Error::Misbehaved(Misbehaviour::InvalidShare))
    )
}

#[test]
fn both_sides_get_the_same_secret() {
    for fixed in FixedGroup::ALL {
        let group = fixed.group();
        let exponent = BigUint::from_bytes_be(&[0x5a; 64]);
        let e = power(&2_u32.into(), &exponent, &group);
        let ours = agree(&group, &contents(&e)).unwrap();
        let f = BigUint::from_bytes_be(magnitude(&ours.server_share).unwrap());
        let theirs = power(&f, &exponent, &group);
        assert_eq!(BigUint::from_bytes_be(&ours.shared_secret), theirs);
    }
}

#[test]
fn a_power_is_that_of_an_independent_computation() {
    for fixed in FixedGroup::ALL {
        let group = fixed.group();
        let base = vec![0xa5; 200];
        // Leading zeros, and all ones.
        for exponent in [&[1, 2, 3][..], &[0x80; 64], &[0xff; 64]] {
            let ours = Group::new(&group).unwrap();
            let number = |bytes: &[u8], bits| BoxedUint::from_be_slice(bytes, bits).unwrap();
            let ours = ours.power(
                &number(&base, fixed.bits()),
                &number(exponent, EXPONENT_BITS),
            );
            let theirs = power(
                &BigUint::from_bytes_be(&base),
                &BigUint::from_bytes_be(exponent),
                &group,
            );
            assert_eq!(BigUint::from_bytes_be(&ours.to_be_bytes()), theirs);
        }
    }
}

#[test]
fn values_outside_of_the_group_and_trivial_ones_are_refused() {
    let p = BigUint::from_bytes_be(&FixedGroup::Group14.group().prime);
    let at = |below: u32| contents(&(&p - below));
    // 0, 1, and powers of two; p - 1 has the order two, p is 0, and p + 1 is 1.
    for share in [&[][..], &[1], &[2], &[4], &[7], &at(1), &at(0)] {
        assert!(refused(share), "{share:?}");
    }
    assert!(refused(&contents(&(&p + 1_u32))));
    assert!(refused(&contents(&(&p << 1_u32))));
    assert!(refused(&contents(&(&p << 4096_u32))));
    assert!(!refused(&at(2)));
    assert!(!refused(&[15]));
}

#[test]
fn negative_numbers_and_superfluous_zeros_are_refused() {
    assert!(!refused(&[0x7a, 1]));
    assert!(refused(&[0, 0x7a, 1]));
    assert!(!refused(&[0, 0xfa, 1]));
    assert!(refused(&[0xfa, 1]));
    assert!(refused(&[0, 0, 0xfa, 1]));
}

#[test]
fn the_exponent_is_long_and_fresh() {
    let [one, other] = [(), ()].map(|()| exponent().unwrap());
    assert_ne!(*one, *other);
    assert!(one.bits() > EXPONENT_BITS - 64);
}

#[test]
fn what_is_no_group_is_not_used() {
    let odd = FixedGroup::Group14.group();
    let mut even = odd.clone();
    *even.prime.last_mut().unwrap() -= 1;
    assert!(agree(&even, &[0x7a, 1]).is_err());
    let mut large = odd;
    large.generator = vec![0xff; 257];
    assert!(agree(&large, &[0x7a, 1]).is_err());
}
