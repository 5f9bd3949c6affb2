//! Every keyword of sshd_config(5), and what this server does with it.
//!
//! One table: the 105 keywords of OpenSSH 10.5, its deprecated and renamed ones, those that Debian's patches add, and the
//! server's own. The states say what happens when a keyword occurs:
//!
//! - [`State::Active`]: its value is read and obeyed.
//! - [`State::NoEffect`]: something else of this server decides it. A warning.
//! - [`State::NotYet`]: not obeyed by this version, and nothing is permitted by that. A warning.
//! - [`State::Refused`]: not obeyed by this version, and to ignore it would permit what it forbids. An error.
//!
//! With a value that asks for what happens anyway (`X11Forwarding no` while there is none) there is no remark at all.

use super::report::closest;
use super::settings::{self, Setter};

/// What happens when a keyword occurs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    /// Read and obeyed.
    Active(Setter, Occurrence),
    /// Decided elsewhere.
    NoEffect(&'static str),
    /// Harmless to ignore.
    NotYet(&'static str),
    /// Dangerous to ignore.
    Refused(&'static str),
    /// Without effect in OpenSSH too.
    Deprecated,
    /// Another name for a keyword.
    OldNameOf(&'static str),
    /// Reads further files.
    Include,
    /// Begins a block of conditions. Not obeyed by this version.
    Match,
}

/// Which occurrence of a keyword counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrence {
    /// The first; later ones are checked and dropped, which is how a file in `sshd_config.d` overrides the main file.
    First,
    /// Each adds to the ones before.
    Each,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyword {
    /// The proper name. Compared without regard to case.
    pub(crate) name: &'static str,
    pub(crate) state: State,
    /// The values (in lower case, words separated by one blank) that ask for what happens anyway.
    pub(crate) neutral: &'static [&'static str],
}

const fn active(name: &'static str, set: Setter) -> Keyword {
    Keyword {
        name,
        state: State::Active(set, Occurrence::First),
        neutral: &[],
    }
}

const fn each(name: &'static str, set: Setter) -> Keyword {
    Keyword {
        name,
        state: State::Active(set, Occurrence::Each),
        neutral: &[],
    }
}

const fn no_effect(
    name: &'static str,
    why: &'static str,
    neutral: &'static [&'static str],
) -> Keyword {
    Keyword {
        name,
        state: State::NoEffect(why),
        neutral,
    }
}

const fn not_yet(
    name: &'static str,
    why: &'static str,
    neutral: &'static [&'static str],
) -> Keyword {
    Keyword {
        name,
        state: State::NotYet(why),
        neutral,
    }
}

const fn refused(
    name: &'static str,
    why: &'static str,
    neutral: &'static [&'static str],
) -> Keyword {
    Keyword {
        name,
        state: State::Refused(why),
        neutral,
    }
}

const fn deprecated(name: &'static str) -> Keyword {
    Keyword {
        name,
        state: State::Deprecated,
        neutral: &[],
    }
}

const fn old(name: &'static str, new: &'static str) -> Keyword {
    Keyword {
        name,
        state: State::OldNameOf(new),
        neutral: &[],
    }
}

const SOCKET_UNIT: &str = "the listening addresses come from sshd-privsep.socket";
const NO_CERTIFICATES: &str = "certificates of users are not accepted";
const NO_COMMAND_FOR_KEYS: &str = "only AuthorizedKeysFile is asked for keys";
const NO_GSSAPI: &str = "GSSAPI and Kerberos are not offered";
const NO_HOSTBASED: &str = "host-based authentication is not offered";
const NO_PASSWORD: &str = "only public keys are accepted";
const NO_FORWARDING: &str = "no forwarding is offered";
const NO_PENALTIES: &str = "MaxStartups alone limits connections that have not authenticated";
const EVERY_ACCOUNT: &str = "accounts that it shuts out could log in";

