//! Who answers a module: the user, a password, or nobody.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rpc::pam::{Channel, MESSAGE_LIMIT, Message, Question, Secret, Style, Subject, Task};
use zeroize::Zeroizing;

use crate::libpam::Converse;

/// The phases of a transaction, as far as answers depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Authentication,
    Account,
    PasswordChange,
}

/// The conversation function's state. libpam calls back while the transaction is in use, hence the cells.
#[derive(Debug)]
pub(crate) struct Conversation<'c> {
    channel: &'c Channel,
    task: &'c Task,
    subject: Subject,
    phase: Cell<Phase>,
    secret_given: Cell<bool>,
    old_password_given: Cell<bool>,
    said: RefCell<Vec<Message>>,
    delay: Cell<Duration>,
}

impl<'c> Conversation<'c> {
    pub(crate) fn new(channel: &'c Channel, task: &'c Task, subject: Subject) -> Self {
        Self {
            channel,
            task,
            subject,
            phase: Cell::new(Phase::Authentication),
            secret_given: Cell::new(false),
            old_password_given: Cell::new(false),
            said: RefCell::new(Vec::new()),
            delay: Cell::new(Duration::ZERO),
        }
    }

    /// The phase that is now.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Whether a module was given a secret, which it may have hashed.
    pub(crate) fn secret_given(&self) -> bool {
        self.secret_given.get()
    }

    /// What modules said to nobody.
    pub(crate) fn said(&self) -> Vec<Message> {
        self.said.take()
    }

    /// The longest delay that was asked for.
    pub(crate) fn delay(&self) -> Duration {
        self.delay.get()
    }

    /// The answer to a prompt where the user cannot be asked.
    fn given(&self, style: Style) -> Option<Secret> {
        // As sshd's sshpam_passwd_conv: a prompt with echo asks for something else than a password.
        if style != Style::Secret {
            return None;
        }
        match (self.task, self.phase.get()) {
            (Task::Password(password), Phase::Authentication) => Some(password.clone()),
            (Task::PasswordChange { old, .. }, Phase::Authentication) => Some(old.clone()),
            // "Current password", then the new one, and the new one again (pam_unix(8), pam_pwquality(8)). A stack that
            // asks otherwise gets two different passwords for the new one, and changes nothing.
            (Task::PasswordChange { old, new }, Phase::PasswordChange) => {
                let first = !self.old_password_given.replace(true);
                Some(if first { old.clone() } else { new.clone() })
            }
            (Task::KeyboardInteractive | Task::Account, _)
            | (Task::Password(_), Phase::Account | Phase::PasswordChange)
            | (Task::PasswordChange { .. }, Phase::Account) => None,
        }
    }

    /// Answers without the user. Whatever is not a prompt is kept for the end of the transaction.
    fn answer_alone(&self, messages: Vec<Message>) -> Option<Vec<Secret>> {
        let mut answers = Vec::new();
        for message in messages {
            if message.style.is_prompt() {
                answers.push(self.given(message.style)?);
            } else {
                self.keep(message);
            }
        }
        Some(answers)
    }

    /// Keeps a message while there is room; a module that says more is not worth more memory.
    fn keep(&self, message: Message) {
        let mut said = self.said.borrow_mut();
        let bytes: usize = said.iter().map(|message| message.text.len()).sum();
        let room = said.len() < MESSAGE_LIMIT && bytes + message.text.len() <= SAID_LIMIT;
        if room && !message.text.is_empty() {
            said.push(message);
        }
    }
}

impl Converse for Conversation<'_> {
    fn converse(&self, messages: Vec<Message>) -> Option<Vec<Secret>> {
        let answers = match self.task {
            Task::KeyboardInteractive => self.channel.ask(&Question { messages }).ok(),
            Task::Password(_) | Task::Account | Task::PasswordChange { .. } => {
                self.answer_alone(messages)
            }
        }?;
        self.secret_given
            .set(self.secret_given.get() || !answers.is_empty());
        Some(match self.subject {
            Subject::Somebody => answers,
            Subject::Nobody => answers.iter().filter_map(wrong).collect(),
        })
    }

    fn delay(&self, delay: Duration) {
        self.delay.set(self.delay.get().max(delay));
    }
}

/// What nobody gives for a password: as long as what was given, and what no keyboard enters. The same as sshd's.
fn wrong(given: &Secret) -> Option<Secret> {
    let junk = b"\x08\n\r\x7fINCORRECT".iter().copied().cycle();
    let wrong = junk.take(given.expose().len()).collect();
    Secret::new(Zeroizing::new(wrong))
}

/// Most text that is kept, in bytes: it shares a datagram with the environment.
const SAID_LIMIT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use rpc::lane::pair;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    fn message(style: Style, text: &str) -> Message {
        Message {
            style,
            text: text.to_owned(),
        }
    }

    fn channel() -> Channel {
        Channel::new(pair().unwrap().0).unwrap()
    }

    #[test]
    fn a_password_answers_prompts_without_echo_while_authenticating() {
        let (channel, task) = (channel(), Task::Password(secret("hunter2")));
        let conversation = Conversation::new(&channel, &task, Subject::Somebody);
        let prompt = message(Style::Secret, "Password: ");
        let password = Some(vec![secret("hunter2")]);
        assert_eq!(conversation.converse(vec![prompt.clone()]), password);
        assert_eq!(conversation.converse(vec![prompt.clone()]), password);
        let token = message(Style::Visible, "Token: ");
        assert_eq!(conversation.converse(vec![prompt.clone(), token]), None);
        conversation.enter(Phase::Account);
        assert_eq!(conversation.converse(vec![prompt]), None);
    }

    #[test]
    fn a_change_gives_the_old_password_once_and_then_the_new_one() {
        let (channel, task) = (
            channel(),
            Task::PasswordChange {
                old: secret("old"),
                new: secret("new"),
            },
        );
        let conversation = Conversation::new(&channel, &task, Subject::Somebody);
        let ask = || conversation.converse(vec![message(Style::Secret, "?")]);
        assert_eq!(ask(), Some(vec![secret("old")]));
        assert_eq!(ask(), Some(vec![secret("old")]));
        conversation.enter(Phase::PasswordChange);
        assert_eq!(ask(), Some(vec![secret("old")]));
        assert_eq!(ask(), Some(vec![secret("new")]));
        assert_eq!(ask(), Some(vec![secret("new")]));
    }

    #[test]
    fn nobody_gives_a_wrong_password_of_the_same_length() {
        let (channel, task) = (channel(), Task::Password(secret("hunter2")));
        let conversation = Conversation::new(&channel, &task, Subject::Nobody);
        assert!(!conversation.secret_given());
        let given = conversation.converse(vec![message(Style::Secret, "?")]);
        let given = given.unwrap().remove(0);
        assert_eq!(given.expose(), b"\x08\n\r\x7fINC");
        assert!(conversation.secret_given());
    }

    #[test]
    fn what_is_said_to_nobody_is_kept_within_limits() {
        let (channel, task) = (channel(), Task::Account);
        let conversation = Conversation::new(&channel, &task, Subject::Somebody);
        let line = message(Style::Information, &"x".repeat(1024));
        for _ in 0..100 {
            assert_eq!(conversation.converse(vec![line.clone()]), Some(Vec::new()));
        }
        assert_eq!(conversation.said().len(), SAID_LIMIT / 1024);
    }
}
