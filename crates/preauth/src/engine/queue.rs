//! Bytes of the client that wait for whoever reads them.

use std::collections::VecDeque;

use super::RECEIVE_PACKET;

/// What an empty queue may keep for the next bytes: a quarter of this times [`SLACK`] is one packet.
const KEPT: usize = RECEIVE_PACKET as usize / SLACK;

/// How many times as much memory as there are bytes may be held.
const SLACK: usize = 4;

/// A queue whose memory is in proportion to what waits in it, however much has passed through: a reader that is always a
/// little slower than the client never empties it.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<u8>);

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Those that come first; none if none wait.
    pub(super) fn first(&self) -> &[u8] {
        self.0.as_slices().0
    }

    /// The first `count` have gone.
    pub(super) fn took(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
        let held = self.0.len().max(KEPT);
        if self.0.capacity() > SLACK * held {
            self.0.shrink_to(SLACK / 2 * held);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_their_order() {
        let mut queue = Queue::default();
        let (mut pushed, mut taken) = (0_u8, 0_u8);
        // Pieces of lengths that do not divide each other, so that the ring wraps at every place.
        for length in (0..7_u8).cycle().take(10_000) {
            let piece: Vec<u8> = (0..length).map(|n| pushed.wrapping_add(n)).collect();
            queue.push(&piece);
            pushed = pushed.wrapping_add(length);
            let first = queue.first().iter().take(5).copied().collect::<Vec<_>>();
            for byte in &first {
                assert_eq!(*byte, taken);
                taken = taken.wrapping_add(1);
            }
            queue.took(first.len());
        }
    }

    #[test]
    fn what_has_passed_takes_no_memory() {
        let mut queue = Queue::default();
        queue.push(&[0; 2 << 20]);
        queue.took((2 << 20) - 1);
        assert!(queue.capacity() <= SLACK * KEPT, "{}", queue.capacity());
        assert_eq!(queue.len(), 1);
    }
}
