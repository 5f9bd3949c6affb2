use aws_lc_rs::agreement::{self, PrivateKey};

use super::*;
use crate::kex::vectors::value;

const RFC_5903: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/vectors/rfc5903.txt"
));

const NIST: [(Curve, &str); 3] = [
    (Curve::NISTP256, "nistp256"),
    (Curve::NISTP384, "nistp384"),
    (Curve::NISTP521, "nistp521"),
];

fn secret(curve: Curve, private: &PrivateKey, public: &[u8]) -> Vec<u8> {
    let public = UnparsedPublicKey::new(curve.algorithm, public);
    agreement::agree(private, public, (), |secret| Ok(secret.to_vec())).unwrap()
}

fn refused(curve: Curve, share: &[u8]) -> bool {
    matches!(
        agree(curve, share),
        Err(Error::Misbehaved(Misbehaviour::InvalidShare))
    )
}

/// A valid public key.
fn share(curve: Curve) -> Vec<u8> {
    let private = EphemeralPrivateKey::generate(curve.algorithm, &SystemRandom::new()).unwrap();
    private.compute_public_key().unwrap().as_ref().to_vec()
}

#[test]
fn both_sides_get_the_same_secret() {
    for curve in [
        Curve::X25519,
        Curve::NISTP256,
        Curve::NISTP384,
        Curve::NISTP521,
    ] {
        let private = PrivateKey::generate(curve.algorithm).unwrap();
        let public = private.compute_public_key().unwrap();
        let ours = agree(curve, public.as_ref()).unwrap();
        assert_eq!(ours.server_share.len(), curve.share);
        let theirs = secret(curve, &private, &ours.server_share);
        assert_eq!(*ours.shared_secret, theirs);
    }
}

#[test]
fn a_client_with_the_keys_of_rfc_5903_gets_our_secret() {
    for (curve, section) in NIST {
        let [i, public_i, public_r, expected] =
            ["private-i", "public-i", "public-r", "shared-secret"]
                .map(|name| value(RFC_5903, section, name));
        let private = PrivateKey::from_private_key(curve.algorithm, &i).unwrap();
        // The client's side is the RFC's...
        assert_eq!(secret(curve, &private, &public_r), expected);
        // ... and ours fits to it.
        let ours = agree(curve, &public_i).unwrap();
        let theirs = secret(curve, &private, &ours.server_share);
        assert_eq!(*ours.shared_secret, theirs);
    }
}

#[test]
fn points_of_small_order_are_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    let minus_one = {
        let mut point = [0xff; 32];
        point[0] = 0xec;
        point[31] = 0x7f;
        point
    };
    // One of the two points of order eight of RFC 7748's curve.
    let order_eight = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ];
    for share in [[0; 32], one, minus_one, order_eight] {
        assert!(refused(Curve::X25519, &share));
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    for (curve, _) in NIST {
        let mut point = share(curve);
        *point.last_mut().unwrap() ^= 1;
        assert!(refused(curve, &point));
        // Coordinates beyond the field.
        let mut point = vec![0xff; curve.share];
        point[0] = UNCOMPRESSED;
        assert!(refused(curve, &point));
        // (0, 0), which some libraries take for the point at infinity.
        let mut point = vec![0; curve.share];
        point[0] = UNCOMPRESSED;
        assert!(refused(curve, &point));
    }
}

#[test]
fn points_in_another_form_are_refused() {
    for (curve, _) in NIST {
        let point = share(curve);
        let (x, y) = point[1..].split_at(curve.share / 2);
        let parity = y.last().unwrap() & 1;
        assert!(refused(curve, &[&[2 + parity], x].concat()), "compressed");
        assert!(refused(curve, &[&[6 + parity], x, y].concat()), "hybrid");
        assert!(refused(curve, &[0]), "infinity");
    }
}

#[test]
fn shares_of_another_length_are_refused() {
    for curve in [Curve::X25519, Curve::NISTP256, Curve::NISTP521] {
        let share = share(curve);
        assert!(refused(curve, &[]));
        assert!(refused(curve, &share[..share.len() - 1]));
        assert!(refused(curve, &[&share[..], &[0]].concat()));
    }
}
