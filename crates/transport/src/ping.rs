//! ping@openssh.com (OpenSSH PROTOCOL section 1.9): a client that asks for an answer, to measure or
//! to hide when somebody types.

use std::collections::VecDeque;
use std::mem;

use wire::message::{Ping, Pong};

use crate::error::Error;

/// Answers that wait for the end of a key exchange.
///
/// A client that has not seen our SSH_MSG_KEXINIT may still ask, and between that and our
/// SSH_MSG_NEWKEYS nothing may be answered (RFC 4253 section 7.1). What is kept for then has a
/// limit (CVE-2025-26466 had none): pings beyond it get no answer, which a ping may do.
#[derive(Default)]
pub(crate) struct Pongs {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// Bytes that may wait, with what each answer costs beside its payload.
const WAITING_LIMIT: usize = 64 * 1024;

/// What an answer in the queue costs beside its payload, about.
const OVERHEAD: usize = 64;

/// Payload of the answer to an SSH2_MSG_PING.
pub(crate) fn answer(payload: &[u8]) -> Result<Vec<u8>, Error> {
    let ping = Ping::decode(payload).map_err(Error::malformed(Ping::NUMBER))?;
    let mut out = Vec::with_capacity(payload.len());
    Pong { data: ping.data }.encode(&mut out);
    Ok(out)
}

impl Pongs {
    /// Keeps an answer for later, if there is room.
    pub(crate) fn hold(&mut self, answer: Vec<u8>) {
        let bytes = self.bytes + answer.len() + OVERHEAD;
        if bytes <= WAITING_LIMIT {
            self.bytes = bytes;
            self.waiting.push_back(answer);
        }
    }

    /// What was kept, in order; nothing is kept after that.
    pub(crate) fn release(&mut self) -> VecDeque<Vec<u8>> {
        self.bytes = 0;
        mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_what_is_released_makes_room() {
        let mut pongs = Pongs::default();
        for _ in 0..100_000 {
            pongs.hold(vec![0; 5]);
        }
        assert_eq!(pongs.release().len(), WAITING_LIMIT / (OVERHEAD + 5));
        pongs.hold(vec![0; WAITING_LIMIT]);
        pongs.hold(vec![1; 10]);
        assert_eq!(pongs.release(), [vec![1; 10]]);
        assert!(pongs.release().is_empty());
    }
}
