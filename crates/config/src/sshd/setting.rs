//! What a keyword's values are read into: a field of [`SshdConfig`] and the kind of value it holds.
//!
//! A row of the table of keywords has one [`Setting`]. It reads the words of a line into a typed value once, when the file
//! is read; the value then waits in a [`Put`] for the connections that it holds for.

use super::algorithms::Offered;
use super::config::SshdConfig;
use super::include::Includes;
use super::lexer::{self, Malformed, Span, Word};
use super::report::{ErrorKind, WarningKind};

/// Whether a keyword has occurred before, in the same layer: outside of Match, or in the blocks that hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The value replaces the default.
    First,
    /// There is a value already.
    Later,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It holds.
    Counts,
    /// An earlier one holds.
    Dropped,
}

/// What becomes of the value that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// Nothing of it is left.
    Replaced,
    /// Parts of it may still hold.
    Merged,
}

/// A value on its way to its field.
pub(crate) type Put = Box<dyn Fn(&mut SshdConfig, Turn) -> Effect + Send + Sync>;

/// A field of the configuration, without its type.
pub(crate) trait Setting: Sync {
    /// Reads the words of one line.
    fn read(&self, arguments: &mut Arguments<'_>) -> Result<Put, Malformed>;

    /// The value as `sshd -T` shows it, one item per line; none if the keyword is left out.
    fn show(&self, config: &SshdConfig) -> Vec<String>;

    /// Brings what Match blocks say over what holds without them.
    fn overlay(&self, global: &mut SshdConfig, matched: &SshdConfig) -> Overlay;
}

/// A field of the configuration and the kind of value that it holds.
pub(crate) struct Field<T: 'static> {
    pub(crate) get: fn(&SshdConfig) -> &T,
    pub(crate) get_mut: fn(&mut SshdConfig) -> &mut T,
    pub(crate) kind: Kind<T>,
}

