//! Lines of `~/.ssh/authorized_keys`, see sshd(8), AUTHORIZED_KEYS FILE FORMAT.
//!
//! The file belongs to a user who need not be honest: every line is bounded, and whatever it contains, other lines and
//! other users are not affected.
//!
//! ```text
//!  lines(file) ──▶ Entry { key, Options } ──┐
//!                                           ├─ Constraints::merge ──▶ Constraints ── met_by(Situation)
//!  principals(file) ──▶ Principal ──────────┘   (certificates)            └─ session: for who opens it
//! ```

mod constraints;
mod expiry;
mod options;
mod principals;

pub use constraints::{Constraints, MergeError, SessionConstraints, Situation, Tunnel, Unmet};
pub use expiry::{Expiry, LocalTime};
pub use options::{BadOptions, Options, Role};
pub use principals::{Principal, principal, principals};

use base64ct::{Base64, Encoding};
use thiserror::Error;

/// The longest file that is read, in bytes.
pub const FILE_LIMIT: usize = 1 << 20;

/// The longest line, in bytes. An RSA key of 16384 bits takes 3 KiB.
pub const LINE_LIMIT: usize = 16 * 1024;

/// The key types a line may have: the formats of public keys, not the signature algorithms.
const KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-mldsa44-ed25519@openssh.com",
];

/// A key and what the line says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What stands before the key.
    pub options: Options,
    /// As on the line, and the same as in the blob.
    pub key_type: String,
    /// The public key in the format of RFC 4253 section 6.6. Beyond its type it is not looked into.
    pub key_blob: Vec<u8>,
    /// The rest of the line.
    pub comment: String,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Empty, or a comment.
    Blank,
    /// A key.
    Key(Box<Entry>),
    /// Something that cannot be read.
    Malformed(Malformed),
}

/// Why a line cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Longer than [`LINE_LIMIT`].
    #[error("line is longer than {LINE_LIMIT} bytes")]
    TooLong,
    /// A quotation without end in the options.
    #[error("invalid key option string")]
    UnterminatedQuote,
    /// Options that cannot be read.
    #[error("bad key options: {0}")]
    Options(#[from] BadOptions),
    /// No key type, neither at the beginning nor after what could be options.
    #[error("no known key type")]
    NoKeyType,
    /// Nothing after the key type.
    #[error("no key after the key type")]
    NoKey,
    /// A key that is not base64 (RFC 4648 section 4, padded).
    #[error("the key is not valid base64")]
    BadBase64,
    /// A key of another type than the line says.
    #[error("the key is of another type than the line says")]
    TypeMismatch,
}

/// The lines of a file with their numbers, counted from 1.
pub fn lines(file: &[u8]) -> impl Iterator<Item = (usize, Line)> {
    file.split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(at, line)| (at.saturating_add(1), parse(line)))
}

/// Reads one line, without its end.
#[must_use]
pub fn parse(line: &[u8]) -> Line {
    if line.len() > LINE_LIMIT {
        return Line::Malformed(Malformed::TooLong);
    }
    // Comments may be in any encoding. What is not ASCII in a key fails there; options must not be changed by reading.
    let text = String::from_utf8_lossy(line);
    let text = text.trim_matches(is_blank);
    if text.is_empty() || text.starts_with('#') {
        return Line::Blank;
    }
    match entry(text) {
        Ok(entry) => Line::Key(Box::new(entry)),
        Err(malformed) => Line::Malformed(malformed),
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

fn entry(line: &str) -> Result<Entry, Malformed> {
    let (options, rest) = if KEY_TYPES.contains(&first_word(line).0) {
        (Options::default(), line)
    } else {
        // As OpenSSH: what does not begin with a key begins with options.
        let (options, rest) = split_options(line)?;
        if !KEY_TYPES.contains(&first_word(rest).0) {
            return Err(Malformed::NoKeyType);
        }
        if options.contains(char::REPLACEMENT_CHARACTER) {
            return Err(BadOptions::Encoding.into());
        }
        // The whole line: a comma may stand before the blank.
        (Options::parse(line)?, rest)
    };
    let (key_type, rest) = first_word(rest);
    let (key, comment) = first_word(rest);
    if key.is_empty() {
        return Err(Malformed::NoKey);
    }
    let key_blob = Base64::decode_vec(key).map_err(|_| Malformed::BadBase64)?;
    if inner_type(&key_blob) != Some(key_type.as_bytes()) {
        return Err(Malformed::TypeMismatch);
    }
    Ok(Entry {
        options,
        key_type: key_type.to_owned(),
        key_blob,
        comment: comment.to_owned(),
    })
}

/// The text up to the first blank, and what follows the blanks.
fn first_word(text: &str) -> (&str, &str) {
    match text.split_once(is_blank) {
        None => (text, ""),
        Some((word, rest)) => (word, rest.trim_start_matches(is_blank)),
    }
}

/// The options of a line, and what follows them: they end at the first blank outside of double quotes.
fn split_options(line: &str) -> Result<(&str, &str), Malformed> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            c if is_blank(c) && !quoted => {
                let (options, rest) = line.split_at(at);
                return Ok((options, rest.trim_start_matches(is_blank)));
            }
            _ => {}
        }
        // Only \" has a meaning, as in OpenSSH: a second backslash does not take it away.
        escaped = c == '\\';
    }
    if quoted {
        Err(Malformed::UnterminatedQuote)
    } else {
        Ok((line, ""))
    }
}

