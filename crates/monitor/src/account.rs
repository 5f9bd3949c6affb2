//! The account that a connection wants: looked up once, permitted or not, and its keys.
//!
//! Crate `accounts` does the checks and yields their proofs ([`PermittedAccount`], [`AuthorizedKey`]);
//! here they are bound to the user name of the connection, and here is the stand-in that unknown and
//! denied users get: an account that nobody has, with files that do not exist, for which the same
//! calls are made and the same work is done.

use std::sync::Arc;
use std::time::Duration;

use accounts::bounded::NotDone;
use accounts::{
    Account, AuthorizedKey, Denial, KeyRefusal, KeySearch, LookupError, Method, Permission,
    PermittedAccount, Verdict, find_key, login_permitted, lookup_within,
};
use tokio::time::sleep;
use wire::userauth::UserName;

use crate::policy::Policy;

/// How long the name service may take. LDAP over a slow line takes a second.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(10);

/// How long reading a user's files may take: a home directory may have to be mounted first.
const FILES_DEADLINE: Duration = Duration::from_secs(10);

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

/// Whether an account lists a key.
#[derive(Debug)]
pub enum Listing {
    /// It does.
    Listed(AuthorizedKey),
    /// It does not, or there is no account, or it cannot be told.
    NotListed,
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
}

/// Looks a user up and decides whether the account may be used with a public key.
pub async fn admit(user: &UserName, policy: &Policy) -> Standing {
    let rules = accounts::Policy::of(&policy.config);
    let name = user.as_str().to_owned();
    let work = move || match lookup_within(&name, LOOKUP_DEADLINE) {
        Ok(None) => Err(Refusal::Unknown),
        Err(error) => Err(Refusal::Unclear(error)),
        Ok(Some(account)) => match login_permitted(&account, &rules, Method::PublicKey) {
            Permission::Permitted(permitted) => Ok(permitted),
            Permission::Denied(denial) => Err(Refusal::Denied(denial)),
        },
    };
    let busy = |done: &Result<_, Refusal>| {
        let is_busy = |why: &LookupError| matches!(why, LookupError::NotDone(NotDone::Busy));
        matches!(done, Err(Refusal::Unclear(why)) if is_busy(why))
    };
    match blocking(work, busy).await {
        Some(Ok(permitted)) => Standing::Permitted(AccountProof {
            user: user.clone(),
            permitted,
        }),
        Some(Err(refusal)) => Standing::Refused(refusal),
        None => Standing::Refused(Refusal::Unclear(NotDone::Failed.into())),
    }
}

/// Looks for a key in the account's files, or in nobody's. What was not used comes with it.
pub async fn find(standing: &Standing, policy: &Policy, blob: &[u8]) -> (Listing, Vec<KeyRefusal>) {
    let account = match standing {
        Standing::Permitted(proof) => proof.account().clone(),
        Standing::Refused(_) => nobody(),
    };
    let files = Arc::new(policy.config.authorized_keys_files.clone());
    let (strict_modes, blob) = (policy.config.strict_modes, blob.to_vec());
    let work = move || find_key(&account, &files, strict_modes, &blob, FILES_DEADLINE);
    let busy = |search: &KeySearch| matches!(search.verdict, Verdict::Unknown(NotDone::Busy));
    let Some(search) = blocking(work, busy).await else {
        return (Listing::NotListed, Vec::new());
    };
    // Nobody's files list nothing, whatever was found in them.
    let listing = match (standing, search.verdict) {
        (Standing::Permitted(_), Verdict::Found(key)) => Listing::Listed(key),
        (Standing::Permitted(_), Verdict::NotFound | Verdict::Unknown(_))
        | (Standing::Refused(_), _) => Listing::NotListed,
    };
    (listing, search.refusals)
}

/// Runs `work` where blocking is permitted, and again while it is `busy`. `None`: it panicked.
async fn blocking<T: Send + 'static>(
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
fn nobody() -> Account {
    Account {
        name: "nobody".to_owned(),
        uid: 65534,
        gid: 65534,
        groups: vec![65534],
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    }
}
