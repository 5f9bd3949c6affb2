//! What is wrong with a configuration, and where.

use super::values::identification::LINE_LIMIT;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name, as it was given or as an Include found it.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub width: usize,
    /// The whole line, without its end. Shared: one line can be worth many remarks.
    pub text: Arc<str>,
}

impl fmt::Display for Location {
    /// `file:line:column`, which editors and terminals understand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Location {
    /// The line with a marker below the place that is meant.
    fn excerpt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |c: char| match c.is_control() && c != '\t' {
            true => '\u{fffd}',
            false => c,
        };
        // A tab is as wide as the terminal makes it, so the marker line has it too.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let line: String = self.text.chars().map(printable).collect();
        let before = self.text.chars().take(self.column.saturating_sub(1));
        let before: String = before.map(blank).collect();
        let marker = "^".repeat(self.width.max(1));
        write!(f, "\n    {line}\n    {before}{marker}")
    }
}

/// One error of a configuration. `Display` shows where, what, and the line with a marker.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    /// Where; none if the file itself could not be read.
    pub location: Option<Location>,
    /// What.
    pub kind: ErrorKind,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            None => write!(f, "{}", self.kind),
            Some(location) => {
                write!(f, "{location}: {}", self.kind)?;
                location.excerpt(f)
            }
        }
    }
}

impl std::error::Error for Error {}

/// What can be wrong.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// A file is longer than a configuration can sensibly be.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// A keyword that does not exist.
    #[error("unknown keyword {keyword:?}{}", did_you_mean(.suggestion.as_deref()))]
    UnknownKeyword {
        /// As written.
        keyword: String,
        /// The keyword that looks most like it.
        suggestion: Option<String>,
    },
    /// A keyword that this version cannot obey, and that must not be ignored.
    #[error("{keyword} is not supported by this version and cannot be ignored: {why}")]
    Refused {
        /// Its proper name.
        keyword: &'static str,
        /// What would happen if it were ignored.
        why: &'static str,
    },
    /// No value.
    #[error("{keyword} needs a value: {expected}")]
    MissingArgument {
        /// Its proper name.
        keyword: &'static str,
        /// What is expected.
        expected: String,
    },
    /// More values than the keyword takes.
    #[error("{keyword} takes no further value")]
    ExtraArgument {
        /// Its proper name.
        keyword: &'static str,
    },
    /// A value that cannot be read.
    #[error("{keyword}: {value:?} is not {expected}")]
    BadValue {
        /// Its proper name.
        keyword: &'static str,
        /// As written.
        value: String,
        /// What is expected.
        expected: String,
    },
    /// An algorithm nobody knows.
    #[error("{keyword}: unknown algorithm {name:?}{}", did_you_mean(*.suggestion))]
    UnknownAlgorithm {
        /// The keyword's proper name.
        keyword: &'static str,
        /// As written.
        name: String,
        /// The algorithm that looks most like it.
        suggestion: Option<&'static str>,
    },
    /// A list of algorithms from which nothing remains.
    #[error("{keyword}: no algorithm of this list is offered by this server; it offers {offered}")]
    NoAlgorithmLeft {
        /// The keyword's proper name.
        keyword: &'static str,
        /// What there is.
        offered: String,
    },
    /// A keyword that holds for the whole server.
    #[error("{keyword} cannot stand in a Match block")]
    NotInMatch {
        /// Its proper name.
        keyword: &'static str,
    },
    /// A Match that cannot be read.
    #[error(transparent)]
    Match(super::matching::MatchError),
    /// A keyword that cannot be given on the command line.
    #[error("{keyword} cannot stand on the command line")]
    NotAnOption {
        /// Its proper name.
        keyword: &'static str,
    },
    /// Two values of which one needs the other.
    #[error("{keyword} needs {other}")]
    Needs {
        /// Its proper name.
        keyword: &'static str,
        /// The proper name of the other.
        other: &'static str,
    },
    /// AuthenticationMethods without a list that can be fulfilled.
    #[error(
        "AuthenticationMethods cannot be satisfied by enabled authentication methods: not enabled are {}",
        .disabled.join(", ")
    )]
    Unsatisfiable {
        /// The methods that would have to be enabled.
        disabled: Vec<String>,
    },
    /// An address of a family that AddressFamily excludes.
    #[error("ListenAddress {host} is not of the AddressFamily {family}")]
    WrongFamily {
        /// The address.
        host: String,
        /// The family.
        family: &'static str,
    },
    /// More ports than OpenSSH takes.
    #[error("more than {0} ports")]
    TooManyPorts(usize),
    /// A quotation without end.
    #[error("quotation mark without a second one")]
    UnterminatedQuote,
    /// A value that is not text.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// Includes that include each other.
    #[error("Include within Include, more than {0} deep; does a file include itself?")]
    IncludeDepth(usize),
    /// Includes of includes of includes.
    #[error("more than {0} included files")]
    IncludeCount(usize),
    /// Two values that do not fit together.
    #[error("WorkerPoolIdle {idle} is larger than WorkerPoolMax {max}")]
    PoolSizes {
        /// WorkerPoolIdle.
        idle: u32,
        /// WorkerPoolMax.
        max: u32,
    },
    /// A first line that no client need take.
    #[error(
        "SoftwareVersion and VersionAddendum make an identification string of {length} bytes; \
         RFC 4253 section 4.2 permits {LINE_LIMIT}"
    )]
    LongIdentification {
        /// Of the line, CR and LF included.
        length: usize,
    },
}

