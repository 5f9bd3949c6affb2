//! The command line of sshd-privsepctl(1): one table, from which the help is made and with which the manual page has to
//! agree.

use std::ffi::OsString;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use config::sshd::{Criteria, CriteriaError, DEFAULT_FILE};
use lexopt::{Arg, ValueExt};
use rpc::{Network, NetworkError};
use thiserror::Error;

/// A subcommand.
#[derive(Debug, Clone, Copy)]
pub struct Subcommand {
    /// Its name.
    pub name: &'static str,
    /// What its arguments are called; empty if it takes none.
    pub arguments: &'static str,
    /// What it does, in half a sentence.
    pub meaning: &'static str,
    /// Its own flags.
    pub flags: &'static [Flag],
}

/// A flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The letter after one dash.
    pub letter: Option<char>,
    /// The word after two.
    pub word: &'static str,
    /// What its argument is called; none if it takes none.
    pub argument: Option<&'static str>,
    /// What it does, in half a sentence.
    pub meaning: &'static str,
}

/// Every subcommand. Without one, `status` is meant.
pub const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "status",
        arguments: "",
        meaning: "what the server does: listeners, configuration, workers",
        flags: &[],
    },
    Subcommand {
        name: "list",
        arguments: "",
        meaning: "the connections that live",
        flags: &[NO_LEGEND],
    },
    Subcommand {
        name: "show",
        arguments: "ID...",
        meaning: "all that is known of connections",
        flags: &[],
    },
    Subcommand {
        name: "kill",
        arguments: "ID...",
        meaning: "end connections, and the sessions on them",
        flags: &[],
    },
    Subcommand {
        name: "penalties",
        arguments: "[list]",
        meaning: "sources that are refused for what they did, or soon would be",
        flags: &[NO_LEGEND],
    },
    Subcommand {
        name: "penalties clear",
        arguments: "ADDRESS...|all",
        meaning: "forget what these sources did",
        flags: &[],
    },
    Subcommand {
        name: "penalties exempt",
        arguments: "ADDRESS...",
        meaning: "no penalties for these, until the server ends",
        flags: &[],
    },
    Subcommand {
        name: "reload",
        arguments: "",
        meaning: "read the configuration again and say what is wrong with it",
        flags: &[Flag {
            letter: Some('q'),
            word: "quiet",
            argument: None,
            meaning: "do not repeat what the journal has",
        }],
    },
    Subcommand {
        name: "explain",
        arguments: "USER[@ADDRESS]",
        meaning: "which value of each keyword holds for this user, and which line set it",
        flags: &[
            Flag {
                letter: Some('f'),
                word: "file",
                argument: Some("FILE"),
                meaning: "read this configuration",
            },
            Flag {
                letter: Some('o'),
                word: "option",
                argument: Some("OPTION"),
                meaning: "a line of the configuration, which counts before the file",
            },
            Flag {
                letter: Some('C'),
                word: "connection",
                argument: Some("SPEC"),
                meaning: "host=, laddr=, lport= or rdomain= of the connection, separated by commas",
            },
        ],
    },
];

/// Of what shows a table.
const NO_LEGEND: Flag = Flag {
    letter: None,
    word: "no-legend",
    argument: None,
    meaning: "leave out header and sum",
};

/// Flags that stand for themselves.
pub const FLAGS: &[Flag] = &[
    Flag {
        letter: Some('h'),
        word: "help",
        argument: None,
        meaning: "show this help",
    },
    Flag {
        letter: Some('V'),
        word: "version",
        argument: None,
        meaning: "print the version",
    },
];

/// The exit codes and what they mean.
pub const EXIT_CODES: &[(u8, &str)] = &[
    (0, "as was asked"),
    (1, "not so: what was wrong stands on standard error"),
    (2, "words that mean nothing"),
    (3, "the server is not running"),
    (4, "only root may do this"),
];

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// `status`
    Status,
    /// `list`
    List(Legend),
    /// `show`
    Show(Vec<String>),
    /// `kill`
    Kill(Vec<String>),
    /// `penalties`
    Penalties(Penalties),
    /// `reload`
    Reload(Voice),
    /// `explain`
    Explain(Question),
}

/// What to do with penalties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Penalties {
    /// `penalties` or `penalties list`
    List(Legend),
    /// `penalties clear all`
    ClearAll,
    /// `penalties clear`
    Clear(Vec<Network>),
    /// `penalties exempt`
    Exempt(Vec<Network>),
}

/// Whether a table has header and sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Legend {
    /// For people.
    #[default]
    Shown,
    /// For programs.
    Hidden,
}

/// Whether to say what the journal has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Voice {
    /// For people.
    #[default]
    Loud,
    /// For units, whose standard error is the journal.
    Quiet,
}

/// Whose configuration is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The file that it begins with.
    pub file: PathBuf,
    /// Lines that count before it.
    pub options: Vec<String>,
    /// The connection. Account and groups of its user are not known yet.
    pub connection: Criteria,
}

