//! Where the launcher's own lines go, and the file of `-E`.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use config::sshd::LogLevel;
use journal::{Destination, Identity, LevelFilter, Role};
use thiserror::Error;

use crate::command_line::Log;

/// Why nothing can be logged.
#[derive(Debug, Error)]
pub(super) enum LogError {
    /// The file of `-E`.
    #[error("Couldn't open logfile {}: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A `%` with another letter.
    #[error("unknown key %{0} in the name of the log file")]
    UnknownToken(char),
}

/// The log file's name, with its tokens: `%p` the process id, `%P` the program, `%%` a percent sign.
fn expand(template: &str) -> Result<PathBuf, LogError> {
    let mut name = String::new();
    let mut letters = template.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '%') {
            (_, false) => name.push(letter),
            (_, true) => match letters.next() {
                Some('%') | None => name.push('%'),
                Some('p') => name.push_str(&std::process::id().to_string()),
                Some('P') => name.push_str("sshd-privsep"),
                Some(other) => return Err(LogError::UnknownToken(other)),
            },
        }
    }
    Ok(name.into())
}

/// Opens the file of `-E`. Log lines are for root's eyes.
pub(super) fn open(template: &str) -> Result<File, LogError> {
    let path = expand(template)?;
    let file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path);
    file.map_err(|error| LogError::Open { path, error })
}

/// Opens the way for the launcher's lines.
pub(super) fn init(log: &Log, level: LogLevel) {
    let level = match level {
        LogLevel::Quiet => LevelFilter::OFF,
        LogLevel::Fatal | LogLevel::Error => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let destination = match log {
        Log::Journal => Destination::journal(),
        Log::StandardError | Log::File(_) => Destination::Terminal,
    };
    // The one caller is the process's main thread, once.
    drop(journal::init(
        destination,
        Identity::of(Role::Launcher),
        level,
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_log_files_have_tokens() {
        let expected = format!("/x/sshd-privsep.{}.%", std::process::id());
        assert_eq!(expand("/x/%P.%p.%%").unwrap(), PathBuf::from(expected));
        assert!(matches!(expand("/x/%u"), Err(LogError::UnknownToken('u'))));
    }

    #[test]
    fn a_log_file_is_appended_to_and_private() {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("cli-log-{}", std::process::id()));
        for line in ["a\n", "b\n"] {
            open(path.to_str().unwrap())
                .unwrap()
                .write_all(line.as_bytes())
                .unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((text.as_str(), mode & 0o777), ("a\nb\n", 0o600));
    }
}