pub(crate) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// All errors of a configuration, in the order of the text.
#[derive(Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Something that an administrator should know, but that keeps nothing from working. `Display` gives one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub location: Location,
    /// What.
    pub kind: WarningKind,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.kind)
    }
}

/// What there is to know.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// The keyword has no meaning for this server.
    #[error("{keyword} has no effect: {why}")]
    NoEffect {
        /// Its proper name.
        keyword: &'static str,
        /// Who does it instead.
        why: &'static str,
    },
    /// The keyword is not obeyed by this version; that permits nothing.
    #[error("{keyword} has no effect in this version: {why}")]
    NotYet {
        /// Its proper name.
        keyword: &'static str,
        /// What happens instead.
        why: &'static str,
    },
    /// One value of the keyword is not obeyed by this version; that permits nothing.
    #[error("{keyword} {value} has no effect in this version: {why}")]
    ValueNotYet {
        /// Its proper name.
        keyword: &'static str,
        /// The value.
        value: &'static str,
        /// What happens instead.
        why: &'static str,
    },
    /// The keyword has had no effect in OpenSSH for years.
    #[error("{keyword} is deprecated and has no effect")]
    Deprecated {
        /// Its proper name.
        keyword: &'static str,
    },
    /// An algorithm that OpenSSH has and this server has not.
    #[error("{keyword}: {name} is not offered by this server")]
    AlgorithmSkipped {
        /// The keyword's proper name.
        keyword: &'static str,
        /// The name or pattern.
        name: String,
    },
    /// A pattern or name to be removed from a list that contains nothing like it.
    #[error("{keyword}: {name:?} removes nothing")]
    NothingRemoved {
        /// The keyword's proper name.
        keyword: &'static str,
        /// The name or pattern.
        name: String,
    },
}

/// The candidate that differs least from `word`, if it differs so little that a slip of the finger explains it.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    // Longer ones are no slip, and the comparison takes quadratic time.
    if word.len() > 64 {
        return None;
    }
    let tolerance = (word.len() / 3).clamp(1, 3);
    candidates
        // At least so many characters would have to be inserted or removed.
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= tolerance)
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: how many characters must be inserted, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn suggests_only_what_a_slip_explains() {
        let names = ["PermitRootLogin", "PermitTTY", "Port"];
        assert_eq!(
            closest("permitrotlogin", names.into_iter()),
            Some("PermitRootLogin")
        );
        assert_eq!(closest("Prot", names.into_iter()), None);
        assert_eq!(closest("FlyToTheMoon", names.into_iter()), None);
        assert_eq!(closest(&"x".repeat(10_000), names.into_iter()), None);
    }

    #[test]
    fn the_marker_stands_below_the_word_also_after_tabs_and_umlauts() {
        let error = Error {
            location: Some(Location {
                file: "f".into(),
                line: 3,
                column: 4,
                width: 2,
                text: "\tü\u{1b}xy".into(),
            }),
            kind: ErrorKind::UnterminatedQuote,
        };
        assert_eq!(
            error.to_string(),
            "f:3:4: quotation mark without a second one\n    \tü\u{fffd}xy\n    \t  ^^"
        );
    }
}
