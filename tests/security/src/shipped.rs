//! The programs and modules inside of the package under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use support::product::deb_under_test;

/// An ELF file of the package.
#[derive(Debug)]
pub struct Binary {
    /// Where the package installs it.
    pub installed: PathBuf,
    unpacked: PathBuf,
}

impl Binary {
    /// Names of the libraries that it asks the dynamic loader for (`NEEDED`), in its order.
    ///
    /// # Errors
    /// readelf(1) fails.
    pub fn libraries(&self) -> Result<Vec<String>> {
        let dynamic = self.readelf("--dynamic")?;
        let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
        Ok(needed
            .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
            .collect())
    }

    /// What readelf(1) says with this option.
    ///
    /// # Errors
    /// readelf(1) fails.
    pub fn readelf(&self, option: &str) -> Result<String> {
        let output = Command::new("readelf")
            .args(["--wide", option])
            .arg(&self.unpacked)
            .output()
            .context("readelf")?;
        ensure!(
            output.status.success(),
            "readelf {option} {}: {}",
            self.unpacked.display(),
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Unpacks the package below `scratch` and finds its ELF files.
///
/// # Errors
/// There is no package under test, or it cannot be unpacked.
pub fn binaries(scratch: &Path) -> Result<Vec<Binary>> {
    let deb = deb_under_test()?;
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    fs::create_dir_all(scratch)?;
    let unpacked = Command::new("dpkg-deb")
        .arg("--extract")
        .arg(&deb)
        .arg(scratch)
        .status()
        .context("dpkg-deb")?;
    ensure!(
        unpacked.success(),
        "dpkg-deb --extract {}: {unpacked}",
        deb.display()
    );
    let mut found = Vec::new();
    collect(scratch, scratch, &mut found)?;
    ensure!(!found.is_empty(), "no program in {}", deb.display());
    found.sort_by(|a, b| a.installed.cmp(&b.installed));
    Ok(found)
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Binary>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            collect(root, &path, found)?;
        } else if kind.is_file() && fs::read(&path)?.starts_with(b"\x7fELF") {
            found.push(Binary {
                installed: Path::new("/").join(path.strip_prefix(root)?),
                unpacked: path,
            });
        }
    }
    Ok(())
}
