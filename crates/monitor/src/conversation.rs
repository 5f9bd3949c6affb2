//! What one worker asks, in order, and what that makes of its connection.
//!
//! One task owns a [`Conversation`] and answers one question after the other; there is no lock and
//! no second owner. A question that is not permitted, or that is asked while others pile up, is not
//! answered: the connection ends.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use rpc::Violation;
use rpc::lane::Lane;
use rpc::preauth::{AuthReply, ConnectionEnd, KeyProofs, MonitorFace};
use thiserror::Error;
use tokio::sync::{SetOnce, mpsc, oneshot};
use tokio::time::{Instant, sleep};
use wire::exchange::ExchangeValues;
use wire::groups::{DhGroup, GroupRequest};
use wire::names::KexAlgorithm;
use wire::userauth::{AuthOutcome, AuthRequest, Responses};

use crate::audit;
use crate::authenticate::{Authentication, Decided, Decision, Login, Terms, Undecided};
use crate::banner;
use crate::conduct::Conduct;
use crate::connections::Entry;
use crate::delay::FailureDelay;
use crate::denial::{self, Reason};
use crate::exchange::{self, ExchangeError};
use crate::groups::GroupExchange;
use crate::hostkeys::SignError;
use crate::open_session::{OpenError, Opened, Origin, open_session};
use crate::phase::{
    Authenticating, Denied, EarlyRekeys, Exchange, Open, Phase, ProofBudget, Running,
};
use crate::policy::Policy;
use crate::proof::AuthenticatedUser;
use crate::rules::Rules;
use crate::signing;
use crate::systemd::ServiceManager;

/// Questions that may wait while one is answered. An honest worker asks one at a time.
const QUESTIONS: usize = 1;

/// Why a connection cannot go on.
#[derive(Debug, Error)]
pub enum Broken {
    /// The worker broke the contract.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// RefuseConnection.
    #[error("administratively prohibited")]
    Prohibited,
    /// The host key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The user is authenticated but has no session.
    #[error("no session for user {user}: {error}")]
    Open {
        /// Login name.
        user: String,
        /// What failed.
        error: OpenError,
    },
}

impl From<Undecided> for Broken {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Violation(violation) => Self::Violation(violation),
            Undecided::Prohibited => Self::Prohibited,
        }
    }
}

/// The monitor's side of one connection.
pub struct Conversation<M> {
    /// How far it has come.
    phase: Phase,
    /// What was chosen for the key exchange that is under way, in whichever phase.
    group: GroupExchange,
    origin: Origin,
    policy: Arc<Policy>,
    worker: Arc<Lane>,
    services: Arc<M>,
    delay: Arc<FailureDelay>,
    /// Until when it may take to log in.
    deadline: Instant,
    /// Set at login, which ends LoginGraceTime.
    login: Arc<SetOnce<()>>,
    /// What administrators see of it.
    entry: Arc<Entry>,
    conduct: Conduct,
}

/// What a conversation needs besides its worker.
pub struct Setting<M> {
    /// Whom it is about.
    pub origin: Origin,
    /// The policy that its worker was welcomed with.
    pub policy: Arc<Policy>,
    /// Lane to the worker.
    pub worker: Arc<Lane>,
    /// Who starts sessions.
    pub services: Arc<M>,
    /// Who makes refusals wait.
    pub delay: Arc<FailureDelay>,
    /// The end of LoginGraceTime, if there is one.
    pub deadline: Option<Instant>,
    /// Whom to tell of a login.
    pub login: Arc<SetOnce<()>>,
    /// What administrators see of it.
    pub entry: Arc<Entry>,
}

impl<M: ServiceManager> Conversation<M> {
    /// Begins: nothing is known yet.
    pub fn new(setting: Setting<M>) -> Self {
        Self {
            phase: Phase::AwaitingExchange,
            group: GroupExchange::NotAsked,
            origin: setting.origin,
            policy: setting.policy,
            worker: setting.worker,
            services: setting.services,
            delay: setting.delay,
            deadline: setting.deadline.unwrap_or_else(far),
            login: setting.login,
            entry: setting.entry,
            conduct: Conduct::default(),
        }
    }

