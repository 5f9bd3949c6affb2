//! Requests answered, one at a time, in the order in which they came.
//!
//! What OpenSSH's sftp-server does is the specification: which status follows from which error, and what is logged.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use journal::Escaped;
use rustix::fs::{AtFlags, CWD, StatVfs, StatVfsMountFlags, readlinkat, statat};
use rustix::io::Errno;
use tracing::{debug, error, info, trace};
use wire::codec::Write as _;

use crate::attributes::Attributes;
use crate::files::{self, CopyEnd, DIRECTORY_MODE, FILE_MODE, Part, Target};
use crate::handles::{Handle, Handles, OpenDirectory, OpenFile, Position};
use crate::long_name::{Listing, now};
use crate::names::{Names, OwnAccount};
use crate::operation::Operation;
use crate::options::Symlinks;
use crate::output::{Listed, Output};
use crate::permitted::Permitted;
use crate::realpath;
use crate::request::{
    CopyData, DATA_LIMIT, HandleName, Ids, OpenFlags, PACKET_LIMIT, Packet, Pair, Path,
    ProtocolError, Request, RequestId,
};
use crate::status::Status;

/// From here on a list of names is long enough: clients must take packets of 34000 bytes, and some take no more
/// (draft-ietf-secsh-filexfer-02, section 3). A name with all that is said of it has less than the rest of that.
const NAMES_LIMIT: usize = 32 * 1024;

/// The server of one client.
#[derive(Debug)]
pub struct Server {
    permitted: Permitted,
    symlinks: Symlinks,
    names: Names,
    zone: TimeZone,
    handles: Handles,
    phase: Phase,
    /// Whether the client has gone, asked in the midst of what may take long.
    abandoned: fn() -> bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// SSH_FXP_INIT has not come.
    Fresh,
    Serving,
}

impl Server {
    /// A server that nobody has spoken to.
    pub fn new(
        permitted: Permitted,
        account: OwnAccount,
        zone: TimeZone,
        abandoned: fn() -> bool,
    ) -> Self {
        Self {
            permitted,
            symlinks: Symlinks::TargetFirst,
            names: Names::new(account),
            zone,
            handles: Handles::new(Handles::limit_of_this_process()),
            phase: Phase::Fresh,
            abandoned,
        }
    }

    /// The same, for a client that says the paths of a symbolic link in this order.
    #[must_use]
    pub fn with_symlinks(self, symlinks: Symlinks) -> Self {
        Self { symlinks, ..self }
    }

    /// Answers one packet, of which `packet` is what follows the length.
    pub(crate) fn answer(
        &mut self,
        packet: &[u8],
        output: &mut Output,
    ) -> Result<(), ProtocolError> {
        match (Packet::decode(packet)?, self.phase) {
            (Packet::Init(version), _) => {
                debug!("received client version {version}");
                self.phase = Phase::Serving;
                let announced = Operation::all().filter(|operation| {
                    operation.announcement().is_some() && self.permitted.permits(*operation)
                });
                output.version(version, announced);
            }
            (_, Phase::Fresh) => return Err(ProtocolError::NotInitialised),
            (Packet::Unknown(id), Phase::Serving) => {
                trace!("request {}: unknown", id.0);
                self.end(id, Status::OpUnsupported, output);
            }
            (Packet::Request(id, request), Phase::Serving) => {
                if !self.permitted.permits(request.operation()) {
                    self.end(id, Status::PermissionDenied, output);
                } else if let Err(status) = self.serve(id, request, output) {
                    self.end(id, status, output);
                }
            }
        }
        Ok(())
    }

    /// The client has gone.
    pub(crate) fn finish(&mut self) {
        for handle in self.handles.drain() {
            log_close("forced ", &handle);
        }
    }

    fn end(&self, id: RequestId, status: Status, output: &mut Output) {
        match status {
            Status::Ok | Status::Eof => trace!("sent status {}", status.message()),
            _ => info!("sent status {}", status.message()),
        }
        output.status(id, status);
    }

