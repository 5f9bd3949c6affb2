//! Debian's sshd, out of its package.

use crate::corpus::Case;
use config::sshd::{Offered, PamService, Range};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// nobody, who is enough for `sshd -T` and to whom no user and directory for privilege separation need be there.
const NOBODY: u32 = 65534;

/// A directory with Debian's sshd, and one for files.
pub(crate) struct Sshd {
    root: PathBuf,
    files: PathBuf,
}

impl Sshd {
    /// Takes the package from the archive of this machine, once.
    pub(crate) fn from_package() -> Self {
        static ROOT: OnceLock<PathBuf> = OnceLock::new();
        let root = ROOT.get_or_init(unpacked).clone();
        let name = format!(
            "sshd-configurations-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        let files = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&files).unwrap();
        let sshd = Self { root, files };
        let keygen = sshd.root.join("usr/bin/ssh-keygen");
        run(Command::new(keygen)
            .args(["-q", "-t", "ed25519", "-N", ""])
            .arg("-f")
            .arg(sshd.key()));
        // Who runs as another user than the key's owner is not asked for its mode.
        std::fs::set_permissions(sshd.key(), std::fs::Permissions::from_mode(0o644)).unwrap();
        sshd
    }

    fn key(&self) -> PathBuf {
        self.files.join("host_key")
    }

    /// Writes the files of a case; the main one is returned.
    pub(crate) fn write(&self, case: &Case) -> PathBuf {
        let directory = self.files.join("case");
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir_all(&directory).unwrap();
        let here = |text: &str| text.replace("{DIR}", directory.to_str().unwrap());
        for (name, text) in &case.files {
            std::fs::write(directory.join(name), here(text)).unwrap();
        }
        let main = directory.join("sshd_config");
        std::fs::write(&main, here(&case.text)).unwrap();
        main
    }

    /// What `sshd -T` prints, or why it does not.
    pub(crate) fn show(&self, file: &Path, connection: &str) -> Result<String, String> {
        let mut command = self.command();
        command.arg("-T").arg("-f").arg(file);
        if !connection.is_empty() {
            command.arg("-C").arg(connection);
        }
        let output = command.output().unwrap();
        match output.status.success() {
            true => {
                let text = String::from_utf8(output.stdout).unwrap();
                // The key of `-h`, without which nothing is printed where there are no host keys.
                Ok(text.replace(&format!("hostkey {}\n", self.key().display()), ""))
            }
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.root.join("usr/sbin/sshd"));
        command.arg("-h").arg(self.key()).current_dir("/");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// The keywords that its manual page has an entry for.
    pub(crate) fn keywords(&self) -> Vec<String> {
        let page = self.root.join("usr/share/man/man5/sshd_config.5.gz");
        let page = run(Command::new("gzip").arg("-dc").arg(page)).stdout;
        let page = String::from_utf8(page).unwrap();
        let (_, page) = page.split_once("\n.Sh DESCRIPTION\n").unwrap();
        let (page, _) = page.split_once("\n.Sh ").unwrap();
        let mut depth = 0;
        let mut keywords = Vec::new();
        for line in page.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                [".Bl", ..] => depth += 1,
                [".El", ..] => depth -= 1,
                // Lists within are of the values of a keyword.
                [".It", "Cm", keyword, ..] if depth == 1 => keywords.push((*keyword).to_owned()),
                _ => {}
            }
        }
        keywords
    }

    /// The algorithms that it has.
    pub(crate) fn algorithms(&self) -> Algorithms {
        let empty = self.files.join("empty");
        std::fs::write(&empty, "").unwrap();
        let shown = self.show(&empty, "").unwrap_or_else(|error| {
            panic!("sshd does not run (does it lack a library? apt-get install openssh-server has them all): {error}")
        });
        let default = |keyword: &str| {
            let line = shown
                .lines()
                .find_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '));
            names(line.unwrap().split(','))
        };
        let supported = |kind: &str| {
            let ssh = self.root.join("usr/bin/ssh");
            let output = run(Command::new(ssh).args(["-Q", kind]));
            names(String::from_utf8(output.stdout).unwrap().lines())
        };
        Algorithms {
            kex: (supported("kex"), default("kexalgorithms")),
            ciphers: (supported("cipher"), default("ciphers")),
            macs: (supported("mac"), default("macs")),
            host_key: (supported("key-sig"), default("hostkeyalgorithms")),
            pubkey: (supported("key-sig"), default("pubkeyacceptedalgorithms")),
            authority: (
                supported("key-sig")
                    .into_iter()
                    .filter(|name| !name.contains("-cert-"))
                    .collect(),
                default("casignaturealgorithms"),
            ),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.files));
    }
}

/// The directory with the programs, made if it is not there.
fn unpacked() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = target.join("debian-openssh");
    if !root.exists() {
        // Renamed when it is whole: another process may do the same now.
        let making = target.join(format!("debian-openssh.{}", std::process::id()));
        std::fs::create_dir_all(&making).unwrap();
        let packages = ["openssh-server", "openssh-client"];
        run(Command::new("apt-get")
            .arg("-q")
            .arg("download")
            .args(packages)
            .current_dir(&making));
        for entry in making.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg").arg("-x").args([&path, &making]));
            }
        }
        if std::fs::rename(&making, &root).is_err() {
            std::fs::remove_dir_all(&making).unwrap();
        }
    }
    root
}

/// Names, for as long as the test runs.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    names
        .map(|name| &*Box::leak(name.to_owned().into_boxed_str()))
        .collect()
}

type Names = (Vec<&'static str>, Vec<&'static str>);

/// Supported and default algorithms.
pub(crate) struct Algorithms {
    kex: Names,
    ciphers: Names,
    macs: Names,
    host_key: Names,
    pubkey: Names,
    authority: Names,
}

impl Algorithms {
    pub(crate) fn offered(&self) -> Offered<'_> {
        fn range((supported, default): &Names) -> Range<'_> {
            Range { supported, default }
        }
        Offered {
            kex: range(&self.kex),
            ciphers: range(&self.ciphers),
            macs: range(&self.macs),
            host_key: range(&self.host_key),
            pubkey: range(&self.pubkey),
            authority: range(&self.authority),
            pam_service: PamService::Sshd,
        }
    }
}

/// The groups of a user of this machine; of nobody none.
pub(crate) fn groups(user: &str) -> Vec<String> {
    let output = Command::new("id")
        .arg("-Gn")
        .arg("--")
        .arg(user)
        .output()
        .unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    names.split_whitespace().map(str::to_owned).collect()
}

fn is_root() -> bool {
    let output = run(Command::new("id").arg("-u"));
    output.stdout == b"0\n"
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
