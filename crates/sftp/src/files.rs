//! What the requests do to files: system calls, and nothing of the protocol.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    self, AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps,
    Uid,
};
use rustix::io::{Errno, retry_on_intr};

use crate::attributes::{Owner, Times};
use crate::handles::{OpenFile, Position};
use crate::permitted::Access;
use crate::request::{OpenFlags, Pair, Path};

/// How much is copied at once, between looks at whether the client is still there.
const COPY_CHUNK: usize = 1 << 20;
const COPY_BUFFER: usize = 1 << 16;

/// Mode of a new file or directory for which the client names none; the umask has its say.
pub(crate) const FILE_MODE: u32 = 0o666;
pub(crate) const DIRECTORY_MODE: u32 = 0o777;

/// Opens a file.
pub(crate) fn open(
    path: Path<'_>,
    flags: OpenFlags,
    mode: u32,
    access: Access,
) -> Result<OwnedFd, Errno> {
    let reads = flags.contains(OpenFlags::READ);
    let mut with = match flags.contains(OpenFlags::WRITE) {
        true if reads => OFlags::RDWR,
        true => OFlags::WRONLY,
        false => OFlags::RDONLY,
    };
    for (flag, wanted) in [
        (OpenFlags::APPEND, OFlags::APPEND),
        (OpenFlags::CREATE, OFlags::CREATE),
        (OpenFlags::TRUNCATE, OFlags::TRUNC),
        (OpenFlags::EXCLUSIVE, OFlags::EXCL),
    ] {
        if flags.contains(flag) {
            with |= wanted;
        }
    }
    let changes = OFlags::WRONLY | OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
    if access == Access::ReadOnly && with.intersects(changes) {
        tracing::debug!("Refusing open request in read-only mode");
        return Err(Errno::ACCESS);
    }
    with |= OFlags::CLOEXEC | OFlags::NOCTTY;
    let mode = Mode::from_raw_mode(mode);
    // A named pipe must not make the server wait for somebody at its other end, who may never come.
    match fs::open(path.0, with | OFlags::NONBLOCK, mode) {
        // Of regular files this says that somebody has a lease (fcntl(2)), for whose end one waits.
        Err(Errno::WOULDBLOCK) => fs::open(path.0, with, mode),
        other => other,
    }
}

/// Opens a directory for its entries.
pub(crate) fn open_directory(path: Path<'_>) -> Result<Dir, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Dir::new(fs::open(path.0, flags, Mode::empty())?)
}

/// Reads once at `offset`.
pub(crate) fn read(file: &OpenFile, place: &mut [u8], offset: u64) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::pread(&file.descriptor, &mut *place, offset))
}

/// Writes all of `data`. What was written before an error stays.
pub(crate) fn write(file: &OpenFile, mut data: &[u8], mut offset: u64) -> Result<(), Errno> {
    loop {
        let written = retry_on_intr(|| match file.position {
            Position::Requested => rustix::io::pwrite(&file.descriptor, data, offset),
            Position::End => rustix::io::write(&file.descriptor, data),
        })?;
        data = data.get(written..).unwrap_or_default();
        if data.is_empty() {
            return Ok(());
        }
        if written == 0 {
            return Err(Errno::IO);
        }
        offset = offset.saturating_add(u64::try_from(written).unwrap_or(0));
    }
}

/// Renames, unless there is something of the new name.
pub(crate) fn rename(Pair { old, new }: Pair<'_>) -> Result<(), Errno> {
    match fs::renameat_with(CWD, old.0, CWD, new.0, RenameFlags::NOREPLACE) {
        // This file system cannot say it in one call.
        Err(Errno::INVAL | Errno::NOSYS) => rename_by_link(old, new),
        other => other,
    }
}

/// As sftp-server: a link is never made in place of something, which a rename could be.
fn rename_by_link(old: Path<'_>, new: Path<'_>) -> Result<(), Errno> {
    let kind = FileType::from_raw_mode(fs::lstat(old.0)?.st_mode);
    if kind == FileType::RegularFile {
        match fs::link(old.0, new.0) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {}
            Err(errno) => return Err(errno),
            Ok(()) => {
                return fs::unlink(old.0).inspect_err(|_| {
                    fs::unlink(new.0).ok();
                });
            }
        }
    }
    match fs::lstat(new.0) {
        Err(Errno::NOENT) => fs::rename(old.0, new.0),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::EXIST),
    }
}

