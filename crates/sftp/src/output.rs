//! Answers, encoded one after the other into one buffer, which the driver writes at once
//! (draft-ietf-secsh-filexfer-02, sections 4 and 7).

use rustix::io::Errno;
use wire::codec::Write;

use crate::attributes::Attributes;
use crate::operation::Operation;
use crate::request::{PACKET_LIMIT, RequestId};
use crate::status::Status;

const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

/// The version of the protocol that this server speaks.
const PROTOCOL_VERSION: u32 = 3;

/// What stands before the data of SSH_FXP_DATA: length, type, identifier, length of the data.
const DATA_HEAD: usize = 4 + 1 + 4 + 4;

/// Answers that wait to be written.
///
/// The buffer is kept and never shrinks, and is zeroed once: files are read right into it.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    end: usize,
    statuses: Statuses,
}

/// Whether the client's version of the protocol has messages in a status (section 7: since version 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Statuses {
    #[default]
    WithMessage,
    Bare,
}

/// A packet that is being encoded: where it began.
#[derive(Debug)]
#[must_use]
struct Begun(usize);

impl Write for Output {
    fn put_bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.reserve(bytes.len()) {
            room.copy_from_slice(bytes);
            self.end = self.end.saturating_add(bytes.len());
        }
    }
}

impl Output {
    /// What is to be written.
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    /// Forgets what was written.
    pub(crate) fn clear(&mut self) {
        self.end = 0;
    }

    /// The next `count` bytes of the buffer; always there.
    fn reserve(&mut self, count: usize) -> Option<&mut [u8]> {
        let end = self.end.saturating_add(count);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.end..end)
    }

    fn begin(&mut self, kind: u8) -> Begun {
        let begun = Begun(self.end);
        self.put_uint32(0);
        self.put_byte(kind);
        begun
    }

    fn begin_reply(&mut self, kind: u8, id: RequestId) -> Begun {
        let begun = self.begin(kind);
        self.put_uint32(id.0);
        begun
    }

    /// Puts the length where it belongs.
    fn finish(&mut self, Begun(start): Begun) {
        let length = self.end.saturating_sub(start).saturating_sub(4);
        self.put_at(start, length);
    }

    fn put_at(&mut self, at: usize, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = number.to_be_bytes();
        }
    }

    /// The answer to SSH_FXP_INIT. `announced` are the extensions that the client may use.
    pub(crate) fn version(&mut self, clients: u32, announced: impl Iterator<Item = Operation>) {
        self.statuses = match clients {
            0..PROTOCOL_VERSION => Statuses::Bare,
            PROTOCOL_VERSION.. => Statuses::WithMessage,
        };
        let begun = self.begin(VERSION);
        self.put_uint32(PROTOCOL_VERSION);
        for (name, version) in announced.filter_map(Operation::announcement) {
            self.put_string(name.as_bytes());
            self.put_string(version.as_bytes());
        }
        self.finish(begun);
    }

    pub(crate) fn status(&mut self, id: RequestId, status: Status) {
        self.status_saying(id, status, status.message());
    }

    /// A status with a message of its own.
    pub(crate) fn status_saying(&mut self, id: RequestId, status: Status, message: &str) {
        let begun = self.begin_reply(STATUS, id);
        self.put_uint32(status.code());
        if self.statuses == Statuses::WithMessage {
            self.put_string(message.as_bytes());
            self.put_string(b"");
        }
        self.finish(begun);
    }

    pub(crate) fn handle(&mut self, id: RequestId, name: [u8; 4]) {
        let begun = self.begin_reply(HANDLE, id);
        self.put_string(&name);
        self.finish(begun);
    }

    pub(crate) fn attributes(&mut self, id: RequestId, attributes: &Attributes) {
        let begun = self.begin_reply(ATTRS, id);
        attributes.encode(self);
        self.finish(begun);
    }

    /// One name, for itself.
    pub(crate) fn name(&mut self, id: RequestId, name: &[u8]) {
        let mut names = self.names(id);
        names.add(name, name, &Attributes::default());
        names.finish();
    }

    /// Begins a list of names.
    pub(crate) fn names(&mut self, id: RequestId) -> Names<'_> {
        let begun = self.begin_reply(NAME, id);
        let count_at = self.end;
        self.put_uint32(0);
        Names {
            output: self,
            begun,
            count_at,
            count: 0,
        }
    }

    /// Data that `read` puts into a place of `length` bytes, and says how much it was. An end of the file is no answer yet.
    pub(crate) fn data(
        &mut self,
        id: RequestId,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let Some(place) = self
            .reserve(DATA_HEAD.saturating_add(length))
            .and_then(|place| place.get_mut(DATA_HEAD..))
        else {
            return Err(Errno::NOMEM);
        };
        let count = match length {
            // Strange, and not forbidden.
            0 => 0,
            _ => match read(place)? {
                0 => return Ok(0),
                count => count.min(length),
            },
        };
        let begun = self.begin_reply(DATA, id);
        self.put_uint32(u32::try_from(count).unwrap_or(u32::MAX));
        self.end = self.end.saturating_add(count);
        self.finish(begun);
        Ok(count)
    }

    /// An answer to an extended request, of whatever `content` puts there; none if that is longer than a packet may be.
    pub(crate) fn extended(
        &mut self,
        id: RequestId,
        content: impl FnOnce(&mut Self),
    ) -> Result<(), Errno> {
        let begun = self.begin_reply(EXTENDED_REPLY, id);
        content(self);
        if self.end.saturating_sub(begun.0) > PACKET_LIMIT {
            self.end = begun.0;
            return Err(Errno::MSGSIZE);
        }
        self.finish(begun);
        Ok(())
    }
}

