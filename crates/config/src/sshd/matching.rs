//! Match: which connections a block holds for.

use super::address::AddressList;
use super::lexer::{Malformed, Span, Statement};
use super::report::{ErrorKind, closest};
use crate::pattern::{PatternList, Verdict};
use std::net::IpAddr;
use thiserror::Error;

/// The release of OpenSSH whose keywords are known, for `Match Version`.
pub const COMPATIBLE_RELEASE: &str = "OpenSSH_10.5p1";

/// What is known of a connection. What is not known matches nothing, as with `sshd -T -C`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// The name that the client gave.
    pub user: Option<String>,
    /// Whether there is an account of that name.
    pub account: Account,
    /// The names of the user's groups.
    pub groups: Vec<String>,
    /// The client's host name; its address unless UseDNS is on.
    pub host: Option<String>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The address that the client connected to.
    pub local_address: Option<IpAddr>,
    /// The port that the client connected to.
    pub local_port: Option<u16>,
    /// The routing domain of the listening socket.
    pub rdomain: Option<String>,
}

/// Whether a user exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Account {
    /// There is such an account.
    #[default]
    Exists,
    /// There is none.
    Invalid,
}

/// A `-C` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CriteriaError {
    /// A key that does not exist.
    #[error("invalid test mode specification {0}")]
    Unknown(String),
    /// A port that is none.
    #[error("invalid port '{0}' in test mode specification")]
    Port(String),
}

impl Criteria {
    /// Adds one argument of `sshd -C`: `user=…,host=…,addr=…,laddr=…,lport=…,rdomain=…,invalid-user`.
    ///
    /// The groups of the user are left for who can look them up.
    ///
    /// # Errors
    ///
    /// See [`CriteriaError`].
    pub fn add(&mut self, specification: &str) -> Result<(), CriteriaError> {
        for part in specification.split(',').take_while(|part| !part.is_empty()) {
            let text = |value: &str| Some(value.to_owned());
            match part.split_once('=') {
                Some(("user", value)) => self.user = text(value),
                Some(("host", value)) => self.host = text(value),
                Some(("rdomain", value)) => self.rdomain = text(value),
                // As for OpenSSH: something that is no address is in no list.
                Some(("addr", value)) => self.address = value.parse().ok(),
                Some(("laddr", value)) => self.local_address = value.parse().ok(),
                Some(("lport", value)) => {
                    let port = value
                        .parse()
                        .map_err(|_| CriteriaError::Port(value.to_owned()))?;
                    self.local_port = Some(port);
                }
                None if part == "invalid-user" => self.account = Account::Invalid,
                _ => return Err(CriteriaError::Unknown(part.to_owned())),
            }
        }
        Ok(())
    }
}

/// The criteria of one Match, all of which must hold.
#[derive(Debug)]
pub(crate) struct Condition(Vec<Criterion>);

#[derive(Debug)]
enum Criterion {
    InvalidUser,
    User(PatternList),
    Group(PatternList),
    Host(PatternList),
    Address(AddressList),
    LocalAddress(AddressList),
    LocalPort(u16),
    RDomain(PatternList),
    Version(PatternList),
}

/// The criteria that have an argument.
const WITH_ARGUMENT: &[&str] = &[
    "User",
    "Group",
    "Host",
    "Address",
    "LocalAddress",
    "LocalPort",
    "RDomain",
    "Version",
];

impl Condition {
    /// Reads the words after Match, both `User alice` and `User=alice`.
    pub(crate) fn parse(
        statement: &Statement,
        service: impl Fn(&str) -> Option<u16>,
    ) -> Result<Self, Malformed> {
        let mut criteria = Vec::new();
        let mut words = statement.arguments.iter();
        while let Some(word) = words.next() {
            let refuse = |span: Span, problem: MatchError| {
                let kind = ErrorKind::Match(problem);
                Err(Malformed { span, kind })
            };
            if word.text.eq_ignore_ascii_case("all") {
                return match statement.arguments.len() {
                    1 => Ok(Self(Vec::new())),
                    _ => refuse(word.span, MatchError::AllWithOthers),
                };
            }
            if word.text.eq_ignore_ascii_case("invalid-user") {
                criteria.push(Criterion::InvalidUser);
                continue;
            }
            let (name, argument) = match word.text.split_once('=') {
                Some((name, argument)) => (name, Some((argument, word))),
                None => (&*word.text, None),
            };
            if !WITH_ARGUMENT
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
            {
                let known = ["All", "Invalid-User"].iter().chain(WITH_ARGUMENT);
                let suggestion = closest(name, known.copied());
                let name = word.text.clone();
                return refuse(word.span, MatchError::Unknown { name, suggestion });
            }
            let argument = argument.or_else(|| words.next().map(|word| (&*word.text, word)));
            let Some((argument, at)) = argument.filter(|(argument, _)| !argument.is_empty()) else {
                return refuse(word.span, MatchError::NoArgument(name.to_owned()));
            };
            match criterion(name, argument, &service) {
                Ok(criterion) => criteria.push(criterion),
                Err(problem) => return refuse(at.span, problem),
            }
        }
        Ok(Self(criteria))
    }

