//! The "none" link: a connection protocol engine behind an authenticated transport.
//!
//! The engine (russh) expects a byte stream with a whole SSH client on it. This link plays that
//! client up to the login, with algorithms "none" and method "none", inside the process and never
//! on the network; from then on it turns the engine's stream into payloads and back.
//!
//! ```text
//!   network ══ sealed packets ══▶ Transport ── payloads ──▶ Link ── plain packets ──▶ engine
//! ```
//!
//! Plain packets have the form of RFC 4253 section 6 with a block size of 8 and no MAC.

use thiserror::Error;
use wire::codec::{Reader, Write};
use wire::message::number::{
    KEXINIT, NEWKEYS, SERVICE_ACCEPT, SERVICE_REQUEST, USERAUTH_REQUEST, USERAUTH_SUCCESS,
};

/// The engine did what it never does. Always our own fault: the peer cannot write on this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// A packet whose lengths contradict each other.
    #[error("engine sent a malformed packet")]
    Malformed,
    /// Another message than the login of the link has at this point, or a key exchange after it.
    #[error("engine sent message {0} out of order")]
    OutOfOrder(u8),
}

/// Both directions of the link.
///
/// `push` what the client sends, `read` it out for the engine; `write` what the engine sends,
/// `next_packet` to get the payloads. Memory is bounded by the caller, who looks at
/// [`Link::unread`] and stops pushing.
#[derive(Debug)]
pub struct Link {
    to_engine: Vec<u8>,
    read: usize,
    from_engine: Vec<u8>,
    taken: usize,
    phase: Phase,
}

/// What the engine says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Identification,
    KexInit,
    NewKeys,
    ServiceAccept,
    UserauthSuccess,
    Open,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// The algorithm name that the engine must offer for everything but the host key.
    pub const ALGORITHM: &str = "none";

    /// A link whose side of the login is queued.
    pub fn new() -> Self {
        let mut link = Self {
            to_engine: Vec::new(),
            read: 0,
            from_engine: Vec::new(),
            taken: 0,
            phase: Phase::Identification,
        };
        link.to_engine.put_bytes(b"SSH-2.0-link\r\n");
        link.push(&kex_init());
        let mut service = vec![SERVICE_REQUEST];
        service.put_string(b"ssh-userauth");
        link.push(&service);
        let mut login = vec![USERAUTH_REQUEST];
        for field in ["link", "ssh-connection", "none"] {
            login.put_string(field.as_bytes());
        }
        link.push(&login);
        link
    }

    /// Queues a payload of the client for the engine.
    pub fn push(&mut self, payload: &[u8]) {
        let unpadded = 5 + payload.len();
        let padding = 4 + (8 - (unpadded + 4) % 8) % 8;
        self.to_engine
            .put_uint32(u32::try_from(1 + payload.len() + padding).unwrap_or(u32::MAX));
        self.to_engine
            .put_byte(u8::try_from(padding).unwrap_or(u8::MAX));
        self.to_engine.put_bytes(payload);
        self.to_engine.resize(self.to_engine.len() + padding, 0);
    }

    /// Bytes that the engine has not read yet.
    pub fn unread(&self) -> usize {
        self.to_engine.len() - self.read
    }

    /// Moves bytes to the engine; returns how many.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let waiting = self.to_engine.get(self.read..).unwrap_or_default();
        let count = waiting.len().min(out.len());
        if let (Some(target), Some(source)) = (out.get_mut(..count), waiting.get(..count)) {
            target.copy_from_slice(source);
        }
        self.read += count;
        if self.read == self.to_engine.len() || self.read >= COMPACT_ABOVE {
            self.to_engine.drain(..self.read);
            self.read = 0;
        }
        count
    }

    /// Bytes of the engine that have not been taken as packets.
    pub fn untaken(&self) -> usize {
        self.from_engine.len() - self.taken
    }

    /// Takes bytes of the engine. Call [`Link::next_packet`] until it has nothing.
    pub fn write(&mut self, bytes: &[u8]) {
        // What is left is at most the start of one packet: cheap to move.
        self.from_engine.drain(..self.taken);
        self.taken = 0;
        self.from_engine.put_bytes(bytes);
    }

    /// The next payload of the connection protocol that the engine sent, if one is complete.
    ///
    /// # Errors
    /// The engine broke the link's login.
    pub fn next_packet(&mut self) -> Result<Option<&[u8]>, LinkError> {
        let range = loop {
            let Some((start, end)) = self.take_packet()? else {
                return Ok(None);
            };
            let number = self
                .from_engine
                .get(start)
                .copied()
                .ok_or(LinkError::Malformed)?;
            self.phase = match (self.phase, number) {
                (Phase::KexInit, KEXINIT) => Phase::NewKeys,
                (Phase::NewKeys, NEWKEYS) => Phase::ServiceAccept,
                (Phase::ServiceAccept, SERVICE_ACCEPT) => Phase::UserauthSuccess,
                (Phase::UserauthSuccess, USERAUTH_SUCCESS) => Phase::Open,
                // The engine's own key exchange has no meaning here; the transport does ours.
                (Phase::Open, KEXINIT | NEWKEYS) => return Err(LinkError::OutOfOrder(number)),
                (Phase::Open, _) => break start..end,
                (_, _) => return Err(LinkError::OutOfOrder(number)),
            };
        };
        Ok(self.from_engine.get(range))
    }

    /// Takes the identification line or one packet off the front; the range of the payload.
    fn take_packet(&mut self) -> Result<Option<(usize, usize)>, LinkError> {
        if self.phase == Phase::Identification {
            let waiting = self.from_engine.get(self.taken..).unwrap_or_default();
            let Some(line) = waiting.iter().position(|byte| *byte == b'\n') else {
                return Ok(None);
            };
            self.taken += line + 1;
            self.phase = Phase::KexInit;
        }
        let waiting = self.from_engine.get(self.taken..).unwrap_or_default();
        let mut reader = Reader::new(waiting);
        let Ok(length) = reader.uint32() else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| LinkError::Malformed)?;
        if reader.rest().len() < length {
            return Ok(None);
        }
        let padding = usize::from(reader.byte().map_err(|_| LinkError::Malformed)?);
        let payload = length
            .checked_sub(1 + padding)
            .ok_or(LinkError::Malformed)?;
        let start = self.taken + 5;
        self.taken += 4 + length;
        Ok(Some((start, start + payload)))
    }
}

