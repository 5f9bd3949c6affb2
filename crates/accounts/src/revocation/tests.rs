//! Lists are made and asked by ssh-keygen(1); what it says is what is expected here.

use super::*;
use crate::testing::Directory;
use proptest::prelude::*;
use wire::codec::Write;

/// Keys `a` and `b`, authorities `ca` and `other`, and certificates for `a` with the name `a-AUTHORITY-SERIAL`.
fn setting() -> Directory {
    let directory = Directory::new();
    for name in ["a", "b", "ca", "other"] {
        directory.key(name);
    }
    for (authority, serial) in [
        ("ca", "0"),
        ("ca", "1"),
        ("ca", "5"),
        ("ca", "70"),
        ("ca", "1000000"),
        ("ca", "18446744073709551615"),
        ("other", "5"),
    ] {
        directory.certificate(authority, serial);
    }
    directory
}

/// What is asked for: plain keys and certificates.
const NAMES: &[&str] = &[
    "a",
    "b",
    "ca",
    "a-ca-0",
    "a-ca-1",
    "a-ca-5",
    "a-ca-70",
    "a-ca-1000000",
    "a-ca-18446744073709551615",
    "a-other-5",
];

fn check(file: &[u8], blob: &[u8]) -> Revocation {
    let certificate = Certificate::decode(blob);
    RevokedKeys::new(file).check(match &certificate {
        Ok(certificate) => Presented::Certified(certificate),
        Err(_) => Presented::Plain(blob),
    })
}

/// Makes a list, and asks it for all names. What ssh-keygen says is compared.
fn asked(directory: &Directory, options: &[&str], text: &str) -> Vec<&'static str> {
    let list = directory.revocation_list(options, text);
    let mut revoked = Vec::new();
    for name in NAMES {
        let expected = directory.is_revoked("list", name);
        let answer = check(&list, &directory.blob(name));
        assert!(
            match answer {
                Revocation::Valid => !expected,
                Revocation::Revoked(_) => expected,
                Revocation::Unclear(_) => false,
            },
            "{options:?} {text:?} {name}: {answer:?}, ssh-keygen: {expected}"
        );
        if expected {
            revoked.push(*name);
        }
    }
    revoked
}

#[test]
fn what_ssh_keygen_revokes_is_revoked() {
    let directory = setting();
    let for_ca: &[&str] = &["-s", "ca.pub"];
    let all_of_a = NAMES.len() - 2;
    let public = directory.public("a");
    let fingerprint = directory.fingerprint("a");
    for (options, text, count) in [
        (for_ca, "", 0),
        (for_ca, "serial: 5\n", 1),
        (for_ca, "serial: 1-70\n", 3),
        (for_ca, "serial: 1\nserial: 3\nserial: 5\nserial: 70\n", 3),
        (
            for_ca,
            "serial: 1-2\nserial: 4-6\nserial: 9\nserial: 999990-1000005\n",
            3,
        ),
        (for_ca, "serial: 18446744073709551615\n", 1),
        (for_ca, "serial: 1-18446744073709551615\n", 5),
        (for_ca, "id: id-5\n", 1),
        (for_ca, "id: id-5\nid: id-0\nserial: 70\n", 3),
        (&["-s", "other.pub"], "serial: 5\n", 1),
        // Without an authority it is about all of them.
        (&["-s", "NONE"], "serial: 5\n", 2),
        (&["-s", "NONE"], "id: id-5\n", 2),
        (&[], format!("key: {public}").as_str(), all_of_a),
        (&[], format!("sha1: {public}").as_str(), all_of_a),
        (&[], format!("sha256: {public}").as_str(), all_of_a),
        (&[], format!("hash: {fingerprint}\n").as_str(), all_of_a),
        // The authority and what it signed.
        (
            &[],
            format!("sha256: {}", directory.public("ca")).as_str(),
            7,
        ),
        (&[], format!("key: {}", directory.public("ca")).as_str(), 7),
    ] {
        let revoked = asked(&directory, options, text);
        assert_eq!(revoked.len(), count, "{options:?} {text:?}: {revoked:?}");
    }
}

