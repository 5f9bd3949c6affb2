//! One SSH_MSG_USERAUTH_REQUEST: who asks for what, and whether that is a login.
//!
//! ```text
//!  Authentication::name ─▶ Named ─▶ decide ─▶ a method ─▶ Attempt ─▶ conclude ─▶ Decision
//!   (binds the user)                    (publickey, …)       (Tries, Progress, the journal)
//! ```
//!
//! Each method is a file of its own and a function of [`Named`] that yields an `Attempt`: what it
//! found, and nothing of what that means. What it means is decided in one place for all of them:
//! whether root may log in by it, what AuthenticationMethods still wants, how often a client may
//! fail, what is logged, and how long a refusal takes.
//!
//! What an outsider sees does not depend on whether the user exists or may log in: the same replies,
//! the same number of calls, the same kind of work (a stand-in's files are read), and refusals are
//! held back to a time of their own ([`delay`](crate::delay)).

pub mod dialog;
mod hostbased;
mod publickey;
mod tries;

use std::sync::Arc;
use std::time::Duration;

use accounts::{Method, Source};
use config::sshd::YesNo;
use rpc::pam::Refusal as PamRefusal;
use rpc::{Endpoints, Violation};
use thiserror::Error;
use tokio::time::Instant;
use tracing::Span;
use wire::userauth::{AuthMethod, AuthOutcome, InfoRequest, UserName};

use self::dialog::Asked;
use self::tries::{Budget, Price, Tries, Verdict};
use crate::account::{self, Refusal, Standing};
use crate::audit::{Subject, Tried, Validity, Weight, Word};
use crate::client_key::ClientKey;
use crate::delay::FailureDelay;
use crate::exchange::FirstExchange;
use crate::host_name;
use crate::open_session::Origin;
use crate::policy::Policy;
use crate::progress::{Advance, CompletedMethods, NoneLeft, Progress};
use crate::proof::{AuthenticatedUser, MethodProof, Mismatch};
use crate::rules::{self, Rules};
use crate::systemd::ServiceManager;
use crate::verify::SERVICE;

/// What a decision is made with.
pub struct Terms<'a, M> {
    /// The administrator's.
    pub policy: &'a Arc<Policy>,
    /// The connection.
    pub origin: Origin,
    /// This process's.
    pub delay: &'a FailureDelay,
    /// Who starts processes that hold a PAM transaction, and runs commands.
    pub services: &'a Arc<M>,
    /// When the connection ends unless somebody is logged in (LoginGraceTime).
    pub deadline: Instant,
}

impl<M> Clone for Terms<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Terms<'_, M> {}

/// A connection between its first key exchange and its login.
#[derive(Debug)]
pub enum Authentication {
    /// Nobody was named yet.
    Unnamed(FirstExchange),
    /// The first request bound it to a user.
    Named(Box<Named>),
    /// The user was asked something, and has not answered yet.
    Asked(Box<Asked>),
}

