//! Users of the machine, as the name service switch knows them (nsswitch.conf(5)).

use crate::bounded::{self, Asked, NotDone, Owner, number_of};
use nix::unistd::{Gid, Group, User, getgrouplist};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The longest user name, in bytes: LOGIN_NAME_MAX without its NUL.
const NAME_LIMIT: usize = 255;

/// The overflow user and group, which no account has.
const NOBODY: u32 = 65_534;

/// This machine's own accounts, passwd(5).
const PASSWD: &str = "/etc/passwd";

/// The shell of an account that names none, passwd(5).
const DEFAULT_SHELL: &str = "/bin/sh";

/// An account that exists. That says nothing about whether it may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name as the name service spells it, which can differ from what was asked for.
    pub name: String,
    /// User id. Never the reserved 2³²−1.
    pub uid: u32,
    /// Primary group id. Never the reserved 2³²−1.
    pub gid: u32,
    /// All groups, the primary one included.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// Why it is not known whether an account exists.
#[derive(Debug, Error)]
pub enum LookupError {
    /// The name service failed.
    #[error("cannot look up user: {0}")]
    NameService(#[source] std::io::Error),
    /// The name service failed to name a group.
    #[error("cannot look up groups: {0}")]
    Groups(#[source] std::io::Error),
    /// It did not answer in time, or too many questions are open.
    #[error("cannot look up user: {0}")]
    NotDone(#[from] NotDone),
}

/// Looks a user up. May block as long as the name service likes: see [`lookup_within`].
///
/// None if there is no such user, or if the name is one that must never be passed on: see `is_acceptable`.
///
/// # Errors
///
/// If the name service fails. For who waits at the other end of a connection, this has to look like no such user.
pub fn lookup(name: &str) -> Result<Option<Account>, LookupError> {
    if !is_acceptable(name) {
        return Ok(None);
    }
    let failed = |error: nix::errno::Errno| LookupError::NameService(error.into());
    let Some(user) = User::from_name(name).map_err(failed)? else {
        // The same question as for a user who exists: the time must not tell.
        drop(getgrouplist(c"nobody", Gid::from_raw(NOBODY)));
        return Ok(None);
    };
    // The answer is passed on to systemd and to setresuid(2); it is held to the same rules as the question.
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    if !is_acceptable(&user.name) || uid == u32::MAX || gid == u32::MAX {
        return Ok(None);
    }
    let Ok(c_name) = CString::new(user.name.as_str()) else {
        return Ok(None);
    };
    let groups = getgrouplist(&c_name, user.gid).map_err(failed)?;
    let shell = if user.shell.as_os_str().is_empty() {
        PathBuf::from(DEFAULT_SHELL)
    } else {
        user.shell
    };
    Ok(Some(Account {
        name: user.name,
        uid,
        gid,
        groups: groups
            .into_iter()
            .map(Gid::as_raw)
            .filter(|gid| *gid != u32::MAX)
            .collect(),
        home: user.dir,
        shell,
    }))
}

/// [`lookup`] in a thread that is abandoned when `timeout` has passed.
///
/// # Errors
///
/// As [`lookup`], and if there is no answer in time.
pub fn lookup_within(name: &str, timeout: Duration) -> Result<Option<Account>, LookupError> {
    if !is_acceptable(name) {
        return Ok(None);
    }
    let name = name.to_owned();
    let owner = Owner::NameService(asked(&name, Path::new(PASSWD)));
    bounded::run(owner, timeout, move || lookup(&name))?
}

/// Where a name is known. Who asks pays for it: names of this machine, and root's of these, must not have to wait for others.
fn asked(name: &str, passwd: &Path) -> Asked {
    // A file that cannot be read leaves root with the share of others.
    let file = std::fs::read(passwd).unwrap_or_default();
    let uid = file.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        (fields.next()? == name.as_bytes()).then(|| fields.nth(1).unwrap_or_default())
    });
    match uid {
        Some(b"0") => Asked::Root,
        Some(_) => Asked::Local(number_of(name)),
        None => Asked::Elsewhere(number_of(name)),
    }
}

/// The names of groups. One without a name is left out, as by OpenSSH. May block: see [`group_names_within`].
///
/// # Errors
///
/// If the name service fails: who is in a group that cannot be named may be somebody to keep out.
pub fn group_names(groups: &[u32]) -> Result<Vec<String>, LookupError> {
    let name = |gid: &u32| {
        let group = Group::from_gid(Gid::from_raw(*gid));
        let name = group.map(|group| group.map(|group| group.name));
        name.map_err(|error| LookupError::Groups(error.into()))
    };
    groups
        .iter()
        .filter_map(|gid| name(gid).transpose())
        .collect()
}

/// [`group_names`], those of the user `name`, in a thread that is abandoned when `timeout` has passed.
///
/// # Errors
///
/// As [`group_names`], and if there is no answer in time.
pub fn group_names_within(
    name: &str,
    groups: &[u32],
    timeout: Duration,
) -> Result<Vec<String>, LookupError> {
    let groups = groups.to_owned();
    let owner = Owner::NameService(asked(name, Path::new(PASSWD)));
    bounded::run(owner, timeout, move || group_names(&groups))?
}

/// Whether a name can be that of an account for every program that gets to see it.
///
/// systemd takes an all-digit `User=` for a user id, so that a directory server with an account named `0` would hand out
/// root; a leading `-` is an option for many programs; `:` and line feeds separate in passwd(5); `/` and `..` make other
/// paths of `AuthorizedKeysFile /etc/keys/%u`; a leading `+` is NIS's word for everybody.
fn is_acceptable(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
        && !name.starts_with(['-', '+'])
        && !name.contains(|c: char| c.is_control() || matches!(c, ':' | '/'))
        && !matches!(name, "." | "..")
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found() {
        let root = lookup("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert!(root.home.is_absolute() && root.shell.is_absolute());
        assert_eq!(
            lookup_within("root", Duration::from_secs(10)).unwrap(),
            Some(root)
        );
    }

    #[test]
    fn groups_are_named_and_those_without_a_name_left_out() {
        assert_eq!(group_names(&[0]).unwrap(), ["root"]);
        let unused = 3_999_999_999;
        assert_eq!(group_names(&[unused, 0]).unwrap(), ["root"]);
        assert_eq!(
            group_names_within("root", &[0], Duration::from_secs(10)).unwrap(),
            ["root"]
        );
    }

    #[test]
    fn names_of_this_machine_and_roots_have_room_of_their_own() {
        let passwd = std::env::temp_dir().join(format!("accounts-passwd-{}", std::process::id()));
        std::fs::write(
            &passwd,
            "root:x:0:0::/:/bin/sh\ntoor::0:0\nbob:x:1000:0\nbad\n",
        )
        .unwrap();
        for (name, expected) in [
            ("root", Asked::Root),
            ("toor", Asked::Root),
            ("bob", Asked::Local(number_of("bob"))),
            ("bad", Asked::Local(number_of("bad"))),
            ("bo", Asked::Elsewhere(number_of("bo"))),
            ("bob2", Asked::Elsewhere(number_of("bob2"))),
        ] {
            assert_eq!(asked(name, &passwd), expected, "{name}");
        }
        std::fs::remove_file(passwd).unwrap();
    }

    #[test]
    fn an_unknown_user_is_none_and_no_error() {
        assert_eq!(lookup("no-such-user-here").unwrap(), None);
        assert_eq!(lookup("root ").unwrap(), None);
    }

    #[test]
    fn names_with_a_meaning_elsewhere_are_not_asked_for() {
        let long = "x".repeat(NAME_LIMIT + 1);
        for name in [
            "",
            "0",
            "1000",
            "-root",
            "+",
            "a:b",
            "../etc",
            "a/b",
            "..",
            ".",
            "a\nb",
            "a\0b",
            long.as_str(),
        ] {
            assert!(!is_acceptable(name), "{name:?}");
            assert_eq!(lookup(name).unwrap(), None);
        }
        for name in [
            "root",
            "_apt",
            "DOM\\user",
            "user@example.org",
            "jürgen",
            "a b",
            "x11",
        ] {
            assert!(is_acceptable(name), "{name:?}");
        }
    }
}
