//! Clients newer than those of the machine: the programs of a later Debian, in a chroot.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use e2e::Server;
use support::{Exec, cache, debian};

/// The release. The machine's own is the developer's or the pipeline's.
const SUITE: &str = "trixie";

/// The clients, and what it takes to run them in a chroot.
const PACKAGES: &[&str] = &[
    "base-files",
    "coreutils",
    "curl",
    "dash",
    "diffutils",
    "dropbear-bin",
    "libssh-4",
    "nodejs",
    "openssh-client",
    "putty-tools",
    "python3",
    "python3-asyncssh",
    "python3-paramiko",
];

/// Where they are in the machine.
pub const ROOT: &str = "/opt/newer";

/// Puts the clients on the machine. They share `/root` with the machine's own clients, so that keys and known hosts have
/// the same paths, and can do nothing that those cannot.
pub fn install(server: &Server) -> Result<()> {
    let hash = cache::recipe_hash([SUITE].iter().chain(PACKAGES).copied());
    let tree = cache::ensure(&format!("clients-{SUITE}-{hash:016x}"), |tree| {
        debian::bootstrap(SUITE, debian::Variant::Unpacked, PACKAGES, tree)?;
        // The packages' scripts did not run: what they would have made and the clients ask for.
        fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        fs::write(tree.join("etc/group"), "root:x:0:\n")?;
        Ok(())
    })?;
    let target = server.root().join(ROOT.trim_start_matches('/'));
    let copied = Command::new("cp")
        .arg("-a")
        .args([&tree, &target])
        .status()?;
    ensure!(copied.success(), "cp: {copied}");
    server.shell(&format!(
        "for path in dev proc root; do mkdir -p {ROOT}/$path; mount --rbind /$path {ROOT}/$path; done"
    ))?;
    Ok(())
}

/// A command among the newer clients.
pub fn command<'server, A: Into<String>>(
    server: &'server Server,
    words: impl IntoIterator<Item = A>,
) -> Exec<'server> {
    server.command(["chroot", ROOT]).args(words)
}