/// The keywords of OpenSSH 10.5 in the order of sshd_config(5), then the old ones, Debian's, and ours.
pub(crate) const KEYWORDS: &[Keyword] = &[
    each("AcceptEnv", settings::accept_env),
    no_effect("AddressFamily", SOCKET_UNIT, &["any"]),
    not_yet("AllowAgentForwarding", NO_FORWARDING, &["no"]),
    refused("AllowGroups", EVERY_ACCOUNT, &[]),
    not_yet("AllowStreamLocalForwarding", NO_FORWARDING, &["no"]),
    not_yet("AllowTcpForwarding", NO_FORWARDING, &["no"]),
    refused("AllowUsers", EVERY_ACCOUNT, &[]),
    refused(
        "AuthenticationMethods",
        "one method would be enough to log in",
        &["any", "publickey"],
    ),
    not_yet("AuthorizedKeysCommand", NO_COMMAND_FOR_KEYS, &["none"]),
    not_yet("AuthorizedKeysCommandUser", NO_COMMAND_FOR_KEYS, &["none"]),
    active("AuthorizedKeysFile", settings::authorized_keys_file),
    not_yet("AuthorizedPrincipalsCommand", NO_CERTIFICATES, &["none"]),
    not_yet(
        "AuthorizedPrincipalsCommandUser",
        NO_CERTIFICATES,
        &["none"],
    ),
    not_yet("AuthorizedPrincipalsFile", NO_CERTIFICATES, &["none"]),
    not_yet("Banner", "no banner is sent", &["none"]),
    active("CASignatureAlgorithms", settings::ca_signature_algorithms),
    refused(
        "ChannelTimeout",
        "channels that should be closed would stay open",
        &["none"],
    ),
    refused(
        "ChrootDirectory",
        "users that it locks in would see the whole file system",
        &["none"],
    ),
    active("Ciphers", settings::ciphers),
    active("ClientAliveCountMax", settings::client_alive_count_max),
    active("ClientAliveInterval", settings::client_alive_interval),
    active("Compression", settings::compression),
    refused("DenyGroups", EVERY_ACCOUNT, &[]),
    refused("DenyUsers", EVERY_ACCOUNT, &[]),
    not_yet("DisableForwarding", NO_FORWARDING, &["yes"]),
    not_yet("ExposeAuthInfo", "SSH_USER_AUTH is not set", &["no"]),
    active("FingerprintHash", settings::fingerprint_hash),
    refused("ForceCommand", "users could run any command", &["none"]),
    not_yet("GatewayPorts", NO_FORWARDING, &["no"]),
    not_yet("GSSAPIAuthentication", NO_GSSAPI, &["no"]),
    not_yet("GSSAPICleanupCredentials", NO_GSSAPI, &["yes", "no"]),
    not_yet("GSSAPIDelegateCredentials", NO_GSSAPI, &["yes", "no"]),
    not_yet("GSSAPIStrictAcceptorCheck", NO_GSSAPI, &["yes", "no"]),
    not_yet("HostbasedAcceptedAlgorithms", NO_HOSTBASED, &[]),
    not_yet("HostbasedAuthentication", NO_HOSTBASED, &["no"]),
    not_yet(
        "HostbasedUsesNameFromPacketOnly",
        NO_HOSTBASED,
        &["yes", "no"],
    ),
    each("HostCertificate", settings::host_certificate),
    each("HostKey", settings::host_key),
    not_yet("HostKeyAgent", "host keys are read from files", &["none"]),
    active("HostKeyAlgorithms", settings::host_key_algorithms),
    not_yet("IgnoreRhosts", NO_HOSTBASED, &["yes", "no", "shosts-only"]),
    not_yet("IgnoreUserKnownHosts", NO_HOSTBASED, &["yes", "no"]),
    Keyword {
        name: "Include",
        state: State::Include,
        neutral: &[],
    },
    not_yet("IPQoS", "packets are not marked", &["none"]),
    not_yet("KbdInteractiveAuthentication", NO_PASSWORD, &["no"]),
    not_yet("KerberosAuthentication", NO_GSSAPI, &["no"]),
    not_yet("KerberosGetAFSToken", NO_GSSAPI, &["yes", "no"]),
    not_yet("KerberosOrLocalPasswd", NO_GSSAPI, &["yes", "no"]),
    not_yet("KerberosTicketCleanup", NO_GSSAPI, &["yes", "no"]),
    active("KexAlgorithms", settings::kex_algorithms),
    no_effect("ListenAddress", SOCKET_UNIT, &[]),
    active("LoginGraceTime", settings::login_grace_time),
    active("LogLevel", settings::log_level),
    not_yet(
        "LogVerbose",
        "LogLevel holds for every part alike",
        &["none"],
    ),
    active("MACs", settings::macs),
    Keyword {
        name: "Match",
        state: State::Match,
        neutral: &[],
    },
    active("MaxAuthTries", settings::max_auth_tries),
    active("MaxSessions", settings::max_sessions),
    active("MaxStartups", settings::max_startups),
    no_effect(
        "ModuliFile",
        "Diffie-Hellman group exchange is not offered",
        &[],
    ),
    refused(
        "PAMServiceName",
        "another PAM service would decide; set PAMName= in sshd-privsep-session-.service.d",
        &[],
    ),
    not_yet("PasswordAuthentication", NO_PASSWORD, &["no"]),
    not_yet("PermitEmptyPasswords", NO_PASSWORD, &["no"]),
    not_yet("PermitListen", NO_FORWARDING, &["any", "none"]),
    not_yet("PermitOpen", NO_FORWARDING, &["any", "none"]),
    active("PermitRootLogin", settings::permit_root_login),
    active("PermitTTY", settings::permit_tty),
    not_yet("PermitTunnel", NO_FORWARDING, &["no"]),
    not_yet(
        "PermitUserEnvironment",
        "users cannot set variables by files or keys",
        &["no"],
    ),
    not_yet("PermitUserRC", "~/.ssh/rc is not run", &["no"]),
    not_yet("PerSourceMaxStartups", NO_PENALTIES, &["none"]),
    not_yet("PerSourceNetBlockSize", NO_PENALTIES, &[]),
    not_yet("PerSourcePenalties", NO_PENALTIES, &["no"]),
    not_yet("PerSourcePenaltyExemptList", NO_PENALTIES, &["none"]),
    no_effect("PidFile", "systemd knows the server's processes", &["none"]),
    no_effect("Port", SOCKET_UNIT, &[]),
    no_effect("PrintLastLog", "PAM does it (pam_lastlog)", &[]),
    no_effect("PrintMotd", "PAM does it (pam_motd)", &["no"]),
    active(
        "PubkeyAcceptedAlgorithms",
        settings::pubkey_accepted_algorithms,
    ),
    active("PubkeyAuthentication", settings::pubkey_authentication),
    refused(
        "PubkeyAuthOptions",
        "security keys would be accepted without touch or PIN",
        &["none"],
    ),
    refused(
        "RDomain",
        "sessions would run outside of their routing domain",
        &["none"],
    ),
    refused(
        "RefuseConnection",
        "connections that it refuses would be served",
        &["no"],
    ),
    active("RekeyLimit", settings::rekey_limit),
    active("RequiredRSASize", settings::required_rsa_size),
    refused("RevokedKeys", "revoked keys would be accepted", &["none"]),
    not_yet(
        "SecurityKeyProvider",
        "host keys on security keys are not used",
        &["internal", "none"],
    ),
    not_yet("SetEnv", "no variable is set by the server", &[]),
    no_effect("SshdAuthPath", "the processes are systemd units", &[]),
    no_effect("SshdSessionPath", "the processes are systemd units", &[]),
    not_yet("StreamLocalBindMask", NO_FORWARDING, &[]),
    not_yet("StreamLocalBindUnlink", NO_FORWARDING, &["yes", "no"]),
    active("StrictModes", settings::strict_modes),
    each("Subsystem", settings::subsystem),
    not_yet(
        "SyslogFacility",
        "entries have the facility AUTH",
        &["auth"],
    ),
    not_yet(
        "TCPKeepAlive",
        "keep-alive packets are not sent; ClientAliveInterval finds dead clients",
        &["no"],
    ),
    not_yet("TrustedUserCAKeys", NO_CERTIFICATES, &["none"]),
    refused(
        "UnusedConnectionTimeout",
        "connections that should be closed would stay open",
        &["none"],
    ),
    not_yet("UseDNS", "names of clients are not looked up", &["no"]),
    active("UsePAM", settings::use_pam),
    active("VersionAddendum", settings::version_addendum),
    not_yet("X11DisplayOffset", NO_FORWARDING, &[]),
    not_yet("X11Forwarding", NO_FORWARDING, &["no"]),
    not_yet("X11UseLocalhost", NO_FORWARDING, &["yes", "no"]),
    not_yet("XAuthLocation", NO_FORWARDING, &[]),
    // Names that keywords had before.
    old(
        "ChallengeResponseAuthentication",
        "KbdInteractiveAuthentication",
    ),
    old("DSAAuthentication", "PubkeyAuthentication"),
    old("HostbasedAcceptedKeyTypes", "HostbasedAcceptedAlgorithms"),
    old("HostDSAKey", "HostKey"),
    old("KeepAlive", "TCPKeepAlive"),
    old("PubkeyAcceptedKeyTypes", "PubkeyAcceptedAlgorithms"),
    old("SKeyAuthentication", "KbdInteractiveAuthentication"),
    // What OpenSSH accepts and does not obey.
    deprecated("AFSTokenPassing"),
    deprecated("AuthorizedKeysFile2"),
    deprecated("CheckMail"),
    deprecated("KerberosTgtPassing"),
    deprecated("KeyRegenerationInterval"),
    deprecated("Protocol"),
    deprecated("ReverseMappingCheck"),
    deprecated("RhostsAuthentication"),
    deprecated("RhostsRSAAuthentication"),
    deprecated("RSAAuthentication"),
    deprecated("ServerKeyBits"),
    deprecated("UseLogin"),
    deprecated("UsePrivilegeSeparation"),
    deprecated("VerifyReverseMapping"),
    // What Debian's patches add.
    no_effect(
        "DebianBanner",
        "the identification string names no distribution",
        &["no"],
    ),
    not_yet("GSSAPIKexAlgorithms", NO_GSSAPI, &[]),
    not_yet("GSSAPIKeyExchange", NO_GSSAPI, &["no"]),
    not_yet("GSSAPIStoreCredentialsOnRekey", NO_GSSAPI, &["no"]),
    deprecated("GSSAPIUseSessionCredCache"),
    deprecated("GSSUseSessionCCache"),
    // Ours: see OWN_KEYWORDS.
    active("WorkerPoolIdle", settings::worker_pool_idle),
    active("WorkerPoolMax", settings::worker_pool_max),
    active("WorkerStartRate", settings::worker_start_rate),
];

