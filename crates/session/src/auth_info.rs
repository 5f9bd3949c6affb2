//! The file that tells programs how their user was authenticated (ExposeAuthInfo of sshd_config(5)).
//!
//! It is the user's, made with the user's identity, in the directory of the session's unit: systemd removes that whatever
//! the session ends of. In a jail it is in `/tmp`, and nothing removes it after SIGKILL. A process of the same user can write to it: what it says is for programs that this user trusts.

use std::fs::{Metadata, OpenOptions, metadata, remove_file};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rpc::ConnectionId;

/// The directory of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The unit's own.
    Unit,
    /// The jail's `/tmp`, if it has one: where sshd makes the file, which has changed its root by then.
    Jail,
}

/// The file, removed with its owner.
#[derive(Debug)]
pub struct AuthInfo(PathBuf);

impl AuthInfo {
    /// Writes it. A file that is there already is not touched.
    ///
    /// # Errors
    /// There is no such file then; in a jail also where others could put one of theirs in its place.
    pub fn create(connection: ConnectionId, place: Place, text: &str) -> io::Result<Self> {
        let path = match place {
            // The unit's RuntimeDirectory=, which the monitor names.
            Place::Unit => format!("/run/sshd-privsep-session-{connection}/sshauth").into(),
            Place::Jail => kept(Path::new(JAIL_DIRECTORY))?.join(format!("sshauth.{connection}")),
        };
        Self::write(path, text)
    }

    fn write(path: PathBuf, text: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // O_EXCL: no link is followed.
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let this = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(this)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Where sshd makes the file in a jail. The administrator made the directory, or did not.
const JAIL_DIRECTORY: &str = "/tmp";

/// Write permission of group and others, and the bit that takes from them what is not theirs.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// The directory, if nobody but root and the user can remove the user's files there.
fn kept(directory: &Path) -> io::Result<&Path> {
    let user = rustix::process::getuid().as_raw();
    match keeps(&metadata(directory)?, user) {
        true => Ok(directory),
        false => {
            let text = format!("others may remove files in {}", directory.display());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
        }
    }
}

fn keeps(directory: &Metadata, user: u32) -> bool {
    let owner = directory.uid();
    let mode = directory.mode();
    (owner == 0 || owner == user) && (mode & OTHERS_WRITE == 0 || mode & STICKY != 0)
}

impl Drop for AuthInfo {
    fn drop(&mut self) {
        // The user may have removed it.
        drop(remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn the_file_is_the_users_alone_and_goes_with_its_owner() {
        let name = format!("session-test-sshauth.{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let info = AuthInfo::write(path.clone(), "password\n").unwrap();
        assert_eq!(info.path(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "password\n");
        assert_eq!(metadata(&path).unwrap().mode() & 0o7777, 0o600);
        drop(info);
        assert!(!path.exists());
        symlink("/dev/null", &path).unwrap();
        AuthInfo::write(path.clone(), "password\n").unwrap_err();
        remove_file(path).unwrap();
    }

    #[test]
    fn a_jail_must_keep_the_users_files() {
        let name = format!("session-test-jail.{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        for (mode, safe) in [
            (0o755, true),
            (0o1777, true),
            (0o777, false),
            (0o775, false),
        ] {
            std::fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            assert_eq!(kept(&directory).is_ok(), safe, "{mode:o}");
        }
        std::fs::remove_dir(&directory).unwrap();
        kept(&directory).unwrap_err();

        let root = metadata("/usr").unwrap();
        assert!(keeps(&root, 1000));
        let ours = metadata("/proc/self").unwrap();
        let other = ours.uid() + 1;
        assert_eq!(keeps(&ours, other), ours.uid() == 0);
    }
}
