use wire::certificate::CertificateKind;
use wire::codec::Write;

use super::*;
use crate::testing::{Directory, SecurityKey, published, read_public};

const REQUIREMENTS: Requirements<'_> = Requirements {
    rsa: RequiredRsaSize(2048),
    authority: SignatureAlgorithm::ALL,
};

const KINDS: &[(&str, &str)] = &[
    ("ed25519", "256"),
    ("ecdsa", "256"),
    ("ecdsa", "384"),
    ("ecdsa", "521"),
    ("rsa", "2048"),
];

fn made(directory: &Directory, name: &str, (kind, bits): (&str, &str)) -> std::path::PathBuf {
    directory.key(name, &["-t", kind, "-b", bits, "-N", ""])
}

/// A certificate of ssh-keygen, of an Ed25519 key for an Ed25519 key.
fn ed25519(directory: &Directory, options: &[&str]) -> Vec<u8> {
    let authority = made(directory, "authority", KINDS[0]);
    made(directory, "key", KINDS[0]);
    read_public(&directory.certificate(&authority, "key", options))
}

#[test]
fn certificates_of_ssh_keygen_are_read_whoever_signs_them() {
    let directory = Directory::new();
    for (at, kind) in KINDS.iter().enumerate() {
        let authority = made(&directory, &format!("authority{at}"), *kind);
        let key = made(&directory, &format!("key{at}"), *kind);
        let devices = [SecurityKey::ed25519(), SecurityKey::ecdsa()];
        let mut subjects = vec![(format!("key{at}"), published(&key))];
        for (number, device) in devices.iter().enumerate() {
            let name = format!("device{at}{number}");
            directory.write(&format!("{name}.pub"), &device.line());
            subjects.push((name, device.blob()));
        }
        for (name, blob) in subjects {
            let options = ["-z", "7", "-n", "alice,bob", "-V", "19700102:20300101"];
            let path = directory.certificate(&authority, &name, &options);
            let certified = Certified::parse(&read_public(&path), REQUIREMENTS).unwrap();
            assert_eq!(certified.key().blob(), blob);
            assert_eq!(certified.authority().blob(), published(&authority));
            let fields = certified.certificate();
            assert_eq!((fields.serial, fields.key_id.as_str()), (7, "key id"));
            assert_eq!(fields.kind, CertificateKind::User);
            assert_eq!(fields.principals, ["alice", "bob"]);
            let names: Vec<_> = fields.extensions.iter().map(|e| e.name.as_str()).collect();
            assert_eq!(names[0], "permit-X11-forwarding");
            assert_eq!(names.len(), 5);
        }
    }
}

#[test]
fn no_byte_of_a_certificate_may_change() {
    let directory = Directory::new();
    let good = ed25519(&directory, &["-n", "alice", "-O", "force-command=true"]);
    assert!(Certified::parse(&good, REQUIREMENTS).is_ok());
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert!(Certified::parse(&bad, REQUIREMENTS).is_err(), "byte {at}");
        }
    }
}

#[test]
fn the_authoritys_algorithm_must_be_accepted() {
    let directory = Directory::new();
    let authority = made(&directory, "authority", ("rsa", "2048"));
    made(&directory, "key", KINDS[0]);
    for name in ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] {
        let path = directory.certificate(&authority, "key", &["-t", name]);
        let blob = read_public(&path);
        for algorithm in SignatureAlgorithm::ALL {
            let parsed = Certified::parse(
                &blob,
                Requirements {
                    authority: &[*algorithm],
                    ..REQUIREMENTS
                },
            );
            match algorithm.name() == name {
                true => assert!(parsed.is_ok(), "{name}: {parsed:?}"),
                false => assert!(matches!(parsed, Err(CertificateError::Algorithm(_)))),
            }
        }
    }
}

#[test]
fn a_short_rsa_key_is_refused_as_subject_and_as_authority() {
    let directory = Directory::new();
    let long = made(&directory, "long", ("rsa", "2048"));
    let short = made(&directory, "short", ("rsa", "1024"));
    let parse = |path: &std::path::Path| Certified::parse(&read_public(path), REQUIREMENTS);
    assert_eq!(
        parse(&directory.certificate(&long, "short", &[])),
        Err(CertificateError::Key(KeyError::Size(1024)))
    );
    assert_eq!(
        parse(&directory.certificate(&short, "long", &[])),
        Err(CertificateError::Authority(KeyError::Size(1024)))
    );
}

#[test]
fn an_authority_that_is_itself_certified_is_refused() {
    let directory = Directory::new();
    let blob = ed25519(&directory, &["-n", "alice"]);
    let fields = Certificate::decode(&blob).unwrap();
    // The same certificate, with itself for an authority. Whether somebody signed that is not asked.
    let own_key = 4 + fields.signature_key.len();
    let mut chained = fields.signed_data()[..fields.signed_data().len() - own_key].to_vec();
    chained.put_string(&blob);
    chained.put_string(&fields.signature);
    assert_eq!(
        Certified::parse(&chained, REQUIREMENTS),
        Err(CertificateError::Authority(KeyError::UnknownType))
    );
}
