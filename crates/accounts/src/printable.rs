//! Paths for messages. A user chooses the names of the own files, line feeds and all.

use std::fmt::{self, Write as _};
use std::path::Path;

/// A path whose control characters are shown as escapes.
pub(crate) struct Printable<'a>(pub(crate) &'a Path);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_in_a_file_name_starts_no_line() {
        assert_eq!(
            Printable(Path::new("/home/ä/a\nb\x1b")).to_string(),
            r"/home/ä/a\nb\u{1b}"
        );
    }
}
