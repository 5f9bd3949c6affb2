use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use base64ct::{Base64, Encoding};
use wire::names::KeyType;

use super::*;
use crate::exchange::FirstExchange;
use crate::testing::{Directory, published, read_public};

/// Every kind of key that ssh-keygen makes and this server has.
const KINDS: &[(&[&str], &[SignatureAlgorithm])] = &[
    (&["-t", "ed25519"], &[SignatureAlgorithm::Ed25519]),
    (
        &["-t", "ecdsa", "-b", "256"],
        &[SignatureAlgorithm::EcdsaNistp256],
    ),
    (
        &["-t", "ecdsa", "-b", "384"],
        &[SignatureAlgorithm::EcdsaNistp384],
    ),
    (
        &["-t", "ecdsa", "-b", "521"],
        &[SignatureAlgorithm::EcdsaNistp521],
    ),
    (
        &["-t", "rsa", "-b", "2048"],
        &[
            SignatureAlgorithm::RsaSha2_512,
            SignatureAlgorithm::RsaSha2_256,
        ],
    ),
];

fn load(directory: &Directory, name: &str, options: &[&str]) -> HostKey {
    let options = [options, &["-N", ""]].concat();
    HostKey::load(&directory.key(name, &options)).unwrap_or_else(|e| panic!("{e}"))
}

fn failure(result: Result<HostKey, LoadError>) -> LoadError {
    match result {
        Ok(_) => panic!("the key was loaded"),
        Err(error) => error,
    }
}

