//! What a method's result comes to: the one place that decides for all of them.

use accounts::Method;
use config::sshd::PermitRootLogin;
use rpc::pam::Refusal as PamRefusal;
use rpc::{Endpoints, Violation};
use tokio::time::Instant;
use wire::userauth::AuthOutcome;

use super::attempt::{Attempt, Failed};
use super::dialog::Asked;
use super::tries::{Budget, Price, Verdict};
use super::{Decided, Decision, Login, Named, Terms};
use crate::account::Standing;
use crate::audit::{Tried, Weight, Word};
use crate::failures;
use crate::progress::Advance;
use crate::proof::{AuthenticatedUser, MethodProof, Mismatch};

impl Named {
    /// What a method's result comes to.
    pub(super) async fn conclude<M>(
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
        self.record_failure(failed.method);
        match failed.verdict {
            Verdict::Judged => self.log(Word::Failed, failed.tried(), endpoints),
            // sshd (9.2p1) has a line for a key that is not listed at VERBOSE only, and so it is no failure to fail2ban.
            Verdict::Unjudged => subject.tried(Word::Failed, failed.tried(), Weight::Light),
        }
    }

    /// A dialog was given up by the client. sshd's monitor counts it as well.
    pub(super) fn abandoned(&mut self, endpoints: Endpoints) {
        let failed = Failed::new(Method::KeyboardInteractive, Verdict::Judged);
        self.record_failure(failed.method);
        self.log(Word::Failed, failed.tried(), endpoints);
        self.tries.fail(Price::Try, failed.verdict);
    }

    /// For lastb(1): who types passwords, as sshd has it. A client tries all of its keys in turn.
    fn record_failure(&self, method: Method) {
        if [Method::Password, Method::KeyboardInteractive].contains(&method) {
            failures::record(&self.user, &self.source, self.rules.name_limit);
        }
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
        if account.account().uid == 0
            && self.rules.config.permit_root_login == PermitRootLogin::ForcedCommandsOnly
        {
            // Or it would not be permitted.
            self.subject(endpoints).root_has_command();
        }
        match self.progress.take(proof) {
            Advance::Complete(methods) => {
                let Self {
                    standing,
                    rules,
                    source,
                    first,
                    told,
                    ..
                } = self;
                let Standing::Permitted(account) = standing else {
                    return Err(internal(Mismatch));
                };
                let login = Login {
                    user: AuthenticatedUser::new(methods, account).map_err(internal)?,
                    rules,
                    host: source.host,
                    first,
                    told,
                };
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
