//! What a connection is called and between which addresses it runs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

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

/// Both ends of a connection as the monitor saw them, or neither: only an IP socket has addresses that say where somebody
/// is.
///
/// sshd(8) shows every other connection (a Unix socket, pipes, AF_VSOCK) as `UNKNOWN port 65535`, and so do we, at
/// both ends. There is one deviation: for a Unix socket sshd puts that socket's own path where the local address belongs,
/// into one line of its log and into SSH_CONNECTION, where the empty path of a socketpair leaves three words of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    peer: Endpoint,
    local: Endpoint,
}

/// One end of a connection. Its text is `192.0.2.1 port 22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Of an IP socket.
    Inet(SocketAddr),
    /// Of any other.
    Unknown,
}

impl Endpoints {
    /// Of a connection that has no addresses.
    pub const UNKNOWN: Self = Self {
        peer: Endpoint::Unknown,
        local: Endpoint::Unknown,
    };

    /// Of an IP socket: what getpeername(2) and getsockname(2) say of it.
    ///
    /// An IPv4 client of a dual-stack socket comes under its own address (RFC 4291 section 2.5.5.2), as in logs, Match
    /// blocks and limits per source it must.
    pub fn inet(peer: SocketAddr, local: SocketAddr) -> Self {
        let endpoint = |address: SocketAddr| {
            Endpoint::Inet(SocketAddr::new(address.ip().to_canonical(), address.port()))
        };
        Self {
            peer: endpoint(peer),
            local: endpoint(local),
        }
    }

    /// The client.
    pub fn peer(self) -> Endpoint {
        self.peer
    }

    /// The server.
    pub fn local(self) -> Endpoint {
        self.local
    }
}

impl Endpoint {
    /// The address, where there is one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Inet(address) => Some(address.ip()),
            Self::Unknown => None,
        }
    }

    /// The address as sshd writes it.
    pub fn address(self) -> Address {
        Address(self.ip())
    }

    /// The port as sshd writes it: where there is none, one that nobody takes for a privileged port.
    pub fn port(self) -> u16 {
        match self {
            Self::Inet(address) => address.port(),
            Self::Unknown => 65535,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.address(), self.port())
    }
}

/// The address of an [`Endpoint`] in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(Option<IpAddr>);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ip) => ip.fmt(f),
            None => f.write_str("UNKNOWN"),
        }
    }
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
    #[test]
    fn endpoints_are_written_as_sshd_writes_them() {
        let endpoints = |peer: &str, local: &str| {
            let endpoints = Endpoints::inet(peer.parse().unwrap(), local.parse().unwrap());
            (endpoints.peer().to_string(), endpoints.local().to_string())
        };
        let expected = ("192.0.2.1 port 4711".to_owned(), "::1 port 22".to_owned());
        assert_eq!(endpoints("192.0.2.1:4711", "[::1]:22"), expected);
        assert_eq!(endpoints("[::ffff:192.0.2.1]:4711", "[::1]:22"), expected);

        let unknown = Endpoints::UNKNOWN;
        assert_eq!(unknown.peer().to_string(), "UNKNOWN port 65535");
        assert_eq!(unknown.local().to_string(), "UNKNOWN port 65535");
        assert_eq!(unknown.peer().ip(), None);
    }
}
