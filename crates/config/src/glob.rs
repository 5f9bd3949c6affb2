//! Names of files by pattern, glob(7).

use std::path::{Component, Path, PathBuf};

/// What is not itself in a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// How many entries of a directory are looked at, and how many paths are considered: directories can be a user's.
const LIMIT: usize = 4096;

/// The paths that a pattern stands for and that exist, sorted as glob(3) does in the C locale. At most 4096 are considered.
#[must_use]
pub fn paths(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let wildcard = match component {
            Component::Normal(name) => name.to_str().filter(|name| name.contains(WILDCARDS)),
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
                    .take(LIMIT)
                    .collect()
            }
        }
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

/// The files that a configured name stands for: those that match if it has wildcards, else itself, whether it exists or
/// not, for whoever opens it to say.
#[must_use]
pub fn files(name: &Path) -> Vec<PathBuf> {
    match name.to_str().is_some_and(|name| name.contains(WILDCARDS)) {
        true => paths(name),
        false => vec![name.to_owned()],
    }
}

/// The entries of a directory that match. A directory that cannot be read has none, as for glob(3).
fn matching(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = directory.read_dir() else {
        return Vec::new();
    };
    let pattern: Vec<char> = pattern.chars().collect();
    entries
        .take(LIMIT)
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
        let found = paths(&directory.join("?/*.conf"));
        let missing = paths(&directory.join("x/nothing.conf"));
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found, [inner.join("a.conf"), inner.join("b.conf")]);
        assert!(missing.is_empty());
    }
}