/// A connection that is bound to a user name: what holds for it, what it has proved, and how often
/// it was tried.
#[derive(Debug)]
pub struct Named {
    first: FirstExchange,
    user: UserName,
    source: Source,
    rules: Arc<Rules>,
    standing: Standing,
    progress: Progress,
    tries: Tries,
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
    /// AuthenticationMethods, with methods that are switched off for this user.
    #[error(transparent)]
    NoneLeft(#[from] NoneLeft),
}

/// What a request comes to, and what is said before it.
#[derive(Debug)]
pub struct Decided {
    /// Text for the user, or none: what PAM modules said without asking.
    pub said: String,
    /// The decision.
    pub decision: Decision,
}

/// What a request comes to.
#[derive(Debug)]
pub enum Decision {
    /// Not yet.
    Continue(Named, AuthOutcome),
    /// The user is asked.
    Ask(Asked, InfoRequest),
    /// A login.
    Accepted(Box<Login>),
    /// MaxAuthTries failures; whose, for the journal.
    TooManyFailures(Named),
    /// The password is right, and PAM's account phase refuses its user.
    Denied(Named),
}

/// A login, and what is needed further on.
#[derive(Debug)]
pub struct Login {
    /// Who.
    pub user: AuthenticatedUser,
    /// What holds for the connection.
    pub rules: Arc<Rules>,
    /// The client's host for PAM, as for dialogs with it: its name if UseDNS found one, else its address.
    pub host: String,
    /// The first key exchange.
    pub first: FirstExchange,
}

/// What a method found.
enum Attempt {
    /// It was completed; and what modules said.
    Proved(MethodProof, String),
    /// The key would do.
    Acceptable,
    /// The password is right and has expired; how to ask for a new one.
    Expired(String),
    /// The user is to answer.
    Question(dialog::Open, InfoRequest),
    /// It failed.
    Failed(Failed),
    /// It was not looked at: it is not offered, or the request is none that could succeed. sshd has
    /// no line for these.
    Unheard,
}

/// A method that failed, for the journal.
struct Failed {
    method: Method,
    submethod: Option<&'static str>,
    key: Option<ClientKey>,
    /// What the line has at its end.
    detail: Option<String>,
    verdict: Verdict,
    /// What modules said, as far as the user may know.
    said: String,
    /// How long PAM would have the user wait.
    delay: Duration,
    /// What PAM said.
    pam: Option<(PamRefusal, String)>,
}

impl Failed {
    fn new(method: Method, verdict: Verdict) -> Self {
        Self {
            method,
            submethod: match method {
                Method::KeyboardInteractive => Some(dialog::PAM),
                Method::None | Method::PublicKey | Method::Password | Method::Hostbased => None,
            },
            key: None,
            detail: None,
            verdict,
            said: String::new(),
            delay: Duration::ZERO,
            pam: None,
        }
    }

    /// Of a proof that was in order and is not enough.
    fn of(proof: &MethodProof) -> Self {
        Self {
            key: proof.key().cloned(),
            detail: proof.detail().map(str::to_owned),
            ..Self::new(proof.method(), Verdict::Judged)
        }
    }

    /// Whether there is nothing more to try: the password was right, and its user is locked out. sshd ends
    /// the connection. A dialog just fails, for its user was told why in it.
    fn denies_account(&self) -> bool {
        matches!(self.pam, Some((PamRefusal::Account, _)))
            && self.method != Method::KeyboardInteractive
    }

    fn tried(&self) -> Tried<'_> {
        Tried {
            method: self.method,
            submethod: self.submethod,
            key: self.key.as_ref(),
            detail: self.detail.as_deref(),
        }
    }
}

impl Authentication {
    /// Who tries, for the journal.
    pub fn subject(&self, endpoints: Endpoints) -> Option<Subject<'_>> {
        match self {
            Self::Unnamed(_) => None,
            Self::Named(named) => Some(named.subject(endpoints)),
            Self::Asked(asked) => Some(asked.named().subject(endpoints)),
        }
    }

    /// What later calls depend on, for tests.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        let (word, named) = match self {
            Self::Unnamed(_) => return "unnamed".to_owned(),
            Self::Named(named) => ("named", &**named),
            Self::Asked(asked) => ("asked", asked.named()),
        };
        let (progress, tries) = (named.progress.summary(), named.tries.summary());
        format!("{word} {} {progress} {tries}", named.user)
    }

    /// The name that binds the connection.
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::Unnamed(_) => None,
            Self::Named(named) => Some(named.user()),
            Self::Asked(asked) => Some(asked.named().user()),
        }
    }

    /// Takes the user name of a request. The first one binds the connection, and decides what holds
    /// for it; see [`rules`].
    ///
    /// # Errors
    /// RefuseConnection; nothing is left of AuthenticationMethods; or the user name is not the one
    /// that binds the connection: RFC 4252 section 5 lets a server disconnect then, and the worker
    /// does so before it asks. This one is corrupted.
    pub async fn name<M: ServiceManager>(
        self,
        user: UserName,
        terms: Terms<'_, M>,
    ) -> Result<Named, Undecided> {
        match self {
            Self::Unnamed(first) => Named::bind(first, user, terms).await,
            Self::Named(named) if named.user == user => Ok(*named),
            Self::Asked(asked) if asked.named().user == user => {
                Ok(*asked.abandon(terms.origin.endpoints))
            }
            Self::Named(_) | Self::Asked(_) => Err(Violation::new("a second user name").into()),
        }
    }
}