/// The client's SSH_MSG_KEXINIT: "none" for everything. The host key algorithm must be one that
/// the engine has a key for; with key exchange "none" nothing is signed with it.
fn kex_init() -> Vec<u8> {
    let mut payload = vec![KEXINIT];
    payload.put_bytes(&[0; 16]);
    for names in [
        "none",
        "ssh-ed25519",
        "none",
        "none",
        "none",
        "none",
        "none",
        "none",
        "",
        "",
    ] {
        payload.put_string(names.as_bytes());
    }
    payload.put_boolean(false);
    payload.put_uint32(0);
    payload
}

/// Read bytes that are kept before the rest is moved to the front.
const COMPACT_ABOVE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(payload: &[u8]) -> Vec<u8> {
        let mut link = Link {
            phase: Phase::Open,
            ..Link::new()
        };
        link.to_engine.clear();
        link.push(payload);
        link.to_engine
    }

    fn logged_in() -> Link {
        let mut link = Link::new();
        link.write(b"SSH-2.0-engine\r\n");
        for number in [KEXINIT, NEWKEYS, SERVICE_ACCEPT, USERAUTH_SUCCESS] {
            link.write(&plain(&[number]));
        }
        assert_eq!(link.next_packet(), Ok(None));
        link
    }

    #[test]
    fn packets_are_padded_to_whole_blocks() {
        for length in 1..40 {
            let packet = plain(&vec![94; length]);
            assert_eq!(packet.len() % 8, 0, "{length}");
            assert!(packet[4] >= 4, "{length}");
        }
    }

    #[test]
    fn payloads_come_out_whole_however_the_bytes_arrive() {
        let mut bytes = plain(&[90, 1, 2, 3]);
        bytes.extend(plain(&[98]));
        for split in 0..bytes.len() {
            let mut link = logged_in();
            let mut payloads = Vec::new();
            for part in [&bytes[..split], &bytes[split..]] {
                link.write(part);
                while let Some(payload) = link.next_packet().unwrap() {
                    payloads.push(payload.to_vec());
                }
            }
            assert_eq!(payloads, [vec![90, 1, 2, 3], vec![98]], "split at {split}");
        }
    }

    #[test]
    fn an_engine_that_starts_a_key_exchange_is_stopped() {
        let mut link = logged_in();
        link.write(&plain(&[KEXINIT]));
        assert_eq!(link.next_packet(), Err(LinkError::OutOfOrder(KEXINIT)));
    }

    #[test]
    fn an_engine_that_refuses_the_login_is_stopped() {
        let mut link = Link::new();
        link.write(b"SSH-2.0-engine\r\n");
        link.write(&plain(&[KEXINIT]));
        link.write(&plain(&[51]));
        assert_eq!(link.next_packet(), Err(LinkError::OutOfOrder(51)));
    }

    #[test]
    fn what_is_pushed_is_read_in_any_portions() {
        let mut link = logged_in();
        let queued = link.unread();
        let mut first = vec![0; queued];
        assert_eq!(link.read(&mut first), queued);
        link.push(&[80, 5]);
        let mut out = Vec::new();
        let mut byte = [0];
        while link.read(&mut byte) == 1 {
            out.push(byte[0]);
        }
        assert_eq!(out, plain(&[80, 5]));
        assert_eq!(link.unread(), 0);
    }
}
