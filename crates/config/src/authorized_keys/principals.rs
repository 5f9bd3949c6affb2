//! Lines of AuthorizedPrincipalsFile, see sshd_config(5): a principal, perhaps with options before it.

use super::options::{BadOptions, Options, Role};
use super::{LINE_LIMIT, Malformed};

/// A principal and what the line says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// To be compared with each of a certificate's, whole and with regard to case.
    pub name: String,
    /// The options before it.
    pub options: Options,
}

/// The principals of a file with the numbers of their lines, counted from 1. Lines without one are left out.
pub fn principals(file: &[u8]) -> impl Iterator<Item = (usize, Result<Principal, Malformed>)> {
    file.split(|byte| *byte == b'\n')
        .enumerate()
        .filter_map(|(at, line)| Some((at.saturating_add(1), principal(line)?)))
}

/// Reads one line, without its end. None if it has no principal.
#[must_use]
pub fn principal(line: &[u8]) -> Option<Result<Principal, Malformed>> {
    if line.len() > LINE_LIMIT {
        return Some(Err(Malformed::TooLong));
    }
    // As in OpenSSH a comment begins wherever there is a `#`, within quotes too.
    let line = line.split(|byte| *byte == b'#').next()?;
    let Ok(line) = std::str::from_utf8(line) else {
        return Some(Err(BadOptions::Encoding.into()));
    };
    let blank = [' ', '\t'];
    let line = line.trim_matches(blank);
    if line.is_empty() {
        return None;
    }
    // The last word is the principal, whatever quotes there are. Only without any space does a tab separate.
    let last = line.rfind(' ').or_else(|| line.rfind('\t'));
    let (options, name) = last.map_or(("", line), |at| line.split_at(at));
    let name = name.trim_start_matches(blank);
    let options = match options {
        "" => Ok(Options::default()),
        _ => Options::parse(line),
    };
    let principal = options.and_then(|options| match options.role {
        Role::User => Ok(Principal {
            name: name.to_owned(),
            options,
        }),
        Role::Authority { .. } => Err(BadOptions::NotHere("cert-authority")),
    });
    Some(principal.map_err(Malformed::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sshd::YesNo;

    fn read(line: &str) -> Principal {
        principal(line.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_principal_may_have_options() {
        assert_eq!(read("alice").name, "alice");
        assert_eq!(read(" \talice \t").name, "alice");
        let bare = read("alice").options;
        assert_eq!(bare, Options::default());
        let line = read("no-pty,command=\"a b\"  alice # who else");
        assert_eq!(line.name, "alice");
        let session = line.options.constraints.session;
        assert_eq!(session.forced_command.as_deref(), Some("a b"));
        assert_eq!(session.pty, YesNo::No);
        assert_eq!(read("no-pty\talice").name, "alice");
    }

    #[test]
    fn lines_without_a_principal_are_left_out_and_counted() {
        let file = b"# all\n\nalice\n  \nbob";
        let names: Vec<(usize, String)> = principals(file)
            .map(|(line, principal)| (line, principal.unwrap().name))
            .collect();
        assert_eq!(names, [(3, "alice".to_owned()), (5, "bob".to_owned())]);
    }

    #[test]
    fn a_line_with_bad_options_has_no_principal() {
        for (line, expected) in [
            ("alice bob", BadOptions::Unknown),
            ("command=\"x alice", BadOptions::EndQuote),
            ("command=\"a b # x\" alice", BadOptions::EndQuote),
            (
                "cert-authority alice",
                BadOptions::NotHere("cert-authority"),
            ),
            ("principals=\"a\" alice", BadOptions::NotHere("principals")),
        ] {
            let found = principal(line.as_bytes()).unwrap().unwrap_err();
            assert_eq!(found, Malformed::Options(expected), "{line}");
        }
        assert!(principal(b"al\xfc").unwrap().is_err());
        let long = "x".repeat(LINE_LIMIT + 1);
        assert_eq!(principal(long.as_bytes()), Some(Err(Malformed::TooLong)));
    }
}
