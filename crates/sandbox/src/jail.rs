//! ChrootDirectory of sshd_config(5): another root directory for a session.
//!
//! A session's process runs as its user, so it is given CAP_SYS_CHROOT by its unit for as long as it takes. Here is all
//! that is done with it: [`Jail::open`] judges the directory, [`Jail::enter`] and [`enter_working_directory`] make one the
//! root and give the capability up. What fails leaves the process with it, and must end it.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::process::{chdir, chroot, fchdir, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities,
};

/// The capabilities that a session's unit has for its jail: the second one since an administrator may have put the
/// directory where users cannot see it.
pub const UNIT_CAPABILITIES: CapabilitySet =
    CapabilitySet::SYS_CHROOT.union(CapabilitySet::DAC_READ_SEARCH);

/// Longest path, with the NUL that ends it (PATH_MAX).
const PATH_LIMIT: usize = 4096;

/// Whether a path of the message is the directory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is.
    Whole,
    /// It is one of those that lead to it.
    Component,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole => "",
            Self::Component => "component ",
        })
    }
}

/// A directory cannot be a session's root, in sshd's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JailError {
    /// It is relative.
    #[error("chroot path does not begin at root")]
    Relative,
    /// It has more than PATH_MAX bytes.
    #[error("chroot path too long")]
    TooLong,
    /// A part of the path is not there.
    #[error("stat(\"{0}\"): {1}")]
    Missing(PathBuf, Errno),
    /// Somebody other than root could have put something else there.
    #[error("bad ownership or modes for chroot directory {0}\"{1}\"")]
    Unsafe(Part, PathBuf),
    /// A part of the path is a file.
    #[error("chroot path {0}\"{1}\" is not a directory")]
    NotDirectory(Part, PathBuf),
    /// The kernel refuses.
    #[error("{0}: {1}")]
    Call(&'static str, Errno),
}

/// A directory that may be a session's root: each part of its path belongs to root and can be changed by nobody else.
#[derive(Debug)]
pub struct Jail {
    directory: OwnedFd,
}

impl Jail {
    /// Opens `path`, as far as it is fit to be one.
    ///
    /// # Errors
    /// It is not.
    pub fn open(path: &Path) -> Result<Self, JailError> {
        let bytes = path.as_os_str().as_bytes();
        if !path.is_absolute() {
            return Err(JailError::Relative);
        }
        if bytes.len() >= PATH_LIMIT {
            return Err(JailError::TooLong);
        }
        let ends = bytes.iter().enumerate();
        let ends = ends.filter_map(|(at, byte)| (*byte == b'/').then_some(at.saturating_add(1)));
        for end in ends.filter(|end| *end < bytes.len()) {
            let component = bytes.get(..end).unwrap_or_default();
            Self::judge(Part::Component, component)?;
        }
        // Held from here on: what was judged is what is entered.
        Ok(Self {
            directory: Self::judge(Part::Whole, bytes)?,
        })
    }

    fn judge(part: Part, path: &[u8]) -> Result<OwnedFd, JailError> {
        let name = || PathBuf::from(std::ffi::OsStr::from_bytes(path));
        let missing = |errno| JailError::Missing(name(), errno);
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(missing)?;
        let stat = fstat(&directory).map_err(missing)?;
        if stat.st_uid != 0 || Mode::from_raw_mode(stat.st_mode).intersects(OTHERS_WRITE) {
            return Err(JailError::Unsafe(part, name()));
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(JailError::NotDirectory(part, name()));
        }
        Ok(directory)
    }

    /// Makes it the root and the working directory of this thread, and of those that share these with it, and gives this
    /// thread's capabilities up.
    ///
    /// # Errors
    /// Something of that could not be done.
    pub fn enter(&self) -> Result<(), JailError> {
        self.wait_outside()?;
        enter_working_directory()
    }

    /// Makes it the working directory, and keeps of the capabilities only the one to enter it: in what this thread starts
    /// as well, whose first act must be [`enter_working_directory`].
    ///
    /// # Errors
    /// Something of that could not be done.
    pub fn wait_outside(&self) -> Result<(), JailError> {
        fchdir(&self.directory).map_err(|errno| JailError::Call("fchdir", errno))?;
        clear_ambient()?;
        if geteuid().is_root() {
            return keep(CapabilitySet::all(), CapabilitySet::empty());
        }
        keep(CapabilitySet::SYS_CHROOT, CapabilitySet::SYS_CHROOT)?;
        configure_capability_in_ambient_set(CapabilitySet::SYS_CHROOT, true)
            .map_err(|errno| JailError::Call("PR_CAP_AMBIENT_RAISE", errno))
    }
}

const OTHERS_WRITE: Mode = Mode::WGRP.union(Mode::WOTH);

/// Makes the working directory the root directory, and gives this thread's capabilities up; root's remain, as with sshd.
///
/// # Errors
/// Something of that could not be done.
pub fn enter_working_directory() -> Result<(), JailError> {
    chroot(".").map_err(|errno| JailError::Call("chroot", errno))?;
    chdir("/").map_err(|errno| JailError::Call("chdir", errno))?;
    clear_ambient()?;
    let kept = match geteuid().is_root() {
        true => CapabilitySet::all(),
        false => CapabilitySet::empty(),
    };
    keep(kept, CapabilitySet::empty())
}

fn clear_ambient() -> Result<(), JailError> {
    clear_ambient_capability_set()
        .map_err(|errno| JailError::Call("PR_CAP_AMBIENT_CLEAR_ALL", errno))
}

/// Gives up all capabilities that are not in these sets, and looks whether they are gone.
fn keep(permitted: CapabilitySet, inheritable: CapabilitySet) -> Result<(), JailError> {
    let now = capabilities(None).map_err(|errno| JailError::Call("capget", errno))?;
    let sets = CapabilitySets {
        effective: now.effective & permitted,
        permitted: now.permitted & permitted,
        inheritable: now.permitted & inheritable,
    };
    set_capabilities(None, sets).map_err(|errno| JailError::Call("capset", errno))?;
    let now = capabilities(None).map_err(|errno| JailError::Call("capget", errno))?;
    match permitted.contains(now.permitted | now.effective) && inheritable.contains(now.inheritable)
    {
        true => Ok(()),
        false => Err(JailError::Call("capset", Errno::PERM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str) -> String {
        match Jail::open(Path::new(path)) {
            Ok(_) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_directory_whose_path_is_roots_alone_is_taken() {
        for path in ["/", "/usr", "/usr/", "/usr/lib/.."] {
            assert_eq!(refusal(path), "none", "{path}");
        }
    }

    #[test]
    fn what_others_could_change_is_refused_in_sshds_words() {
        // Mode 1777.
        assert_eq!(
            refusal("/tmp"),
            "bad ownership or modes for chroot directory \"/tmp\""
        );
        assert_eq!(
            refusal("/tmp/"),
            "bad ownership or modes for chroot directory \"/tmp/\""
        );
        assert_eq!(
            refusal("/tmp/jail"),
            "bad ownership or modes for chroot directory component \"/tmp/\""
        );
        assert_eq!(
            refusal("/etc/passwd"),
            "chroot path \"/etc/passwd\" is not a directory"
        );
        assert_eq!(refusal("srv"), "chroot path does not begin at root");
        assert_eq!(
            refusal("/none/x").split(':').next(),
            Some("stat(\"/none/\")")
        );
        assert_eq!(refusal(&"/a".repeat(PATH_LIMIT)), "chroot path too long");
    }
}
