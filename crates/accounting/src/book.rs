//! The files: what becomes of them when somebody logs in and out.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, symlink_metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use journal::{RateLimit, Verdict};
use rpc::accounting::{FailedLogin, LastLogin, Origin, TerminalNumber};
use rpc::wtmpdb::{self, Record};
use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::Errno;
use tracing::warn;

use crate::record::{self, Entry, LastEntry, Time};

/// Where the files are.
#[derive(Debug, Clone)]
pub struct Book {
    utmp: PathBuf,
    wtmp: PathBuf,
    lastlog: PathBuf,
    btmp: PathBuf,
    /// Of the process that writes the database of wtmpdb(8).
    wtmpdb: PathBuf,
    /// When a lock was last waited for in vain.
    obstructed: Cell<Option<Instant>>,
}

/// Whether a file is for root and its group only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Private {
    Yes,
    No,
}

/// Most entries of utmp that are looked at: a machine has fewer terminals.
const ENTRIES_LIMIT: u64 = 16 * 1024;

/// How long a lock is waited for. libc's own writers hold it for less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long no lock is waited for after one that did not come.
const OBSTRUCTION: Duration = Duration::from_secs(10);

/// Between two tries to lock.
const PAUSE: Duration = Duration::from_millis(5);

impl Book {
    /// The system's.
    pub fn of_system() -> Self {
        Self {
            utmp: "/run/utmp".into(),
            wtmp: "/var/log/wtmp".into(),
            lastlog: "/var/log/lastlog".into(),
            btmp: "/var/log/btmp".into(),
            wtmpdb: wtmpdb::SOCKET.into(),
            obstructed: Cell::new(None),
        }
    }

    /// One in this directory.
    pub fn of_directory(directory: &Path) -> Self {
        Self {
            utmp: directory.join("utmp"),
            wtmp: directory.join("wtmp"),
            lastlog: directory.join("lastlog"),
            btmp: directory.join("btmp"),
            wtmpdb: directory.join("wtmpdb.sock"),
            obstructed: Cell::new(None),
        }
    }

    /// Records a login, and says when the user was here before. The entry is that of the database.
    pub fn log_in(
        &self,
        origin: &Origin,
        terminal: TerminalNumber,
        pid: i32,
        entry: wtmpdb::Entry,
    ) -> Option<LastLogin> {
        self.send(Record::Opened {
            user: origin.user.clone(),
            host: origin.host.clone(),
            terminal,
            time: SystemTime::now(),
            entry,
        });
        let now = now();
        let last = noted(&self.lastlog, self.last(origin.uid)).flatten();
        let entry = Entry::login(origin, terminal, pid, now);
        noted(&self.utmp, self.replace(&entry));
        noted(&self.wtmp, self.append(&self.wtmp, &entry));
        let entry = LastEntry {
            seconds: now.seconds,
            line: record::line(terminal),
            host: origin.host.clone(),
        };
        noted(&self.lastlog, self.set_last(origin.uid, &entry));
        last.map(|last| LastLogin {
            time: ctime(last.seconds),
            host: last.host,
        })
    }

    /// Records the end of a login.
    pub fn log_out(&self, terminal: TerminalNumber, pid: i32) {
        self.send(Record::Closed {
            terminal,
            time: SystemTime::now(),
        });
        let entry = Entry::logout(terminal, pid, now());
        noted(&self.utmp, self.replace(&entry));
        noted(&self.wtmp, self.append(&self.wtmp, &entry));
    }

    /// Records the end of a session that never had a terminal: of that, only the database can know.
    pub fn end(&self, origin: &Origin) {
        self.send(Record::Ended {
            user: origin.user.clone(),
            began: origin.began,
            time: SystemTime::now(),
        });
    }

    fn send(&self, record: Record) {
        noted(&self.wtmpdb, wtmpdb::send_to(&self.wtmpdb, record));
    }

    /// Records a login that failed. The name may be a password that was typed too early, so that a file which others can
    /// read does not get it.
    pub fn fail(&self, failed: &FailedLogin, pid: i32) {
        let entry = Entry::failure(failed, pid, now());
        match self.is_private() {
            Ok(Private::Yes) => drop(noted(&self.btmp, self.append(&self.btmp, &entry))),
            Ok(Private::No) => {
                static LINES: RateLimit = RateLimit::new(1, Duration::from_secs(60));
                if let Verdict::Log { suppressed } = LINES.check() {
                    let path = self.btmp.display();
                    warn!(
                        suppressed,
                        "Excess permission or bad ownership on file {path}"
                    );
                }
            }
            // It is not wanted.
            Err(_) => {}
        }
    }

