//! How far a connection has come, and what its worker may ask there.
//!
//! | phase | `SignExchange` | `ChooseGroup` | `Authenticate` | `Answer` | `ProveHostKeys` | `Report` |
//! |---|---|---|---|---|---|---|
//! | awaiting exchange | the first: its hash becomes the session identifier | once for each of these | violation | violation | violation | last |
//! | authenticating | rekey, 3 times at most | once for each of these | decided | decided, if a question is open | violation | last |
//! | exhausted | violation | violation | violation | violation | violation | last |
//! | denied | violation | violation | violation | violation | violation | last |
//! | open | rekey, at a bounded pace | once for each of these | violation | violation | signed, 4 times at most | last |
//! | over | violation | violation | violation | violation | violation | violation |
//!
//! Each column is one method here, each cell one arm. A method takes the phase by value and yields
//! what the call may work with: code that handles a call cannot reach the state of another phase. A
//! violation leaves no phase to go on with.

use std::time::Duration;

use rpc::{Endpoints, Violation};
use tokio::time::Instant;
use wire::userauth::UserName;

use crate::audit::{Stage, Subject, Validity};
use crate::authenticate::dialog::Asked;
use crate::authenticate::{Authentication, Named};
use crate::exchange::FirstExchange;
use crate::open_session::Session;
use crate::token_bucket::TokenBucket;

/// Rekeys before login. No client has a reason for any, RFC 4253 section 9 permits them.
const REKEYS_BEFORE_LOGIN: u32 = 3;

/// Rekeys after login: a burst, and per second. A client with `RekeyLimit 1M` on a fast line has some
/// dozens per second; more of them are answered later, not refused.
const REKEY_BURST: u32 = 256;
const REKEYS_PER_SECOND: u32 = 50;

/// Requests of proofs of host keys that are answered with signatures. A client has a reason for one;
/// later ones are refused, which is no fault of the worker that passes them on.
const PROOFS: u32 = 4;

/// How far a connection has come.
#[derive(Debug)]
pub enum Phase {
    /// Nothing is known of it but its addresses.
    AwaitingExchange,
    /// Keys were exchanged, nobody is logged in.
    Authenticating(Authenticating),
    /// MaxAuthTries is used up, or there is no method to try.
    Exhausted(Box<Named>),
    /// The account may not be used; its user.
    Denied(Denied),
    /// A user is logged in.
    Open(Open),
    /// It ends. Nothing may be asked any more.
    Over,
}

/// State between the first key exchange and login.
#[derive(Debug)]
pub struct Authenticating {
    /// Who tries, and how often.
    pub authentication: Authentication,
    /// Key exchanges that are left to it.
    pub rekeys: EarlyRekeys,
}

/// State after a login that PAM's account phase did not permit.
#[derive(Debug)]
pub struct Denied(pub UserName);

/// How many key exchanges are left before login.
#[derive(Debug)]
pub struct EarlyRekeys(u32);

/// State after login.
#[derive(Debug)]
pub struct Open {
    /// The user's session.
    pub session: Session,
    /// Whether it still runs.
    pub running: Running,
    /// The first key exchange, which host keys are proved for.
    pub first: FirstExchange,
    rekeys: TokenBucket,
    proofs: u32,
}

/// Whether signatures are left for proofs of host keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofBudget {
    /// Sign.
    Left,
    /// Refuse.
    UsedUp,
}

/// Whether a session still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// As far as is known.
    Yes,
    /// It has ended; the worker may have output of it to deliver yet.
    Ended,
}

/// A permitted SignExchange.
#[derive(Debug)]
pub enum Exchange {
    /// The first.
    First,
    /// A later one before login.
    Early(Authenticating),
    /// A later one after login, to be signed after the pause.
    Late(Open, Duration),
}

impl Phase {
    /// Column `SignExchange`.
    ///
    /// # Errors
    /// Not permitted here, or not any more.
    pub fn sign_exchange(self, now: Instant) -> Result<Exchange, Violation> {
        match self {
            Self::AwaitingExchange => Ok(Exchange::First),
            Self::Authenticating(state) => Ok(Exchange::Early(Authenticating {
                rekeys: state.rekeys.spend()?,
                ..state
            })),
            Self::Open(mut state) => {
                let pause = state
                    .rekeys
                    .take(now)
                    .ok_or_else(|| Violation::new("too many key exchanges"))?;
                Ok(Exchange::Late(state, pause))
            }
            Self::Exhausted(_) => Err(Violation::new("SignExchange after the last answer")),
            Self::Denied(_) => Err(Violation::new("SignExchange after a denial")),
            Self::Over => Err(Violation::new("SignExchange after the end")),
        }
    }

    /// Column `ChooseGroup`. Not more often than `SignExchange`: the conversation keeps the group until
    /// then, and a second one is a violation.
    ///
    /// # Errors
    /// Not permitted here, or no key exchange is left for it.
    pub fn choose_group(self) -> Result<Self, Violation> {
        match self {
            Self::Authenticating(Authenticating {
                rekeys: EarlyRekeys(0),
                ..
            }) => Err(Violation::new("too many key exchanges before login")),
            Self::AwaitingExchange | Self::Authenticating(_) | Self::Open(_) => Ok(self),
            Self::Exhausted(_) => Err(Violation::new("ChooseGroup after the last answer")),
            Self::Denied(_) => Err(Violation::new("ChooseGroup after a denial")),
            Self::Over => Err(Violation::new("ChooseGroup after the end")),
        }
    }

