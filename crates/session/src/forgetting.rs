//! Displays that are gone: xauth(1) forgets their cookies.
//!
//! sshd leaves them in the user's file. They open nothing any more, but a file with one for each number that was ever used
//! is slow to search, and tells who was here.

use std::fmt;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rpc::session::{ProgramEnd, Signal};
use tokio::sync::Semaphore;
use tracing::debug;

use crate::forward::Display;
use crate::outside::Outside;
use crate::process::{PartOf, Process};

/// How long xauth(1) may take. It waits for others who write the same file.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often it is started. A session that logind ends gets SIGTERM and then SIGHUP with all of its processes, and the
/// second one may find the xauth(1) that the first one had started.
const TRIES: usize = 4;

/// Most displays that are being forgotten at once; of more only the sockets go.
const AT_ONCE: u32 = 64;

/// The display of a program, and what has xauth(1) forget it.
pub(crate) struct Shown {
    display: Display,
    /// None if xauth(1) was not told of it.
    forget: Option<Command>,
}

impl Shown {
    pub(crate) fn new(display: Display, forget: Option<Command>) -> Self {
        Self { display, forget }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The command has the user's environment.
        self.display.fmt(f)
    }
}

/// Those that are being forgotten.
#[derive(Debug)]
pub(crate) struct Forgetting(Arc<Semaphore>);

impl Default for Forgetting {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE as usize)))
    }
}

impl Forgetting {
    /// Begins with one.
    pub(crate) fn begin(&self, outside: &Outside, shown: Shown) {
        let Shown {
            display,
            forget: Some(forget),
        } = shown
        else {
            return;
        };
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            return;
        };
        let outside = outside.clone();
        tokio::spawn(async move {
            if let Err(error) = forgotten(&outside, forget).await {
                debug!("a display cannot be forgotten: {error}");
            }
            // Not before: whoever had the same number next would be forgotten in its place.
            drop(display);
            drop(place);
        });
    }

    /// Waits until there are none.
    pub(crate) async fn finish(&self) {
        // It is never closed.
        drop(self.0.acquire_many(AT_ONCE).await);
    }
}

/// Runs xauth(1), again if a signal has ended it.
async fn forgotten(outside: &Outside, mut forget: Command) -> io::Result<()> {
    for _ in 0..TRIES {
        let (child, command) = outside.run(move || Ok((forget.spawn()?, forget)))?;
        forget = command;
        let process = Process::watch(&child, PartOf::Session)?;
        match tokio::time::timeout(DEADLINE, process.ended()).await {
            Ok(ProgramEnd::Signaled { .. }) => {}
            Ok(ProgramEnd::Exited(_) | ProgramEnd::Gone) => break,
            Err(_) => {
                process.signal(Signal::Kill).ok();
                break;
            }
        }
    }
    Ok(())
}
