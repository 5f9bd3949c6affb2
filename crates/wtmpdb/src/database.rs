//! What becomes of records: entries as wtmpdb(8), pam_wtmpdb(8) and sshd of Debian 13 make and read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rpc::wtmpdb::{Entry, Record, microseconds};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, TransactionBehavior, params};

/// Where the database is.
#[derive(Debug)]
pub struct Database(PathBuf);

/// How long a lock is waited for. A writer has it for some milliseconds. A reader can keep it: every user may read. Those
/// who log in do not wait for it, but what they do is not recorded.
const PATIENCE: Duration = Duration::from_secs(2);

/// By when pam_wtmpdb(8) has recorded a session that began: systemd waits no longer for modules (TimeoutStartSec= of
/// sessions).
const STARTING: Duration = Duration::from_secs(30);

/// libwtmpdb's own words. logrotate(8) leaves an empty file.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, \
                     Login INTEGER, Logout INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT) STRICT;";

/// libwtmpdb's USER_PROCESS, which is not that of utmp(5).
const USER_PROCESS: u8 = 3;

/// The entry that pam_wtmpdb(8) has made for a session of the user ?1 which began between ?2 and ?3, and has no terminal
/// yet. It knows us by PAMName= of sessions, and the terminal as `ssh`, which is what sshd tells modules, too.
macro_rules! of_session {
    ($change:literal) => {
        concat!(
            $change,
            " WHERE ID = (SELECT ID FROM wtmp WHERE User = ?1 AND Login BETWEEN ?2 AND ?3 AND Type = 3 AND TTY = 'ssh' \
             AND Service = 'sshd-privsep' AND Logout IS NULL ORDER BY Login LIMIT 1)"
        )
    };
}

/// As sshd makes it: no service.
const NEW: &str =
    "INSERT INTO wtmp(Type, User, Login, TTY, RemoteHost) VALUES (?1, ?2, ?3, ?4, ?5)";

/// As libwtmpdb finds a terminal's entry.
const CLOSE: &str = "UPDATE wtmp SET Logout = ?2 WHERE ID = (SELECT ID FROM wtmp WHERE TTY = ?1 AND Logout IS NULL \
                     ORDER BY Login DESC LIMIT 1)";

impl Database {
    /// The system's. With Debian it is a link into `/var/log`.
    pub fn of_system() -> Self {
        Self("/var/lib/wtmpdb/wtmp.db".into())
    }

    /// In this file.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a record. As with the files of utmp(5), none is made: a file that is not there is not wanted.
    ///
    /// # Errors
    /// The file is no such database, or locked for long.
    pub fn write(&self, record: &Record) -> rusqlite::Result<()> {
        if !fs::exists(&self.0).unwrap_or(true) {
            return Ok(());
        }
        // Opened each time: logrotate(8) renames it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.0, flags)?;
        connection.busy_timeout(PATIENCE)?;
        let entries = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        entries.execute(TABLE, [])?;
        match record {
            Record::Opened {
                user,
                host,
                terminal,
                time,
                entry,
            } => {
                let line = format!("pts/{}", terminal.0);
                let taken = match entry {
                    Entry::OfSession(began) => {
                        let until = Time(*began + STARTING);
                        let change = of_session!("UPDATE wtmp SET TTY = ?4");
                        entries.execute(change, params![user, Time(*began), until, line])?
                    }
                    Entry::New => 0,
                };
                if taken == 0 {
                    let entry = params![USER_PROCESS, user, Time(*time), line, host];
                    entries.execute(NEW, entry)?;
                }
            }
            Record::Closed { terminal, time } => {
                let line = format!("pts/{}", terminal.0);
                entries.execute(CLOSE, params![line, Time(*time)])?;
            }
            Record::Ended { user, began, time } => {
                let until = Time(*began + STARTING);
                let change = of_session!("UPDATE wtmp SET Logout = ?4");
                entries.execute(change, params![user, Time(*began), until, Time(*time)])?;
            }
        }
        entries.commit()
    }
}

