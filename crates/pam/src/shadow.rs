//! Passwords and accounts judged by shadow(5), for UsePAM no; and a hash for whoever has none, so that all take the same
//! time.
//!
//! As sshd's auth-passwd.c, auth-shadow.c and platform.c, but for the comparison, which takes constant time. The monitor
//! asks twice: whether the account can be used, before anything else; and about the password.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::User;
use rpc::pam::{
    EmptyPasswords, End, PasswordState, Refusal, Secret, Start, Subject, Task, Verdict,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::libcrypt::{self, Entry};

/// Judges the account or the password of the task.
pub(crate) fn judge(start: &Start) -> End {
    let verdict = match verdict(start) {
        Ok(password) => Verdict::Accepted {
            password,
            environment: Vec::new(),
        },
        Err((refusal, reason)) => Verdict::Refused { refusal, reason },
    };
    End {
        verdict,
        messages: Vec::new(),
        delay: Duration::ZERO,
    }
}

fn verdict(start: &Start) -> Result<PasswordState, (Refusal, String)> {
    match &start.task {
        Task::Password(password) => of_password(start, password),
        Task::Account => of_account(start),
        Task::KeyboardInteractive | Task::PasswordChange { .. } => {
            let reason = "shadow(5) judges passwords and accounts only".to_owned();
            Err((Refusal::System, reason))
        }
    }
}

/// Whether the account can be used, by whatever method.
fn of_account(start: &Start) -> Result<PasswordState, (Refusal, String)> {
    let entry = find(start.user.as_str());
    match (start.subject, entry) {
        (Subject::Somebody, Ok(entry)) => {
            match entry.and_then(|entry| out_of_use(&entry, today())) {
                None => Ok(PasswordState::Kept),
                Some(refusal @ Refusal::Expired) => Err((refusal, "has expired".to_owned())),
                Some(refusal) => Err((refusal, "is locked".to_owned())),
            }
        }
        (Subject::Somebody, Err(error)) => Err((Refusal::System, format!("shadow entry: {error}"))),
        (Subject::Nobody, _) => Err((Refusal::Credentials, "no such account".to_owned())),
    }
}

/// Why an account cannot be used on a day, if so. In sshd's order.
fn out_of_use(entry: &Entry, today: i64) -> Option<Refusal> {
    let locked = |prefix: &&[u8]| entry.password.starts_with(prefix);
    if entry.expiry >= 0 && today > entry.expiry {
        Some(Refusal::Expired)
    } else if LOCKED_PREFIXES.iter().any(locked) {
        Some(Refusal::Locked)
    } else {
        None
    }
}

fn of_password(start: &Start, password: &Secret) -> Result<PasswordState, (Refusal, String)> {
    let entry = find(start.user.as_str());
    let (known, unclear) = match (start.subject, entry) {
        (Subject::Somebody, Ok(entry)) => (entry, None),
        (Subject::Somebody, Err(error)) => (None, Some(error)),
        (Subject::Nobody, _) => (None, None),
    };
    let comparison = compare(known.as_ref(), password, start.empty_passwords);
    match (unclear, known, comparison) {
        (None, Some(entry), Comparison::Same) => Ok(state(&entry, today())),
        (Some(error), _, _) => Err((Refusal::System, format!("shadow entry: {error}"))),
        (None, _, _) => Err((Refusal::Credentials, "wrong password".to_owned())),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Same,
    Different,
}

/// Compares a password with that of an entry. One hash is computed, whatever comes of it.
fn compare(
    entry: Option<&Entry>,
    password: &Secret,
    empty_passwords: EmptyPasswords,
) -> Comparison {
    let password = password.expose();
    let field = entry.map(|entry| entry.password.as_slice());
    let comparison = match (field, password, empty_passwords) {
        (Some([]), [], EmptyPasswords::Permitted) => Some(Comparison::Same),
        (None | Some([]), _, _) | (_, [], EmptyPasswords::Refused) => None,
        (Some(field), _, _) => against(field, password),
    };
    match comparison {
        Some(comparison) => comparison,
        None => {
            spend(password);
            Comparison::Different
        }
    }
}

/// `None`: nothing was hashed.
fn against(field: &[u8], password: &[u8]) -> Option<Comparison> {
    let setting = Zeroizing::new(terminated(field));
    let setting = CStr::from_bytes_with_nul(&setting).ok()?;
    let hash = libcrypt::hash(password, setting)?;
    Some(match bool::from(hash.as_slice().ct_eq(field)) {
        true => Comparison::Same,
        false => Comparison::Different,
    })
}

/// Whether the password is still good. As sshd, which does not look at the days of inactivity: passwd(1) does.
fn state(entry: &Entry, today: i64) -> PasswordState {
    let aged = entry.last_change >= 0
        && entry.maximum >= 0
        && today > entry.last_change.saturating_add(entry.maximum);
    match entry.last_change == 0 || aged {
        true => PasswordState::MustChange,
        false => PasswordState::Kept,
    }
}

/// Computes what pam_unix(8) leaves out for somebody whose password it compares with none: no entry, no password, or
/// locked. That tells who exists: 0.2 ms against 39, measured with yescrypt.
pub(crate) fn spend_as_pam_unix(user: &str) {
    let hashed = find(user)
        .ok()
        .flatten()
        .is_some_and(|entry| is_hash(&entry.password));
    if !hashed {
        for _ in 0..PAM_UNIX_HASHES {
            spend(b"INCORRECT");
        }
    }
}

/// Computes a hash in the manner of the accounts here: as sshd, the first that has a password, mostly root.
fn spend(password: &[u8]) {
    // The control of the timing test: without this work it must see who exists.
    if cfg!(feature = "without-dummy-work") {
        return;
    }
    let setting = File::open(FILE)
        .ok()
        .and_then(|file| first_hash(BufReader::new(file.take(FILE_LIMIT))));
    if let Some(setting) = setting.or_else(libcrypt::best_setting) {
        drop(libcrypt::hash(password, &setting));
    }
}

/// The first hash of a file with shadow(5)'s format.
fn first_hash(lines: impl BufRead) -> Option<CString> {
    let hash_of = |line: std::io::Result<Vec<u8>>| {
        let line = Zeroizing::new(line.ok()?);
        let field = line.split(|byte| *byte == b':').nth(1)?;
        is_hash(field).then(|| CString::new(field).ok())?
    };
    lines.split(b'\n').find_map(hash_of)
}

/// Whether crypt(3) has anything to do with such a password field. Old DES hashes, which take no time, do not count.
fn is_hash(field: &[u8]) -> bool {
    field.starts_with(b"$")
}

/// What the name service has in shadow(5)'s form; else what it has in passwd(5)'s, where directory servers without the
/// other keep the password field, and sshd looks as well.
fn find(user: &str) -> std::io::Result<Option<Entry>> {
    if let Some(entry) = libcrypt::entry(&CString::new(user)?)? {
        return Ok(Some(entry));
    }
    let found = User::from_name(user)?;
    Ok(found.map(|found| Entry {
        password: Zeroizing::new(found.passwd.into_bytes()),
        last_change: -1,
        maximum: -1,
        expiry: -1,
    }))
}

fn terminated(bytes: &[u8]) -> Vec<u8> {
    let mut terminated = Vec::with_capacity(bytes.len() + 1);
    terminated.extend_from_slice(bytes);
    terminated.push(0);
    terminated
}

/// Days since 1970-01-01.
fn today() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let days = since.map_or(0, |since| since.as_secs() / SECONDS_OF_DAY);
    i64::try_from(days).unwrap_or(i64::MAX)
}

/// How often pam_unix computes the hash of one password: its `x_strdup(crypt_r(...))` is a macro that evaluates its
/// argument twice (Linux-PAM 1.5.2, and its sources of today).
const PAM_UNIX_HASHES: u32 = 2;

const SECONDS_OF_DAY: u64 = 24 * 60 * 60;

/// What a password field begins with if the account is locked, sshd(8).
const LOCKED_PREFIXES: [&[u8]; 2] = [b"!", b"*LK*"];

const FILE: &str = "/etc/shadow";

/// How much of the file is searched for a hash, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// "Hello world!"
    const HASH: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

    fn entry(password: &str) -> Entry {
        Entry {
            password: Zeroizing::new(password.as_bytes().to_vec()),
            last_change: 19_000,
            maximum: 99_999,
            expiry: -1,
        }
    }

    fn compare_text(field: Option<&str>, password: &str, empty: EmptyPasswords) -> Comparison {
        let password = Secret::copy(password.as_bytes()).unwrap();
        compare(field.map(entry).as_ref(), &password, empty)
    }

    #[test]
    fn only_the_right_password_is_the_same() {
        for empty in [EmptyPasswords::Refused, EmptyPasswords::Permitted] {
            let same = compare_text(Some(HASH), "Hello world!", empty);
            assert_eq!(same, Comparison::Same);
            let locked = format!("!{HASH}");
            for (field, password) in [
                (Some(HASH), "Hello world"),
                (Some(HASH), HASH),
                (Some(HASH), ""),
                (Some("$5$saltstring$"), "Hello world!"),
                (Some(&*locked), "Hello world!"),
                (Some("*"), "*"),
                (Some("x"), "x"),
                (Some("*0"), "anything"),
                (Some(""), "anything"),
                (None, "Hello world!"),
                (None, ""),
            ] {
                let different = compare_text(field, password, empty);
                assert_eq!(different, Comparison::Different, "{field:?} {password:?}");
            }
        }
    }

    #[test]
    fn an_empty_password_opens_only_where_it_is_permitted() {
        let compare = |empty| compare_text(Some(""), "", empty);
        assert_eq!(compare(EmptyPasswords::Refused), Comparison::Different);
        assert_eq!(compare(EmptyPasswords::Permitted), Comparison::Same);
    }

    #[test]
    fn a_password_expires_as_for_sshd() {
        for (last_change, maximum, expected) in [
            (19_000, 99_999, PasswordState::Kept),
            (19_000, -1, PasswordState::Kept),
            (-1, 1, PasswordState::Kept),
            (0, 99_999, PasswordState::MustChange),
            (0, -1, PasswordState::MustChange),
            (19_000, 1_000, PasswordState::Kept),
            (19_000, 999, PasswordState::MustChange),
            (i64::MAX, i64::MAX, PasswordState::Kept),
        ] {
            let entry = Entry {
                last_change,
                maximum,
                ..entry("*")
            };
            assert_eq!(state(&entry, 20_000), expected, "{last_change} {maximum}");
        }
    }

    #[test]
    fn an_account_is_expired_before_it_is_locked() {
        for (password, expiry, expected) in [
            ("*", -1, None),
            ("x", -1, None),
            ("", -1, None),
            (HASH, 20_000, None),
            ("!", -1, Some(Refusal::Locked)),
            ("!$y$x", 20_000, Some(Refusal::Locked)),
            ("*LK*", -1, Some(Refusal::Locked)),
            ("!", 19_999, Some(Refusal::Expired)),
            (HASH, 19_999, Some(Refusal::Expired)),
            (HASH, 0, Some(Refusal::Expired)),
        ] {
            let entry = Entry {
                expiry,
                ..entry(password)
            };
            assert_eq!(out_of_use(&entry, 20_000), expected, "{password} {expiry}");
        }
    }

    #[test]
    fn the_setting_for_nobody_is_that_of_the_first_password() {
        let file = format!("root:*:1::::::\n\ndaemon:!$6$x$y:1::::::\nbob:{HASH}:1::::::\n");
        let found = first_hash(file.as_bytes()).unwrap();
        assert_eq!(found.to_str(), Ok(HASH));
        assert_eq!(first_hash(&b"root:*:1\nbob:"[..]), None);
    }
}
