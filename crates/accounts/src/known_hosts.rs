//! Keys of hosts, sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: for hostbased authentication.

use crate::key_text;
use crate::revocation::Presented;
use aws_lc_rs::hmac;
use base64ct::{Base64, Encoding};
use config::pattern::{PatternList, Verdict};
use thiserror::Error;

/// What names begin with that are hashed: HASH_MAGIC of OpenSSH.
const HASHED: &str = "|1|";

/// Length of a salt and of a hash: of HMAC-SHA1.
const HASH_LENGTH: usize = 20;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHost {
    /// What the key is for.
    pub marker: Marker,
    /// Which hosts have it.
    pub hosts: Hosts,
    /// The key, in the format of RFC 4253 section 6.6.
    pub key_blob: Vec<u8>,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// It is a host's.
    Host,
    /// `@cert-authority`: it signs certificates of hosts.
    Authority,
    /// `@revoked`: it counts for nothing.
    Revoked,
}

/// The hosts of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Patterns of names and addresses, `[host]:port` for other ports than 22.
    Patterns(PatternList),
    /// One name that is not to be read: HMAC-SHA1 with this salt.
    Hashed {
        /// The salt.
        salt: [u8; HASH_LENGTH],
        /// The hash.
        hash: [u8; HASH_LENGTH],
    },
}

/// Why a line cannot be read. It is passed over, as in OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Another marker than `@cert-authority` and `@revoked`, or more than one.
    #[error("unknown marker")]
    Marker,
    /// Names of hosts that are not UTF-8, or a hash that is none.
    #[error("invalid host name")]
    Hosts,
    /// Not a public key.
    #[error("invalid key")]
    Key,
}

/// Whether a host's key is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostStatus {
    /// It is.
    Known,
    /// The host has other keys.
    Changed,
    /// Nothing is known of the host.
    New,
    /// It is revoked, and so would be one that is known.
    Revoked,
}

/// The lines of a file with their numbers, counted from 1.
pub fn lines(file: &[u8]) -> impl Iterator<Item = (usize, Result<KnownHost, Malformed>)> {
    key_text::lines(file).map(|(number, line)| (number, read(line)))
}

/// What is known of a host that presents a key or a certificate, from the lines of all files together.
///
/// The host's name is compared without regard to case, except with hashes. Fields of a certificate are not looked at.
pub fn status<'a>(
    lines: impl Iterator<Item = &'a KnownHost>,
    host: &str,
    presented: Presented<'_>,
) -> HostStatus {
    let (key, authority, wanted) = match presented {
        Presented::Plain(blob) => (blob, None, Marker::Host),
        Presented::Certified(certificate) => (
            certificate.key.as_slice(),
            Some(certificate.signature_key.as_slice()),
            Marker::Authority,
        ),
    };
    let mut status = HostStatus::New;
    for line in lines.filter(|line| line.hosts.contain(host)) {
        let is = |key: &[u8]| line.key_blob == key;
        match line.marker {
            Marker::Revoked if is(key) || authority.is_some_and(is) => return HostStatus::Revoked,
            marker if marker == wanted && is(authority.unwrap_or(key)) => {
                status = HostStatus::Known;
            }
            marker if marker == wanted && status == HostStatus::New => {
                status = HostStatus::Changed;
            }
            Marker::Host | Marker::Authority | Marker::Revoked => {}
        }
    }
    status
}

impl Hosts {
    fn read(text: &str) -> Option<Self> {
        let Some(hashed) = text.strip_prefix(HASHED) else {
            return Some(Self::Patterns(PatternList::new(&text.to_ascii_lowercase())));
        };
        let (salt, hash) = hashed.split_once('|')?;
        let decode = |text: &str| Base64::decode_vec(text).ok()?.try_into().ok();
        Some(Self::Hashed {
            salt: decode(salt)?,
            hash: decode(hash)?,
        })
    }

    /// Whether a host is among them.
    pub(crate) fn contain(&self, host: &str) -> bool {
        match self {
            Self::Patterns(list) => list.verdict(&host.to_ascii_lowercase()) == Verdict::Included,
            Self::Hashed { salt, hash } => {
                // What the format has. It is to keep names from being read, and keeps little.
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, host.as_bytes(), hash).is_ok()
            }
        }
    }
}

