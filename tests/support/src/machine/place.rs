//! Where a machine lives on the host: its directory, its overlay, its cgroups.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};

use crate::record::Record;

/// Where the machines are.
pub(super) const MACHINES: &str = "/var/lib/sshd-privsep-machines";
pub(super) fn mount_overlay(directory: &Path, tree: &Path) -> Result<PathBuf> {
    // An overlay cannot have its upper directory on an overlay, which is what the root of a container often is.
    const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
    let kind = rustix::fs::statfs(directory)?.f_type;
    if u64::try_from(kind).is_ok_and(|kind| kind == OVERLAYFS_MAGIC) {
        let record = Record::read(directory).context("the machine's record is gone")?;
        mount(&["-t", "tmpfs", "-o", "mode=0755", "tmpfs"], directory)?;
        record.write(directory)?;
    }
    let [upper, work, root] = ["upper", "work", "root"].map(|part| directory.join(part));
    for part in [&upper, &work, &root] {
        fs::create_dir(part).with_context(|| part.display().to_string())?;
    }
    for path in [tree, directory] {
        let plain = path
            .as_os_str()
            .as_bytes()
            .iter()
            .all(|byte| !b",:\\".contains(byte));
        ensure!(plain, "{}: not usable as an overlay option", path.display());
    }
    // Volatile: nothing of this survives, so no fsync of dpkg or journald need reach the disk.
    let options = format!(
        "volatile,lowerdir={},upperdir={},workdir={}",
        tree.display(),
        upper.display(),
        work.display()
    );
    mount(&["-t", "overlay", "-o", &options, "overlay"], &root)?;
    Ok(root)
}

fn mount(arguments: &[&str], on: &Path) -> Result<()> {
    let output = Command::new("mount")
        .args(arguments)
        .arg(on)
        .output()
        .context("mount")?;
    ensure!(
        output.status.success(),
        "mount on {} failed: {}",
        on.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The machine's own cgroups: in the unified hierarchy, and on a hybrid host in systemd's as well. Without them two
/// machines of one caller would share `payload/system.slice`, and killing one would kill units of the other.
pub(super) fn cgroups(name: &str) -> Result<Vec<PathBuf>> {
    let group = format!("sshd-privsep-machine-{name}");
    let hierarchies: &[&str] = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        &["/sys/fs/cgroup"]
    } else if Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        &["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"]
    } else {
        return Err(anyhow!("no unified cgroup hierarchy in /sys/fs/cgroup"));
    };
    Ok(hierarchies
        .iter()
        .filter(|hierarchy| Path::new(hierarchy).exists())
        .map(|hierarchy| Path::new(hierarchy).join(&group))
        .collect())
}

pub(super) fn join(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(" ")
}

pub(super) fn directory(name: &str) -> PathBuf {
    Path::new(MACHINES).join(name)
}

/// A name becomes a directory, a cgroup and a host name.
pub(super) fn check_name(name: &str) -> Result<()> {
    let fits = !name.is_empty() && name.len() <= 40 && !name.starts_with('-');
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    ensure!(
        fits && plain,
        "machine name {name:?}: use up to 40 of a-z, 0-9 and hyphen"
    );
    Ok(())
}
