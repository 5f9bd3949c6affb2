//! The base tree: a Debian of the host's own release with systemd and every stock client, made once and cached.
//!
//! It is read-only from then on: each machine lays an overlay over it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::host;
use crate::progress::Step;

/// Where base trees are cached.
const CACHE: &str = "/var/cache/sshd-privsep";

/// What the tree holds beyond Debian's minimal system: systemd with logind, the stock clients that must be able to
/// log in, OpenSSH's server to compare with, and tools that tests look with.
const PACKAGES: &[&str] = &[
    "bash",
    "ca-certificates",
    "dbus",
    "dropbear-bin",
    "git",
    "iproute2",
    "less",
    "libnss-myhostname",
    "libpam-systemd",
    "login",
    "netcat-openbsd",
    "openssh-client",
    "openssh-server",
    "openssh-sftp-server",
    "passwd",
    "procps",
    "putty-tools",
    "python3-paramiko",
    "rsync",
    "strace",
    "sudo",
    "systemd",
    "systemd-sysv",
    "util-linux",
    "xz-utils",
];

/// Units that have no work on a throwaway machine and would only slow its boot or wake up in the middle of a
/// measurement.
const MASKED_UNITS: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
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

/// How long making the tree may take. Twenty-five seconds is usual; a slow mirror is not an error yet.
const DEADLINE: Duration = Duration::from_secs(900);

/// The cached base tree, made now if it is not there. Safe to call from several processes: one makes it, the others
/// wait.
pub fn ensure_tree() -> Result<PathBuf> {
    let suite = host_suite()?;
    let tree = Path::new(CACHE).join(format!("base-{suite}-{:016x}", recipe_hash(&suite)));
    if tree.is_dir() {
        return Ok(tree);
    }
    host::require_root()?;
    host::ensure_packages(host::MACHINE_PACKAGES)?;
    fs::create_dir_all(CACHE).with_context(|| format!("{CACHE}: cannot create"))?;
    let lock = fs::File::create(Path::new(CACHE).join(".lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if tree.is_dir() {
        return Ok(tree);
    }
    let unfinished = tree.with_extension("unfinished");
    remove_tree(&unfinished)?;
    bootstrap(&suite, &unfinished)?;
    customise(&unfinished)?;
    // A tree has its final name only when it is complete: a killed build leaves nothing that looks usable.
    fs::rename(&unfinished, &tree)?;
    Ok(tree)
}

fn bootstrap(suite: &str, into: &Path) -> Result<()> {
    let sources = debian_sources(suite)?;
    let mut step = Step::begin(format!("making the base tree (Debian {suite}, once)"));
    let log_path = Path::new(CACHE).join("mmdebstrap.log");
    let log = fs::File::create(&log_path)?;
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=minbase", "--mode=root"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        // The host's way to the archive (a proxy) must not stay in the tree, which has no network.
        .arg("--customize-hook=rm -f \"$1\"/etc/apt/apt.conf.d/99mmdebstrap");
    if let Some(proxy) = host_proxy()? {
        command.arg(format!("--aptopt=Acquire::http::Proxy \"{proxy}\""));
    }
    let mut child = command
        .arg(suite)
        .arg(into)
        .args(&sources)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("mmdebstrap")?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if step.elapsed() > DEADLINE {
            child.kill()?;
            child.wait()?;
            bail!(
                "the base tree was not ready after {DEADLINE:?}: see {}",
                log_path.display()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
        let log = fs::read_to_string(&log_path).unwrap_or_default();
        step.pulse(log.lines().last().unwrap_or("at work"));
    };
    ensure!(
        status.success(),
        "mmdebstrap failed ({status}):\n{}",
        fs::read_to_string(&log_path).unwrap_or_default()
    );
    step.done();
    Ok(())
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

/// The entries of the host's own package sources that are Debian's, as one-line entries for mmdebstrap. Sources of
/// others (a vendor's packages on the developer's machine) have no place in a test machine.
fn debian_sources(suite: &str) -> Result<Vec<String>> {
    let listing = apt_indextargets()?;
    if !listing.contains("Debian|") {
        // Images often come without package lists, and the origin is only known from them.
        let status = Command::new("apt-get")
            .args(["-q", "update"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("apt-get update")?;
        ensure!(status.success(), "apt-get update failed: {status}");
    }
    let sources = sources_from(&apt_indextargets()?, suite);
    ensure!(
        !sources.is_empty(),
        "apt on this host knows no Debian source for {suite}: a test machine cannot be made"
    );
    Ok(sources)
}

fn apt_indextargets() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format"])
        .arg("$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)")
        .arg("Created-By: Packages")
        .output()
        .context("apt-get indextargets")?;
    ensure!(output.status.success(), "apt-get indextargets failed");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn sources_from(listing: &str, suite: &str) -> Vec<String> {
    let mut sources = Vec::new();
    for line in listing.lines() {
        let mut fields = line.split('|');
        let (Some("Debian"), Some(uri), Some(release), Some(component)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if release.starts_with(suite) && component == "main" {
            let source = format!(
                "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {uri} {release} {component}"
            );
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
    }
    sources
}

fn host_proxy() -> Result<Option<String>> {
    let output = Command::new("apt-config")
        .args(["shell", "PROXY", "Acquire::http::Proxy"])
        .output()
        .context("apt-config")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .trim()
        .strip_prefix("PROXY='")
        .and_then(|rest| rest.strip_suffix('\''))
        .filter(|proxy| !proxy.is_empty())
        .map(str::to_owned))
}

fn host_suite() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let value = |name: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    match (value("ID"), value("VERSION_CODENAME")) {
        (Some("debian"), Some(codename)) => Ok(codename.to_owned()),
        _ => bail!(
            "test machines are Debian trees made from the host's own sources: the host is no Debian release"
        ),
    }
}

/// FNV-1a over everything that decides what is in the tree. The standard library's hashers are not stable between
/// its versions, a directory name must be.
fn recipe_hash(suite: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let recipe = RECIPE.to_string();
    for part in [suite, recipe.as_str()]
        .iter()
        .chain(PACKAGES)
        .chain(MASKED_UNITS)
    {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}: cannot remove", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_distributions_own_sources_only() {
        let listing = "Debian|http://archive.invalid/debian/|bookworm|main\n\
                       Debian|http://archive.invalid/debian/|bookworm|main\n\
                       Debian|http://archive.invalid/debian/|bookworm|non-free\n\
                       Debian|http://archive.invalid/debian/|trixie|main\n\
                       Vendor|http://vendor.invalid/|bookworm|main\n\
                       |http://unknown.invalid/|bookworm|main\n";
        let sources = sources_from(listing, "bookworm");
        assert_eq!(sources.len(), 1);
        assert!(sources[0].ends_with("http://archive.invalid/debian/ bookworm main"));
    }
}