/// A list of names that is being encoded.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    output: &'a mut Output,
    begun: Begun,
    count_at: usize,
    count: usize,
}

/// How a list of names came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Some,
    /// There was no name. Nothing was encoded.
    None,
}

impl Names<'_> {
    /// `long` is for people: a line of `ls -l`.
    pub(crate) fn add(&mut self, name: &[u8], long: &[u8], attributes: &Attributes) {
        self.output.put_string(name);
        self.output.put_string(long);
        attributes.encode(self.output);
        self.count = self.count.saturating_add(1);
    }

    /// How long the packet is so far.
    pub(crate) fn length(&self) -> usize {
        self.output.end.saturating_sub(self.begun.0)
    }

    pub(crate) fn finish(self) -> Listed {
        if self.count == 0 {
            self.output.end = self.begun.0;
            return Listed::None;
        }
        self.output.put_at(self.count_at, self.count);
        self.output.finish(self.begun);
        Listed::Some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId(7);

    #[test]
    fn a_client_of_version_two_gets_no_messages() {
        let mut output = Output::default();
        output.version(2, std::iter::empty());
        output.clear();
        output.status(ID, Status::Ok);
        assert_eq!(output.pending(), [0, 0, 0, 9, 101, 0, 0, 0, 7, 0, 0, 0, 0]);
        output.clear();
        output.version(6, std::iter::once(Operation::Limits));
        let version = b"\0\0\0\x20\x02\0\0\0\x03\0\0\0\x12limits@openssh.com\0\0\0\x011";
        assert_eq!(output.pending(), version.as_slice());
        output.clear();
        output.status(ID, Status::Eof);
        assert!(output.pending().ends_with(b"\0\0\0\x0bEnd of file\0\0\0\0"));
    }

    #[test]
    fn data_has_the_length_that_was_read_and_none_at_the_end() {
        let mut output = Output::default();
        let read = output.data(ID, 10, |place| {
            place[..3].copy_from_slice(b"abc");
            Ok(3)
        });
        assert_eq!(read, Ok(3));
        assert_eq!(output.pending(), b"\0\0\0\x0c\x67\0\0\0\x07\0\0\0\x03abc");
        output.clear();
        assert_eq!(output.data(ID, 10, |_| Ok(0)), Ok(0));
        assert_eq!(output.data(ID, 10, |_| Err(Errno::IO)), Err(Errno::IO));
        assert_eq!(output.pending(), []);
        assert_eq!(output.data(ID, 0, |_| Err(Errno::IO)), Ok(0));
        assert_eq!(output.pending(), b"\0\0\0\x09\x67\0\0\0\x07\0\0\0\0");
    }

    #[test]
    fn names_are_counted_and_no_names_are_nothing() {
        let mut output = Output::default();
        assert_eq!(output.names(ID).finish(), Listed::None);
        assert_eq!(output.pending(), []);
        let mut names = output.names(ID);
        names.add(b"a", b"long a", &Attributes::default());
        names.add(b"b", b"long b", &Attributes::default());
        assert_eq!(names.finish(), Listed::Some);
        let expected = b"\0\0\0\x2f\x68\0\0\0\x07\0\0\0\x02\
            \0\0\0\x01a\0\0\0\x06long a\0\0\0\0\
            \0\0\0\x01b\0\0\0\x06long b\0\0\0\0";
        assert_eq!(output.pending(), expected.as_slice());
    }

    #[test]
    fn an_answer_longer_than_a_packet_is_none() {
        let mut output = Output::default();
        let sent = output.extended(ID, |output| output.put_bytes(&[0; PACKET_LIMIT]));
        assert_eq!((sent, output.pending().len()), (Err(Errno::MSGSIZE), 0));
    }
}
