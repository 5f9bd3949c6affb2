//! What a client can ask for: the one table of names, numbers and effects.

/// Whether an operation can change anything. `sftp-server -R` refuses those that can; opening a file is judged by its
/// flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Writes,
}

/// How an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// A packet type of draft-ietf-secsh-filexfer-02, section 3.
    Type(u8),
    /// SSH_FXP_EXTENDED with this name; announced with this version.
    Extension(&'static str, &'static str),
}

/// An operation of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Open,
    Close,
    Read,
    Write,
    Lstat,
    Fstat,
    Setstat,
    Fsetstat,
    Opendir,
    Readdir,
    Remove,
    Mkdir,
    Rmdir,
    Realpath,
    Stat,
    Rename,
    Readlink,
    Symlink,
    PosixRename,
    Statvfs,
    Fstatvfs,
    Hardlink,
    Fsync,
    Lsetstat,
    Limits,
    ExpandPath,
    CopyData,
    HomeDirectory,
    UsersGroupsById,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    operation: Operation,
    /// What `-p`, `-P` and `-Q requests` of sftp-server(8) call it.
    name: &'static str,
    wire: Wire,
    effect: Effect,
}

const fn row(operation: Operation, name: &'static str, wire: Wire, effect: Effect) -> Row {
    Row {
        operation,
        name,
        wire,
        effect,
    }
}

/// Everything there is, in the order in which sftp-server(8) lists it. The extensions are described in OpenSSH's PROTOCOL,
/// section 4, and draft-ietf-secsh-filexfer-extensions-00 (`copy-data`, `home-directory`).
#[rustfmt::skip] // A table.
const TABLE: &[Row] = {
    use Effect::{Reads, Writes};
    use Operation as O;
    use Wire::{Extension, Type};
    &[
        row(O::Open, "open", Type(3), Reads),
        row(O::Close, "close", Type(4), Reads),
        row(O::Read, "read", Type(5), Reads),
        row(O::Write, "write", Type(6), Writes),
        row(O::Lstat, "lstat", Type(7), Reads),
        row(O::Fstat, "fstat", Type(8), Reads),
        row(O::Setstat, "setstat", Type(9), Writes),
        row(O::Fsetstat, "fsetstat", Type(10), Writes),
        row(O::Opendir, "opendir", Type(11), Reads),
        row(O::Readdir, "readdir", Type(12), Reads),
        row(O::Remove, "remove", Type(13), Writes),
        row(O::Mkdir, "mkdir", Type(14), Writes),
        row(O::Rmdir, "rmdir", Type(15), Writes),
        row(O::Realpath, "realpath", Type(16), Reads),
        row(O::Stat, "stat", Type(17), Reads),
        row(O::Rename, "rename", Type(18), Writes),
        row(O::Readlink, "readlink", Type(19), Reads),
        row(O::Symlink, "symlink", Type(20), Writes),
        row(O::PosixRename, "posix-rename", Extension("posix-rename@openssh.com", "1"), Writes),
        row(O::Statvfs, "statvfs", Extension("statvfs@openssh.com", "2"), Reads),
        row(O::Fstatvfs, "fstatvfs", Extension("fstatvfs@openssh.com", "2"), Reads),
        row(O::Hardlink, "hardlink", Extension("hardlink@openssh.com", "1"), Writes),
        row(O::Fsync, "fsync", Extension("fsync@openssh.com", "1"), Writes),
        row(O::Lsetstat, "lsetstat", Extension("lsetstat@openssh.com", "1"), Writes),
        row(O::Limits, "limits", Extension("limits@openssh.com", "1"), Reads),
        row(O::ExpandPath, "expand-path", Extension("expand-path@openssh.com", "1"), Reads),
        row(O::CopyData, "copy-data", Extension("copy-data", "1"), Writes),
        row(O::HomeDirectory, "home-directory", Extension("home-directory", "1"), Reads),
        row(O::UsersGroupsById, "users-groups-by-id", Extension("users-groups-by-id@openssh.com", "1"), Reads),
    ]
};

impl Operation {
    /// All of them, in the order of sftp-server(8).
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.operation)
    }

    /// The operation of a packet type.
    pub(crate) fn of_type(number: u8) -> Option<Self> {
        Self::asked_by(|wire| wire == Wire::Type(number))
    }

    /// The operation of an extended request.
    pub(crate) fn of_extension(name: &[u8]) -> Option<Self> {
        Self::asked_by(|wire| matches!(wire, Wire::Extension(known, _) if known.as_bytes() == name))
    }

    fn asked_by(asked: impl Fn(Wire) -> bool) -> Option<Self> {
        let row = TABLE.iter().find(|row| asked(row.wire))?;
        Some(row.operation)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.operation == self)
    }

    /// Its name for administrators.
    pub(crate) fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// Name and version by which it is announced, if it is an extension.
    pub(crate) fn announcement(self) -> Option<(&'static str, &'static str)> {
        match self.row()?.wire {
            Wire::Extension(name, version) => Some((name, version)),
            Wire::Type(_) => None,
        }
    }

    /// Whether it can change anything. What is not in the table could.
    pub(crate) fn effect(self) -> Effect {
        self.row().map_or(Effect::Writes, |row| row.effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_operation_is_asked_for_in_one_way() {
        let names: BTreeSet<_> = Operation::all().map(Operation::name).collect();
        assert_eq!(names.len(), TABLE.len());
        for row in TABLE {
            let found = match row.wire {
                Wire::Type(number) => Operation::of_type(number),
                Wire::Extension(name, _) => Operation::of_extension(name.as_bytes()),
            };
            assert_eq!(found, Some(row.operation));
        }
        for number in (0..3).chain(21..=u8::MAX) {
            assert_eq!(Operation::of_type(number), None);
        }
        assert_eq!(Operation::of_extension(b"statvfs"), None);
    }
}