    /// Does what is asked for. An error is a status that nobody has sent yet.
    fn serve(
        &mut self,
        id: RequestId,
        request: Request<'_>,
        output: &mut Output,
    ) -> Result<(), Status> {
        match request {
            Request::Open(path, flags, attributes) => {
                let name = self.open(path, flags, &attributes)?;
                output.handle(id, name);
                Ok(())
            }
            Request::Opendir(path) => {
                let name = self.open_directory(path)?;
                output.handle(id, name);
                Ok(())
            }
            Request::Read(handle, offset, length) => self.read(id, handle, offset, length, output),
            Request::Readdir(handle) => self.list(id, handle, output),
            Request::Stat(path) => {
                debug!("stat name \"{}\"", shown(path.0));
                let stat = rustix::fs::stat(path.0)?;
                output.attributes(id, &Attributes::from(&stat));
                Ok(())
            }
            Request::Lstat(path) => {
                debug!("lstat name \"{}\"", shown(path.0));
                let stat = rustix::fs::lstat(path.0)?;
                output.attributes(id, &Attributes::from(&stat));
                Ok(())
            }
            Request::Fstat(handle) => {
                let stat = rustix::fs::fstat(&self.file(handle)?.descriptor)?;
                output.attributes(id, &Attributes::from(&stat));
                Ok(())
            }
            Request::Realpath(path) => {
                debug!("realpath \"{}\"", shown(path.0));
                output.name(id, &realpath::resolve(path.0)?);
                Ok(())
            }
            Request::ExpandPath(path) => self.expand(id, path, output),
            Request::Readlink(path) => {
                debug!("readlink \"{}\"", shown(path.0));
                let target = readlinkat(CWD, path.0, Vec::new())?;
                output.name(id, target.as_bytes());
                Ok(())
            }
            Request::Statvfs(path) => {
                info!("statvfs \"{}\"", shown(path.0));
                let of = rustix::fs::statvfs(path.0)?;
                Ok(output.extended(id, |output| put_statvfs(output, &of))?)
            }
            Request::Fstatvfs(handle) => {
                let of = rustix::fs::fstatvfs(&self.file(handle)?.descriptor)?;
                Ok(output.extended(id, |output| put_statvfs(output, &of))?)
            }
            Request::Limits => {
                let handles = u64::try_from(self.handles.limit()).unwrap_or(u64::MAX);
                let bytes = |limit| u64::try_from(limit).unwrap_or(u64::MAX);
                Ok(output.extended(id, |output| {
                    output.put_uint64(bytes(PACKET_LIMIT));
                    output.put_uint64(bytes(DATA_LIMIT));
                    output.put_uint64(bytes(DATA_LIMIT));
                    output.put_uint64(handles);
                })?)
            }
            Request::HomeDirectory(user) => {
                self.names.refresh();
                output.name(id, self.names.home(user).ok_or(Status::Failure)?);
                Ok(())
            }
            Request::UsersGroupsById { users, groups } => {
                self.names.refresh();
                let names = &self.names;
                Ok(output.extended(id, |output| {
                    put_names(output, users, |uid| names.user(uid));
                    put_names(output, groups, |gid| names.group(gid));
                })?)
            }
            request => {
                self.change(request)?;
                self.end(id, Status::Ok, output);
                Ok(())
            }
        }
    }