impl Named {
    async fn bind<M: ServiceManager>(
        first: FirstExchange,
        user: UserName,
        terms: Terms<'_, M>,
    ) -> Result<Self, Undecided> {
        let use_dns = terms.policy.config.use_dns;
        let source = host_name::source(terms.services, terms.origin, use_dns).await;
        let asked = Instant::now();
        let (rules, standing) = account::admit(&user, terms.policy, terms.origin, &source).await;
        terms.delay.settle_lookup(&user, asked).await;
        journal::set_level(&Span::current(), rules::log_level(&rules.config));
        let subject = Subject {
            user: &user,
            validity: standing.validity(),
            endpoints: terms.origin.endpoints,
        };
        if rules.config.refuse_connection == YesNo::Yes {
            // Before anybody asks whether the account may be used.
            let validity = match &standing {
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
        match &standing {
            Standing::Refused(Refusal::Unknown) => subject.invalid_user(),
            Standing::Refused(Refusal::Denied(denial)) => subject.denied(denial),
            Standing::Refused(Refusal::Unclear(error)) => subject.unclear(error),
            Standing::Permitted(_) => {}
        }
        let methods = &rules.config.authentication_methods;
        let progress = Progress::new(methods, |method| rules.enables(method))
            .inspect_err(|none| subject.no_methods(none))?;
        Ok(Self {
            first,
            user,
            source,
            rules,
            standing,
            progress,
            tries: Tries::default(),
        })
    }

    #[cfg(test)]
    pub(crate) fn for_test(first: FirstExchange) -> Self {
        let defaults = config::sshd::SshdConfig::defaults(&config::sshd::Offers::ours().offered());
        let rules = Rules::new(defaults);
        Self {
            first,
            user: UserName::new("alice").unwrap(),
            source: rules::source(Endpoints::UNKNOWN),
            standing: Standing::Refused(Refusal::Unknown),
            progress: Progress::new(&rules.config.authentication_methods, |_| true).unwrap(),
            rules: Arc::new(rules),
            tries: Tries::default(),
        }
    }

    /// What holds for it.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether nothing was decided yet.
    pub fn is_fresh(&self) -> bool {
        self.tries.is_fresh()
    }

    /// The name that binds the connection.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// Who tries, for the journal.
    pub fn subject(&self, endpoints: Endpoints) -> Subject<'_> {
        Subject {
            user: &self.user,
            validity: self.standing.validity(),
            endpoints,
        }
    }

    /// Decides one request of the user for `service`.
    ///
    /// # Errors
    /// Proofs do not belong together, which cannot be.
    pub async fn decide<M: ServiceManager>(
        mut self,
        service: &str,
        method: AuthMethod,
        terms: Terms<'_, M>,
    ) -> Result<Decided, Violation> {
        let asked = Instant::now();
        let price = self.tries.request(&method);
        let attempt = match self.left() {
            Budget::Left if service == SERVICE => self.attempt(method, terms).await,
            Budget::Left | Budget::UsedUp => Attempt::Unheard,
        };
        self.conclude(attempt, price, asked, terms).await
    }

    async fn attempt<M: ServiceManager>(
        &mut self,
        method: AuthMethod,
        terms: Terms<'_, M>,
    ) -> Attempt {
        match method {
            AuthMethod::None if self.offers(Method::None) => self.none(terms).await,
            AuthMethod::PublicKey(request) if self.offers(Method::PublicKey) => {
                self.public_key(request, terms).await
            }
            AuthMethod::Password(request) if self.offers(Method::Password) => {
                self.password(request, terms).await
            }
            AuthMethod::KeyboardInteractive(request)
                if self.offers(Method::KeyboardInteractive) =>
            {
                self.keyboard_interactive(request, terms).await
            }
            AuthMethod::Hostbased(request) if self.offers(Method::Hostbased) => {
                self.hostbased(request).await
            }
            AuthMethod::None
            | AuthMethod::PublicKey(_)
            | AuthMethod::Password(_)
            | AuthMethod::KeyboardInteractive(_)
            | AuthMethod::Hostbased(_)
            | AuthMethod::Unsupported(_) => Attempt::Unheard,
        }
    }

    /// Whether a method can be tried now, for anybody: it is switched on, a list of
    /// AuthenticationMethods wants it next, and it is not used up.
    fn offers(&self, method: Method) -> bool {
        self.rules.enables(method) && self.progress.wants(method) && self.tries.permit(method)
    }

    /// What a method's result comes to.
    async fn conclude<M>(
        self,
        attempt: Attempt,
        price: Price,
        asked: Instant,
        terms: Terms<'_, M>,
    ) -> Result<Decided, Violation> {
        let endpoints = terms.origin.endpoints;
        let (named, failed) = match attempt {
            Attempt::Proved(proof, said) => match self.advance(proof, endpoints)? {
                Advanced::Decided(decision) => {
                    let decision = *decision;
                    return Ok(Decided { said, decision });
                }
                Advanced::Failed(named, failed) => (*named, Some(failed)),
            },
            Attempt::Question(open, request) => {
                self.postponed(open.tried(), endpoints);
                // Less than for a refusal: every login by this method pays it.
                terms.delay.settle_lookup(&self.user, asked).await;
                return Ok(Decision::Ask(Asked::new(self, open), request).into());
            }
            Attempt::Acceptable | Attempt::Expired(_)
                if self.tries.requests_left() == Budget::UsedUp =>
            {
                (self, None)
            }
            Attempt::Acceptable => {
                self.postponed(Tried::by(Method::PublicKey), endpoints);
                return Ok(Decision::Continue(self, AuthOutcome::KeyAcceptable).into());
            }
            Attempt::Expired(prompt) => {
                self.postponed(Tried::by(Method::Password), endpoints);
                let outcome = AuthOutcome::PasswordChange { prompt };
                return Ok(Decision::Continue(self, outcome).into());
            }
            Attempt::Failed(failed) => (self, Some(failed)),
            Attempt::Unheard => (self, None),
        };
        Ok(named.fail(failed, price, asked, terms).await)
    }

    /// What a failure comes to, and when.
    async fn fail<M>(
        mut self,
        failed: Option<Failed>,
        price: Price,
        asked: Instant,
        terms: Terms<'_, M>,
    ) -> Decided {
        let endpoints = terms.origin.endpoints;
        if let Some(failed) = &failed {
            self.journal_failure(failed, endpoints);
        }
        let verdict = failed
            .as_ref()
            .map_or(Verdict::Unjudged, |failed| failed.verdict);
        self.tries.fail(price, verdict);
        match &failed {
            Some(failed) if failed.method.asks_pam() => {
                if let Some((PamRefusal::NoMoreTries, _)) = failed.pam {
                    self.tries.exhaust_passwords();
                }
                terms.delay.settle_dialog(asked, failed.delay).await;
            }
            Some(_) => terms.delay.settle(&self.user, asked).await,
            // `none` as the first request of all is part of every login.
            None if price == Price::Nothing => {}
            None => terms.delay.settle(&self.user, asked).await,
        }
        let denied = failed.as_ref().is_some_and(Failed::denies_account);
        let decision = match self.left() {
            _ if denied => Decision::Denied(self),
            Budget::Left => {
                let outcome = self.refused(PartialSuccess::No);
                Decision::Continue(self, outcome)
            }
            Budget::UsedUp => {
                self.subject(endpoints).too_many_failures();
                Decision::TooManyFailures(self)
            }
        };
        let said = failed.map_or_else(String::new, |failed| failed.said);
        Decided { said, decision }
    }

    /// What is left of MaxAuthTries and of all requests.
    fn left(&self) -> Budget {
        self.tries.left(self.rules.config.max_auth_tries)
    }

    fn journal_failure(&self, failed: &Failed, endpoints: Endpoints) {
        let subject = self.subject(endpoints);
        match &failed.pam {
            // As in sshd: not if the user was told something.
            Some((_, reason)) if failed.method == Method::KeyboardInteractive => {
                if failed.said.is_empty() {
                    subject.pam_refused(reason);
                }
            }
            Some((PamRefusal::Account, _)) => subject.account_refused(),
            Some(_) | None => {}
        }
        match failed.verdict {
            Verdict::Judged => self.log(Word::Failed, failed.tried(), endpoints),
            // sshd (9.2p1) has a line for a key that is not listed at VERBOSE only, and so it is no failure to fail2ban.
            Verdict::Unjudged => subject.tried(Word::Failed, failed.tried(), Weight::Light),
        }
    }

    /// A dialog was given up by the client. sshd's monitor counts it as well.
    fn abandoned(&mut self, endpoints: Endpoints) {
        let failed = Failed::new(Method::KeyboardInteractive, Verdict::Judged);
        self.log(Word::Failed, failed.tried(), endpoints);
        self.tries.fail(Price::Try, failed.verdict);
    }

    /// What a completed method comes to: PermitRootLogin first, then AuthenticationMethods.
    fn advance(self, proof: MethodProof, endpoints: Endpoints) -> Result<Advanced, Violation> {
        let Standing::Permitted(account) = &self.standing else {
            // Cannot be: nothing is proved for somebody who has no account.
            return Err(internal(Mismatch));
        };
        let failed = Failed::of(&proof);
        if let Err(denial) = account.permits(proof.method(), proof.forced_command()) {
            self.subject(endpoints).denied(&denial);
            return Ok(Advanced::Failed(Box::new(self), failed));
        }
        match self.progress.take(proof) {
            Advance::Complete(methods) => {
                let Self {
                    standing,
                    rules,
                    source,
                    first,
                    ..
                } = self;
                let login = Self::accept(standing, methods, rules, source.host, first)?;
                Ok(Advanced::Decided(Box::new(Decision::Accepted(Box::new(
                    login,
                )))))
            }
            Advance::Partial(progress) => {
                let named = Self { progress, ..self };
                named.log(Word::Partial, failed.tried(), endpoints);
                let outcome = named.refused(PartialSuccess::Yes);
                Ok(Advanced::Decided(Box::new(Decision::Continue(
                    named, outcome,
                ))))
            }
            Advance::Unwanted(progress) => Ok(Advanced::Failed(
                Box::new(Self { progress, ..self }),
                failed,
            )),
            Advance::Inconsistent(progress, why) => {
                let named = Self { progress, ..self };
                named.subject(endpoints).inconsistent(why);
                Ok(Advanced::Failed(Box::new(named), failed))
            }
        }
    }

    fn accept(
        standing: Standing,
        methods: CompletedMethods,
        rules: Arc<Rules>,
        host: String,
        first: FirstExchange,
    ) -> Result<Login, Violation> {
        let Standing::Permitted(account) = standing else {
            return Err(internal(Mismatch));
        };
        let user = AuthenticatedUser::new(methods, account).map_err(internal)?;
        Ok(Login {
            user,
            rules,
            host,
            first,
        })
    }

    /// SSH_MSG_USERAUTH_FAILURE with the methods that can continue.
    fn refused(&self, partial_success: PartialSuccess) -> AuthOutcome {
        let methods = Method::ALL.into_iter();
        let methods = methods.filter(|method| *method != Method::None && self.offers(*method));
        AuthOutcome::Refused {
            methods: methods.map(|method| method.name().to_owned()).collect(),
            partial_success: partial_success == PartialSuccess::Yes,
        }
    }

    fn log(&self, word: Word, tried: Tried<'_>, endpoints: Endpoints) {
        let weight = self.tries.weight(self.rules.config.max_auth_tries);
        self.subject(endpoints).tried(word, tried, weight);
    }

    /// The client has the next word, and the method has not ended.
    fn postponed(&self, tried: Tried<'_>, endpoints: Endpoints) {
        let tries = &self.tries;
        let weight = tries.weight_of_question(self.rules.config.max_auth_tries);
        let subject = self.subject(endpoints);
        subject.tried(Word::Postponed, tried, weight);
    }
}

impl From<Decision> for Decided {
    fn from(decision: Decision) -> Self {
        Self {
            said: String::new(),
            decision,
        }
    }
}

/// What a completed method came to.
enum Advanced {
    /// A login, or a part of one.
    Decided(Box<Decision>),
    /// Nothing.
    Failed(Box<Named>, Failed),
}

/// "partial success" of RFC 4252 section 5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartialSuccess {
    Yes,
    No,
}

fn internal(mismatch: Mismatch) -> Violation {
    Violation::new(mismatch.to_string())
}
