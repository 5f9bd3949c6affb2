//! What the host must have. A missing tool is installed or is an error; it is never a reason to skip a test.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::progress::Step;

/// Debian packages that the test machine needs on the host.
pub const MACHINE_PACKAGES: &[&str] = &[
    "systemd-container",
    "mmdebstrap",
    "debian-archive-keyring",
    "util-linux",
    "mount",
    "openssh-client",
];

/// Fails unless we are root: machines are made of mounts, namespaces and cgroups.
pub fn require_root() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "test machines need root (mounts, namespaces, cgroups): run this as root"
    );
    Ok(())
}

/// Installs those of `packages` that are not installed yet, from the archives that the host is configured for.
pub fn ensure_packages(packages: &[&str]) -> Result<()> {
    let missing = missing_packages(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    require_root()?;
    let step = Step::begin(format!("installing {}", missing.join(" ")));
    if apt_get(&["install", "-y", "--no-install-recommends"], &missing).is_err() {
        // The package lists may be absent (images without them) or older than the archive.
        apt_get(&["update"], &[])?;
        apt_get(&["install", "-y", "--no-install-recommends"], &missing)?;
    }
    let missing = missing_packages(packages)?;
    ensure!(
        missing.is_empty(),
        "still not installed: {}",
        missing.join(" ")
    );
    step.done();
    Ok(())
}

fn missing_packages<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Abbrev}\n"])
        .args(packages)
        .stderr(Stdio::null())
        .output()
        .context("dpkg-query: this needs a Debian host")?;
    let listing = String::from_utf8_lossy(&output.stdout);
    let installed: Vec<_> = listing
        .lines()
        .filter_map(|line| line.trim_end().strip_suffix(" ii"))
        .collect();
    Ok(packages
        .iter()
        .filter(|package| !installed.contains(*package))
        .copied()
        .collect())
}

fn apt_get(verb: &[&str], packages: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["-q", "-o", "Dpkg::Use-Pty=0"])
        .args(verb)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("apt-get")?;
    if !output.status.success() {
        bail!(
            "apt-get {} {} failed:\n{}{}",
            verb.join(" "),
            packages.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
