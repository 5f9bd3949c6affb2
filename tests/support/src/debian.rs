//! Trees of Debian packages, made by mmdebstrap from the archive that the host itself is configured for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::host;
use crate::progress::Step;

/// How long making a tree may take. Twenty-five seconds is usual; a slow mirror is not an error yet.
const DEADLINE: Duration = Duration::from_secs(900);

/// How much of a system a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Packages installed and configured on top of Debian's minimal system: it boots once it has an init.
    Bootable,
    /// Packages and what they depend on, unpacked and no more, as much as a program in a chroot needs: made in a few
    /// seconds.
    Unpacked,
}

/// Makes a tree of a Debian release at `into`, with these packages.
pub fn bootstrap(suite: &str, variant: Variant, packages: &[&str], into: &Path) -> Result<()> {
    host::require_root()?;
    host::ensure_packages(host::MACHINE_PACKAGES)?;
    let sources = sources(suite)?;
    let mut step = Step::begin(format!("unpacking Debian {suite} (once)"));
    let log_path = into.with_extension("log");
    let log = fs::File::create(&log_path)?;
    let variant = match variant {
        Variant::Bootable => "--variant=minbase",
        Variant::Unpacked => "--variant=extract",
    };
    let mut command = Command::new("mmdebstrap");
    command
        .args([variant, "--mode=root"])
        .arg(format!("--include={}", packages.join(",")))
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
                "Debian {suite} was not unpacked after {DEADLINE:?}: see {}",
                log_path.display()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
        let log = fs::read_to_string(&log_path).unwrap_or_default();
        step.pulse(log.lines().last().unwrap_or("at work"));
    };
    let log = fs::read_to_string(&log_path).unwrap_or_default();
    ensure!(status.success(), "mmdebstrap failed ({status}):\n{log}");
    fs::remove_file(&log_path)?;
    step.done();
    Ok(())
}

/// Fetches these packages of a Debian release, and what they depend on, as far as a tree made by [`bootstrap`] lacks
/// them. Packages that are in `into` already take the place of the release's own of that name.
pub fn download(suite: &str, tree: &Path, packages: &[&str], into: &Path) -> Result<()> {
    let step = Step::begin(format!("fetching {} (once)", packages.join(" ")));
    let mut here = Vec::new();
    for entry in fs::read_dir(into)? {
        here.push(entry?.path());
    }
    let list = into.join("sources.list");
    let mut lines = sources(suite)?.join("\n");
    lines.push('\n');
    fs::write(&list, lines)?;
    fs::create_dir(into.join("partial"))?;
    // The host's package lists will do for its own release; those of another must not take their place.
    let lists = (suite != host_suite()?).then(|| into.join("lists"));
    let apt_get = |words: &[&str], archives: &[PathBuf]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-q", "-y", "--no-install-recommends", "--download-only"])
            // The host's sources of other origin will not do, and its cache of lists and sources is its own.
            .args(["-o", "Dir::Etc::sourceparts=-"])
            .args([
                "-o",
                "Dir::Cache::pkgcache=",
                "-o",
                "Dir::Cache::srcpkgcache=",
            ])
            .arg(format!("-oDir::Etc::sourcelist={}", list.display()))
            .arg(format!("-oDir::Cache::archives={}", into.display()))
            .arg(format!(
                "-oDir::State::status={}",
                tree.join("var/lib/dpkg/status").display()
            ));
        if let Some(lists) = &lists {
            command.arg(format!("-oDir::State::lists={}", lists.display()));
        }
        let output = command.args(words).args(archives).stdin(Stdio::null());
        output.output().context("apt-get")
    };
    if let Some(lists) = &lists {
        fs::create_dir(lists)?;
        let updated = apt_get(&["update"], &[])?.status;
        ensure!(updated.success(), "apt-get update for {suite}: {updated}");
    }
    let install: Vec<&str> = ["install"].iter().chain(packages).copied().collect();
    let mut output = apt_get(&install, &here)?;
    if !output.status.success() && lists.is_none() {
        // The lists may be older than the archive.
        update()?;
        output = apt_get(&install, &here)?;
    }
    ensure!(
        output.status.success(),
        "apt-get: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    if let Some(lists) = lists {
        fs::remove_dir_all(lists)?;
    }
    step.done();
    Ok(())
}

/// The entries of the host's own package sources that are Debian's, as one-line entries for mmdebstrap, for this release
/// instead of the host's. Sources of others (a vendor's packages on the developer's machine) have no place in a test
/// machine.
fn sources(suite: &str) -> Result<Vec<String>> {
    let listing = apt_indextargets()?;
    if !listing.contains("Debian|") {
        // Images often come without package lists, and the origin is only known from them.
        update()?;
    }
    let host = host_suite()?;
    let sources = sources_from(&apt_indextargets()?, &host, suite);
    ensure!(
        !sources.is_empty(),
        "apt on this host knows no Debian source for {host}: a test machine cannot be made"
    );
    Ok(sources)
}

fn update() -> Result<()> {
    let status = Command::new("apt-get")
        .args(["-q", "update"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("apt-get update")?;
    ensure!(status.success(), "apt-get update failed: {status}");
    Ok(())
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

fn sources_from(listing: &str, host: &str, suite: &str) -> Vec<String> {
    let mut sources = Vec::new();
    for line in listing.lines() {
        let mut fields = line.split('|');
        let (Some("Debian"), Some(uri), Some(release), Some(component)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if let Some(part) = release.strip_prefix(host)
            && component == "main"
        {
            let source = format!(
                "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {uri} {suite}{part} {component}"
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

/// The release of Debian that the host is.
pub(crate) fn host_suite() -> Result<String> {
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
        let sources = sources_from(listing, "bookworm", "bookworm");
        assert_eq!(sources.len(), 1);
        assert!(sources[0].ends_with("http://archive.invalid/debian/ bookworm main"));
    }

    #[test]
    fn takes_another_release_from_where_the_hosts_own_comes_from() {
        let listing = "Debian|http://archive.invalid/debian/|bookworm|main\n\
                       Debian|http://archive.invalid/security/|bookworm-security|main\n";
        let sources = sources_from(listing, "bookworm", "trixie");
        assert_eq!(sources.len(), 2);
        assert!(sources[0].ends_with("http://archive.invalid/debian/ trixie main"));
        assert!(sources[1].ends_with("http://archive.invalid/security/ trixie-security main"));
    }
}