    /// Answers questions until one of them, or its answer, ends the connection.
    pub async fn run(&mut self, questions: &mut Questions) -> Broken {
        loop {
            tokio::select! {
                question = questions.0.recv() => {
                    let Some(question) = question else { return std::future::pending().await };
                    if let Err(broken) = self.answer(question).await {
                        return broken;
                    }
                    self.entry.seen(&self.phase);
                }
                () = self.phase.session_ended() => self.session_ended(),
            }
        }
    }

    async fn answer(&mut self, question: Question) -> Result<(), Broken> {
        // Whoever asked may have gone: its answer is dropped, its effects stay.
        match question {
            Question::ChooseGroup(request, reply) => {
                drop(reply.send(self.choose_group(request)?));
            }
            Question::SignExchange(values, reply) => {
                drop(reply.send(self.sign_exchange(values).await?));
            }
            Question::Authenticate(request, reply) => {
                drop(reply.send(self.authenticate(request).await?));
            }
            Question::Answer(responses, reply) => {
                drop(reply.send(self.answer_question(responses).await?));
            }
            Question::ProveHostKeys(host_keys, reply) => {
                drop(reply.send(self.prove_host_keys(host_keys).await?));
            }
            Question::Report(end, reply) => drop(reply.send(self.report(&end)?)),
        }
        Ok(())
    }

    /// `ChooseGroup` of `preauth.proto`.
    fn choose_group(&mut self, request: GroupRequest) -> Result<Option<DhGroup>, Broken> {
        let phase = self.take_phase().choose_group()?;
        let offer = &self.policy.offer;
        if !offer.kex.contains(&KexAlgorithm::DhGroupExchangeSha256) {
            return Err(Violation::new("group exchange is not offered").into());
        }
        if self.group != GroupExchange::NotAsked {
            return Err(Violation::new("a second group for one key exchange").into());
        }
        self.group = offer.groups.choose(request);
        self.phase = phase;
        Ok(match &self.group {
            GroupExchange::Chosen(chosen) => Some(chosen.group.clone()),
            GroupExchange::NoneFits | GroupExchange::NotAsked => None,
        })
    }

    /// `SignExchange` of `preauth.proto`.
    async fn sign_exchange(&mut self, values: ExchangeValues) -> Result<Vec<u8>, Broken> {
        let permitted = self.take_phase().sign_exchange(Instant::now())?;
        if let Exchange::Late(_, pause) = &permitted {
            sleep(*pause).await;
        }
        let group = mem::take(&mut self.group);
        let policy = Arc::clone(&self.policy);
        let sign = move || exchange::sign(&policy.offer, &values, group);
        let signed = match &permitted {
            Exchange::First | Exchange::Early(_) => sign(),
            Exchange::Late(open, _) => signing::aside(&open.session.user, sign).await?,
        };
        let signed = signed.map_err(|error| match error {
            ExchangeError::Sign(error) => Broken::Sign(error),
            ExchangeError::Kex(_) | ExchangeError::HostKey(_) | ExchangeError::Group(_) => {
                Violation::new(error.to_string()).into()
            }
        })?;
        let signature = signed.signature.clone();
        self.phase = match permitted {
            Exchange::First => Phase::Authenticating(Authenticating::new(signed.fix())),
            Exchange::Early(state) => Phase::Authenticating(state),
            Exchange::Late(state, _) => Phase::Open(state),
        };
        Ok(signature)
    }

    /// `Authenticate` of `preauth.proto`.
    async fn authenticate(&mut self, request: AuthRequest) -> Result<AuthReply, Broken> {
        let Authenticating {
            authentication,
            rekeys,
        } = self.take_phase().authenticate()?;
        let named = authentication.name(request.user, self.terms()).await?;
        let standing = named.subject(self.origin.endpoints).validity;
        self.conduct.asked(&request.method, standing);
        let (banner, pubkey_algorithms) = match named.is_fresh() {
            true => {
                let config = &named.rules().config;
                let banner = banner::text(config.banner.as_deref()).await;
                (banner, self.policy.algorithms_apart(config))
            }
            false => (None, Vec::new()),
        };
        let decided = named.decide(&request.service, request.method, self.terms());
        let (said, outcome) = self.proceed(decided.await?, rekeys).await?;
        Ok(AuthReply {
            banners: banner.into_iter().chain(said).collect(),
            pubkey_algorithms,
            outcome,
        })
    }

