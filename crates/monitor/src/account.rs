//! The account that a connection wants: looked up once, permitted or not. Its keys are looked for in
//! [`listing`](crate::listing).
//!
//! Crate `accounts` does the check and yields its proof ([`PermittedAccount`]); here it is bound to
//! the user name of the connection, and here is the stand-in that unknown and denied users get: an
//! account that nobody has, with files that do not exist, for which the same calls are made and the
//! same work is done.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use accounts::bounded::{NotDone, Owner};
use accounts::{
    Account, Denial, ForcedCommand, Login, LookupError, Method, Permission, PermittedAccount,
    Source, group_names_within, login_permitted, look_at_shell, lookup_within,
};
use tokio::time::sleep;
use wire::userauth::UserName;

use crate::audit::Validity;
use crate::open_session::Origin;
use crate::policy::Policy;
use crate::rules::{self, Rules};

/// How long the name service may take. LDAP over a slow line takes a second.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(10);

/// How long reading a user's files may take: a home directory may have to be mounted first.
pub(crate) const FILES_DEADLINE: Duration = Duration::from_secs(10);

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
/// such a user, they are evaluated as if there were not.
pub async fn admit(
    user: &UserName,
    policy: &Arc<Policy>,
    origin: Origin,
    source: &Source,
) -> (Arc<Rules>, Standing) {
    let (name, shared, from) = (user.clone(), Arc::clone(policy), source.clone());
    let work = move || {
        let found = look_up(&name, &shared);
        let (account, groups) = match &found {
            Ok((account, groups)) => (account, groups.as_slice()),
            Err(_) => (&None, [].as_slice()),
        };
        let criteria = rules::criteria(&name, account.as_ref(), groups.to_vec(), origin, &from);
        let rules = Arc::new(shared.rules(&criteria));
        // What is asked of an account is asked of nobody's, too.
        let (judged, owner) = match account {
            Some(account) => (account.clone(), Owner::User(account.uid)),
            None => (nobody(), Owner::Nobody(number_of(&name))),
        };
        let login = Login {
            account: &judged,
            groups,
            shell: look_at_shell(&judged, owner, FILES_DEADLINE),
            source: &from,
        };
        let permission = login_permitted(login, &accounts::Policy::of(&rules.config));
        let permitted = match (found, permission) {
            (Ok((None, _)), _) => Err(Refusal::Unknown),
            (Err(error), _) => Err(Refusal::Unclear(error)),
            (Ok((Some(_), _)), Permission::Permitted(permitted)) => Ok(permitted),
            (Ok((Some(_), _)), Permission::Denied(denial)) => Err(Refusal::Denied(denial)),
        };
        (rules, permitted)
    };
    let busy = |(_, done): &(_, Result<_, Refusal>)| match done {
        Err(Refusal::Unclear(LookupError::NotDone(why)))
        | Err(Refusal::Denied(Denial::ShellUnknown { error: why, .. })) => *why == NotDone::Busy,
        Ok(_) | Err(Refusal::Unclear(_) | Refusal::Unknown | Refusal::Denied(_)) => false,
    };
    match blocking(work, busy).await {
        Some((rules, Ok(permitted))) => {
            let user = user.clone();
            (rules, Standing::Permitted(AccountProof { user, permitted }))
        }
        Some((rules, Err(refusal))) => (rules, Standing::Refused(refusal)),
        None => {
            let criteria = rules::criteria(user, None, Vec::new(), origin, source);
            let refusal = Refusal::Unclear(NotDone::Failed.into());
            (
                Arc::new(policy.rules(&criteria)),
                Standing::Refused(refusal),
            )
        }
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
            group_names_within(&groups, LOOKUP_DEADLINE)?
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

/// Tells apart the names of those who are nobody. Two with the same number share what one has.
pub(crate) fn number_of(user: &UserName) -> u64 {
    let mut hasher = DefaultHasher::new();
    user.as_str().hash(&mut hasher);
    hasher.finish()
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
