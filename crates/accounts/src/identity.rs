//! A user's identity for one thread.
//!
//! On Linux credentials belong to threads. The thread that reads a user's files takes the user's groups and **effective**
//! ids, with which the kernel decides about files, and gives up the effective capabilities with them (capabilities(7)).
//! Its real and saved user id stay root's: the kernel decides by these who may send it a signal (kill(2)), and a signal to a
//! thread is one to its process. With the user's id there, a user could kill the monitor while it reads the user's files.
//! (OpenSSH's temporarily_use_uid does the same, for a whole process.)
//!
//! The identity is never given back: the thread ends. Nothing that a user chose is executed in it.

use crate::account::Account;
use rustix::process::geteuid;
use rustix::thread::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::io;
use thiserror::Error;

/// Why a thread does not have the user's identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The process is neither root nor this user.
    #[error("not permitted to act as uid {0}")]
    NotPermitted(u32),
    /// The kernel refused.
    #[error("cannot take the identity of uid {uid}: {error}")]
    Refused {
        /// The user.
        uid: u32,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

/// Gives the calling thread the identity of a user, for as long as the thread lives.
///
/// Needs CAP_SETUID and CAP_SETGID. A process that is not root has one identity only; there, nothing is changed if the
/// account is its own, which lets tests and a server run by a user work.
///
/// # Errors
///
/// If the thread does not have the identity. It must end then: it may have a part of it.
pub fn assume(account: &Account) -> Result<(), IdentityError> {
    let own = geteuid();
    if !own.is_root() {
        return if own.as_raw() == account.uid {
            Ok(())
        } else {
            Err(IdentityError::NotPermitted(account.uid))
        };
    }
    // setresuid(2) takes this value for "leave it as it is", which would be root. Lookup never returns it.
    if account.uid == u32::MAX || account.gid == u32::MAX || account.groups.contains(&u32::MAX) {
        return Err(IdentityError::NotPermitted(account.uid));
    }
    let refused = |error: rustix::io::Errno| IdentityError::Refused {
        uid: account.uid,
        error: error.into(),
    };
    let groups: Vec<Gid> = account.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    set_thread_groups(&groups).map_err(refused)?;
    set_thread_res_gid(None, gid, None).map_err(refused)?;
    set_thread_res_uid(None, uid, None).map_err(refused)?;
    if geteuid() == uid {
        Ok(())
    } else {
        Err(IdentityError::NotPermitted(account.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn nobody() -> Account {
        Account {
            name: "nobody".to_owned(),
            uid: 65_534,
            gid: 65_534,
            groups: vec![65_534],
            home: PathBuf::from("/nonexistent"),
            shell: PathBuf::from("/bin/sh"),
        }
    }

    /// The line of `/proc/thread-self/status` that begins with `name`.
    fn status(name: &str) -> Vec<String> {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn root_becomes_the_user_for_files_but_not_for_signals_and_only_in_this_thread() {
        if !geteuid().is_root() {
            return;
        }
        std::thread::spawn(|| {
            assume(&nobody()).unwrap();
            // real, effective, saved, file system
            assert_eq!(status("Uid:"), ["0", "65534", "0", "65534"]);
            assert_eq!(status("Gid:"), ["0", "65534", "0", "65534"]);
            assert_eq!(status("Groups:"), ["65534"]);
            assert_eq!(status("CapEff:"), ["0000000000000000"]);
        })
        .join()
        .unwrap();
        assert_eq!(status("Uid:"), ["0", "0", "0", "0"]);
    }

    #[test]
    fn the_reserved_id_does_not_leave_the_thread_root() {
        if !geteuid().is_root() {
            return;
        }
        std::thread::spawn(|| {
            assert!(
                assume(&Account {
                    uid: u32::MAX,
                    ..nobody()
                })
                .is_err()
            );
            assert!(
                assume(&Account {
                    gid: u32::MAX,
                    ..nobody()
                })
                .is_err()
            );
            assert!(
                assume(&Account {
                    groups: vec![u32::MAX],
                    ..nobody()
                })
                .is_err()
            );
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_process_without_privilege_can_only_be_itself() {
        let own = geteuid();
        if own.is_root() {
            return;
        }
        assert!(
            assume(&Account {
                uid: own.as_raw(),
                ..nobody()
            })
            .is_ok()
        );
        assert!(matches!(
            assume(&Account {
                uid: own.as_raw() + 1,
                ..nobody()
            }),
            Err(IdentityError::NotPermitted(_))
        ));
    }
}