/// What attributes are set on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Path(Path<'a>),
    /// A link itself, not what it points to.
    Link(Path<'a>),
    Open(&'a OpenFile),
}

impl Target<'_> {
    pub(crate) fn path(&self) -> &[u8] {
        match self {
            Self::Path(path) | Self::Link(path) => path.0,
            Self::Open(file) => &file.path,
        }
    }

    pub(crate) fn set_size(self, size: u64) -> Result<(), Errno> {
        match self {
            Self::Path(path) => {
                let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
                fs::ftruncate(fs::open(path.0, flags, Mode::empty())?, size)
            }
            // A link's size is its target's length.
            Self::Link(_) => Err(Errno::INVAL),
            Self::Open(file) => fs::ftruncate(&file.descriptor, size),
        }
    }

    pub(crate) fn set_mode(self, mode: u32) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Path(path) => fs::chmodat(CWD, path.0, mode, AtFlags::empty()),
            Self::Link(path) => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = fs::open(path.0, flags, Mode::empty())?;
                if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) == FileType::Symlink {
                    return Err(Errno::OPNOTSUPP);
                }
                // fchmod(2) takes no such descriptor; libc's lchmod does it this way.
                match fs::chmod(by_descriptor(file.as_fd()), mode) {
                    // A jail without /proc.
                    Err(Errno::NOENT) => Err(Errno::OPNOTSUPP),
                    other => other,
                }
            }
            Self::Open(file) => fs::fchmod(&file.descriptor, mode),
        }
    }

    pub(crate) fn set_times(self, times: Times) -> Result<(), Errno> {
        let seconds = |seconds: u32| Timespec {
            tv_sec: seconds.into(),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: seconds(times.access),
            last_modification: seconds(times.modification),
        };
        match self {
            Self::Path(path) => fs::utimensat(CWD, path.0, &times, AtFlags::empty()),
            Self::Link(path) => fs::utimensat(CWD, path.0, &times, AtFlags::SYMLINK_NOFOLLOW),
            Self::Open(file) => fs::futimens(&file.descriptor, &times),
        }
    }

    pub(crate) fn set_owner(self, owner: Owner) -> Result<(), Errno> {
        // All ones mean "as it is" (chown(2)), and cannot be anybody's number.
        let some = |id: u32| (id != u32::MAX).then_some(id);
        let user = some(owner.user).map(Uid::from_raw);
        let group = some(owner.group).map(Gid::from_raw);
        match self {
            Self::Path(path) => fs::chownat(CWD, path.0, user, group, AtFlags::empty()),
            Self::Link(path) => fs::chownat(CWD, path.0, user, group, AtFlags::SYMLINK_NOFOLLOW),
            Self::Open(file) => fs::fchown(&file.descriptor, user, group),
        }
    }
}

fn by_descriptor(descriptor: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

/// A part of a file, to be copied into another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) from_offset: u64,
    /// Absent: until the end of the file.
    pub(crate) length: Option<u64>,
    pub(crate) to_offset: u64,
}

/// Why a copy ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyEnd {
    /// All that was asked for was copied.
    Complete,
    /// The source was shorter.
    SourceEnded,
    Failed(Errno),
    /// Nobody waits for it any more.
    Abandoned,
}

/// Copies a part of `from` into `to`, and says how many bytes that was.
pub(crate) fn copy(
    from: &OpenFile,
    to: &OpenFile,
    part: Part,
    abandoned: impl Fn() -> bool,
) -> (u64, CopyEnd) {
    let mut copied = 0_u64;
    let mut by_kernel = to.position == Position::Requested;
    let mut buffer = Vec::new();
    loop {
        let left = part
            .length
            .map_or(u64::MAX, |length| length.saturating_sub(copied));
        if left == 0 {
            return (copied, CopyEnd::Complete);
        }
        if abandoned() {
            return (copied, CopyEnd::Abandoned);
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_CHUNK);
        let (Some(mut source), Some(mut target)) = (
            part.from_offset.checked_add(copied),
            part.to_offset.checked_add(copied),
        ) else {
            return (copied, CopyEnd::Failed(Errno::INVAL));
        };
        if by_kernel {
            let (from, to) = (&from.descriptor, &to.descriptor);
            let done = fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), length);
            match done {
                // Files of /proc say so of all that they have; the other way tells better what is wrong.
                Ok(0) | Err(_) => by_kernel = false,
                Ok(count) => copied = copied.saturating_add(u64::try_from(count).unwrap_or(0)),
            }
            continue;
        }
        buffer.resize(length.min(COPY_BUFFER), 0);
        let step = read(from, &mut buffer, source).and_then(|count| {
            write(to, buffer.get(..count).unwrap_or_default(), target)?;
            Ok(count)
        });
        match step {
            Ok(0) if part.length.is_none() => return (copied, CopyEnd::Complete),
            Ok(0) => return (copied, CopyEnd::SourceEnded),
            Ok(count) => copied = copied.saturating_add(u64::try_from(count).unwrap_or(0)),
            Err(errno) => return (copied, CopyEnd::Failed(errno)),
        }
    }
}

/// Whether two descriptors are of one file: a copy onto itself has no end.
pub(crate) fn are_same(one: &OpenFile, other: &OpenFile) -> Result<bool, Errno> {
    let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
    Ok(identity(fs::fstat(&one.descriptor)?) == identity(fs::fstat(&other.descriptor)?))
}
