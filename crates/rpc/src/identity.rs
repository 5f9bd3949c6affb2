//! What a connection is called and between which addresses it runs.

use std::fmt;
use std::net::SocketAddr;

/// Name of a connection, drawn at random by the monitor at accept(2); 16 lower-case hexadecimal
/// digits on every journal line of every process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId([u8; 8]);

impl ConnectionId {
    /// The identity with these random bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let lower_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        if digits.len() != 16 || !digits.iter().all(lower_hex) {
            return None;
        }
        u64::from_str_radix(text, 16)
            .ok()
            .map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Both ends of the TCP connection as the monitor saw them; IPv4-mapped addresses are unmapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// The client (getpeername(2)).
    pub peer: SocketAddr,
    /// The server (getsockname(2)).
    pub local: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_id_survives_its_text_form() {
        let id = ConnectionId::from_bytes([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(id.to_string(), "00010203fcfdfeff");
        assert_eq!(ConnectionId::from_hex(&id.to_string()), Some(id));
    }

    #[test]
    fn connection_id_refuses_other_texts() {
        for text in [
            "",
            "00010203FCFDFEFF",
            "+0010203fcfdfeff",
            "00010203fcfdfef",
            "x0010203fcfdfeff",
        ] {
            assert_eq!(ConnectionId::from_hex(text), None, "{text}");
        }
    }
}