/// The first string of a public key: its type.
fn inner_type(blob: &[u8]) -> Option<&[u8]> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIPbTgCAkSkFk8P3vOmrMC1q+cYOJJ6vEnJ6Vq3lyK1Ty";

    fn key(line: &str) -> Entry {
        match parse(line.as_bytes()) {
            Line::Key(entry) => *entry,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn malformed(line: &str) -> Malformed {
        match parse(line.as_bytes()) {
            Line::Malformed(malformed) => malformed,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_plain_key() {
        let entry = key(&format!(
            "  ssh-ed25519\t{KEY}  alice@example, of course \r"
        ));
        assert_eq!(entry.key_type, "ssh-ed25519");
        assert_eq!(entry.key_blob.len(), 51);
        assert_eq!(entry.comment, "alice@example, of course");
        assert_eq!(entry.options, Options::default());
        assert_eq!(key(&format!("ssh-ed25519 {KEY}")).comment, "");
    }

    #[test]
    fn blank_lines_and_comments() {
        for line in ["", "   ", "\t", "# ssh-ed25519 AAAA", "  #"] {
            assert_eq!(parse(line.as_bytes()), Line::Blank, "{line:?}");
        }
    }

    #[test]
    fn options_end_where_their_quotes_do() {
        let entry = key(&format!(
            r#"No-PTY,command="echo \"a, b\" \\ c",from="10.0.0.0/8" ssh-ed25519 {KEY} c"#
        ));
        let constraints = entry.options.constraints;
        assert_eq!(
            constraints.session.forced_command.as_deref(),
            Some(r#"echo "a, b" \\ c"#)
        );
        assert_eq!(constraints.names(), ["command", "no-pty"]);
        assert_eq!(constraints.from.len(), 1);
        assert_eq!(entry.comment, "c");
    }

    #[test]
    fn an_option_cannot_hide_behind_a_key_type_in_its_value() {
        let entry = key(&format!(r#"command="ssh-ed25519 {KEY}" ssh-ed25519 {KEY}"#));
        assert_eq!(entry.options.constraints.names(), ["command"]);
    }

    #[test]
    fn a_comma_before_the_key_is_permitted() {
        let entry = key(&format!("no-pty, ssh-ed25519 {KEY}"));
        assert_eq!(entry.options.constraints.names(), ["no-pty"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (line, expected) in [
            (
                format!("command=\"x ssh-ed25519 {KEY}"),
                Malformed::UnterminatedQuote,
            ),
            (
                format!("command=x ssh-ed25519 {KEY}"),
                BadOptions::StartQuote.into(),
            ),
            (
                format!("no-such-option ssh-ed25519 {KEY}"),
                BadOptions::Unknown.into(),
            ),
            (
                format!("command=\"\u{fffd}\" ssh-ed25519 {KEY}"),
                BadOptions::Encoding.into(),
            ),
            ("no-pty".to_owned(), Malformed::NoKeyType),
            (format!("ssh-foo {KEY}"), Malformed::NoKeyType),
            (format!("rsa-sha2-512 {KEY}"), Malformed::NoKeyType),
            ("ssh-ed25519".to_owned(), Malformed::NoKey),
            ("ssh-ed25519 !!!!".to_owned(), Malformed::BadBase64),
            (
                format!("ssh-ed25519 {}", &KEY[..KEY.len() - 1]),
                Malformed::BadBase64,
            ),
            (format!("ssh-rsa {KEY}"), Malformed::TypeMismatch),
            ("ssh-rsa AAAA".to_owned(), Malformed::TypeMismatch),
            ("ssh-rsa /////w==".to_owned(), Malformed::TypeMismatch),
            (format!("# {}", "x".repeat(LINE_LIMIT)), Malformed::TooLong),
        ] {
            assert_eq!(malformed(&line), expected, "{line}");
        }
    }

    #[test]
    fn a_comment_may_be_in_any_encoding_and_options_may_not() {
        let mut line = format!("ssh-ed25519 {KEY} J").into_bytes();
        line.push(0xfc);
        assert!(matches!(parse(&line), Line::Key(_)));
        let line = [b"command=\"J\xfc\" ".as_slice(), &line].concat();
        let encoding = Malformed::Options(BadOptions::Encoding);
        assert_eq!(parse(&line), Line::Malformed(encoding));
    }

    #[test]
    fn lines_are_counted_from_one() {
        let file = format!("# a\n\nssh-ed25519 {KEY}\nx");
        let numbers: Vec<usize> = lines(file.as_bytes())
            .filter(|(_, line)| matches!(line, Line::Key(_)))
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, [3]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            assert!(lines(&bytes).count() >= 1);
        }

        #[test]
        fn no_line_of_likely_parts_panics(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("ssh-ed25519"), Just(" "), Just("\""), Just("\\"), Just(","), Just("="), Just("command"), Just(KEY),
                    Just("é"), Just("restrict"), Just("from="), Just("permitopen="), Just("[::1]:22"), Just("no-pty"),
                ],
                0..16,
            )
        ) {
            prop_assert_eq!(lines(parts.concat().as_bytes()).count(), 1);
        }

        #[test]
        fn option_values_survive(value in "[ -~]{0,40}") {
            // A backslash before the closing quote would escape it; OpenSSH has no way to write that either.
            prop_assume!(!value.ends_with('\\') && !value.contains("\\\""));
            let line = format!("command=\"{}\" ssh-ed25519 {KEY}", value.replace('"', "\\\""));
            let entry = key(&line);
            let command = entry.options.constraints.session.forced_command;
            prop_assert_eq!(command, Some(value));
        }
    }
}
