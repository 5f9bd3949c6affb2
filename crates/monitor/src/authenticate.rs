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
use crate::delay::FailureDelay;
use crate::exchange::SessionId;
use crate::policy::Policy;
use crate::proof::{AuthenticatedUser, MethodProof, Mismatch};
use crate::public_key::{BadSignature, PublicKey};
use crate::verify::{SERVICE, SignatureProof, prove_possession};

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
    session: SessionId,
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
    /// A login.
    Accepted(AuthenticatedUser),
    /// MaxAuthTries failures; whose, for the journal.
    TooManyFailures(Authentication),
}

/// What became of one method.
enum Attempt {
    /// All that is needed, except for the account's own proof.
    Proved(Box<MethodProof>),
    /// The key would do.
    Acceptable,
    /// It failed.
    Failed,
}

impl Authentication {
    /// Begins with the session identifier of the first key exchange.
    pub fn new(session: SessionId) -> Self {
        Self {
            session,
            claim: None,
            attempts: 0,
            failures: 0,
        }
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
        let claim = match self.claim.take() {
            None => Claim::new(request.user),
            Some(claim) if claim.user == request.user => claim,
            Some(_) => return Err(Violation::new("a second user name")),
        };
        self.attempts = self.attempts.saturating_add(1);
        let claim = match request.method {
            // The first `none` asks for the methods; it is no failure (as in OpenSSH).
            AuthMethod::None if self.attempts == 1 => {
                self.claim = Some(claim);
                return Ok(self.continue_with(terms.policy.refused()));
            }
            AuthMethod::None => {
                claim
                    .subject(terms.endpoints)
                    .failed("none", None, Weight::Light);
                claim
            }
            AuthMethod::Unsupported(method) => {
                let claim = claim.looked_up(terms).await;
                let subject = claim.subject(terms.endpoints);
                subject.failed(&method, None, self.weight(terms.policy));
                claim
            }
            AuthMethod::PublicKey(public_key) => {
                let claim = claim.looked_up(terms).await;
                let offered = terms.policy.offers_publickey() && request.service == SERVICE;
                let attempt = match offered {
                    true => self.public_key(&claim, public_key, terms).await,
                    false => {
                        let subject = claim.subject(terms.endpoints);
                        subject.failed("publickey", None, self.weight(terms.policy));
                        Attempt::Failed
                    }
                };
                match (attempt, claim.standing) {
                    (Attempt::Proved(method), Some(Standing::Permitted(account))) => {
                        let user = AuthenticatedUser::new(*method, account).map_err(internal)?;
                        audit::accepted(&user, terms.endpoints);
                        return Ok(Decision::Accepted(user));
                    }
                    (Attempt::Acceptable, standing) => {
                        let user = claim.user;
                        self.claim = Some(Claim { user, standing });
                        return Ok(self.continue_with(AuthOutcome::KeyAcceptable));
                    }
                    (Attempt::Failed | Attempt::Proved(_), standing) => Claim {
                        user: claim.user,
                        standing,
                    },
                }
            }
        };
        terms.delay.settle(&claim.user, asked).await;
        self.failures = self.failures.saturating_add(1);
        let claim = self.claim.insert(claim);
        if self.failures >= terms.policy.config.max_auth_tries {
            claim.subject(terms.endpoints).too_many_failures();
            return Ok(Decision::TooManyFailures(self));
        }
        Ok(self.continue_with(terms.policy.refused()))
    }

    fn continue_with(self, outcome: AuthOutcome) -> Decision {
        Decision::Continue(self, outcome)
    }

    /// The `publickey` method (RFC 4252 section 7).
    ///
    /// Signature first, files second, for whatever user: the order must not tell who exists.
    async fn public_key(
        &self,
        claim: &Claim,
        request: PublicKeyRequest,
        terms: Terms<'_>,
    ) -> Attempt {
        let subject = claim.subject(terms.endpoints);
        let Some((algorithm, key)) = usable_key(&request, subject, terms.policy) else {
            subject.failed("publickey", None, self.weight(terms.policy));
            return Attempt::Failed;
        };
        let possession = match &request.signature {
            None => Possession::Unasked,
            Some(signature) => Possession::of(prove_possession(
                &self.session,
                &claim.user,
                algorithm,
                key.clone(),
                signature,
            )),
        };
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

    fn weight(&self, policy: &Policy) -> Weight {
        match self.failures.saturating_add(1) >= policy.config.max_auth_tries / 2 {
            true => Weight::Heavy,
            false => Weight::Light,
        }
    }
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
    fn new(user: UserName) -> Self {
        Self {
            user,
            standing: None,
        }
    }

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

/// The key and algorithm of a request, if this server verifies with them.
fn usable_key(
    request: &PublicKeyRequest,
    subject: Subject<'_>,
    policy: &Policy,
) -> Option<(SignatureAlgorithm, PublicKey)> {
    let algorithm = SignatureAlgorithm::from_name(&request.algorithm)
        .filter(|algorithm| policy.pubkey_algorithms.contains(algorithm));
    let Some(algorithm) = algorithm else {
        subject.key_unusable(&"signature algorithm not in PubkeyAcceptedAlgorithms");
        return None;
    };
    match PublicKey::parse(&request.key, policy.required_rsa_size()) {
        Ok(key) if key.key_type() == algorithm.key_type() => Some((algorithm, key)),
        Ok(_) => {
            subject.key_unusable(&"key type does not fit the signature algorithm");
            None
        }
        Err(error) => {
            subject.key_unusable(&error);
            None
        }
    }
}

fn internal(mismatch: Mismatch) -> Violation {
    Violation::new(mismatch.to_string())
}
