//! Names of files, commands and users, with their tokens.

use crate::sshd::lexer::{self, Malformed, Word};
use crate::sshd::setting::{Arguments, Effect, Kind, joined, or_none};
use std::path::{Path, PathBuf};

/// A file. `none` is none; a relative name is below `/`, the directory in which services run.
pub(crate) const FILE: Kind<Option<PathBuf>> = Kind::new(
    |arguments| {
        let word = arguments.word("the name of a file")?;
        file(arguments, word)
    },
    |path| or_none(path.as_deref().map(shown)),
);

/// Host keys: each line adds one.
pub(crate) const FILES: Kind<Vec<PathBuf>> = Kind {
    again: |place, paths| {
        for path in paths {
            // By what was written; `==` of paths would go through their components.
            if !place
                .iter()
                .any(|known| known.as_os_str() == path.as_os_str())
            {
                place.push(path);
            }
        }
        Effect::Counts
    },
    ..Kind::new(
        |arguments| {
            let word = arguments.word("the name of a file")?;
            Ok(file(arguments, word)?.into_iter().collect())
        },
        |paths| match paths.as_slice() {
            [] => vec!["none".to_owned()],
            paths => paths.iter().map(|path| shown(path)).collect(),
        },
    )
};

/// As [`FILES`]; without any, the keyword is left out.
pub(crate) const CERTIFICATES: Kind<Vec<PathBuf>> = Kind {
    show: |paths| paths.iter().map(|path| shown(path)).collect(),
    ..FILES
};

