//! File attributes (draft-ietf-secsh-filexfer-02, section 5).

use rustix::fs::Stat;
use wire::codec::{DecodeError, Reader, Write};

const SIZE: u32 = 0x1;
const OWNER: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const TIMES: u32 = 0x8;
const EXTENDED: u32 = 0x8000_0000;

/// The bits of a mode that a client may set (chmod(2)).
const MODE_BITS: u32 = 0o7777;

/// What a client wants a file to be, or what a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) size: Option<u64>,
    pub(crate) owner: Option<Owner>,
    /// `st_mode`, with the type of the file where it describes one.
    pub(crate) permissions: Option<u32>,
    pub(crate) times: Option<Times>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) access: u32,
    pub(crate) modification: u32,
}

impl Attributes {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.uint32()?;
        let mut attributes = Self::default();
        if flags & SIZE != 0 {
            attributes.size = Some(reader.uint64()?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some(Owner {
                user: reader.uint32()?,
                group: reader.uint32()?,
            });
        }
        if flags & PERMISSIONS != 0 {
            attributes.permissions = Some(reader.uint32()?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some(Times {
                access: reader.uint32()?,
                modification: reader.uint32()?,
            });
        }
        if flags & EXTENDED != 0 {
            // None is known. Each pair takes eight bytes at least, so a count that lies ends with the packet.
            for _ in 0..reader.uint32()? {
                reader.string(usize::MAX)?;
                reader.string(usize::MAX)?;
            }
        }
        Ok(attributes)
    }

    pub(crate) fn encode(&self, out: &mut impl Write) {
        let flag = |present, flag| if present { flag } else { 0 };
        out.put_uint32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.permissions.is_some(), PERMISSIONS)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            out.put_uint64(size);
        }
        if let Some(Owner { user, group }) = self.owner {
            out.put_uint32(user);
            out.put_uint32(group);
        }
        if let Some(permissions) = self.permissions {
            out.put_uint32(permissions);
        }
        if let Some(times) = self.times {
            out.put_uint32(times.access);
            out.put_uint32(times.modification);
        }
    }

    /// The permissions as they can be set.
    pub(crate) fn mode(&self) -> Option<u32> {
        self.permissions.map(|permissions| permissions & MODE_BITS)
    }
}

impl From<&Stat> for Attributes {
    fn from(stat: &Stat) -> Self {
        Self {
            size: Some(u64::try_from(stat.st_size).unwrap_or(0)),
            owner: Some(Owner {
                user: stat.st_uid,
                group: stat.st_gid,
            }),
            permissions: Some(stat.st_mode),
            times: Some(Times {
                access: seconds(stat.st_atime),
                modification: seconds(stat.st_mtime),
            }),
        }
    }
}

/// The low 32 bits, as sftp-server sends them: what is before 1970 or after 2106 cannot be said in this version.
fn seconds(time: i64) -> u32 {
    u32::try_from(time.cast_unsigned() & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attributes() -> impl Strategy<Value = Attributes> {
        let owner = (any::<u32>(), any::<u32>()).prop_map(|(user, group)| Owner { user, group });
        let times = (any::<u32>(), any::<u32>()).prop_map(|(access, modification)| Times {
            access,
            modification,
        });
        let option = proptest::option::of::<BoxedStrategy<u32>>;
        (
            proptest::option::of(any::<u64>()),
            proptest::option::of(owner),
            option(any::<u32>().boxed()),
            proptest::option::of(times),
        )
            .prop_map(|(size, owner, permissions, times)| Attributes {
                size,
                owner,
                permissions,
                times,
            })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(attributes in attributes()) {
            let mut bytes = Vec::new();
            attributes.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Attributes::decode(&mut reader), Ok(attributes));
            prop_assert!(reader.finish().is_ok());
            for cut in 0..bytes.len() {
                prop_assert!(Attributes::decode(&mut Reader::new(&bytes[..cut])).is_err());
            }
        }
    }

    #[test]
    fn extended_attributes_are_passed_over_and_cannot_lie_about_their_number() {
        let mut bytes = Vec::new();
        bytes.put_uint32(EXTENDED | PERMISSIONS);
        bytes.put_uint32(0o644);
        bytes.put_uint32(1);
        bytes.put_string(b"type@example.com");
        bytes.put_string(b"data");
        let mut reader = Reader::new(&bytes);
        let decoded = Attributes::decode(&mut reader).unwrap();
        assert_eq!((decoded.permissions, reader.rest().len()), (Some(0o644), 0));

        let mut lie = Vec::new();
        lie.put_uint32(EXTENDED);
        lie.put_uint32(u32::MAX);
        let mut reader = Reader::new(&lie);
        assert_eq!(Attributes::decode(&mut reader), Err(DecodeError::Truncated));
    }

    #[test]
    fn times_wrap_as_sftp_servers_do() {
        assert_eq!(seconds(1 << 32), 0);
        assert_eq!(seconds(-1), u32::MAX);
    }
}
