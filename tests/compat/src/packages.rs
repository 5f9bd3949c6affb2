//! A client that is newer than Debian: paramiko from the Python Package Index, which knows mlkem768x25519-sha256.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use support::{Machine, host, progress::Step};

use crate::Server;

/// Exact versions: a test says the same thing every day.
const PACKAGES: &[&str] = &["paramiko==5.1.0", "cryptography==50.0.2"];

/// Where the packages are kept on the host.
const CACHE: &str = "/var/cache/sshd-privsep";

/// Where they are on the machine.
pub const MODULES: &str = "/opt/paramiko";

impl Server {
    /// Puts the packages on the machine, for `PYTHONPATH`.
    pub fn install_new_paramiko(&self) -> Result<()> {
        let modules = ensure_packages(self)?;
        let target = self.root().join(MODULES.trim_start_matches('/'));
        let copied = Command::new("cp")
            .arg("-a")
            .args([&modules, &target])
            .status()?;
        ensure!(copied.success(), "cp: {copied}");
        Ok(())
    }
}

/// The packages for the machine's Python, fetched now if they are not there.
fn ensure_packages(machine: &Machine) -> Result<PathBuf> {
    let version =
        machine.shell("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")?;
    let version = version.trim();
    let name = format!("python{version}-{}", PACKAGES.join("-"));
    let modules = Path::new(CACHE).join(name);
    let lock = File::create(Path::new(CACHE).join(".pypi-lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if modules.is_dir() {
        return Ok(modules);
    }
    host::ensure_packages(&["python3-pip"])?;
    let step = Step::begin(format!("fetching {}", PACKAGES.join(" ")));
    let unfinished = modules.with_extension("unfinished");
    std::fs::remove_dir_all(&unfinished).ok();
    let output = Command::new("/usr/bin/python3")
        .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
        .args(["--only-binary=:all:", "--implementation=cp"])
        .arg(format!("--python-version={version}"))
        .arg(format!(
            "--platform=manylinux2014_{}",
            std::env::consts::ARCH
        ))
        .arg(format!(
            "--platform=manylinux_2_28_{}",
            std::env::consts::ARCH
        ))
        .arg("--target")
        .arg(&unfinished)
        .args(PACKAGES)
        .stdin(Stdio::null())
        .output()
        .context("pip")?;
    ensure!(
        output.status.success(),
        "pip failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&unfinished, &modules)?;
    step.done();
    Ok(modules)
}
