//! Text that a stranger chose, made safe to show.

use std::fmt;

/// Bytes from the peer, displayed so that they can neither end a quotation, nor start a line, nor steer a terminal.
///
/// Control characters, everything beyond ASCII and the double quote become `\ooo` (three octal digits), a backslash becomes
/// two, as strnvis(3) with `VIS_OCTAL` does for OpenSSH's log. The form can be reversed. What is longer than the limit ends
/// in `…`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    spaces: Spaces,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spaces {
    Shown,
    Escaped,
}

impl<'a> Escaped<'a> {
    /// How many characters are written at most, unless [`limit`](Self::limit) says otherwise.
    pub const LIMIT: usize = 256;

    /// Text in which spaces are in order, as an identification string or a disconnect message.
    pub fn new<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Self {
        Self {
            bytes: text.as_ref(),
            spaces: Spaces::Shown,
            limit: Self::LIMIT,
        }
    }

    /// A single word, as a user name: spaces are escaped too. `Invalid user root from 192.0.2.1 port 1 from …`, with a
    /// blank in the name, has made log watchers ban the wrong address before.
    pub fn word<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Self {
        Self {
            spaces: Spaces::Escaped,
            ..Self::new(text)
        }
    }

    /// Writes at most `characters`, and then `…` if that was not all.
    #[must_use]
    pub fn limit(self, characters: usize) -> Self {
        Self {
            limit: characters,
            ..self
        }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = self.limit;
        for &byte in self.bytes {
            let shown = match byte {
                b'"' | b'\\' => false,
                b' ' => self.spaces == Spaces::Shown,
                _ => byte.is_ascii_graphic(),
            };
            let width = if shown {
                1
            } else if byte == b'\\' {
                2
            } else {
                4
            };
            let Some(left) = room.checked_sub(width) else {
                return f.write_str("…");
            };
            room = left;
            match byte {
                _ if shown => write!(f, "{}", char::from(byte))?,
                b'\\' => f.write_str("\\\\")?,
                _ => write!(f, "\\{byte:03o}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_is_unchanged() {
        assert_eq!(
            Escaped::new("SSH-2.0-PuTTY_Release_0.78 x").to_string(),
            "SSH-2.0-PuTTY_Release_0.78 x"
        );
    }

    #[test]
    fn controls_quotes_and_non_ascii_become_octal() {
        assert_eq!(
            Escaped::new("a\nb\x1b[2J\"é\\").to_string(),
            r"a\012b\033[2J\042\303\251\\"
        );
    }

    #[test]
    fn a_word_has_no_space() {
        assert_eq!(
            Escaped::word("root from 192.0.2.1").to_string(),
            r"root\040from\040192.0.2.1"
        );
    }

    #[test]
    fn an_escape_is_never_cut_in_two() {
        assert_eq!(Escaped::new("abc\n").limit(5).to_string(), "abc…");
        assert_eq!(Escaped::new("a\n").limit(5).to_string(), r"a\012");
    }

    proptest! {
        #[test]
        fn output_is_printable_bounded_and_reversible(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let text = Escaped::word(&bytes).limit(400).to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'"'));
            let mut back = Vec::new();
            let mut rest = text.as_bytes();
            while let [first, tail @ ..] = rest {
                rest = tail;
                if *first != b'\\' {
                    back.push(*first);
                } else if tail[0] == b'\\' {
                    back.push(b'\\');
                    rest = &tail[1..];
                } else {
                    back.push(u8::from_str_radix(std::str::from_utf8(&tail[..3]).unwrap(), 8).unwrap());
                    rest = &tail[3..];
                }
            }
            prop_assert_eq!(back, bytes);
        }

        #[test]
        fn never_longer_than_the_limit(bytes in proptest::collection::vec(any::<u8>(), 0..600), limit in 0_usize..300) {
            prop_assert!(Escaped::new(&bytes).limit(limit).to_string().chars().count() <= limit + 1);
        }
    }
}
