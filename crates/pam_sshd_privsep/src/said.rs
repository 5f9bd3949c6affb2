//! What modules say that nobody can hear while a unit starts: kept for the user, who reads it before the session begins.

use std::ffi::{CStr, CString};

/// Most that is kept, in bytes: the worker takes as much for one text.
const LIMIT: usize = 16 * 1024;

/// Texts of modules, a line or more for each.
#[derive(Debug, Default)]
pub(crate) struct Said(String);

impl Said {
    /// Keeps a text while there is room for it. systemd drops variables that are not UTF-8.
    pub(crate) fn add(&mut self, text: &CStr) {
        let text = text.to_string_lossy();
        let text = text.trim_end();
        if !text.is_empty() && self.0.len() + text.len() < LIMIT {
            self.0.push_str(text);
            self.0.push('\n');
        }
    }

    /// A `NAME=value` of this name for the PAM environment, if anything was said.
    pub(crate) fn variable(&self, name: &str) -> Option<CString> {
        match self.0.is_empty() {
            true => None,
            false => CString::new(format!("{name}={}", self.0)).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_lines_and_there_is_an_end_to_them() {
        let mut said = Said::default();
        assert_eq!(said.variable("S"), None);
        for text in [c"", c"one\n", c"two\xff\nthree"] {
            said.add(text);
        }
        let variable = said.variable("S").unwrap();
        let expected = "S=one\ntwo\u{fffd}\nthree\n";
        assert_eq!(variable.to_str(), Ok(expected));
        let long = CString::new("x".repeat(LIMIT / 2)).unwrap();
        for _ in 0..5 {
            said.add(&long);
        }
        assert!(said.variable("S").unwrap().to_bytes().len() < LIMIT + 2);
    }
}
