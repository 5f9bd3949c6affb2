//! The account that a connection wants: looked up once, permitted or not. Its keys are looked for in
//! [`listing`](crate::listing).
//!
//! Crate `accounts` does the check and yields its proof ([`PermittedAccount`]); here it is bound to
//! the user name of the connection, and here is the stand-in that unknown and denied users get: an
//! account that nobody has, with files that do not exist, for which the same calls are made and the
//! same work is done.

use std::sync::Arc;
use std::time::Duration;

use accounts::bounded::{NotDone, Owner, number_of};
use accounts::{
    Account, AccountState, Denial, ForcedCommand, Login, LookupError, Method, Permission,
    PermittedAccount, Shell, Source, group_names_within, login_permitted, look_at_shell,
    lookup_within,
};
use rpc::Network;
use rpc::pam::{self, Authority, EmptyPasswords, RemoteName, Subject};
use tokio::time::{Instant, sleep, timeout_at};
use wire::userauth::UserName;

use crate::audit::Validity;
use crate::authenticate::Terms;
use crate::pam_process::{self, AccountPhase, Applicant};
use crate::policy::Policy;
use crate::rules::{self, Rules};
use crate::shares::{Share, Shares};
use crate::systemd::ServiceManager;

/// How long the name service may take. LDAP over a slow line takes a second.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(10);

/// Root's user id.
const ROOT: u32 = 0;

/// How long reading a user's files may take: a home directory may have to be mounted first.
pub(crate) const FILES_DEADLINE: Duration = Duration::from_secs(10);

/// How many accounts are asked about at the same time, and for one client. Each question is a process, and a stranger has
/// one started with each connection: that must not keep others from logging in.
static ROOM: Shares<Option<Network>> = Shares::new(32, 4);

/// How often and after how long a busy reader is asked again: many logins of one user at once are
/// honest, and each of them takes the reader for a millisecond.
const BUSY_RETRIES: u32 = 200;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Proof that an account may be used, for the user name that was asked for. Made by [`admit`] only.
#[derive(Debug)]
pub struct AccountProof {
    user: UserName,
    permitted: PermittedAccount,
}

/// Whether a user may try to log in at all. The client must not see the difference.
#[derive(Debug)]
pub enum Standing {
    /// There is such a user, who may.
    Permitted(AccountProof),
    /// There is not, or they may not.
    Refused(Refusal),
}

/// Why there is no account to log in to.
#[derive(Debug)]
pub enum Refusal {
    /// No such user.
    Unknown,
    /// The name service gave no answer.
    Unclear(LookupError),
    /// The account may not be used.
    Denied(Denial),
}

impl Standing {
    /// As the lines of the journal have it.
    pub fn validity(&self) -> Validity {
        match self {
            Self::Permitted(_) => Validity::Valid,
            Self::Refused(_) => Validity::Invalid,
        }
    }
}

impl AccountProof {
    /// The name that the client asked for.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The account of that name.
    pub fn account(&self) -> &Account {
        self.permitted.account()
    }

    /// Whether it may be used by this method.
    ///
    /// # Errors
    /// PermitRootLogin is against it.
    pub fn permits(&self, method: Method, command: ForcedCommand) -> Result<(), Denial> {
        self.permitted.permits(method, command)
    }
}

/// Looks a user up, evaluates the Match blocks for them, and decides whether the account may be used.
///
/// The blocks are evaluated for whatever name, as in sshd. When it cannot be told whether there is
/// such a user, they are evaluated as if there were not. What is asked of an account is asked of
/// nobody's, too.
pub async fn admit<M: ServiceManager>(
    user: &UserName,
    source: &Source,
    terms: Terms<'_, M>,
) -> (Arc<Rules>, Standing) {
    let (name, policy) = (user.clone(), Arc::clone(terms.policy));
    let busy =
        |found: &Result<_, LookupError>| matches!(found, Err(LookupError::NotDone(NotDone::Busy)));
    let found = blocking(move || look_up(&name, &policy), busy).await;
    let (account, groups, refusal) = match found {
        Some(Ok((Some(account), groups))) => (Some(account), groups, None),
        Some(Ok((None, _))) => (None, Vec::new(), Some(Refusal::Unknown)),
        Some(Err(error)) => (None, Vec::new(), Some(Refusal::Unclear(error))),
        None => {
            let error = NotDone::Failed.into();
            (None, Vec::new(), Some(Refusal::Unclear(error)))
        }
    };
    let criteria = rules::criteria(user, account.as_ref(), groups.clone(), terms.origin, source);
    let rules = Arc::new(terms.policy.rules(&criteria));
    let state = state(user, account.as_ref(), source, &rules, terms).await;
    let (judged, owner) = match account {
        Some(account) => {
            let owner = Owner::User(account.uid);
            (account, owner)
        }
        None => (nobody(), Owner::Nobody(number_of(user.as_str()))),
    };
    let (from, config) = (source.clone(), Arc::clone(&rules));
    let work = move || {
        let login = Login {
            account: &judged,
            groups: &groups,
            state: &state,
            // Of a jail's shell the host knows nothing. As in sshd, the login finds out.
            shell: match config.config.chroot_directory {
                Some(_) => Shell::Usable,
                None => look_at_shell(&judged, owner, FILES_DEADLINE),
            },
            source: &from,
        };
        login_permitted(login, &accounts::Policy::of(&config.config))
    };
    let busy = |permission: &Permission| {
        use Denial::ShellUnknown;
        let why = match permission {
            Permission::Denied(ShellUnknown { error, .. }) => Some(*error),
            Permission::Denied(_) | Permission::Permitted(_) => None,
        };
        why == Some(NotDone::Busy)
    };
    let permission = blocking(work, busy).await;
    let standing = match (refusal, permission) {
        (Some(refusal), _) => Standing::Refused(refusal),
        (None, Some(Permission::Permitted(permitted))) => Standing::Permitted(AccountProof {
            user: user.clone(),
            permitted,
        }),
        (None, Some(Permission::Denied(denial))) => Standing::Refused(Refusal::Denied(denial)),
        (None, None) => Standing::Refused(Refusal::Unclear(NotDone::Failed.into())),
    };
    (rules, standing)
}