/// Words that mean nothing.
#[derive(Debug, Error)]
pub enum UsageError {
    /// A word that is none.
    #[error("{0}")]
    Word(#[from] lexopt::Error),
    /// A subcommand that does not exist.
    #[error("unknown command {0:?}")]
    Unknown(String),
    /// A subcommand without what it is about.
    #[error("{name} what? usage: sshd-privsepctl {name} {arguments}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What is missing.
        arguments: &'static str,
    },
    /// What stands after the last `@` is no IP address.
    #[error("{0:?} is no IP address; a host name is given with -C host=NAME")]
    Address(String),
    /// What is to be cleared or exempted.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// `-C`
    #[error(transparent)]
    Connection(#[from] CriteriaError),
}

/// The text of `--help`.
#[must_use]
pub fn help() -> String {
    let mut text = "sshd-privsepctl [COMMAND]\n\nAsk the SSH server, and about its configuration.\n\nCommands:\n".to_owned();
    // Writing to a String does not fail.
    let mut line = |left: &str, meaning: &str| {
        let _written = writeln!(text, "  {left:28} {meaning}");
    };
    for command in SUBCOMMANDS {
        let name = format!("{} {}", command.name, command.arguments);
        line(name.trim_end(), command.meaning);
        for flag in command.flags {
            line(&format!("    {}", flag.form()), flag.meaning);
        }
    }
    for flag in FLAGS {
        line(&flag.form(), flag.meaning);
    }
    text.push_str("\nA connection is named by its ID or the beginning of one. Exit codes:\n");
    for (code, meaning) in EXIT_CODES {
        let _written = writeln!(text, "  {code}  {meaning}");
    }
    text
}

impl Flag {
    /// `-f, --file=FILE`
    #[must_use]
    pub fn form(&self) -> String {
        let letter = self
            .letter
            .map_or_else(String::new, |letter| format!("-{letter}, "));
        let argument = self
            .argument
            .map_or_else(String::new, |argument| format!("={argument}"));
        format!("{letter}--{}{argument}", self.word)
    }
}

impl Command {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut parser = lexopt::Parser::from_args(words);
        let Some(first) = parser.next()? else {
            return Ok(Self::Status);
        };
        match first {
            Arg::Short('h') | Arg::Long("help") => Ok(Self::Help),
            Arg::Short('V') | Arg::Long("version") => Ok(Self::Version),
            Arg::Value(name) => match name.to_str() {
                Some("status") => nothing_more(parser, Self::Status),
                Some("list") => list(parser),
                Some("show") => ids(parser, "show").map(Self::Show),
                Some("kill") => ids(parser, "kill").map(Self::Kill),
                Some("penalties") => penalties(parser),
                Some("reload") => reload(parser),
                Some("explain") => explain(parser),
                _ => Err(UsageError::Unknown(name.to_string_lossy().into_owned())),
            },
            Arg::Short(_) | Arg::Long(_) => Err(first.unexpected().into()),
        }
    }
}

fn is_help(arg: &Arg<'_>) -> bool {
    matches!(arg, Arg::Short('h') | Arg::Long("help"))
}

fn nothing_more(mut parser: lexopt::Parser, command: Command) -> Result<Command, UsageError> {
    match parser.next()? {
        None => Ok(command),
        Some(arg) if is_help(&arg) => Ok(Command::Help),
        Some(arg) => Err(arg.unexpected().into()),
    }
}

fn list(mut parser: lexopt::Parser) -> Result<Command, UsageError> {
    let mut legend = Legend::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("no-legend") => legend = Legend::Hidden,
            _ if is_help(&arg) => return Ok(Command::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Command::List(legend))
}

fn penalties(mut parser: lexopt::Parser) -> Result<Command, UsageError> {
    let mut legend = Legend::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("no-legend") => legend = Legend::Hidden,
            Arg::Value(word) if word == "list" => {}
            Arg::Value(word) if word == "clear" => return clear(parser),
            Arg::Value(word) if word == "exempt" => {
                return networks(parser, "penalties exempt", Penalties::Exempt);
            }
            _ if is_help(&arg) => return Ok(Command::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Command::Penalties(Penalties::List(legend)))
}

fn clear(parser: lexopt::Parser) -> Result<Command, UsageError> {
    let words: Vec<OsString> = parser.clone().raw_args()?.collect();
    match words.as_slice() {
        [word] if word == "all" => Ok(Command::Penalties(Penalties::ClearAll)),
        _ => networks(parser, "penalties clear", Penalties::Clear),
    }
}

fn networks(
    mut parser: lexopt::Parser,
    name: &'static str,
    what: impl FnOnce(Vec<Network>) -> Penalties,
) -> Result<Command, UsageError> {
    let mut networks = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Value(word) => networks.push(word.string()?.parse()?),
            _ if is_help(&arg) => return Ok(Command::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    match networks.is_empty() {
        true => Err(missing(name)),
        false => Ok(Command::Penalties(what(networks))),
    }
}

fn reload(mut parser: lexopt::Parser) -> Result<Command, UsageError> {
    let mut voice = Voice::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('q') | Arg::Long("quiet") => voice = Voice::Quiet,
            _ if is_help(&arg) => return Ok(Command::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Command::Reload(voice))
}

fn ids(mut parser: lexopt::Parser, name: &'static str) -> Result<Vec<String>, UsageError> {
    let mut ids = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Value(id) => ids.push(id.string()?),
            Arg::Short(_) | Arg::Long(_) => return Err(arg.unexpected().into()),
        }
    }
    match ids.is_empty() {
        true => Err(missing(name)),
        false => Ok(ids),
    }
}