    /// Requests whose answer is a status.
    fn change(&mut self, request: Request<'_>) -> Result<(), Status> {
        match request {
            Request::Close(handle) => {
                let closed = self.handles.remove(handle).ok_or(Status::NoSuchFile)?;
                log_close("", &closed);
                Ok(())
            }
            Request::Write(handle, offset, data) => self.write(handle, offset, data),
            Request::Setstat(path, attributes) => self.set(Target::Path(path), &attributes),
            Request::Lsetstat(path, attributes) => self.set(Target::Link(path), &attributes),
            Request::Fsetstat(handle, attributes) => {
                let file = self.handles.file(handle).ok_or(Status::Failure)?;
                set(Target::Open(file), &attributes, &self.zone)
            }
            Request::Remove(path) => {
                info!("remove name \"{}\"", shown(path.0));
                Ok(rustix::fs::unlink(path.0)?)
            }
            Request::Mkdir(path, attributes) => {
                let mode = attributes.mode().unwrap_or(DIRECTORY_MODE);
                info!("mkdir name \"{}\" mode 0{mode:o}", shown(path.0));
                Ok(rustix::fs::mkdir(path.0, mode.into())?)
            }
            Request::Rmdir(path) => {
                info!("rmdir name \"{}\"", shown(path.0));
                Ok(rustix::fs::rmdir(path.0)?)
            }
            Request::Rename(pair) => {
                log_pair("rename", pair);
                Ok(files::rename(pair)?)
            }
            Request::PosixRename(pair) => {
                log_pair("posix-rename", pair);
                Ok(rustix::fs::rename(pair.old.0, pair.new.0)?)
            }
            Request::Symlink(pair) => {
                let pair = match self.symlinks {
                    Symlinks::TargetFirst => pair,
                    Symlinks::LinkFirst => Pair {
                        old: pair.new,
                        new: pair.old,
                    },
                };
                log_pair("symlink", pair);
                Ok(rustix::fs::symlink(pair.old.0, pair.new.0)?)
            }
            Request::Hardlink(pair) => {
                log_pair("hardlink", pair);
                Ok(rustix::fs::link(pair.old.0, pair.new.0)?)
            }
            Request::Fsync(handle) => {
                let file = self.handles.file(handle).ok_or(Status::NoSuchFile)?;
                debug!("fsync \"{}\"", shown(&file.path));
                Ok(rustix::fs::fsync(&file.descriptor)?)
            }
            Request::CopyData(copy) => self.copy(copy),
            _ => Err(Status::OpUnsupported),
        }
    }

    fn file(&mut self, handle: HandleName<'_>) -> Result<&mut OpenFile, Status> {
        self.handles.file(handle).ok_or(Status::Failure)
    }

    fn open(
        &mut self,
        path: Path<'_>,
        flags: OpenFlags,
        attributes: &Attributes,
    ) -> Result<[u8; 4], Status> {
        // The type of the file is none of open(2)'s business.
        let mode = attributes.mode().unwrap_or(FILE_MODE);
        info!(
            "open \"{}\" flags {} mode 0{mode:o}",
            shown(path.0),
            words(flags)
        );
        let file = OpenFile {
            descriptor: files::open(path, flags, mode, self.permitted.access)?,
            path: path.0.to_vec(),
            position: match flags.contains(OpenFlags::APPEND) {
                true => Position::End,
                false => Position::Requested,
            },
            read: 0,
            written: 0,
        };
        let name = self.handles.insert(Handle::File(file));
        name.ok_or(Status::Failure)
    }

    fn open_directory(&mut self, path: Path<'_>) -> Result<[u8; 4], Status> {
        info!("opendir \"{}\"", shown(path.0));
        let directory = OpenDirectory {
            entries: files::open_directory(path)?,
            path: path.0.to_vec(),
        };
        self.names.refresh();
        let name = self.handles.insert(Handle::Directory(directory));
        name.ok_or(Status::Failure)
    }

    fn read(
        &mut self,
        id: RequestId,
        handle: HandleName<'_>,
        offset: u64,
        length: u32,
        output: &mut Output,
    ) -> Result<(), Status> {
        let file = self.file(handle)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let length = length.min(DATA_LIMIT);
        let read = output.data(id, length, |place| files::read(file, place, offset));
        match read {
            Ok(0) if length > 0 => Err(Status::Eof),
            Ok(count) => {
                let count = u64::try_from(count).unwrap_or(0);
                file.read = file.read.saturating_add(count);
                Ok(())
            }
            Err(errno) => {
                error!("read \"{}\": {}", shown(&file.path), reason(errno));
                Err(errno.into())
            }
        }
    }

    fn write(&mut self, handle: HandleName<'_>, offset: u64, data: &[u8]) -> Result<(), Status> {
        let file = self.file(handle)?;
        if let Err(errno) = files::write(file, data, offset) {
            error!("write \"{}\": {}", shown(&file.path), reason(errno));
            return Err(errno.into());
        }
        let count = u64::try_from(data.len()).unwrap_or(0);
        file.written = file.written.saturating_add(count);
        Ok(())
    }

