use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use proptest::prelude::*;
use wire::codec::Write;

use wire::names::SignatureAlgorithm;

use super::verification::SIGNATURE_LIMIT;
use super::*;
use crate::hostkeys::HostKey;
use crate::testing::{SecurityKey, published};

const REQUIRED: RequiredRsaSize = RequiredRsaSize(2048);

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|part| out.put_string(part));
    out
}

fn p256() -> (EcdsaKeyPair, Vec<u8>) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let blob = strings(&[b"ecdsa-sha2-nistp256", b"nistp256", &point]);
    (pair, blob)
}

fn error(blob: &[u8]) -> KeyError {
    PublicKey::parse(blob, REQUIRED).unwrap_err()
}

#[test]
fn one_encoding_per_key() {
    let good = strings(&[b"ssh-ed25519", &[7; 32]]);
    assert!(PublicKey::parse(&good, REQUIRED).is_ok());
    for cut in 0..good.len() {
        assert!(matches!(error(&good[..cut]), KeyError::Malformed(_)));
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(matches!(error(&longer), KeyError::Malformed(_)));
    assert_eq!(
        error(&strings(&[b"ssh-ed25519", &[7; 31]])),
        KeyError::Unfit
    );
    assert!(matches!(
        error(&strings(&[b"ssh-ed25519", &[7; 33]])),
        KeyError::Malformed(_)
    ));
}

#[test]
fn types_that_are_not_ours_are_unknown() {
    for name in [
        "ssh-dss",
        "ssh-ed25519-cert-v01@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "",
    ] {
        let blob = strings(&[name.as_bytes(), &[7; 32]]);
        assert_eq!(error(&blob), KeyError::UnknownType, "{name}");
    }
}

#[test]
fn a_point_must_be_of_the_types_curve_and_uncompressed() {
    let (_, blob) = p256();
    let point = blob[blob.len() - 65..].to_vec();
    let with = |kind: &[u8], curve: &[u8], point: &[u8]| error(&strings(&[kind, curve, point]));
    let kind = b"ecdsa-sha2-nistp256";
    assert_eq!(with(kind, b"nistp384", &point), KeyError::Unfit);
    assert_eq!(with(kind, b"nistp256", &point[..33]), KeyError::Unfit);
    let mut compressed = point.clone();
    compressed[0] = 2;
    assert_eq!(with(kind, b"nistp256", &compressed), KeyError::Unfit);
    assert_eq!(
        with(b"ecdsa-sha2-nistp384", b"nistp384", &point),
        KeyError::Unfit
    );
}

#[test]
fn a_point_that_is_not_on_the_curve_verifies_nothing() {
    let (pair, mut blob) = p256();
    let last = blob.len() - 1;
    blob[last] ^= 1;
    let key = PublicKey::parse(&blob, REQUIRED).unwrap();
    let signed = ecdsa_blob(&pair, b"x", 0);
    let algorithm = SignatureAlgorithm::EcdsaNistp256;
    assert_eq!(key.verify(algorithm, b"x", &signed), Err(BadSignature));
}

#[test]
fn rsa_moduli_outside_of_the_limits_are_refused() {
    let rsa = |bits: usize| {
        let mut blob = strings(&[b"ssh-rsa", &[1, 0, 1]]);
        let mut modulus = vec![0xff; bits / 8];
        modulus[0] = 0x80;
        blob.put_mpint(&modulus);
        blob
    };
    assert_eq!(error(&rsa(1024)), KeyError::Size(1024));
    assert!(PublicKey::parse(&rsa(1024), RequiredRsaSize(1024)).is_ok());
    assert!(PublicKey::parse(&rsa(2048), REQUIRED).is_ok());
    assert!(PublicKey::parse(&rsa(8192), REQUIRED).is_ok());
    assert!(PublicKey::parse(&rsa(8200), REQUIRED).is_err());
    let negative = strings(&[b"ssh-rsa", &[1, 0, 1], &[0x80; 256]]);
    assert!(matches!(error(&negative), KeyError::Malformed(_)));
    let zero = strings(&[b"ssh-rsa", &[], &[0x7f; 256]]);
    assert!(matches!(error(&zero), KeyError::Malformed(_)));
    for longer in [vec![0, 1, 0, 1], vec![0, 0, 0x81]] {
        let twice = strings(&[b"ssh-rsa", &longer, &[0x7f; 256]]);
        assert!(matches!(error(&twice), KeyError::Malformed(_)));
    }
}

/// A signature blob whose numbers have `padding` more zeros in front than they need.
fn ecdsa_blob(pair: &EcdsaKeyPair, data: &[u8], padding: usize) -> Vec<u8> {
    let fixed = pair.sign(&SystemRandom::new(), data).unwrap();
    let mut numbers = Vec::new();
    for half in fixed.as_ref().chunks(32) {
        let zeros = vec![0; 1 + padding];
        numbers.put_string(&[&zeros, half].concat());
    }
    strings(&[b"ecdsa-sha2-nistp256", &numbers])
}

#[test]
fn ecdsa_numbers_are_the_same_with_leading_zeros_and_refused_when_negative() {
    let (pair, blob) = p256();
    let key = PublicKey::parse(&blob, REQUIRED).unwrap();
    let verify = |signature: &[u8]| key.verify(SignatureAlgorithm::EcdsaNistp256, b"x", signature);
    assert_eq!(verify(&ecdsa_blob(&pair, b"x", 0)), Ok(None));
    assert_eq!(verify(&ecdsa_blob(&pair, b"x", 3)), Ok(None));
    let mut negative = Vec::new();
    negative.put_string(&[0x80; 32]);
    negative.put_string(&[0x11; 32]);
    let negative = strings(&[b"ecdsa-sha2-nistp256", &negative]);
    assert_eq!(verify(&negative), Err(BadSignature));
}

#[test]
fn a_signature_counts_under_its_own_name_only() {
    use SignatureAlgorithm::{Ed25519, RsaSha2_256, RsaSha2_512};
    let directory = crate::testing::Directory::new();
    let path = directory.key("key", &["-t", "rsa", "-b", "2048", "-N", ""]);
    let pair = HostKey::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let key = PublicKey::parse(pair.blob(), REQUIRED).unwrap();
    let blob = pair.sign(RsaSha2_256, b"x").unwrap();
    let mut reader = Reader::new(&blob);
    reader.string(NAME_LIMIT).unwrap();
    let signed = reader.string(SIGNATURE_LIMIT).unwrap();
    let named = |name: &[u8]| strings(&[name, signed]);
    assert_eq!(
        key.verify(RsaSha2_256, b"x", &named(b"rsa-sha2-256")),
        Ok(None)
    );
    for (algorithm, name) in [
        (RsaSha2_512, b"rsa-sha2-256".as_slice()),
        (RsaSha2_512, b"rsa-sha2-512"),
        (RsaSha2_256, b"rsa-sha2-512"),
        (RsaSha2_256, b"ssh-rsa"),
        (Ed25519, b"ssh-ed25519"),
    ] {
        assert_eq!(key.verify(algorithm, b"x", &named(name)), Err(BadSignature));
    }
    let trailing = [named(b"rsa-sha2-256"), vec![0]].concat();
    assert_eq!(key.verify(RsaSha2_256, b"x", &trailing), Err(BadSignature));
}

#[test]
fn a_key_verifies_nothing_under_the_name_of_another_type() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let blob = strings(&[b"ssh-ed25519", pair.public_key().as_ref()]);
    let key = PublicKey::parse(&blob, REQUIRED).unwrap();
    for algorithm in SignatureAlgorithm::ALL {
        let signed = pair.sign(b"x");
        let named = strings(&[algorithm.name().as_bytes(), signed.as_ref()]);
        let own = *algorithm == SignatureAlgorithm::Ed25519;
        assert_eq!(key.verify(*algorithm, b"x", &named).is_ok(), own);
    }
}

