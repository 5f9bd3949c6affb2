//! `/run/sshd-privsep-PID`: what one launcher needs while it runs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where it is made.
const PARENT: &str = "/run";

/// What its name begins with; the process id follows.
const PREFIX: &str = "sshd-privsep-";

/// The directory of this process. Nobody but root may look into it. It is removed with the value.
#[derive(Debug)]
pub(super) struct RuntimeDirectory(PathBuf);

impl RuntimeDirectory {
    /// Makes it, and removes those of launchers that were killed.
    pub(super) fn create() -> io::Result<Self> {
        Self::create_in(Path::new(PARENT))
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        remove_abandoned(parent);
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RuntimeDirectory {
    fn drop(&mut self) {
        // If it cannot be removed now, the next launcher does it.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A launcher that is killed cannot tidy up; the next one does.
fn remove_abandoned(parent: &Path) {
    let entries = parent.read_dir().into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(id) = id.and_then(|id| id.parse::<u32>().ok()) else {
            continue;
        };
        if id == std::process::id() || !Path::new("/proc").join(id.to_string()).exists() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_for_root_alone_goes_with_its_value_and_takes_abandoned_ones_along() {
        let parent = std::env::temp_dir().join(format!("cli-runtime-{}", std::process::id()));
        fs::create_dir_all(&parent).unwrap();
        for name in [
            "sshd-privsep-4294967295",
            "sshd-privsep-1",
            "sshd-privsep-x",
            "sshd-privsep",
        ] {
            fs::create_dir_all(parent.join(name).join("inside")).unwrap();
        }
        let directory = RuntimeDirectory::create_in(&parent).unwrap();
        let path = directory.path().to_owned();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::write(path.join("notify"), "").unwrap();
        drop(directory);
        let mut left: Vec<_> = parent
            .read_dir()
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        left.sort();
        fs::remove_dir_all(&parent).unwrap();
        assert_eq!(left, ["sshd-privsep", "sshd-privsep-1", "sshd-privsep-x"]);
    }
}
