//! One SSH_MSG_USERAUTH_REQUEST: who asks for what, and whether that is a login.
//!
//! What an outsider sees does not depend on whether the user exists or may log in: the same replies,
//! the same number of calls, the same kind of work (a stand-in's files are read), and refusals are
//! held back to a time of their own ([`delay`](crate::delay)).

use rpc::{Endpoints, Violation};
use tokio::time::Instant;
use wire::names::SignatureAlgorithm;
use wire::userauth::{AuthMethod, AuthOutcome, AuthRequest, PublicKeyRequest, UserName};

use crate::account::{self, Listing, Refusal, Standing};
use crate::audit::{self, Subject, Validity, Weight};
use crate::client_key::ClientKey;
use crate::delay::FailureDelay;
use crate::exchange::FirstExchange;
use crate::policy::Policy;
use crate::proof::{AuthenticatedUser, MethodProof, Mismatch};
use crate::public_key::BadSignature;
use crate::verify::{Binding, SERVICE, SignatureProof, prove_possession};

/// Requests of one connection, whatever becomes of them (as in OpenSSH): questions about acceptable
/// keys are no failures and yet cost a look into files.
const ATTEMPTS_LIMIT: u32 = 1024;

/// What a decision is made with.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The administrator's.
    pub policy: &'a Policy,
    /// Between which addresses.
    pub endpoints: Endpoints,
    /// This process's.
    pub delay: &'a FailureDelay,
}

/// A connection between its first key exchange and its login.
#[derive(Debug)]
pub struct Authentication {
    first: FirstExchange,
    claim: Option<Claim>,
    attempts: u32,
    failures: u32,
}

/// The user that the first request bound the connection to.
#[derive(Debug)]
struct Claim {
    user: UserName,
    /// `None` until a request needs it: `none`, which every client begins with, is answered without.
    standing: Option<Standing>,
}

/// What a request comes to.
#[derive(Debug)]
pub enum Decision {
    /// Not yet.
    Continue(Authentication, AuthOutcome),
    /// A login, and the first exchange, which is needed further on.
    Accepted(Box<AuthenticatedUser>, FirstExchange),
    /// MaxAuthTries failures; whose, for the journal.
    TooManyFailures(Authentication),
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
    /// Begins with the first key exchange.
    pub fn new(first: FirstExchange) -> Self {
        Self {
            first,
            claim: None,
            attempts: 0,
            failures: 0,
        }
    }

