//! The pam process's end: blocking, for a process whose modules ask and wait.

use std::os::fd::OwnedFd;
use std::process;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use zeroize::Zeroizing;

use super::{DATAGRAM_LIMIT, End, PamError, Question, Secret, Start, convert};
use crate::lane::expect_lane;

/// The socket to the monitor.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    owner: u32,
}

impl Channel {
    /// Takes the descriptor that the process was started with.
    ///
    /// # Errors
    /// Not a SOCK_SEQPACKET socket of AF_UNIX.
    pub fn new(socket: OwnedFd) -> Result<Self, PamError> {
        expect_lane(&socket).map_err(|_| PamError::Malformed("not a socket for PAM"))?;
        rustix::io::ioctl_fionbio(&socket, false).map_err(std::io::Error::from)?;
        Ok(Self {
            socket,
            owner: process::id(),
        })
    }

    /// Waits for the task. The monitor has it ready before this process is started.
    ///
    /// # Errors
    /// The monitor is gone, or breaks the contract.
    pub fn start(&self) -> Result<Start, PamError> {
        convert::read_start(&self.receive()?)
    }

    /// Passes a question on and waits for the answers: as many as it has prompts.
    ///
    /// # Errors
    /// The monitor is gone, breaks the contract, or the question is too large.
    pub fn ask(&self, question: &Question) -> Result<Vec<Secret>, PamError> {
        self.send(&convert::question(question))?;
        let answers = convert::read_answers(&self.receive()?)?;
        if answers.len() != question.prompts() {
            return Err(PamError::Malformed("number of answers"));
        }
        Ok(answers)
    }

    /// Says how it ended.
    ///
    /// # Errors
    /// The monitor is gone, or what there is to say is too large.
    pub fn end(self, end: &End) -> Result<(), PamError> {
        self.send(&convert::end(end))
    }

    fn send(&self, bytes: &[u8]) -> Result<(), PamError> {
        // A module that forks and returns twice would have two processes speak here, and the first word counts.
        if process::id() != self.owner {
            return Err(PamError::Unsendable("a module has forked"));
        }
        if bytes.len() > DATAGRAM_LIMIT {
            return Err(PamError::Unsendable("message is too large"));
        }
        loop {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(_whole) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(failure(error)),
            }
        }
    }

    fn receive(&self) -> Result<Zeroizing<Vec<u8>>, PamError> {
        loop {
            match receive_once(&self.socket) {
                // Modules handle signals.
                Err(PamError::Io(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// One datagram. Descriptors that come along are closed by the kernel: there is no room for them.
pub(super) fn receive_once(socket: &OwnedFd) -> Result<Zeroizing<Vec<u8>>, PamError> {
    let mut bytes = Zeroizing::new(vec![0; DATAGRAM_LIMIT]);
    // With MSG_TRUNC the length is the datagram's own.
    let (_, length) = recv(socket, bytes.as_mut_slice(), RecvFlags::TRUNC).map_err(failure)?;
    match length {
        0 => Err(PamError::Gone),
        1..=DATAGRAM_LIMIT => {
            bytes.truncate(length);
            Ok(bytes)
        }
        _ => Err(PamError::Malformed("datagram is too large")),
    }
}

pub(super) fn failure(error: Errno) -> PamError {
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => PamError::Gone,
        error => PamError::Io(error.into()),
    }
}
