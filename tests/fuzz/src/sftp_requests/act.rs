//! What a client does, described: well-formed requests about files that are there, and everything else.

use arbitrary::Arbitrary;
use wire::codec::Write;

use crate::message::pick;

/// One thing that a client sends.
#[derive(Debug, Arbitrary)]
pub(super) enum Act {
    Open(Name, u8, Attributes),
    /// CLOSE, FSTAT, READDIR and extensions about a handle.
    Handle(u8, Handle),
    Read(Handle, Number, u32),
    Write(Handle, Number, Vec<u8>),
    /// LSTAT, OPENDIR, REMOVE, RMDIR, REALPATH, STAT, READLINK and extensions about a path.
    Path(u8, Name),
    /// SETSTAT, MKDIR, `lsetstat`
    Set(u8, Name, Attributes),
    Fsetstat(Handle, Attributes),
    /// RENAME, SYMLINK, `posix-rename`, `hardlink`
    Pair(u8, Name, Name),
    CopyData(Handle, Number, Number, Handle, Number),
    Limits,
    UsersGroups(Vec<u8>, Vec<u8>),
    Init(u8),
    /// A packet of any content.
    Packet(Vec<u8>),
    /// No packet.
    Bytes(Vec<u8>),
}

/// A path, or a user.
#[derive(Debug, Arbitrary)]
pub(super) enum Name {
    Known(u8),
    Below(u8, u8),
    Other(Vec<u8>),
    Long(u8, u16),
}

impl Name {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Known(index) => pick(NAMES, *index).into(),
            Self::Below(above, below) => [pick(NAMES, *above), "/", pick(NAMES, *below)]
                .concat()
                .into(),
            Self::Other(bytes) => bytes.clone(),
            Self::Long(index, length) => pick(NAMES, *index)
                .bytes()
                .chain(*b"/")
                .cycle()
                .take((*length).into())
                .collect(),
        }
    }
}

const NAMES: &[&str] = &[
    "a",
    "d",
    "d/e",
    "l",
    "loop",
    "n",
    "p",
    "new",
    "/",
    ".",
    "..",
    "",
    "~",
    "~bob",
    "alice",
    "/etc/passwd",
    "/home",
    "d/up",
];

/// A handle: mostly one of the first, which are given out from zero.
#[derive(Debug, Arbitrary)]
pub(super) enum Handle {
    Low(u8),
    Number(u32),
    Other(Vec<u8>),
}

impl Handle {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Low(number) => u32::from(*number % 4).to_be_bytes().into(),
            Self::Number(number) => number.to_be_bytes().into(),
            Self::Other(bytes) => bytes.clone(),
        }
    }
}

/// An offset or a length.
#[derive(Debug, Arbitrary)]
pub(super) enum Number {
    Small(u8),
    Large(u64),
}

impl Number {
    fn value(&self) -> u64 {
        match self {
            Self::Small(number) => u64::from(*number),
            Self::Large(number) => *number,
        }
    }
}

#[derive(Debug, Arbitrary)]
pub(super) struct Attributes {
    size: Option<Number>,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
    times: Option<(u32, u32)>,
    extended: Option<Extended>,
}

/// Pairs of a name and a value, and how their number is told wrongly.
#[derive(Debug, Arbitrary)]
struct Extended {
    lie: u8,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    fn encode(&self, out: &mut Vec<u8>) {
        let flag = |present, flag| if present { flag } else { 0 };
        out.put_uint32(
            flag(self.size.is_some(), 1)
                | flag(self.owner.is_some(), 2)
                | flag(self.mode.is_some(), 4)
                | flag(self.times.is_some(), 8)
                | flag(self.extended.is_some(), 0x8000_0000),
        );
        if let Some(size) = &self.size {
            out.put_uint64(size.value());
        }
        if let Some((one, other)) = self.owner {
            out.put_uint32(one);
            out.put_uint32(other);
        }
        if let Some(mode) = self.mode {
            out.put_uint32(mode);
        }
        if let Some((access, modification)) = self.times {
            out.put_uint32(access);
            out.put_uint32(modification);
        }
        if let Some(Extended { lie, pairs }) = &self.extended {
            out.put_uint32(u32::try_from(pairs.len()).unwrap() ^ u32::from(*lie >> 4));
            for (name, value) in pairs {
                out.put_string(name);
                out.put_string(value);
            }
        }
    }
}

