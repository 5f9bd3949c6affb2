//! Whether a key may open an account, in sshd's order: it must not be revoked, and then a line of the
//! account's files has it, or a trusted authority certified it, or AuthorizedKeysCommand says so.
//!
//! The same is done for whoever asks. For those who are nobody the files are nobody's, and what they
//! say does not count; a command is not run, but its time passes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use accounts::bounded::{NotDone, Owner, number_of};
use accounts::revocation::{Presented, RevokedKey, Unrevoked, unrevoked};
use accounts::trusted_authorities::{TrustedAuthority, Untrusted, trusted_authority};
use accounts::{
    Account, AuthorizedKey, CertifiedQuery, FileError, KeyQuery, KeyRefusal, KeySearch,
    PrincipalRefusal, Principals, Source, Verdict, certified, find_key, find_key_in_lines,
    principals_in_lines, read_principals,
};
use config::authorized_keys::Principal;
use config::sshd::Template;
use thiserror::Error;
use wire::certificate::Certificate;
use wire::userauth::UserName;

use crate::account::{FILES_DEADLINE, Standing, blocking, nobody};
use crate::client_key::ClientKey;
use crate::command::{self, Purpose, Question};
use crate::open_session::Origin;
use crate::rules::Rules;
use crate::systemd::ServiceManager;

/// Whether an account lists a key.
#[derive(Debug)]
pub enum Listing {
    /// It does.
    Listed(Box<ListedKey>),
    /// It does not, or there is no account, or it cannot be told.
    NotListed,
}

/// Proof that a key may open an account and is not revoked. Made by [`find`] only.
#[derive(Debug)]
pub struct ListedKey {
    key: AuthorizedKey,
    unrevoked: Unrevoked,
}

impl ListedKey {
    /// Where it is listed, for whom, and under which constraints.
    pub fn key(&self) -> &AuthorizedKey {
        &self.key
    }

    /// The key or certificate, if both proofs are about the same.
    pub fn blob(&self) -> Option<&[u8]> {
        let blob = self.key.key_blob();
        (self.unrevoked.blob() == blob).then_some(blob)
    }
}

/// Something that the journal gets about a key that was looked for.
#[derive(Debug, Error)]
pub enum Remark {
    /// RevokedKeys.
    #[error(transparent)]
    Revoked(#[from] RevokedKey),
    /// A file or a line of keys was not used.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// A file or a line of principals was not used.
    #[error(transparent)]
    Principal(#[from] PrincipalRefusal),
    /// TrustedUserCAKeys does not have the authority.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
}

impl Remark {
    /// What the user may be told of it after the login. Of revoked keys and foreign authorities nothing, as with sshd.
    pub fn told(&self) -> Option<String> {
        match self {
            Self::Key(refusal) => refusal.told(),
            Self::Principal(refusal) => refusal.told(),
            Self::Revoked(_) | Self::Untrusted(_) => None,
        }
    }
}

/// Who presents which key.
pub struct Presentation<'a, M> {
    /// The name that binds the connection.
    pub user: &'a UserName,
    /// Whether there is such a user.
    pub standing: &'a Standing,
    /// What holds for the connection.
    pub rules: &'a Rules,
    /// The key.
    pub key: &'a ClientKey,
    /// Where the client is.
    pub source: &'a Source,
    /// The connection.
    pub origin: Origin,
    /// Who runs commands.
    pub services: &'a Arc<M>,
}

/// Looks for a key. What is to be logged comes with the answer.
pub async fn find<M: ServiceManager>(presentation: Presentation<'_, M>) -> (Listing, Vec<Remark>) {
    let Presentation {
        user,
        standing,
        rules,
        key,
        source,
        origin,
        services,
    } = presentation;
    let (account, owner) = on_account_of(user, standing);
    let mut search = Search {
        rules,
        standing,
        origin,
        services,
        owner,
        account,
        source: source.clone(),
        now: now(),
        remarks: Vec::new(),
    };
    let found = search.run(key).await;
    // Nobody's files list nothing, whatever was found in them.
    let listing = match (standing, found) {
        (Standing::Permitted(_), Some(listed)) => Listing::Listed(Box::new(listed)),
        (Standing::Permitted(_), None) | (Standing::Refused(_), _) => Listing::NotListed,
    };
    (listing, search.remarks)
}

/// Whose files are looked at for a user, and who pays for that.
pub(crate) fn on_account_of(user: &UserName, standing: &Standing) -> (Account, Owner) {
    match standing {
        Standing::Permitted(proof) => {
            let account = proof.account().clone();
            let owner = Owner::User(account.uid);
            (account, owner)
        }
        Standing::Refused(_) => (nobody(), Owner::Nobody(number_of(user.as_str()))),
    }
}

/// The proof that RevokedKeys does not name a key of a user or of a host.
///
/// # Errors
/// It does, or that cannot be told.
pub async fn not_revoked(rules: &Rules, blob: &[u8]) -> Result<Unrevoked, RevokedKey> {
    let files = Arc::new(rules.config.revoked_keys.clone());
    let first = files.first().cloned().unwrap_or_default();
    let blob = blob.to_vec();
    let work = move || unrevoked(&files, &blob, FILES_DEADLINE);
    let busy = |done: &Result<_, RevokedKey>| matches!(done, Err(RevokedKey::Unread { why, .. }) if is_busy(why));
    let failed = || RevokedKey::Unread {
        file: first,
        why: NotDone::Failed.into(),
    };
    blocking(work, busy).await.unwrap_or_else(|| Err(failed()))
}

fn is_busy(why: &FileError) -> bool {
    matches!(why, FileError::NotDone(NotDone::Busy))
}

/// Seconds since 1970. A clock before that is wrong: whatever expires has done so.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(u64::MAX, |since| since.as_secs())
}

