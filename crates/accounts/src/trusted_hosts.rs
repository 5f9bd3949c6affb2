//! Hosts from which users may log in without more: hosts.equiv(5), `shosts.equiv`, `.rhosts` and `.shosts`.
//!
//! A line is a host and perhaps a user, each a name or `@` and a netgroup, with `+` or `-` before it. What stands for
//! everybody in other programs, a `+` alone, is ignored, as in OpenSSH.

/// The longest line, in bytes. OpenSSH takes a longer one for two.
const LINE_LIMIT: usize = 1023;

/// Who wants to log in, from where, as whom.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The client's host name: what the address resolves to, or what the client says (HostbasedUsesNameFromPacketOnly).
    pub host: &'a str,
    /// The client's address.
    pub address: &'a str,
    /// The user there.
    pub client_user: &'a str,
    /// The user here.
    pub server_user: &'a str,
}

/// Netgroups, netgroup(5): innetgr(3). `None` if it cannot be told: a line that grants is then about nobody, and one
/// that denies about everybody.
pub trait Netgroups {
    /// Whether a group has a host, by name or by address.
    fn has_host(&self, group: &str, host: &str) -> Option<bool>;
    /// Whether a group has a user.
    fn has_user(&self, group: &str, user: &str) -> Option<bool>;
}

/// What a file says. The first line that is about host and user counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// They may log in.
    Granted {
        /// The line, counted from 1.
        line: usize,
    },
    /// They may not, by this file: another one can still grant it.
    Denied {
        /// The line, counted from 1.
        line: usize,
    },
    /// It says nothing.
    NotListed,
}

/// What a file says about a claim. Lines that cannot be read say nothing.
#[must_use]
pub fn trust(file: &[u8], claim: Claim<'_>, netgroups: &dyn Netgroups) -> Trust {
    for (at, text) in file.split(|byte| *byte == b'\n').enumerate() {
        let line = at.saturating_add(1);
        let entry = Some(text)
            .filter(|text| text.len() <= LINE_LIMIT)
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(Entry::read);
        match entry {
            Some(entry) if entry.is_about(claim, netgroups) => {
                return match entry.sign {
                    Sign::Plus => Trust::Granted { line },
                    Sign::Minus => Trust::Denied { line },
                };
            }
            _ => {}
        }
    }
    Trust::NotListed
}

struct Entry<'a> {
    sign: Sign,
    host: &'a str,
    /// None: the user of the same name.
    user: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

impl<'a> Entry<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let text = text.trim_start_matches([' ', '\t']);
        if text.starts_with('#') || text.starts_with("NO_PLUS") {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        let (of_host, host) = signed(words.next()?);
        let user = words.next().map(signed);
        let wild = host.is_empty() || user.is_some_and(|(_, user)| user.is_empty());
        if wild || words.next().is_some() {
            return None;
        }
        let minus = |sign| sign == Sign::Minus;
        let either = minus(of_host) || user.is_some_and(|(sign, _)| minus(sign));
        Some(Self {
            sign: if either { Sign::Minus } else { Sign::Plus },
            host,
            user: user.map(|(_, user)| user),
        })
    }

    fn is_about(&self, claim: Claim<'_>, netgroups: &dyn Netgroups) -> bool {
        let untold = self.sign == Sign::Minus;
        let has_host = |group, host| netgroups.has_host(group, host).unwrap_or(untold);
        let has_user = |group, user| netgroups.has_user(group, user).unwrap_or(untold);
        let host = match self.host.strip_prefix('@') {
            Some(group) => has_host(group, claim.host) || has_host(group, claim.address),
            None => self.host.eq_ignore_ascii_case(claim.host) || self.host == claim.address,
        };
        let user = self.user.unwrap_or(claim.server_user);
        host && match user.strip_prefix('@') {
            Some(group) => has_user(group, claim.client_user),
            None => user == claim.client_user,
        }
    }
}

