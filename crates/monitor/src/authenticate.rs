//! One SSH_MSG_USERAUTH_REQUEST: who asks for what, and whether that is a login.
//!
//! What an outsider sees does not depend on whether the user exists or may log in: the same replies,
//! the same number of calls, the same kind of work (a stand-in's files are read), and refusals are
//! held back to a time of their own ([`delay`](crate::delay)).

use std::sync::Arc;

use config::sshd::YesNo;
use rpc::{Endpoints, Violation};
use thiserror::Error;
use tokio::time::Instant;
use tracing::Span;
use wire::names::SignatureAlgorithm;
use wire::userauth::{AuthMethod, AuthOutcome, PublicKeyRequest, UserName};

use crate::account::{self, Refusal, Standing};
use crate::audit::{Subject, Validity, Weight};
use crate::client_key::ClientKey;
use crate::delay::FailureDelay;
use crate::exchange::FirstExchange;
use crate::listing::{self, Listing, Presentation};
use crate::open_session::Origin;
use crate::policy::Policy;
use crate::proof::{AuthenticatedUser, Incomplete, MethodProof, Mismatch};
use crate::public_key::BadSignature;
use crate::rules::{self, Rules};
use crate::verify::{Binding, SERVICE, SignatureProof, prove_possession};

/// Requests of one connection, whatever becomes of them (as in OpenSSH): questions about acceptable
/// keys are no failures and yet cost a look into files.
const ATTEMPTS_LIMIT: u32 = 1024;

/// What a decision is made with.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The administrator's.
    pub policy: &'a Arc<Policy>,
    /// The connection.
    pub origin: Origin,
    /// This process's.
    pub delay: &'a FailureDelay,
}

/// A connection between its first key exchange and its login.
#[derive(Debug)]
pub enum Authentication {
    /// Nobody was named yet.
    Unnamed(FirstExchange),
    /// The first request bound it to a user.
    Named(Named),
}

/// A connection that is bound to a user name: what holds for it, and how often it was tried.
#[derive(Debug)]
pub struct Named {
    first: FirstExchange,
    user: UserName,
    rules: Arc<Rules>,
    standing: Standing,
    attempts: u32,
    failures: u32,
}

/// Why a request is not decided.
#[derive(Debug, Error)]
pub enum Undecided {
    /// The worker broke the contract.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// RefuseConnection.
    #[error("administratively prohibited connection")]
    Prohibited,
}

/// What a request comes to.
#[derive(Debug)]
pub enum Decision {
    /// Not yet.
    Continue(Named, AuthOutcome),
    /// A login.
    Accepted(Box<Login>),
    /// MaxAuthTries failures; whose, for the journal.
    TooManyFailures(Named),
}

/// A login, and what is needed further on.
#[derive(Debug)]
pub struct Login {
    /// Who.
    pub user: AuthenticatedUser,
    /// What holds for the connection.
    pub rules: Arc<Rules>,
    /// The first key exchange.
    pub first: FirstExchange,
}

/// What became of one method.
enum Attempt {
    /// All that is needed, except for the account's own proof.
    Proved(Box<MethodProof>),
    /// The key would do.
    Acceptable,
    /// It was only asked which methods there are.
    Asked,
    /// It failed.
    Failed,
}

impl Authentication {
    /// Who tries, for the journal.
    pub fn subject(&self, endpoints: Endpoints) -> Option<Subject<'_>> {
        match self {
            Self::Unnamed(_) => None,
            Self::Named(named) => Some(named.subject(endpoints)),
        }
    }

    /// The name that binds the connection.
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::Unnamed(_) => None,
            Self::Named(named) => Some(named.user()),
        }
    }

    /// Takes the user name of a request. The first one binds the connection, and decides what holds
    /// for it; see [`rules`].
    ///
    /// # Errors
    /// RefuseConnection; or the user name is not the one that binds the connection: RFC 4252 section
    /// 5 lets a server disconnect then, and the worker does so before it asks. This one is corrupted.
    pub async fn name(self, user: UserName, terms: Terms<'_>) -> Result<Named, Undecided> {
        match self {
            Self::Unnamed(first) => Named::bind(first, user, terms).await,
            Self::Named(named) if named.user == user => Ok(named),
            Self::Named(_) => Err(Violation::new("a second user name").into()),
        }
    }
}

