//! Packets of the client, decoded (draft-ietf-secsh-filexfer-02, sections 3, 4 and 6).
//!
//! Paths and data stay where the driver read them: a request borrows from its packet.

use thiserror::Error;
use wire::codec::{DecodeError, Reader};

use crate::attributes::Attributes;
use crate::operation::Operation;

/// Longest packet of either side, its length field not counted; the same as OpenSSH's.
pub(crate) const PACKET_LIMIT: usize = 256 * 1024;

/// Longest read or write: a packet less room for everything around the data.
pub(crate) const DATA_LIMIT: usize = PACKET_LIMIT - 1024;

const INIT: u8 = 1;
const EXTENDED: u8 = 200;

/// The client broke the protocol in a way that leaves nothing to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// A packet is longer than 256 KiB.
    #[error("packet of {0} bytes exceeds the limit of {PACKET_LIMIT}")]
    TooLong(u32),
    /// A packet ends inside a field, or a field has an impossible value.
    #[error("malformed packet: {0}")]
    Malformed(#[from] DecodeError),
    /// A path has a byte that no path can have.
    #[error("malformed packet: path contains NUL")]
    Nul,
    /// The first packet was not SSH_FXP_INIT.
    #[error("request before init")]
    NotInitialised,
}

/// The client's name for a request; it is in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId(pub(crate) u32);

/// A path as the client sent it: without NUL, not resolved in any way, of any length up to a packet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path<'a>(pub(crate) &'a [u8]);

