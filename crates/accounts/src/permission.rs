//! Whether an account may log in, whatever its credentials are.

use crate::access::{AccessRule, AccessRules, Source};
use crate::account::Account;
use crate::bounded::NotDone;
use crate::method::{ForcedCommand, Method};
use crate::printable::Printable;
use crate::shadow::{AccountState, Shadow};
use crate::shell::Shell;
use config::sshd::{PermitRootLogin, SshdConfig, YesNo};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Where passwords and their expiry are, shadow(5).
const SHADOW: &str = "/etc/shadow";

/// What is configured about accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// PermitRootLogin.
    pub permit_root_login: PermitRootLogin,
    /// UsePAM. With yes, PAM judges locked and expired accounts, as in OpenSSH.
    pub use_pam: YesNo,
    /// AllowUsers and its kin.
    access: AccessRules,
    /// `/etc/shadow`.
    pub shadow: PathBuf,
}

impl Policy {
    /// The policy of a configuration.
    #[must_use]
    pub fn of(config: &SshdConfig) -> Self {
        Self {
            permit_root_login: config.permit_root_login,
            use_pam: config.use_pam,
            access: AccessRules::of(config),
            shadow: PathBuf::from(SHADOW),
        }
    }
}

/// What [`login_permitted`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Permission {
    /// The account may log in, if its credentials are right.
    Permitted(PermittedAccount),
    /// It may not. The client must not learn this; the journal does.
    Denied(Denial),
}

/// Proof that an account may log in. Made by [`login_permitted`] only.
#[derive(Debug, PartialEq, Eq)]
pub struct PermittedAccount {
    account: Account,
    permit_root_login: PermitRootLogin,
}

impl PermittedAccount {
    /// The account.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether it may log in by this method (PermitRootLogin). sshd asks once the credential has turned out to be right.
    ///
    /// # Errors
    /// It is root's, and may not.
    pub fn permits(&self, method: Method, command: ForcedCommand) -> Result<(), Denial> {
        match self.account.uid == 0 && !method.opens_root(self.permit_root_login, command) {
            true => Err(Denial::Root),
            false => Ok(()),
        }
    }
}

/// Why an account may not log in. `Display` is OpenSSH's wording, without the address.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Denial {
    /// The shell is not there.
    #[error(
        "User {user} not allowed because shell {} does not exist",
        Printable(shell)
    )]
    ShellMissing {
        /// The account's name.
        user: String,
        /// Its shell.
        shell: PathBuf,
    },
    /// The shell is no program.
    #[error(
        "User {user} not allowed because shell {} is not executable",
        Printable(shell)
    )]
    ShellNotExecutable {
        /// The account's name.
        user: String,
        /// Its shell.
        shell: PathBuf,
    },
    /// It cannot be told whether there is a shell.
    #[error(
        "User {user} not allowed because shell {} cannot be looked at: {error}",
        Printable(shell)
    )]
    ShellUnknown {
        /// The account's name.
        user: String,
        /// Its shell.
        shell: PathBuf,
        /// Why not.
        error: NotDone,
    },
    /// The password field says so.
    #[error("User {user} not allowed because account is locked")]
    Locked {
        /// The account's name.
        user: String,
    },
    /// The day has passed that shadow(5) has for the account.
    #[error("Account {user} has expired")]
    Expired {
        /// The account's name.
        user: String,
    },
    /// It cannot be told whether the account is locked.
    #[error(
        "User {user} not allowed because {} cannot be read: {error}",
        Printable(path)
    )]
    ShadowUnreadable {
        /// The account's name.
        user: String,
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// AllowUsers and its kin.
    #[error("User {user} from {host} not allowed because {rule}")]
    Access {
        /// The account's name.
        user: String,
        /// Where the login comes from.
        host: String,
        /// Which of them.
        rule: AccessRule,
    },
    /// PermitRootLogin. (OpenSSH's line goes on with `FROM address port port`.)
    #[error("ROOT LOGIN REFUSED")]
    Root,
}