#[test]
fn keys_of_ssh_keygen_sign_what_their_public_half_verifies() {
    let directory = Directory::new();
    for (at, (options, algorithms)) in KINDS.iter().enumerate() {
        let key = load(&directory, &format!("key{at}"), options);
        let path = directory.path(&format!("key{at}"));
        assert_eq!(key.blob(), published(&path));

        let public = PublicKey::parse(key.blob(), RequiredRsaSize(2048)).unwrap();
        for algorithm in *algorithms {
            // Some runs of ECDSA have numbers with leading zeros: each length must do.
            for run in 0..64_u8 {
                let signature = key.sign(*algorithm, &[run]).unwrap();
                assert_eq!(public.verify(*algorithm, &[run], &signature), Ok(None));
                assert!(public.verify(*algorithm, b"else", &signature).is_err());
                if public.key_type() == KeyType::Rsa && run > 2 {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_key_signs_with_its_own_algorithms_only() {
    let directory = Directory::new();
    for (at, (options, algorithms)) in KINDS.iter().enumerate() {
        let key = load(&directory, &format!("key{at}"), options);
        for other in SignatureAlgorithm::ALL {
            assert_eq!(key.sign(*other, b"x").is_ok(), algorithms.contains(other));
        }
    }
}

#[test]
fn a_file_that_others_may_read_is_refused_with_the_known_banner() {
    let directory = Directory::new();
    let path = directory.key("key", &["-t", "ed25519", "-N", ""]);
    for mode in [0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let text = failure(HostKey::load(&path)).to_string();
        assert!(text.contains("WARNING: UNPROTECTED PRIVATE KEY FILE!"));
        assert!(
            text.contains(&format!("Permissions 0{mode:o} for")),
            "{text}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(HostKey::load(&path).is_ok());
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = Directory::new();
    let path = directory.key("key", &["-t", "ed25519", "-N", ""]);
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    let text = failure(HostKey::load(&path)).to_string();
    assert!(text.contains("is user 65534, not root"), "{text}");
}

#[test]
fn missing_encrypted_and_other_files_are_told_apart() {
    let directory = Directory::new();
    assert!(failure(HostKey::load(&directory.path("none"))).is_missing());
    let encrypted = directory.key("encrypted", &["-t", "ed25519", "-N", "secret"]);
    let error = failure(HostKey::load(&encrypted));
    assert!(error.to_string().ends_with("it is encrypted") && !error.is_missing());
    let garbage = directory.write("garbage", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    fs::set_permissions(&garbage, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(
        failure(HostKey::load(&garbage)),
        LoadError::Unusable { .. }
    ));
}

#[test]
fn the_configured_order_decides_and_no_key_at_all_is_fatal() {
    let directory = Directory::new();
    let load_all = |run: &str| -> Vec<HostKey> {
        let named = |(at, (options, _)): (usize, &(&[&str], _))| {
            load(&directory, &format!("{run}{at}"), options)
        };
        KINDS.iter().enumerate().map(named).collect()
    };
    use SignatureAlgorithm::{EcdsaNistp256, Ed25519, RsaSha2_256};
    let offered = [RsaSha2_256, Ed25519];
    let host_keys = HostKeys::new(load_all("first"), &offered).unwrap_or_else(|e| panic!("{e}"));
    let public = host_keys.public();
    let names: Vec<_> = public.iter().map(|key| key.algorithms.join(",")).collect();
    // Keys that are not offered are announced after login all the same.
    assert_eq!(names, ["rsa-sha2-256", "ssh-ed25519", "", "", ""]);
    assert!(host_keys.for_algorithm(EcdsaNistp256).is_none());
    assert!(host_keys.for_algorithm(Ed25519).is_some());
    let none = HostKeys::new(load_all("second"), &[])
        .err()
        .map(|e| e.to_string());
    assert_eq!(none.as_deref(), Some("no hostkeys available -- exiting."));
}

/// A certificate of a new authority for the public key file beside `key`.
fn certificate(directory: &Directory, key: &str, options: &[&str]) -> std::path::PathBuf {
    let authority = directory.key(&format!("{key}-authority"), &["-t", "ed25519", "-N", ""]);
    directory.certificate(&authority, key, options)
}

#[test]
fn certificates_are_offered_before_plain_keys_and_sign_as_those_do() {
    let directory = Directory::new();
    let mut keys: Vec<HostKey> = ["ed25519", "rsa"]
        .map(|kind| load(&directory, kind, &["-t", kind]))
        .into();
    for kind in ["ed25519", "rsa"] {
        let path = certificate(&directory, kind, &["-h", "-n", "host"]);
        HostKey::certify(&mut keys, &path).unwrap_or_else(|e| panic!("{e}"));
    }
    let host_keys =
        HostKeys::new(keys, SignatureAlgorithm::DEFAULT).unwrap_or_else(|e| panic!("{e}"));
    let names: Vec<_> = host_keys
        .public()
        .into_iter()
        .flat_map(|key| key.algorithms)
        .collect();
    assert_eq!(
        names,
        [
            "ssh-ed25519-cert-v01@openssh.com",
            "rsa-sha2-512-cert-v01@openssh.com",
            "rsa-sha2-256-cert-v01@openssh.com",
            "ssh-ed25519",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ]
    );
    for name in names {
        let algorithm = SignatureAlgorithm::from_name(&name).unwrap();
        let identity = host_keys.for_algorithm(algorithm).unwrap();
        let beside = match algorithm.is_certificate() {
            true => "-cert.pub",
            false => ".pub",
        };
        let kind = match algorithm.key_type().plain() {
            KeyType::Rsa => "rsa",
            _ => "ed25519",
        };
        assert_eq!(
            identity.blob(),
            read_public(&directory.path(&format!("{kind}{beside}")))
        );
        let signature = identity.sign(algorithm, b"x").unwrap();
        let public =
            PublicKey::parse(&published(&directory.path(kind)), RequiredRsaSize(2048)).unwrap();
        assert_eq!(public.verify(algorithm.plain(), b"x", &signature), Ok(None));
    }
}

#[test]
fn every_key_is_proved_in_the_order_of_the_request_and_no_certificate_is() {
    let directory = Directory::new();
    let named =
        |(at, (options, _)): (usize, &(&[&str], _))| load(&directory, &format!("key{at}"), options);
    let mut keys: Vec<HostKey> = KINDS.iter().enumerate().map(named).collect();
    let path = certificate(&directory, "key0", &["-h", "-n", "host"]);
    HostKey::certify(&mut keys, &path).unwrap_or_else(|e| panic!("{e}"));
    let blobs: Vec<Vec<u8>> = keys.iter().rev().map(|key| key.blob.clone()).collect();
    // Keys that are not offered are proved as well: a client learns them before they are.
    let offered = [SignatureAlgorithm::Ed25519, SignatureAlgorithm::Ed25519Cert];
    let host_keys = HostKeys::new(keys, &offered).unwrap_or_else(|e| panic!("{e}"));
    for negotiated in [
        SignatureAlgorithm::Ed25519Cert,
        SignatureAlgorithm::RsaSha2_256,
        SignatureAlgorithm::RsaSha2_512Cert,
    ] {
        let first = FirstExchange::for_test(b"session", b"host key").with_algorithm(negotiated);
        let proofs = host_keys.prove(&first, &blobs).unwrap().unwrap();
        for (blob, proof) in blobs.iter().zip(&proofs) {
            let key = PublicKey::parse(blob, RequiredRsaSize(2048)).unwrap();
            let made = crate::public_key::signature_algorithm(proof).unwrap();
            if key.key_type() == KeyType::Rsa {
                let expected = match negotiated.key_type().plain() {
                    KeyType::Rsa => negotiated.plain(),
                    _ => SignatureAlgorithm::RsaSha2_512,
                };
                assert_eq!(made, expected);
            }
            let data = wire::hostkeys::proof_data(b"session", blob);
            assert_eq!(key.verify(made, &data, proof), Ok(None));
        }
        let certificate = vec![read_public(&path)];
        assert!(host_keys.prove(&first, &certificate).unwrap().is_none());
    }
}

#[test]
fn certificates_of_users_of_other_keys_and_other_files_are_skipped_with_a_remark() {
    let directory = Directory::new();
    let mut keys = vec![load(&directory, "own", &["-t", "ed25519"])];
    directory.key("other", &["-t", "ed25519", "-N", ""]);
    let of_user = certificate(&directory, "own", &["-n", "host"]);
    let of_other = certificate(&directory, "other", &["-h", "-n", "host"]);
    let plain = directory.path("own.pub");
    for (path, words) in [
        (of_user, "it is the certificate of a user"),
        (of_other, "No matching private key for certificate: "),
        (plain, "Could not load host certificate"),
        (directory.path("none"), "No such file"),
    ] {
        let text = HostKey::certify(&mut keys, &path).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
        assert!(keys[0].certificate.is_none());
    }
}

#[test]
fn a_host_key_below_the_required_size_is_told_from_the_others() {
    let directory = Directory::new();
    let rsa = load(&directory, "rsa", &["-t", "rsa", "-b", "2048"]);
    assert!(!rsa.is_weaker_than(RequiredRsaSize(2048)));
    assert!(rsa.is_weaker_than(RequiredRsaSize(2049)));
    let ed25519 = load(&directory, "ed25519", &["-t", "ed25519"]);
    assert!(!ed25519.is_weaker_than(RequiredRsaSize(4096)));
}

#[test]
fn private_numbers_of_any_length_are_read() {
    let directory = Directory::new();
    // Every second nistp521 key has a private number of less than 66 bytes.
    for run in 0..12 {
        let options = ["-t", "ecdsa", "-b", "521"];
        load(&directory, &format!("key{run}"), &options);
    }
}

#[test]
fn a_public_half_of_another_key_is_noticed() {
    let directory = Directory::new();
    let decoded = |name: &str| {
        let path = directory.key(name, &["-t", "ed25519", "-N", ""]);
        let text = fs::read(&path).unwrap();
        (file_format::unarmour(&text).unwrap(), published(&path))
    };
    let ((mut first, own), (_, foreign)) = (decoded("first"), decoded("second"));
    // The blob stands in the envelope, before the private part.
    let at = first
        .windows(own.len())
        .position(|window| window == own)
        .unwrap();
    first[at..at + own.len()].copy_from_slice(&foreign);
    let armoured = format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
        Base64::encode_string(&first)
    );
    let path = directory.write("mixed", &armoured);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let text = failure(HostKey::load(&path)).to_string();
    assert!(text.ends_with("do not belong together"), "{text}");
}
