//! The command line: flags of sshd(8) that concern the process that serves, and `--one`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use thiserror::Error;

use crate::recorded_host::NameLimit;

/// What to do, and with what configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the configuration is.
    pub source: Source,
    /// What for.
    pub mode: Mode,
    /// How many connections to serve.
    pub clients: Clients,
    /// Where log lines go.
    pub log: Log,
}

/// Where the configuration is. It is read again at each reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `-f`: the file; `none` is none.
    pub file: PathBuf,
    /// `-o`: lines that count before the file, in their order.
    pub lines: Vec<String>,
    /// `-u`: what is recorded of clients' names.
    pub name_limit: NameLimit,
}

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Serve with it.
    Serve,
    /// `-t`: check it and the host keys, and say what is wrong.
    Test,
}

/// How many connections to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// All that come.
    All,
    /// `--one`: the first that is let in.
    One,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// To the journal.
    Journal,
    /// `-e`: to standard error.
    StandardError,
}

/// Words that mean nothing here.
#[derive(Debug, Error)]
#[error("{0}\nusage: monitor [-et] [-f config_file] [-o option] [-u len] [--one]")]
pub struct UsageError(#[from] lexopt::Error);

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut options = Self {
            source: Source {
                file: "/etc/ssh/sshd_config".into(),
                lines: Vec::new(),
                name_limit: NameLimit::default(),
            },
            mode: Mode::Serve,
            clients: Clients::All,
            log: Log::Journal,
        };
        let mut words = Parser::from_args(words);
        while let Some(word) = words.next()? {
            match word {
                Arg::Short('e') => options.log = Log::StandardError,
                Arg::Short('f') => options.source.file = words.value()?.into(),
                Arg::Short('o') => options.source.lines.push(words.value()?.string()?),
                Arg::Short('t') => options.mode = Mode::Test,
                Arg::Short('u') => {
                    let limit = NameLimit::new(words.value()?.parse()?);
                    options.source.name_limit =
                        limit.ok_or_else(|| lexopt::Error::from("Invalid utmp length."))?;
                }
                Arg::Long("one") => options.clients = Clients::One,
                _ => return Err(word.unexpected().into()),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn parse(words: &[&str]) -> Result<Options, UsageError> {
        Options::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_default_is_to_serve_everybody_with_the_usual_file() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.source.file, PathBuf::from("/etc/ssh/sshd_config"));
        assert!(options.source.lines.is_empty());
        let what = (options.mode, options.clients, options.log);
        assert_eq!(what, (Mode::Serve, Clients::All, Log::Journal));
    }

    #[test]
    fn each_flag_says_one_thing() {
        let options = parse(&["-te", "-f", "/x", "-u0", "--one"]).unwrap();
        assert_eq!(options.source.file, PathBuf::from("/x"));
        assert_eq!(Some(options.source.name_limit), NameLimit::new(0));
        let what = (options.mode, options.clients, options.log);
        assert_eq!(what, (Mode::Test, Clients::One, Log::StandardError));
    }

    #[test]
    fn lines_of_options_keep_their_order() {
        let options = parse(&["-o", "Port 1", "-oPort=2", "-o", "-x"]).unwrap();
        assert_eq!(options.source.lines, ["Port 1", "Port=2", "-x"]);
    }

    #[test]
    fn other_words_are_errors() {
        for words in [
            &["-f"][..],
            &["-o"],
            &["-x"],
            &["file"],
            &["-u66"],
            &["--one=2"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        let bytes = ["-o".into(), OsString::from_vec(vec![0xff])];
        assert!(Options::parse(bytes).is_err());
    }
}
