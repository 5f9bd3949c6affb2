//! A process that holds one PAM transaction, from the monitor's side: its unit, the dialog with it, and what it proves.
//!
//! ```text
//!  begin ─▶ Dialog::Question(question, waiting) ─▶ waiting.answer(secrets) ─▶ Dialog …
//!        └▶ Dialog::Done(Outcome::Accepted(PamProof) │ PasswordExpired │ Refused │ Failed)
//! ```
//!
//! Modules are other people's code: they crash, hang, fork and lie in wait. So the process is a unit of its own, and the
//! unit lives no longer than the value that stands for it here: when the dialog ends, is dropped or runs out of time, the
//! unit is stopped with all that modules have started. A monitor that dies leaves that to `RuntimeMaxSec=` of the unit.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rpc::pam::{
    Authority, Conversation, EmptyPasswords, End, Message, PamError, PasswordState, Pending,
    Question, Refusal, RemoteName, Secret, Start, Subject, Task, Turn, Variable, Verdict,
};
use rpc::{ConnectionId, lane};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use wire::userauth::UserName;

use crate::systemd::{PamUnit, ServiceManager, StartError};

/// Longest dialog, the user's time to answer included, whatever LoginGraceTime permits. `RuntimeMaxSec=` of the unit is
/// longer.
const DIALOG_LIMIT: Duration = Duration::from_secs(600);

/// Proof that PAM or shadow(5) accepts what a user gave for a password or answered. Made in this module only, for
/// [`Subject::Somebody`] only.
#[derive(Debug)]
pub struct PamProof {
    user: UserName,
    password: PasswordState,
    environment: Vec<Variable>,
}

impl PamProof {
    /// The name that was asked about. No module changed it.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// What became of the password.
    pub fn password(&self) -> PasswordState {
        self.password
    }

    /// The PAM environment, for the session.
    pub fn environment(&self) -> &[Variable] {
        &self.environment
    }
}

/// Whom a transaction is about, and who judges them.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// The connection, which the unit is named after.
    pub connection: ConnectionId,
    /// UsePAM and PAMServiceName.
    pub authority: Authority,
    /// The name that binds the connection.
    pub user: UserName,
    /// Whether that is somebody who may log in.
    pub subject: Subject,
    /// PAM_RHOST
    pub remote_host: RemoteName,
    /// PAM_RUSER, with hostbased authentication only.
    pub remote_user: Option<RemoteName>,
    /// The methods that were completed before, for PAM modules: a line for each.
    pub auth_info: String,
    /// PermitEmptyPasswords
    pub empty_passwords: EmptyPasswords,
}

/// What a user has to show.
#[derive(Debug)]
pub enum Credentials {
    /// A password, which answers what PAM asks (RFC 4252 section 8).
    Password(Secret),
    /// Answers to what PAM asks (RFC 4256). Not with [`Authority::Shadow`].
    KeyboardInteractive,
    /// An expired password and a new one (RFC 4252 section 8). Not with [`Authority::Shadow`].
    PasswordChange {
        /// The one that has expired.
        old: Secret,
        /// The one that is to be.
        new: Secret,
    },
}

/// How far a dialog has come.
#[derive(Debug)]
pub enum Dialog {
    /// A module asks, or says something. Whoever drops the second value ends the transaction.
    Question(Question, Waiting),
    /// It has ended.
    Done(Outcome),
}

/// A transaction that waits for answers.
#[derive(Debug)]
pub struct Waiting {
    pending: Pending,
    user: UserName,
    subject: Subject,
    unit: Unit,
}

/// How a transaction with credentials ended.
#[derive(Debug)]
pub enum Outcome {
    /// The user is who they say, and the account phase has passed.
    Accepted {
        /// Proof of it.
        proof: PamProof,
        /// What modules said to nobody: for the user, before the session.
        messages: Vec<Message>,
    },
    /// The password is right and has expired: the client may be asked for a new one, and nothing else.
    PasswordExpired {
        /// What modules said to nobody.
        messages: Vec<Message>,
    },
    /// PAM refuses.
    Refused(Refused),
    /// There is no verdict: the process crashed, ran out of time or was not started. Counts as a refusal.
    Failed(Failure),
}

/// A refusal of PAM's.
#[derive(Debug)]
pub struct Refused {
    /// Which phase.
    pub refusal: Refusal,
    /// In libpam's words, for the journal.
    pub reason: String,
    /// What modules said to nobody.
    pub messages: Vec<Message>,
    /// How long libpam would have the user wait.
    pub delay: Duration,
}

