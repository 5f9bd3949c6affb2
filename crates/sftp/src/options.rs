//! The command line: that of sftp-server(8), and what the session adds to it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use journal::{Facility, LevelFilter};
use lexopt::{Arg, Parser, ValueExt as _};
use thiserror::Error;

use crate::names::OwnAccount;
use crate::operation::Operation;
use crate::permitted::{Access, Permitted};

/// The argument by which the session says that the working directory is to be the root directory.
pub const JAIL: &str = "jail";

/// The argument by which the session names the connection, for the journal.
pub const CONNECTION: &str = "connection";

/// The argument by which the session says that the client has the link before its target, see [`Symlinks`].
pub const LINK_FIRST: &str = "link-first";

/// sftp-server's words.
const USAGE: &str = "\
usage: internal-sftp [-ehR] [-d start_directory] [-f log_facility] [-l log_level]
\t[-P denied_requests] [-p allowed_requests] [-u umask]
       internal-sftp -Q protocol_feature";

/// What is wrong with a command line.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// `-h`
    #[error("{USAGE}")]
    Usage,
    /// An option that there is not, or one without its argument.
    #[error("{0}\n{USAGE}")]
    Malformed(#[from] lexopt::Error),
    /// `-p` twice.
    #[error("Permitted requests already set")]
    AllowedTwice,
    /// `-P` twice.
    #[error("Refused requests already set")]
    DeniedTwice,
    /// `-u` without a mode of three octal digits.
    #[error("Invalid umask \"{0}\"")]
    Umask(String),
    /// `-l` without a level of sshd_config(5).
    #[error("Invalid log level \"{0}\"")]
    Level(String),
    /// `-f` without a facility of sshd_config(5).
    #[error("Invalid log facility \"{0}\"")]
    Facility(String),
    /// `-Q` with something else than `requests`.
    #[error("Invalid query type")]
    Query,
    /// `-d` with a token that there is not.
    #[error("Invalid start directory \"{0}\"")]
    Directory(String),
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Serve the client.
    Serve,
    /// Print this (`-Q`).
    Print(String),
}

/// How to serve.
#[derive(Debug, Default)]
pub struct Options {
    /// `-R`, `-p`, `-P`
    pub permitted: Permitted,
    /// `-d`, expanded.
    pub directory: Option<OsString>,
    /// `-l`
    pub level: Level,
    /// `-f`
    pub facility: Facility,
    /// `-e`
    pub log: Log,
    /// `-u`
    pub umask: Option<u32>,
    /// Where the root directory is.
    pub root: Root,
    /// What the client does not do as OpenSSH's.
    pub symlinks: Symlinks,
    /// The connection's identifier.
    pub connection: String,
    /// What is not obeyed, since the options end before it.
    pub surplus: Vec<OsString>,
}

/// `-l`: as sftp-server, nothing but errors unless it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub LevelFilter);

impl Default for Level {
    fn default() -> Self {
        Self(LevelFilter::ERROR)
    }
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Log {
    /// To the journal.
    #[default]
    Journal,
    /// To standard error, and so to the client.
    StandardError,
}

/// What "/" is for this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Root {
    /// As it is.
    #[default]
    Kept,
    /// The working directory is to become it.
    WorkingDirectory,
}

/// In which order the paths of SSH_FXP_SYMLINK are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// The target comes first, as with all of OpenSSH (PROTOCOL section 4.1) and most others.
    #[default]
    TargetFirst,
    /// The link comes first, as in draft-ietf-secsh-filexfer-02, section 6.10.
    LinkFirst,
}