/// A keyword that OpenSSH does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnKeyword {
    /// The keyword.
    pub name: &'static str,
    /// Its value if it does not occur.
    pub default: &'static str,
    /// What it means, for the manual page.
    pub meaning: &'static str,
}

/// The keywords of this server that are not in OpenSSH's sshd_config(5).
pub const OWN_KEYWORDS: &[OwnKeyword] = &[
    OwnKeyword {
        name: "WorkerPoolIdle",
        default: "4",
        meaning: "How many worker processes (sshd-privsep-preauth@.service) wait for connections. 1 to 64. A connection that \
                  finds one waiting does not wait for a process to start.",
    },
    OwnKeyword {
        name: "WorkerPoolMax",
        default: "512",
        meaning: "How many worker processes there are at most, waiting and busy ones together. 1 to 65536. Each connection \
                  keeps its worker until it ends, so this is also the largest number of connections; more are closed.",
    },
    OwnKeyword {
        name: "WorkerStartRate",
        default: "20",
        meaning: "How many worker processes are started per second at most. 1 to 1000. Bounds what a flood of connections \
                  costs; connections that find no worker wait within LoginGraceTime.",
    },
];

/// The row of a word in a file; an old name leads to the row of the new one.
pub(crate) fn find(word: &str) -> Option<&'static Keyword> {
    let row = KEYWORDS
        .iter()
        .find(|keyword| keyword.name.eq_ignore_ascii_case(word))?;
    match row.state {
        State::OldNameOf(new) => KEYWORDS.iter().find(|keyword| keyword.name == new),
        _ => Some(row),
    }
}

