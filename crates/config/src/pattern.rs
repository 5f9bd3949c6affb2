//! Patterns of ssh_config(5), PATTERNS: `*` stands for any text, `?` for one character.

use std::fmt;

/// A pattern, compared case-sensitively with the whole of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether the pattern stands for `text`.
    ///
    /// Takes at most |pattern| × |text| steps: the texts are a stranger's (names of environment variables), and the obvious
    /// recursion takes exponential time for `*a*a*a*`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        // Where to go on after the last star when what follows it does not fit: the star swallows one more character.
        let mut retry = None;
        loop {
            let mut ahead = pattern.clone();
            match (ahead.next(), rest.clone().next()) {
                (Some('*'), _) => {
                    pattern = ahead;
                    retry = Some((pattern.clone(), rest.clone()));
                    continue;
                }
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                (None, None) => return true,
                _ => {
                    let Some((after_star, mut longer)) = retry.take() else {
                        return false;
                    };
                    if longer.next().is_none() {
                        return false;
                    }
                    pattern = after_star.clone();
                    rest = longer.clone();
                    retry = Some((after_star, longer));
                    continue;
                }
            }
            pattern = ahead;
            rest.next();
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Patterns separated by commas, some of them excluded with `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternList(Vec<(Verdict, Pattern)>);

/// What a list says about a text or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Named, and not excluded.
    Included,
    /// Excluded by an entry with `!`, which counts whatever else the list has.
    Excluded,
    /// Not named.
    Absent,
}

impl PatternList {
    /// Any text is a list of patterns.
    #[must_use]
    pub fn new(list: &str) -> Self {
        let entry = |entry: &str| match entry.strip_prefix('!') {
            Some(excluded) => (Verdict::Excluded, Pattern::new(excluded)),
            None => (Verdict::Included, Pattern::new(entry)),
        };
        Self(list.split(',').map(entry).collect())
    }

    /// What the list says about a text.
    #[must_use]
    pub fn verdict(&self, text: &str) -> Verdict {
        let mut verdict = Verdict::Absent;
        for (says, pattern) in &self.0 {
            match (pattern.matches(text), says) {
                (true, Verdict::Excluded) => return Verdict::Excluded,
                (true, _) => verdict = Verdict::Included,
                (false, _) => {}
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("LC_*", "LC_ALL", true),
            ("LC_*", "LC_", true),
            ("LC_*", "LANG", false),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("", "", true),
            ("", "a", false),
            ("é?", "éü", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                expected,
                "{pattern} on {text}"
            );
        }
    }

    #[test]
    fn an_exclusion_counts_wherever_it_stands() {
        for (list, text, expected) in [
            ("a,b*", "b1", Verdict::Included),
            ("b*,!b1", "b1", Verdict::Excluded),
            ("!b1,b*", "b1", Verdict::Excluded),
            ("!b1,b*", "b2", Verdict::Included),
            ("!b1", "b2", Verdict::Absent),
            ("", "", Verdict::Included),
        ] {
            assert_eq!(
                PatternList::new(list).verdict(text),
                expected,
                "{list} on {text}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!Pattern::new("*a".repeat(30) + "b").matches(&"a".repeat(2000)));
    }

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', tail @ ..], _) => {
                naive(tail, text) || (!text.is_empty() && naive(pattern, &text[1..]))
            }
            (['?', tail @ ..], [_, rest @ ..]) => naive(tail, rest),
            ([a, tail @ ..], [b, rest @ ..]) if a == b => naive(tail, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let p: Vec<char> = pattern.chars().collect();
            let t: Vec<char> = text.chars().collect();
            prop_assert_eq!(Pattern::new(pattern).matches(&text), naive(&p, &t));
        }
    }
}