impl Options {
    /// Reads a command line, the name of the program not counted. After an error there is what came before it.
    ///
    /// As with sftp-server(8) the first word that neither is an option nor belongs to one is the end of the options: to
    /// sshd_config(5) the rest of a line is the command, also what looks like a comment.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn read(
        &mut self,
        arguments: impl IntoIterator<Item = OsString>,
        account: &OwnAccount,
    ) -> Result<Invocation, OptionsError> {
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long(JAIL) => self.root = Root::WorkingDirectory,
                Arg::Long(LINK_FIRST) => self.symlinks = Symlinks::LinkFirst,
                Arg::Long(CONNECTION) => self.connection = text(&mut parser)?,
                // Of an older sftp-server.
                Arg::Short('c') => {}
                Arg::Short('d') => self.directory = Some(expanded(&parser.value()?, account)?),
                Arg::Short('e') => self.log = Log::StandardError,
                Arg::Short('f') => {
                    let name = text(&mut parser)?;
                    self.facility = facility(&name).ok_or(OptionsError::Facility(name))?;
                }
                Arg::Short('h') => return Err(OptionsError::Usage),
                Arg::Short('l') => {
                    let name = text(&mut parser)?;
                    self.level = level(&name).ok_or(OptionsError::Level(name))?;
                }
                Arg::Short('P') => {
                    let list = self.permitted.denied.replace(text(&mut parser)?);
                    if list.is_some() {
                        return Err(OptionsError::DeniedTwice);
                    }
                }
                Arg::Short('p') => {
                    let list = self.permitted.allowed.replace(text(&mut parser)?);
                    if list.is_some() {
                        return Err(OptionsError::AllowedTwice);
                    }
                }
                Arg::Short('Q') => {
                    let what = text(&mut parser)?;
                    if !what.eq_ignore_ascii_case("requests") {
                        return Err(OptionsError::Query);
                    }
                    let names = Operation::all().map(|operation| format!("{}\n", operation.name()));
                    return Ok(Invocation::Print(names.collect()));
                }
                Arg::Short('R') => self.permitted.access = Access::ReadOnly,
                Arg::Short('u') => {
                    let mode = text(&mut parser)?;
                    self.umask = Some(umask(&mode).ok_or(OptionsError::Umask(mode))?);
                }
                Arg::Value(word) => {
                    self.surplus.push(word);
                    self.surplus.extend(parser.raw_args()?);
                }
                unknown @ (Arg::Short(_) | Arg::Long(_)) => {
                    return Err(unknown.unexpected().into());
                }
            }
        }
        Ok(Invocation::Serve)
    }
}

fn text(parser: &mut Parser) -> Result<String, OptionsError> {
    Ok(parser.value()?.string()?)
}

/// The levels of sshd_config(5), in the terms of the journal: VERBOSE is `debug`, DEBUG is everything.
fn level(name: &str) -> Option<Level> {
    Some(Level(match name.to_ascii_uppercase().as_str() {
        "QUIET" => LevelFilter::OFF,
        "FATAL" | "ERROR" => LevelFilter::ERROR,
        "INFO" => LevelFilter::INFO,
        "VERBOSE" => LevelFilter::DEBUG,
        "DEBUG" | "DEBUG1" | "DEBUG2" | "DEBUG3" => LevelFilter::TRACE,
        _ => return None,
    }))
}

/// The facilities of sshd_config(5).
fn facility(name: &str) -> Option<Facility> {
    Some(match name.to_ascii_uppercase().as_str() {
        "DAEMON" => Facility::Daemon,
        "USER" => Facility::User,
        "AUTH" => Facility::Auth,
        "AUTHPRIV" => Facility::AuthPriv,
        "LOCAL0" => Facility::Local0,
        "LOCAL1" => Facility::Local1,
        "LOCAL2" => Facility::Local2,
        "LOCAL3" => Facility::Local3,
        "LOCAL4" => Facility::Local4,
        "LOCAL5" => Facility::Local5,
        "LOCAL6" => Facility::Local6,
        "LOCAL7" => Facility::Local7,
        _ => return None,
    })
}

fn umask(text: &str) -> Option<u32> {
    let mode = u32::from_str_radix(text, 8).ok()?;
    (mode <= 0o777 && !text.starts_with('+')).then_some(mode)
}

