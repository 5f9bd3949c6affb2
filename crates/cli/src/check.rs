//! `-t`, `-T` and `-G`: what a configuration says, and whether the server would take it.
//!
//! None of them needs root or leaves anything behind. Whether host keys can be used is asked of the monitor's own `-t`, so
//! that there is one reader of host keys. Only root can read them; who cannot is told so and nothing worse.

use std::fs::File;
use std::io::{self, Write};
use std::process::Command;

use config::sshd::{self, Configuration, Effective, ErrorKind, Errors, HostKeys, Offers};
use thiserror::Error;

use crate::command_line::{CommandLine, Task};
use crate::{MONITOR, groups, running_socket};

/// Who checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// Host keys can be read, and are.
    Root,
    /// Host keys are left alone.
    User,
}

/// What comes out of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The server would serve with it.
    InOrder,
    /// It says what this version does not enforce and must not ignore.
    Unenforced,
    /// The monitor does not take it, and ended with this exit code.
    Refused(u8),
}

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The configuration cannot be read: all of it, with file, line and column.
    #[error(transparent)]
    Configuration(#[from] Errors),
    /// The monitor cannot be run.
    #[error("{MONITOR}: {0}")]
    Monitor(#[source] io::Error),
    /// What is to be said cannot be.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl CheckError {
    /// As sshd's: 1 for a file that cannot be opened, 255 for what is wrong in one.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let opened = |error: &sshd::Error| {
            error.location.is_some() || !matches!(error.kind, ErrorKind::Unreadable { .. })
        };
        match self {
            Self::Configuration(errors) if !errors.0.iter().all(opened) => 1,
            Self::Configuration(_) | Self::Monitor(_) | Self::Output(_) => 255,
        }
    }
}

/// Does what `-G`, `-T` or `-t` asks for: the effective configuration goes to `output`, everything else to `remarks`.
///
/// # Errors
/// See [`CheckError`].
pub fn run(
    line: &CommandLine,
    privilege: Privilege,
    output: &mut dyn Write,
    remarks: &mut dyn Write,
) -> Result<Verdict, CheckError> {
    let offers = Offers::on_this_machine();
    let configuration = line.read(&offers.offered())?;
    let verdict = match line.task {
        Task::Check | Task::CheckAndShow => judge(line, &configuration, privilege, remarks)?,
        _ => Verdict::InOrder,
    };
    // What is not enforced can be shown all the same: it is where one looks for why.
    let shown = line.task != Task::Check && !matches!(verdict, Verdict::Refused(_));
    if shown {
        let text = effective(line, &configuration).config.print();
        output.write_all(text.as_bytes())?;
        output.flush()?;
    }
    Ok(verdict)
}

/// What holds for the connection of `-C`, or for one of which nothing is known.
fn effective(line: &CommandLine, configuration: &Configuration) -> Effective {
    let mut connection = line.connection.clone();
    if let Some(user) = &connection.user {
        connection.groups = groups::of(user);
    }
    let mut effective = configuration.effective(&connection);
    line.put_ports(&mut effective.config);
    effective
}

fn judge(
    line: &CommandLine,
    configuration: &Configuration,
    privilege: Privilege,
    remarks: &mut dyn Write,
) -> Result<Verdict, CheckError> {
    for error in configuration.refused() {
        writeln!(remarks, "{error}")?;
    }
    let verdict = match privilege {
        _ if !configuration.refused().is_empty() => Verdict::Unenforced,
        Privilege::Root => ask_monitor(line)?,
        Privilege::User => Verdict::InOrder,
    };
    // The monitor has its own voice, and says these too.
    if verdict == Verdict::Unenforced || privilege == Privilege::User {
        for warning in configuration.warnings() {
            writeln!(remarks, "{warning}")?;
        }
        say_unreadable_keys(configuration, remarks)?;
    }
    // The socket unit follows the usual file, whatever is said here besides.
    if line.is_about_the_service() {
        for remark in running_socket::remarks(&configuration.global().config) {
            writeln!(remarks, "{remark}")?;
        }
    }
    Ok(verdict)
}

/// Lets the monitor load what it would serve with.
fn ask_monitor(line: &CommandLine) -> Result<Verdict, CheckError> {
    let mut monitor = Command::new(MONITOR);
    monitor.arg("-t").args(line.for_monitor());
    let status = monitor.status().map_err(CheckError::Monitor)?;
    Ok(match status.success() {
        true => Verdict::InOrder,
        false => Verdict::Refused(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(255),
        ),
    })
}