impl Named {
    async fn bind(
        first: FirstExchange,
        user: UserName,
        terms: Terms<'_>,
    ) -> Result<Self, Undecided> {
        let asked = Instant::now();
        let (rules, standing) = account::admit(&user, terms.policy, terms.origin).await;
        terms.delay.settle_lookup(&user, asked).await;
        let named = Self {
            first,
            user,
            rules,
            standing,
            attempts: 0,
            failures: 0,
        };
        journal::set_level(&Span::current(), rules::log_level(&named.rules.config));
        let subject = named.subject(terms.origin.endpoints);
        if named.rules.config.refuse_connection == YesNo::Yes {
            // Before anybody asks whether the account may be used.
            let validity = match &named.standing {
                Standing::Permitted(_) | Standing::Refused(Refusal::Denied(_)) => Validity::Valid,
                Standing::Refused(_) => Validity::Invalid,
            };
            Subject {
                validity,
                ..subject
            }
            .prohibited();
            return Err(Undecided::Prohibited);
        }
        match &named.standing {
            Standing::Refused(Refusal::Unknown) => subject.invalid_user(),
            Standing::Refused(Refusal::Denied(denial)) => subject.denied(denial),
            Standing::Refused(Refusal::Unclear(error)) => subject.unclear(error),
            Standing::Permitted(_) => {}
        }
        Ok(named)
    }

    #[cfg(test)]
    pub(crate) fn for_test(first: FirstExchange) -> Self {
        let defaults = config::sshd::SshdConfig::defaults(&config::sshd::Offers::ours().offered());
        Self {
            first,
            user: UserName::new("alice").unwrap(),
            rules: Arc::new(Rules::new(defaults)),
            standing: Standing::Refused(Refusal::Unknown),
            attempts: 0,
            failures: 0,
        }
    }

    /// What holds for it.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether nothing was decided yet.
    pub fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// Decides one request of the user for `service`.
    ///
    /// # Errors
    /// Proofs do not belong together, which cannot be.
    pub async fn decide(
        mut self,
        service: &str,
        method: AuthMethod,
        terms: Terms<'_>,
    ) -> Result<Decision, Violation> {
        let asked = Instant::now();
        self.attempts = self.attempts.saturating_add(1);
        let attempt = match method {
            // The first `none` asks for the methods; it is no failure (as in OpenSSH).
            AuthMethod::None if self.attempts == 1 => Attempt::Asked,
            AuthMethod::None => {
                let subject = self.subject(terms.origin.endpoints);
                subject.failed("none", None, Weight::Light);
                Attempt::Failed
            }
            AuthMethod::Unsupported(method) => self.not_offered(&method, terms),
            AuthMethod::Password(_) => self.not_offered("password", terms),
            AuthMethod::KeyboardInteractive(_) => self.not_offered("keyboard-interactive", terms),
            AuthMethod::Hostbased(_) => self.not_offered("hostbased", terms),
            AuthMethod::PublicKey(public_key) => self.public_key(service, public_key, terms).await,
        };
        match attempt {
            Attempt::Proved(method) => return self.accepted(*method),
            Attempt::Asked => {
                let outcome = self.rules.refused();
                return Ok(Decision::Continue(self, outcome));
            }
            Attempt::Acceptable if self.attempts < ATTEMPTS_LIMIT => {
                return Ok(Decision::Continue(self, AuthOutcome::KeyAcceptable));
            }
            Attempt::Acceptable | Attempt::Failed => {}
        }
        terms.delay.settle(&self.user, asked).await;
        self.failures = self.failures.saturating_add(1);
        let tries = self.rules.config.max_auth_tries;
        if self.failures >= tries || self.attempts >= ATTEMPTS_LIMIT {
            self.subject(terms.origin.endpoints).too_many_failures();
            return Ok(Decision::TooManyFailures(self));
        }
        let outcome = self.rules.refused();
        Ok(Decision::Continue(self, outcome))
    }

    fn not_offered(&self, method: &str, terms: Terms<'_>) -> Attempt {
        let subject = self.subject(terms.origin.endpoints);
        subject.failed(method, None, self.weight());
        Attempt::Failed
    }

    fn accepted(self, method: MethodProof) -> Result<Decision, Violation> {
        match self.standing {
            Standing::Permitted(account) => {
                let user = AuthenticatedUser::new(method, account).map_err(internal)?;
                Ok(Decision::Accepted(Box::new(Login {
                    user,
                    rules: self.rules,
                    first: self.first,
                })))
            }
            // Cannot be: no key is listed for somebody who has no account.
            Standing::Refused(_) => Err(internal(Mismatch)),
        }
    }