/// `-d`: a tilde for the home directory, and the tokens %%, %d, %u and %U.
fn expanded(directory: &OsStr, account: &OwnAccount) -> Result<OsString, OptionsError> {
    let malformed = || OptionsError::Directory(directory.display().to_string());
    let mut rest = directory.as_bytes();
    let mut path = Vec::new();
    if let Some(below) = rest.strip_prefix(b"~") {
        if !below.is_empty() && !below.starts_with(b"/") {
            return Err(malformed());
        }
        path.extend_from_slice(&account.home);
        rest = below;
    }
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            path.push(*byte);
            continue;
        }
        let (token, after) = after.split_first().ok_or_else(malformed)?;
        rest = after;
        match token {
            b'%' => path.push(b'%'),
            b'd' => path.extend_from_slice(&account.home),
            b'u' => path.extend_from_slice(account.name.as_bytes()),
            b'U' => path.extend_from_slice(account.uid.to_string().as_bytes()),
            _ => return Err(malformed()),
        }
    }
    Ok(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> OwnAccount {
        OwnAccount {
            name: "alice".into(),
            uid: 1001,
            home: b"/home/alice".to_vec(),
        }
    }

    fn parse(line: &str) -> Result<(Invocation, Options), OptionsError> {
        let mut options = Options::default();
        let words = line.split_whitespace().map(OsString::from);
        let invocation = options.read(words, &account())?;
        Ok((invocation, options))
    }

    fn options(line: &str) -> Options {
        let (invocation, options) = parse(line).unwrap();
        assert_eq!(invocation, Invocation::Serve);
        options
    }

    #[test]
    fn each_flag_means_what_it_means_to_sftp_server() {
        let all = options("-eR -l verbose -f LOCAL3 -p open,read -P write -u 027 -d /srv/%u");
        assert_eq!(all.log, Log::StandardError);
        assert_eq!(all.level.0, LevelFilter::DEBUG);
        assert_eq!(all.facility, Facility::Local3);
        assert_eq!(all.umask, Some(0o27));
        assert_eq!(all.directory.unwrap(), "/srv/alice");
        assert_eq!(all.permitted.access, Access::ReadOnly);
        assert_eq!(all.permitted.allowed.as_deref(), Some("open,read"));
        assert_eq!(all.permitted.denied.as_deref(), Some("write"));
        let none = options("");
        assert_eq!((none.level.0, none.umask), (LevelFilter::ERROR, None));
        assert_eq!(none.root, Root::Kept);
        assert_eq!(none.symlinks, Symlinks::TargetFirst);
        assert_eq!(options("--link-first").symlinks, Symlinks::LinkFirst);
    }

    #[test]
    fn options_end_where_those_of_sftp_server_do() {
        for (line, surplus, access) in [
            ("-R extra", vec!["extra"], Access::ReadOnly),
            ("extra -R", vec!["extra", "-R"], Access::default()),
            ("-- -R", vec!["-R"], Access::default()),
            ("-R --", vec![], Access::ReadOnly),
            ("- -R", vec!["-", "-R"], Access::default()),
            ("-R # -- -x", vec!["#", "--", "-x"], Access::ReadOnly),
        ] {
            let options = options(line);
            assert_eq!(options.surplus, surplus, "{line}");
            assert_eq!(options.permitted.access, access, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_an_error_and_what_came_before_is_known() {
        for line in [
            "-h",
            "-x",
            "--read-only",
            "-u 1000",
            "-u 8",
            "-u -1",
            "-u +7",
            "-u",
            "-l LOUD",
            "-f KERN",
            "-p open -p read",
            "-P open -P read",
            "-Q ciphers",
            "-d %x",
            "-d ~bob/",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        let mut options = Options::default();
        let words = ["--connection=c0", "-x", "--jail"].map(OsString::from);
        let error = options.read(words, &account()).unwrap_err().to_string();
        assert!(error.starts_with("invalid option '-x'\nusage: "), "{error}");
        assert_eq!((&*options.connection, options.root), ("c0", Root::Kept));
    }

    #[test]
    fn a_start_directory_may_name_the_account() {
        for (given, expanded) in [
            ("~", "/home/alice"),
            ("~/up", "/home/alice/up"),
            ("%d/100%%", "/home/alice/100%"),
            ("/srv/%U", "/srv/1001"),
        ] {
            let options = options(&format!("-d {given}"));
            assert_eq!(options.directory.unwrap(), expanded);
        }
    }

    #[test]
    fn requests_are_listed_in_the_order_of_sftp_server() {
        let Ok((Invocation::Print(text), _)) = parse("-Q requests") else {
            panic!("no list");
        };
        assert!(text.starts_with("open\nclose\nread\nwrite\nlstat\n"));
        assert!(text.ends_with("copy-data\nhome-directory\nusers-groups-by-id\n"));
    }
}
