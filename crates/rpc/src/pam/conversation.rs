//! The monitor's end: states, each with a deadline.

use std::os::fd::OwnedFd;

use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::channel::{failure, receive_once};
use super::{End, PamError, QUESTION_LIMIT, Question, Secret, Start, convert};
use crate::lane::expect_lane;
use crate::reactor::watch;

/// A conversation in which it is the process's turn.
#[derive(Debug)]
pub struct Conversation {
    socket: AsyncFd<OwnedFd>,
    deadline: Instant,
    questions_left: usize,
}

/// What the process said.
#[derive(Debug)]
pub enum Turn {
    /// A question, and the means to answer it.
    Question(Question, Pending),
    /// The end.
    End(End),
}

/// A conversation in which it is the monitor's turn. Dropped, it ends the transaction: the process sees the end of the
/// socket, its modules a failed conversation.
#[derive(Debug)]
pub struct Pending {
    conversation: Conversation,
    prompts: usize,
}

impl Conversation {
    /// Sends the task and waits for the first turn. `deadline` holds for the whole conversation, the user's time to
    /// answer included.
    ///
    /// # Errors
    /// See [`PamError`]; each of them is a refusal.
    pub async fn start(socket: OwnedFd, start: Start, deadline: Instant) -> Result<Turn, PamError> {
        expect_lane(&socket).map_err(|_| PamError::Malformed("not a socket for PAM"))?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(std::io::Error::from)?;
        let conversation = Self {
            socket: watch(socket, Interest::READABLE | Interest::WRITABLE)?,
            deadline,
            questions_left: QUESTION_LIMIT,
        };
        conversation.say(&convert::start(start)).await
    }

    async fn say(self, bytes: &[u8]) -> Result<Turn, PamError> {
        let deadline = self.deadline;
        // A timeout looks at its future first: a process that is quick enough would be heard after the deadline.
        if Instant::now() >= deadline {
            return Err(PamError::Deadline);
        }
        timeout_at(deadline, self.exchange(bytes))
            .await
            .unwrap_or(Err(PamError::Deadline))
    }

    async fn exchange(mut self, bytes: &[u8]) -> Result<Turn, PamError> {
        loop {
            let mut ready = self.socket.writable().await?;
            match send(&self.socket, bytes, SendFlags::NOSIGNAL).map_err(failure) {
                Err(PamError::Io(error)) if is_early(&error) => ready.clear_ready(),
                Ok(_whole) => break,
                Err(error) => return Err(error),
            }
        }
        let bytes = loop {
            let mut ready = self.socket.readable().await?;
            match receive_once(self.socket.get_ref()) {
                Err(PamError::Io(error)) if is_early(&error) => ready.clear_ready(),
                other => break other?,
            }
        };
        match convert::read_turn(&bytes)? {
            convert::Said::End(end) => Ok(Turn::End(end)),
            convert::Said::Question(question) => {
                let left = self.questions_left.checked_sub(1);
                self.questions_left = left.ok_or(PamError::Malformed("too many questions"))?;
                let prompts = question.prompts();
                let conversation = self;
                Ok(Turn::Question(
                    question,
                    Pending {
                        conversation,
                        prompts,
                    },
                ))
            }
        }
    }
}

impl Pending {
    /// Answers and waits for the next turn. A question without prompts is answered by nothing.
    ///
    /// # Errors
    /// See [`PamError`]; each of them is a refusal. [`PamError::Unsendable`] if there is not one answer for each prompt.
    pub async fn answer(self, answers: Vec<Secret>) -> Result<Turn, PamError> {
        if answers.len() != self.prompts {
            return Err(PamError::Unsendable("number of answers"));
        }
        self.conversation.say(&convert::answers(answers)).await
    }
}

fn is_early(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), Interrupted | WouldBlock)
}
