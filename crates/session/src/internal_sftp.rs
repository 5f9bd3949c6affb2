//! `internal-sftp` of sshd_config(5): the SFTP server that is started without a shell.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rpc::ConnectionId;

use crate::environment::Account;
use crate::second_stage::Root;
use crate::symlinks::Symlinks;

/// The word by which the configuration names it.
const WORD: &str = "internal-sftp";

/// The program. It is a file of the package: no word of a client or a user has a part in which program runs.
const PROGRAM: &str = "/usr/libexec/sshd-privsep/sftp";

/// What it is told of its environment, beside the account: what the server has said last. Above all no LD_PRELOAD: the
/// account may be one that is to run no program of its own, and its key, `~/.ssh/environment` and AcceptEnv may name any
/// variable. And no TZ, which names a file that is read before the server is in its cage.
const VARIABLES: &[&str] = &["SSH_CONNECTION"];

/// How it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InternalSftp {
    /// Its arguments, as the administrator or the owner of the key wrote them.
    arguments: Vec<String>,
    symlinks: Symlinks,
}

/// What a command line of the configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// The SFTP server.
    Sftp(InternalSftp),
    /// Something for the user's shell.
    Shell,
    /// The SFTP server with a quotation that has no end. What was meant may forbid something.
    Malformed,
}

impl Line {
    /// Tells what `line` is.
    pub(crate) fn of(line: &str) -> Self {
        let rest = match line.strip_prefix(WORD) {
            Some(rest) if rest.is_empty() || rest.starts_with([' ', '\t']) => rest,
            _ => return Self::Shell,
        };
        match words(rest) {
            Some(arguments) => Self::Sftp(InternalSftp {
                arguments,
                symlinks: Symlinks::TargetFirst,
            }),
            None => Self::Malformed,
        }
    }
}

impl InternalSftp {
    /// The same, for a client with this habit.
    pub(crate) fn with(self, symlinks: Symlinks) -> Self {
        Self { symlinks, ..self }
    }

    /// The command that becomes it, on behalf of a connection.
    pub(crate) fn command(
        &self,
        root: Root,
        account: &Account,
        connection: ConnectionId,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Command {
        let known = |name: &OsStr| VARIABLES.iter().any(|known| name == *known);
        let mut command = Command::new(PROGRAM);
        command
            .arg0(WORD)
            .arg(format!("--connection={connection}"))
            .args(match root {
                Root::Kept => None,
                Root::WorkingDirectory => Some("--jail"),
            })
            .args(match self.symlinks {
                Symlinks::TargetFirst => None,
                Symlinks::LinkFirst => Some("--link-first"),
            })
            .args(&self.arguments)
            .env_clear()
            .envs(environment.iter().filter(|(name, _)| known(name)))
            // Under this name it logs: not what the user may have set.
            .env("HOME", &account.home)
            .env("USER", &account.user)
            // As the second stage of a shell would: signals go to the group.
            .process_group(0);
        command
    }
}

/// The words of a line, with quotes and backslashes as elsewhere in sshd_config(5); none if a quotation has no end.
///
/// OpenSSH splits this one line at each space, quoted or not, and drops what is behind the ninth: of
/// `-P "remove,rmdir"` neither would be refused. What looks like a comment, in which an apostrophe quotes nothing, is one
/// word here: no option, to either server.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_default().push(rest.next()?),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (' ' | '\t', None) => words.extend(word.take()),
            ('#', None) if word.is_none() => {
                word = Some(format!("#{}", rest.as_str()));
                break;
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Rank;

    fn arguments(line: &str) -> Option<Vec<String>> {
        match Line::of(line) {
            Line::Sftp(sftp) => Some(sftp.arguments),
            Line::Shell | Line::Malformed => None,
        }
    }

    #[test]
    fn it_is_the_first_word_that_counts() {
        for (line, expected) in [
            ("internal-sftp", vec![]),
            ("internal-sftp ", vec![]),
            ("internal-sftp\t-R", vec!["-R"]),
            (
                "internal-sftp  -l INFO\t-u 027",
                vec!["-l", "INFO", "-u", "027"],
            ),
            (
                "internal-sftp -P \"remove,rmdir\"",
                vec!["-P", "remove,rmdir"],
            ),
            (
                "internal-sftp -d '/a b' -d /a\\ b",
                vec!["-d", "/a b", "-d", "/a b"],
            ),
            ("internal-sftp ''", vec![""]),
            ("internal-sftp -R # don't", vec!["-R", "# don't"]),
            ("internal-sftp -d a#b", vec!["-d", "a#b"]),
        ] {
            assert_eq!(arguments(line).unwrap(), expected, "{line}");
        }
        for line in [
            "internal-sftpd",
            "/internal-sftp",
            " internal-sftp",
            "",
            "INTERNAL-SFTP",
        ] {
            assert_eq!(Line::of(line), Line::Shell, "{line}");
        }
    }

    #[test]
    fn no_argument_is_dropped() {
        let line = format!("internal-sftp {}-R", "-e ".repeat(20));
        assert_eq!(arguments(&line).unwrap().last().unwrap(), "-R");
    }

    #[test]
    fn what_cannot_be_understood_is_not_run() {
        for line in [
            "internal-sftp -P \"remove",
            "internal-sftp 'x",
            "internal-sftp \\",
        ] {
            assert_eq!(Line::of(line), Line::Malformed, "{line}");
        }
    }

    #[test]
    fn no_variable_chooses_code_or_who_the_user_is() {
        let account = Account {
            user: "alice".into(),
            home: "/home/alice".into(),
            shell: "/bin/sh".into(),
            rank: Rank::User,
        };
        let environment = [
            ("HOME", "/home/bob"),
            ("LD_PRELOAD", "/home/alice/x.so"),
            ("LD_LIBRARY_PATH", "/home/alice"),
            ("GCONV_PATH", "/home/alice"),
            ("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22"),
            ("TZ", "/dev/zero"),
            ("USER", "bob"),
        ]
        .map(|(name, value)| (name.into(), value.into()));
        let Line::Sftp(sftp) = Line::of("internal-sftp") else {
            panic!("not recognised");
        };
        let id = ConnectionId::from_bytes([7; 8]);
        let command = sftp.command(Root::Kept, &account, id, &environment.into());
        let variables: Vec<_> = command.get_envs().collect();
        let expected = [
            ("HOME", "/home/alice"),
            ("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22"),
            ("USER", "alice"),
        ];
        let expected = expected.map(|(name, value)| (name.as_ref(), Some(value.as_ref())));
        assert_eq!(variables, expected);
    }
}
