//! The SFTP server: packets decoded, handles looked up, files changed, answers encoded.
//!
//! An input is a byte of options, and either what a client sends, as it is, or acts, which become packets. The server
//! is the whole of crate `sftp` less its cage; it gets a jail in memory instead (`jail`).
//!
//! What must hold: no panic; each packet answered once, in order, to its own identifier; no answer longer than a client
//! has to take; memory bounded, whatever is asked for; with `-R` no file changed; no descriptor left.

mod act;
mod jail;

use std::io::{Read as _, Seek as _};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use arbitrary::{Arbitrary, Unstructured};
use jiff::tz::TimeZone;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use sftp::{Access, OwnAccount, Permitted, ServeError, Server};

use crate::memory::Account;
use act::Act;

/// Longest packet of either side, its length field not counted.
const PACKET_LIMIT: usize = 256 * 1024;

/// What a server may hold, or need for a moment: two packets of input, as much again of answers and their copy when
/// room for them grows, and what is known of open files.
const MEMORY_LIMIT: usize = 4 * 1024 * 1024;

/// Most acts of an input that are done.
const ACTS: usize = 64;

/// As much as is sent in pieces: a socket takes it without a reader.
const PIECES_LIMIT: usize = 32 * 1024;

/// How often a copy looks whether somebody still waits, at each MiB, until nobody does.
const PATIENCE: u32 = 8;

static LOOKS: AtomicU32 = AtomicU32::new(0);

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((options, data)) = data.split_first() else {
        return;
    };
    let stream = match options & 1 {
        0 => act::stream(acts(data)),
        _ => data.to_vec(),
    };
    let access = match options & 2 {
        0 => Access::ReadWrite,
        _ => Access::ReadOnly,
    };
    let pieces = usize::from(options >> 2);
    let descriptors = descriptors();
    jail::within(move || serve(&stream, access, pieces));
    assert_eq!(descriptors, self::descriptors(), "descriptors are left");
}

fn acts(data: &[u8]) -> Vec<Act> {
    let mut data = Unstructured::new(data);
    let mut acts = Vec::new();
    while acts.len() < ACTS
        && !data.is_empty()
        && let Ok(act) = Act::arbitrary(&mut data)
    {
        acts.push(act);
    }
    acts
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Serves a client that sends this and goes.
fn serve(stream: &[u8], access: Access, pieces: usize) {
    jail::fill();
    let before = (access == Access::ReadOnly).then(jail::content);
    let mut answers = std::fs::File::from(memfd_create("answers", MemfdFlags::CLOEXEC).unwrap());
    LOOKS.store(0, Ordering::Relaxed);
    let mut account = Account::new(MEMORY_LIMIT);
    let end = if stream.len() <= PIECES_LIMIT {
        let flags = SocketFlags::CLOEXEC;
        let (client, input) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        // A datagram is what one read brings.
        for piece in stream.chunks(stream.len() / (pieces + 1) + 1) {
            send(&client, piece, SendFlags::empty()).unwrap();
        }
        drop(client);
        account.charge(|| serve_between(access, &input, &answers))
    } else {
        let input = std::fs::File::from(memfd_create("input", MemfdFlags::CLOEXEC).unwrap());
        rustix::io::pwrite(&input, stream, 0).unwrap();
        account.charge(|| serve_between(access, &input, &answers))
    };
    let mut answered = Vec::new();
    answers.rewind().unwrap();
    answers.read_to_end(&mut answered).unwrap();
    check(stream, &answered, &end);
    if let Some(before) = before {
        assert_eq!(before, jail::content(), "changed by who may only read");
    }
}

fn serve_between(access: Access, input: impl AsFd, answers: impl AsFd) -> Result<(), ServeError> {
    let permitted = Permitted {
        access,
        ..Permitted::default()
    };
    let alice = OwnAccount {
        name: "alice".to_owned(),
        uid: 1000,
        home: b"/home".to_vec(),
    };
    let abandoned = || LOOKS.fetch_add(1, Ordering::Relaxed) >= PATIENCE;
    let mut server = Server::new(permitted, alice, TimeZone::UTC, abandoned);
    sftp::fuzzing::serve_between(&mut server, input, answers)
}

/// Each packet has its answer, and no answer is without a packet.
fn check(stream: &[u8], answered: &[u8], end: &Result<(), ServeError>) {
    let (asked, _) = packets(stream);
    let (answers, rest) = packets(answered);
    assert!(rest.is_empty(), "half an answer");
    match end {
        Ok(()) => assert_eq!(answers.len(), asked.len()),
        Err(ServeError::Protocol(_)) => assert!(answers.len() <= asked.len()),
        Err(error @ (ServeError::Read(_) | ServeError::Write(_))) => panic!("{error}"),
    }
    for (asked, answer) in asked.iter().zip(answers) {
        match asked.first() {
            // SSH_FXP_INIT and SSH_FXP_VERSION
            Some(1) => assert_eq!(answer[0], 2),
            _ => {
                assert!(matches!(answer[0], 101..=105 | 201));
                assert_eq!(answer[1..5], asked[1..5], "an answer to somebody else");
            }
        }
    }
}

/// What has a length in front, as far as it has one that may be; and what is left.
fn packets(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut packets = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk()
        && let Ok(length) = usize::try_from(u32::from_be_bytes(*length))
        && length <= PACKET_LIMIT
        && let Some((packet, rest)) = rest.split_at_checked(length)
    {
        packets.push(packet);
        bytes = rest;
    }
    (packets, bytes)
}
