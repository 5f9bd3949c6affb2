//! Sockets to listen on, as sshd makes them.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use journal::Escaped;
use rustix::fs::{AtFlags, CWD, Mode, Stat, statat};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tracing::error;

use crate::second_stage::reason;

/// Connections that may wait, as with sshd.
const BACKLOG: i32 = 128;

/// Whether an address may be bound that connections of an earlier listener still have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    /// It may.
    Address,
    /// A display that anybody may still be connected to is another's.
    Nothing,
}

/// Listens on a port of an address.
pub(super) fn port(address: SocketAddr, reuse: Reuse) -> Result<OwnedFd, Errno> {
    let family = match address.ip() {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = stream_socket(family)?;
    if reuse == Reuse::Address {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if address.is_ipv6() {
        // Each family has a socket of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Listens at a path, with the permission bits that `mask` leaves.
pub(super) fn path(path: &Path, mask: Mode) -> Result<(OwnedFd, BoundPath), Errno> {
    let address = SocketAddrUnix::new(path)?;
    let socket = stream_socket(AddressFamily::UNIX)?;
    // The mask is the process's, but nothing else runs in between: resolvers make no files.
    let before = rustix::process::umask(mask);
    let bound = bind(&socket, &address);
    rustix::process::umask(before);
    bound?;
    let file = BoundPath::new(path)?;
    listen(&socket, BACKLOG)?;
    Ok((socket, file))
}

/// The file of a socket. It is removed with this, unless it is another one by then.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    file: (u64, u64),
}

impl BoundPath {
    fn new(path: &Path) -> Result<Self, Errno> {
        Ok(Self {
            path: path.to_owned(),
            file: identity(&look(path)?),
        })
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if look(&self.path).is_ok_and(|stat| identity(&stat) == self.file) {
            // Whoever may not remove it any more leaves it.
            rustix::fs::unlink(&self.path).unwrap_or_default();
        }
    }
}

/// StreamLocalBindUnlink: removes what is in the way of a socket. As in sshd that is what unlink(2) removes.
pub(super) fn clear(path: &Path) {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => error!("unlink({}): {}", shown(path), reason(&errno.into())),
    }
}

/// For the log.
pub(super) fn shown(path: &Path) -> String {
    Escaped::new(path.as_os_str().as_bytes())
        .limit(100)
        .to_string()
}

/// A path of the client's: from the root, as sshd takes it.
pub(super) fn from_root(path: &[u8]) -> PathBuf {
    Path::new("/").join(OsStr::from_bytes(path))
}

fn look(path: &Path) -> Result<Stat, Errno> {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

pub(super) fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, SocketType::STREAM, flags, None)
}
