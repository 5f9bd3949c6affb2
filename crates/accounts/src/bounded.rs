//! Work that may never end, with a deadline and a bound on how much of it is left behind.
//!
//! A read from a file system that its owner wrote, or from a server that is gone, can block for ever, and a blocked thread
//! cannot be stopped. It is left behind then. How many there may be is bounded for each owner, so that one user with a
//! hanging home directory neither uses up the monitor's threads nor keeps others from logging in.
//!
//! Owners of a kind that is many share a bound as well: users, and names that the name service is asked for. Root is in
//! none of these, nor are the server's own files: whatever else hangs, root gets in to mend it. And names of this
//! machine's own passwd(5) do not wait for a directory server that is gone because strangers ask for others.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use thiserror::Error;

/// How many threads there may be for one user.
const PER_USER_LIMIT: usize = 4;

/// How many threads there may be to ask the name service for one name.
const PER_NAME_LIMIT: usize = 8;

/// How many threads there may be to ask it for all names of this machine but root's, and for all others.
const NAMES_LIMIT: usize = 32;

/// How many threads there may be for one of the server's own files, which is read for everybody.
const PER_FILE_LIMIT: usize = 16;

/// How many threads there may be for all users but root.
const USERS_LIMIT: usize = 128;

/// How many threads there may be for all that share a bound. Whoever waits for them needs as many, and some for root and
/// the server's own files.
pub const SHARED_LIMIT: usize = 2 * NAMES_LIMIT + USERS_LIMIT;

/// Root's user id.
const ROOT: u32 = 0;

/// A thread reads files and parses lines: no deep recursion, no large frames.
const STACK_SIZE: usize = 256 * 1024;

/// On whose account a thread goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The name service: whoever runs the directory server can block it.
    NameService(Asked),
    /// The server, by a number for the file: an administrator's file can be on another machine, and the next one here.
    Server(u64),
    /// A user: the own files can block it.
    User(u32),
    /// Who is no user, by a number for the name. Each has as much room as a user: if all of them shared it, those would be
    /// answered later that do not exist, as soon as many of them are tried at once.
    Nobody(u64),
}

/// Whom the name service is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A name with root's user id in this machine's passwd(5).
    Root,
    /// Another name that is there, by a number for it.
    Local(u64),
    /// Any other name, by a number for it: only a directory server can know it.
    Elsewhere(u64),
}

/// A number that tells owners apart. Two with the same share what one has.
#[must_use]
pub fn number_of(owner: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    owner.hash(&mut hasher);
    hasher.finish()
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
    ROOM.run(owner, timeout, work)
}

/// The room that this process has for threads.
static ROOM: Room = Room(Mutex::new(BTreeMap::new()));

/// How many threads each owner has.
struct Room(Mutex<BTreeMap<Owner, usize>>);

/// Owners that share a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    LocalNames,
    OtherNames,
    Users,
    /// Who shares none.
    Alone,
}

impl Owner {
    fn kind(self) -> Kind {
        match self {
            Self::NameService(Asked::Local(_)) => Kind::LocalNames,
            Self::NameService(Asked::Elsewhere(_)) => Kind::OtherNames,
            Self::NameService(Asked::Root) | Self::Server(_) | Self::User(ROOT) => Kind::Alone,
            Self::User(_) | Self::Nobody(_) => Kind::Users,
        }
    }

    fn limit(self) -> usize {
        match self {
            Self::NameService(_) => PER_NAME_LIMIT,
            Self::Server(_) => PER_FILE_LIMIT,
            Self::User(_) | Self::Nobody(_) => PER_USER_LIMIT,
        }
    }
}

impl Kind {
    fn limit(self) -> usize {
        match self {
            Self::LocalNames | Self::OtherNames => NAMES_LIMIT,
            Self::Users => USERS_LIMIT,
            Self::Alone => usize::MAX,
        }
    }
}

impl Room {
    fn run<T: Send + 'static>(
        &'static self,
        owner: Owner,
        timeout: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let slot = self.take(owner)?;
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

    fn take(&'static self, owner: Owner) -> Result<Slot, NotDone> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = owner.kind();
        let of_kind = running.iter().filter(|(other, _)| other.kind() == kind);
        if of_kind.map(|(_, count)| count).sum::<usize>() >= kind.limit() {
            return Err(NotDone::Busy);
        }
        let count = running.entry(owner).or_default();
        if *count >= owner.limit() {
            return Err(NotDone::Busy);
        }
        *count += 1;
        Ok(Slot { room: self, owner })
    }
}

/// The right to one thread, given back when dropped.
struct Slot {
    room: &'static Room,
    owner: Owner,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut running = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.owner) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                running.remove(&self.owner);
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

    /// Has work hang for `owner` until there is no more room; what ends it.
    fn hang(room: &'static Room, owner: Owner) -> Vec<mpsc::Sender<()>> {
        let mut hanging = Vec::new();
        loop {
            let (release, wait) = mpsc::channel::<()>();
            let outcome = room.run(owner, Duration::ZERO, move || wait.recv().is_ok());
            match outcome {
                Err(NotDone::TimedOut) => hanging.push(release),
                outcome => {
                    assert_eq!(outcome, Err(NotDone::Busy));
                    return hanging;
                }
            }
        }
    }

    #[test]
    fn root_gets_in_when_everything_else_hangs() {
        let room: &'static Room = Box::leak(Box::new(Room(Mutex::new(BTreeMap::new()))));
        let works = |owner| room.run(owner, Duration::from_secs(10), || ());
        let (file, other_file) = (Owner::Server(1), Owner::Server(2));
        let asked = |asked| Owner::NameService(asked);
        let mut hanging = hang(room, file);
        assert_eq!(hanging.len(), PER_FILE_LIMIT);

        // One account of a kind has its share; all of them have no more than there is.
        for (one, all, owner) in [
            (
                PER_NAME_LIMIT,
                NAMES_LIMIT,
                &(|n| asked(Asked::Elsewhere(n))) as &dyn Fn(u64) -> Owner,
            ),
            (PER_NAME_LIMIT, NAMES_LIMIT, &|n| asked(Asked::Local(n))),
            (PER_USER_LIMIT, USERS_LIMIT, &Owner::Nobody),
        ] {
            let first = hang(room, owner(1));
            assert_eq!(first.len(), one);
            assert_eq!(works(owner(2)), Ok(()));
            let others: Vec<_> = (2..)
                .map(|n| hang(room, owner(n)))
                .take_while(|hung| !hung.is_empty())
                .flatten()
                .collect();
            assert_eq!(first.len() + others.len(), all);
            assert_eq!(works(owner(1000)), Err(NotDone::Busy));
            hanging.extend(first.into_iter().chain(others));
            // Those of this machine do not wait for a directory server.
            if owner(0) == asked(Asked::Elsewhere(0)) {
                assert_eq!(works(asked(Asked::Local(1))), Ok(()));
            }
        }
        assert_eq!(works(Owner::User(1000)), Err(NotDone::Busy));
        for owner in [asked(Asked::Root), Owner::User(ROOT), other_file] {
            assert_eq!(works(owner), Ok(()), "{owner:?}");
        }
        drop(hanging);
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