    /// A condition that holds for nobody.
    pub(crate) fn never() -> Self {
        Self(vec![Criterion::User(PatternList::new("!*"))])
    }

    /// Whether the block holds for every connection, so that it is as if its lines stood outside of Match.
    pub(crate) fn always(&self) -> bool {
        self.0.iter().all(|criterion| {
            matches!(criterion, Criterion::Version(_)) && criterion.holds(&Criteria::default())
        })
    }

    /// Whether the names of a user's groups are among the criteria.
    pub(crate) fn asks_for_groups(&self) -> bool {
        self.0.iter().any(|c| matches!(c, Criterion::Group(_)))
    }

    /// Whether the block holds for a connection.
    pub(crate) fn holds(&self, connection: &Criteria) -> bool {
        self.0.iter().all(|criterion| criterion.holds(connection))
    }
}

fn criterion(
    name: &str,
    argument: &str,
    service: impl Fn(&str) -> Option<u16>,
) -> Result<Criterion, MatchError> {
    let addresses =
        || AddressList::parse(argument).map_err(|error| MatchError::Address(error.to_string()));
    let patterns = || PatternList::new(argument);
    Ok(match name.to_ascii_lowercase().as_str() {
        "user" => Criterion::User(patterns()),
        "group" => Criterion::Group(patterns()),
        "host" => Criterion::Host(PatternList::new(&argument.to_ascii_lowercase())),
        "address" => Criterion::Address(addresses()?),
        "localaddress" => Criterion::LocalAddress(addresses()?),
        "localport" => {
            let port = argument.parse().ok().or_else(|| service(argument));
            Criterion::LocalPort(port.ok_or_else(|| MatchError::Port(argument.to_owned()))?)
        }
        "rdomain" => Criterion::RDomain(patterns()),
        _ => Criterion::Version(patterns()),
    })
}

impl Criterion {
    fn holds(&self, connection: &Criteria) -> bool {
        let listed = |text: &Option<String>, list: &PatternList| {
            text.as_deref()
                .is_some_and(|text| list.verdict(text) == Verdict::Included)
        };
        let within = |address: Option<IpAddr>, list: &AddressList| {
            address.is_some_and(|address| list.verdict(address) == Verdict::Included)
        };
        match self {
            Self::InvalidUser => connection.account == Account::Invalid,
            Self::User(list) => listed(&connection.user, list),
            Self::Group(list) => {
                let verdicts = connection.groups.iter().map(|group| list.verdict(group));
                // One excluded group is enough, whichever the others are.
                let mut included = false;
                for verdict in verdicts {
                    match verdict {
                        Verdict::Excluded => return false,
                        Verdict::Included => included = true,
                        Verdict::Absent => {}
                    }
                }
                included
            }
            Self::Host(list) => {
                let host = connection
                    .host
                    .as_ref()
                    .map(|host| host.to_ascii_lowercase());
                listed(&host, list)
            }
            Self::Address(list) => within(connection.address, list),
            Self::LocalAddress(list) => within(connection.local_address, list),
            Self::LocalPort(port) => connection.local_port == Some(*port),
            Self::RDomain(list) => listed(&connection.rdomain, list),
            Self::Version(list) => list.verdict(COMPATIBLE_RELEASE) == Verdict::Included,
        }
    }
}