    /// `Answer` of `preauth.proto`.
    async fn answer_question(&mut self, responses: Responses) -> Result<AuthReply, Broken> {
        let (asked, rekeys) = self.take_phase().answer()?;
        self.conduct.answered();
        let decided = asked.answer(responses, self.terms()).await?;
        let (said, outcome) = self.proceed(decided, rekeys).await?;
        Ok(AuthReply {
            banners: said.into_iter().collect(),
            pubkey_algorithms: Vec::new(),
            outcome,
        })
    }

    /// What a decision makes of the connection; and what the user is to see before its outcome.
    async fn proceed(
        &mut self,
        decided: Decided,
        rekeys: EarlyRekeys,
    ) -> Result<(Option<Vec<u8>>, AuthOutcome), Broken> {
        let said = Some(decided.said.into_bytes()).filter(|said| !said.is_empty());
        let (authentication, outcome) = match decided.decision {
            Decision::Continue(named, outcome) => (Authentication::Named(Box::new(named)), outcome),
            Decision::Ask(asked, request) => (
                Authentication::Asked(Box::new(asked)),
                AuthOutcome::InfoRequest(request),
            ),
            Decision::TooManyFailures(named) => {
                self.phase = Phase::Exhausted(Box::new(named));
                return Ok((said, AuthOutcome::TooManyFailures));
            }
            Decision::NoMethods(named) => {
                self.phase = Phase::Exhausted(Box::new(named));
                return Ok((said, AuthOutcome::NoMethods));
            }
            Decision::Denied(named) => {
                self.phase = Phase::Denied(Denied(named.user().clone()));
                return Ok((said, AuthOutcome::Denied));
            }
            Decision::Accepted(login) => {
                let (news, outcome) = self.log_in(*login).await?;
                return Ok((news.or(said), outcome));
            }
        };
        self.phase = Phase::Authenticating(Authenticating {
            authentication,
            rekeys,
        });
        Ok((said, outcome))
    }

    fn terms(&self) -> Terms<'_, M> {
        Terms {
            policy: &self.policy,
            origin: self.origin,
            delay: &self.delay,
            services: &self.services,
            deadline: self.deadline,
        }
    }

    /// Opens the session; and what the user is to see before the outcome.
    async fn log_in(&mut self, login: Login) -> Result<(Option<Vec<u8>>, AuthOutcome), Broken> {
        let opened = open_session(&*self.services, &self.worker, self.origin, &login).await;
        let Login {
            user,
            rules,
            host,
            first,
            told: _,
        } = login;
        let Opened {
            session,
            said: account_said,
        } = match opened {
            Ok(opened) => opened,
            Err(error @ OpenError::NeverUp { .. }) => {
                return self.not_up(&user, &rules, &host, error).await;
            }
            Err(error) => return Err(without_session(&user, error)),
        };
        audit::accepted(&user, self.origin.endpoints);
        audit::session_started(&session.user, &session.unit);
        drop(self.login.set(()));
        self.phase = Phase::Open(Open::new(session, first, Instant::now()));
        // As sshd. Who had a dialog with PAM has read it there, or reads it now.
        let news = match user.dialogs().next() {
            None if !account_said.is_empty() => Some(account_said.into_bytes()),
            None | Some(_) => None,
        };
        Ok((news, AuthOutcome::Accepted))
    }

    /// The session of a user did not come up. If PAM is why, the user is told.
    async fn not_up(
        &mut self,
        user: &AuthenticatedUser,
        rules: &Rules,
        host: &str,
        error: OpenError,
    ) -> Result<(Option<Vec<u8>>, AuthOutcome), Broken> {
        match denial::inquire(&self.services, rules, self.origin, host, user).await {
            Reason::Account { said } => {
                audit::account_denied(user, self.origin.endpoints);
                self.phase = Phase::Denied(Denied(user.user().clone()));
                let said = Some(said).filter(|said| !said.is_empty());
                Ok((said, AuthOutcome::Denied))
            }
            Reason::Other => Err(without_session(user, error)),
        }
    }

    /// `ProveHostKeys` of `preauth.proto`.
    async fn prove_host_keys(&mut self, wanted: Vec<Vec<u8>>) -> Result<KeyProofs, Broken> {
        let (open, budget) = self.take_phase().prove_host_keys()?;
        let (open, proofs) = match budget {
            ProofBudget::Left => {
                let (user, policy) = (open.session.user.clone(), Arc::clone(&self.policy));
                let prove = move || {
                    let proofs = policy.offer.host_keys.prove(&open.first, &wanted);
                    (open, proofs)
                };
                signing::aside(&user, prove).await?
            }
            ProofBudget::UsedUp => (open, Ok(None)),
        };
        self.phase = Phase::Open(open);
        Ok(proofs?.map_or(KeyProofs::Refused, KeyProofs::Proved))
    }

    /// `Report` of `preauth.proto`.
    fn report(&mut self, end: &ConnectionEnd) -> Result<(), Broken> {
        let phase = self.take_phase();
        let endpoints = self.origin.endpoints;
        audit::reported(endpoints, phase.report(endpoints)?, end);
        Ok(())
    }

    fn session_ended(&mut self) {
        if let Phase::Open(open) = &mut self.phase {
            open.running = Running::Ended;
            audit::session_ended(&open.session.user, &open.session.unit);
        }
    }

    fn take_phase(&mut self) -> Phase {
        mem::replace(&mut self.phase, Phase::Over)
    }

    /// How far it has come.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What the client did until now.
    pub fn conduct(&self) -> Conduct {
        self.conduct
    }
}

