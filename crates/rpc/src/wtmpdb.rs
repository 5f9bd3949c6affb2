//! Records for the database of wtmpdb(8): what the process that keeps records says to the one that writes them there
//! (`proto/accounting.proto`). Datagrams, so that nobody waits for a database.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, SystemTime};

use prost::Message;
use thiserror::Error;

use crate::accounting::TerminalNumber;
use crate::proto::accounting::v1 as pb;
use pb::to_wtmpdb::Body;

/// Where the process listens.
pub const SOCKET: &str = "/run/sshd-privsep-wtmpdb.sock";

/// Largest datagram in bytes.
const DATAGRAM_LIMIT: usize = 4096;

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A user is on a terminal.
    Opened {
        /// Login name.
        user: String,
        /// The client's host, as it is to be shown.
        host: String,
        /// The terminal.
        terminal: TerminalNumber,
        /// Since when.
        time: SystemTime,
        /// Where it is recorded.
        entry: Entry,
    },
    /// Nobody is on it any more.
    Closed {
        /// The terminal.
        terminal: TerminalNumber,
        /// Since when.
        time: SystemTime,
    },
    /// A session has ended that never had a terminal.
    Ended {
        /// Login name.
        user: String,
        /// When it began.
        began: SystemTime,
        /// When it ended.
        time: SystemTime,
    },
}

/// An entry of the database for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The one of the session that began then, if pam_wtmpdb(8) has made one; otherwise a new one.
    OfSession(SystemTime),
    /// A new one: that of the session is another terminal's.
    New,
}

/// Why there is no record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// What came is none.
    #[error("malformed record")]
    Malformed,
    /// The system refused.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
}

/// Has a record written by the process that listens at `path`. It never waits.
///
/// # Errors
/// Nobody listens, or too many are waiting.
pub fn send_to(path: &Path, record: Record) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(&encode(record), path)?;
    Ok(())
}

/// The next record, for which it waits as long as the socket does.
///
/// # Errors
/// See [`RecordError`].
pub fn receive(socket: &UnixDatagram) -> Result<Record, RecordError> {
    // What is longer is cut, and then no message.
    let mut bytes = vec![0; DATAGRAM_LIMIT];
    let length = socket.recv(&mut bytes)?;
    bytes.truncate(length);
    decode(&bytes).ok_or(RecordError::Malformed)
}

fn encode(record: Record) -> Vec<u8> {
    let body = match record {
        Record::Opened {
            user,
            host,
            terminal,
            time,
            entry,
        } => Body::Opened(pb::TerminalOpened {
            user,
            host,
            number: terminal.0,
            time: microseconds(time),
            began: match entry {
                Entry::OfSession(began) => Some(microseconds(began)),
                Entry::New => None,
            },
        }),
        Record::Closed { terminal, time } => Body::Closed(pb::TerminalClosed {
            number: terminal.0,
            time: microseconds(time),
        }),
        Record::Ended { user, began, time } => Body::Ended(pb::SessionEnded {
            user,
            began: microseconds(began),
            time: microseconds(time),
        }),
    };
    pb::ToWtmpdb { body: Some(body) }.encode_to_vec()
}

fn decode(bytes: &[u8]) -> Option<Record> {
    let message = pb::ToWtmpdb::decode(bytes).ok()?;
    Some(match message.body? {
        Body::Opened(opened) => Record::Opened {
            user: opened.user,
            host: opened.host,
            terminal: TerminalNumber(opened.number),
            time: from_microseconds(opened.time)?,
            entry: match opened.began {
                Some(began) => Entry::OfSession(from_microseconds(began)?),
                None => Entry::New,
            },
        },
        Body::Closed(closed) => Record::Closed {
            terminal: TerminalNumber(closed.number),
            time: from_microseconds(closed.time)?,
        },
        Body::Ended(ended) => Record::Ended {
            user: ended.user,
            began: from_microseconds(ended.began)?,
            time: from_microseconds(ended.time)?,
        },
    })
}

/// Since 1970; before that it is 1970.
pub fn microseconds(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since.as_micros().try_into().unwrap_or(u64::MAX)
}

pub(crate) fn from_microseconds(microseconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_time() -> impl Strategy<Value = SystemTime> {
        (0..u64::MAX / 2).prop_map(|time| from_microseconds(time).unwrap())
    }

    fn a_record() -> impl Strategy<Value = Record> {
        let entry = prop_oneof![Just(Entry::New), a_time().prop_map(Entry::OfSession)];
        let terminal = any::<u32>().prop_map(TerminalNumber);
        prop_oneof![
            (".{0,32}", ".{0,255}", terminal.clone(), a_time(), entry).prop_map(
                |(user, host, terminal, time, entry)| Record::Opened {
                    user,
                    host,
                    terminal,
                    time,
                    entry
                }
            ),
            (terminal, a_time()).prop_map(|(terminal, time)| Record::Closed { terminal, time }),
            (".{0,32}", a_time(), a_time()).prop_map(|(user, began, time)| Record::Ended {
                user,
                began,
                time
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_record_arrives_as_it_was_sent(record in a_record()) {
            prop_assert_eq!(decode(&encode(record.clone())), Some(record));
        }

        #[test]
        fn no_datagram_makes_the_reader_panic(bytes: Vec<u8>) {
            drop(decode(&bytes));
        }
    }

    #[test]
    fn a_record_for_nobody_is_an_error_and_no_wait() {
        let directory = std::env::temp_dir().join(format!("wtmpdb-rpc-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let record = Record::Closed {
            terminal: TerminalNumber(1),
            time: SystemTime::UNIX_EPOCH,
        };
        let error = send_to(&path, record.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let socket = UnixDatagram::bind(&path).unwrap();
        while send_to(&path, record.clone()).is_ok() {}
        assert_eq!(receive(&socket).unwrap(), record);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
