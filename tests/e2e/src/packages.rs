//! Clients that are no Debian packages: from the Python Package Index and from npm.
//!
//! Exact versions: a test says the same thing every day.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use support::progress::Step;
use support::{cache, host};

use crate::Server;

/// From the Python Package Index, for the machine's Python.
const PYTHON: &[&str] = &[
    "asyncssh==2.24.0",
    "cryptography==50.0.2",
    "paramiko==5.1.0",
    "ssh-audit==3.9.0",
];

/// From npm, for any `node` of the machine's.
const NODE: &[&str] = &["ssh2@1.17.0", "ssh2-sftp-client@12.1.1"];

/// Where the Python packages are in the machine, for `PYTHONPATH`.
pub const PYTHON_MODULES: &str = "/root/python-modules";

/// Where the packages of npm are in the machine, for `NODE_PATH`.
pub const NODE_MODULES: &str = "/root/node/node_modules";

/// Puts the Python packages on the machine.
pub fn install_python(server: &Server) -> Result<()> {
    let version =
        server.shell("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")?;
    let version = version.trim();
    let hash = cache::recipe_hash(PYTHON.iter().copied());
    let modules = cache::ensure(&format!("python{version}-{hash:016x}"), |into| {
        host::ensure_packages(&["python3-pip"])?;
        let architecture = std::env::consts::ARCH;
        fetch(
            Command::new("/usr/bin/python3")
                .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
                .args(["--only-binary=:all:", "--implementation=cp"])
                .arg(format!("--python-version={version}"))
                .arg(format!("--platform=manylinux2014_{architecture}"))
                .arg(format!("--platform=manylinux_2_28_{architecture}"))
                .arg("--target")
                .arg(into)
                .args(PYTHON),
            PYTHON,
        )
    })?;
    copy(&modules, server, PYTHON_MODULES)
}

/// Puts the packages of npm on the machine.
pub fn install_node(server: &Server) -> Result<()> {
    let hash = cache::recipe_hash(NODE.iter().copied());
    let modules = cache::ensure(&format!("node-{hash:016x}"), |into| {
        // It may be there from elsewhere than Debian, whose package would then not go with it.
        if Command::new("npm").arg("--version").output().is_err() {
            host::ensure_packages(&["npm"])?;
        }
        fetch(
            Command::new("npm")
                // Plain JavaScript is enough: no compiler, no scripts of strangers.
                .args(["install", "--omit=optional", "--ignore-scripts"])
                .args(["--no-audit", "--no-fund", "--prefix"])
                .arg(into)
                .args(NODE),
            NODE,
        )
    })?;
    let target = Path::new(NODE_MODULES).parent().context("no parent")?;
    copy(&modules, server, &target.display().to_string())
}

fn fetch(command: &mut Command, packages: &[&str]) -> Result<()> {
    let step = Step::begin(format!("fetching {}", packages.join(" ")));
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| packages.join(" "))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        packages.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    step.done();
    Ok(())
}

/// Two tests may want the same on one machine: the first one copies.
fn copy(from: &Path, server: &Server, to: &str) -> Result<()> {
    static COPYING: Mutex<()> = Mutex::new(());
    let _guard = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
    let target = server.root().join(to.trim_start_matches('/'));
    if target.exists() {
        return Ok(());
    }
    let copied = Command::new("cp")
        .arg("-a")
        .args([from, &target])
        .status()?;
    ensure!(copied.success(), "cp: {copied}");
    Ok(())
}