/// What is wrong with a Match.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MatchError {
    /// A criterion that does not exist.
    #[error("Match knows no criterion {name:?}{}", super::report::did_you_mean(*.suggestion))]
    Unknown {
        /// As written.
        name: String,
        /// The criterion that looks most like it.
        suggestion: Option<&'static str>,
    },
    /// A criterion without its argument.
    #[error("Match {0} needs an argument")]
    NoArgument(String),
    /// `all` beside other criteria.
    #[error("Match all stands alone")]
    AllWithOthers,
    /// A list of addresses that is none.
    #[error("Match: not a list of addresses: {0}")]
    Address(String),
    /// A port that is none.
    #[error("Match LocalPort: {0:?} is not a port")]
    Port(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sshd::lexer;

    fn condition(line: &str) -> Result<Condition, ErrorKind> {
        let statement = lexer::split(line).unwrap().unwrap();
        Condition::parse(&statement, |_| None).map_err(|malformed| malformed.kind)
    }

    fn holds(line: &str, specification: &str, groups: &[&str]) -> bool {
        let mut criteria = Criteria::default();
        criteria.add(specification).unwrap();
        criteria.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        condition(line).unwrap().holds(&criteria)
    }

    #[test]
    fn all_criteria_must_hold() {
        let connection =
            "user=alice,host=A.example.com,addr=10.0.0.1,laddr=::1,lport=22,rdomain=blue";
        for (line, expected) in [
            ("Match all", true),
            ("Match User alice", true),
            ("Match User=alice", true),
            ("match user \"bob,alice\"", true),
            ("Match User *,!alice", false),
            ("Match User !bob", false),
            ("Match User Alice", false),
            ("Match Host *.EXAMPLE.com", true),
            ("Match Host=b.example.com", false),
            ("Match Address 10.0.0.0/8 User alice", true),
            ("Match Address 10.0.0.0/8 User bob", false),
            ("Match Address=!10.0.0.0/8,*", false),
            ("Match LocalAddress ::1 LocalPort 22", true),
            ("Match LocalPort 23", false),
            ("Match RDomain bl*", true),
            ("Match Version OpenSSH_10.*", true),
            ("Match Version OpenSSH_9.*", false),
            ("Match Group wheel", true),
            ("Match Group *,!staff", false),
            ("Match Group none", false),
            ("Match Invalid-User", false),
        ] {
            assert_eq!(
                holds(line, connection, &["wheel", "staff"]),
                expected,
                "{line}"
            );
        }
        assert!(holds(
            "Match invalid-user User a*",
            "user=alice,invalid-user",
            &[]
        ));
    }

    #[test]
    fn what_is_not_known_matches_nothing() {
        for line in [
            "Match User *",
            "Match Group *",
            "Match Host *",
            "Match Address *",
            "Match LocalAddress *",
            "Match LocalPort 22",
            "Match RDomain *",
        ] {
            assert!(!holds(line, "", &[]), "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, expected) in [
            (
                "Match Usr a",
                "Match knows no criterion \"Usr\" (did you mean User?)",
            ),
            (
                "Match all=x",
                "Match knows no criterion \"all=x\" (did you mean All?)",
            ),
            ("Match User", "Match User needs an argument"),
            ("Match User=", "Match User needs an argument"),
            ("Match all User a", "Match all stands alone"),
            ("Match User a all", "Match all stands alone"),
            ("Match LocalPort x", "Match LocalPort: \"x\" is not a port"),
            (
                "Match Address 10.0.0.1/8",
                "Match: not a list of addresses: 10.0.0.1/8 has bits set behind its prefix",
            ),
        ] {
            assert_eq!(condition(line).unwrap_err().to_string(), expected, "{line}");
        }
    }

    #[test]
    fn only_all_and_version_hold_without_a_connection() {
        for (line, expected) in [
            ("Match all", true),
            ("Match Version *", true),
            ("Match Version OpenSSH_9*", false),
            ("Match User *", false),
        ] {
            assert_eq!(condition(line).unwrap().always(), expected, "{line}");
        }
    }

    #[test]
    fn a_specification_that_cannot_be_read_is_refused() {
        let mut criteria = Criteria::default();
        assert_eq!(
            criteria.add("usr=a"),
            Err(CriteriaError::Unknown("usr=a".to_owned()))
        );
        assert_eq!(
            criteria.add("lport=x"),
            Err(CriteriaError::Port("x".to_owned()))
        );
    }
}
