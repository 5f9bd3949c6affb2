//! The base tree: a Debian with systemd and every stock client, made once and cached. It is of the host's own release
//! unless [`SUITE_VARIABLE`] names another.
//!
//! It is read-only from then on: each machine lays an overlay over it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::debian::{self, Variant};

/// The environment variable that names the release of Debian of all test machines, by the name of its suite in the
/// archive: `trixie`. Without it, or when it is empty, they are what the host is.
pub const SUITE_VARIABLE: &str = "SSHD_PRIVSEP_TEST_SUITE";

/// What the tree holds beyond Debian's minimal system: systemd with logind, the stock clients that must be able to
/// log in, OpenSSH's server to compare with, and tools that tests look with.
const PACKAGES: &[&str] = &[
    "bash",
    "ca-certificates",
    "curl",
    "dbus",
    "dropbear-bin",
    "fail2ban",
    "git",
    "iproute2",
    "less",
    "libnss-myhostname",
    "libnss-systemd",
    "libpam-oath",
    "libpam-systemd",
    "libssh-4",
    "login",
    "netcat-openbsd",
    "openssh-client",
    "openssh-server",
    "openssh-sftp-server",
    "passwd",
    "procps",
    "putty-tools",
    "python3-asyncssh",
    "python3-paramiko",
    "python3-systemd",
    "rsync",
    "socat",
    "strace",
    "sudo",
    "systemd",
    "systemd-sysv",
    "systemd-userdbd",
    "util-linux",
    "xauth",
    "xz-utils",
];

/// What takes the place of the files utmp, wtmp and lastlog, which Debian left behind after [`BOOKWORM`]: modules of PAM,
/// and what reads their databases.
const RECORDS_OF_LOGINS: &[&str] = &["lastlog2", "libpam-lastlog2", "libpam-wtmpdb", "wtmpdb"];

/// The oldest release with a systemd that our units need.
const BOOKWORM: &str = "bookworm";

/// Units that have no work on a throwaway machine and would only slow its boot or wake up in the middle of a
/// measurement.
const MASKED_UNITS: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fail2ban.service",
    "fstrim.timer",
    "getty-static.service",
    "getty.target",
    "ldconfig.service",
    "remote-fs.target",
    "rsync.service",
    "systemd-ask-password-wall.path",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-update-done.service",
];

/// Raise it when [`customise`] changes, so that cached trees of the old recipe are not used.
const RECIPE: u32 = 2;

/// The cached base tree, made now if it is not there. Safe to call from several processes: one makes it, the others
/// wait.
pub fn ensure_tree() -> Result<PathBuf> {
    let suite = suite()?;
    let mut packages = PACKAGES.to_vec();
    if suite != BOOKWORM {
        packages.extend(RECORDS_OF_LOGINS);
    }
    let recipe = RECIPE.to_string();
    let parts = [suite.as_str(), recipe.as_str()].into_iter();
    let hash = cache::recipe_hash(
        parts
            .chain(packages.iter().copied())
            .chain(MASKED_UNITS.iter().copied()),
    );
    cache::ensure(&format!("base-{suite}-{hash:016x}"), |tree| {
        debian::bootstrap(&suite, Variant::Bootable, &packages, tree)?;
        customise(tree)
    })
}

/// The release of Debian that test machines are.
pub(crate) fn suite() -> Result<String> {
    match std::env::var(SUITE_VARIABLE) {
        Ok(suite) if !suite.is_empty() => Ok(suite),
        _ => debian::host_suite(),
    }
}

/// Turns a minimal Debian into a machine that boots in half a second and keeps its journal where the host can read it.
fn customise(tree: &Path) -> Result<()> {
    let units = tree.join("etc/systemd/system");
    for unit in MASKED_UNITS {
        let link = units.join(unit);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        symlink("/dev/null", &link).with_context(|| link.display().to_string())?;
    }
    // OpenSSH's server is there for comparison and is started by who wants it; port 22 is ours at first.
    for link in ["multi-user.target.wants/ssh.service", "sshd.service"] {
        let link = units.join(link);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
    }
    // Host keys are made on the machine by the unit under test; shared keys would hide that it does not work.
    let ssh = tree.join("etc/ssh");
    for entry in fs::read_dir(&ssh)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path())?;
        }
    }
    // Neither is OpenSSH's server configuration of use: the machine gets our package's default, as where there is none.
    fs::remove_file(ssh.join("sshd_config")).ok();
    // With its directory present the journal goes to disk, hence to the overlay, where it outlives the machine's PID 1.
    fs::create_dir_all(tree.join("var/log/journal"))?;
    let journald = tree.join("etc/systemd/journald.conf.d");
    fs::create_dir_all(&journald)?;
    // Tests count lines: a line that journald's own rate limit dropped would look like one that we did not write.
    fs::write(
        journald.join("test-machine.conf"),
        "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n",
    )?;
    fs::write(tree.join("etc/default/locale"), "LANG=C.UTF-8\n")?;
    fs::write(tree.join("etc/resolv.conf"), "")?;
    fs::write(tree.join("etc/machine-id"), "")?;
    fs::remove_file(tree.join("etc/hostname")).ok();
    Ok(())
}
