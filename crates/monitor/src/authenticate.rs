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

mod attempt;
mod bind;
mod conclude;
pub mod dialog;
mod hostbased;
mod publickey;
mod tries;

use std::sync::Arc;

use accounts::{Method, Source};
use rpc::{Endpoints, Network, Violation};
use thiserror::Error;
use tokio::time::Instant;
use wire::userauth::{AuthMethod, AuthOutcome, InfoRequest, UserName};

use self::attempt::Attempt;
use self::dialog::Asked;
use self::tries::{Budget, Tries};
use crate::account::Standing;
use crate::audit::Subject;
use crate::delay::FailureDelay;
use crate::exchange::FirstExchange;
use crate::open_session::Origin;
use crate::policy::Policy;
use crate::progress::{Progress, Prospect};
use crate::proof::AuthenticatedUser;
use crate::rules::Rules;
use crate::systemd::ServiceManager;
use crate::told::Told;
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

impl<M> Terms<'_, M> {
    /// Who the client is, as far as one is told from another (PerSourceNetBlockSize): of addresses of version 6 anybody has
    /// a network.
    pub(crate) fn client(&self) -> Option<Network> {
        let address = self.origin.endpoints.peer().ip()?;
        Some(self.policy.limits.source(address))
    }
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
    told: Told,
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
    /// AuthenticationMethods leaves nothing to be tried.
    NoMethods(Named),
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
    /// What the user is told of keys that did not count.
    pub told: Told,
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
    /// for it; see [`rules`](crate::rules).
    ///
    /// # Errors
    /// RefuseConnection; or the user name is not the one that binds the connection: RFC 4252 section 5
    /// lets a server disconnect then, and the worker does so before it asks. This one is corrupted.
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
        if self.progress.prospect() == Prospect::Hopeless {
            self.subject(terms.origin.endpoints).no_methods();
            return Ok(Decision::NoMethods(self).into());
        }
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
                self.hostbased(request, terms).await
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

    /// What is left of MaxAuthTries and of all requests.
    fn left(&self) -> Budget {
        self.tries.left(self.rules.config.max_auth_tries)
    }

    #[cfg(test)]
    pub(crate) fn for_test(first: FirstExchange) -> Self {
        let defaults = config::sshd::SshdConfig::defaults(&config::sshd::Offers::ours().offered());
        let rules = Rules::new(defaults);
        Self {
            first,
            user: UserName::new("alice").unwrap(),
            source: crate::rules::source(Endpoints::UNKNOWN),
            standing: Standing::Refused(crate::account::Refusal::Unknown),
            progress: Progress::new(&rules.config.authentication_methods, |_| true).0,
            rules: Arc::new(rules),
            tries: Tries::default(),
            told: Told::default(),
        }
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
