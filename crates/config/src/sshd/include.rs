//! Where included files come from.

use crate::glob;
use crate::sshd::report::ErrorKind;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The longest configuration file, in bytes.
const FILE_LIMIT: usize = 1 << 20;

/// Where relative names of Include are looked for.
const BASE: &str = "/etc/ssh";

/// A file's name and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// For messages.
    pub name: String,
    /// The contents. Bytes that are not UTF-8 are the replacement character, which the parser refuses outside of comments.
    pub text: String,
}

impl IncludedFile {
    pub(crate) fn read(path: &Path) -> Result<Self, ErrorKind> {
        Ok(Self {
            text: read(path)?,
            name: path.display().to_string(),
        })
    }
}

/// What a configuration takes from the system: the files that an Include names, and the names of services.
pub trait Includes {
    /// The files for one word of an Include: a name, or a pattern of glob(7). In lexical order; no match is no error.
    ///
    /// # Errors
    ///
    /// A file that matches and cannot be read.
    fn resolve(&self, pattern: &str) -> Result<Vec<IncludedFile>, ErrorKind>;

    /// The TCP port of a service, services(5).
    fn service(&self, name: &str) -> Option<u16>;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Includes for FileSystem {
    fn resolve(&self, pattern: &str) -> Result<Vec<IncludedFile>, ErrorKind> {
        glob::paths(&Path::new(BASE).join(pattern))
            .iter()
            .map(|path| IncludedFile::read(path))
            .collect()
    }

    fn service(&self, name: &str) -> Option<u16> {
        // A line is `name port/protocol alias…`.
        read(Path::new("/etc/services"))
            .ok()?
            .lines()
            .find_map(|line| {
                let line = line.split('#').next()?;
                let mut words = line.split_ascii_whitespace();
                let (first, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
                let named = first == name || words.any(|alias| alias == name);
                named.then(|| port.parse().ok()).flatten()
            })
    }
}

/// No files, for text that must not include anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Includes for NoFiles {
    fn resolve(&self, _: &str) -> Result<Vec<IncludedFile>, ErrorKind> {
        Ok(Vec::new())
    }

    fn service(&self, _: &str) -> Option<u16> {
        None
    }
}

/// Reads a configuration file.
fn read(path: &Path) -> Result<String, ErrorKind> {
    let unreadable = |error: std::io::Error| ErrorKind::Unreadable {
        path: path.to_owned(),
        error: error.to_string(),
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > FILE_LIMIT {
        return Err(ErrorKind::TooLong {
            path: path.to_owned(),
            limit: FILE_LIMIT,
        });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_ports() {
        assert_eq!(FileSystem.service("ssh"), Some(22));
        assert_eq!(FileSystem.service("no-such-service"), None);
    }

    #[test]
    fn an_endless_file_is_refused() {
        assert!(matches!(
            read(Path::new("/dev/zero")),
            Err(ErrorKind::TooLong { .. })
        ));
    }
}