    /// As sshd judges: root's, and nothing for others.
    fn is_private(&self) -> io::Result<Private> {
        const EXCESS: u32 = 0o017;
        let file = symlink_metadata(&self.btmp)?;
        Ok(match file.uid() == 0 && file.mode() & EXCESS == 0 {
            true => Private::Yes,
            false => Private::No,
        })
    }

    /// Ends the logins whose processes are gone: a predecessor of this process did not live to see it. The processes of
    /// the others are returned.
    pub fn sweep(&self) -> BTreeSet<i32> {
        // An error does not say that it is gone.
        let gone = |pid: i32| matches!(fs::exists(format!("/proc/{pid}")), Ok(false));
        let mut alive = BTreeSet::new();
        for (pid, terminal) in self.live() {
            if gone(pid) {
                self.log_out(terminal, pid);
            } else {
                alive.insert(pid);
            }
        }
        alive
    }

    /// Ends the logins of a process.
    pub fn log_out_all(&self, process: i32) {
        for (pid, terminal) in self.live() {
            if pid == process {
                self.log_out(terminal, pid);
            }
        }
    }

    /// The logins that have not ended.
    fn live(&self) -> Vec<(i32, TerminalNumber)> {
        let all = noted(&self.utmp, self.entries()).unwrap_or_default();
        all.iter().filter_map(Entry::user_process).collect()
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let file = File::open(&self.utmp)?;
        let mut entries = Vec::new();
        while let Some(entry) = entry_at(&file, entries.len().try_into().unwrap_or(ENTRIES_LIMIT))?
        {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// As pututxline(3): in the place of the terminal's last entry, or at the end.
    fn replace(&self, entry: &Entry) -> io::Result<()> {
        let file = open(OpenOptions::new().read(true).write(true), &self.utmp)?;
        self.lock(&file, &self.utmp)?;
        let mut place = 0;
        while let Some(found) = entry_at(&file, place)? {
            if found.is_place_of(entry) {
                break;
            }
            place += 1;
        }
        file.write_all_at(entry.bytes(), place * SIZE)
    }

    /// As updwtmpx(3). Whole entries only: half of one would shift all that come after it.
    fn append(&self, path: &Path, entry: &Entry) -> io::Result<()> {
        let file = open(OpenOptions::new().read(true).write(true), path)?;
        self.lock(&file, path)?;
        let length = file.metadata()?.len();
        file.write_all_at(entry.bytes(), length - length % SIZE)
    }

    /// The lock of libc's own writers, which ends with the file.
    ///
    /// Everybody may read utmp and wtmp, and so hold a lock against writers for as long as they like. It would stop all
    /// records, or hide a login, so that after a moment the entry is written without. The wait is for everybody's
    /// records, so that a lock that lasts costs it once in a while and not with each of them.
    fn lock(&self, file: &File, path: &Path) -> io::Result<()> {
        let start = Instant::now();
        let patience = match self.obstructed.get() {
            Some(last) if start.duration_since(last) < OBSTRUCTION => Duration::ZERO,
            Some(_) | None => PATIENCE,
        };
        loop {
            match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::AGAIN | Errno::ACCESS) if start.elapsed() < patience => {
                    thread::sleep(PAUSE);
                }
                Err(Errno::AGAIN | Errno::ACCESS) => break,
                other => return Ok(other?),
            }
        }
        if patience > Duration::ZERO {
            self.obstructed.set(Some(Instant::now()));
            let path = path.display();
            warn!("{path}: somebody keeps it locked; records are written all the same");
        }
        Ok(())
    }

