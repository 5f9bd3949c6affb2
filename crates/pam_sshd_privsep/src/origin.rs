//! From the unit's environment to PAM items: which variables, what they may hold.

use std::ffi::CStr;

use crate::transaction::{Item, PamError, Transaction};

/// What there was to adopt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// At least one variable, now an item.
    Origin,
    /// No variable: a local session, or an earlier stack of the same transaction had them.
    Nothing,
}

/// Why a session must not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A variable does not look like what it should hold.
    Form,
    /// libpam could not do it.
    Pam(PamError),
}

/// Makes items of the variables, and removes the variables.
pub(crate) fn adopt(mut transaction: Transaction<'_>) -> Result<Found, Refusal> {
    let mut found = Found::Nothing;
    for origin in ORIGINS {
        let Some(value) = transaction.variable(origin.variable) else {
            continue;
        };
        // Gone before it is judged: whatever the verdict, no process of the user sees it.
        transaction
            .remove_variable(origin.variable)
            .map_err(Refusal::Pam)?;
        if !(origin.accepts)(value.to_bytes()) {
            return Err(Refusal::Form);
        }
        transaction
            .set_item(origin.item, &value)
            .map_err(Refusal::Pam)?;
        found = Found::Origin;
    }
    Ok(found)
}

struct Origin {
    variable: &'static CStr,
    item: Item,
    accepts: fn(&[u8]) -> bool,
}

const ORIGINS: [Origin; 2] = [
    Origin {
        variable: c"SSHD_PRIVSEP_RHOST",
        item: Item::RemoteHost,
        accepts: is_host,
    },
    Origin {
        variable: c"SSHD_PRIVSEP_TTY",
        item: Item::Terminal,
        accepts: is_terminal,
    },
];

/// An address, an address with a zone, or a host name. The text ends up in utmp, audit records and log lines, so it is
/// the alphabet that matters: nothing in it separates fields or moves a cursor.
fn is_host(text: &[u8]) -> bool {
    (1..=64).contains(&text.len())
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b".:%-_".contains(byte))
}

/// A terminal below `/dev`, or the word `ssh`.
fn is_terminal(text: &[u8]) -> bool {
    (1..=32).contains(&text.len())
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_hosts() {
        for good in [
            "203.0.113.9",
            "::1",
            "fe80::1%eth0",
            "2001:db8::ffff:192.0.2.1",
            "client-7.example.org",
            // A client without an address.
            "UNKNOWN",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn what_could_forge_a_record_is_no_host() {
        for bad in [
            "",
            "192.0.2.1 port 22",
            "a\nb",
            "a\0b",
            "\x1b[2J",
            "a\"b",
            "a=b",
            "höst",
            "a/b",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad:?}");
        }
        assert!(is_host(&[b'a'; 64]));
        assert!(!is_host(&[b'a'; 65]));
    }

    #[test]
    fn terminals_are_names_below_dev() {
        for good in ["ssh", "pts/0", "tty1"] {
            assert!(is_terminal(good.as_bytes()), "{good}");
        }
        for bad in ["", "../mem", "pts/0 ", "pts/\n", &"a".repeat(33)] {
            assert!(!is_terminal(bad.as_bytes()), "{bad:?}");
        }
    }
}