    /// The `publickey` method (RFC 4252 section 7).
    ///
    /// Signature first, files second, for whatever user: the order must not tell who exists.
    async fn public_key(
        &self,
        service: &str,
        request: PublicKeyRequest,
        terms: Terms<'_>,
    ) -> Attempt {
        let subject = self.subject(terms.origin.endpoints);
        let usable = match self.rules.offers_publickey() && service == SERVICE {
            true => self.usable_key(&request, subject),
            false => None,
        };
        let Some(Usable {
            algorithm,
            key,
            binding,
        }) = usable
        else {
            subject.failed("publickey", None, self.weight());
            return Attempt::Failed;
        };
        let possession = match &request.signature {
            None => Possession::Unasked,
            Some(signature) => Possession::of(prove_possession(
                &self.first,
                &self.user,
                binding,
                algorithm,
                key.clone(),
                signature,
            )),
        };
        let listing = self.find(&key, subject).await;
        match (possession, listing) {
            (Possession::Unasked, Listing::Listed(_)) => Attempt::Acceptable,
            (Possession::Proved(signature), Listing::Listed(listed)) => {
                let options = self.rules.config.pubkey_auth_options;
                match MethodProof::publickey(signature, listed, options) {
                    Ok(method) => Attempt::Proved(Box::new(method)),
                    Err(Incomplete::Unsaid(unsaid)) => {
                        subject.unsaid(&key, unsaid);
                        subject.failed("publickey", Some(&key), self.weight());
                        Attempt::Failed
                    }
                    Err(Incomplete::Mismatch(Mismatch)) => Attempt::Failed,
                }
            }
            (Possession::Unasked | Possession::Proved(_) | Possession::Refuted, _) => {
                subject.failed("publickey", Some(&key), self.weight());
                Attempt::Failed
            }
        }
    }

    /// The key of a request and what goes with it, if this server verifies with them.
    fn usable_key(&self, request: &PublicKeyRequest, subject: Subject<'_>) -> Option<Usable> {
        let Some(binding) = Binding::of(request.host_key.as_deref(), &self.first) else {
            // The client spoke with another server: somebody stands between.
            subject.key_unusable(&"request is bound to another host key");
            return None;
        };
        let algorithm = SignatureAlgorithm::from_name(&request.algorithm)
            .filter(|algorithm| self.rules.pubkey_algorithms.contains(algorithm));
        let Some(algorithm) = algorithm else {
            subject.key_unusable(&"signature algorithm not in PubkeyAcceptedAlgorithms");
            return None;
        };
        match ClientKey::parse(&request.key, algorithm, self.rules.key_requirements()) {
            Ok(key) => Some(Usable {
                algorithm,
                key,
                binding,
            }),
            Err(error) => {
                subject.key_unusable(&error);
                None
            }
        }
    }

    async fn find(&self, key: &ClientKey, subject: Subject<'_>) -> Listing {
        let (listing, remarks) = listing::find(Presentation {
            user: &self.user,
            standing: &self.standing,
            rules: &self.rules,
            key,
            endpoints: subject.endpoints,
        })
        .await;
        if let Standing::Permitted(_) = self.standing {
            let remarks = remarks.iter();
            remarks.for_each(|remark| subject.about_key(key, remark));
        }
        listing
    }

    fn weight(&self) -> Weight {
        match self.failures.saturating_add(1) >= self.rules.config.max_auth_tries / 2 {
            true => Weight::Heavy,
            false => Weight::Light,
        }
    }

    /// The name that binds the connection.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// Who tries, for the journal.
    pub fn subject(&self, endpoints: Endpoints) -> Subject<'_> {
        Subject {
            user: &self.user,
            validity: match self.standing {
                Standing::Refused(_) => Validity::Invalid,
                Standing::Permitted(_) => Validity::Valid,
            },
            endpoints,
        }
    }
}

/// What a publickey request names, as far as this server verifies with it.
struct Usable {
    algorithm: SignatureAlgorithm,
    key: ClientKey,
    binding: Binding,
}

/// Whether the client holds the private key.
enum Possession {
    /// It asks first whether the key would do.
    Unasked,
    /// It does.
    Proved(SignatureProof),
    /// Its signature does not verify.
    Refuted,
}

impl Possession {
    fn of(result: Result<SignatureProof, BadSignature>) -> Self {
        match result {
            Ok(proof) => Self::Proved(proof),
            Err(BadSignature) => Self::Refuted,
        }
    }
}

fn internal(mismatch: Mismatch) -> Violation {
    Violation::new(mismatch.to_string())
}