    fn list(
        &mut self,
        id: RequestId,
        handle: HandleName<'_>,
        output: &mut Output,
    ) -> Result<(), Status> {
        let directory = self.handles.directory(handle).ok_or(Status::Failure)?;
        let listing = Listing {
            names: &self.names,
            zone: &self.zone,
            now: now(),
        };
        let mut names = output.names(id);
        while names.length() < NAMES_LIMIT {
            let Some(Ok(entry)) = directory.entries.read() else {
                break;
            };
            // What has gone meanwhile is not there.
            let descriptor = directory.entries.fd()?;
            let name = entry.file_name();
            if let Ok(stat) = statat(descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
                let name = name.to_bytes();
                names.add(name, &listing.line(name, &stat), &Attributes::from(&stat));
            }
        }
        match names.finish() {
            Listed::Some => Ok(()),
            Listed::None => Err(Status::Eof),
        }
    }

    fn set(&self, target: Target<'_>, attributes: &Attributes) -> Result<(), Status> {
        set(target, attributes, &self.zone)
    }

    /// `expand-path@openssh.com`: as realpath, but for a tilde in front.
    fn expand(&mut self, id: RequestId, path: Path<'_>, output: &mut Output) -> Result<(), Status> {
        // `~` itself is the directory in which the session began (`-d`), as in OpenSSH.
        let expanded = match path.0.strip_prefix(b"~") {
            None => path.0.to_vec(),
            Some(rest) => {
                let user = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
                let below = rest.get(user.len()..).unwrap_or_default();
                let home = match user {
                    [] => realpath::working_directory()?,
                    user => {
                        self.names.refresh();
                        let Some(home) = self.names.home(user) else {
                            output.status_saying(id, Status::NoSuchFile, "no such user");
                            return Ok(());
                        };
                        home.to_vec()
                    }
                };
                [home.as_slice(), below].concat()
            }
        };
        debug!("expand \"{}\"", shown(&expanded));
        output.name(id, &realpath::resolve(&expanded)?);
        Ok(())
    }

    fn copy(&mut self, copy: CopyData<'_>) -> Result<(), Status> {
        let files = self.handles.two_files(copy.from, copy.to);
        let [from, to] = files.ok_or(Status::Failure)?;
        if files::are_same(from, to)? {
            return Err(Status::Failure);
        }
        trace!(
            "copy-data from \"{}\" off {} len {} to \"{}\" off {}",
            shown(&from.path),
            copy.from_offset,
            copy.length.unwrap_or(0),
            shown(&to.path),
            copy.to_offset
        );
        let part = Part {
            from_offset: copy.from_offset,
            length: copy.length,
            to_offset: copy.to_offset,
        };
        let (copied, end) = files::copy(from, to, part, self.abandoned);
        from.read = from.read.saturating_add(copied);
        to.written = to.written.saturating_add(copied);
        match end {
            CopyEnd::Complete => Ok(()),
            CopyEnd::SourceEnded => Err(Status::Eof),
            CopyEnd::Abandoned => Err(Status::Failure),
            CopyEnd::Failed(errno) => {
                error!(
                    "copy-data \"{}\" to \"{}\": {}",
                    shown(&from.path),
                    shown(&to.path),
                    reason(errno)
                );
                Err(errno.into())
            }
        }
    }
}

/// Sets what there is to set, all of it, whatever fails; the last failure is told (as by sftp-server).
fn set(target: Target<'_>, attributes: &Attributes, zone: &TimeZone) -> Result<(), Status> {
    let path = shown(target.path());
    let mut end = Ok(());
    let mut note = |result: Result<(), Errno>| {
        if let Err(errno) = result {
            end = Err(errno.into());
        }
    };
    if let Some(size) = attributes.size {
        info!("set \"{path}\" size {size}");
        note(target.set_size(size));
    }
    if let Some(mode) = attributes.mode() {
        info!("set \"{path}\" mode {mode:04o}");
        note(target.set_mode(mode));
    }
    if let Some(times) = attributes.times {
        if let Ok(time) = Timestamp::from_second(times.modification.into()) {
            let time = time.to_zoned(zone.clone());
            info!(
                "set \"{path}\" modtime {}",
                time.strftime("%Y%m%d-%H:%M:%S")
            );
        }
        note(target.set_times(times));
    }
    if let Some(owner) = attributes.owner {
        info!("set \"{path}\" owner {} group {}", owner.user, owner.group);
        note(target.set_owner(owner));
    }
    end
}

