//! `cargo xtask deb`: the Debian package, staged file by file and packed by dpkg-deb.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use support::host;
use support::progress::Step;

use crate::workspace::{self, cargo, output, run};

/// Debian packages that building the product and its package takes, beyond Rust.
pub(crate) const BUILD_PACKAGES: &[&str] = &[
    "binutils",
    "dpkg-dev",
    "gcc",
    "gzip",
    "libc6-dev",
    "libcrypt-dev",
    "libpam0g-dev",
];

/// The programs, each with its package. Every one is built by a cargo invocation of its own: in a common one cargo
/// would unite the features of shared dependencies, and code that only one process may contain (a runtime that makes
/// sockets, say) would be linked into all.
const PROGRAMS: &[&str] = &[
    "preauth",
    "monitor",
    "session",
    "pam",
    "sftp",
    "accounting",
    "wtmpdb",
];

/// The package of what people and systemd start, and where its programs go.
const COMMANDS: (&str, &[(&str, &str)]) = (
    "cli",
    &[
        ("sshd-privsep", "usr/sbin"),
        ("sshd-privsepctl", "usr/bin"),
        (
            "sshd-privsep-generator",
            "usr/lib/systemd/system-generators",
        ),
    ],
);

/// The PAM module's package.
const PAM_MODULE: &str = "pam_sshd_privsep";

/// How optimised the package's programs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What ships, and what the tests run.
    Release,
    /// Quick to build, for a developer's loop.
    Dev,
}

impl Profile {
    fn flag(self) -> &'static str {
        match self {
            Self::Release => "--profile=release",
            Self::Dev => "--profile=dev",
        }
    }

    fn directory(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// Builds programs and package; returns the path of the .deb.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    host::ensure_packages(BUILD_PACKAGES)?;
    for package in PROGRAMS.iter().chain([&COMMANDS.0, &PAM_MODULE]) {
        let step = Step::begin(format!("building {package}"));
        run(&mut cargo(&[
            "build",
            "--quiet",
            "--locked",
            profile.flag(),
            "-p",
            package,
        ])?)?;
        step.done();
    }
    let step = Step::begin("packing the .deb");
    let deb = pack(profile)?;
    step.done();
    Ok(deb)
}

/// Builds the worker that tries its own cage (feature `cage-probe`), and puts it where no package
/// takes it from.
pub(crate) fn build_probe() -> Result<PathBuf> {
    let directory = workspace::target_directory()?.join("cage-probe");
    build_aside(Profile::Release, "preauth", "cage-probe", &directory)?;
    Ok(directory.join("preauth"))
}

/// Builds the programs whose refusals take a time that tells who exists (features `without-delays`
/// and `without-dummy-work`), and returns where they are: where no package takes them from.
pub(crate) fn build_timing_control(profile: Profile) -> Result<PathBuf> {
    let directory = workspace::target_directory()?.join("timing-control");
    build_aside(profile, "monitor", "without-delays", &directory)?;
    build_aside(profile, "pam", "without-dummy-work", &directory)?;
    Ok(directory)
}

fn build_aside(profile: Profile, package: &str, feature: &str, directory: &Path) -> Result<()> {
    let step = Step::begin(format!("building {package} {feature}"));
    run(&mut cargo(&[
        "build",
        "--quiet",
        "--locked",
        profile.flag(),
        "-p",
        package,
        "--features",
        feature,
    ])?)?;
    fs::create_dir_all(directory)?;
    let built = workspace::target_directory()?.join(profile.directory());
    fs::copy(built.join(package), directory.join(package))?;
    step.done();
    Ok(())
}

fn pack(profile: Profile) -> Result<PathBuf> {
    let source = workspace::root()?;
    let debian = workspace::target_directory()?.join("debian");
    let built = workspace::target_directory()?.join(profile.directory());
    let stage = Stage::new(debian.join("stage"))?;

    let mut binaries = Vec::new();
    for program in PROGRAMS {
        let to = format!("usr/libexec/sshd-privsep/{program}");
        binaries.push(stage.binary(&built.join(program), &to, 0o755)?);
    }
    for (command, directory) in COMMANDS.1 {
        let to = format!("{directory}/{command}");
        binaries.push(stage.binary(&built.join(command), &to, 0o755)?);
    }
    let triplet = dpkg_architecture("DEB_HOST_MULTIARCH")?;
    let to = format!("usr/lib/{triplet}/security/{PAM_MODULE}.so");
    binaries.push(stage.binary(&built.join(format!("lib{PAM_MODULE}.so")), &to, 0o644)?);

    let units = source.join("units");
    for entry in sorted(&units)? {
        let name = file_name(&entry)?;
        let to = match name.as_str() {
            "sysusers.d" | "tmpfiles.d" => format!("usr/lib/{name}"),
            "system-preset" => "usr/lib/systemd/system-preset".to_owned(),
            _ => format!("usr/lib/systemd/system/{name}"),
        };
        stage.copy(&entry, &to)?;
    }
    let packaging = source.join("packaging");
    stage.copy(&packaging.join("pam.d"), "etc/pam.d")?;
    stage.copy(
        &packaging.join("sshd_config"),
        "usr/share/sshd-privsep/sshd_config",
    )?;
    stage.copy(&packaging.join("catalog"), "usr/lib/systemd/catalog")?;
    for page in sorted(&packaging.join("man"))? {
        let name = file_name(&page)?;
        let section = page
            .extension()
            .context("man page without section")?
            .display();
        stage.compressed(&page, &format!("usr/share/man/man{section}/{name}.gz"))?;
    }
    let doc = "usr/share/doc/sshd-privsep";
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        stage.copy(&packaging.join(licence), &format!("{doc}/{licence}"))?;
    }
    stage.copy(
        &packaging.join("deb/copyright"),
        &format!("{doc}/copyright"),
    )?;
    stage.copy(
        &packaging.join("fail2ban.conf"),
        &format!("{doc}/examples/fail2ban.conf"),
    )?;
    stage.compressed(&packaging.join("changelog"), &format!("{doc}/changelog.gz"))?;

    let architecture = dpkg_architecture("DEB_HOST_ARCH")?;
    control_files(&stage, &packaging.join("deb"), &architecture, &binaries)?;
    let deb = debian.join(format!(
        "sshd-privsep_{}_{architecture}.deb",
        env!("CARGO_PKG_VERSION")
    ));
    output(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(&stage.root)
            .arg(&deb),
    )?;
    fs::remove_dir_all(&stage.root)?;
    Ok(deb)
}

