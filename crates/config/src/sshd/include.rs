//! Where included files come from.

use crate::sshd::report::ErrorKind;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The longest configuration file, in bytes.
const FILE_LIMIT: usize = 1 << 20;

/// Where relative names of Include are looked for.
const BASE: &str = "/etc/ssh";

/// A file's name and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// For messages.
    pub name: String,
    /// The contents. Bytes that are not UTF-8 are the replacement character, which the parser refuses outside of comments.
    pub text: String,
}

impl IncludedFile {
    pub(crate) fn read(path: &Path) -> Result<Self, ErrorKind> {
        Ok(Self {
            text: read(path)?,
            name: path.display().to_string(),
        })
    }
}

/// What a configuration takes from the system: the files that an Include names, and the names of services.
pub trait Includes {
    /// The files for one word of an Include: a name, or a pattern of glob(7). In lexical order; no match is no error.
    ///
    /// # Errors
    ///
    /// A file that matches and cannot be read.
    fn resolve(&self, pattern: &str) -> Result<Vec<IncludedFile>, ErrorKind>;

    /// The TCP port of a service, services(5).
    fn service(&self, name: &str) -> Option<u16>;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Includes for FileSystem {
    fn resolve(&self, pattern: &str) -> Result<Vec<IncludedFile>, ErrorKind> {
        glob(&Path::new(BASE).join(pattern))
            .iter()
            .map(|path| IncludedFile::read(path))
            .collect()
    }

    fn service(&self, name: &str) -> Option<u16> {
        // A line is `name port/protocol alias…`.
        read(Path::new("/etc/services"))
            .ok()?
            .lines()
            .find_map(|line| {
                let line = line.split('#').next()?;
                let mut words = line.split_ascii_whitespace();
                let (first, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
                let named = first == name || words.any(|alias| alias == name);
                named.then(|| port.parse().ok()).flatten()
            })
    }
}

/// No files, for text that must not include anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Includes for NoFiles {
    fn resolve(&self, _: &str) -> Result<Vec<IncludedFile>, ErrorKind> {
        Ok(Vec::new())
    }

    fn service(&self, _: &str) -> Option<u16> {
        None
    }
}

/// Reads a configuration file.
fn read(path: &Path) -> Result<String, ErrorKind> {
    let unreadable = |error: std::io::Error| ErrorKind::Unreadable {
        path: path.to_owned(),
        error: error.to_string(),
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > FILE_LIMIT {
        return Err(ErrorKind::TooLong {
            path: path.to_owned(),
            limit: FILE_LIMIT,
        });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The paths that a pattern stands for, sorted as glob(3) does in the C locale.
fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let wildcard = match component {
            Component::Normal(name) => name.to_str().filter(|name| name.contains(['*', '?', '['])),
            _ => None,
        };
        match wildcard {
            None => {
                for path in &mut found {
                    path.push(component);
                }
            }
            Some(wildcard) => {
                found = found
                    .iter()
                    .flat_map(|directory| matching(directory, wildcard))
                    .collect()
            }
        }
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

/// The entries of a directory that match. A directory that cannot be read has none, as for glob(3).
fn matching(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = directory.read_dir() else {
        return Vec::new();
    };
    let pattern: Vec<char> = pattern.chars().collect();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        // A wildcard does not stand for the dot of a hidden file.
        .filter(|name| !name.starts_with('.') || pattern.first() == Some(&'.'))
        .filter(|name| matches(&pattern, &name.chars().collect::<Vec<_>>()))
        .map(|name| directory.join(name))
        .collect()
}

/// fnmatch(3) with `*`, `?` and `[…]`, in at most |pattern| × |name| steps: only the last star is ever tried again.
fn matches<'a>(mut pattern: &'a [char], mut name: &'a [char]) -> bool {
    let mut retry = None;
    loop {
        if let ['*', after @ ..] = pattern {
            retry = Some((after, name));
            pattern = after;
        } else if let Some(rest) = after_one(pattern, name) {
            (pattern, name) = rest;
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else {
            let Some((after, [_, shorter @ ..])) = retry else {
                return false;
            };
            retry = Some((after, shorter));
            (pattern, name) = (after, shorter);
        }
    }
}

/// What is left if the first character of a name is what a pattern without a star begins with.
fn after_one<'a>(pattern: &'a [char], name: &'a [char]) -> Option<(&'a [char], &'a [char])> {
    let (c, rest) = name.split_first()?;
    let (wanted, after) = pattern.split_first()?;
    let after = match wanted {
        '?' => after,
        '[' => match class(after, *c) {
            Some((true, after)) => after,
            Some((false, _)) => return None,
            // A bracket that is not closed stands for itself.
            None if *c == '[' => after,
            None => return None,
        },
        wanted if wanted == c => after,
        _ => return None,
    };
    Some((after, rest))
}

/// Whether a character is in a bracket expression, and what follows the expression.
fn class(inside: &[char], c: char) -> Option<(bool, &[char])> {
    let (negated, mut members) = match inside {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, inside),
    };
    let mut found = false;
    let mut first = true;
    loop {
        match members {
            [']', after @ ..] if !first => return Some((found != negated, after)),
            [from, '-', to, rest @ ..] if *to != ']' => {
                found |= (*from..=*to).contains(&c);
                members = rest;
            }
            [member, rest @ ..] => {
                found |= *member == c;
                members = rest;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_patterns() {
        for (pattern, name, expected) in [
            ("*.conf", "10-a.conf", true),
            ("*.conf", "10-a.conf.bak", false),
            ("[0-4]?-*", "10-a", true),
            ("[!0-4]*", "10-a", false),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[a-]", "-", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*[0-9]?.conf", "x12y.conf", true),
            // This many stars would take the obvious recursion years.
            ("*a*a*a*a*a*a*a*a*a*a*a*a*b", &"a".repeat(255), false),
        ] {
            let pattern_chars: Vec<char> = pattern.chars().collect();
            let name_chars: Vec<char> = name.chars().collect();
            assert_eq!(
                matches(&pattern_chars, &name_chars),
                expected,
                "{pattern} on {name}"
            );
        }
    }

    #[test]
    fn patterns_find_files_in_lexical_order_and_no_hidden_ones() {
        let directory = std::env::temp_dir().join(format!("config-glob-{}", std::process::id()));
        let inner = directory.join("x");
        std::fs::create_dir_all(&inner).unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt"] {
            std::fs::write(inner.join(name), "").unwrap();
        }
        let found = glob(&directory.join("?/*.conf"));
        let missing = glob(&directory.join("x/nothing.conf"));
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found, [inner.join("a.conf"), inner.join("b.conf")]);
        assert!(missing.is_empty());
    }

    #[test]
    fn services_have_ports() {
        assert_eq!(FileSystem.service("ssh"), Some(22));
        assert_eq!(FileSystem.service("no-such-service"), None);
    }

    #[test]
    fn an_endless_file_is_refused() {
        assert!(matches!(
            read(Path::new("/dev/zero")),
            Err(ErrorKind::TooLong { .. })
        ));
    }
}
