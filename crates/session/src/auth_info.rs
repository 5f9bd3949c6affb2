//! The file that tells programs how their user was authenticated (ExposeAuthInfo of sshd_config(5)).
//!
//! It is the user's, made with the user's identity, in the directory of the session's unit: systemd removes that whatever
//! the session ends of. A process of the same user can write to it: what it says is for programs that this user trusts.

use std::fs::{OpenOptions, remove_file};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
    /// There is no such file then.
    pub fn create(connection: ConnectionId, place: Place, text: &str) -> io::Result<Self> {
        let path = match place {
            // The unit's RuntimeDirectory=, which the monitor names.
            Place::Unit => format!("/run/sshd-privsep-session-{connection}/sshauth"),
            Place::Jail => format!("/tmp/sshauth.{connection}"),
        };
        Self::write(path.into(), text)
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

impl Drop for AuthInfo {
    fn drop(&mut self) {
        // The user may have removed it.
        drop(remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn the_file_is_the_users_alone_and_goes_with_its_owner() {
        let name = format!("session-test-sshauth.{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let info = AuthInfo::write(path.clone(), "password\n").unwrap();
        assert_eq!(info.path(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "password\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        drop(info);
        assert!(!path.exists());
        symlink("/dev/null", &path).unwrap();
        AuthInfo::write(path.clone(), "password\n").unwrap_err();
        remove_file(path).unwrap();
    }
}
