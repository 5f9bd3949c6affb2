//! The command line of sshd(8), read as sshd reads it: which flag stands above which line of a file, and what is said about
//! words that mean nothing.
//!
//! Flags that set a value become lines of the configuration in front of the file, whose first value counts. So whoever reads
//! the configuration, here or in the monitor, reads the same text.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use config::sshd::{
    self, Configuration, Criteria, CriteriaError, DEFAULT_FILE, Errors, FileSystem, Offered,
};
use config::sshd::{Includes, Offers, SshdConfig, parse_time};
use lexopt::Arg;
use thiserror::Error;

use crate::flags::USAGE;
use crate::version::VERSION;

/// As many ports as sshd takes.
const PORTS_LIMIT: usize = 256;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// What for.
    pub task: Task,
    /// `-f`.
    pub file: ConfigurationFile,
    /// Lines of configuration that count before the file: `-o`, and what `-4`, `-6`, `-c`, `-d`, `-g`, `-h` and `-q` stand for.
    pub options: Vec<String>,
    /// `-p`: these and no others.
    pub ports: Vec<u16>,
    /// `-C`: the connection that is asked about. The user's groups are not known yet.
    pub connection: Criteria,
    /// `-u`: the longest name of a client's host that is recorded.
    pub utmp_length: Option<u8>,
    /// Where log lines go.
    pub log: Log,
    /// What to say before anything else.
    pub remarks: Vec<&'static str>,
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// `-V`.
    Version,
    /// `-G`: print the effective configuration.
    Show,
    /// `-T`: check and print.
    CheckAndShow,
    /// `-t`: check.
    Check,
    /// Serve in this manner.
    Serve(Manner),
}

/// How to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// In the background.
    Daemon,
    /// `-D`: in the foreground.
    Foreground,
    /// `-d`: in the foreground, one connection.
    Debug,
    /// `-i`: one connection, on standard input and output.
    Inetd,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// The journal.
    Journal,
    /// `-e`.
    StandardError,
    /// `-E`: a file, to the end of it. `%p` is the process id, `%P` the program's name.
    File(String),
}

/// Where the configuration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationFile {
    /// A file, by its absolute name.
    Path(PathBuf),
    /// `none`: nowhere. The defaults hold, and what the command line says.
    None,
}

/// Words that mean nothing. The texts are sshd's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UsageError {
    /// A flag that does not exist.
    #[error("unknown option -- {0}\n{VERSION}\n{USAGE}")]
    Unknown(char),
    /// A flag whose argument is missing.
    #[error("option requires an argument -- {0}\n{VERSION}\n{USAGE}")]
    NoArgument(char),
    /// A word that belongs to no flag.
    #[error("Extra argument {0}.")]
    Extra(String),
    /// `-p`
    #[error("Bad port number.")]
    Port,
    /// `-p`, too often.
    #[error("too many ports.")]
    TooManyPorts,
    /// `-g`
    #[error("Invalid login grace time.")]
    GraceTime,
    /// `-u`
    #[error("Invalid utmp length.")]
    UtmpLength,
    /// `-C` with a port that is none.
    #[error("Invalid port '{0}' in test mode specification lport={0}")]
    ConnectionPort(String),
    /// `-C`
    #[error("Invalid test mode specification {0}")]
    Connection(String),
    /// `-C` for nothing.
    #[error("Config test connection parameter (-C) provided without test mode (-T)")]
    ConnectionWithoutTest,
    /// An argument that is not text.
    #[error("the argument of -{0} is not valid UTF-8")]
    NotUtf8(char),
    /// The name of a file that cannot be made absolute.
    #[error("{0}: {1}")]
    File(String, String),
    /// `-R`, which is between sshd and itself.
    #[error("-R not supported here")]
    Internal,
}

impl UsageError {
    /// As sshd's: 255 for what its fatal() says, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ConnectionWithoutTest | Self::Internal => 255,
            _ => 1,
        }
    }
}

