//! From the client's bytes to answers and back: read as much as there is, answer all of it, write that at once.
//!
//! Reads and writes block. While a client does not read its answers nothing is read of it either, so what is held here
//! is bounded: one input buffer, and the answers to what was in it up to [`FLUSH`].

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use sandbox::Sandboxed;
use thiserror::Error;

use crate::output::Output;
use crate::request::{PACKET_LIMIT, ProtocolError};
use crate::server::Server;

/// Room for what one read may bring: two packets of the longest kind, so that an unfinished one leaves room for as much
/// again.
const INPUT: usize = 2 * (PACKET_LIMIT + LENGTH);

/// Most bytes of one read. While it copies, the pipe is locked: the worker, which has the next packets, waits and spins.
/// And what was read is still in the processor's cache when it is written to its file.
const READ: usize = 128 * 1024;

/// Answers are written when there are this many bytes of them, if the input does not end before.
const FLUSH: usize = 256 * 1024;

/// The length field of a packet.
const LENGTH: usize = 4;

/// How a client's session ended, if not by its end of file.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The client does not speak the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Its requests cannot be read.
    #[error("read: {0}")]
    Read(Errno),
    /// Its answers cannot be written.
    #[error("write: {0}")]
    Write(Errno),
}

/// Serves the client at standard input and output until it has gone.
///
/// # Errors
/// See [`ServeError`]. The server is of no use any more, then; answers that were ready have been written.
pub fn serve(_cage: Sandboxed, mut server: Server) -> Result<(), ServeError> {
    let end = run(&mut server, io::stdin(), io::stdout());
    server.finish();
    end
}

/// Whether nobody holds the other end of standard input any more, or of standard output. The latter is all that is heard
/// of a client that was killed while its requests wait: its end of file is behind them, `eow@openssh.com` is not.
pub fn client_has_gone() -> bool {
    let (input, output) = (io::stdin(), io::stdout());
    let none = PollFlags::empty();
    let mut ends = [PollFd::new(&input, none), PollFd::new(&output, none)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let gone = PollFlags::HUP | PollFlags::ERR;
    let looked = poll(&mut ends, Some(&now));
    looked.is_ok() && ends.iter().any(|end| end.revents().intersects(gone))
}

pub(crate) fn run(
    server: &mut Server,
    input: impl AsFd,
    output: impl AsFd,
) -> Result<(), ServeError> {
    let mut received = Input::new();
    let mut answers = Output::default();
    while received.fill(&input)? {
        let end = loop {
            match received.next_packet() {
                Ok(Some(packet)) => {
                    if let Err(error) = server.answer(packet, &mut answers) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if answers.pending().len() >= FLUSH {
                flush(&mut answers, &output)?;
            }
        };
        flush(&mut answers, &output)?;
        end?;
    }
    Ok(())
}

fn flush(answers: &mut Output, output: impl AsFd) -> Result<(), ServeError> {
    let mut rest = answers.pending();
    while !rest.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(&output, rest));
        let written = written.map_err(ServeError::Write)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    answers.clear();
    Ok(())
}

/// What was read and not yet answered.
struct Input {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Input {
    fn new() -> Self {
        Self {
            bytes: vec![0; INPUT].into(),
            start: 0,
            end: 0,
        }
    }

    /// Reads once; whether there was something.
    fn fill(&mut self, input: impl AsFd) -> Result<bool, ServeError> {
        // What is left is less than a packet, and mostly nothing.
        self.bytes.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        let end = self.end.saturating_add(READ).min(self.bytes.len());
        let room = self.bytes.get_mut(self.end..end).unwrap_or_default();
        let read = retry_on_intr(|| rustix::io::read(&input, &mut *room));
        let read = read.map_err(ServeError::Read)?;
        self.end = self.end.saturating_add(read);
        Ok(read > 0)
    }

    /// The next whole packet without its length.
    fn next_packet(&mut self) -> Result<Option<&[u8]>, ProtocolError> {
        let available = self.bytes.get(self.start..self.end).unwrap_or_default();
        let Some((length, rest)) = available.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*length);
        let length = match usize::try_from(announced) {
            Ok(length) if length <= PACKET_LIMIT => length,
            _ => return Err(ProtocolError::TooLong(announced)),
        };
        let Some(packet) = rest.get(..length) else {
            return Ok(None);
        };
        self.start = self.start.saturating_add(LENGTH).saturating_add(length);
        Ok(Some(packet))
    }
}
