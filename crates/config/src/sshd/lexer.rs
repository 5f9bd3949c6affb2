//! One line of sshd_config(5): a keyword and its arguments.
//!
//! As OpenSSH reads it: `keyword value…` or `keyword=value…`; single and double quotes; a backslash takes the special
//! meaning from quotes, a backslash and (outside of quotes) a space; `#` begins a comment where a word could begin.

use super::report::{Error, ErrorKind, Location};
use std::sync::Arc;

/// A line and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) file: Arc<str>,
    pub(crate) number: usize,
    pub(crate) text: Arc<str>,
}

impl Line {
    /// A place in this line.
    pub(crate) fn at(&self, span: Span) -> Location {
        Location {
            file: Arc::clone(&self.file),
            line: self.number,
            column: span.start.saturating_add(1),
            width: span.end.saturating_sub(span.start).max(1),
            text: Arc::clone(&self.text),
        }
    }

    pub(crate) fn error(&self, span: Span, kind: ErrorKind) -> Error {
        Error {
            location: Some(self.at(span)),
            kind,
        }
    }
}

/// A part of a line, in characters, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A word after quotes and escapes are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// The parts of a line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) keyword: Word,
    pub(crate) arguments: Vec<Word>,
    /// Everything after the keyword as it stands, for the one keyword whose value is a text.
    pub(crate) tail: Word,
}

/// What a line cannot be read for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) span: Span,
    pub(crate) kind: ErrorKind,
}

/// Splits a line; none if it is blank or a comment.
pub(crate) fn split(line: &str) -> Result<Option<Statement>, Malformed> {
    // OpenSSH takes a form feed at the end of a line for a blank.
    let mut chars: Vec<char> = line.chars().collect();
    while chars.last().is_some_and(|c| is_blank(*c) || *c == '\x0c') {
        chars.pop();
    }
    let mut cursor = Cursor {
        chars: &chars,
        at: 0,
    };
    cursor.skip_blanks();
    let start = cursor.at;
    if matches!(cursor.peek(), None | Some('#')) {
        return Ok(None);
    }
    let keyword = cursor.keyword(start)?;
    let tail = Word {
        text: chars.iter().skip(cursor.at).collect(),
        span: Span {
            start: cursor.at,
            end: chars.len().max(cursor.at),
        },
    };
    let mut arguments = Vec::new();
    while let Some(first) = cursor.peek() {
        if first == '#' {
            break;
        }
        arguments.push(cursor.argument()?);
        cursor.skip_blanks();
    }
    for word in std::iter::once(&keyword).chain(&arguments) {
        // Where the file's bytes were not UTF-8. In a comment that does no harm.
        if word.text.contains('\u{fffd}') {
            return Err(Malformed {
                span: word.span,
                kind: ErrorKind::NotUtf8,
            });
        }
    }
    Ok(Some(Statement {
        keyword,
        arguments,
        tail,
    }))
}

/// The words of a text that is not a line: `#` has no meaning. None if a quotation has no end.
pub(crate) fn words(text: &str) -> Option<Vec<String>> {
    let chars: Vec<char> = text.chars().collect();
    let mut cursor = Cursor {
        chars: &chars,
        at: 0,
    };
    let mut words = Vec::new();
    cursor.skip_blanks();
    while cursor.peek().is_some() {
        words.push(cursor.argument().ok()?.text);
        cursor.skip_blanks();
    }
    Some(words)
}

/// A word as it must be written to be read as this word: as it stands if possible.
pub(crate) fn quoted(word: &str) -> String {
    let reads_back = split(&format!("k {word}"))
        .ok()
        .flatten()
        .is_some_and(|statement| matches!(&*statement.arguments, [only] if only.text == word));
    match reads_back {
        true => word.to_owned(),
        false => assembled(word),
    }
}