impl CommandLine {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut parser = lexopt::Parser::from_args(words);
        // As getopt(3): in `-o=x` the equals sign belongs to the value.
        parser.set_short_equals(false);
        let mut reader = Reader::default();
        loop {
            let letter = match parser.next() {
                Ok(None) => break,
                Ok(Some(Arg::Short(letter))) => letter,
                Ok(Some(Arg::Value(word))) => {
                    reader.extra.get_or_insert_with(|| lossy(&word));
                    continue;
                }
                // Long options are unknown short ones to getopt(3).
                Ok(Some(Arg::Long(_))) | Err(_) => return Err(UsageError::Unknown('-')),
            };
            reader.flag(letter, &mut parser)?;
            if reader.task == Some(Task::Version) {
                break;
            }
        }
        reader.finish()
    }

    /// Whether the configuration is the one of the machine's own server: the usual file, with nothing added.
    #[must_use]
    pub fn is_about_the_service(&self) -> bool {
        matches!(&self.file, ConfigurationFile::Path(path) if path == Path::new(DEFAULT_FILE))
            && self.options.is_empty()
            && self.ports.is_empty()
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// As [`sshd::read`].
    pub fn read(&self, offered: &Offered<'_>) -> Result<Configuration, Errors> {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        match &self.file {
            ConfigurationFile::Path(path) => sshd::read(path, &options, offered),
            ConfigurationFile::None => sshd::read_text("", "none", &options, &FileSystem, offered),
        }
    }

    /// What holds for the server as a whole.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn server_config(&self) -> Result<SshdConfig, Errors> {
        let offers = Offers::on_this_machine();
        let mut config = self.read(&offers.offered())?.global().config;
        self.put_ports(&mut config);
        Ok(config)
    }

    /// `-p` stands above Port, wherever that is.
    pub fn put_ports(&self, config: &mut SshdConfig) {
        if !self.ports.is_empty() {
            config.ports.clone_from(&self.ports);
        }
    }

    /// The same file and options as arguments of the monitor, sshd-privsep-monitor(8).
    #[must_use]
    pub fn for_monitor(&self) -> Vec<OsString> {
        let file = match &self.file {
            ConfigurationFile::Path(path) => path.as_os_str(),
            ConfigurationFile::None => OsStr::new("none"),
        };
        let options = self
            .options
            .iter()
            .flat_map(|line| ["-o".into(), line.into()]);
        let utmp_length = self.utmp_length.map(|length| format!("-u{length}").into());
        [OsString::from("-f"), file.to_owned()]
            .into_iter()
            .chain(options)
            .chain(utmp_length)
            .collect()
    }
}

/// HOST_NAME_MAX and its NUL.
const UTMP_LENGTH_LIMIT: u8 = 65;

/// What has been read so far.
#[derive(Debug, Default)]
struct Reader {
    utmp_length: Option<u8>,
    /// `-G`, which stands above `-T` and `-t`, of which the last counts.
    show: bool,
    task: Option<Task>,
    inetd: bool,
    foreground: bool,
    debug: bool,
    file: Option<OsString>,
    family: Option<&'static str>,
    grace_time: Option<String>,
    log_level: Option<&'static str>,
    options: Vec<String>,
    ports: Vec<u16>,
    connection: Option<Criteria>,
    standard_error: bool,
    log_file: Option<String>,
    remarks: Vec<&'static str>,
    extra: Option<String>,
}

impl Reader {
    fn flag(&mut self, letter: char, parser: &mut lexopt::Parser) -> Result<(), UsageError> {
        let mut raw = || parser.value().map_err(|_| UsageError::NoArgument(letter));
        let mut text = || {
            raw()?
                .into_string()
                .map_err(|_| UsageError::NotUtf8(letter))
        };
        match letter {
            '4' => self.family = Some("inet"),
            '6' => self.family = Some("inet6"),
            'C' => add(self.connection.get_or_insert_default(), &text()?)?,
            'c' => self.options.push(line("HostCertificate", &text()?)),
            'D' => self.foreground = true,
            'd' => self.debug(),
            'E' => self.log_file = Some(text()?),
            'e' => self.standard_error = true,
            'f' => self.file = Some(raw()?),
            'G' => self.show = true,
            'g' => {
                let time = text()?;
                parse_time(&time).ok_or(UsageError::GraceTime)?;
                self.grace_time = Some(time);
            }
            'h' => self.options.push(line("HostKey", &text()?)),
            'i' => self.inetd = true,
            'o' => self.options.push(text()?),
            'p' => {
                if self.ports.len() >= PORTS_LIMIT {
                    return Err(UsageError::TooManyPorts);
                }
                self.ports.push(port(&text()?).ok_or(UsageError::Port)?);
            }
            'q' => self.log_level = Some("QUIET"),
            'T' => self.task = Some(Task::CheckAndShow),
            't' => self.task = Some(Task::Check),
            'V' => self.task = Some(Task::Version),
            'b' | 'k' => drop(raw()?),
            // As strtonum(3) has it, what is no number is 0.
            'u' => match text()?.parse().unwrap_or(0) {
                length @ 0..=UTMP_LENGTH_LIMIT => self.utmp_length = Some(length),
                _ => return Err(UsageError::UtmpLength),
            },
            'Q' => {}
            'r' => self.remarks.push("-r option is deprecated"),
            'R' => return Err(UsageError::Internal),
            unknown => return Err(UsageError::Unknown(unknown)),
        }
        Ok(())
    }

