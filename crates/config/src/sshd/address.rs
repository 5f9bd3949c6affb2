//! Lists of addresses and networks, as in Match Address: addr_match_list() of OpenSSH.

use crate::pattern::{Pattern, Verdict};
use std::net::IpAddr;
use thiserror::Error;

/// Addresses, networks and patterns, some of them excluded with `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressList {
    entries: Vec<Entry>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    excludes: bool,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Network(IpAddr, u32),
    Text(Pattern),
}

/// Why a text is no list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Nothing between two commas.
    #[error("an entry is empty")]
    Empty,
    /// A network whose address has bits behind its prefix.
    #[error("{0} has bits set behind its prefix")]
    HostBits(String),
    /// Something with a `/` that is no network.
    #[error("{0} is no network")]
    NoNetwork(String),
}

impl AddressList {
    /// Reads entries separated by commas.
    ///
    /// # Errors
    ///
    /// See [`AddressError`]. What OpenSSH would silently match with nothing (`10.0/16x`) is an error too.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::read(text, |entry| Err(AddressError::NoNetwork(entry.to_owned())))
    }

    /// As [`Self::parse`], for lists in which names may stand too.
    pub(crate) fn parse_any(text: &str) -> Result<Self, AddressError> {
        Self::read(text, |entry| Ok(What::Text(Pattern::new(entry))))
    }

    fn read(
        text: &str,
        strange: impl Fn(&str) -> Result<What, AddressError>,
    ) -> Result<Self, AddressError> {
        let entry = |entry: &str| {
            let bare = entry.strip_prefix('!').unwrap_or(entry);
            let what = match (bare.split_once('/'), bare.parse::<IpAddr>()) {
                _ if bare.is_empty() => return Err(AddressError::Empty),
                (None, Ok(address)) => What::Network(address, width(address)),
                (None, Err(_)) => What::Text(Pattern::new(bare)),
                (Some((address, prefix)), _) => {
                    match (address.parse::<IpAddr>(), prefix_length(prefix)) {
                        (Ok(address), Some(prefix)) if prefix <= width(address) => {
                            if bits(address) != network(address, prefix) {
                                return Err(AddressError::HostBits(bare.to_owned()));
                            }
                            What::Network(address, prefix)
                        }
                        // OpenSSH calls this inconsistent as well.
                        (Ok(_), Some(_)) => return Err(AddressError::NoNetwork(bare.to_owned())),
                        _ => strange(bare)?,
                    }
                }
            };
            let excludes = bare.len() < entry.len();
            Ok(Entry { excludes, what })
        };
        Ok(Self {
            entries: text.split(',').map(entry).collect::<Result<_, _>>()?,
            text: text.to_owned(),
        })
    }

    /// What the list says about an address. An IPv4 address within IPv6 is the IPv4 address.
    #[must_use]
    pub fn verdict(&self, address: IpAddr) -> Verdict {
        let address = address.to_canonical();
        let text = address.to_string();
        let mut verdict = Verdict::Absent;
        for entry in &self.entries {
            let meant = match &entry.what {
                What::Network(of, prefix) => {
                    of.is_ipv4() == address.is_ipv4()
                        && network(*of, *prefix) == network(address, *prefix)
                }
                What::Text(pattern) => pattern.matches(&text),
            };
            match (meant, entry.excludes) {
                (true, true) => return Verdict::Excluded,
                (true, false) => verdict = Verdict::Included,
                (false, _) => {}
            }
        }
        verdict
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// How many bits an address has.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The leading bits of an address, the others zero.
fn network(address: IpAddr, prefix: u32) -> u128 {
    let behind = width(address).saturating_sub(prefix);
    let leading = bits(address).checked_shr(behind).unwrap_or(0);
    leading.checked_shl(behind).unwrap_or(0)
}

fn prefix_length(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(list: &str, address: &str) -> Verdict {
        AddressList::parse(list)
            .unwrap()
            .verdict(address.parse().unwrap())
    }

    /// From OpenSSH's regress/addrmatch.sh.
    #[test]
    fn networks_patterns_and_exclusions() {
        let list = "192.168.0.0/16,!192.168.30.0/24,10.0.0.0/8,host.example.com";
        for (address, expected) in [
            ("192.168.0.1", Verdict::Included),
            ("192.168.30.1", Verdict::Excluded),
            ("19.0.0.1", Verdict::Absent),
            ("10.255.255.254", Verdict::Included),
            ("::ffff:10.0.0.1", Verdict::Included),
            ("::1", Verdict::Absent),
        ] {
            assert_eq!(verdict(list, address), expected, "{address}");
        }
        let list = "1.1.1.1,::1,!::3,2000::/16";
        for (address, expected) in [
            ("1.1.1.1", Verdict::Included),
            ("::1", Verdict::Included),
            ("::2", Verdict::Absent),
            ("::3", Verdict::Excluded),
            ("2000::1", Verdict::Included),
            ("2001::1", Verdict::Absent),
        ] {
            assert_eq!(verdict(list, address), expected, "{address}");
        }
        assert_eq!(
            verdict("10.*,192.168.1.?", "192.168.1.7"),
            Verdict::Included
        );
        assert_eq!(verdict("0.0.0.0/0", "1.2.3.4"), Verdict::Included);
        assert_eq!(verdict("::/0", "1.2.3.4"), Verdict::Absent);
    }

    #[test]
    fn what_would_match_nothing_or_too_much_is_refused() {
        for text in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "::/129",
            "10.0/16",
            "10.0.0.0/",
            "a,,b",
            "!",
            "10.0.0.0/+8",
        ] {
            assert!(AddressList::parse(text).is_err(), "{text}");
        }
    }
}
