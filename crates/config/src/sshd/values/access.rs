//! Who may log in, and how.

use crate::hosts::HostPatterns;
use crate::pattern::Pattern;
use crate::sshd::YesNo;
use crate::sshd::address::AddressError;
use crate::sshd::lexer::{self, Malformed};
use crate::sshd::setting::{Arguments, Kind, joined, or_none};
use std::net::IpAddr;

/// AllowUsers and DenyUsers: each line adds to the list.
pub(crate) const USERS: Kind<Vec<UserPattern>> = Kind::new(
    |arguments| {
        let words = arguments.words("names of users")?;
        let read = |word: &lexer::Word| {
            UserPattern::parse(&word.text).map_err(|error| {
                arguments.bad(word, format!("a pattern USER or USER@HOST: {error}"))
            })
        };
        words.into_iter().map(read).collect()
    },
    |users: &Vec<UserPattern>| users.iter().map(|user| lexer::quoted(&user.text)).collect(),
)
.collecting();

/// AllowGroups and DenyGroups: each line adds to the list.
pub(crate) const GROUPS: Kind<Vec<Pattern>> = Kind::new(
    |arguments| {
        let words = arguments.words("names of groups")?;
        Ok(words.iter().map(|word| Pattern::new(&*word.text)).collect())
    },
    |groups: &Vec<Pattern>| {
        groups
            .iter()
            .map(|group| lexer::quoted(&group.to_string()))
            .collect()
    },
)
.collecting();

/// AuthenticationMethods.
pub(crate) const METHODS: Kind<AuthenticationMethods> = Kind::new(methods, |methods| {
    let lists = joined(methods.0.iter().map(|list| list.join(",")));
    vec![lists.unwrap_or_else(|| "any".to_owned())]
});

/// PubkeyAuthOptions.
pub(crate) const PUBKEY_OPTIONS: Kind<PubkeyAuthOptions> = Kind::new(
    |arguments| {
        let mut options = PubkeyAuthOptions::default();
        while let Some(word) = arguments.optional() {
            match word.text.to_ascii_lowercase().as_str() {
                "none" => {}
                "touch-required" => options.touch_required = YesNo::Yes,
                "verify-required" => options.verify_required = YesNo::Yes,
                _ => return Err(arguments.bad(word, "none, touch-required or verify-required")),
            }
        }
        Ok(options)
    },
    |options| {
        let named = [
            (options.touch_required, "touch-required"),
            (options.verify_required, "verify-required"),
        ];
        let words = named.iter().filter(|(on, _)| *on == YesNo::Yes);
        or_none(joined(words.map(|(_, word)| (*word).to_owned())))
    },
);

/// A pattern of AllowUsers or DenyUsers: a user, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPattern {
    user: Pattern,
    host: Option<HostPatterns>,
    text: String,
}

impl UserPattern {
    fn parse(text: &str) -> Result<Self, AddressError> {
        let (user, host) = match text.split_once('@') {
            None => (text, None),
            Some((user, host)) => (user, Some(HostPatterns::parse(host)?)),
        };
        Ok(Self {
            user: Pattern::new(user),
            host,
            text: text.to_owned(),
        })
    }

    /// Whether it stands for a user who comes from a host with an address, if it has one. `host` is the address if UseDNS
    /// is off.
    #[must_use]
    pub fn matches(&self, user: &str, host: &str, address: Option<IpAddr>) -> bool {
        let elsewhere = |hosts: &HostPatterns| !hosts.matches(host, address);
        self.user.matches(user) && !self.host.as_ref().is_some_and(elsewhere)
    }
}

/// AuthenticationMethods: lists of methods of which all of one must succeed, in their order. Empty is `any`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthenticationMethods(Vec<Vec<String>>);

impl From<Vec<Vec<String>>> for AuthenticationMethods {
    /// Of lists as [`AuthenticationMethods::lists`] has them.
    fn from(lists: Vec<Vec<String>>) -> Self {
        Self(lists)
    }
}