fn signed(word: &str) -> (Sign, &str) {
    match (word.strip_prefix('-'), word.strip_prefix('+')) {
        (Some(name), _) => (Sign::Minus, name),
        (None, Some(name)) => (Sign::Plus, name),
        (None, None) => (Sign::Plus, word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A group `lab` with the address 192.0.2.7, and one `admins` with alice.
    struct Groups;

    impl Netgroups for Groups {
        fn has_host(&self, group: &str, host: &str) -> Option<bool> {
            (group != "untold").then_some((group, host) == ("lab", "192.0.2.7"))
        }

        fn has_user(&self, group: &str, user: &str) -> Option<bool> {
            (group != "untold").then_some((group, user) == ("admins", "alice"))
        }
    }

    /// What a file says about alice, who wants to log in as herself or as another.
    fn as_user(file: &str, server_user: &str) -> Trust {
        let claim = Claim {
            host: "h.example.com",
            address: "192.0.2.7",
            client_user: "alice",
            server_user,
        };
        trust(file.as_bytes(), claim, &Groups)
    }

    #[test]
    fn a_host_is_trusted_for_the_user_of_the_same_name_or_of_the_line() {
        let granted = Trust::Granted { line: 1 };
        for (file, as_alice, as_bob) in [
            ("H.example.com", granted, Trust::NotListed),
            ("192.0.2.7", granted, Trust::NotListed),
            ("+h.example.com\talice\r", granted, granted),
            ("h.example.com +alice", granted, granted),
            ("h.example.com Alice", Trust::NotListed, Trust::NotListed),
            ("h.example.com bob", Trust::NotListed, Trust::NotListed),
            ("@lab", granted, Trust::NotListed),
            ("+@lab @admins", granted, granted),
            ("@admins @lab", Trust::NotListed, Trust::NotListed),
            ("g.example.com", Trust::NotListed, Trust::NotListed),
            ("h.example.com.", Trust::NotListed, Trust::NotListed),
        ] {
            assert_eq!(as_user(file, "alice"), as_alice, "{file}");
            assert_eq!(as_user(file, "bob"), as_bob, "{file}");
        }
    }

    #[test]
    fn the_first_line_that_fits_counts_and_can_deny() {
        let denied = Trust::Denied { line: 2 };
        for line in [
            "-h.example.com",
            "h.example.com -alice",
            "-@lab",
            "+@lab -@admins",
            "-h.example.com -alice",
            "-@untold",
            "-@untold @untold",
            "h.example.com -@untold",
        ] {
            let file = format!("h.example.com bob\n{line}\nh.example.com\n");
            assert_eq!(as_user(&file, "alice"), denied, "{line}");
        }
        let first = "h.example.com\n-h.example.com\n";
        assert_eq!(as_user(first, "alice"), Trust::Granted { line: 1 });
    }

    #[test]
    fn what_would_mean_everybody_means_nobody() {
        let long = format!("h.example.com{}", " ".repeat(LINE_LIMIT));
        for file in [
            "+",
            "+ +",
            "h.example.com +",
            "+ alice",
            "-",
            "",
            "# h.example.com",
            "NO_PLUS",
            "h.example.com alice x",
            "@untold",
            "h.example.com @untold",
            &long,
        ] {
            assert_eq!(as_user(file, "alice"), Trust::NotListed, "{file}");
        }
    }

    #[test]
    fn a_client_without_a_name_is_not_who_a_sign_alone_stands_for() {
        let nameless = Claim {
            host: "",
            address: "UNKNOWN",
            client_user: "",
            server_user: "",
        };
        for file in ["+", "-", "+ +", "UNKNOWN +", "+ alice"] {
            let found = trust(file.as_bytes(), nameless, &Groups);
            assert_eq!(found, Trust::NotListed, "{file}");
        }
    }

    proptest! {
        #[test]
        fn no_file_panics_and_none_grants_without_naming_the_host(file in "([+@ -]|bob|lab|#|\n|alice){0,20}") {
            let granted = matches!(as_user(&file, "alice"), Trust::Granted { .. });
            prop_assert!(!granted || file.contains("@lab"));
        }
    }
}
