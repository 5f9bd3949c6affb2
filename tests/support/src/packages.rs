//! Debian packages that one suite alone needs, put on its machine: the base tree that all suites share stays small.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::machine::Machine;
use crate::progress::Step;
use crate::{base, cache, debian};

/// Where the packages are in the machine while they are installed.
const INSIDE: &str = "/var/tmp/packages";

/// What tests do not read.
const UNREAD: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// How long unpacking may take. Ten seconds is usual for a hundred packages.
const DEADLINE: Duration = Duration::from_secs(300);

/// What to install.
#[derive(Debug, Clone, Copy)]
pub struct Packages {
    /// The packages. What they depend on and the base tree lacks comes with them; what they recommend does not.
    pub names: &'static [&'static str],
    /// Dependencies that are large and that the suite never uses: empty packages take their place.
    pub without: &'static [&'static str],
}

impl Machine {
    /// Installs packages of the machine's own release. They are fetched once for each host: the machine has no network.
    pub fn install_packages(&self, packages: Packages) -> Result<()> {
        let suite = base::suite()?;
        let tree = base::ensure_tree()?;
        let hash = cache::recipe_hash(
            [tree.to_string_lossy().as_ref(), "without"]
                .into_iter()
                .chain(packages.without.iter().copied())
                .chain(["names"])
                .chain(packages.names.iter().copied()),
        );
        let archives = cache::ensure(&format!("packages-{suite}-{hash:016x}"), |into| {
            fs::create_dir_all(into)?;
            for name in packages.without {
                stand_in(name, into)?;
            }
            debian::download(&suite, &tree, packages.names, into)
        })?;
        let step = Step::begin(format!("installing {}", packages.names.join(" ")));
        let target = self.root().join(INSIDE.trim_start_matches('/'));
        let copied = Command::new("cp")
            .arg("-r")
            .args([&archives, &target])
            .status()?;
        ensure!(copied.success(), "cp: {copied}");
        // Not apt: there is nothing left to resolve, and dpkg need not make sure that anything survives a power cut.
        self.command(["dpkg", "--force-unsafe-io"])
            .args(UNREAD.iter().map(|path| format!("--path-exclude={path}")))
            .args(["--install", "--recursive", INSIDE])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .deadline(DEADLINE)
            .run()?
            .success()?;
        fs::remove_dir_all(&target)?;
        step.done();
        Ok(())
    }
}

/// Makes an empty package of this name, newer than any.
fn stand_in(name: &str, into: &Path) -> Result<()> {
    let tree = into.join(name);
    fs::create_dir_all(tree.join("DEBIAN"))?;
    let architecture = Command::new("dpkg").arg("--print-architecture").output()?;
    let control = format!(
        "Package: {name}\n\
         Version: 9999\n\
         Architecture: {}\n\
         Multi-Arch: same\n\
         Maintainer: nobody <nobody@localhost>\n\
         Description: nothing, in the place of what tests do not use\n",
        String::from_utf8_lossy(&architecture.stdout).trim()
    );
    fs::write(tree.join("DEBIAN/control"), control)?;
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .arg(&tree)
        .arg(into.join(format!("{name}.deb")))
        .stdout(Stdio::null())
        .status()
        .context("dpkg-deb")?;
    ensure!(built.success(), "dpkg-deb: {built}");
    fs::remove_dir_all(tree)?;
    Ok(())
}
