//! Identifiers of the events an administrator may want to query, alert on or have explained.
//!
//! `journalctl MESSAGE_ID=5fa8c25c…` lists every accepted login; `journalctl -x` adds the explanation from
//! `packaging/catalog/sshd-privsep.catalog`. An identifier is given to an event in the field `message_id`:
//!
//! ```
//! # let (user, address) = ("alice", "192.0.2.1");
//! tracing::info!(message_id = journal::message_id::INVALID_USER, "Invalid user {user} from {address}");
//! ```
//!
//! Identifiers are never changed or used again for something else.

/// The monitor took its listening sockets and serves.
pub const LISTENING: &str = "93758e3508687682639805df638b1f4e";
/// A user was authenticated.
pub const ACCEPTED: &str = "993316f1ca75cc7ed84dce9f844cd50b";
/// An attempt to authenticate failed.
pub const FAILED: &str = "a61067618d5cc81203a1b661bcbc6442";
/// Somebody asked for a user who does not exist or may not log in.
pub const INVALID_USER: &str = "5fa8c25cc2d76c509944f0bd05f0d5cd";
/// A connection ended.
pub const DISCONNECTED: &str = "9a37c982673578fec703045047d26e9d";
/// A connection was refused before a worker was spent on it: too many unauthenticated connections, or a penalty.
pub const ADMISSION_REFUSED: &str = "a2f0ee08075efddc37cef6f83294fa1c";
/// The source of a connection has a penalty for how that ended.
pub const PENALISED: &str = "1d9331c7786a4bdc82bfe22d7aa1e8fa";
/// A client did not authenticate within LoginGraceTime.
pub const GRACE_TIMEOUT: &str = "001fe70b0191f45b094c83f511aafd91";
/// A worker ended or broke the protocol while it had a connection.
pub const WORKER_LOST: &str = "5ed260ed722fdcaa433660d2396bacbd";
/// A session unit was started for an authenticated user.
pub const SESSION_STARTED: &str = "f33ca5cc745ed44e235727d4556c496e";
/// A session unit ended.
pub const SESSION_ENDED: &str = "f29c470ada194cdfbbfe8a9d2c6a6fec";
/// The configuration could not be used.
pub const CONFIGURATION_ERROR: &str = "a99e4a99e1568d0757e46e333a2ecc6e";
/// A line or a file of a user's authorized keys was refused.
pub const AUTHORIZED_KEYS_REFUSED: &str = "8e353f697fedd42c4c327509e24619e8";

/// Every identifier.
pub const ALL: &[&str] = &[
    LISTENING,
    ACCEPTED,
    FAILED,
    INVALID_USER,
    DISCONNECTED,
    ADMISSION_REFUSED,
    PENALISED,
    GRACE_TIMEOUT,
    WORKER_LOST,
    SESSION_STARTED,
    SESSION_ENDED,
    CONFIGURATION_ERROR,
    AUTHORIZED_KEYS_REFUSED,
];

/// 128 bits in lower-case hexadecimal, the only form sd-id128(3) reads here.
pub(crate) fn is_well_formed(id: &str) -> bool {
    id.len() == 32
        && id
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const CATALOG: &str = include_str!("../../../packaging/catalog/sshd-privsep.catalog");

    #[test]
    fn identifiers_are_well_formed_and_unique() {
        assert!(ALL.iter().all(|id| is_well_formed(id)));
        assert_eq!(ALL.iter().collect::<BTreeSet<_>>().len(), ALL.len());
    }

    #[test]
    fn the_catalog_explains_each_identifier_and_no_other() {
        let explained: BTreeSet<&str> = CATALOG
            .lines()
            .filter_map(|line| line.strip_prefix("-- "))
            .collect();
        assert_eq!(explained, ALL.iter().copied().collect());
    }

    #[test]
    fn each_catalog_entry_has_a_subject_and_a_text() {
        for entry in CATALOG.split("\n-- ").skip(1) {
            let (headers, text) = entry
                .split_once("\n\n")
                .expect("a blank line between headers and text");
            assert!(
                headers.contains("\nSubject: ") && headers.contains("\nDefined-By: sshd-privsep"),
                "{entry}"
            );
            assert!(!text.trim().is_empty(), "{entry}");
        }
    }

    #[test]
    fn the_catalog_uses_only_fields_that_exist() {
        for word in CATALOG.split('@').skip(1).step_by(2) {
            assert!(
                crate::fields::FIELDS
                    .iter()
                    .any(|field| field.journal == word),
                "@{word}@"
            );
        }
    }
}