fn missing(name: &'static str) -> UsageError {
    let command = SUBCOMMANDS.iter().find(|command| command.name == name);
    UsageError::Missing {
        name,
        arguments: command.map_or("", |command| command.arguments),
    }
}

fn explain(mut parser: lexopt::Parser) -> Result<Command, UsageError> {
    let mut question = Question {
        file: DEFAULT_FILE.into(),
        options: Vec::new(),
        connection: Criteria::default(),
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('f') | Arg::Long("file") => question.file = parser.value()?.into(),
            Arg::Short('o') | Arg::Long("option") => {
                question.options.push(parser.value()?.string()?);
            }
            Arg::Short('C') | Arg::Long("connection") => {
                question.connection.add(&parser.value()?.string()?)?;
            }
            Arg::Value(who) if question.connection.user.is_none() => {
                let who = who.string()?;
                // The last one: names of users may have some of their own.
                let (user, address) = match who.rsplit_once('@') {
                    None => (who.as_str(), None),
                    Some((user, address)) => (user, Some(read_address(address)?)),
                };
                question.connection.user = Some(user.to_owned());
                question.connection.address = address.or(question.connection.address);
            }
            _ if is_help(&arg) => return Ok(Command::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    match question.connection.user {
        None => Err(missing("explain")),
        Some(_) => Ok(Command::Explain(question)),
    }
}

fn read_address(text: &str) -> Result<IpAddr, UsageError> {
    text.parse()
        .map_err(|_| UsageError::Address(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, UsageError> {
        Command::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn each_line_means_one_thing() {
        use Penalties::{Clear, ClearAll, Exempt, List};
        let ids = || vec!["ab".to_owned(), "cd".to_owned()];
        let networks = || vec!["192.0.2.1".parse().unwrap(), "::/0".parse().unwrap()];
        let penalties = Command::Penalties;
        let cases = [
            ("", Command::Status),
            ("status", Command::Status),
            ("list", Command::List(Legend::Shown)),
            ("list --no-legend", Command::List(Legend::Hidden)),
            ("show ab cd", Command::Show(ids())),
            ("kill ab cd", Command::Kill(ids())),
            ("penalties", penalties(List(Legend::Shown))),
            ("penalties list", penalties(List(Legend::Shown))),
            (
                "penalties --no-legend list",
                penalties(List(Legend::Hidden)),
            ),
            ("penalties clear all", penalties(ClearAll)),
            (
                "penalties clear 192.0.2.1 ::/0",
                penalties(Clear(networks())),
            ),
            (
                "penalties exempt 192.0.2.1 ::/0",
                penalties(Exempt(networks())),
            ),
            ("reload", Command::Reload(Voice::Loud)),
            ("reload -q", Command::Reload(Voice::Quiet)),
            ("reload --quiet", Command::Reload(Voice::Quiet)),
            ("-h", Command::Help),
            ("--version", Command::Version),
        ];
        for (line, command) in cases {
            assert_eq!(parse(line).unwrap(), command, "{line}");
        }
        for command in SUBCOMMANDS {
            let help = parse(&format!("{} --help", command.name));
            let asked = matches!(help, Ok(Command::Help)) || command.arguments == "ID...";
            assert!(asked, "{}", command.name);
        }
    }

    #[test]
    fn who_is_explained_by_name_and_address() {
        let Command::Explain(question) =
            parse("explain a@b@2001:db8::1 -f /x -oPort=1 -C host=h,lport=22").unwrap()
        else {
            panic!();
        };
        assert_eq!(question.file, PathBuf::from("/x"));
        assert_eq!(question.options, ["Port=1"]);
        let connection = &question.connection;
        assert_eq!(connection.user.as_deref(), Some("a@b"));
        assert_eq!(connection.address, "2001:db8::1".parse().ok());
        assert_eq!(connection.host.as_deref(), Some("h"));
        assert_eq!(connection.local_port, Some(22));
    }

    #[test]
    fn other_words_are_errors() {
        for line in [
            "restart",
            "status now",
            "list all",
            "show",
            "kill",
            "kill -9 ab",
            "penalties all",
            "penalties clear",
            "penalties clear all 192.0.2.1",
            "penalties clear host",
            "penalties clear 10.0.0.1/8",
            "penalties exempt",
            "penalties exempt all",
            "reload it",
            "explain",
            "explain a b",
            "explain a@host",
            "explain a -C what=ever",
            "explain a -f",
            "-x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_help_has_every_command_and_flag_on_a_line_of_a_terminal() {
        let help = help();
        for command in SUBCOMMANDS {
            assert!(help.contains(&format!("\n  {} ", command.name)), "{help}");
            for flag in command.flags {
                assert!(help.contains(&flag.form()), "{help}");
            }
        }
        assert!(help.lines().all(|line| line.len() <= 105), "{help}");
    }
}
