//! Files of the administrator that are read for everybody's login.

use crate::bounded::{self, NotDone, Owner, number_of};
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// Why such a file is not read. `Display` is the system's wording.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is not there, or cannot be read.
    #[error("{}", Words(.0))]
    Unreadable(#[from] io::Error),
    /// Longer than what is read of such a file.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// It was not read in time.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

/// An error of the system as strerror(3) has it, without the number that Rust adds.
pub(crate) struct Words<'a>(pub(crate) &'a io::Error);

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        let words = text
            .split_once(" (os error")
            .map_or(text.as_str(), |(words, _)| words);
        f.write_str(words)
    }
}

/// What `look` finds in the contents of a file, within `timeout`. Blocks for as long.
///
/// The file is read at each attempt, as by sshd, and not kept: a copy in memory would be one more thing that can be out of
/// date, and the page cache has it already.
///
/// # Errors
///
/// See [`FileError`]. Whoever asks has to take it for the worse answer.
pub(crate) fn look<T: Send + 'static>(
    path: &Path,
    limit: usize,
    timeout: Duration,
    look: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<T, FileError> {
    let path = path.to_owned();
    bounded::run(Owner::Server(number_of(&path)), timeout, move || {
        read(&path, limit).map(|contents| look(&contents))
    })?
}

/// Not with O_NONBLOCK: a FIFO without a writer would read as an empty file, in which nothing is revoked. To wait for one
/// ends at the deadline.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    let mut contents = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::from(file).take(bound).read_to_end(&mut contents)?;
    match contents.len() > limit {
        true => Err(FileError::TooLong(limit)),
        false => Ok(contents),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_file_that_is_not_wholly_read_is_an_error() {
        let directory = Directory::new();
        let path = directory.write("file", "1234");
        let length = |limit| look(&path, limit, LONG, <[u8]>::len);
        assert_eq!(length(4).unwrap(), 4);
        assert!(matches!(length(3), Err(FileError::TooLong(3))));
        let missing = path.with_file_name("missing");
        let error = look(&missing, 4, LONG, <[u8]>::len).unwrap_err();
        assert_eq!(error.to_string(), "No such file or directory");
    }

    #[test]
    fn a_fifo_is_no_empty_file() {
        let directory = Directory::new();
        let path = directory.write("other", "").with_file_name("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let short = Duration::from_millis(50);
        let error = look(&path, 4, short, <[u8]>::len).unwrap_err();
        assert!(matches!(error, FileError::NotDone(NotDone::TimedOut)));
        // Lets the thread that waits go on, so that others have its place.
        drop(File::options().write(true).open(&path));
    }
}
