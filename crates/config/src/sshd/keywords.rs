//! Every keyword of sshd_config(5), and what this server does with it.
//!
//! One table: the 105 keywords of OpenSSH 10.5, its deprecated and renamed ones, those that Debian's patches add, and the
//! server's own. The states say what happens when a keyword occurs:
//!
//! - [`State::Active`], [`State::ActiveThrough`]: its value is obeyed.
//! - [`State::NoEffect`]: something else of this server decides it. A warning.
//! - [`State::NotYet`]: not obeyed by this version, and nothing is permitted by that. A warning.
//! - [`State::Refused`]: not obeyed by this version, and to ignore it would permit what it forbids. An error.
//!
//! Whatever the state, the values are read as OpenSSH reads them; what cannot be read is an error. With a value that asks for what happens anyway (`X11Forwarding no` while there is none) there is no remark at all.

mod table;

use super::report::closest;
use super::setting::Setting;
pub(crate) use table::KEYWORDS;

/// What happens when a keyword occurs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    /// Obeyed.
    Active,
    /// Obeyed, but not by the process that reads the file: by whom.
    ActiveThrough(&'static str),
    /// Obeyed, but for these values (in lower case) and what happens instead.
    ActiveExcept(&'static [(&'static str, &'static str)]),
    /// Decided elsewhere.
    NoEffect(&'static str),
    /// Harmless to ignore.
    NotYet(&'static str),
    /// Dangerous to ignore.
    Refused(&'static str),
    /// Without effect in OpenSSH too, which says so.
    Deprecated,
    /// Without effect in OpenSSH too, which does not say so.
    Ignored,
    /// Another name for a keyword.
    OldNameOf(&'static str),
    /// Reads further files.
    Include,
    /// Obeyed at once: names keywords that are skipped from here on.
    IgnoreUnknown,
    /// Begins a block of conditions.
    Match,
}

/// Where a keyword can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Outside of Match only.
    Global,
    /// In Match blocks too.
    Match,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Keyword {
    /// The proper name. Compared without regard to case.
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    /// How its values are read and where they go, whatever the state; none if nobody reads them.
    pub(crate) setting: Option<&'static dyn Setting>,
    pub(crate) state: State,
    /// The values that ask for what happens anyway: as `-T` shows them, in lower case, `none` for nothing.
    pub(crate) neutral: &'static [&'static str],
}

impl Keyword {
    const fn new(
        name: &'static str,
        scope: Scope,
        setting: Option<&'static dyn Setting>,
        state: State,
    ) -> Self {
        Self {
            name,
            scope,
            setting,
            state,
            neutral: &[],
        }
    }
}

/// A keyword that OpenSSH does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnKeyword {
    /// The keyword.
    pub name: &'static str,
    /// Its value if it does not occur.
    pub default: &'static str,
    /// What it means, for the manual page.
    pub meaning: &'static str,
}

/// The keywords of this server that are not in OpenSSH's sshd_config(5).
pub const OWN_KEYWORDS: &[OwnKeyword] = &[
    OwnKeyword {
        name: "IgnoreUnknown",
        default: "none",
        meaning: "Patterns, separated by commas, of keywords that are skipped if this server does not know them. Holds for \
                  what follows it, as in ssh_config(5).",
    },
    OwnKeyword {
        name: "SessionProperties",
        default: "none",
        meaning: "What a session may use of the machine: words NAME=VALUE with properties of its scope, see \
                  systemd.resource-control(5) and systemd.scope(5). \
                  MemoryMax takes bytes, with a suffix K, M, G or T, or a percentage, or infinity. \
                  TasksMax takes a number or infinity. \
                  CPUWeight and IOWeight take 1 to 10000. \
                  CPUQuota takes a percentage of one processor. \
                  RuntimeMaxSec takes a time such as 1h30m, after which the session is ended. \
                  They hold for all channels of a connection together, through pam_sshd_privsep(8) and pam_systemd(8); \
                  CPUQuota, which pam_systemd(8) does not take, is set by the server before the client hears of its login.",
    },
    OwnKeyword {
        name: "SoftwareVersion",
        default: "none",
        meaning: "What the server is called in its identification string (RFC 4253 section 4.2): printable characters \
                  without space and minus sign. none is OpenSSH_compatible_sshd_privsep_ and the version. \
                  A name that does not begin with OpenSSH has a price: ssh(1) tells only servers of that name that it has \
                  no use for more output, so with another one ssh host yes | head -1 does not end, and only these that it \
                  wants no more sessions, which keeps others from using its connection. \
                  A release, as in OpenSSH_9.9, has another one: clients avoid its mistakes, and scanners report its holes.",
    },
    OwnKeyword {
        name: "WorkerPoolIdle",
        default: "4",
        meaning: "How many worker processes (sshd-privsep-preauth@.service) wait for connections. 1 to 64. A connection that \
                  finds one waiting does not wait for a process to start.",
    },
    OwnKeyword {
        name: "WorkerPoolMax",
        default: "512",
        meaning: "How many worker processes there are at most, waiting and busy ones together. 1 to 65536. Each connection \
                  keeps its worker until it ends, so this is also the largest number of connections; more are closed.",
    },
    OwnKeyword {
        name: "WorkerStartRate",
        default: "20",
        meaning: "How many worker processes are started per second at most. 1 to 1000. Bounds what a flood of connections \
                  costs; connections that find no worker wait within LoginGraceTime.",
    },
];

/// What this server does with a keyword of sshd_config(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordSupport {
    /// The keyword.
    pub name: &'static str,
    /// Whether it can stand in Match blocks.
    pub in_match: bool,
    /// What becomes of it.
    pub support: Support,
    /// Why it is not obeyed, or which values are not, or who obeys it.
    pub why: String,
}

/// What becomes of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It is obeyed.
    Active,
    /// It is obeyed by another part of the server.
    ActiveThrough,
    /// It has no effect, and a remark says why.
    NoEffect,
    /// It is planned; until then a remark says that it has no effect, which permits nothing.
    Planned,
    /// It is planned; until then it is refused, for to ignore it would permit something.
    Refused,
    /// OpenSSH ignores it too.
    Obsolete,
    /// It is another name of a keyword.
    OldName,
}

/// Every keyword and what this server does with it: the source of the manual page's table.
#[must_use]
pub fn support() -> Vec<KeywordSupport> {
    let row = |keyword: &Keyword| {
        let (support, why) = match keyword.state {
            State::Active | State::Include | State::IgnoreUnknown | State::Match => {
                (Support::Active, String::new())
            }
            State::ActiveThrough(whom) => (Support::ActiveThrough, whom.to_owned()),
            State::ActiveExcept(values) => {
                let but = values
                    .iter()
                    .map(|(value, why)| format!("not \"{value}\": {why}"));
                (Support::Active, but.collect::<Vec<_>>().join("; "))
            }
            State::NoEffect(why) => (Support::NoEffect, why.to_owned()),
            State::NotYet(why) => (Support::Planned, why.to_owned()),
            State::Refused(why) => (Support::Refused, why.to_owned()),
            State::Deprecated | State::Ignored => (Support::Obsolete, String::new()),
            State::OldNameOf(new) => (Support::OldName, new.to_owned()),
        };
        KeywordSupport {
            name: keyword.name,
            in_match: keyword.scope == Scope::Match,
            support,
            why,
        }
    };
    KEYWORDS.iter().map(row).collect()
}

/// The row of a word in a file; an old name leads to the row of the new one.
pub(crate) fn find(word: &str) -> Option<&'static Keyword> {
    let row = KEYWORDS
        .iter()
        .find(|keyword| keyword.name.eq_ignore_ascii_case(word))?;
    match row.state {
        State::OldNameOf(new) => KEYWORDS.iter().find(|keyword| keyword.name == new),
        _ => Some(row),
    }
}

