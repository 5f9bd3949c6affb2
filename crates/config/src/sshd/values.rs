//! The kinds of values that sshd_config(5) has.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// `yes` or `no`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YesNo {
    /// yes
    Yes,
    /// no
    No,
}

/// MaxStartups: random early drop of connections that have not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxStartups {
    /// From this many unauthenticated connections on, new ones are dropped at random.
    pub start: u32,
    /// In percent, how many are dropped at `start`; the share grows linearly up to `full`.
    pub rate: u32,
    /// From this many on, all new ones are dropped.
    pub full: u32,
}

/// PermitRootLogin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitRootLogin {
    /// By every method.
    Yes,
    /// Not by password or keyboard-interactive.
    ProhibitPassword,
    /// By public key, and only for a key with a command of its own.
    ForcedCommandsOnly,
    /// Not at all.
    No,
}

/// LogLevel. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Quiet,
    /// What ends the process.
    Fatal,
    /// What failed.
    Error,
    /// What happened; the default.
    Info,
    /// What happened in detail.
    Verbose,
    /// For those who look for a mistake. DEBUG is the same.
    Debug1,
    /// More of it.
    Debug2,
    /// All of it.
    Debug3,
}

/// Compression: whether clients may have their data compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `delayed`, and `yes` means the same: from the login on.
    Delayed,
    /// Never.
    No,
}

/// RekeyLimit: when the server asks for a new key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyLimit {
    /// After this many bytes in one direction; none leaves it to the cipher (RFC 4344 section 3.2).
    pub bytes: Option<u64>,
    /// After this time; none is never.
    pub time: Option<Duration>,
}

/// Subsystem: a name that a client can ask for, and what is run then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subsystem {
    /// As in the client's request, RFC 4254 section 6.5.
    pub name: String,
    /// Command line for the user's shell, as it stands in the file; or `internal-sftp` with its arguments.
    pub command: String,
}

/// One word of AuthorizedKeysFile, with its tokens checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedKeysFile(pub(crate) String);

impl AuthorizedKeysFile {
    /// Reads a word; the error is the token that does not exist.
    ///
    /// # Errors
    ///
    /// The character after a `%` that is none of `%%`, `%h`, `%u` and `%U`.
    pub fn parse(word: &str) -> Result<Self, UnknownToken> {
        let mut rest = word.chars();
        while let Some(c) = rest.next() {
            if c == '%' {
                match rest.next() {
                    Some('%' | 'h' | 'u' | 'U') => {}
                    other => return Err(UnknownToken(other)),
                }
            }
        }
        Ok(Self(word.to_owned()))
    }

    /// The file of a user. What is not an absolute path then is taken below the home directory.
    #[must_use]
    pub fn expand(&self, user: &str, uid: u32, home: &Path) -> PathBuf {
        let mut path = std::ffi::OsString::new();
        let mut rest = self.0.chars();
        while let Some(c) = rest.next() {
            match (c, if c == '%' { rest.next() } else { None }) {
                ('%', Some('h')) => path.push(home),
                ('%', Some('u')) => path.push(user),
                ('%', Some('U')) => path.push(uid.to_string()),
                (c, _) => path.push(c.encode_utf8(&mut [0; 4])),
            }
        }
        // PathBuf::join takes the second path alone if it is absolute.
        home.join(path)
    }
}

/// A `%` followed by something that has no meaning here, or by nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownToken(pub Option<char>);

/// Reads the time formats of sshd_config(5): seconds, or numbers with the units s, m, h, d, w as in `1h30m`.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(
                number
                    .unwrap_or(0)
                    .checked_mul(10)?
                    .checked_add(u64::from(digit))?,
            );
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            'w' => 7 * 24 * 60 * 60,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    if text.is_empty() {
        return None;
    }
    total = total.checked_add(number.unwrap_or(0))?;
    // The limit of OpenSSH, whose times are an int.
    (total <= 0x7fff_ffff).then(|| Duration::from_secs(total))
}

/// Reads a number of bytes with an optional K, M or G, as `1G`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (text.get(..at)?, 1 << 10),
        (at, 'm' | 'M') => (text.get(..at)?, 1 << 20),
        (at, 'g' | 'G') => (text.get(..at)?, 1 << 30),
        _ => (text, 1_u64),
    };
    number(digits)?.checked_mul(unit)
}

