//! The file that tells programs how their user was authenticated (ExposeAuthInfo of sshd_config(5)).
//!
//! It is the user's, made with the user's identity, where sshd has it too. A process of the same user can write to it:
//! what it says is for programs that this user trusts.

use std::fs::{OpenOptions, remove_file};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rpc::ConnectionId;
use rustix::rand::GetRandomFlags;

/// The directory.
const DIRECTORY: &str = "/tmp";

/// The file, removed with its owner.
#[derive(Debug)]
pub struct AuthInfo(PathBuf);

impl AuthInfo {
    /// Writes it. Its name ends in 64 random bits: that of the connection can be read in the names of units before the
    /// file is there. A file that is there already is not touched.
    ///
    /// # Errors
    /// There is no such file then.
    pub fn create(connection: ConnectionId, text: &str) -> io::Result<Self> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
        let random = u64::from_ne_bytes(random);
        let name = format!("sshauth.{connection}.{random:016x}");
        Self::write(Path::new(DIRECTORY).join(name), text)
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
        let id = ConnectionId::from_bytes(
            std::process::id()
                .to_be_bytes()
                .repeat(2)
                .try_into()
                .unwrap(),
        );
        let info = AuthInfo::create(id, "password\n").unwrap();
        let path = info.path().to_owned();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "password\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        drop(info);
        assert!(!path.exists());
        symlink("/dev/null", &path).unwrap();
        AuthInfo::write(path.clone(), "password\n").unwrap_err();
        assert!(AuthInfo::create(id, "password\n").unwrap().path() != path);
        remove_file(path).unwrap();
    }
}