/// One look for a key, on behalf of an account.
struct Search<'a, M> {
    rules: &'a Rules,
    standing: &'a Standing,
    origin: Origin,
    services: &'a Arc<M>,
    account: Account,
    owner: Owner,
    source: Source,
    now: u64,
    remarks: Vec<Remark>,
}

impl<M: ServiceManager> Search<'_, M> {
    async fn run(&mut self, key: &ClientKey) -> Option<ListedKey> {
        let unrevoked = match not_revoked(self.rules, key.blob()).await {
            Ok(unrevoked) => unrevoked,
            Err(revoked) => {
                self.remarks.push(revoked.into());
                return None;
            }
        };
        let found = match self.in_files(key).await {
            Some(found) => Some(found),
            None => match self.by_authority(key).await {
                Some(found) => Some(found),
                None => self.by_command(key).await,
            },
        };
        found.map(|key| ListedKey { key, unrevoked })
    }

    /// AuthorizedKeysFile: the key, or an authority that certified it.
    async fn in_files(&mut self, key: &ClientKey) -> Option<AuthorizedKey> {
        self.search(key, |query| find_key(query, FILES_DEADLINE))
            .await
    }

    /// AuthorizedKeysCommand: the same.
    async fn by_command(&mut self, key: &ClientKey) -> Option<AuthorizedKey> {
        let text = self.ask(Purpose::Keys, key).await?;
        let command = named(self.rules.config.authorized_keys_command.as_ref());
        self.search(key, move |query| find_key_in_lines(query, &command, &text))
            .await
    }

    async fn search(
        &mut self,
        key: &ClientKey,
        search: impl Fn(KeyQuery<'_>) -> KeySearch + Clone + Send + 'static,
    ) -> Option<AuthorizedKey> {
        let (account, owner, now) = (self.account.clone(), self.owner, self.now);
        let files = Arc::new(self.rules.config.authorized_keys_files.clone());
        let strict_modes = self.rules.config.strict_modes;
        let (key, source) = (Arc::new(key.clone()), Arc::new(self.source.clone()));
        let work = move || {
            search(KeyQuery {
                account: &account,
                owner,
                files: &files,
                strict_modes,
                presented: match &*key {
                    ClientKey::Plain(key) => Presented::Plain(key.blob()),
                    ClientKey::Certified(certified) => {
                        Presented::Certified(certified.certificate())
                    }
                },
                source: &source,
                now,
            })
        };
        let busy = |search: &KeySearch| matches!(search.verdict, Verdict::Unknown(NotDone::Busy));
        let KeySearch { verdict, refusals } = blocking(work, busy).await?;
        self.remarks.extend(refusals.into_iter().map(Remark::from));
        match verdict {
            Verdict::Found(key) => Some(key),
            Verdict::NotFound | Verdict::Unknown(_) => None,
        }
    }

    /// What a command of the configuration says about the key.
    async fn ask(&self, purpose: Purpose, key: &ClientKey) -> Option<Vec<u8>> {
        let config = &self.rules.config;
        match self.standing {
            Standing::Permitted(proof) => {
                let question = Question {
                    account: proof.account(),
                    key,
                    origin: self.origin,
                };
                command::ask(self.services, purpose, config, question).await
            }
            Standing::Refused(_) => {
                command::pretend(purpose, config).await;
                None
            }
        }
    }

    /// TrustedUserCAKeys, with the principals that the account has.
    async fn by_authority(&mut self, key: &ClientKey) -> Option<AuthorizedKey> {
        let certificate = match key {
            ClientKey::Certified(certified) => certified.certificate(),
            ClientKey::Plain(_) => return None,
        };
        let authority = self.trusted(certificate).await?;
        let principals = self.principals(key, certificate).await;
        let (account, source, now) = (self.account.clone(), self.source.clone(), self.now);
        let certificate = certificate.clone();
        // The time zone is read from a file.
        let judged = tokio::task::spawn_blocking(move || {
            let query = CertifiedQuery {
                account: &account,
                certificate: &certificate,
                source: &source,
                now,
            };
            certified(query, &authority, principals.as_deref())
        });
        let (found, refusals) = judged.await.ok()?;
        self.remarks.extend(refusals.into_iter().map(Remark::from));
        found
    }

    async fn trusted(&mut self, certificate: &Certificate) -> Option<TrustedAuthority> {
        let file = self.rules.config.trusted_user_ca_keys.clone()?;
        let authority = certificate.signature_key.clone();
        let work = move || trusted_authority(&file, &authority, FILES_DEADLINE);
        let busy = |done: &Result<_, Untrusted>| matches!(done, Err(Untrusted::Unread { why, .. }) if is_busy(why));
        match blocking(work, busy).await? {
            Ok(authority) => Some(authority),
            Err(untrusted) => {
                self.remarks.push(untrusted.into());
                None
            }
        }
    }

    /// The principals that may be this account's user; none if nothing says who they are, so that
    /// it is the user's own name. The command is asked if the file has none of the certificate's.
    async fn principals(
        &mut self,
        key: &ClientKey,
        certificate: &Certificate,
    ) -> Option<Vec<Principal>> {
        let config = &self.rules.config;
        let command = config.authorized_principals_command.as_ref();
        if config.authorized_principals_file.is_none() && command.is_none() {
            return None;
        }
        let mut listed = self.principals_in_file().await;
        let has = |principal: &Principal| certificate.principals.contains(&principal.name);
        if !listed.iter().any(has)
            && let Some(text) = self.ask(Purpose::Principals, key).await
        {
            let Principals {
                listed: more,
                refusals,
            } = principals_in_lines(&named(command), &text);
            self.remarks.extend(refusals.into_iter().map(Remark::from));
            listed.extend(more);
        }
        Some(listed)
    }

    async fn principals_in_file(&mut self) -> Vec<Principal> {
        let config = &self.rules.config;
        let Some(file) = config.authorized_principals_file.clone() else {
            return Vec::new();
        };
        let (account, owner, strict_modes) =
            (self.account.clone(), self.owner, config.strict_modes);
        let work = move || read_principals(&account, owner, &file, strict_modes, FILES_DEADLINE);
        let busy = |done: &Result<Principals, NotDone>| matches!(done, Err(NotDone::Busy));
        let Some(Ok(Principals { listed, refusals })) = blocking(work, busy).await else {
            return Vec::new();
        };
        self.remarks.extend(refusals.into_iter().map(Remark::from));
        listed
    }
}

/// What stands for a file where the lines of a command are meant (as in OpenSSH).
fn named(command: Option<&Template>) -> PathBuf {
    command.map_or_else(PathBuf::new, |command| command.as_str().into())
}
