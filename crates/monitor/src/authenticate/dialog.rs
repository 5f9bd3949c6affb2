//! `password` (RFC 4252 section 8), `keyboard-interactive` (RFC 4256), and `none` with an empty
//! password: what PAM or shadow(5) says, in a process of its own ([`pam_process`]).
//!
//! Whoever does not exist, may not log in, or is root and may not log in by such a method gets the
//! same dialog with the same number of processes, about nobody ([`Subject::Nobody`]). One connection
//! has one process at most: a question that is not answered ends its own with the next request.

use std::mem;

use accounts::{ForcedCommand, Method};
use config::sshd::YesNo;
use rpc::pam::{
    Authority, EmptyPasswords, Message, Question, Refusal, RemoteName, Secret, Style, Subject,
};
use rpc::{Endpoints, Violation};
use tokio::time::Instant;
use wire::userauth::{
    Echo, InfoRequest, KeyboardInteractiveRequest, PasswordRequest, Prompt, Responses, UserName,
};

use super::attempt::{Attempt, Failed};
use super::tries::{Passwords, Price, Verdict};
use super::{Decided, Named, Terms};
use crate::account::Standing;
use crate::audit::Tried;
use crate::pam_process::{self, Applicant, Credentials, Dialog, Outcome, PamProof, Waiting};
use crate::proof::MethodProof;
use crate::systemd::ServiceManager;

/// The submethod of keyboard-interactive, in AuthenticationMethods and in the journal.
pub const PAM: &str = "pam";

/// Most text of modules that is kept for the user, in bytes.
const TEXT_LIMIT: usize = 16 * 1024;

/// PAM or shadow(5) accepted what the user gave, by this method.
#[derive(Debug)]
pub struct DialogProof {
    method: Method,
    proof: PamProof,
}

impl DialogProof {
    /// Which method it was.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The name that was asked about.
    pub fn user(&self) -> &UserName {
        self.proof.user()
    }

    /// What was accepted.
    pub fn accepted(&self) -> &PamProof {
        &self.proof
    }
}

/// A question that the client has to answer.
#[derive(Debug)]
pub(super) struct Open {
    waiting: Waiting,
    prompts: usize,
    /// What modules said after the last of the prompts.
    said: Said,
    round: Round,
}

/// Which question of a dialog it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    Later,
}

impl Open {
    /// What is tried. Which submethod it is, is known by the first answer, as in sshd.
    pub(super) fn tried(&self) -> Tried<'static> {
        Tried {
            submethod: match self.round {
                Round::First => None,
                Round::Later => Some(PAM),
            },
            ..Tried::by(Method::KeyboardInteractive)
        }
    }
}

impl Named {
    /// The `password` method.
    pub(super) async fn password<M: ServiceManager>(
        &mut self,
        request: PasswordRequest,
        terms: Terms<'_, M>,
    ) -> Attempt {
        let earlier = self.tries.try_password();
        let credentials = match request {
            PasswordRequest::Login(password) if self.may_be_tried(&password) => {
                Credentials::Password(password)
            }
            PasswordRequest::Change { old, new }
                if self.rules.authority() != Authority::Shadow && self.may_be_tried(&old) =>
            {
                Credentials::PasswordChange { old, new }
            }
            // As in sshd: not worth a process, whoever it is, and called `none` if it is the first.
            PasswordRequest::Login(_) if earlier == Passwords::Untried => {
                return failed(Method::None);
            }
            PasswordRequest::Login(_)
            | PasswordRequest::Change { .. }
            | PasswordRequest::Impossible => return failed(Method::Password),
        };
        self.transaction(Method::Password, credentials, terms).await
    }