/// How the account phase ended, for somebody whose proof is another one.
#[derive(Debug)]
pub enum AccountPhase {
    /// They may log in.
    Permitted {
        /// What modules said to nobody.
        messages: Vec<Message>,
    },
    /// They may, but their password has expired.
    PasswordExpired {
        /// What modules said to nobody.
        messages: Vec<Message>,
    },
    /// They may not.
    Refused(Refused),
    /// It cannot be told, so they may not.
    Failed(Failure),
}

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum Failure {
    /// No socket for it.
    #[error("socket pair: {0}")]
    Socket(#[from] std::io::Error),
    /// The unit was not started.
    #[error("unit was not started: {0}")]
    Start(#[from] StartError),
    /// The conversation with the process failed.
    #[error(transparent)]
    Conversation(#[from] PamError),
    /// It says what it cannot know, or asks where it may not.
    #[error("contract was broken: {0}")]
    Contract(&'static str),
}

/// Begins a transaction in a new process, and waits for its first word until `deadline`: what is left of
/// LoginGraceTime.
pub async fn begin<M: ServiceManager>(
    services: &Arc<M>,
    applicant: Applicant,
    credentials: Credentials,
    deadline: Instant,
) -> Dialog {
    let (user, subject) = (applicant.user.clone(), applicant.subject);
    let task = match credentials {
        Credentials::Password(password) => Task::Password(password),
        Credentials::KeyboardInteractive => Task::KeyboardInteractive,
        Credentials::PasswordChange { old, new } => Task::PasswordChange { old, new },
    };
    match start(services, applicant, task, deadline).await {
        Ok((turn, unit)) => dialog(turn, user, subject, unit),
        Err(failure) => Dialog::Done(Outcome::Failed(failure)),
    }
}

/// Runs the account phase alone. Nobody is asked anything.
pub async fn account<M: ServiceManager>(
    services: &Arc<M>,
    applicant: Applicant,
    deadline: Instant,
) -> AccountPhase {
    match start(services, applicant, Task::Account, deadline).await {
        Ok((Turn::End(end), _unit)) => account_phase(end),
        Ok((Turn::Question(..), _unit)) => {
            AccountPhase::Failed(Failure::Contract("question in the account phase"))
        }
        Err(failure) => AccountPhase::Failed(failure),
    }
}

impl Waiting {
    /// Answers each prompt of the question, in order, and waits for the next word.
    pub async fn answer(self, answers: Vec<Secret>) -> Dialog {
        match self.pending.answer(answers).await {
            Ok(turn) => dialog(turn, self.user, self.subject, self.unit),
            Err(error) => Dialog::Done(Outcome::Failed(error.into())),
        }
    }
}

async fn start<M: ServiceManager>(
    services: &Arc<M>,
    applicant: Applicant,
    task: Task,
    deadline: Instant,
) -> Result<(Turn, Unit), Failure> {
    let deadline = deadline.min(Instant::now() + DIALOG_LIMIT);
    let (ours, theirs) = lane::pair()?;
    let unit = Unit::start(services, applicant.connection, theirs, deadline).await?;
    let start = Start {
        authority: applicant.authority,
        user: applicant.user,
        subject: applicant.subject,
        remote_host: applicant.remote_host,
        remote_user: applicant.remote_user,
        auth_info: applicant.auth_info,
        empty_passwords: applicant.empty_passwords,
        task,
    };
    let turn = Conversation::start(ours, start, deadline).await?;
    Ok((turn, unit))
}

fn dialog(turn: Turn, user: UserName, subject: Subject, unit: Unit) -> Dialog {
    match turn {
        Turn::Question(question, pending) => Dialog::Question(
            question,
            Waiting {
                pending,
                user,
                subject,
                unit,
            },
        ),
        Turn::End(end) => Dialog::Done(outcome(end, user, subject)),
    }
}

/// The only place where a [`PamProof`] is made.
fn outcome(end: End, user: UserName, subject: Subject) -> Outcome {
    let messages = end.messages;
    match (end.verdict, subject) {
        (
            Verdict::Accepted {
                password,
                environment,
            },
            Subject::Somebody,
        ) => Outcome::Accepted {
            proof: PamProof {
                user,
                password,
                environment,
            },
            messages,
        },
        (Verdict::PasswordExpired { .. }, Subject::Somebody) => {
            Outcome::PasswordExpired { messages }
        }
        (Verdict::Accepted { .. } | Verdict::PasswordExpired { .. }, Subject::Nobody) => {
            Outcome::Failed(Failure::Contract("nobody was accepted"))
        }
        (Verdict::Refused { refusal, reason }, Subject::Somebody | Subject::Nobody) => {
            Outcome::Refused(Refused {
                refusal,
                reason,
                messages,
                delay: end.delay,
            })
        }
    }
}

fn account_phase(end: End) -> AccountPhase {
    let messages = end.messages;
    match end.verdict {
        Verdict::Accepted { .. } => AccountPhase::Permitted { messages },
        Verdict::PasswordExpired { .. } => AccountPhase::PasswordExpired { messages },
        Verdict::Refused { refusal, reason } => AccountPhase::Refused(Refused {
            refusal,
            reason,
            messages,
            delay: end.delay,
        }),
    }
}

/// The unit of a process. Dropped, it has the unit stopped.
#[derive(Debug)]
struct Unit {
    /// Nothing is ever sent: its keeper waits for the end of it.
    _alive: oneshot::Sender<Infallible>,
}

impl Unit {
    /// Has the process started, and stopped at the latest at the deadline.
    ///
    /// Both are done by a task of their own, which nobody cancels: a call to the service manager that is abandoned half
    /// way could leave a unit that nobody knows of.
    async fn start<M: ServiceManager>(
        services: &Arc<M>,
        id: ConnectionId,
        stdio: std::os::fd::OwnedFd,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let (alive, end) = oneshot::channel();
        let (tell, started) = oneshot::channel();
        let services = Arc::clone(services);
        tokio::spawn(async move {
            let outcome = services.start_pam(PamUnit { id, number, stdio }).await;
            // Whoever waited for it may have gone. And what systemd did not confirm in time, it may do later.
            drop(tell.send(outcome));
            // An error is the end of the value that stands for the unit.
            drop(timeout_at(deadline, end).await);
            let name = PamUnit::name(id, number);
            if let Err(error) = services.stop_pam(&name).await {
                warn!("{name} was not stopped: {error}");
            }
        });
        match timeout_at(deadline, started).await {
            Ok(Ok(outcome)) => outcome?,
            // The task ended with the runtime.
            Ok(Err(_)) => return Err(PamError::Gone.into()),
            Err(_) => return Err(PamError::Deadline.into()),
        }
        Ok(Self { _alive: alive })
    }
}

/// The number of the next transaction. Never used twice by one monitor.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests;