/// How values of one kind are read, shown and combined.
pub(crate) struct Kind<T> {
    pub(crate) read: fn(&mut Arguments<'_>) -> Result<T, Malformed>,
    pub(crate) show: fn(&T) -> Vec<String>,
    /// What a second line does in the same layer.
    pub(crate) again: fn(&mut T, T) -> Effect,
    /// How a value of a Match block is merged with the one outside; without this it replaces it.
    pub(crate) merge: Option<fn(&mut T, T)>,
}

impl<T> Kind<T> {
    /// The first value counts, and one in a Match block before all others.
    pub(crate) const fn new(
        read: fn(&mut Arguments<'_>) -> Result<T, Malformed>,
        show: fn(&T) -> Vec<String>,
    ) -> Self {
        Self {
            read,
            show,
            again: |_, _| Effect::Dropped,
            merge: None,
        }
    }

    /// The last value counts.
    pub(crate) const fn last(self) -> Self {
        Self {
            again: |place, value| {
                *place = value;
                Effect::Counts
            },
            ..self
        }
    }
}

impl<T> Kind<Vec<T>> {
    /// Each line adds to the ones before.
    pub(crate) const fn collecting(self) -> Self {
        Self {
            again: |place, value| {
                place.extend(value);
                Effect::Counts
            },
            ..self
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Setting for Field<T> {
    fn read(&self, arguments: &mut Arguments<'_>) -> Result<Put, Malformed> {
        let value = (self.kind.read)(arguments)?;
        let (field, again) = (self.get_mut, self.kind.again);
        Ok(Box::new(move |config, turn| match turn {
            Turn::First => {
                *field(config) = value.clone();
                Effect::Counts
            }
            Turn::Later => again(field(config), value.clone()),
        }))
    }

    fn show(&self, config: &SshdConfig) -> Vec<String> {
        (self.kind.show)((self.get)(config))
    }

    fn overlay(&self, global: &mut SshdConfig, matched: &SshdConfig) -> Overlay {
        let (place, value) = ((self.get_mut)(global), (self.get)(matched).clone());
        match self.kind.merge {
            None => {
                *place = value;
                Overlay::Replaced
            }
            Some(merge) => {
                merge(place, value);
                Overlay::Merged
            }
        }
    }
}

/// What is shown of something that may be missing.
pub(crate) fn or_none(shown: Option<String>) -> Vec<String> {
    vec![shown.unwrap_or_else(|| "none".to_owned())]
}

/// Words on one line; none if there are none.
pub(crate) fn joined(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The values of one line, and what reading them needs.
pub(crate) struct Arguments<'a> {
    pub(crate) keyword: &'static str,
    pub(crate) keyword_span: Span,
    words: &'a [Word],
    next: usize,
    tail: &'a Word,
    pub(crate) offered: &'a Offered<'a>,
    pub(crate) system: &'a dyn Includes,
    pub(crate) warnings: Vec<(Span, WarningKind)>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(
        keyword: &'static str,
        statement: &'a lexer::Statement,
        offered: &'a Offered<'a>,
        system: &'a dyn Includes,
    ) -> Self {
        Self {
            keyword,
            keyword_span: statement.keyword.span,
            words: &statement.arguments,
            next: 0,
            tail: &statement.tail,
            offered,
            system,
            warnings: Vec::new(),
        }
    }

    /// The next word, if there is one.
    pub(crate) fn optional(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// The next word; an error if there is none.
    pub(crate) fn word(&mut self, expected: impl Into<String>) -> Result<&'a Word, Malformed> {
        self.optional()
            .filter(|word| !word.text.is_empty())
            .ok_or_else(|| self.missing(expected))
    }

    /// All words that are left, at least one, none of them empty.
    pub(crate) fn words(&mut self, expected: &'static str) -> Result<Vec<&'a Word>, Malformed> {
        let mut words = vec![self.word(expected)?];
        while let Some(word) = self.optional() {
            if word.text.is_empty() {
                return Err(self.bad(word, expected));
            }
            words.push(word);
        }
        Ok(words)
    }

    /// As [`Self::words`], with `none` for an empty list. `none` cannot have company.
    pub(crate) fn words_or(
        &mut self,
        none: &str,
        expected: &'static str,
    ) -> Result<Vec<&'a Word>, Malformed> {
        let words = self.words(expected)?;
        match words
            .iter()
            .find(|word| word.text.eq_ignore_ascii_case(none))
        {
            None => Ok(words),
            Some(_) if words.len() == 1 => Ok(Vec::new()),
            Some(word) => Err(self.bad(word, format!("{expected}; \"{none}\" stands alone"))),
        }
    }

    /// The next word, read by `read`.
    pub(crate) fn value<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Malformed> {
        let word = self.word(expected)?;
        read(&word.text).ok_or_else(|| self.bad(word, expected))
    }

    /// The whole rest of the line as it stands, also what elsewhere would be a comment.
    pub(crate) fn tail(&mut self, expected: &'static str) -> Result<&'a Word, Malformed> {
        if self.tail.text.is_empty() {
            return Err(self.missing(expected));
        }
        self.next = self.words.len();
        Ok(self.tail)
    }

    pub(crate) fn bad(&self, word: &Word, expected: impl Into<String>) -> Malformed {
        Malformed {
            span: word.span,
            kind: ErrorKind::BadValue {
                keyword: self.keyword,
                value: word.text.clone(),
                expected: expected.into(),
            },
        }
    }

    fn missing(&self, expected: impl Into<String>) -> Malformed {
        Malformed {
            span: self.keyword_span,
            kind: ErrorKind::MissingArgument {
                keyword: self.keyword,
                expected: expected.into(),
            },
        }
    }

    /// To be called after reading: every word must have been read.
    pub(crate) fn finish(&mut self) -> Result<(), Malformed> {
        match self.optional() {
            None => Ok(()),
            Some(word) => Err(Malformed {
                span: word.span,
                kind: ErrorKind::ExtraArgument {
                    keyword: self.keyword,
                },
            }),
        }
    }
}