/// The files under DEBIAN/: what dpkg itself reads.
fn control_files(
    stage: &Stage,
    from: &Path,
    architecture: &str,
    binaries: &[PathBuf],
) -> Result<()> {
    let libraries = shared_libraries(stage, binaries)?;
    let size = output(
        Command::new("du")
            .args(["-sk", "--apparent-size"])
            .arg(&stage.root),
    )?;
    let size = size.split_whitespace().next().context("du said nothing")?;
    let control = fs::read_to_string(from.join("control"))?
        .replace("${Version}", env!("CARGO_PKG_VERSION"))
        .replace("${Architecture}", architecture)
        .replace("${Installed-Size}", size)
        .replace("${shlibs:Depends}", &libraries);
    ensure!(!control.contains("${"), "control: a placeholder is left");
    stage.write("DEBIAN/control", control.as_bytes(), 0o644)?;
    stage.copy(&from.join("conffiles"), "DEBIAN/conffiles")?;
    for script in ["postinst", "prerm", "postrm"] {
        stage.write(
            &format!("DEBIAN/{script}"),
            &fs::read(from.join(script))?,
            0o755,
        )?;
    }
    // For `dpkg --verify`, which tells an administrator that a file was changed.
    let script = "find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\\0' | sort -z | xargs -0 md5sum";
    let sums = output(
        Command::new("sh")
            .args(["-c", script])
            .current_dir(&stage.root),
    )?;
    stage.write("DEBIAN/md5sums", sums.as_bytes(), 0o644)
}

/// The packages of the shared libraries that the binaries link, with the versions that their symbols need.
fn shared_libraries(stage: &Stage, binaries: &[PathBuf]) -> Result<String> {
    // dpkg-shlibdeps wants a source package around it; this is the least that counts as one.
    let around = stage.root.with_extension("shlibdeps");
    fs::create_dir_all(around.join("debian"))?;
    fs::write(
        around.join("debian/control"),
        "Source: sshd-privsep\n\nPackage: sshd-privsep\nArchitecture: any\n",
    )?;
    let said = output(
        Command::new("dpkg-shlibdeps")
            .arg("-O")
            .args(binaries)
            .current_dir(&around),
    )?;
    fs::remove_dir_all(&around)?;
    let depends = said.trim().strip_prefix("shlibs:Depends=");
    Ok(depends
        .with_context(|| format!("dpkg-shlibdeps said {said:?}"))?
        .to_owned())
}

fn dpkg_architecture(variable: &str) -> Result<String> {
    let value = output(Command::new("dpkg-architecture").arg(format!("-q{variable}")))?;
    Ok(value.trim().to_owned())
}

/// The tree that becomes the package's content. Modes are set here, not taken from the checkout, whose umask is the
/// developer's.
struct Stage {
    root: PathBuf,
}

impl Stage {
    fn new(root: PathBuf) -> Result<Self> {
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir_all(&root)?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        Ok(Self { root })
    }

    fn write(&self, to: &str, content: &[u8], mode: u32) -> Result<()> {
        let path = self.root.join(to);
        self.parents(&path)?;
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    /// Copies a file, a link as such, or a directory with all that is in it.
    fn copy(&self, from: &Path, to: &str) -> Result<()> {
        if from.is_symlink() {
            let path = self.root.join(to);
            self.parents(&path)?;
            let target = fs::read_link(from)?;
            return symlink(target, &path).with_context(|| path.display().to_string());
        }
        if from.is_dir() {
            for entry in sorted(from)? {
                self.copy(&entry, &format!("{to}/{}", file_name(&entry)?))?;
            }
            return Ok(());
        }
        let content = fs::read(from).with_context(|| from.display().to_string())?;
        self.write(to, &content, 0o644)
    }

    fn binary(&self, from: &Path, to: &str, mode: u32) -> Result<PathBuf> {
        self.write(
            to,
            &fs::read(from).with_context(|| from.display().to_string())?,
            mode,
        )?;
        let path = self.root.join(to);
        output(
            Command::new("strip")
                .args(["--strip-unneeded", "--remove-section=.comment"])
                .arg(&path),
        )?;
        Ok(path)
    }

    fn compressed(&self, from: &Path, to: &str) -> Result<()> {
        // Without name and time, so that the same text gives the same bytes.
        let output = Command::new("gzip")
            .args(["-9", "-n", "-c"])
            .arg(from)
            .output()?;
        ensure!(output.status.success(), "gzip {} failed", from.display());
        self.write(to, &output.stdout, 0o644)
    }

    fn parents(&self, path: &Path) -> Result<()> {
        let mut missing: Vec<_> = path
            .ancestors()
            .skip(1)
            .take_while(|ancestor| *ancestor != self.root)
            .collect();
        missing.reverse();
        for directory in missing {
            if !directory.exists() {
                fs::create_dir(directory)?;
                fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| path.display().to_string())?.to_owned())
}