fn read(line: &[u8]) -> Result<KnownHost, Malformed> {
    let (marker, line) = match key_text::word(line) {
        (b"@cert-authority", rest) => (Marker::Authority, rest),
        (b"@revoked", rest) => (Marker::Revoked, rest),
        _ => (Marker::Host, line),
    };
    if line.starts_with(b"@") {
        return Err(Malformed::Marker);
    }
    let (hosts, key) = key_text::word(line);
    let hosts = std::str::from_utf8(hosts).map_err(|_| Malformed::Hosts)?;
    Ok(KnownHost {
        marker,
        hosts: Hosts::read(hosts).ok_or(Malformed::Hosts)?,
        key_blob: key_text::key(key).ok_or(Malformed::Key)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;
    use proptest::prelude::*;
    use wire::certificate::Certificate;

    fn known(text: &str) -> Vec<KnownHost> {
        lines(text.as_bytes())
            .filter_map(|(_, line)| line.ok())
            .collect()
    }

    fn keys() -> Directory {
        let directory = Directory::new();
        for name in ["a", "b", "ca"] {
            directory.key(name);
        }
        directory.certificate("ca", "1");
        directory
    }

    #[test]
    fn a_key_is_known_for_the_hosts_of_its_line() {
        let directory = keys();
        let (a, b) = (directory.public("a"), directory.public("b"));
        let text = format!(
            "# hosts\n*.Example.com,!old.example.com,192.0.2.7 {a}[h.example.net]:2222 {a}h.example.org {b}@revoked * {b}"
        );
        let lines = known(&text);
        for (host, name, expected) in [
            ("a.example.COM", "a", HostStatus::Known),
            ("192.0.2.7", "a", HostStatus::Known),
            ("old.example.com", "a", HostStatus::New),
            ("[h.example.net]:2222", "a", HostStatus::Known),
            ("h.example.net", "a", HostStatus::New),
            ("h.example.org", "a", HostStatus::Changed),
            ("h.example.org", "b", HostStatus::Revoked),
            ("elsewhere", "b", HostStatus::Revoked),
        ] {
            let blob = directory.blob(name);
            let status = status(lines.iter(), host, Presented::Plain(&blob));
            assert_eq!(status, expected, "{host} {name}");
        }
    }

    #[test]
    fn a_certificate_is_known_by_its_authority() {
        let directory = keys();
        let certificate = Certificate::decode(&directory.blob("a-ca-1")).unwrap();
        let (a, ca) = (directory.public("a"), directory.public("ca"));
        for (text, expected) in [
            (
                format!("@cert-authority *.example.com {ca}"),
                HostStatus::Known,
            ),
            (
                format!("@cert-authority *.example.com {a}"),
                HostStatus::Changed,
            ),
            (
                format!("@cert-authority *.example.net {ca}"),
                HostStatus::New,
            ),
            (format!("*.example.com {ca}"), HostStatus::New),
            (format!("*.example.com {a}"), HostStatus::New),
            (
                format!("@cert-authority * {ca}@revoked * {ca}"),
                HostStatus::Revoked,
            ),
            (
                format!("@revoked * {a}@cert-authority * {ca}"),
                HostStatus::Revoked,
            ),
        ] {
            let presented = Presented::Certified(&certificate);
            let status = status(known(&text).iter(), "h.example.com", presented);
            assert_eq!(status, expected, "{text}");
        }
        // Who signs for hosts is no host.
        let text = format!("@cert-authority * {ca}");
        let blob = directory.blob("ca");
        let status = status(known(&text).iter(), "h", Presented::Plain(&blob));
        assert_eq!(status, HostStatus::New);
    }

    #[test]
    fn names_hashed_by_ssh_keygen_are_found() {
        let directory = keys();
        let text = format!("h.example.com {}", directory.public("a"));
        let hashed = directory.hashed_hosts(&text);
        assert!(hashed.starts_with(HASHED));
        let lines = known(&hashed);
        let blob = directory.blob("a");
        let look = |host| status(lines.iter(), host, Presented::Plain(&blob));
        assert_eq!(look("h.example.com"), HostStatus::Known);
        assert_eq!(look("g.example.com"), HostStatus::New);
    }

    #[test]
    fn lines_that_cannot_be_read_are_named() {
        let directory = keys();
        let a = directory.public("a");
        for (text, expected) in [
            (format!("@unknown h {a}"), Malformed::Marker),
            (format!("@revoked @cert-authority h {a}"), Malformed::Marker),
            (format!("|1|AAAA|AAAA {a}"), Malformed::Hosts),
            (format!("|1|AAAA {a}"), Malformed::Hosts),
            (a, Malformed::Key),
            ("h".to_owned(), Malformed::Key),
        ] {
            let (number, line) = lines(text.as_bytes()).next().unwrap();
            assert_eq!((number, line), (1, Err(expected)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(@revoked |\\|1\\|[A-Za-z+/=|]{0,60} |[*?!,a.]{0,8} |ssh-ed25519 |[A-Za-z=]{0,9}\n){0,9}") {
            for line in known(&text) {
                prop_assert!(!line.key_blob.is_empty());
            }
        }
    }
}