    /// The `none` method: who has an empty password needs to say nothing.
    pub(super) async fn none<M: ServiceManager>(&mut self, terms: Terms<'_, M>) -> Attempt {
        self.tries.try_none();
        let empty = match (
            self.rules.config.permit_empty_passwords,
            self.rules.config.password_authentication,
        ) {
            (YesNo::Yes, YesNo::Yes) => Secret::copy(b""),
            (YesNo::No, _) | (_, YesNo::No) => None,
        };
        match empty {
            Some(empty) => {
                self.tries.try_password();
                let credentials = Credentials::Password(empty);
                self.transaction(Method::None, credentials, terms).await
            }
            None => Attempt::Unheard,
        }
    }

    /// The `keyboard-interactive` method. PAM is the only submethod: without it there is nobody to
    /// ask, and sshd fails likewise.
    pub(super) async fn keyboard_interactive<M: ServiceManager>(
        &self,
        request: KeyboardInteractiveRequest,
        terms: Terms<'_, M>,
    ) -> Attempt {
        let method = Method::KeyboardInteractive;
        let submethods = request.submethods.as_str();
        let named = submethods.is_empty() || submethods.split(',').any(|name| name == PAM);
        let has_pam = self.rules.authority() != Authority::Shadow;
        match has_pam && named && self.progress.wants_submethod(method, PAM) {
            true => {
                let credentials = Credentials::KeyboardInteractive;
                self.transaction(method, credentials, terms).await
            }
            false => Attempt::Unheard,
        }
    }

    /// Goes on with a dialog.
    pub(super) async fn answer(&mut self, open: Open, responses: Responses) -> Attempt {
        let method = Method::KeyboardInteractive;
        match responses {
            Responses::Given(secrets) if secrets.len() == open.prompts => {
                let dialog = open.waiting.answer(secrets).await;
                match self.hear(method, dialog, open.said).await {
                    Attempt::Question(open, request) => {
                        let round = Round::Later;
                        Attempt::Question(Open { round, ..open }, request)
                    }
                    end => end,
                }
            }
            // RFC 4256 section 3.4: a failure, and not an error of the protocol.
            Responses::Given(_) | Responses::Impossible => failed(method),
        }
    }

    async fn transaction<M: ServiceManager>(
        &self,
        method: Method,
        credentials: Credentials,
        terms: Terms<'_, M>,
    ) -> Attempt {
        let Some(remote_host) = RemoteName::new(&self.source.host) else {
            return failed(method);
        };
        let applicant = Applicant {
            connection: terms.origin.id,
            authority: self.rules.authority(),
            user: self.user.clone(),
            subject: self.subject_of(method),
            remote_host,
            remote_user: None,
            auth_info: self.progress.auth_info(),
            empty_passwords: match self.rules.config.permit_empty_passwords {
                YesNo::Yes => EmptyPasswords::Permitted,
                YesNo::No => EmptyPasswords::Refused,
            },
        };
        let dialog = pam_process::begin(terms.services, applicant, credentials, terms.deadline);
        self.hear(method, dialog.await, Said::default()).await
    }

    fn may_be_tried(&self, password: &Secret) -> bool {
        !password.expose().is_empty() || self.rules.config.permit_empty_passwords == YesNo::Yes
    }

    fn subject_of(&self, method: Method) -> Subject {
        match &self.standing {
            Standing::Permitted(account)
                if account.permits(method, ForcedCommand::Absent).is_ok() =>
            {
                Subject::Somebody
            }
            Standing::Permitted(_) | Standing::Refused(_) => Subject::Nobody,
        }
    }

    /// What a dialog has come to. What modules say without asking is told with their next question, or
    /// at the end.
    async fn hear(&self, method: Method, mut dialog: Dialog, mut said: Said) -> Attempt {
        loop {
            match dialog {
                Dialog::Question(question, waiting) if question.prompts() == 0 => {
                    said.add(&question.messages);
                    dialog = waiting.answer(Vec::new()).await;
                }
                Dialog::Question(question, waiting) => {
                    let prompts = question.prompts();
                    let Some(request) = said.ask(question) else {
                        return failed(method);
                    };
                    let open = Open {
                        waiting,
                        prompts,
                        said,
                        round: Round::First,
                    };
                    return Attempt::Question(open, request);
                }
                Dialog::Done(outcome) => return said.end(method, outcome),
            }
        }
    }
}