/// What a client sends that does all this, after it has said that it speaks the protocol's version 3.
pub(super) fn stream(acts: Vec<Act>) -> Vec<u8> {
    let mut stream = Vec::new();
    stream.put_string(&[1, 0, 0, 0, 3]);
    for (id, act) in (0..).zip(acts) {
        match act {
            Act::Packet(packet) => stream.put_string(&packet),
            Act::Bytes(bytes) => stream.put_bytes(&bytes),
            act => stream.put_string(&act.packet(id)),
        }
    }
    stream
}

const EXTENDED: u8 = 200;

/// A type of packet, or the name of an extension.
type Kind = (u8, &'static str);

const OF_HANDLE: &[Kind] = &[
    (4, ""),
    (8, ""),
    (12, ""),
    (EXTENDED, "fstatvfs@openssh.com"),
    (EXTENDED, "fsync@openssh.com"),
];

const OF_PATH: &[Kind] = &[
    (7, ""),
    (11, ""),
    (13, ""),
    (15, ""),
    (16, ""),
    (17, ""),
    (19, ""),
    (EXTENDED, "statvfs@openssh.com"),
    (EXTENDED, "expand-path@openssh.com"),
    (EXTENDED, "home-directory"),
];

const OF_ATTRIBUTES: &[Kind] = &[(9, ""), (14, ""), (EXTENDED, "lsetstat@openssh.com")];

const OF_PAIR: &[Kind] = &[
    (18, ""),
    (20, ""),
    (EXTENDED, "posix-rename@openssh.com"),
    (EXTENDED, "hardlink@openssh.com"),
];

impl Act {
    fn packet(&self, id: u32) -> Vec<u8> {
        let begin = |(number, extension): Kind| {
            let mut out = vec![number];
            out.put_uint32(id);
            if number == EXTENDED {
                out.put_string(extension.as_bytes());
            }
            out
        };
        match self {
            Self::Open(name, flags, attributes) => {
                let mut out = begin((3, ""));
                out.put_string(&name.bytes());
                out.put_uint32((*flags).into());
                attributes.encode(&mut out);
                out
            }
            Self::Handle(kind, handle) => {
                let mut out = begin(pick(OF_HANDLE, *kind));
                out.put_string(&handle.bytes());
                out
            }
            Self::Read(handle, offset, length) => {
                let mut out = begin((5, ""));
                out.put_string(&handle.bytes());
                out.put_uint64(offset.value());
                out.put_uint32(*length);
                out
            }
            Self::Write(handle, offset, data) => {
                let mut out = begin((6, ""));
                out.put_string(&handle.bytes());
                out.put_uint64(offset.value());
                out.put_string(data);
                out
            }
            Self::Path(kind, name) => {
                let mut out = begin(pick(OF_PATH, *kind));
                out.put_string(&name.bytes());
                out
            }
            Self::Set(kind, name, attributes) => {
                let mut out = begin(pick(OF_ATTRIBUTES, *kind));
                out.put_string(&name.bytes());
                attributes.encode(&mut out);
                out
            }
            Self::Fsetstat(handle, attributes) => {
                let mut out = begin((10, ""));
                out.put_string(&handle.bytes());
                attributes.encode(&mut out);
                out
            }
            Self::Pair(kind, old, new) => {
                let mut out = begin(pick(OF_PAIR, *kind));
                out.put_string(&old.bytes());
                out.put_string(&new.bytes());
                out
            }
            Self::CopyData(from, from_offset, length, to, to_offset) => {
                let mut out = begin((EXTENDED, "copy-data"));
                out.put_string(&from.bytes());
                out.put_uint64(from_offset.value());
                out.put_uint64(length.value());
                out.put_string(&to.bytes());
                out.put_uint64(to_offset.value());
                out
            }
            Self::Limits => begin((EXTENDED, "limits@openssh.com")),
            Self::UsersGroups(users, groups) => {
                let mut out = begin((EXTENDED, "users-groups-by-id@openssh.com"));
                out.put_string(users);
                out.put_string(groups);
                out
            }
            Self::Init(version) => vec![1, 0, 0, 0, *version],
            Self::Packet(bytes) | Self::Bytes(bytes) => bytes.clone(),
        }
    }
}