/// Whether an account is locked or has expired: with UsePAM no asked of shadow(5), in whichever
/// directory the name service has it, by a process that may read it.
async fn state<M: ServiceManager>(
    user: &UserName,
    account: Option<&Account>,
    source: &Source,
    rules: &Rules,
    terms: Terms<'_, M>,
) -> AccountState {
    let authority = rules.authority();
    if authority != Authority::Shadow {
        return AccountState::LeftToPam;
    }
    // By the account's own spelling, as in sshd.
    let name = account.and_then(|account| UserName::new(&account.name).ok());
    let Some(remote_host) = RemoteName::new(&source.host) else {
        return AccountState::Unknown("name of the client's host".to_owned());
    };
    let applicant = Applicant {
        connection: terms.origin.id,
        authority,
        subject: match name {
            Some(_) => Subject::Somebody,
            None => Subject::Nobody,
        },
        user: name.unwrap_or_else(|| user.clone()),
        remote_host,
        remote_user: None,
        auth_info: String::new(),
        empty_passwords: EmptyPasswords::Refused,
    };
    let deadline = terms.deadline.min(Instant::now() + LOOKUP_DEADLINE);
    let _room = match room(account, terms.client(), deadline).await {
        Ok(room) => room,
        Err(error) => return AccountState::Unknown(error.to_string()),
    };
    match pam_process::account(terms.services, applicant, deadline).await {
        AccountPhase::Permitted { .. } | AccountPhase::PasswordExpired { .. } => {
            AccountState::Usable
        }
        AccountPhase::Refused(refused) => match refused.refusal {
            pam::Refusal::Locked => AccountState::Locked,
            pam::Refusal::Expired => AccountState::Expired,
            _ => AccountState::Unknown(refused.reason),
        },
        AccountPhase::Failed(failure) => AccountState::Unknown(failure.to_string()),
    }
}

/// Waits until an account may be asked about. Root does not wait: whatever else is asked, root gets in to mend it.
async fn room(
    account: Option<&Account>,
    client: Option<Network>,
    deadline: Instant,
) -> Result<Option<Share<'static>>, NotDone> {
    if account.is_some_and(|account| account.uid == ROOT) {
        return Ok(None);
    }
    match timeout_at(deadline, ROOM.enter(client)).await {
        Ok(Ok(share)) => Ok(Some(share)),
        Ok(Err(_closed)) => Err(NotDone::Failed),
        Err(_elapsed) => Err(NotDone::Busy),
    }
}

/// The account of a name and the names of its groups, if these can matter. Of nobody's groups the
/// names are asked for, too, so that the name service is asked the same questions for every name.
fn look_up(
    user: &UserName,
    policy: &Policy,
) -> Result<(Option<Account>, Vec<String>), LookupError> {
    let account = lookup_within(user.as_str(), LOOKUP_DEADLINE)?;
    let named = match policy.configuration.asks_for_groups() {
        true => {
            let groups = account
                .as_ref()
                .map_or_else(|| nobody().groups, |a| a.groups.clone());
            group_names_within(user.as_str(), &groups, LOOKUP_DEADLINE)?
        }
        false => Vec::new(),
    };
    let groups = if account.is_some() { named } else { Vec::new() };
    Ok((account, groups))
}

/// Runs `work` where blocking is permitted, and again while it is `busy`. `None`: it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl Fn() -> T + Clone + Send + 'static,
    busy: impl Fn(&T) -> bool,
) -> Option<T> {
    let mut done = tokio::task::spawn_blocking(work.clone()).await.ok()?;
    for _ in 0..BUSY_RETRIES {
        if !busy(&done) {
            break;
        }
        sleep(BUSY_PAUSE).await;
        done = tokio::task::spawn_blocking(work.clone()).await.ok()?;
    }
    Some(done)
}

/// An account that nobody has: the overflow user, with a home that does not exist.
pub(crate) fn nobody() -> Account {
    Account {
        name: "nobody".to_owned(),
        uid: 65534,
        gid: 65534,
        groups: vec![65534],
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_who_ask_for_many_accounts_delay_neither_others_nor_root() {
        let network = |address: &str| Some(Network::around(address.parse().unwrap(), 24));
        let (stranger, other) = (network("192.0.2.1"), network("198.51.100.1"));
        let soon = || Instant::now() + Duration::from_millis(50);
        let account = nobody();
        let mut asked = Vec::new();
        for number in 0..4 {
            let room = room(Some(&account), stranger, soon()).await;
            asked.push(room.unwrap_or_else(|_| panic!("{number}")));
        }
        // Another address of theirs.
        let neighbour = network("192.0.2.200");
        assert_eq!(
            room(None, neighbour, soon()).await.err(),
            Some(NotDone::Busy)
        );
        assert!(room(None, other, soon()).await.is_ok());
        let root = Account {
            uid: ROOT,
            ..nobody()
        };
        assert!(room(Some(&root), stranger, soon()).await.is_ok());
        asked.pop();
        assert!(room(None, stranger, soon()).await.is_ok());
    }
}