impl AuthenticationMethods {
    /// The lists; none means that any one method is enough. A method can have a part after a colon, `publickey:…`.
    #[must_use]
    pub fn lists(&self) -> &[Vec<String>] {
        &self.0
    }

    /// The names of the methods in all lists, without the parts after colons.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(|method| method_name(method))
    }

    /// Whether there is a list whose methods are all enabled.
    #[must_use]
    pub fn satisfiable(&self, enabled: impl Fn(&str) -> bool) -> bool {
        let all = |list: &Vec<String>| list.iter().all(|method| enabled(method_name(method)));
        self.0.is_empty() || self.0.iter().any(all)
    }
}

fn method_name(method: &str) -> &str {
    method.split_once(':').map_or(method, |(name, _)| name)
}

fn methods(arguments: &mut Arguments<'_>) -> Result<AuthenticationMethods, Malformed> {
    const EXPECTED: &str = "any, or methods separated by commas: publickey, password, \
                            keyboard-interactive, hostbased, gssapi-with-mic, none";
    const KNOWN: &[&str] = &[
        "none",
        "publickey",
        "gssapi-with-mic",
        "password",
        "keyboard-interactive",
        "hostbased",
    ];
    let words = arguments.words(EXPECTED)?;
    if let Some(any) = words.iter().find(|word| word.text == "any") {
        return match words.len() {
            1 => Ok(AuthenticationMethods::default()),
            _ => Err(arguments.bad(any, "alone, as it must be")),
        };
    }
    let list = |word: &lexer::Word| {
        let list: Vec<String> = word.text.split(',').map(str::to_owned).collect();
        match list
            .iter()
            .all(|method| KNOWN.contains(&method_name(method)))
        {
            true => Ok(list),
            false => Err(arguments.bad(word, EXPECTED)),
        }
    };
    words
        .into_iter()
        .map(list)
        .collect::<Result<_, _>>()
        .map(AuthenticationMethods)
}

/// PubkeyAuthOptions: what security keys (FIDO) must have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubkeyAuthOptions {
    /// They were touched, whatever the key says.
    pub touch_required: YesNo,
    /// They asked for a PIN or a finger, whatever the key says.
    pub verify_required: YesNo,
}

impl Default for PubkeyAuthOptions {
    fn default() -> Self {
        Self {
            touch_required: YesNo::No,
            verify_required: YesNo::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_pattern_can_name_where_from() {
        let address: Option<IpAddr> = "10.1.2.3".parse().ok();
        for (pattern, user, expected) in [
            ("alice", "alice", true),
            ("a*", "bob", false),
            ("alice@10.0.0.0/8", "alice", true),
            ("alice@10.0.0.0/8", "bob", false),
            ("alice@192.168.0.0/16", "alice", false),
            ("*@*.Example.com", "alice", true),
            ("*@*.example.com,!10.1.0.0/16", "alice", false),
            ("*@!h.example.com,10.0.0.0/8", "alice", false),
            ("*@10.*", "alice", true),
        ] {
            let matches =
                UserPattern::parse(pattern)
                    .unwrap()
                    .matches(user, "H.example.COM", address);
            assert_eq!(matches, expected, "{pattern} for {user}");
        }
        assert!(UserPattern::parse("a@10.0.0.1/8").is_err());
    }

    #[test]
    fn methods_must_be_enabled_together() {
        let methods = AuthenticationMethods(vec![
            vec!["publickey".to_owned(), "password".to_owned()],
            vec!["keyboard-interactive:pam".to_owned()],
        ]);
        assert!(methods.satisfiable(|method| method != "keyboard-interactive"));
        assert!(methods.satisfiable(|method| method == "keyboard-interactive"));
        assert!(!methods.satisfiable(|method| method == "publickey"));
        assert!(AuthenticationMethods::default().satisfiable(|_| false));
    }
}