#[test]
fn the_reason_is_named() {
    let directory = setting();
    let certificate = directory.blob("a-ca-5");
    for (text, expected) in [
        ("serial: 5\n".to_owned(), Reason::Serial),
        ("id: id-5\n".to_owned(), Reason::KeyId),
        (format!("key: {}", directory.public("a")), Reason::Key),
        (
            format!("key: {}", directory.public("ca")),
            Reason::Authority,
        ),
    ] {
        let list = directory.revocation_list(&["-s", "NONE"], &text);
        let answer = check(&list, &certificate);
        assert_eq!(answer, Revocation::Revoked(expected), "{text}");
    }
}

#[test]
fn a_list_of_keys_revokes_them_and_what_they_signed() {
    let directory = setting();
    let (a, ca) = (directory.public("a"), directory.public("ca"));
    for (file, name, expected) in [
        (String::new(), "a", Revocation::Valid),
        (format!("# all\n\n  {a}\n"), "b", Revocation::Valid),
        (
            format!("# all\n\n  {a}\n"),
            "a",
            Revocation::Revoked(Reason::Key),
        ),
        (a.clone(), "a-ca-5", Revocation::Revoked(Reason::Key)),
        (ca.clone(), "a-ca-5", Revocation::Revoked(Reason::Authority)),
        (ca, "a-other-5", Revocation::Valid),
        (
            directory.public("a-ca-1"),
            "a-ca-5",
            Revocation::Revoked(Reason::Key),
        ),
        (
            directory.public("a-ca-1"),
            "a",
            Revocation::Revoked(Reason::Key),
        ),
        // Found or not, a line that cannot be read spoils all.
        (
            format!("{a}ssh-ed25519\n"),
            "a",
            Revocation::Unclear(Unreadable::Line(2)),
        ),
        (
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5\n".to_owned(),
            "a",
            Revocation::Unclear(Unreadable::Line(1)),
        ),
        (
            "from=\"*\" ".to_owned() + &a,
            "b",
            Revocation::Unclear(Unreadable::Line(1)),
        ),
    ] {
        let answer = check(file.as_bytes(), &directory.blob(name));
        assert_eq!(answer, expected, "{file} {name}");
    }
}

/// A list with these sections.
fn list(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut list = krl::MAGIC.to_vec();
    list.put_uint32(1);
    (0..3).for_each(|_| list.put_uint64(0));
    (0..2).for_each(|_| list.put_string(b""));
    for (kind, contents) in sections {
        list.put_byte(*kind);
        list.put_string(contents);
    }
    list
}

/// A section about certificates of any authority.
fn of_any(kind: u8, contents: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut section = Vec::new();
    (0..2).for_each(|_| section.put_string(b""));
    section.put_byte(kind);
    section.put_string(contents);
    vec![(1, section)]
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    numbers.iter().for_each(|number| out.put_uint64(*number));
    out
}

fn bitmap(first: u64, bits: &[u8]) -> Vec<u8> {
    let mut out = numbers(&[first]);
    out.put_mpint(bits);
    out
}

fn extension(critical: bool) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_string(b"new@example.com");
    out.put_boolean(critical);
    out.put_string(b"contents");
    out
}

