//! `~/.ssh/environment`: variables that a user wants in each session, see sshd(8).
//!
//! It is read with the user's own rights, and where PermitUserEnvironment permits it only: whoever may set LD_PRELOAD can
//! get around what a forced command is there for.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use tracing::debug;

use crate::glob;

/// Below the home directory.
const FILE: &str = ".ssh/environment";

/// The longest file, in bytes. What execve(2) has room for is more, and what a program needs is less.
const FILE_LIMIT: u64 = 64 * 1024;

/// How many bad lines a user hears of. Somebody who sees these mends the rest, too.
const COMPLAINTS_LIMIT: usize = 20;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UserEnvironment {
    /// In the order of the file.
    pub(crate) variables: Vec<(String, String)>,
    /// Lines for the user's standard error about lines that say nothing, in sshd's words.
    pub(crate) complaints: String,
}

/// A home directory's file, less the variables whose names are not among `patterns`. Empty if there is no such file.
pub(crate) fn read(home: &Path, patterns: &str) -> UserEnvironment {
    let path = home.join(FILE);
    match text(&path) {
        Ok(text) => parse(&text, patterns, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => UserEnvironment::default(),
        Err(error) => {
            debug!("{}: {error}", path.display());
            UserEnvironment::default()
        }
    }
}

fn text(path: &Path) -> io::Result<String> {
    // NONBLOCK: a FIFO would hold the session up until somebody writes.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    File::from(file)
        .take(FILE_LIMIT + 1)
        .read_to_string(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(..=FILE_LIMIT) => Ok(text),
        Ok(_) | Err(_) => Err(io::Error::other("too long")),
    }
}

fn parse(text: &str, patterns: &str, path: &Path) -> UserEnvironment {
    let mut variables = Vec::new();
    let mut bad = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            // A name that is empty, or a NUL, can be in no environment.
            Some((name, value)) if !name.is_empty() && !line.contains('\0') => {
                if glob::list_matches(patterns, name) {
                    variables.push((name.to_owned(), value.to_owned()));
                }
            }
            _ => bad.push(at.saturating_add(1)),
        }
    }
    let complaints = bad.iter().take(COMPLAINTS_LIMIT);
    let complaints = complaints.map(|line| format!("Bad line {line} in {}\n", path.display()));
    UserEnvironment {
        variables,
        complaints: complaints.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_by_sshd() {
        let text = "# mine\n\n  EDITOR=ed \n\tA=b=c\nnonsense\n=x\nPATH=/opt\nEMPTY=\nN=\0\n";
        let read = parse(text, "!PATH,*", Path::new("f"));
        let expected = [("EDITOR", "ed "), ("A", "b=c"), ("EMPTY", "")];
        assert_eq!(
            read.variables,
            expected.map(|(name, value)| (name.into(), value.into()))
        );
        assert_eq!(
            read.complaints,
            "Bad line 5 in f\nBad line 6 in f\nBad line 9 in f\n"
        );
    }

    #[test]
    fn what_is_no_file_or_too_long_has_none() {
        let home = std::env::temp_dir().join(format!("session-environment-{}", std::process::id()));
        let file = home.join(FILE);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert_eq!(read(&home, "*"), UserEnvironment::default());
        std::fs::write(&file, "A=b\n").unwrap();
        assert_eq!(read(&home, "*").variables.len(), 1);
        let limit = usize::try_from(FILE_LIMIT).unwrap();
        std::fs::write(&file, format!("A=b\n{}", "#".repeat(limit))).unwrap();
        assert_eq!(read(&home, "*"), UserEnvironment::default());
        std::fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &file,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(read(&home, "*"), UserEnvironment::default());
        std::fs::remove_dir_all(&home).unwrap();
    }
}