/// Somebody who wants to log in to an account.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// To which.
    pub account: &'a Account,
    /// The names of the account's groups. May be left empty if no configuration asks for them.
    pub groups: &'a [String],
    /// What its shell is.
    pub shell: Shell,
    /// From where.
    pub source: &'a Source,
}

/// Checks expiry, lock, shell, and AllowUsers and its kin, in OpenSSH's order. PermitRootLogin depends on the method:
/// [`PermittedAccount::permits`].
///
/// `/etc/nologin` and everything else that PAM's account modules know is theirs to judge, when the session is opened.
#[must_use]
pub fn login_permitted(login: Login<'_>, policy: &Policy) -> Permission {
    let today = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400);
    match denial(login, policy, today) {
        Some(denial) => Permission::Denied(denial),
        None => Permission::Permitted(PermittedAccount {
            account: login.account.clone(),
            permit_root_login: policy.permit_root_login,
        }),
    }
}

/// `today` in days since 1970, as shadow(5) counts.
fn denial(login: Login<'_>, policy: &Policy, today: u64) -> Option<Denial> {
    let Login {
        account,
        groups,
        shell,
        source,
    } = login;
    if policy.use_pam == YesNo::No
        && let Some(denial) = locked_or_expired(account, &policy.shadow, today)
    {
        return Some(denial);
    }
    if let Some(denial) = unusable_shell(account, shell) {
        return Some(denial);
    }
    if let Some(rule) = policy.access.denial(&account.name, groups, source) {
        return Some(Denial::Access {
            user: account.name.clone(),
            host: source.host.clone(),
            rule,
        });
    }
    None
}

fn unusable_shell(account: &Account, found: Shell) -> Option<Denial> {
    let (user, shell) = (account.name.clone(), account.shell.clone());
    match found {
        Shell::Usable => None,
        Shell::Missing => Some(Denial::ShellMissing { user, shell }),
        Shell::NotExecutable => Some(Denial::ShellNotExecutable { user, shell }),
        Shell::Unknown(error) => Some(Denial::ShellUnknown { user, shell, error }),
    }
}