#[test]
fn what_cannot_be_understood_revokes_everything() {
    let mut signed = list(&[]);
    signed.put_byte(4);
    signed.put_string(b"key");
    signed.put_string(b"signature");
    let mut newer = list(&[]);
    newer[11] = 2;
    let authority = {
        let mut section = Vec::new();
        section.put_string(b"\0\0\0\x07unknown");
        section.put_string(b"");
        vec![(1, section)]
    };
    use Unreadable::{Malformed, Unsupported};
    for (file, expected) in [
        (list(&[]), None),
        (signed, None),
        (list(&[(255, extension(false))]), None),
        (list(&of_any(0x39, &extension(false))), None),
        (list(&of_any(0x22, &bitmap(0, &[]))), None),
        (list(&of_any(0x22, &bitmap(0, &[2]))), None),
        (list(&of_any(0x22, &bitmap(u64::MAX - 7, &[0x80]))), None),
        (newer, Some(Unsupported)),
        (list(&[(6, Vec::new())]), Some(Unsupported)),
        (list(&[(255, extension(true))]), Some(Unsupported)),
        (list(&of_any(0x39, &extension(true))), Some(Unsupported)),
        (list(&of_any(0x24, b"")), Some(Unsupported)),
        (list(&authority), Some(Unsupported)),
        (list(&[(3, vec![0, 0, 0, 1, 7])]), Some(Malformed)),
        (list(&[(5, vec![0, 0, 0, 1, 7])]), Some(Malformed)),
        (list(&[(2, vec![0, 0, 0, 2, 7])]), Some(Malformed)),
        (list(&of_any(0x20, &numbers(&[0]))), Some(Malformed)),
        (list(&of_any(0x21, &numbers(&[0, 5]))), Some(Malformed)),
        (list(&of_any(0x21, &numbers(&[6, 5]))), Some(Malformed)),
        (list(&of_any(0x21, &numbers(&[5, 6, 7]))), Some(Malformed)),
        (list(&of_any(0x22, &bitmap(0, &[1]))), Some(Malformed)),
        (
            list(&of_any(0x22, &bitmap(u64::MAX, &[2]))),
            Some(Malformed),
        ),
        (list(&of_any(0x22, &bitmap(1, &[1; 2049]))), Some(Malformed)),
    ] {
        let answer = check(&file, b"key");
        let expected = expected.map_or(Revocation::Valid, Revocation::Unclear);
        assert_eq!(answer, expected, "{file:02x?}");
    }
}

#[test]
fn a_list_that_is_cut_anywhere_revokes_everything() {
    let directory = setting();
    let text = format!(
        "serial: 1-5\nserial: 70\nid: id-0\nkey: {}sha256: {}",
        directory.public("b"),
        directory.public("other")
    );
    let list = directory.revocation_list(&["-s", "ca.pub"], &text);
    let blob = directory.blob("a-ca-1000000");
    assert_eq!(check(&list, &blob), Revocation::Valid);
    let ends = (0..list.len()).filter(|end| check(&list[..*end], &blob) == Revocation::Valid);
    // At the ends of the header and of sections nobody could tell, nor can OpenSSH; and an empty file revokes nothing.
    assert!(ends.count() <= 5);
}

/// Asks a list, and the same with something at its end that cannot be understood.
fn is_read_to_the_end(list: &[u8], end: &[u8]) {
    let spoilt = check(&[list, end].concat(), b"key");
    assert!(matches!(spoilt, Revocation::Unclear(_)), "{spoilt:?}");
    let answer = check(list, b"key");
    assert!(!matches!(answer, Revocation::Revoked(reason) if reason != Reason::Key));
}

proptest! {
    #[test]
    fn every_list_is_read_to_its_end_whatever_its_sections_are(
        sections in proptest::collection::vec((0..7_u8, proptest::collection::vec(any::<u8>(), 0..80)), 0..6),
        inner in 0x1f..0x25_u8,
    ) {
        let unknown = [6, 0, 0, 0, 0];
        is_read_to_the_end(&list(&sections), &unknown);
        for (_, contents) in sections {
            is_read_to_the_end(&list(&of_any(inner, &contents)), &unknown);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        is_read_to_the_end(&bytes, b"\nx");
        is_read_to_the_end(&[krl::MAGIC, &bytes].concat(), &[6]);
    }
}
