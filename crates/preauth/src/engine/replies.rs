//! Replies to the client's global requests, in the order of the requests (RFC 4254 section 4).
//!
//! russh answers most of them and knows nothing of ours. What is to be said by us waits here until
//! russh has answered what came before; what it answers later goes out later by itself.

use std::collections::VecDeque;

/// Requests that may wait for their replies before the client is not read any more.
const PAUSE_AT: usize = 64;

/// Requests that may wait during a key exchange: nothing can be answered then, and the client must be
/// read for it to end. An honest client is silent.
const LIMIT: usize = 1024;

/// Who answers, in order.
#[derive(Debug, Default)]
pub(super) struct Replies(VecDeque<Answer>);

#[derive(Debug)]
enum Answer {
    /// russh will.
    Engine,
    /// This payload.
    Ours(Vec<u8>),
}

impl Replies {
    /// Begins with a payload of ours that answers nothing.
    pub(super) fn beginning_with(payload: Vec<u8>) -> Self {
        Self(VecDeque::from([Answer::Ours(payload)]))
    }

    /// Is it better to wait until some have left?
    pub(super) fn are_many(&self) -> bool {
        self.0.len() >= PAUSE_AT
    }

    /// Is the client beyond its bounds?
    pub(super) fn are_too_many(&self) -> bool {
        self.0.len() >= LIMIT
    }

    /// A request has gone to russh.
    pub(super) fn expect_engine(&mut self) {
        self.0.push_back(Answer::Engine);
    }

    /// A request has been answered here.
    pub(super) fn push(&mut self, payload: Vec<u8>) {
        self.0.push_back(Answer::Ours(payload));
    }

    /// Says something that answers nothing, and nothing if much waits already: there are requests that nobody counts,
    /// because they want no reply.
    pub(super) fn remark(&mut self, payload: Vec<u8>) {
        if !self.are_many() {
            self.push(payload);
        }
    }

    /// The next payload of ours whose turn it is.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        match self.0.pop_front()? {
            Answer::Ours(payload) => Some(payload),
            Answer::Engine => {
                self.0.push_front(Answer::Engine);
                None
            }
        }
    }

    /// russh has answered: it is the first that waits, since russh answers in order.
    pub(super) fn engine_answered(&mut self) {
        if let Some(Answer::Engine) = self.0.front() {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_wait_for_what_the_engine_has_to_answer_before() {
        let mut replies = Replies::beginning_with(b"first".to_vec());
        replies.expect_engine();
        replies.push(b"second".to_vec());
        replies.push(b"third".to_vec());
        replies.expect_engine();
        replies.push(b"fourth".to_vec());
        assert_eq!(replies.next(), Some(b"first".to_vec()));
        assert_eq!(replies.next(), None);
        replies.engine_answered();
        assert_eq!(replies.next(), Some(b"second".to_vec()));
        assert_eq!(replies.next(), Some(b"third".to_vec()));
        assert_eq!(replies.next(), None);
        replies.engine_answered();
        assert_eq!(replies.next(), Some(b"fourth".to_vec()));
        assert_eq!(replies.next(), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut replies = Replies::default();
        for count in 0..LIMIT {
            assert_eq!(replies.are_many(), count >= PAUSE_AT);
            assert!(!replies.are_too_many());
            replies.expect_engine();
        }
        assert!(replies.are_too_many());
        replies.engine_answered();
        assert!(!replies.are_too_many());
    }

    #[test]
    fn remarks_do_not_pile_up() {
        let mut replies = Replies::default();
        for _ in 0..2 * LIMIT {
            replies.remark(b"no".to_vec());
        }
        assert_eq!(replies.0.len(), PAUSE_AT);
        replies.next();
        replies.remark(b"once more".to_vec());
        assert_eq!(replies.0.len(), PAUSE_AT);
    }
}
