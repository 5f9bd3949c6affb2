//! For tests: home directories, and keys, certificates and revocation lists made by ssh-keygen(1).

use crate::account::Account;
use base64ct::{Base64, Encoding};
use rustix::process::{getegid, geteuid};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of files, removed at the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("accounts-keygen-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A key pair.
    pub(crate) fn key(&self, name: &str) {
        self.keygen(&["-t", "ed25519", "-N", "", "-f", name]);
    }

    /// A certificate `a-AUTHORITY-SERIAL` for alice, whose key is `a`.
    pub(crate) fn certificate(&self, authority: &str, serial: &str) {
        let name = format!("a-{authority}-{serial}");
        std::fs::copy(self.0.join("a.pub"), self.0.join(format!("{name}.pub"))).unwrap();
        let (id, public) = (format!("id-{serial}"), format!("{name}.pub"));
        self.keygen(&[
            "-s", authority, "-I", &id, "-n", "alice", "-z", serial, &public,
        ]);
        let certificate = self.0.join(format!("{name}-cert.pub"));
        std::fs::rename(certificate, self.0.join(public)).unwrap();
    }

    /// A file with this text.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A revocation list with the name `list`, made from a specification.
    pub(crate) fn revocation_list(&self, options: &[&str], specification: &str) -> Vec<u8> {
        std::fs::write(self.0.join("specification"), specification).unwrap();
        self.keygen(&[&["-k", "-f", "list"], options, &["specification"]].concat());
        std::fs::read(self.0.join("list")).unwrap()
    }

    /// Whether ssh-keygen finds a key or certificate in a revocation list.
    pub(crate) fn is_revoked(&self, list: &str, name: &str) -> bool {
        let output = self.run(&["-Q", "-f", list, &format!("{name}.pub")]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match (text.contains("REVOKED"), text.trim_end().ends_with("ok")) {
            (true, false) => true,
            (false, true) => false,
            _ => panic!("{output:?}"),
        }
    }

    /// The line of a public key or certificate.
    pub(crate) fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(format!("{name}.pub"))).unwrap()
    }

    /// Its blob.
    pub(crate) fn blob(&self, name: &str) -> Vec<u8> {
        let line = self.public(name);
        Base64::decode_vec(line.split(' ').nth(1).unwrap()).unwrap()
    }

    /// Its fingerprint, `SHA256:…`.
    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let output = self.run(&["-l", "-f", &format!("{name}.pub")]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.split(' ').nth(1).unwrap().to_owned()
    }

    /// A file of known hosts with its names hashed.
    pub(crate) fn hashed_hosts(&self, text: &str) -> String {
        std::fs::write(self.0.join("known_hosts"), text).unwrap();
        self.keygen(&["-H", "-f", "known_hosts"]);
        std::fs::read_to_string(self.0.join("known_hosts")).unwrap()
    }

    fn keygen(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("ssh-keygen");
        command.current_dir(&self.0).args(arguments);
        command.output().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A home directory with `.ssh`, removed at the end. As root it belongs to an id that is not root's, so that every test
/// also shows that the identity is switched.
pub(crate) struct Home {
    pub(crate) root: PathBuf,
    pub(crate) account: Account,
}

impl Home {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root =
            std::env::temp_dir().join(format!("accounts-home-{}-{number}", std::process::id()));
        // Each test has a user of its own: the threads of a user are counted.
        let (uid, gid) = if geteuid().is_root() {
            (3_000_000 + number, 3_000_000)
        } else {
            (geteuid().as_raw(), getegid().as_raw())
        };
        let home = root.join("home");
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        let account = Account {
            name: "u".to_owned(),
            uid,
            gid,
            groups: vec![gid],
            home: home.clone(),
            shell: PathBuf::from("/bin/sh"),
        };
        let this = Self { root, account };
        for (path, mode) in [
            (this.root.clone(), 0o755),
            (home.clone(), 0o755),
            (home.join(".ssh"), 0o700),
        ] {
            this.give(&path, mode);
        }
        this
    }

    pub(crate) fn give(&self, path: &Path, mode: u32) {
        if geteuid().is_root() {
            chown(path, Some(self.account.uid), Some(self.account.gid)).unwrap();
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Writes a file of the home directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.account.home.join(name);
        std::fs::write(&path, text).unwrap();
        self.give(&path, 0o600);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.root));
    }
}
