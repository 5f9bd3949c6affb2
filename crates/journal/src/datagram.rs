//! One journal entry in the [native protocol](https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), bounded.
//!
//! A field is `NAME=value\n`, or, if the value contains a line feed, `NAME\n`, the length as 64-bit little-endian number,
//! the value and `\n`. The second form is what keeps a line feed in a value from starting a field of its own.

/// The longest value of a field, in bytes. A configuration error with its source line is the longest text we have.
pub(crate) const VALUE_LIMIT: usize = 4096;

/// The longest entry, in bytes. Well below the send buffer of a Unix socket (net.core.wmem_default, 208 KiB), so that no
/// entry is refused for its size and the memory file that the protocol has for larger ones is never needed.
const ENTRY_LIMIT: usize = 32 * 1024;

/// Room kept for what [`Datagram::finish`] adds.
const RESERVE: usize = 128;

/// An entry under construction.
#[derive(Debug)]
pub(crate) struct Datagram {
    bytes: Vec<u8>,
    omitted: u64,
}

impl Datagram {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(512),
            omitted: 0,
        }
    }

    /// Adds a field. The value is cut at [`VALUE_LIMIT`]; a field for which there is no room is left out and counted.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        let value = truncate(value, VALUE_LIMIT);
        let added = name.len().saturating_add(value.len()).saturating_add(10);
        if self.bytes.len().saturating_add(added) > ENTRY_LIMIT - RESERVE {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        self.put(name, value);
    }

    fn put(&mut self, name: &str, value: &str) {
        self.bytes.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            self.bytes.push(b'\n');
            // usize has at most 64 bits on what we build for; a value has at most VALUE_LIMIT bytes.
            let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
            self.bytes.extend_from_slice(&length.to_le_bytes());
        } else {
            self.bytes.push(b'=');
        }
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(b'\n');
    }

    /// The bytes to send. `lost` entries before this one could not be sent.
    pub(crate) fn finish(mut self, lost: u64) -> Vec<u8> {
        if self.omitted > 0 {
            self.put("SSHD_FIELDS_OMITTED", &self.omitted.to_string());
        }
        if lost > 0 {
            self.put("SSHD_ENTRIES_LOST", &lost.to_string());
        }
        self.bytes
    }
}

/// The longest prefix of at most `limit` bytes that ends between characters.
pub(crate) fn truncate(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_value_is_one_line() {
        let mut entry = Datagram::new();
        entry.field("MESSAGE", "hello = world");
        assert_eq!(entry.finish(0), b"MESSAGE=hello = world\n");
    }

    #[test]
    fn a_line_feed_makes_the_binary_form_so_that_no_field_is_forged() {
        let mut entry = Datagram::new();
        entry.field("SSHD_USER", "x\nPRIORITY=0");
        assert_eq!(
            entry.finish(0),
            b"SSHD_USER\n\x0c\0\0\0\0\0\0\0x\nPRIORITY=0\n"
        );
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let mut entry = Datagram::new();
        entry.field("MESSAGE", &"é".repeat(VALUE_LIMIT));
        let bytes = entry.finish(0);
        assert_eq!(bytes.len(), "MESSAGE=\n".len() + VALUE_LIMIT);
        assert!(String::from_utf8(bytes).is_ok());
    }

    #[test]
    fn an_entry_never_exceeds_its_limit_and_tells_what_it_left_out() {
        let mut entry = Datagram::new();
        for _ in 0..100 {
            entry.field("SSHD_X", &"a\n".repeat(VALUE_LIMIT));
        }
        let bytes = entry.finish(u64::MAX);
        assert!(bytes.len() <= ENTRY_LIMIT);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            text.contains("\nSSHD_FIELDS_OMITTED=93\nSSHD_ENTRIES_LOST=18446744073709551615\n")
        );
    }
}
