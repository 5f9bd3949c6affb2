//! Work that may never end, with a deadline and a bound on how much of it is left behind.
//!
//! A read from a file system that its owner wrote, or from a server that is gone, can block for ever, and a blocked thread
//! cannot be stopped. It is left behind then. How many there may be is bounded for each owner and altogether, so that one
//! user with a hanging home directory neither uses up the monitor's threads nor keeps others from logging in.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use thiserror::Error;

/// How many threads there may be for one user.
const PER_USER_LIMIT: usize = 4;

/// How many threads there may be for the name service, which serves everybody.
const NAME_SERVICE_LIMIT: usize = 32;

/// How many threads there may be for the server's own files, which are read for everybody.
const SERVER_LIMIT: usize = 16;

/// How many threads there may be altogether.
const TOTAL_LIMIT: usize = 128;

/// A thread reads files and parses lines: no deep recursion, no large frames.
const STACK_SIZE: usize = 256 * 1024;

/// On whose account a thread goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The name service: whoever runs the directory server can block it.
    NameService,
    /// The server: an administrator's file can be on another machine. Not root's: root must still get in to mend that.
    Server,
    /// A user: the own files can block it.
    User(u32),
    /// Who is no user, by a number for the name. Each has as much room as a user: if all of them shared it, those would be
    /// answered later that do not exist, as soon as many of them are tried at once.
    Nobody(u64),
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotDone {
    /// The time has passed. The thread may still be there.
    #[error("no answer in time")]
    TimedOut,
    /// Too many earlier ones are not done yet.
    #[error("too many earlier requests are not answered")]
    Busy,
    /// The thread could not be started, or ended without a result.
    #[error("the thread for it failed")]
    Failed,
}

/// Runs `work` in a thread of its own and waits for at most `timeout`.
///
/// Blocks: an asynchronous caller calls this from where blocking is permitted.
///
/// # Errors
///
/// If there is no result in time, or no thread for it.
pub fn run<T: Send + 'static>(
    owner: Owner,
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotDone> {
    let slot = Slot::take(owner)?;
    let (sender, receiver) = sync_channel(1);
    let body = move || {
        let result = work();
        // Before the answer, so that who has it can ask again at once.
        drop(slot);
        // Nobody listens any more if the deadline has passed.
        drop(sender.send(result));
    };
    thread::Builder::new()
        .name("bounded".to_owned())
        .stack_size(STACK_SIZE)
        .spawn(body)
        .map_err(|_| NotDone::Failed)?;
    receiver.recv_timeout(timeout).map_err(|error| match error {
        RecvTimeoutError::Timeout => NotDone::TimedOut,
        RecvTimeoutError::Disconnected => NotDone::Failed,
    })
}

/// The threads there are.
static RUNNING: Mutex<BTreeMap<Owner, usize>> = Mutex::new(BTreeMap::new());

/// The right to one thread, given back when dropped.
struct Slot(Owner);

impl Slot {
    fn take(owner: Owner) -> Result<Self, NotDone> {
        let limit = match owner {
            Owner::NameService => NAME_SERVICE_LIMIT,
            Owner::Server => SERVER_LIMIT,
            Owner::User(_) | Owner::Nobody(_) => PER_USER_LIMIT,
        };
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if running.values().sum::<usize>() >= TOTAL_LIMIT {
            return Err(NotDone::Busy);
        }
        let count = running.entry(owner).or_default();
        if *count >= limit {
            return Err(NotDone::Busy);
        }
        *count += 1;
        Ok(Self(owner))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.0) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                running.remove(&self.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Instant;

    // User ids that no other test uses: the threads are counted for the whole process.

    #[test]
    fn the_result_comes_back() {
        assert_eq!(
            run(Owner::User(4_000_001), Duration::from_secs(10), || 7),
            Ok(7)
        );
    }

    #[test]
    fn a_thread_that_hangs_is_left_behind_and_counts_until_it_ends() {
        let owner = Owner::User(4_000_002);
        let mut hanging = Vec::new();
        for _ in 0..PER_USER_LIMIT {
            let (release, wait) = mpsc::channel::<()>();
            let outcome = run(owner, Duration::from_millis(1), move || wait.recv().is_ok());
            assert_eq!(outcome, Err(NotDone::TimedOut));
            hanging.push(release);
        }
        assert_eq!(
            run(owner, Duration::from_secs(10), || ()),
            Err(NotDone::Busy)
        );
        assert_eq!(
            run(Owner::User(4_000_003), Duration::from_secs(10), || ()),
            Ok(())
        );
        drop(hanging);
        let deadline = Instant::now() + Duration::from_secs(10);
        while run(owner, Duration::from_secs(10), || ()) == Err(NotDone::Busy) {
            assert!(Instant::now() < deadline, "slots were not given back");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn nobody_takes_room_from_another_nor_the_server_from_root() {
        let mut hanging = Vec::new();
        for owner in [Owner::Nobody(1), Owner::Server] {
            while run(owner, Duration::from_secs(10), || ()).is_ok() {
                let (release, wait) = mpsc::channel::<()>();
                let outcome = run(owner, Duration::from_millis(1), move || wait.recv().is_ok());
                assert_eq!(outcome, Err(NotDone::TimedOut));
                hanging.push(release);
            }
        }
        assert_eq!(hanging.len(), PER_USER_LIMIT + SERVER_LIMIT);
        for owner in [Owner::Nobody(2), Owner::User(0)] {
            assert_eq!(run(owner, Duration::from_secs(10), || ()), Ok(()));
        }
    }

    #[test]
    fn a_thread_that_panics_is_a_failure_and_gives_its_slot_back() {
        let owner = Owner::User(4_000_004);
        for _ in 0..2 * PER_USER_LIMIT {
            assert_eq!(
                run(owner, Duration::from_secs(10), || panic!("on purpose")),
                Err::<(), _>(NotDone::Failed)
            );
        }
    }
}
