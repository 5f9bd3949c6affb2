//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use thiserror::Error;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `-f`: configuration file.
    pub file: PathBuf,
    /// What for.
    pub mode: Mode,
}

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Serve with it.
    Serve,
    /// `-t`: check it and the host keys, and say what is wrong.
    Test,
}

/// Words that mean nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}\nusage: monitor [-t] [-f config_file]")]
pub struct UsageError(String);

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut options = Self {
            file: "/etc/ssh/sshd_config".into(),
            mode: Mode::Serve,
        };
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("-t") => options.mode = Mode::Test,
                Some("-f") => {
                    let file = words.next();
                    let missing = || UsageError("option requires an argument -- 'f'".to_owned());
                    options.file = file.ok_or_else(missing)?.into();
                }
                _ => return Err(UsageError(format!("unknown argument {word:?}"))),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, UsageError> {
        Options::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_default_is_to_serve_with_the_usual_file() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.file, PathBuf::from("/etc/ssh/sshd_config"));
        assert_eq!(options.mode, Mode::Serve);
    }

    #[test]
    fn a_file_can_be_named_and_tested() {
        let options = parse(&["-t", "-f", "/x"]).unwrap();
        assert_eq!(options.file, PathBuf::from("/x"));
        assert_eq!(options.mode, Mode::Test);
    }

    #[test]
    fn other_words_are_errors() {
        for words in [&["-f"][..], &["-x"], &["file"], &["-tf", "/x"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
