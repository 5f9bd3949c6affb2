//! PidFile: the number of the process that takes signals for the server.
//!
//! The default is sshd's own `/run/sshd.pid`. A launcher beside another server must not take that server's file away, so a
//! file that names a living sshd (or a living launcher) is left alone, and said.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file with this process's number. It is removed with the value, unless somebody else has written to it.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

/// Why there is none. sshd serves on without one, and so does this.
#[derive(Debug, Error)]
pub(super) enum PidFileError {
    /// It is somebody else's.
    #[error(
        "PidFile {} is left alone: it belongs to process {process}, which is running; set another PidFile", path.display()
    )]
    Taken {
        /// The file.
        path: PathBuf,
        /// Whose number is in it.
        process: u32,
    },
    /// It cannot be written.
    #[error("Couldn't create pid file \"{}\": {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl PidFile {
    /// Writes it.
    pub(super) fn write(path: &Path) -> Result<Self, PidFileError> {
        if let Some(process) = holder(path).filter(|process| serves(*process)) {
            let path = path.to_owned();
            return Err(PidFileError::Taken { path, process });
        }
        let path = path.to_owned();
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(PidFileError::Io { path, error }),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if holder(&self.0) == Some(std::process::id()) {
            drop(fs::remove_file(&self.0));
        }
    }
}

fn holder(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether another process is an SSH server: the number in a file that a killed server left behind may be in use again.
fn serves(process: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    process != std::process::id() && name.starts_with("sshd")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("cli-pid-{name}-{}", std::process::id()))
    }

    #[test]
    fn it_has_our_number_and_goes_with_its_value() {
        let path = file("ours");
        let pid_file = PidFile::write(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        drop(pid_file);
        assert!(!path.exists());
    }

    #[test]
    fn a_living_servers_file_is_left_alone() {
        let path = file("theirs");
        // A process by the name of a server, which is what /proc knows of it.
        let program = std::env::temp_dir().join(format!("sshd-{}", std::process::id()));
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let mut sshd = Command::new(&program)
            .arg0("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        // The kernel lets the parent go a moment before it renames the child.
        (0..100)
            .take_while(|_| !serves(sshd.id()))
            .for_each(|_| std::thread::sleep(std::time::Duration::from_millis(10)));
        fs::write(&path, format!("{}\n", sshd.id())).unwrap();
        let taken = PidFile::write(&path).map(drop);
        sshd.kill().unwrap();
        sshd.wait().unwrap();
        let kept = fs::read_to_string(&path).unwrap();
        // Now it is what a killed server leaves.
        let written = PidFile::write(&path).map(|_| ());
        for left in [&program, &path] {
            drop(fs::remove_file(left));
        }
        assert!(matches!(taken, Err(PidFileError::Taken { process, .. }) if process == sshd.id()));
        assert_eq!(kept, format!("{}\n", sshd.id()));
        assert!(written.is_ok());
    }

    #[test]
    fn what_somebody_else_has_written_stays() {
        let path = file("replaced");
        let pid_file = PidFile::write(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(pid_file);
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_number_that_another_program_has_by_now_does_not_count() {
        let path = file("stale");
        fs::write(&path, "1\n").unwrap();
        assert!(PidFile::write(&path).is_ok());
    }
}
