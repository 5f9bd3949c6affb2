//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! NSS would need sockets to whichever service knows more accounts; the cage has none, for by a socket of this user one
//! reaches the user's service manager or agent, and thereby everything that the cage is to keep away. Other accounts
//! have numbers then. In a jail the files are the jail's, as with OpenSSH.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;

/// What is read of a file. The files of directory services are not these.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The account that this process runs for, which the session knows however NSS came to know it.
#[derive(Debug, Clone, Default)]
pub struct OwnAccount {
    /// Login name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Home directory.
    pub home: Vec<u8>,
}

impl OwnAccount {
    /// What the environment says, which the server has made.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).map(OsString::into_vec);
        Self {
            name: std::env::var("USER").unwrap_or_default(),
            uid: rustix::process::geteuid().as_raw(),
            home: variable("HOME").unwrap_or_default(),
        }
    }
}

/// The names that are known. The files are read when they are needed, and again when they changed.
#[derive(Debug, Default)]
pub(crate) struct Names {
    own: OwnAccount,
    users: Loaded<User>,
    groups: Loaded<String>,
}

#[derive(Debug)]
struct User {
    name: String,
    home: Vec<u8>,
}

/// One file and what it said.
#[derive(Debug)]
struct Loaded<T> {
    version: Option<Version>,
    by_id: HashMap<u32, T>,
}

/// By what a changed file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Self {
            version: None,
            by_id: HashMap::new(),
        }
    }
}

impl Names {
    pub(crate) fn new(own: OwnAccount) -> Self {
        Self {
            own,
            ..Self::default()
        }
    }

    /// Looks whether the files have changed. To be called once for each request that asks for names.
    pub(crate) fn refresh(&mut self) {
        self.users.refresh(USERS, user);
        self.groups.refresh(GROUPS, group);
    }

    pub(crate) fn user(&self, uid: u32) -> Option<&str> {
        match self.users.by_id.get(&uid) {
            Some(user) => Some(&user.name),
            None if uid == self.own.uid && !self.own.name.is_empty() => Some(&self.own.name),
            None => None,
        }
    }

    pub(crate) fn group(&self, gid: u32) -> Option<&str> {
        self.groups.by_id.get(&gid).map(String::as_str)
    }

    pub(crate) fn home(&self, name: &[u8]) -> Option<&[u8]> {
        if name == self.own.name.as_bytes() {
            return Some(&self.own.home);
        }
        let mut users = self.users.by_id.values();
        let user = users.find(|user| user.name.as_bytes() == name)?;
        Some(&user.home)
    }
}

impl<T> Loaded<T> {
    fn refresh(&mut self, path: &str, entry: impl Fn(&[u8]) -> Option<(u32, T)>) {
        let Some((mut file, version)) = open(path) else {
            *self = Self::default();
            return;
        };
        if self.version == Some(version) {
            return;
        }
        let mut text = Vec::new();
        self.by_id.clear();
        self.version = Some(version);
        // What cannot be read to its end is as good as what was read.
        drop(file.by_ref().take(FILE_LIMIT).read_to_end(&mut text));
        for (id, value) in text.split(|byte| *byte == b'\n').filter_map(entry) {
            // The first one counts, as with getpwuid(3).
            self.by_id.entry(id).or_insert(value);
        }
    }
}

fn open(path: &str) -> Option<(File, Version)> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let version = Version {
        inode: metadata.ino(),
        seconds: metadata.mtime(),
        nanoseconds: metadata.mtime_nsec(),
    };
    metadata.is_file().then_some((file, version))
}

/// A line of passwd(5).
fn user(line: &[u8]) -> Option<(u32, User)> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = name(fields.next()?)?;
    let uid = number(fields.nth(1)?)?;
    let home = fields.nth(2)?.to_vec();
    Some((uid, User { name, home }))
}

/// A line of group(5).
fn group(line: &[u8]) -> Option<(u32, String)> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = name(fields.next()?)?;
    Some((number(fields.nth(1)?)?, name))
}

/// `+` and `-` begin what NIS is to fill in.
fn name(field: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(field).ok()?;
    (!name.is_empty() && !name.starts_with(['+', '-', '#'])).then(|| name.to_owned())
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let (uid, root) = user(b"root:x:0:0:root:/root:/bin/bash").unwrap();
        assert_eq!(
            (uid, root.name.as_str(), root.home.as_slice()),
            (0, "root", b"/root".as_slice())
        );
        for line in [
            "",
            "#root:x:0:0::/:",
            "+::0:0::/:",
            "root:x:zero:0::/:",
            "root:x:0:0",
        ] {
            assert!(user(line.as_bytes()).is_none(), "{line}");
        }
        assert_eq!(group(b"adm:x:4:alice"), Some((4, "adm".to_owned())));
        assert_eq!(group(b"adm:x"), None);
    }

    #[test]
    fn the_own_account_is_known_without_a_file() {
        let names = Names::new(OwnAccount {
            name: "alice".into(),
            uid: 70_000,
            home: b"/home/alice".to_vec(),
        });
        assert_eq!(names.user(70_000), Some("alice"));
        assert_eq!(names.user(70_001), None);
        assert_eq!(names.home(b"alice"), Some(b"/home/alice".as_slice()));
        assert_eq!(names.home(b"bob"), None);
    }

    #[test]
    fn accounts_of_the_machine_are_read_from_its_files() {
        let mut names = Names::new(OwnAccount::default());
        names.refresh();
        assert_eq!(
            (names.user(0), names.group(0)),
            (Some("root"), Some("root"))
        );
        assert_eq!(names.home(b"root"), Some(b"/root".as_slice()));
    }
}
