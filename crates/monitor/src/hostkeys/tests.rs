use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use base64ct::{Base64, Encoding};

use super::*;
use crate::public_key::{PublicKey, RequiredRsaSize};
use crate::testing::{Directory, published};

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
    let key = HostKey::load(&directory.key(name, &options)).unwrap_or_else(|e| panic!("{e}"));
    key.restricted_to(SignatureAlgorithm::ALL)
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
        assert_eq!(key.algorithms, *algorithms);
        let path = directory.path(&format!("key{at}"));
        assert_eq!(key.blob(), published(&path));

        let public = PublicKey::parse(key.blob(), RequiredRsaSize(2048)).unwrap();
        for algorithm in *algorithms {
            // Some runs of ECDSA have numbers with leading zeros: each length must do.
            for run in 0..64_u8 {
                let signature = key.sign(*algorithm, &[run]).unwrap();
                assert_eq!(public.verify(*algorithm, &[run], &signature), Ok(()));
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
    assert_eq!(names, ["rsa-sha2-256", "ssh-ed25519"]);
    assert!(host_keys.for_algorithm(EcdsaNistp256).is_none());
    assert!(host_keys.for_algorithm(Ed25519).is_some());
    let none = HostKeys::new(load_all("second"), &[])
        .err()
        .map(|e| e.to_string());
    assert_eq!(none.as_deref(), Some("no hostkeys available -- exiting."));
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