/// Reads decimal digits and nothing else (`FromStr` would take a sign).
pub(crate) fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Reads `start:rate:full`, or one number for a plain limit.
pub(crate) fn max_startups(text: &str) -> Option<MaxStartups> {
    let numbers: Vec<u32> = text
        .split(':')
        .map(|part| number(part).and_then(|n| u32::try_from(n).ok()))
        .collect::<Option<_>>()?;
    match *numbers.as_slice() {
        [full] if full >= 1 => Some(MaxStartups {
            start: full,
            rate: 100,
            full,
        }),
        [start, rate, full] if start >= 1 && start <= full && (1..=100).contains(&rate) => {
            Some(MaxStartups { start, rate, full })
        }
        _ => None,
    }
}

/// Reads a LogLevel.
pub(crate) fn log_level(text: &str) -> Option<LogLevel> {
    Some(match text.to_ascii_uppercase().as_str() {
        "QUIET" => LogLevel::Quiet,
        "FATAL" => LogLevel::Fatal,
        "ERROR" => LogLevel::Error,
        "INFO" => LogLevel::Info,
        "VERBOSE" => LogLevel::Verbose,
        "DEBUG" | "DEBUG1" => LogLevel::Debug1,
        "DEBUG2" => LogLevel::Debug2,
        "DEBUG3" => LogLevel::Debug3,
        _ => return None,
    })
}

/// Reads a PermitRootLogin.
pub(crate) fn permit_root_login(text: &str) -> Option<PermitRootLogin> {
    Some(match text.to_ascii_lowercase().as_str() {
        "yes" => PermitRootLogin::Yes,
        "prohibit-password" | "without-password" => PermitRootLogin::ProhibitPassword,
        "forced-commands-only" => PermitRootLogin::ForcedCommandsOnly,
        "no" => PermitRootLogin::No,
        _ => return None,
    })
}

/// Reads a Compression.
pub(crate) fn compression(text: &str) -> Option<Compression> {
    Some(match text.to_ascii_lowercase().as_str() {
        // What `yes` meant before, compression of strangers' packets, is gone from OpenSSH too.
        "yes" | "delayed" => Compression::Delayed,
        "no" => Compression::No,
        _ => return None,
    })
}

/// Reads yes or no.
pub(crate) fn yes_no(text: &str) -> Option<YesNo> {
    if text.eq_ignore_ascii_case("yes") {
        Some(YesNo::Yes)
    } else if text.eq_ignore_ascii_case("no") {
        Some(YesNo::No)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("1h30m", Some(5400)),
            ("1H30", Some(3630)),
            ("2d", Some(172_800)),
            ("1w1s", Some(604_801)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("99999999999999999999", None),
            ("", None),
            ("m", None),
            ("1y", None),
            ("-1", None),
            ("1 m", None),
        ] {
            assert_eq!(time(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("16", Some(16)),
            ("1K", Some(1024)),
            ("2m", Some(2 << 20)),
            ("1G", Some(1 << 30)),
            ("G", None),
            ("", None),
            ("+1", None),
            ("1T", None),
            ("99999999999G", None),
            ("1é", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn startups() {
        assert_eq!(
            max_startups("10:30:100"),
            Some(MaxStartups {
                start: 10,
                rate: 30,
                full: 100
            })
        );
        assert_eq!(
            max_startups("7"),
            Some(MaxStartups {
                start: 7,
                rate: 100,
                full: 7
            })
        );
        for text in [
            "",
            "0",
            "1:2",
            "10:0:100",
            "10:101:100",
            "10:30:9",
            "0:30:100",
            "a:b:c",
            "1:2:3:4",
            "-1",
        ] {
            assert_eq!(max_startups(text), None, "{text}");
        }
    }

    #[test]
    fn tokens_of_authorized_keys_files() {
        let home = Path::new("/home/a");
        for (word, expected) in [
            (".ssh/authorized_keys", "/home/a/.ssh/authorized_keys"),
            ("/etc/keys/%u", "/etc/keys/alice"),
            ("%h/x%%y", "/home/a/x%y"),
            ("/k/%U/%%u", "/k/1000/%u"),
        ] {
            let path = AuthorizedKeysFile::parse(word)
                .unwrap()
                .expand("alice", 1000, home);
            assert_eq!(path, Path::new(expected), "{word}");
        }
        assert_eq!(
            AuthorizedKeysFile::parse("%k"),
            Err(UnknownToken(Some('k')))
        );
        assert_eq!(AuthorizedKeysFile::parse("a%"), Err(UnknownToken(None)));
    }

    #[test]
    fn a_user_name_with_tokens_in_it_is_not_expanded_again() {
        let file = AuthorizedKeysFile::parse("/k/%u").unwrap();
        assert_eq!(
            file.expand("%h%U", 1, Path::new("/h")),
            Path::new("/k/%h%U")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[0-9smhdwKMG:]{0,30}") {
            time(&text);
            size(&text);
            max_startups(&text);
            drop(AuthorizedKeysFile::parse(&text));
        }
    }
}
