//! Whether an account may log in, whatever its credentials are.

use crate::access::{AccessRule, AccessRules, Source};
use crate::account::Account;
use crate::bounded::NotDone;
use crate::method::{ForcedCommand, Method};
use crate::printable::Printable;
use crate::shell::Shell;
use config::sshd::{PermitRootLogin, SshdConfig};
use std::path::PathBuf;
use thiserror::Error;

/// What is configured about accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// PermitRootLogin.
    pub permit_root_login: PermitRootLogin,
    /// AllowUsers and its kin.
    access: AccessRules,
}

impl Policy {
    /// The policy of a configuration.
    #[must_use]
    pub fn of(config: &SshdConfig) -> Self {
        Self {
            permit_root_login: config.permit_root_login,
            access: AccessRules::of(config),
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
    #[error("User {user} not allowed because account may be locked: {why}")]
    StateUnknown {
        /// The account's name.
        user: String,
        /// Why it cannot be told.
        why: String,
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

/// Whether an account can be used, by whatever method, as far as shadow(5) goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountState {
    /// PAM judges that, as in OpenSSH (UsePAM yes).
    LeftToPam,
    /// It can.
    Usable,
    /// The password field says that it is locked, sshd(8).
    Locked,
    /// Its last day has passed.
    Expired,
    /// It cannot be told, and why not. It may be locked.
    Unknown(String),
}

/// Somebody who wants to log in to an account.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// To which.
    pub account: &'a Account,
    /// The names of the account's groups. May be left empty if no configuration asks for them.
    pub groups: &'a [String],
    /// What shadow(5) says about it.
    pub state: &'a AccountState,
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
    match denial(login, policy) {
        Some(denial) => Permission::Denied(denial),
        None => Permission::Permitted(PermittedAccount {
            account: login.account.clone(),
            permit_root_login: policy.permit_root_login,
        }),
    }
}

fn denial(login: Login<'_>, policy: &Policy) -> Option<Denial> {
    let Login {
        account,
        groups,
        state,
        shell,
        source,
    } = login;
    if let Some(denial) = locked_or_expired(account, state) {
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

fn locked_or_expired(account: &Account, state: &AccountState) -> Option<Denial> {
    let user = account.name.clone();
    match state {
        AccountState::LeftToPam | AccountState::Usable => None,
        AccountState::Locked => Some(Denial::Locked { user }),
        AccountState::Expired => Some(Denial::Expired { user }),
        AccountState::Unknown(why) => {
            let why = why.clone();
            Some(Denial::StateUnknown { user, why })
        }
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

    fn login<'a>(account: &'a Account, source: &'a Source) -> Login<'a> {
        Login {
            account,
            groups: &[],
            state: &AccountState::Usable,
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
        }
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
            let denial = denial(login, &policy(PermitRootLogin::No)).unwrap();
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
    fn an_account_that_is_or_may_be_locked_is_refused_and_says_so() {
        for (state, words) in [
            (AccountState::Usable, None),
            (AccountState::LeftToPam, None),
            (
                AccountState::Locked,
                Some("User u not allowed because account is locked"),
            ),
            (AccountState::Expired, Some("Account u has expired")),
            (
                AccountState::Unknown("no answer".to_owned()),
                Some("User u not allowed because account may be locked: no answer"),
            ),
        ] {
            let (account, source) = (account(1000, "/bin/sh"), source());
            let login = Login {
                state: &state,
                ..login(&account, &source)
            };
            let denial = denial(login, &policy(PermitRootLogin::Yes));
            assert_eq!(denial.map(|denial| denial.to_string()).as_deref(), words);
        }
    }
}
