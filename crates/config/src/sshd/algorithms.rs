//! Lists of algorithms: what OpenSSH knows, what this server offers, and the edits `+`, `-` and `^` of sshd_config(5).

use super::lexer::Malformed;
use super::offers::PamService;
use super::report::{ErrorKind, WarningKind, closest};
use super::setting::{Arguments, Kind};
use crate::pattern::Pattern;

/// The algorithms that this server has, by kind.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// Key exchange methods.
    pub kex: Range<'a>,
    /// Ciphers.
    pub ciphers: Range<'a>,
    /// Message authentication codes.
    pub macs: Range<'a>,
    /// Signature algorithms of host keys.
    pub host_key: Range<'a>,
    /// Signature algorithms accepted from users.
    pub pubkey: Range<'a>,
    /// Signature algorithms accepted from certificate authorities.
    pub authority: Range<'a>,
    /// The default of PAMServiceName.
    pub pam_service: PamService,
}

/// What there is to choose from for one keyword.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// Everything that can be named.
    pub supported: &'a [&'static str],
    /// What holds without configuration, best first; all of it supported.
    pub default: &'a [&'static str],
}

/// A list in order of preference, each name once, all of them offered by this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgorithmList(Vec<&'static str>);

impl AlgorithmList {
    /// What holds without configuration.
    #[must_use]
    pub fn default_of(range: Range<'_>) -> Self {
        Self(range.default.to_vec())
    }

    /// HostbasedAcceptedAlgorithms of OpenSSH.
    pub(crate) fn hostbased() -> Self {
        Self::default_of(OPENSSH_HOSTBASED)
    }

    /// The names, best first.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.0
    }

    /// Whether the list contains a name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

/// Key exchange methods of OpenSSH 10.5 (`ssh -Q kex`).
const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "mlkem768nistp256-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
];

/// Ciphers of OpenSSH 10.5 (`ssh -Q cipher`).
const CIPHERS: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "rijndael-cbc@lysator.liu.se",
    "3des-cbc",
];

/// Message authentication codes of OpenSSH 10.5 (`ssh -Q mac`).
const MACS: &[&str] = &[
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1-96-etm@openssh.com",
    "hmac-md5-etm@openssh.com",
    "hmac-md5-96-etm@openssh.com",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-md5",
    "hmac-md5-96",
];

/// Signature algorithms of OpenSSH 10.5 (`ssh -Q key-sig`).
const SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-mldsa44-ed25519@openssh.com",
    "ssh-mldsa44-ed25519-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
];

/// The algorithms of OpenSSH 10.5 for users and hosts by default.
const OPENSSH_HOSTBASED: Range<'static> = Range {
    supported: SIGNATURES,
    default: &[
        "ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        "sk-ssh-ed25519-cert-v01@openssh.com",
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "rsa-sha2-512-cert-v01@openssh.com",
        "rsa-sha2-256-cert-v01@openssh.com",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ],
};

/// KexAlgorithms.
pub(crate) const KEX_LIST: Kind<AlgorithmList> = list(|a| read(a, a.offered.kex, KEX));
/// Ciphers.
pub(crate) const CIPHER_LIST: Kind<AlgorithmList> = list(|a| read(a, a.offered.ciphers, CIPHERS));
/// MACs.
pub(crate) const MAC_LIST: Kind<AlgorithmList> = list(|a| read(a, a.offered.macs, MACS));
/// HostKeyAlgorithms.
pub(crate) const HOST_KEY_LIST: Kind<AlgorithmList> =
    list(|a| read(a, a.offered.host_key, SIGNATURES));
/// PubkeyAcceptedAlgorithms.
pub(crate) const PUBKEY_LIST: Kind<AlgorithmList> = list(|a| read(a, a.offered.pubkey, SIGNATURES));
/// HostbasedAcceptedAlgorithms.
pub(crate) const HOSTBASED_LIST: Kind<AlgorithmList> =
    list(|a| read(a, OPENSSH_HOSTBASED, SIGNATURES));
/// CASignatureAlgorithms.
pub(crate) const CA_LIST: Kind<AlgorithmList> = list(|a| read(a, a.offered.authority, SIGNATURES));

const fn list(
    read: fn(&mut Arguments<'_>) -> Result<AlgorithmList, Malformed>,
) -> Kind<AlgorithmList> {
    Kind::new(read, |list| vec![list.0.join(",")])
}

fn read(
    arguments: &mut Arguments<'_>,
    range: Range<'_>,
    openssh: &'static [&'static str],
) -> Result<AlgorithmList, Malformed> {
    let word = arguments.word("a list of algorithms")?;
    let (list, warnings) =
        parse(arguments.keyword, &word.text, range, openssh).map_err(|kind| Malformed {
            span: word.span,
            kind,
        })?;
    let warnings = warnings.into_iter().map(|warning| (word.span, warning));
    arguments.warnings.extend(warnings);
    Ok(list)
}

/// How a list changes the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Replace,
    Append,
    Remove,
    Prepend,
}