    /// Whether nobody was named yet.
    pub fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// Who tries, for the journal.
    pub fn subject(&self, endpoints: Endpoints) -> Option<Subject<'_>> {
        self.claim.as_ref().map(|claim| claim.subject(endpoints))
    }

    /// Decides one request.
    ///
    /// # Errors
    /// The user name is not the one that binds the connection. RFC 4252 section 5 lets a server
    /// disconnect then, and the worker does so before it asks: this one is corrupted.
    pub async fn decide(
        mut self,
        request: AuthRequest,
        terms: Terms<'_>,
    ) -> Result<Decision, Violation> {
        let asked = Instant::now();
        let claim = self.bind(request.user)?;
        self.attempts = self.attempts.saturating_add(1);
        let (claim, attempt) = match request.method {
            // The first `none` asks for the methods; it is no failure (as in OpenSSH).
            AuthMethod::None if self.attempts == 1 => (claim, Attempt::Asked),
            AuthMethod::None => {
                let subject = claim.subject(terms.endpoints);
                subject.failed("none", None, Weight::Light);
                (claim, Attempt::Failed)
            }
            AuthMethod::Unsupported(method) => {
                let claim = claim.looked_up(terms).await;
                let subject = claim.subject(terms.endpoints);
                subject.failed(&method, None, self.weight(terms.policy));
                (claim, Attempt::Failed)
            }
            AuthMethod::PublicKey(public_key) => {
                let claim = claim.looked_up(terms).await;
                let service = request.service.as_str();
                let attempt = self.public_key(&claim, service, public_key, terms).await;
                (claim, attempt)
            }
        };
        let claim = match (attempt, claim) {
            (Attempt::Proved(method), claim) => match claim.standing {
                Some(Standing::Permitted(account)) => {
                    let user = AuthenticatedUser::new(*method, account).map_err(internal)?;
                    audit::accepted(&user, terms.endpoints);
                    return Ok(Decision::Accepted(Box::new(user), self.first));
                }
                // Cannot be: no key is listed for somebody who has no account.
                Some(Standing::Refused(_)) | None => return Err(internal(Mismatch)),
            },
            (Attempt::Asked, claim) => {
                return Ok(self.continue_with(claim, terms.policy.refused()));
            }
            (Attempt::Acceptable, claim) if self.attempts < ATTEMPTS_LIMIT => {
                return Ok(self.continue_with(claim, AuthOutcome::KeyAcceptable));
            }
            (Attempt::Acceptable | Attempt::Failed, claim) => claim,
        };
        terms.delay.settle(&claim.user, asked).await;
        self.failures = self.failures.saturating_add(1);
        let tries = terms.policy.config.max_auth_tries;
        if self.failures >= tries || self.attempts >= ATTEMPTS_LIMIT {
            claim.subject(terms.endpoints).too_many_failures();
            self.claim = Some(claim);
            return Ok(Decision::TooManyFailures(self));
        }
        Ok(self.continue_with(claim, terms.policy.refused()))
    }

    /// The first user name binds the connection; another one is a violation.
    fn bind(&mut self, user: UserName) -> Result<Claim, Violation> {
        match self.claim.take() {
            None => Ok(Claim {
                user,
                standing: None,
            }),
            Some(claim) if claim.user == user => Ok(claim),
            Some(_) => Err(Violation::new("a second user name")),
        }
    }

    fn continue_with(self, claim: Claim, outcome: AuthOutcome) -> Decision {
        let claim = Some(claim);
        Decision::Continue(Self { claim, ..self }, outcome)
    }

    /// The `publickey` method (RFC 4252 section 7).
    ///
    /// Signature first, files second, for whatever user: the order must not tell who exists.
    async fn public_key(
        &self,
        claim: &Claim,
        service: &str,
        request: PublicKeyRequest,
        terms: Terms<'_>,
    ) -> Attempt {
        let subject = claim.subject(terms.endpoints);
        let usable = match terms.policy.offers_publickey() && service == SERVICE {
            true => self.usable_key(&request, subject, terms.policy),
            false => None,
        };
        let Some(Usable {
            algorithm,
            key,
            binding,
        }) = usable
        else {
            subject.failed("publickey", None, self.weight(terms.policy));
            return Attempt::Failed;
        };
        let possession = match &request.signature {
            None => Possession::Unasked,
            Some(signature) => Possession::of(prove_possession(
                &self.first,
                &claim.user,
                binding,
                algorithm,
                key.clone(),
                signature,
            )),
        };
        // An account's files list plain keys. A certificate is looked for under its own blob, which
        // takes the same time and is on no line: it never counts as the key inside.
        let listing = claim.find(key.blob(), terms).await;
        match (possession, listing) {
            (Possession::Unasked, Listing::Listed(_)) => Attempt::Acceptable,
            (Possession::Proved(signature), Listing::Listed(listed)) => {
                match MethodProof::publickey(signature, listed) {
                    Ok(method) => Attempt::Proved(Box::new(method)),
                    Err(Mismatch) => Attempt::Failed,
                }
            }
            (Possession::Unasked | Possession::Proved(_) | Possession::Refuted, _) => {
                subject.failed("publickey", Some(&key), self.weight(terms.policy));
                Attempt::Failed
            }
        }
    }

    /// The key of a request and what goes with it, if this server verifies with them.
    fn usable_key(
        &self,
        request: &PublicKeyRequest,
        subject: Subject<'_>,
        policy: &Policy,
    ) -> Option<Usable> {
        let Some(binding) = Binding::of(request.host_key.as_deref(), &self.first) else {
            // The client spoke with another server: somebody stands between.
            subject.key_unusable(&"request is bound to another host key");
            return None;
        };
        let algorithm = SignatureAlgorithm::from_name(&request.algorithm)
            .filter(|algorithm| policy.pubkey_algorithms.contains(algorithm));
        let Some(algorithm) = algorithm else {
            subject.key_unusable(&"signature algorithm not in PubkeyAcceptedAlgorithms");
            return None;
        };
        match ClientKey::parse(&request.key, algorithm, policy.key_requirements()) {
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

    fn weight(&self, policy: &Policy) -> Weight {
        match self.failures.saturating_add(1) >= policy.config.max_auth_tries / 2 {
            true => Weight::Heavy,
            false => Weight::Light,
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

impl Claim {
    /// Looks the user up, once per connection.
    async fn looked_up(self, terms: Terms<'_>) -> Self {
        if self.standing.is_some() {
            return self;
        }
        let claim = Self {
            standing: Some(account::admit(&self.user, terms.policy).await),
            user: self.user,
        };
        let subject = claim.subject(terms.endpoints);
        match &claim.standing {
            Some(Standing::Refused(Refusal::Unknown)) => subject.invalid_user(),
            Some(Standing::Refused(Refusal::Denied(denial))) => subject.denied(denial),
            Some(Standing::Refused(Refusal::Unclear(error))) => subject.unclear(error),
            Some(Standing::Permitted(_)) | None => {}
        }
        claim
    }

    async fn find(&self, blob: &[u8], terms: Terms<'_>) -> Listing {
        let Some(standing) = &self.standing else {
            return Listing::NotListed;
        };
        let (listing, refusals) = account::find(standing, terms.policy, blob).await;
        if let Standing::Permitted(_) = standing {
            let subject = self.subject(terms.endpoints);
            refusals
                .iter()
                .for_each(|refusal| subject.key_refused(refusal));
        }
        listing
    }

    fn subject(&self, endpoints: Endpoints) -> Subject<'_> {
        Subject {
            user: &self.user,
            validity: match &self.standing {
                Some(Standing::Refused(_)) => Validity::Invalid,
                Some(Standing::Permitted(_)) | None => Validity::Valid,
            },
            endpoints,
        }
    }
}

fn internal(mismatch: Mismatch) -> Violation {
    Violation::new(mismatch.to_string())
}