#[test]
fn a_security_keys_signature_covers_its_flags_its_counter_and_its_application() {
    for key in [SecurityKey::ed25519(), SecurityKey::ecdsa()] {
        let public = PublicKey::parse(&key.blob(), REQUIRED).unwrap();
        let algorithm = key.algorithm();
        let good = key.sign(b"x", 0x05, 0x0102_0304);
        let said = public.verify(algorithm, b"x", &good).unwrap().unwrap();
        assert!(said.user_present() && said.user_verified());
        assert_eq!(said.counter(), 0x0102_0304);
        assert_eq!(public.verify(algorithm, b"y", &good), Err(BadSignature));
        // Flags and counter are the last five bytes.
        for bit in (good.len() - 5) * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(public.verify(algorithm, b"x", &bad), Err(BadSignature));
        }
        let longer = [good.as_slice(), &[0]].concat();
        for bad in [&good[..good.len() - 1], &good[..good.len() - 5], &longer] {
            assert_eq!(public.verify(algorithm, b"x", bad), Err(BadSignature));
        }
        let mut blob = key.blob();
        let last = blob.len() - 1;
        blob[last] ^= 1;
        let other = PublicKey::parse(&blob, REQUIRED).unwrap();
        assert_eq!(other.verify(algorithm, b"x", &good), Err(BadSignature));
    }
}

#[test]
fn a_plain_keys_signature_has_nothing_behind_it() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let blob = strings(&[b"ssh-ed25519", pair.public_key().as_ref()]);
    let key = PublicKey::parse(&blob, REQUIRED).unwrap();
    let signed = strings(&[b"ssh-ed25519", pair.sign(b"x").as_ref()]);
    let verify = |signed: &[u8]| key.verify(SignatureAlgorithm::Ed25519, b"x", signed);
    assert_eq!(verify(&signed), Ok(None));
    let longer = [signed.as_slice(), &[1, 0, 0, 0, 1]].concat();
    assert_eq!(verify(&longer), Err(BadSignature));
}

#[test]
fn fingerprint_is_that_of_ssh_keygen() {
    let directory = crate::testing::Directory::new();
    let path = directory.key("key", &["-t", "ed25519", "-N", ""]);
    let blob = published(&path);
    let key = PublicKey::parse(&blob, REQUIRED).unwrap();
    let listed = std::process::Command::new("ssh-keygen")
        .arg("-lf")
        .arg(&path)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&key.fingerprint().to_string()), "{listed}");
    assert!(listed.contains(key.log_name()));
}

proptest! {
    #[test]
    fn arbitrary_blobs_and_signatures_are_refused_without_a_panic(
        kind in 0..KeyType::ALL.len(),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
        signature in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let blob = [strings(&[KeyType::ALL[kind].name().as_bytes()]), rest].concat();
        if let Ok(key) = PublicKey::parse(&blob, RequiredRsaSize(0)) {
            for algorithm in SignatureAlgorithm::ALL {
                prop_assert!(key.verify(*algorithm, b"x", &signature).is_err());
            }
        }
    }
}