/// Reads a list for `keyword`: names or patterns separated by commas, after an optional `+`, `-` or `^`.
///
/// A name that OpenSSH knows and this server does not offer is skipped with a warning: a configuration hardened for OpenSSH
/// stays usable. A name nobody knows is an error, since a slip there would silently change what is negotiated.
fn parse(
    keyword: &'static str,
    text: &str,
    offered: Range<'_>,
    openssh: &'static [&'static str],
) -> Result<(AlgorithmList, Vec<WarningKind>), ErrorKind> {
    let (edit, list) = match text.chars().next() {
        Some('+') => (Edit::Append, text.get(1..)),
        Some('-') => (Edit::Remove, text.get(1..)),
        Some('^') => (Edit::Prepend, text.get(1..)),
        _ => (Edit::Replace, Some(text)),
    };
    let mut warnings = Vec::new();
    let mut named = Vec::new();
    for word in list.unwrap_or_default().split(',') {
        let pattern = Pattern::new(word);
        let before = named.len();
        named.extend(
            offered
                .supported
                .iter()
                .filter(|name| pattern.matches(name)),
        );
        if named.len() > before {
            continue;
        }
        if openssh.iter().any(|name| pattern.matches(name)) {
            // To remove what is not there anyway needs no remark.
            if edit != Edit::Remove {
                warnings.push(WarningKind::AlgorithmSkipped {
                    keyword,
                    name: word.to_owned(),
                });
            }
        } else if edit == Edit::Remove {
            // OpenSSH does not check these names either; lists to remove old algorithms outlive the algorithms.
            warnings.push(WarningKind::NothingRemoved {
                keyword,
                name: word.to_owned(),
            });
        } else {
            let known = offered.supported.iter().chain(openssh).copied();
            return Err(ErrorKind::UnknownAlgorithm {
                keyword,
                name: word.to_owned(),
                suggestion: closest(word, known),
            });
        }
    }
    let edited: Vec<&'static str> = match edit {
        Edit::Replace => named,
        Edit::Append => offered.default.iter().copied().chain(named).collect(),
        Edit::Prepend => named
            .into_iter()
            .chain(offered.default.iter().copied())
            .collect(),
        Edit::Remove => offered
            .default
            .iter()
            .copied()
            .filter(|name| !named.contains(name))
            .collect(),
    };
    let mut names = Vec::new();
    for name in edited {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(ErrorKind::NoAlgorithmLeft {
            keyword,
            offered: offered.supported.join(","),
        });
    }
    Ok((AlgorithmList(names), warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &[&str] = &["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];

    const OURS: Range<'static> = Range {
        supported: &[
            "aes256-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
            "aes256-ctr",
        ],
        default: DEFAULT,
    };

    fn names(text: &str) -> Vec<&'static str> {
        parse("Ciphers", text, OURS, CIPHERS)
            .unwrap()
            .0
            .names()
            .to_vec()
    }

    #[test]
    fn edits_change_the_default_and_patterns_reach_everything() {
        let [gcm, chacha] = *DEFAULT else {
            unreachable!()
        };
        assert_eq!(names("aes256-ctr"), ["aes256-ctr"]);
        assert_eq!(
            names("aes256-ctr,chacha20-poly1305@openssh.com,aes256-ctr"),
            ["aes256-ctr", chacha]
        );
        assert_eq!(names("+aes256-ctr"), [gcm, chacha, "aes256-ctr"]);
        assert_eq!(names("^aes256-ctr"), ["aes256-ctr", gcm, chacha]);
        assert_eq!(names("-aes*"), [chacha]);
        assert_eq!(names("+aes*"), [gcm, chacha, "aes256-ctr"]);
        assert_eq!(names("*-gcm@openssh.com"), [gcm]);
    }

    #[test]
    fn what_only_openssh_has_is_skipped_with_a_warning() {
        let (list, warnings) = parse("Ciphers", "aes128-cbc,aes256-ctr", OURS, CIPHERS).unwrap();
        assert_eq!(list.names(), ["aes256-ctr"]);
        assert_eq!(
            warnings,
            [WarningKind::AlgorithmSkipped {
                keyword: "Ciphers",
                name: "aes128-cbc".to_owned()
            }]
        );
        let (_, warnings) = parse("Ciphers", "-3des-cbc", OURS, CIPHERS).unwrap();
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_name_nobody_knows_is_an_error_with_a_suggestion() {
        let error = parse("Ciphers", "aes256-crt", OURS, CIPHERS).unwrap_err();
        assert_eq!(
            error,
            ErrorKind::UnknownAlgorithm {
                keyword: "Ciphers",
                name: "aes256-crt".to_owned(),
                suggestion: Some("aes256-ctr")
            }
        );
        for text in [
            "",
            ",",
            "aes256-ctr,",
            "+",
            "none",
            "!aes256-ctr",
            "+-aes256-ctr",
        ] {
            assert!(parse("Ciphers", text, OURS, CIPHERS).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_with_nothing_left_is_an_error() {
        for text in ["-*", "3des-cbc"] {
            let error = parse("Ciphers", text, OURS, CIPHERS).unwrap_err();
            assert!(matches!(error, ErrorKind::NoAlgorithmLeft { .. }), "{text}");
        }
    }

    #[test]
    fn removing_what_does_not_exist_is_remarked() {
        let (list, warnings) = parse("Ciphers", "-aes256-crt", OURS, CIPHERS).unwrap();
        assert_eq!(list.names(), DEFAULT);
        assert_eq!(warnings.len(), 1);
    }
}