    /// Each `-d` but the first asks for one level more.
    fn debug(&mut self) {
        self.log_level = Some(match (self.debug, self.log_level) {
            (false, _) => "DEBUG1",
            (true, Some("DEBUG1")) => "DEBUG2",
            (true, Some("QUIET")) => "QUIET",
            (true, _) => "DEBUG3",
        });
        self.debug = true;
    }

    fn finish(self) -> Result<CommandLine, UsageError> {
        let manner = match self {
            Self { inetd: true, .. } => Manner::Inetd,
            Self { debug: true, .. } => Manner::Debug,
            Self {
                foreground: true, ..
            } => Manner::Foreground,
            Self { .. } => Manner::Daemon,
        };
        let task = match self.task {
            Some(Task::Version) => Task::Version,
            _ if self.show => Task::Show,
            task => task.unwrap_or(Task::Serve(manner)),
        };
        let asks = matches!(task, Task::Show | Task::CheckAndShow | Task::Version);
        if self.connection.is_some() && !asks {
            return Err(UsageError::ConnectionWithoutTest);
        }
        if let Some(word) = self.extra {
            return Err(UsageError::Extra(word));
        }
        // They stand above -o, wherever they are: sshd assigns these where -o only fills what is not set.
        let above = [
            self.family.map(|family| line("AddressFamily", family)),
            self.grace_time.map(|time| line("LoginGraceTime", &time)),
            self.log_level.map(|level| line("LogLevel", level)),
        ];
        Ok(CommandLine {
            task,
            file: file(
                self.file
                    .as_deref()
                    .unwrap_or_else(|| DEFAULT_FILE.as_ref()),
            )?,
            options: above.into_iter().flatten().chain(self.options).collect(),
            ports: self.ports,
            connection: self.connection.unwrap_or_default(),
            utmp_length: self.utmp_length,
            log: match self.log_file {
                Some(file) => Log::File(file),
                // What -d says is for who typed it; with -i, standard error may be the client's.
                None if self.standard_error || manner == Manner::Debug => Log::StandardError,
                None => Log::Journal,
            },
            remarks: self.remarks,
        })
    }
}

fn add(connection: &mut Criteria, specification: &str) -> Result<(), UsageError> {
    connection.add(specification).map_err(|error| match error {
        CriteriaError::Port(port) => UsageError::ConnectionPort(port),
        CriteriaError::Unknown(part) => UsageError::Connection(part),
    })
}

/// A line of configuration whose value is one word, whatever is in it.
fn line(keyword: &str, value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{keyword} \"{escaped}\"")
}

/// A number or the name of a service.
fn port(word: &str) -> Option<u16> {
    let port = word.parse().ok().or_else(|| FileSystem.service(word));
    port.filter(|port| *port != 0)
}

fn file(name: &OsStr) -> Result<ConfigurationFile, UsageError> {
    if name.eq_ignore_ascii_case("none") {
        return Ok(ConfigurationFile::None);
    }
    // Who reads it may have another working directory.
    let absolute = std::path::absolute(Path::new(name));
    absolute
        .map(ConfigurationFile::Path)
        .map_err(|error| UsageError::File(lossy(name), error.to_string()))
}

fn lossy(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