/// The keyword that somebody who wrote `word` probably meant.
pub(crate) fn suggestion(word: &str) -> Option<String> {
    closest(word, KEYWORDS.iter().map(|keyword| keyword.name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_has_every_keyword_of_openssh_once() {
        let names: BTreeSet<String> = KEYWORDS
            .iter()
            .map(|keyword| keyword.name.to_ascii_lowercase())
            .collect();
        assert_eq!(names.len(), KEYWORDS.len());
        let count = |wanted: fn(&State) -> bool| {
            KEYWORDS
                .iter()
                .filter(|keyword| wanted(&keyword.state))
                .count()
        };
        assert_eq!(count(|state| matches!(state, State::OldNameOf(_))), 7);
        // 13 deprecated ones, Protocol, and 2 of Debian's.
        assert_eq!(count(|state| matches!(state, State::Deprecated)), 16);
        // The 105 of OpenSSH 10.5, 4 of Debian's and 3 of ours.
        assert_eq!(KEYWORDS.len(), 105 + 7 + 16 + 4 + 3);
    }

    #[test]
    fn old_names_lead_to_keywords_that_exist() {
        for keyword in KEYWORDS {
            let found = find(&keyword.name.to_ascii_uppercase());
            assert!(
                found.is_some_and(|found| !matches!(found.state, State::OldNameOf(_))),
                "{}",
                keyword.name
            );
        }
    }

    #[test]
    fn neutral_values_are_in_the_form_they_are_compared_in() {
        for value in KEYWORDS.iter().flat_map(|keyword| keyword.neutral) {
            assert_eq!(value.to_ascii_lowercase(), **value);
        }
    }

    #[test]
    fn own_keywords_are_active_and_documented() {
        for own in OWN_KEYWORDS {
            assert!(
                matches!(
                    find(own.name).map(|keyword| keyword.state),
                    Some(State::Active(..))
                ),
                "{}",
                own.name
            );
        }
    }
}