    /// Column `Authenticate`.
    ///
    /// # Errors
    /// Not permitted here.
    pub fn authenticate(self) -> Result<Authenticating, Violation> {
        match self {
            Self::AwaitingExchange => Err(Violation::new("Authenticate before a key exchange")),
            Self::Authenticating(state) => Ok(state),
            Self::Exhausted(_) => Err(Violation::new("Authenticate after the last answer")),
            Self::Denied(_) => Err(Violation::new("Authenticate after a denial")),
            Self::Open(_) => Err(Violation::new("Authenticate after login")),
            Self::Over => Err(Violation::new("Authenticate after the end")),
        }
    }

    /// Column `Answer`.
    ///
    /// # Errors
    /// Not permitted here, or nothing was asked.
    pub fn answer(self) -> Result<(Asked, EarlyRekeys), Violation> {
        match self {
            Self::Authenticating(Authenticating {
                authentication: Authentication::Asked(asked),
                rekeys,
            }) => Ok((*asked, rekeys)),
            Self::AwaitingExchange
            | Self::Authenticating(_)
            | Self::Exhausted(_)
            | Self::Denied(_) => Err(Violation::new("Answer without a question")),
            Self::Open(_) => Err(Violation::new("Answer after login")),
            Self::Over => Err(Violation::new("Answer after the end")),
        }
    }

    /// Column `ProveHostKeys`.
    ///
    /// # Errors
    /// Not permitted here.
    pub fn prove_host_keys(self) -> Result<(Open, ProofBudget), Violation> {
        match self {
            Self::Open(mut state) => {
                let budget = match state.proofs {
                    0 => ProofBudget::UsedUp,
                    _ => ProofBudget::Left,
                };
                state.proofs = state.proofs.saturating_sub(1);
                Ok((state, budget))
            }
            Self::AwaitingExchange
            | Self::Authenticating(_)
            | Self::Exhausted(_)
            | Self::Denied(_) => Err(Violation::new("ProveHostKeys before login")),
            Self::Over => Err(Violation::new("ProveHostKeys after the end")),
        }
    }

    /// Column `Report`: how far the connection had come when it ended.
    ///
    /// # Errors
    /// It has ended already.
    pub fn report(&self, endpoints: Endpoints) -> Result<Stage<'_>, Violation> {
        match self {
            Self::AwaitingExchange => Ok(Stage::Before(None)),
            Self::Authenticating(Authenticating { authentication, .. }) => {
                Ok(Stage::Before(authentication.subject(endpoints)))
            }
            Self::Exhausted(named) => Ok(Stage::Before(Some(named.subject(endpoints)))),
            Self::Denied(Denied(user)) => Ok(Stage::Before(Some(Subject {
                user,
                validity: Validity::Valid,
                endpoints,
            }))),
            Self::Open(open) => Ok(Stage::LoggedIn(&open.session.user)),
            Self::Over => Err(Violation::new("Report after the end")),
        }
    }

    /// The name that binds the connection, if there is one yet.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Authenticating(state) => Some(state.authentication.user()?.as_str()),
            Self::Exhausted(named) => Some(named.user().as_str()),
            Self::Denied(Denied(user)) => Some(user.as_str()),
            Self::Open(open) => Some(&open.session.user),
            Self::AwaitingExchange | Self::Over => None,
        }
    }

    /// Its name for the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AwaitingExchange => "awaiting exchange",
            Self::Authenticating(_) => "authenticating",
            Self::Exhausted(_) => "exhausted",
            Self::Denied(_) => "denied",
            Self::Open(_) => "open",
            Self::Over => "over",
        }
    }

    /// What later calls depend on, for tests.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Authenticating(state) => {
                format!("{:?} {}", state.rekeys, state.authentication.summary())
            }
            Self::Open(open) => format!("open {}", open.proofs),
            Self::AwaitingExchange | Self::Exhausted(_) | Self::Denied(_) | Self::Over => {
                self.name().to_owned()
            }
        }
    }

    /// Waits until the session of an open connection ends; for ever in other phases.
    pub async fn session_ended(&self) {
        match self {
            Self::Open(Open {
                session,
                running: Running::Yes,
                ..
            }) => session.ended().await,
            Self::Open(_)
            | Self::AwaitingExchange
            | Self::Authenticating(_)
            | Self::Exhausted(_)
            | Self::Denied(_)
            | Self::Over => std::future::pending().await,
        }
    }
}

impl Authenticating {
    /// Begins with the first exchange.
    pub fn new(first: FirstExchange) -> Self {
        Self {
            authentication: Authentication::Unnamed(first),
            rekeys: EarlyRekeys(REKEYS_BEFORE_LOGIN),
        }
    }
}

impl EarlyRekeys {
    fn spend(self) -> Result<Self, Violation> {
        let left = self.0.checked_sub(1);
        left.map(Self)
            .ok_or_else(|| Violation::new("too many key exchanges before login"))
    }
}

impl Open {
    /// Begins with a session that was just opened.
    pub fn new(session: Session, first: FirstExchange, now: Instant) -> Self {
        Self {
            session,
            running: Running::Yes,
            first,
            rekeys: TokenBucket::new(REKEY_BURST, REKEYS_PER_SECOND, now),
            proofs: PROOFS,
        }
    }
}

#[cfg(test)]
mod tests;