fn say_unreadable_keys(
    configuration: &Configuration,
    remarks: &mut dyn Write,
) -> Result<(), CheckError> {
    let config = configuration.global().config;
    for path in &config.host_keys {
        match File::open(path) {
            Ok(_) => {}
            // Of the usual ones some may be missing.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && config.host_keys_origin == HostKeys::Default => {}
            Err(error) => writeln!(
                remarks,
                "Unable to load host key \"{}\": {error}",
                path.display()
            )?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_as(
        words: &[&str],
        privilege: Privilege,
    ) -> (Result<Verdict, CheckError>, String, String) {
        let line = CommandLine::parse(words.iter().map(std::ffi::OsString::from)).unwrap();
        let (mut output, mut remarks) = (Vec::new(), Vec::new());
        let verdict = run(&line, privilege, &mut output, &mut remarks);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (verdict, text(output), text(remarks))
    }

    fn user(words: &[&str]) -> (Verdict, String, String) {
        let (verdict, output, remarks) = run_as(words, Privilege::User);
        (verdict.unwrap(), output, remarks)
    }

    #[test]
    fn g_prints_and_says_nothing() {
        let (verdict, output, remarks) = user(&["-G", "-fnone", "-oPidFile /x", "-p", "24"]);
        assert_eq!(verdict, Verdict::InOrder);
        assert!(
            output.starts_with("port 24\naddressfamily any\nlistenaddress [::]:24\n"),
            "{output}"
        );
        assert!(output.contains("\npidfile /x\n"));
        assert_eq!(remarks, "");
    }

    #[test]
    fn ports_of_the_command_line_are_the_only_ones_but_an_address_keeps_its_own() {
        let (_, output, _) = user(&[
            "-Gfnone",
            "-oPort 1",
            "-p",
            "2",
            "-p3",
            "-oListenAddress 127.0.0.1:4",
            "-oListenAddress ::1",
        ]);
        let listening = "port 2\nport 3\naddressfamily any\nlistenaddress 127.0.0.1:4\nlistenaddress [::1]:2\nlistenaddress [::1]:3\n";
        assert!(output.starts_with(listening), "{output}");
    }

    #[test]
    fn t_prints_nothing_and_remarks_on_what_has_no_effect() {
        let (verdict, output, remarks) =
            user(&["-tfnone", "-oPidFile /x", "-h", "/nonexistent/key"]);
        assert_eq!((verdict, &*output), (Verdict::InOrder, ""));
        assert!(
            remarks.starts_with("command-line:1:1: PidFile has no effect"),
            "{remarks}"
        );
        assert!(
            remarks.contains("Unable to load host key \"/nonexistent/key\": No such file"),
            "{remarks}"
        );
    }

    #[test]
    fn all_errors_of_a_run_are_said() {
        let (verdict, ..) = run_as(&["-tfnone", "-oFoo=1", "-oMaxAuthTries=x"], Privilege::User);
        let Err(CheckError::Configuration(errors)) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(errors.0.len(), 2);
        assert_eq!(CheckError::Configuration(errors).exit_code(), 255);
    }

    #[test]
    fn a_file_that_is_not_there_is_no_bad_configuration() {
        let (verdict, ..) = run_as(&["-t", "-f", "/nonexistent/file"], Privilege::User);
        assert_eq!(verdict.unwrap_err().exit_code(), 1);
        let include = "-oHostKey=/nonexistent/key";
        let (verdict, ..) = run_as(&["-t", "-fnone", include, "-oX=1"], Privilege::User);
        assert_eq!(verdict.unwrap_err().exit_code(), 255);
    }

    #[test]
    fn what_is_not_enforced_is_shown_and_is_not_in_order() {
        // Root too: what is refused here needs no keys to be refused.
        for privilege in [Privilege::User, Privilege::Root] {
            let (verdict, output, remarks) = run_as(&["-Tfnone", "-oRDomain vrf1"], privilege);
            assert_eq!(verdict.unwrap(), Verdict::Unenforced);
            assert!(output.contains("\nrdomain vrf1\n"));
            assert!(
                remarks.contains("command-line:1:1: RDomain is not supported"),
                "{remarks}"
            );
        }
    }

    #[test]
    fn a_connection_is_looked_at_with_the_groups_of_its_user() {
        let file = std::env::temp_dir().join(format!("cli-check-{}", std::process::id()));
        std::fs::write(&file, "Match Group root\nMaxAuthTries 3\n").unwrap();
        let shown = |user: &str| {
            let (_, output, _) = self::user(&["-G", "-f", file.to_str().unwrap(), "-C", user]);
            output
                .lines()
                .find(|line| line.starts_with("maxauthtries"))
                .unwrap()
                .to_owned()
        };
        let of_root = shown("user=root");
        let of_nobody = shown("user=no-such-user");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(of_root, "maxauthtries 3");
        assert_eq!(of_nobody, "maxauthtries 6");
    }
}