/// What modules said without asking.
#[derive(Debug, Default)]
struct Said(String);

impl Said {
    fn add(&mut self, messages: &[Message]) {
        for message in messages.iter().filter(|message| !message.style.is_prompt()) {
            let text = message.text.trim_end();
            if !text.is_empty() && self.0.len().saturating_add(text.len()) < TEXT_LIMIT {
                self.0.push_str(text);
                self.0.push('\n');
            }
        }
    }

    /// SSH_MSG_USERAUTH_INFO_REQUEST. As in sshd, what was said is part of the prompt that comes next: a
    /// client may show the "instruction" elsewhere, or not at all. `None`: there are more prompts than one has.
    fn ask(&mut self, question: Question) -> Option<InfoRequest> {
        let mut prompts = Vec::new();
        for message in question.messages {
            let echo = match message.style {
                Style::Secret => Echo::Off,
                Style::Visible => Echo::On,
                Style::Error | Style::Information => {
                    self.add(&[message]);
                    continue;
                }
            };
            let text = mem::take(&mut self.0) + &message.text;
            prompts.push(Prompt { text, echo });
        }
        InfoRequest::new(String::new(), String::new(), prompts)
    }

    fn end(mut self, method: Method, outcome: Outcome) -> Attempt {
        let refused = match outcome {
            Outcome::Accepted { proof, messages } => {
                self.add(&messages);
                let proof = MethodProof::Dialog(DialogProof { method, proof });
                return Attempt::Proved(proof, self.0);
            }
            Outcome::PasswordExpired { messages } if method == Method::Password => {
                self.add(&messages);
                self.0
                    .push_str("Your password has expired. Choose a new one.");
                return Attempt::Expired(self.0);
            }
            // Whoever sent no password has none to change.
            Outcome::PasswordExpired { .. } => return failed(method),
            Outcome::Failed(failure) => {
                tracing::error!("PAM: no verdict: {failure}");
                return failed(method);
            }
            Outcome::Refused(refused) => refused,
        };
        // As in sshd: what was said to a user who is not let in is not shown, for it can tell that
        // there is such a user, unless the credentials were right or the dialog was theirs.
        match (method, refused.refusal) {
            (Method::KeyboardInteractive, _) | (_, Refusal::Account | Refusal::PasswordChange) => {
                self.add(&refused.messages)
            }
            (_, _) => {}
        }
        Attempt::Failed(Failed {
            said: self.0,
            delay: refused.delay,
            pam: Some((refused.refusal, refused.reason)),
            ..Failed::new(method, Verdict::Judged)
        })
    }
}

fn failed(method: Method) -> Attempt {
    Attempt::Failed(Failed::new(method, Verdict::Judged))
}

/// A connection that was asked something, and waits for the answer.
#[derive(Debug)]
pub struct Asked {
    named: Box<Named>,
    open: Open,
}

impl Asked {
    pub(super) fn new(named: Named, open: Open) -> Self {
        Self {
            named: Box::new(named),
            open,
        }
    }

    /// The connection.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// The client asks for something else (RFC 4256 section 3.1). It counts as a failure, or one
    /// connection could have processes started without end.
    pub(super) fn abandon(self, endpoints: Endpoints) -> Box<Named> {
        let Self { mut named, open } = self;
        drop(open);
        named.abandoned(endpoints);
        named
    }

    /// Decides what the answers come to.
    ///
    /// # Errors
    /// Proofs do not belong together, which cannot be.
    pub async fn answer<M: ServiceManager>(
        self,
        responses: Responses,
        terms: Terms<'_, M>,
    ) -> Result<Decided, Violation> {
        let asked = Instant::now();
        let Self { mut named, open } = self;
        let attempt = named.answer(open, responses).await;
        named.conclude(attempt, Price::Try, asked, terms).await
    }
}
