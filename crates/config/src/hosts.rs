//! Lists of hosts by name and by address, as in AllowUsers and in `from=`: match_host_and_ip() of OpenSSH.

use crate::pattern::{PatternList, Verdict};
use crate::sshd::{AddressError, AddressList};
use std::net::IpAddr;

/// Patterns of host names, addresses and networks, some of them excluded with `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPatterns {
    names: PatternList,
    addresses: AddressList,
}

impl HostPatterns {
    /// Reads entries separated by commas. Names are compared without regard to case.
    ///
    /// # Errors
    ///
    /// An entry that is empty, or a network that is none. OpenSSH takes such a list to stand for nobody.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.to_ascii_lowercase();
        Ok(Self {
            names: PatternList::new(&text),
            addresses: AddressList::parse_any(&text)?,
        })
    }

    /// Whether it stands for a host with an address, if it has one. `host` is the address if names are not looked up.
    ///
    /// An exclusion counts in either form, whatever else the list has.
    #[must_use]
    pub fn matches(&self, host: &str, address: Option<IpAddr>) -> bool {
        let by_name = self.names.verdict(&host.to_ascii_lowercase());
        let by_address = address.map_or(Verdict::Absent, |address| self.addresses.verdict(address));
        match (by_name, by_address) {
            (Verdict::Excluded, _) | (_, Verdict::Excluded) => false,
            (by_name, by_address) => {
                by_name == Verdict::Included || by_address == Verdict::Included
            }
        }
    }

    /// As it was written, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.addresses.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_meant_by_name_or_by_address_unless_it_is_excluded() {
        for (list, host, address, expected) in [
            ("*.Example.com", "a.example.COM", "192.0.2.7", true),
            ("*.example.com", "192.0.2.7", "192.0.2.7", false),
            ("192.0.2.0/24", "192.0.2.7", "192.0.2.7", true),
            ("192.0.2.*", "192.0.2.7", "192.0.2.7", true),
            ("192.0.2.0/24,!192.0.2.7", "a", "192.0.2.7", false),
            ("!192.0.2.7,192.0.2.0/24", "a", "192.0.2.8", true),
            (
                "192.0.2.0/24,!a.example.com",
                "a.example.com",
                "192.0.2.7",
                false,
            ),
            ("!192.0.2.7", "a", "192.0.2.8", false),
            ("2001:db8::/32", "a", "2001:db8:1::1", true),
            ("2001:DB8::1", "a", "2001:db8::1", true),
            ("192.0.2.0/24", "a", "::ffff:192.0.2.7", true),
        ] {
            let patterns = HostPatterns::parse(list).unwrap();
            let address = address.parse().ok();
            assert_eq!(
                patterns.matches(host, address),
                expected,
                "{list} for {host}"
            );
        }
    }

    #[test]
    fn a_host_without_an_address_has_a_name_all_the_same() {
        assert!(
            HostPatterns::parse("unknown")
                .unwrap()
                .matches("UNKNOWN", None)
        );
        assert!(
            !HostPatterns::parse("0.0.0.0/0")
                .unwrap()
                .matches("UNKNOWN", None)
        );
        assert!(
            !HostPatterns::parse("*,!unknown")
                .unwrap()
                .matches("UNKNOWN", None)
        );
    }

    #[test]
    fn a_list_with_a_broken_entry_is_none() {
        for list in ["", "a,,b", "10.0.0.1/8", "192.0.2.0/33", "!"] {
            assert!(HostPatterns::parse(list).is_err(), "{list:?}");
        }
    }
}