/// The keyword that somebody who wrote `word` probably meant.
pub(crate) fn suggestion(word: &str) -> Option<String> {
    closest(word, KEYWORDS.iter().map(|keyword| keyword.name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_has_every_keyword_of_openssh_once() {
        let names: BTreeSet<String> = KEYWORDS
            .iter()
            .map(|keyword| keyword.name.to_ascii_lowercase())
            .collect();
        assert_eq!(names.len(), KEYWORDS.len());
        let count = |wanted: fn(&State) -> bool| {
            KEYWORDS
                .iter()
                .filter(|keyword| wanted(&keyword.state))
                .count()
        };
        assert_eq!(count(|state| matches!(state, State::OldNameOf(_))), 7);
        // 13 of OpenSSH and 2 of Debian's.
        assert_eq!(count(|state| matches!(state, State::Deprecated)), 15);
        // Protocol.
        assert_eq!(count(|state| matches!(state, State::Ignored)), 1);
        // The 105 of OpenSSH 10.5, 4 of Debian's and 6 of ours.
        assert_eq!(KEYWORDS.len(), 105 + 7 + 15 + 1 + 4 + 6);
    }

    #[test]
    fn old_names_lead_to_keywords_that_exist() {
        for keyword in KEYWORDS {
            let found = find(&keyword.name.to_ascii_uppercase());
            assert!(
                found.is_some_and(|found| !matches!(found.state, State::OldNameOf(_))),
                "{}",
                keyword.name
            );
        }
    }

    #[test]
    fn neutral_values_are_in_the_form_they_are_compared_in() {
        for value in KEYWORDS.iter().flat_map(|keyword| keyword.neutral) {
            assert_eq!(value.to_ascii_lowercase(), **value);
        }
    }

    #[test]
    fn own_keywords_are_active_and_documented() {
        for own in OWN_KEYWORDS {
            assert!(
                matches!(
                    find(own.name).map(|keyword| keyword.state),
                    Some(State::Active | State::IgnoreUnknown)
                ),
                "{}",
                own.name
            );
        }
    }
}