/// Files on one line.
pub(crate) const FILE_LIST: Kind<Vec<PathBuf>> = Kind::new(
    |arguments| {
        let words = arguments.words_or("none", "the names of files")?;
        let files = words.into_iter().map(|word| file(arguments, word));
        Ok(files
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    },
    |paths| {
        let words = paths.iter().map(|path| shown(path));
        joined(words).into_iter().collect()
    },
);

/// One file, or a word with a meaning of its own.
pub(crate) const FILE_OR_WORD: Kind<Option<String>> = Kind::new(
    |arguments| {
        let word = arguments.word("the name of a file")?;
        if word.text.eq_ignore_ascii_case("internal") || word.text == "SSH_AUTH_SOCK" {
            return Ok(Some(word.text.clone()));
        }
        Ok(file(arguments, word)?.map(|path| path.display().to_string()))
    },
    NAME.show,
);

/// The name of a user, a service or a routing domain; `none` is none.
pub(crate) const NAME: Kind<Option<String>> = Kind::new(
    |arguments| {
        let word = arguments.word("a name")?;
        Ok(some_unless_none(&word.text))
    },
    |name| or_none(name.as_deref().map(lexer::quoted)),
);

/// The name of a service, which there always is: a file of `/etc/pam.d`, never a path.
pub(crate) const SERVICE: Kind<String> = Kind::new(
    |arguments| {
        const EXPECTED: &str = "the name of a PAM service";
        let word = arguments.word(EXPECTED)?;
        match is_service(&word.text) {
            true => Ok(word.text.clone()),
            false => Err(arguments.bad(word, EXPECTED)),
        }
    },
    |name| vec![lexer::quoted(name)],
);

fn is_service(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

/// A routing domain; left out if there is none, as OpenSSH does on Linux.
pub(crate) const ROUTING_DOMAIN: Kind<Option<String>> = Kind {
    show: |name| name.iter().map(|name| lexer::quoted(name)).collect(),
    ..NAME
};

/// A file that has a meaning only for OpenSSH; left out if there is none.
pub(crate) const FOREIGN_FILE: Kind<Option<PathBuf>> = Kind {
    show: |path| path.iter().map(|path| shown(path)).collect(),
    ..FILE
};

/// AuthorizedKeysFile.
pub(crate) const KEY_FILES: Kind<Vec<AuthorizedKeysFile>> = Kind::new(
    |arguments| {
        let words = arguments.words_or("none", "the names of files")?;
        words
            .into_iter()
            .map(|word| key_file(arguments, word))
            .collect()
    },
    |files| or_none(joined(files.iter().map(|file| lexer::quoted(&file.0)))),
);

/// AuthorizedPrincipalsFile.
pub(crate) const KEY_FILE: Kind<Option<AuthorizedKeysFile>> = Kind::new(
    |arguments| {
        let word = arguments.word("the name of a file, or none")?;
        match word.text.eq_ignore_ascii_case("none") {
            true => Ok(None),
            false => key_file(arguments, word).map(Some),
        }
    },
    |file| or_none(file.as_ref().map(|file| lexer::quoted(&file.0))),
);

/// ChrootDirectory.
pub(crate) const DIRECTORY: Kind<Option<Template>> = Kind::new(
    |arguments| {
        let word = arguments.word("a directory, or none")?;
        template(arguments, word, &word.text, "hUu")
    },
    |path| or_none(path.as_ref().map(|path| lexer::quoted(&path.0))),
);

/// AuthorizedKeysCommand: the rest of the line.
pub(crate) const KEYS_COMMAND: Kind<Option<Template>> =
    Kind::new(|arguments| command(arguments, "CDfhktUu"), show_command);

/// AuthorizedPrincipalsCommand: the rest of the line.
pub(crate) const PRINCIPALS_COMMAND: Kind<Option<Template>> = Kind::new(
    |arguments| command(arguments, "CDFfhiKksTtUu"),
    show_command,
);

/// AuthorizedKeysCommandUser and AuthorizedPrincipalsCommandUser.
pub(crate) const COMMAND_USER: Kind<Option<Template>> = Kind::new(
    |arguments| {
        let word = arguments.word("the name of a user")?;
        template(arguments, word, &word.text, "u")
    },
    |user| or_none(user.as_ref().map(|user| lexer::quoted(&user.0))),
);

/// A text to the end of the line; `none` is none.
pub(crate) const LINE: Kind<Option<String>> = Kind::new(
    |arguments| Ok(some_unless_none(&arguments.tail("a text, or none")?.text)),
    |text| or_none(text.clone()),
);

pub(crate) fn some_unless_none(text: &str) -> Option<String> {
    (!text.eq_ignore_ascii_case("none")).then(|| text.to_owned())
}

fn shown(path: &Path) -> String {
    lexer::quoted(&path.display().to_string())
}

/// OpenSSH takes `~` for the home directory of root, whoever logs in. Whoever writes it means something else.
fn refuse_tilde(arguments: &Arguments<'_>, word: &Word) -> Result<(), Malformed> {
    match word.text.starts_with('~') {
        true => Err(arguments.bad(
            word,
            "the name of a file; \"~\" would be root's home directory",
        )),
        false => Ok(()),
    }
}

fn file(arguments: &Arguments<'_>, word: &Word) -> Result<Option<PathBuf>, Malformed> {
    refuse_tilde(arguments, word)?;
    Ok(some_unless_none(&word.text).map(|name| Path::new("/").join(name)))
}

fn key_file(arguments: &Arguments<'_>, word: &Word) -> Result<AuthorizedKeysFile, Malformed> {
    refuse_tilde(arguments, word)?;
    AuthorizedKeysFile::parse(&word.text)
        .map_err(|_| arguments.bad(word, "a file name with no tokens but %%, %h, %u and %U"))
}

fn command(arguments: &mut Arguments<'_>, tokens: &str) -> Result<Option<Template>, Malformed> {
    let tail = arguments.tail("a command with an absolute path, or none")?;
    if !tail.text.starts_with('/') && !tail.text.eq_ignore_ascii_case("none") {
        return Err(arguments.bad(tail, "a command with an absolute path, or none"));
    }
    template(arguments, tail, &tail.text, tokens)
}

fn show_command(command: &Option<Template>) -> Vec<String> {
    or_none(command.as_ref().map(|command| command.0.clone()))
}

fn template(
    arguments: &Arguments<'_>,
    word: &Word,
    text: &str,
    tokens: &str,
) -> Result<Option<Template>, Malformed> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    Template::parse(text, tokens)
        .map(Some)
        .map_err(|UnknownToken(token)| {
            let token = token.map(String::from).unwrap_or_default();
            let known: Vec<String> = tokens.chars().map(|known| format!("%{known}")).collect();
            let known = known.join(", ");
            arguments.bad(
                word,
                format!("free of the token \"%{token}\"; known are %%, {known}"),
            )
        })
}

/// A text with tokens, as sshd_config(5), TOKENS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Reads a text in which `%%` and the tokens named by the letters of `tokens` can occur.
    ///
    /// # Errors
    ///
    /// The first other token.
    pub fn parse(text: &str, tokens: &str) -> Result<Self, UnknownToken> {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c == '%' {
                match rest.next() {
                    Some('%') => {}
                    Some(token) if tokens.contains(token) => {}
                    other => return Err(UnknownToken(other)),
                }
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its words, as argv_split() of OpenSSH: quotes and backslashes as in a line of sshd_config, and no comments. None if
    /// a quotation has no end.
    #[must_use]
    pub fn words(&self) -> Option<Vec<Self>> {
        Some(lexer::words(&self.0)?.into_iter().map(Self).collect())
    }

    /// The text with its tokens replaced. What replaces one is not looked into again: a user's name may contain a `%`.
    #[must_use]
    pub fn expand(&self, value: impl Fn(char) -> String) -> String {
        let mut expanded = String::new();
        let mut rest = self.0.chars();
        while let Some(c) = rest.next() {
            match (c, if c == '%' { rest.next() } else { None }) {
                ('%', Some(token)) if token != '%' => expanded.push_str(&value(token)),
                (c, _) => expanded.push(c),
            }
        }
        expanded
    }
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
        Template::parse(word, "huU").map(|Template(word)| Self(word))
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let template = Template::parse("/bin/x %u 100%%", "u").unwrap();
        assert_eq!(template.expand(|_| "%u%%".to_owned()), "/bin/x %u%% 100%");
    }

    #[test]
    fn a_command_is_split_before_its_tokens_are_replaced() {
        let words = |text: &str| {
            let words = Template::parse(text, "hu").unwrap().words()?;
            let expanded = words.iter().map(|word| word.expand(|_| "a b'".to_owned()));
            Some(expanded.collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("/bin/x", vec!["/bin/x"]),
            ("/bin/x  %u\t%h ", vec!["/bin/x", "a b'", "a b'"]),
            (
                "/bin/x \"%u c\" 'd\"'e \"\"",
                vec!["/bin/x", "a b' c", "d\"e", ""],
            ),
            (
                r#"/bin/x \"y \ z \\ \n"#,
                vec!["/bin/x", "\"y", " z", "\\", "\\n"],
            ),
            ("/bin/x # %u", vec!["/bin/x", "#", "a b'"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(words(text), Some(expected), "{text}");
        }
        assert_eq!(words("/bin/x # it's"), None);
    }

    #[test]
    fn a_keyword_has_its_own_tokens() {
        assert_eq!(Template::parse("%k", "hu"), Err(UnknownToken(Some('k'))));
        assert!(Template::parse("%h %u %%", "hu").is_ok());
    }
}
