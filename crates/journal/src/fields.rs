//! The journal's field names: one table from the names used in spans and events to the names in the journal.
//!
//! `journalctl SSHD_CONN=…` shows everything that happened to one connection, in every process. Names in this table are
//! an interface to the administrator: they are added, not changed.

/// What a field of an event or a span is called in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name in the source: `info!(conn = …)`.
    pub source: &'static str,
    /// The name in the journal: `SSHD_CONN=…`.
    pub journal: &'static str,
    /// What the value is.
    pub meaning: &'static str,
}

const fn field(source: &'static str, journal: &'static str, meaning: &'static str) -> Field {
    Field {
        source,
        journal,
        meaning,
    }
}

/// All fields with a fixed name. A field that is not listed here becomes `SSHD_` and its name in capitals.
pub const FIELDS: &[Field] = &[
    field(
        "conn",
        "SSHD_CONN",
        "the connection's identifier, the same in every process",
    ),
    field(
        "peer",
        "SSHD_PEER",
        "address of the client, as getpeername(2) of the monitor says",
    ),
    field("peer_port", "SSHD_PEER_PORT", "TCP port of the client"),
    field("local", "SSHD_LOCAL", "address the client connected to"),
    field(
        "local_port",
        "SSHD_LOCAL_PORT",
        "TCP port the client connected to",
    ),
    field(
        "user",
        "SSHD_USER",
        "user name the client asked for, escaped",
    ),
    field("method", "SSHD_METHOD", "authentication method, RFC 4252"),
    field(
        "key_type",
        "SSHD_KEY_TYPE",
        "public key type, RFC 4253 section 6.6",
    ),
    field(
        "key_fp",
        "SSHD_KEY_FINGERPRINT",
        "fingerprint of the public key, SHA256:… in base64",
    ),
    // Not a name of ours: what stands in brackets after "sshd" for fail2ban, and tells connections
    // apart there. Who reads only _PID takes all of them for one.
    field(
        "worker_pid",
        "SYSLOG_PID",
        "process that speaks SSH for this connection",
    ),
    field(
        "worker_unit",
        "SSHD_WORKER_UNIT",
        "unit of the process that speaks SSH for this connection",
    ),
    field(
        "session_unit",
        "SSHD_SESSION_UNIT",
        "unit that runs the user's session",
    ),
    field(
        "source",
        "SSHD_SOURCE",
        "block of addresses that limits per source take for one client, PerSourceNetBlockSize",
    ),
    field("phase", "SSHD_PHASE", "how far the connection had come"),
    field(
        "reason",
        "SSHD_REASON",
        "why something was refused or ended",
    ),
    field(
        "client_version",
        "SSHD_CLIENT_VERSION",
        "identification string of the client, escaped",
    ),
    field(
        "suppressed",
        "SSHD_SUPPRESSED",
        "how many entries of this kind the rate limit held back before this one",
    ),
];

/// The longest field name journald takes.
const NAME_LIMIT: usize = 64;

/// The name in the journal for a name in the source.
pub(crate) fn journal_name(source: &'static str) -> String {
    if let Some(field) = FIELDS.iter().find(|field| field.source == source) {
        return field.journal.to_owned();
    }
    // journald drops entries' fields whose name has other than [A-Z0-9_], or is too long.
    let mut name = String::from("SSHD_");
    for c in source.chars().take(NAME_LIMIT - name.len()) {
        name.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_come_from_the_table() {
        assert_eq!(journal_name("key_fp"), "SSHD_KEY_FINGERPRINT");
        assert_eq!(journal_name("conn"), "SSHD_CONN");
    }

    #[test]
    fn unknown_names_become_valid_journal_names() {
        assert_eq!(journal_name("exit_status"), "SSHD_EXIT_STATUS");
        assert_eq!(journal_name("http.path-é"), "SSHD_HTTP_PATH__");
        assert!(
            journal_name("a23456789012345678901234567890123456789012345678901234567890123456789")
                .len()
                <= NAME_LIMIT
        );
    }

    #[test]
    fn each_name_occurs_once_and_is_valid_for_journald() {
        for (at, one) in FIELDS.iter().enumerate() {
            let ours = one.journal.starts_with("SSHD_") || one.journal == "SYSLOG_PID";
            assert!(ours && one.journal.len() <= NAME_LIMIT);
            assert!(
                one.journal
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            );
            for other in &FIELDS[at + 1..] {
                assert_ne!(one.source, other.source);
                assert_ne!(one.journal, other.journal);
            }
        }
    }
}