    fn last(&self, uid: u32) -> io::Result<Option<LastEntry>> {
        let mut bytes = [0; LastEntry::SIZE];
        let file = File::open(&self.lastlog)?;
        match file.read_exact_at(&mut bytes, LastEntry::place(uid)) {
            Ok(()) => Ok(LastEntry::of_bytes(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_last(&self, uid: u32, entry: &LastEntry) -> io::Result<()> {
        let file = open(OpenOptions::new().write(true), &self.lastlog)?;
        file.write_all_at(&entry.bytes(), LastEntry::place(uid))
    }
}

const SIZE: u64 = record::SIZE as u64;

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits();
    options.custom_flags(flags.cast_signed()).open(path)
}

fn entry_at(file: &File, place: u64) -> io::Result<Option<Entry>> {
    let mut bytes = [0; record::SIZE];
    if place >= ENTRIES_LIMIT {
        return Err(io::Error::other("too many entries"));
    }
    match file.read_exact_at(&mut bytes, place * SIZE) {
        Ok(()) => Ok(Some(Entry::of_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file that is not there is not wanted; any other failure is noted. Neither keeps anybody from logging in.
fn noted<T>(path: &Path, outcome: io::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            warn!("{}: {error}", path.display());
            None
        }
    }
}

fn now() -> Time {
    // Before 1970 it is 1970.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time {
        seconds: since.as_secs().try_into().unwrap_or(i64::MAX),
        microseconds: since.subsec_micros(),
    }
}

/// `Thu Jan  1 00:00:00 1970`, in the machine's time zone.
fn ctime(seconds: i64) -> String {
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = time.to_zoned(zone);
    time.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, fcntl};
    use rpc::wtmpdb::Entry;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixDatagram;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn scratch(name: &str) -> (Scratch, Book) {
        let path = std::env::temp_dir().join(format!("accounting-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let book = Book::of_directory(&path);
        (Scratch(path), book)
    }

    fn origin(uid: u32) -> Origin {
        Origin {
            user: format!("user{uid}"),
            uid,
            host: "192.0.2.1".into(),
            address: None,
            began: UNIX_EPOCH,
        }
    }

    #[test]
    fn without_files_nothing_is_recorded_and_none_is_made() {
        let (scratch, book) = scratch("none");
        assert_eq!(
            book.log_in(&origin(1), TerminalNumber(0), 1, Entry::New),
            None
        );
        book.log_out(TerminalNumber(0), 1);
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    }

    #[test]
    fn each_terminal_has_one_place_and_wtmp_has_it_all() {
        let (_scratch, book) = scratch("places");
        for file in [&book.utmp, &book.wtmp, &book.lastlog] {
            fs::write(file, b"").unwrap();
        }
        assert_eq!(
            book.log_in(&origin(1), TerminalNumber(0), 10, Entry::New),
            None
        );
        assert_eq!(
            book.log_in(&origin(2), TerminalNumber(11), 11, Entry::New),
            None
        );
        assert_eq!(
            book.live(),
            [(10, TerminalNumber(0)), (11, TerminalNumber(11))]
        );
        book.log_out(TerminalNumber(0), 10);
        assert_eq!(book.live(), [(11, TerminalNumber(11))]);
        let last = book
            .log_in(&origin(1), TerminalNumber(0), 12, Entry::New)
            .unwrap();
        assert_eq!(last.host, "192.0.2.1");
        assert_eq!(fs::metadata(&book.utmp).unwrap().len(), 2 * SIZE);
        assert_eq!(fs::metadata(&book.wtmp).unwrap().len(), 4 * SIZE);
    }

    #[test]
    fn a_torn_entry_does_not_shift_the_next() {
        let (_scratch, book) = scratch("torn");
        fs::write(&book.wtmp, [1; 100]).unwrap();
        book.log_out(TerminalNumber(0), 1);
        assert_eq!(fs::metadata(&book.wtmp).unwrap().len(), SIZE);
    }

    /// An open file description's lock: it is in the way of a process's locks as another process's is.
    fn read_lock(path: &Path) -> File {
        let file = File::open(path).unwrap();
        let whole = libc::flock {
            l_type: libc::F_RDLCK.try_into().unwrap(),
            l_whence: libc::SEEK_SET.try_into().unwrap(),
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
        file
    }

    #[test]
    fn a_reader_who_keeps_the_files_locked_delays_records_once_and_loses_none() {
        let (_scratch, book) = scratch("locked");
        for file in [&book.utmp, &book.wtmp] {
            fs::write(file, b"").unwrap();
        }
        let _locked = [&book.utmp, &book.wtmp].map(|file| read_lock(file));
        let start = Instant::now();
        for number in 0..10 {
            book.log_in(&origin(1), TerminalNumber(number), 10, Entry::New);
        }
        let waited = start.elapsed();
        assert!(waited >= PATIENCE && waited < 4 * PATIENCE, "{waited:?}");
        assert_eq!(book.live().len(), 10);
        assert_eq!(fs::metadata(&book.wtmp).unwrap().len(), 10 * SIZE);
    }

    #[test]
    fn a_lock_that_ends_in_time_is_waited_for() {
        let (_scratch, book) = scratch("lock-ends");
        fs::write(&book.wtmp, b"").unwrap();
        let locked = read_lock(&book.wtmp);
        let writer = thread::spawn(move || {
            book.log_out(TerminalNumber(0), 1);
            book
        });
        thread::sleep(PATIENCE / 10);
        assert_eq!(locked.metadata().unwrap().len(), 0);
        drop(locked);
        let book = writer.join().unwrap();
        assert_eq!(book.obstructed.get(), None);
        assert_eq!(fs::metadata(&book.wtmp).unwrap().len(), SIZE);
    }

    #[test]
    fn failures_are_recorded_where_others_cannot_read_them() {
        let (_scratch, book) = scratch("failures");
        let failed = FailedLogin {
            user: "hunter2".into(),
            host: "192.0.2.1".into(),
            address: None,
        };
        book.fail(&failed, 1);
        assert!(!book.btmp.exists());
        fs::write(&book.btmp, b"").unwrap();
        let is_root = fs::metadata(&book.btmp).unwrap().uid() == 0;
        for (mode, count) in [(0o664, 0), (0o670, 0), (0o660, 1), (0o600, 2)] {
            fs::set_permissions(&book.btmp, fs::Permissions::from_mode(mode)).unwrap();
            book.fail(&failed, 1);
            let expected = if is_root { count * SIZE } else { 0 };
            assert_eq!(
                fs::metadata(&book.btmp).unwrap().len(),
                expected,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn logins_of_processes_that_are_gone_are_ended() {
        let (_scratch, book) = scratch("sweep");
        fs::write(&book.utmp, b"").unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        book.log_in(&origin(1), TerminalNumber(0), me, Entry::New);
        // No process has this number: pid_max is lower.
        book.log_in(&origin(1), TerminalNumber(1), i32::MAX, Entry::New);
        assert_eq!(book.sweep(), BTreeSet::from([me]));
        assert_eq!(book.live(), [(me, TerminalNumber(0))]);
    }

    #[test]
    fn all_logins_of_a_process_end_with_it() {
        let (_scratch, book) = scratch("process");
        fs::write(&book.utmp, b"").unwrap();
        for (terminal, pid) in [(0, 1), (1, 2), (2, 1)] {
            book.log_in(&origin(1), TerminalNumber(terminal), pid, Entry::New);
        }
        book.log_out_all(1);
        assert_eq!(book.live(), [(2, TerminalNumber(1))]);
    }

    #[test]
    fn times_are_ctimes() {
        let text = ctime(0);
        // Whatever the zone: the form, with a space before the first nine days.
        assert_eq!(text.len(), "Thu Jan  1 00:00:00 1970".len());
        assert!(text == "Thu Jan  1 00:00:00 1970" || !text.contains("Jan  1 00:00:00"));
    }

    #[test]
    fn the_database_is_told_of_each_login_and_its_end() {
        let (_scratch, book) = scratch("database");
        fs::write(&book.utmp, b"").unwrap();
        let socket = UnixDatagram::bind(&book.wtmpdb).unwrap();
        let own = Entry::OfSession(UNIX_EPOCH);
        book.log_in(&origin(1), TerminalNumber(3), 10, own);
        book.log_out_all(10);
        book.end(&origin(2));
        let told = || wtmpdb::receive(&socket).unwrap();
        let number = TerminalNumber(3);
        assert!(
            matches!(told(), Record::Opened { user, terminal, entry, .. }
                if user == "user1" && terminal == number && entry == own)
        );
        assert!(matches!(told(), Record::Closed { terminal, .. } if terminal == number));
        assert!(matches!(told(), Record::Ended { user, began: UNIX_EPOCH, .. } if user == "user2"));
    }
}
