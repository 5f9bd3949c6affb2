//! Who may log in at all, by name and from where: AllowUsers, DenyUsers, AllowGroups and DenyGroups.

use config::pattern::Pattern;
use config::sshd::{SshdConfig, UserPattern};
use std::fmt;
use std::net::IpAddr;

/// Where a login comes from, as patterns see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The host's name if names are looked up (UseDNS), its address otherwise.
    pub host: String,
    /// Its address; none for a client that has none.
    pub address: Option<IpAddr>,
}

/// The lists of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AccessRules {
    deny_users: Vec<UserPattern>,
    allow_users: Vec<UserPattern>,
    deny_groups: Vec<Pattern>,
    allow_groups: Vec<Pattern>,
}

/// The rule that keeps an account out. `Display` is OpenSSH's wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessRule {
    /// DenyUsers names the user.
    DenyUsers,
    /// AllowUsers names others.
    AllowUsers,
    /// A group is asked for, and the user has none.
    NoGroup,
    /// DenyGroups names one of the user's groups.
    DenyGroups,
    /// AllowGroups names none of them.
    AllowGroups,
}

impl AccessRules {
    pub(crate) fn of(config: &SshdConfig) -> Self {
        Self {
            deny_users: config.deny_users.clone(),
            allow_users: config.allow_users.clone(),
            deny_groups: config.deny_groups.clone(),
            allow_groups: config.allow_groups.clone(),
        }
    }

    /// The first rule that keeps the user out, in the order of sshd_config(5). `groups` are the names of the user's
    /// groups.
    pub(crate) fn denial(
        &self,
        user: &str,
        groups: &[String],
        source: &Source,
    ) -> Option<AccessRule> {
        let listed = |list: &[UserPattern]| {
            list.iter()
                .any(|pattern| pattern.matches(user, &source.host, source.address))
        };
        let member = |list: &[Pattern]| {
            groups
                .iter()
                .any(|group| list.iter().any(|pattern| pattern.matches(group)))
        };
        if listed(&self.deny_users) {
            return Some(AccessRule::DenyUsers);
        }
        if !self.allow_users.is_empty() && !listed(&self.allow_users) {
            return Some(AccessRule::AllowUsers);
        }
        if self.deny_groups.is_empty() && self.allow_groups.is_empty() {
            return None;
        }
        if groups.is_empty() {
            return Some(AccessRule::NoGroup);
        }
        if member(&self.deny_groups) {
            return Some(AccessRule::DenyGroups);
        }
        if !self.allow_groups.is_empty() && !member(&self.allow_groups) {
            return Some(AccessRule::AllowGroups);
        }
        None
    }
}

impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DenyUsers => "listed in DenyUsers",
            Self::AllowUsers => "not listed in AllowUsers",
            Self::NoGroup => "not in any group",
            Self::DenyGroups => "a group is listed in DenyGroups",
            Self::AllowGroups => "none of user's groups are listed in AllowGroups",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::sshd::{NoFiles, Offers, read_text};

    /// What becomes of alice, who is in `staff` and `wheel`, from 192.0.2.7.
    fn alice(text: &str) -> Option<AccessRule> {
        of("alice", &["staff", "wheel"], text)
    }

    fn of(user: &str, groups: &[&str], text: &str) -> Option<AccessRule> {
        let offers = Offers::ours();
        let configuration = read_text(text, "f", &[], &NoFiles, &offers.offered()).unwrap();
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let source = Source {
            host: "192.0.2.7".to_owned(),
            address: "192.0.2.7".parse().ok(),
        };
        AccessRules::of(&configuration.global().config).denial(user, &groups, &source)
    }

    #[test]
    fn without_rules_everybody_may() {
        assert_eq!(of("alice", &[], ""), None);
    }

    #[test]
    fn each_rule_keeps_out_and_lets_in() {
        use AccessRule::*;
        for (text, expected) in [
            ("DenyUsers alice", Some(DenyUsers)),
            ("DenyUsers bob al*", Some(DenyUsers)),
            ("DenyUsers bob", None),
            ("DenyUsers alice@192.0.2.0/24", Some(DenyUsers)),
            ("DenyUsers alice@198.51.100.0/24", None),
            ("AllowUsers alice", None),
            ("AllowUsers bob", Some(AllowUsers)),
            ("AllowUsers alice@192.0.2.*", None),
            ("AllowUsers alice@*.example.com", Some(AllowUsers)),
            ("DenyGroups wheel", Some(DenyGroups)),
            ("DenyGroups adm", None),
            ("AllowGroups adm st?ff", None),
            ("AllowGroups adm", Some(AllowGroups)),
        ] {
            assert_eq!(alice(text), expected, "{text}");
        }
    }

    #[test]
    fn the_rules_are_asked_in_openssh_s_order() {
        use AccessRule::*;
        for (text, expected) in [
            ("AllowUsers alice\nDenyUsers alice", Some(DenyUsers)),
            ("AllowUsers bob\nDenyGroups wheel", Some(AllowUsers)),
            ("AllowUsers alice\nDenyGroups wheel", Some(DenyGroups)),
            ("AllowGroups wheel\nDenyGroups staff", Some(DenyGroups)),
            ("AllowUsers alice\nAllowGroups adm", Some(AllowGroups)),
            ("AllowUsers alice\nAllowGroups wheel", None),
        ] {
            assert_eq!(alice(text), expected, "{text}");
        }
    }

    #[test]
    fn who_is_in_no_group_is_kept_out_as_soon_as_groups_matter() {
        assert_eq!(of("alice", &[], "AllowUsers alice"), None);
        let no_group = Some(AccessRule::NoGroup);
        assert_eq!(of("alice", &[], "DenyGroups adm"), no_group);
        assert_eq!(of("alice", &[], "AllowGroups *"), no_group);
    }
}