/// What names a handle on the wire. Whether it is one is known to the table of handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandleName<'a>(pub(crate) &'a [u8]);

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// SSH_FXP_INIT: the protocol's version that the client wants.
    Init(u32),
    Request(RequestId, Request<'a>),
    /// Something that this server does not know.
    Unknown(RequestId),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    Open(Path<'a>, OpenFlags, Attributes),
    Close(HandleName<'a>),
    Read(HandleName<'a>, u64, u32),
    Write(HandleName<'a>, u64, &'a [u8]),
    Lstat(Path<'a>),
    Fstat(HandleName<'a>),
    Setstat(Path<'a>, Attributes),
    Fsetstat(HandleName<'a>, Attributes),
    Opendir(Path<'a>),
    Readdir(HandleName<'a>),
    Remove(Path<'a>),
    Mkdir(Path<'a>, Attributes),
    Rmdir(Path<'a>),
    Realpath(Path<'a>),
    Stat(Path<'a>),
    Rename(Pair<'a>),
    Readlink(Path<'a>),
    /// The target comes first, or so it does with OpenSSH: see [`Symlinks`](crate::Symlinks).
    Symlink(Pair<'a>),
    PosixRename(Pair<'a>),
    Statvfs(Path<'a>),
    Fstatvfs(HandleName<'a>),
    Hardlink(Pair<'a>),
    Fsync(HandleName<'a>),
    Lsetstat(Path<'a>, Attributes),
    Limits,
    ExpandPath(Path<'a>),
    CopyData(CopyData<'a>),
    /// A user's name.
    HomeDirectory(&'a [u8]),
    UsersGroupsById {
        users: Ids<'a>,
        groups: Ids<'a>,
    },
}

/// Two paths, in the order of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair<'a> {
    pub(crate) old: Path<'a>,
    pub(crate) new: Path<'a>,
}

/// `copy-data` (draft-ietf-secsh-filexfer-extensions-00, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopyData<'a> {
    pub(crate) from: HandleName<'a>,
    pub(crate) from_offset: u64,
    /// How many bytes; until the end of the file if it is absent.
    pub(crate) length: Option<u64>,
    pub(crate) to: HandleName<'a>,
    pub(crate) to_offset: u64,
}

/// Numbers of users or groups, packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids<'a>(&'a [u8]);

impl<'a> Ids<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = u32> + 'a {
        let (ids, _) = self.0.as_chunks::<4>();
        ids.iter().map(|id| u32::from_be_bytes(*id))
    }
}

/// The `pflags` of SSH_FXP_OPEN, as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenFlags(pub(crate) u32);

impl OpenFlags {
    pub(crate) const READ: Self = Self(0x1);
    pub(crate) const WRITE: Self = Self(0x2);
    pub(crate) const APPEND: Self = Self(0x4);
    pub(crate) const CREATE: Self = Self(0x8);
    pub(crate) const TRUNCATE: Self = Self(0x10);
    pub(crate) const EXCLUSIVE: Self = Self(0x20);

    pub(crate) fn contains(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }
}

impl<'a> Packet<'a> {
    /// Decodes the inside of a packet: what follows the length. What follows the last field is ignored, as the draft's
    /// section 3 wants it for INIT and OpenSSH does for everything.
    pub(crate) fn decode(packet: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(packet);
        let number = reader.byte()?;
        if number == INIT {
            return Ok(Self::Init(reader.uint32()?));
        }
        let id = RequestId(reader.uint32()?);
        let operation = match number {
            EXTENDED => Operation::of_extension(reader.string(usize::MAX)?),
            _ => Operation::of_type(number),
        };
        match operation {
            Some(operation) => Ok(Self::Request(id, Request::decode(operation, &mut reader)?)),
            None => Ok(Self::Unknown(id)),
        }
    }
}

impl<'a> Request<'a> {
    fn decode(operation: Operation, reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        use Operation as O;
        Ok(match operation {
            O::Open => Self::Open(
                path(reader)?,
                OpenFlags(reader.uint32()?),
                Attributes::decode(reader)?,
            ),
            O::Close => Self::Close(handle(reader)?),
            O::Read => Self::Read(handle(reader)?, reader.uint64()?, reader.uint32()?),
            O::Write => Self::Write(
                handle(reader)?,
                reader.uint64()?,
                reader.string(PACKET_LIMIT)?,
            ),
            O::Lstat => Self::Lstat(path(reader)?),
            O::Fstat => Self::Fstat(handle(reader)?),
            O::Setstat => Self::Setstat(path(reader)?, Attributes::decode(reader)?),
            O::Fsetstat => Self::Fsetstat(handle(reader)?, Attributes::decode(reader)?),
            O::Opendir => Self::Opendir(path(reader)?),
            O::Readdir => Self::Readdir(handle(reader)?),
            O::Remove => Self::Remove(path(reader)?),
            O::Mkdir => Self::Mkdir(path(reader)?, Attributes::decode(reader)?),
            O::Rmdir => Self::Rmdir(path(reader)?),
            O::Realpath => Self::Realpath(path(reader)?),
            O::Stat => Self::Stat(path(reader)?),
            O::Rename => Self::Rename(pair(reader)?),
            O::Readlink => Self::Readlink(path(reader)?),
            O::Symlink => Self::Symlink(pair(reader)?),
            O::PosixRename => Self::PosixRename(pair(reader)?),
            O::Statvfs => Self::Statvfs(path(reader)?),
            O::Fstatvfs => Self::Fstatvfs(handle(reader)?),
            O::Hardlink => Self::Hardlink(pair(reader)?),
            O::Fsync => Self::Fsync(handle(reader)?),
            O::Lsetstat => Self::Lsetstat(path(reader)?, Attributes::decode(reader)?),
            O::Limits => Self::Limits,
            O::ExpandPath => Self::ExpandPath(path(reader)?),
            O::CopyData => Self::CopyData(CopyData {
                from: handle(reader)?,
                from_offset: reader.uint64()?,
                length: Some(reader.uint64()?).filter(|length| *length != 0),
                to: handle(reader)?,
                to_offset: reader.uint64()?,
            }),
            O::HomeDirectory => Self::HomeDirectory(path(reader)?.0),
            O::UsersGroupsById => Self::UsersGroupsById {
                users: ids(reader)?,
                groups: ids(reader)?,
            },
        })
    }

    /// What it is in the table.
    pub(crate) fn operation(&self) -> Operation {
        use Operation as O;
        match self {
            Self::Open(..) => O::Open,
            Self::Close(..) => O::Close,
            Self::Read(..) => O::Read,
            Self::Write(..) => O::Write,
            Self::Lstat(..) => O::Lstat,
            Self::Fstat(..) => O::Fstat,
            Self::Setstat(..) => O::Setstat,
            Self::Fsetstat(..) => O::Fsetstat,
            Self::Opendir(..) => O::Opendir,
            Self::Readdir(..) => O::Readdir,
            Self::Remove(..) => O::Remove,
            Self::Mkdir(..) => O::Mkdir,
            Self::Rmdir(..) => O::Rmdir,
            Self::Realpath(..) => O::Realpath,
            Self::Stat(..) => O::Stat,
            Self::Rename(..) => O::Rename,
            Self::Readlink(..) => O::Readlink,
            Self::Symlink(..) => O::Symlink,
            Self::PosixRename(..) => O::PosixRename,
            Self::Statvfs(..) => O::Statvfs,
            Self::Fstatvfs(..) => O::Fstatvfs,
            Self::Hardlink(..) => O::Hardlink,
            Self::Fsync(..) => O::Fsync,
            Self::Lsetstat(..) => O::Lsetstat,
            Self::Limits => O::Limits,
            Self::ExpandPath(..) => O::ExpandPath,
            Self::CopyData(..) => O::CopyData,
            Self::HomeDirectory(..) => O::HomeDirectory,
            Self::UsersGroupsById { .. } => O::UsersGroupsById,
        }
    }
}

fn path<'a>(reader: &mut Reader<'a>) -> Result<Path<'a>, ProtocolError> {
    let bytes = reader.string(PACKET_LIMIT)?;
    match bytes.contains(&0) {
        true => Err(ProtocolError::Nul),
        false => Ok(Path(bytes)),
    }
}

fn pair<'a>(reader: &mut Reader<'a>) -> Result<Pair<'a>, ProtocolError> {
    Ok(Pair {
        old: path(reader)?,
        new: path(reader)?,
    })
}

fn handle<'a>(reader: &mut Reader<'a>) -> Result<HandleName<'a>, ProtocolError> {
    Ok(HandleName(reader.string(PACKET_LIMIT)?))
}

fn ids<'a>(reader: &mut Reader<'a>) -> Result<Ids<'a>, ProtocolError> {
    let bytes = reader.string(PACKET_LIMIT)?;
    match bytes.len() % 4 {
        0 => Ok(Ids(bytes)),
        _ => Err(DecodeError::Truncated.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::codec::Write as _;

    fn symlink() -> Vec<u8> {
        let mut packet = vec![20];
        packet.put_uint32(7);
        packet.put_string(b"target");
        packet.put_string(b"link");
        packet
    }

    #[test]
    fn the_target_of_a_link_comes_first_as_in_openssh() {
        let pair = Pair {
            old: Path(b"target"),
            new: Path(b"link"),
        };
        assert_eq!(
            Packet::decode(&symlink()),
            Ok(Packet::Request(RequestId(7), Request::Symlink(pair)))
        );
    }

    #[test]
    fn a_packet_that_ends_inside_a_field_is_malformed_wherever_it_is_cut() {
        let packet = symlink();
        for cut in 0..packet.len() {
            assert_eq!(
                Packet::decode(&packet[..cut]),
                Err(DecodeError::Truncated.into())
            );
        }
    }

    #[test]
    fn bytes_after_the_last_field_are_passed_over() {
        let mut packet = symlink();
        packet.extend([1, 2, 3]);
        assert!(matches!(
            Packet::decode(&packet),
            Ok(Packet::Request(RequestId(7), Request::Symlink(_)))
        ));
    }

    #[test]
    fn a_path_with_nul_is_malformed() {
        let mut packet = vec![17];
        packet.put_uint32(1);
        packet.put_string(b"/etc/passwd\0.txt");
        assert_eq!(Packet::decode(&packet), Err(ProtocolError::Nul));
    }

    #[test]
    fn what_is_not_known_has_an_identifier_to_answer_to() {
        let mut packet = vec![200];
        packet.put_uint32(9);
        packet.put_string(b"check-file");
        packet.put_string(b"whatever");
        let unknown = Ok(Packet::Unknown(RequestId(9)));
        assert_eq!(Packet::decode(&packet), unknown);
        assert_eq!(Packet::decode(&[77, 0, 0, 0, 9]), unknown);
    }

    #[test]
    fn ids_come_in_whole_numbers() {
        let mut packet = vec![200];
        packet.put_uint32(9);
        packet.put_string(b"users-groups-by-id@openssh.com");
        packet.put_string(&[0, 0, 0, 1, 0, 0, 0, 2]);
        let complete = [packet.clone(), vec![0, 0, 0, 0]].concat();
        let Ok(Packet::Request(_, Request::UsersGroupsById { users, groups })) =
            Packet::decode(&complete)
        else {
            panic!("not decoded");
        };
        assert_eq!(users.iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(groups.iter().count(), 0);
        let odd = [packet, vec![0, 0, 0, 3, 1, 2, 3]].concat();
        assert!(Packet::decode(&odd).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(packet in proptest::collection::vec(any::<u8>(), 0..200), number in 0_u8..=21) {
            Packet::decode(&packet).ok();
            Packet::decode(&[&[number], packet.as_slice()].concat()).ok();
        }
    }
}
