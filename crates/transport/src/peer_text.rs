//! Text from the peer, made fit for a log line or a terminal.

/// At most `limit` bytes of `text`, with everything but printable ASCII escaped, so that nobody can
/// forge a log line or send escape sequences to a terminal.
pub(crate) fn printable(text: &[u8], limit: usize) -> String {
    let escaped = text
        .get(..limit.min(text.len()))
        .unwrap_or_default()
        .escape_ascii();
    let mut out = escaped.to_string();
    // All ASCII, so every index is a character border.
    out.truncate(limit);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_length_is_kept() {
        assert_eq!(printable(b"a\r\n\x1b[2J\xff", 100), "a\\r\\n\\x1b[2J\\xff");
        assert_eq!(printable(&[b'a'; 500], 10), "aaaaaaaaaa");
        assert_eq!(printable(&[0; 500], 10).len(), 10);
    }
}
