//! The text that users see before they log in (Banner of sshd_config(5)).
//!
//! It is read for each connection when its first user is named, as in OpenSSH: a change of the file
//! counts at once, and scanners that never get so far cost no look at it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use accounts::bounded::{self, NotDone, Owner, number_of};
use journal::{RateLimit, Verdict};
use tracing::warn;
use wire::message::BANNER_LIMIT;

use crate::account;

/// A local file takes no time; one on a server that is gone must not hold up logins.
const DEADLINE: Duration = Duration::from_secs(2);

/// The text; `None` if there is none. What is wrong with the file goes to the journal and keeps
/// nobody from logging in.
pub async fn text(file: Option<&Path>) -> Option<Vec<u8>> {
    static TROUBLE: RateLimit = RateLimit::new(1, Duration::from_secs(60));
    let file = file?;
    match read_within(DEADLINE, file.to_owned()).await {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(error) => {
            if let Verdict::Log { suppressed } = TROUBLE.check() {
                warn!(
                    suppressed,
                    "no banner is shown: {}: {error}",
                    file.display()
                );
            }
            None
        }
    }
}

async fn read_within(deadline: Duration, file: PathBuf) -> io::Result<Vec<u8>> {
    let work = move || {
        let file = file.clone();
        let owner = Owner::Server(number_of(&file));
        bounded::run(owner, deadline, move || read(&file))
    };
    let busy = |done: &Result<_, NotDone>| matches!(done, Err(NotDone::Busy));
    let done = account::blocking(work, busy).await;
    done.unwrap_or(Err(NotDone::Failed))
        .map_err(io::Error::other)?
}

/// What the file says, up to a NUL: OpenSSH hands it on as a string of C.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    // A FIFO without a writer would not even open.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    let limit = u64::try_from(BANNER_LIMIT).unwrap_or(u64::MAX);
    File::open(file)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)?;
    if text.len() > BANNER_LIMIT {
        return Err(io::Error::other(format!(
            "longer than {BANNER_LIMIT} bytes"
        )));
    }
    let end = text.iter().position(|byte| *byte == 0);
    text.truncate(end.unwrap_or(text.len()));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;

    #[tokio::test]
    async fn the_text_is_read_as_it_stands_each_time() {
        let directory = Directory::new();
        for content in ["Grüße\n", "another"] {
            let file = directory.write("banner", content);
            assert_eq!(text(Some(&file)).await, Some(content.as_bytes().to_vec()));
        }
        let file = directory.write("banner", "seen\0unseen");
        assert_eq!(text(Some(&file)).await, Some(b"seen".to_vec()));
    }

    /// What many logins at once would otherwise take from each other.
    #[tokio::test]
    async fn everybody_is_shown_the_text_however_many_they_are() {
        let directory = Directory::new();
        let file = directory.write("banner", "text");
        let texts: Vec<_> = (0..200)
            .map(|_| {
                let file = file.clone();
                tokio::spawn(async move { text(Some(&file)).await })
            })
            .collect();
        for shown in texts {
            assert_eq!(shown.await.unwrap(), Some(b"text".to_vec()));
        }
    }

    #[tokio::test]
    async fn without_a_usable_text_there_is_no_banner() {
        let directory = Directory::new();
        assert_eq!(text(None).await, None);
        assert_eq!(text(Some(&directory.path("missing"))).await, None);
        assert_eq!(text(Some(&directory.write("empty", ""))).await, None);
        assert_eq!(text(Some(Path::new("/dev/zero"))).await, None);
        assert_eq!(text(Some(Path::new("/"))).await, None);
        let longest = directory.write("long", &"x".repeat(BANNER_LIMIT));
        assert_eq!(
            text(Some(&longest)).await.map(|t| t.len()),
            Some(BANNER_LIMIT)
        );
        let longer = directory.write("long", &"x".repeat(BANNER_LIMIT + 1));
        assert_eq!(text(Some(&longer)).await, None);
    }
}
