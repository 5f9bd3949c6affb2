//! A block of addresses: a source of connections, as limits per source count them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// All addresses that have their first bits in common. Its text is `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// The first one; IPv4 within IPv6 is IPv4.
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// No address.
    #[error("{0:?} is no IP address")]
    Address(String),
    /// Something after the `/` that is no number, or more than the address has bits.
    #[error("{0:?} has no prefix length that its address could have")]
    Prefix(String),
    /// Bits are set behind the prefix: one of the two is a mistake.
    #[error("{0:?} has bits set behind its prefix")]
    HostBits(String),
}

impl Network {
    /// The network of this size that an address is in; its own, if the size is more than its bits.
    pub fn around(address: IpAddr, prefix: u8) -> Self {
        let address = address.to_canonical();
        let prefix = prefix.min(width(address));
        let host_bits = u32::from(width(address) - prefix);
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Self { address, prefix }
    }

    /// The first address.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether an address is one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        // Of the other family: another address, or another prefix that no network of it has.
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && Self::around(address, self.prefix) == self
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

/// An address, or a network in the form that [`fmt::Display`] writes.
impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let written: IpAddr = address
            .parse()
            .map_err(|_| NetworkError::Address(text.to_owned()))?;
        let address = written.to_canonical();
        let prefix = match prefix {
            None => width(address),
            Some(digits) => digits
                .parse()
                .ok()
                // Of an IPv4 address in an IPv6 one's clothes it is not clear which bits are counted.
                .filter(|prefix| *prefix <= width(address) && written == address)
                .ok_or_else(|| NetworkError::Prefix(text.to_owned()))?,
        };
        let network = Self::around(address, prefix);
        match network.address == address {
            true => Ok(network),
            false => Err(NetworkError::HostBits(text.to_owned())),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// How many bits an address has.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_the_network_around_it() {
        for (of, prefix, expected) in [
            ("192.0.2.77", 24, "192.0.2.0/24"),
            ("192.0.2.77", 32, "192.0.2.77/32"),
            ("192.0.2.77", 0, "0.0.0.0/0"),
            ("192.0.2.77", 200, "192.0.2.77/32"),
            ("::ffff:192.0.2.77", 16, "192.0.0.0/16"),
            ("2001:db8:1:2::3", 48, "2001:db8:1::/48"),
            ("2001:db8:1:2::3", 0, "::/0"),
        ] {
            let network = Network::around(address(of), prefix);
            assert_eq!(network.to_string(), expected);
            assert!(network.contains(address(of)));
        }
    }

    #[test]
    fn the_families_have_nothing_in_common() {
        let (v4, v6) = (
            Network::around(address("0.0.0.0"), 0),
            Network::around(address("::"), 0),
        );
        assert!(!v4.contains(address("::")) && !v6.contains(address("0.0.0.0")));
        assert!(v4.contains(address("::ffff:192.0.2.1")));
        assert!(!v4.overlaps(v6));
    }

    #[test]
    fn networks_overlap_if_one_is_in_the_other() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        assert!(network("192.0.2.0/24").overlaps(network("192.0.2.7")));
        assert!(network("192.0.2.7").overlaps(network("192.0.2.0/24")));
        assert!(!network("192.0.2.0/25").overlaps(network("192.0.2.128/25")));
    }

    #[test]
    fn a_text_is_a_network_or_a_mistake_that_is_named() {
        for text in ["192.0.2.0/24", "192.0.2.1/32", "2001:db8::/32", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), expected);
        }
        let error = |text: &str| text.parse::<Network>().unwrap_err();
        let own = str::to_owned;
        for text in ["", "host", "192.0.2", "192.0.2.*", "/8", "!192.0.2.1"] {
            assert_eq!(error(text), NetworkError::Address(own(text)));
        }
        for text in [
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/x",
            "::/129",
            "::ffff:192.0.2.0/120",
        ] {
            assert_eq!(error(text), NetworkError::Prefix(own(text)));
        }
        assert_eq!(
            error("10.0.0.1/8"),
            NetworkError::HostBits(own("10.0.0.1/8"))
        );
    }
}