/// A word with everything escaped that can be, and in quotes if it has blanks: as OpenSSH passes commands to shells.
pub(crate) fn assembled(word: &str) -> String {
    let mut escaped = String::new();
    for c in word.chars() {
        if matches!(c, '\\' | '\'' | '"') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    let bare = !word.is_empty() && !word.starts_with(['#', '=']) && !word.contains(is_blank);
    if bare {
        escaped
    } else {
        format!("\"{escaped}\"")
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

struct Cursor<'a> {
    chars: &'a [char],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// The keyword and what separates it from its values: blanks, or one `=`. It may be in double quotes.
    fn keyword(&mut self, start: usize) -> Result<Word, Malformed> {
        let quoted = self.peek() == Some('"');
        let begin = if quoted { start + 1 } else { start };
        self.at = begin;
        while self.peek().is_some_and(|c| match quoted {
            true => c != '"',
            false => !is_blank(c) && c != '=',
        }) {
            self.at += 1;
        }
        let text = self.chars.iter().take(self.at).skip(begin).collect();
        if quoted {
            if self.peek().is_none() {
                return Err(Malformed {
                    span: Span {
                        start,
                        end: self.at,
                    },
                    kind: ErrorKind::UnterminatedQuote,
                });
            }
            self.at += 1;
        }
        let span = Span {
            start,
            end: self.at,
        };
        self.skip_blanks();
        if !quoted && self.peek() == Some('=') {
            self.at += 1;
            self.skip_blanks();
        }
        Ok(Word { text, span })
    }

    fn argument(&mut self) -> Result<Word, Malformed> {
        let start = self.at;
        let mut text = String::new();
        let mut quote: Option<(char, usize)> = None;
        while let Some(c) = self.peek() {
            let next = self.chars.get(self.at.saturating_add(1)).copied();
            match (c, quote) {
                ('\\', _)
                    if next.is_some_and(|n| {
                        matches!(n, '\'' | '"' | '\\') || (n == ' ' && quote.is_none())
                    }) =>
                {
                    text.extend(next);
                    self.at += 1;
                }
                (c, Some((mark, _))) if c == mark => quote = None,
                (c @ ('"' | '\''), None) => quote = Some((c, self.at)),
                (c, None) if is_blank(c) => break,
                (c, _) => text.push(c),
            }
            self.at += 1;
        }
        match quote {
            Some((_, opened)) => Err(Malformed {
                span: Span {
                    start: opened,
                    end: self.chars.len(),
                },
                kind: ErrorKind::UnterminatedQuote,
            }),
            None => Ok(Word {
                text,
                span: Span {
                    start,
                    end: self.at,
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        let statement = split(line).unwrap().unwrap();
        std::iter::once(statement.keyword)
            .chain(statement.arguments)
            .map(|word| word.text)
            .collect()
    }

    #[test]
    fn separators_quotes_escapes_and_comments() {
        for (line, expected) in [
            ("Port 22", vec!["Port", "22"]),
            ("  Port\t22  \x0c", vec!["Port", "22"]),
            ("Port=22", vec!["Port", "22"]),
            ("Port = 22", vec!["Port", "22"]),
            ("Port == 22", vec!["Port", "=", "22"]),
            ("Banner \"a b\" # c", vec!["Banner", "a b"]),
            ("Banner 'a b'c\"d e\"", vec!["Banner", "a bcd e"]),
            ("Banner a#b", vec!["Banner", "a#b"]),
            (
                r#"Banner a\ b "c\"d" 'e\'f' g\\h i\j "k\ l""#,
                vec!["Banner", "a b", "c\"d", "e'f", r"g\h", r"i\j", r"k\ l"],
            ),
            ("Banner \"\"", vec!["Banner", ""]),
            ("Banner", vec!["Banner"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn blank_lines_and_comments_say_nothing() {
        for line in ["", "  \t", "# Port 22", "   #", "\r"] {
            assert_eq!(split(line), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn spans_are_in_characters_and_include_the_quotes() {
        let statement = split("é \"ü ö\" x").unwrap().unwrap();
        assert_eq!(statement.arguments[0].span, Span { start: 2, end: 7 });
        assert_eq!(statement.arguments[1].span, Span { start: 8, end: 9 });
        assert_eq!(statement.tail.text, "\"ü ö\" x");
    }

    #[test]
    fn an_open_quotation_is_reported_where_it_opens() {
        let malformed = split("Banner x \"a b").unwrap_err();
        assert_eq!(malformed.kind, ErrorKind::UnterminatedQuote);
        assert_eq!(malformed.span, Span { start: 9, end: 13 });
    }

    #[test]
    fn a_keyword_may_be_in_quotes() {
        assert_eq!(words("\"Port\" 22"), ["Port", "22"]);
        assert_eq!(words("\"Port\"=22"), ["Port", "=22"]);
        assert_eq!(
            split("\"Port 22").unwrap_err().kind,
            ErrorKind::UnterminatedQuote
        );
    }

    proptest! {
        #[test]
        fn a_quoted_word_reads_as_the_word(word in "[ -~\t]{0,20}|[#\"'\\\\ a]{0,12}") {
            for written in [quoted(&word), assembled(&word)] {
                prop_assert_eq!(words(&format!("k {written}")), ["k", &word]);
            }
        }

        #[test]
        fn any_line_is_split_or_refused_with_spans_inside_it(line in "\\PC{0,60}|[ \\t=#'\"\\\\a]{0,30}") {
            let length = line.chars().count();
            match split(&line) {
                Ok(None) => {}
                Ok(Some(statement)) => {
                    prop_assert!(statement.keyword.span.end <= length);
                    for word in statement.arguments {
                        prop_assert!(word.span.start < word.span.end && word.span.end <= length);
                    }
                }
                Err(malformed) => prop_assert!(malformed.span.end <= length),
            }
        }
    }
}