/// As it is in the database.
struct Time(SystemTime);

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let time = microseconds(self.0).try_into().unwrap_or(i64::MAX);
        Ok(ToSqlOutput::Borrowed(ValueRef::Integer(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::accounting::TerminalNumber;
    use std::time::Instant;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    /// An empty file, as logrotate(8) leaves it.
    fn scratch(name: &str) -> (Scratch, Database) {
        let path = std::env::temp_dir().join(format!("wtmpdb-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("wtmp.db"), b"").unwrap();
        let database = Database::at(path.join("wtmp.db"));
        (Scratch(path), database)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn opened(user: &str, terminal: u32, time: u64, entry: Entry) -> Record {
        Record::Opened {
            user: user.into(),
            host: "192.0.2.1".into(),
            terminal: TerminalNumber(terminal),
            time: at(time),
            entry,
        }
    }

    fn closed(terminal: u32, time: u64) -> Record {
        Record::Closed {
            terminal: TerminalNumber(terminal),
            time: at(time),
        }
    }

    fn ended(user: &str, began: u64, time: u64) -> Record {
        Record::Ended {
            user: user.into(),
            began: at(began),
            time: at(time),
        }
    }

    /// What pam_wtmpdb(8) does when a session begins, of this service.
    fn begin(database: &Database, user: &str, time: u64, service: &str) {
        let connection = Connection::open(database.path()).unwrap();
        connection.execute(TABLE, []).unwrap();
        connection
            .execute(
                "INSERT INTO wtmp(Type, User, Login, TTY, RemoteHost, Service) VALUES (3, ?1, ?2, 'ssh', 'host', ?3)",
                params![user, Time(at(time)), service],
            )
            .unwrap();
    }

    /// User, terminal, host, service and seconds of each entry.
    fn entries(database: &Database) -> Vec<String> {
        let connection = Connection::open(database.path()).unwrap();
        let mut all = connection
            .prepare(
                "SELECT concat_ws(' ', User, TTY, RemoteHost, Service, Login / 1000000, '-', Logout / 1000000) \
                 FROM wtmp WHERE Type = 3 ORDER BY ID",
            )
            .unwrap();
        let all = all.query_map([], |row| row.get(0)).unwrap();
        all.map(Result::unwrap).collect()
    }

    #[test]
    fn a_terminal_that_nobody_else_records_has_an_entry_as_sshds() {
        let (_scratch, database) = scratch("new");
        for record in [
            opened("alice", 1, 100, Entry::OfSession(at(99))),
            opened("alice", 2, 110, Entry::New),
            closed(1, 120),
        ] {
            database.write(&record).unwrap();
        }
        let expected = [
            "alice pts/1 192.0.2.1 100 - 120",
            "alice pts/2 192.0.2.1 110 -",
        ];
        assert_eq!(entries(&database), expected);
    }

    #[test]
    fn what_a_module_has_begun_is_completed_and_nothing_is_there_twice() {
        let (_scratch, database) = scratch("pam");
        for user in ["alice", "bob"] {
            begin(&database, user, 100, "sshd-privsep");
        }
        for record in [
            opened("alice", 1, 200, Entry::OfSession(at(99))),
            opened("alice", 2, 210, Entry::New),
            closed(1, 220),
            ended("bob", 99, 230),
            closed(2, 240),
        ] {
            database.write(&record).unwrap();
        }
        let expected = [
            "alice pts/1 host sshd-privsep 100 - 220",
            "bob ssh host sshd-privsep 100 - 230",
            "alice pts/2 192.0.2.1 210 - 240",
        ];
        assert_eq!(entries(&database), expected);
    }

    #[test]
    fn an_entry_of_another_session_or_service_is_left_alone() {
        let (_scratch, database) = scratch("others");
        begin(&database, "alice", 90, "sshd-privsep");
        begin(&database, "alice", 100, "sshd");
        begin(&database, "alice", 131, "sshd-privsep");
        for record in [
            opened("alice", 1, 140, Entry::OfSession(at(100))),
            ended("alice", 100, 150),
        ] {
            database.write(&record).unwrap();
        }
        let expected = [
            "alice ssh host sshd-privsep 90 -",
            "alice ssh host sshd 100 -",
            "alice ssh host sshd-privsep 131 -",
            "alice pts/1 192.0.2.1 140 -",
        ];
        assert_eq!(entries(&database), expected);
    }

    #[test]
    fn a_terminals_last_entry_is_the_one_that_ends() {
        let (_scratch, database) = scratch("last");
        for record in [
            // Of before a crash.
            opened("alice", 1, 100, Entry::New),
            opened("bob", 1, 200, Entry::New),
            closed(1, 210),
            // Rotated away in the meantime.
            closed(7, 220),
        ] {
            database.write(&record).unwrap();
        }
        let expected = [
            "alice pts/1 192.0.2.1 100 -",
            "bob pts/1 192.0.2.1 200 - 210",
        ];
        assert_eq!(entries(&database), expected);
    }

    #[test]
    fn no_database_is_made_and_one_that_is_none_is_an_error() {
        let (scratch, database) = scratch("none");
        fs::write(database.path(), [b'x'; 4096]).unwrap();
        assert!(database.write(&closed(1, 1)).is_err());
        fs::remove_file(database.path()).unwrap();
        database.write(&closed(1, 1)).unwrap();
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    }

    #[test]
    fn a_reader_who_keeps_it_locked_costs_a_record_and_little_time() {
        let (_scratch, database) = scratch("locked");
        begin(&database, "alice", 100, "sshd-privsep");
        let reader = Connection::open(database.path()).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let count = "SELECT count(*) FROM wtmp";
        reader.query_row(count, [], |_| Ok(())).unwrap();
        let start = Instant::now();
        assert!(database.write(&closed(1, 1)).is_err());
        assert!(start.elapsed() >= PATIENCE / 2 && start.elapsed() < PATIENCE * 3);
        reader.execute_batch("ROLLBACK").unwrap();
        database.write(&ended("alice", 100, 110)).unwrap();
        assert_eq!(
            entries(&database),
            ["alice ssh host sshd-privsep 100 - 110"]
        );
    }
}