/// `statvfs@openssh.com`, PROTOCOL section 4.3: the fields of statvfs(3) in its order.
fn put_statvfs(output: &mut Output, of: &StatVfs) {
    const READ_ONLY: u64 = 0x1;
    const NO_SET_UID: u64 = 0x2;
    let flag = |flag, number| match of.f_flag.contains(flag) {
        true => number,
        false => 0,
    };
    let flags =
        flag(StatVfsMountFlags::RDONLY, READ_ONLY) | flag(StatVfsMountFlags::NOSUID, NO_SET_UID);
    for field in [
        of.f_bsize,
        of.f_frsize,
        of.f_blocks,
        of.f_bfree,
        of.f_bavail,
        of.f_files,
        of.f_ffree,
        of.f_favail,
        of.f_fsid,
        flags,
        of.f_namemax,
    ] {
        output.put_uint64(field);
    }
}

/// A string of strings, an empty one for whoever has no name.
fn put_names<'a>(output: &mut Output, ids: Ids<'_>, name: impl Fn(u32) -> Option<&'a str>) {
    let mut names = Vec::new();
    for id in ids.iter() {
        names.put_string(name(id).unwrap_or_default().as_bytes());
        // The answer will be too long; there is no need to make it longer.
        if names.len() > PACKET_LIMIT {
            break;
        }
    }
    output.put_string(&names);
}

fn log_pair(operation: &str, pair: Pair<'_>) {
    let (old, new) = (shown(pair.old.0), shown(pair.new.0));
    info!("{operation} old \"{old}\" new \"{new}\"");
}

/// The one line that tells of a whole transfer.
fn log_close(how: &str, handle: &Handle) {
    match handle {
        Handle::File(file) => info!(
            "{how}close \"{}\" bytes read {} written {}",
            shown(&file.path),
            file.read,
            file.written
        ),
        Handle::Directory(directory) => info!("{how}closedir \"{}\"", shown(&directory.path)),
    }
}

/// A path of the client's, for the log.
fn shown(path: &[u8]) -> Escaped<'_> {
    Escaped::new(path).limit(SHOWN_LIMIT)
}

/// How much of a path is logged: as much as sshd writes in a line.
const SHOWN_LIMIT: usize = 1024;

/// strerror(3), without the number that std adds.
fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn words(flags: OpenFlags) -> String {
    let words = [
        (OpenFlags::READ, "READ"),
        (OpenFlags::WRITE, "WRITE"),
        (OpenFlags::APPEND, "APPEND"),
        (OpenFlags::CREATE, "CREATE"),
        (OpenFlags::TRUNCATE, "TRUNCATE"),
        (OpenFlags::EXCLUSIVE, "EXCL"),
    ];
    let set = words.into_iter().filter(|(flag, _)| flags.contains(*flag));
    set.map(|(_, word)| word).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn a_link_is_made_where_the_client_means_it_in_either_order() {
        for symlinks in [Symlinks::TargetFirst, Symlinks::LinkFirst] {
            let scratch = Scratch::new();
            let link = scratch.path().join("link");
            let account = OwnAccount {
                name: "alice".to_owned(),
                uid: 1000,
                home: b"/home/alice".to_vec(),
            };
            let mut server = Server::new(Permitted::default(), account, TimeZone::UTC, || false)
                .with_symlinks(symlinks);
            let mut output = Output::default();
            let mut request = vec![20, 0, 0, 0, 7];
            let mut paths = [b"target".as_slice(), link.as_os_str().as_bytes()];
            if symlinks == Symlinks::LinkFirst {
                paths.reverse();
            }
            for path in paths {
                request.put_string(path);
            }
            server.answer(&[1, 0, 0, 0, 3], &mut output).unwrap();
            server.answer(&request, &mut output).unwrap();
            let target = std::fs::read_link(&link).unwrap();
            assert_eq!(target.as_os_str(), "target", "{symlinks:?}");
        }
    }
}
