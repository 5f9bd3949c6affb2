//! From the unit's environment to PAM items and data: which variables, what they may hold.

use std::ffi::CStr;

use crate::auth_info;
use crate::transaction::{Item, PamError, Transaction};

/// Why a session must not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A variable does not look like what it should hold.
    Form,
    /// libpam could not do it.
    Pam(PamError),
}

/// Makes items and data of the variables, and removes the variables.
pub(crate) fn adopt(transaction: &mut Transaction<'_>) -> Result<(), Refusal> {
    auth_info::receive(transaction)?;
    for variable in VARIABLES {
        let Some(value) = transaction.variable(variable.name) else {
            continue;
        };
        // Gone before it is judged: whatever the verdict, no process of the user sees it.
        transaction
            .remove_variable(variable.name)
            .map_err(Refusal::Pam)?;
        if !(variable.accepts)(value.to_bytes()) {
            return Err(Refusal::Form);
        }
        match variable.becomes {
            Becomes::Item(item) => transaction.set_item(item, &value),
            Becomes::Data(name) => transaction.set_data(name, value),
        }
        .map_err(Refusal::Pam)?;
    }
    Ok(())
}

/// Removes what systemd says to each of its units (systemd.exec(5), locale.conf(5)): no module has set it for this user.
pub(crate) fn forget_systemds(transaction: &mut Transaction<'_>) -> Result<(), PamError> {
    for name in SYSTEMDS {
        if transaction.variable(name).is_some() {
            transaction.remove_variable(name)?;
        }
    }
    Ok(())
}

/// `PATH`, and what locale.conf(5) may set.
const SYSTEMDS: [&CStr; 16] = [
    c"PATH",
    c"LANG",
    c"LANGUAGE",
    c"LC_ALL",
    c"LC_ADDRESS",
    c"LC_COLLATE",
    c"LC_CTYPE",
    c"LC_IDENTIFICATION",
    c"LC_MEASUREMENT",
    c"LC_MESSAGES",
    c"LC_MONETARY",
    c"LC_NAME",
    c"LC_NUMERIC",
    c"LC_PAPER",
    c"LC_TELEPHONE",
    c"LC_TIME",
];

struct Variable {
    name: &'static CStr,
    becomes: Becomes,
    accepts: fn(&[u8]) -> bool,
}

#[derive(Clone, Copy)]
enum Becomes {
    /// An item.
    Item(Item),
    /// Data of this name, see pam_systemd(8).
    Data(&'static CStr),
}

const VARIABLES: [Variable; 7] = [
    Variable {
        name: c"SSHD_PRIVSEP_RHOST",
        becomes: Becomes::Item(Item::RemoteHost),
        accepts: is_host,
    },
    Variable {
        name: c"SSHD_PRIVSEP_TTY",
        becomes: Becomes::Item(Item::Terminal),
        accepts: is_terminal,
    },
    limit(c"SSHD_PRIVSEP_MEMORY_MAX", c"systemd.memory_max"),
    limit(c"SSHD_PRIVSEP_TASKS_MAX", c"systemd.tasks_max"),
    limit(c"SSHD_PRIVSEP_CPU_WEIGHT", c"systemd.cpu_weight"),
    limit(c"SSHD_PRIVSEP_IO_WEIGHT", c"systemd.io_weight"),
    limit(c"SSHD_PRIVSEP_RUNTIME_MAX_SEC", c"systemd.runtime_max_sec"),
];

const fn limit(name: &'static CStr, data: &'static CStr) -> Variable {
    Variable {
        name,
        becomes: Becomes::Data(data),
        accepts: is_limit,
    }
}

/// An address, an address with a zone, or a host name. The text ends up in utmp, audit records and log lines, so it is
/// the alphabet that matters: nothing in it separates fields or moves a cursor. Names end at 253 bytes (RFC 1035 section
/// 2.3.4).
fn is_host(text: &[u8]) -> bool {
    (1..=253).contains(&text.len())
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

/// A number, a percentage or `infinity`. pam_systemd skips what it cannot read, with no more than a line in the log: the
/// session would have no limit.
fn is_limit(text: &[u8]) -> bool {
    let digits = text.strip_suffix(b"%").unwrap_or(text);
    text == b"infinity"
        || ((1..=20).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit))
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
        assert!(is_host(&[b'a'; 253]));
        assert!(!is_host(&[b'a'; 254]));
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

    #[test]
    fn limits_are_numbers_percentages_or_none_at_all() {
        for good in ["0", "104857600", "50%", "infinity", "18446744073709551615"] {
            assert!(is_limit(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "%",
            "100M",
            "-1",
            "5 0",
            "50%%",
            "infinity%",
            "1\n",
            &"1".repeat(21),
        ] {
            assert!(!is_limit(bad.as_bytes()), "{bad:?}");
        }
    }
}
