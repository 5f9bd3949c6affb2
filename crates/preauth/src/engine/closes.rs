//! How russh hears that a session is closed.
//!
//! russh forgets a channel wholly only if the client's CLOSE comes before its own: after its own it takes no notice of the
//! client's, and keeps some KiB (russh 0.65.1, `server_read_authenticated`). A connection with ten thousand commands one
//! after the other would grow until the worker has no memory left. So russh is never asked to close. A request that no
//! client gets, [`MARK`], says among its words where our CLOSE belongs; when both sides have closed, russh hears of the
//! client's CLOSE, and its answer goes nowhere.

use std::collections::VecDeque;

use wire::channel;

use super::channels::Number;

/// The request that stands for our CLOSE: "xon-xoff" (RFC 4254 section 6.8), for which there is no other use here.
pub(super) const MARK: &[u8] = b"xon-xoff";

/// Channels that both sides have closed, and that russh still knows.
#[derive(Debug, Default)]
pub(super) struct Closes {
    /// Of these it has not heard yet.
    unheard: VecDeque<Number>,
    /// To these it has not answered yet. In their order: so are its answers.
    unanswered: VecDeque<(Number, u32)>,
}

impl Closes {
    /// Both sides have closed the channel, which has this number at the client.
    pub(super) fn add(&mut self, number: Number, peer: u32) {
        self.unheard.push_back(number);
        self.unanswered.push_back((number, peer));
    }

    /// The client's CLOSE of the next channel, for russh.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        Some(channel::close(self.unheard.pop_front()?))
    }

    /// Was our CLOSE of this channel sent before russh had its say?
    pub(super) fn has(&self, number: Number) -> bool {
        self.unanswered.iter().any(|(known, _)| *known == number)
    }

    /// May russh still speak of a channel that had this number at the client?
    pub(super) fn awaits(&self, peer: u32) -> bool {
        self.unanswered.iter().any(|(_, known)| *known == peer)
    }

    /// russh says CLOSE: is that an answer which the client has already? The number may be another channel's by now, of
    /// which russh speaks later.
    pub(super) fn answered(&mut self, peer: u32) -> bool {
        let mut known = self.unanswered.iter();
        let Some(place) = known.position(|(_, known)| *known == peer) else {
            return false;
        };
        self.unanswered.remove(place).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_close_is_heard_once_and_answered_once() {
        let mut closes = Closes::default();
        closes.add(1, 7);
        closes.add(2, 7);
        assert!(closes.has(1) && closes.has(2));
        for number in [1, 2] {
            assert_eq!(closes.next(), Some(channel::close(number)));
        }
        assert_eq!(closes.next(), None);
        assert!(!closes.answered(8));
        assert!(closes.answered(7) && !closes.has(1) && closes.has(2));
        assert!(closes.answered(7) && !closes.has(2));
        assert!(!closes.answered(7));
    }
}