/// When dialogs end without LoginGraceTime. Whoever holds one has a limit of their own.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(24 * 60 * 60)
}

fn without_session(user: &AuthenticatedUser, error: OpenError) -> Broken {
    Broken::Open {
        user: user.account().name.clone(),
        error,
    }
}

/// What a worker asked, and where the answer goes.
enum Question {
    ChooseGroup(GroupRequest, oneshot::Sender<Option<DhGroup>>),
    SignExchange(ExchangeValues, oneshot::Sender<Vec<u8>>),
    Authenticate(AuthRequest, oneshot::Sender<AuthReply>),
    Answer(Responses, oneshot::Sender<AuthReply>),
    ProveHostKeys(Vec<Vec<u8>>, oneshot::Sender<KeyProofs>),
    Report(ConnectionEnd, oneshot::Sender<()>),
}

/// Questions on their way to the conversation.
pub struct Questions(mpsc::Receiver<Question>);

/// The face that a worker's calls meet. It only passes them on: whether the caller waits for an
/// answer or cancels its call changes nothing about what was asked and what that costs.
#[derive(Debug)]
pub struct Face(mpsc::Sender<Question>);

/// A face, and where its questions come out.
pub fn face() -> (Face, Questions) {
    let (sender, receiver) = mpsc::channel(QUESTIONS);
    (Face(sender), Questions(receiver))
}

impl Face {
    async fn ask<T>(
        &self,
        question: Question,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, Violation> {
        self.0
            .try_send(question)
            .map_err(|_| Violation::new("calls pile up"))?;
        // No answer: the connection has ended.
        answer.await.map_err(|_| Violation::new("not answered"))
    }
}

impl MonitorFace for Face {
    async fn choose_group(&self, request: GroupRequest) -> Result<Option<DhGroup>, Violation> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::ChooseGroup(request, reply), answer)
            .await
    }

    async fn sign_exchange(&self, values: ExchangeValues) -> Result<Vec<u8>, Violation> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::SignExchange(values, reply), answer)
            .await
    }

    async fn authenticate(&self, request: AuthRequest) -> Result<AuthReply, Violation> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Authenticate(request, reply), answer)
            .await
    }

    async fn answer(&self, responses: Responses) -> Result<AuthReply, Violation> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Answer(responses, reply), answer).await
    }

    async fn prove_host_keys(&self, host_keys: Vec<Vec<u8>>) -> Result<KeyProofs, Violation> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::ProveHostKeys(host_keys, reply), answer)
            .await
    }

    async fn report(&self, end: ConnectionEnd) -> Result<(), Violation> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Report(end, reply), answer).await
    }
}

#[cfg(test)]
mod tests;