fn locked_or_expired(account: &Account, shadow: &Path, today: u64) -> Option<Denial> {
    let user = account.name.clone();
    let state = match Shadow::find(shadow, &account.name) {
        Ok(found) => found.map(|shadow| shadow.account(today)),
        Err(error) => {
            return Some(Denial::ShadowUnreadable {
                user,
                path: shadow.to_owned(),
                error: error.to_string(),
            });
        }
    };
    match state {
        None | Some(AccountState::Usable) => None,
        Some(AccountState::Locked) => Some(Denial::Locked { user }),
        Some(AccountState::Expired) => Some(Denial::Expired { user }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(uid: u32, shell: &str) -> Account {
        Account {
            name: "u".to_owned(),
            uid,
            gid: uid,
            groups: vec![uid],
            home: PathBuf::from("/"),
            shell: PathBuf::from(shell),
        }
    }

    /// What keeps `account` out, on a day in 1970.
    fn denial(account: &Account, policy: &Policy, today: u64) -> Option<Denial> {
        let source = source();
        let login = login(account, &source);
        super::denial(login, policy, today)
    }

    fn login<'a>(account: &'a Account, source: &'a Source) -> Login<'a> {
        Login {
            account,
            groups: &[],
            shell: Shell::Usable,
            source,
        }
    }

    fn source() -> Source {
        Source {
            host: "192.0.2.7".to_owned(),
            address: "192.0.2.7".parse().ok(),
        }
    }

    fn policy(permit_root_login: PermitRootLogin) -> Policy {
        Policy {
            permit_root_login,
            access: AccessRules::default(),
            use_pam: YesNo::Yes,
            shadow: PathBuf::from("/nonexistent"),
        }
    }

    fn with_shadow(text: &str, today: u64) -> Option<Denial> {
        let name = format!(
            "accounts-shadow-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let policy = Policy {
            use_pam: YesNo::No,
            shadow: path.clone(),
            ..policy(PermitRootLogin::No)
        };
        let denial = denial(&account(1000, "/bin/sh"), &policy, today);
        std::fs::remove_file(path).unwrap();
        denial
    }

    #[test]
    fn an_ordinary_account_is_permitted() {
        let account = account(1000, "/bin/sh");
        let source = source();
        let login = login(&account, &source);
        let permission = login_permitted(login, &policy(PermitRootLogin::No));
        let Permission::Permitted(permitted) = permission else {
            panic!("{permission:?}")
        };
        assert_eq!(permitted.account(), &account);
    }

    #[test]
    fn a_shell_that_cannot_run_refuses() {
        let account = account(1000, "/bin/x");
        for (shell, words) in [
            (
                Shell::Missing,
                "User u not allowed because shell /bin/x does not exist",
            ),
            (
                Shell::NotExecutable,
                "User u not allowed because shell /bin/x is not executable",
            ),
            (
                Shell::Unknown(NotDone::TimedOut),
                "User u not allowed because shell /bin/x cannot be looked at: no answer in time",
            ),
        ] {
            let source = source();
            let login = Login {
                shell,
                ..login(&account, &source)
            };
            let denial = super::denial(login, &policy(PermitRootLogin::No), 0).unwrap();
            assert_eq!(denial.to_string(), words);
        }
    }

    #[test]
    fn what_root_may_not_others_may() {
        for (uid, expected) in [(0, Err(Denial::Root)), (1000, Ok(()))] {
            let (account, source) = (account(uid, "/bin/sh"), source());
            let policy = policy(PermitRootLogin::ProhibitPassword);
            let Permission::Permitted(permitted) =
                login_permitted(login(&account, &source), &policy)
            else {
                panic!("denied")
            };
            let permits = |method| permitted.permits(method, ForcedCommand::Absent);
            assert_eq!(permits(Method::Password), expected);
            assert_eq!(permits(Method::PublicKey), Ok(()));
        }
    }

    #[test]
    fn a_locked_account_is_refused_unless_pam_judges() {
        for field in ["!", "!$6$salt$hash", "!!", "*LK*"] {
            let denial = with_shadow(
                &format!("root:*:1::::::\nu:{field}:19000:0:99999:7:::\n"),
                20_000,
            );
            assert_eq!(
                denial,
                Some(Denial::Locked {
                    user: "u".to_owned()
                }),
                "{field}"
            );
        }
        for field in ["*", "$6$salt$hash", ""] {
            assert_eq!(
                with_shadow(&format!("uu:!:\nu:{field}:19000:0:99999:7:::\n"), 20_000),
                None,
                "{field}"
            );
        }
        let policy = Policy {
            shadow: PathBuf::from("/nonexistent"),
            ..policy(PermitRootLogin::No)
        };
        assert_eq!(denial(&account(1000, "/bin/sh"), &policy, 0), None);
    }

    #[test]
    fn an_expired_account_is_refused_the_day_after() {
        assert_eq!(with_shadow("u:*:19000:0:99999:7::20000:\n", 20_000), None);
        let expired = Some(Denial::Expired {
            user: "u".to_owned(),
        });
        assert_eq!(
            with_shadow("u:*:19000:0:99999:7::20000:\n", 20_001),
            expired
        );
    }

    #[test]
    fn a_shadow_file_that_cannot_be_read_refuses() {
        let policy = Policy {
            use_pam: YesNo::No,
            ..policy(PermitRootLogin::Yes)
        };
        let denial = denial(&account(1000, "/bin/sh"), &policy, 0);
        assert!(matches!(denial, Some(Denial::ShadowUnreadable { .. })));
    }
}
