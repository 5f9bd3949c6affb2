//! Bytes of the client that wait for whoever reads them.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::RECEIVE_PACKET;

/// Longest piece, in bytes: a packet of the client's.
const LONGEST: usize = RECEIVE_PACKET as usize;

/// Shortest piece: many bytes that come one by one share one.
const SHORTEST: usize = 4096;

/// Pieces that one writev(2) takes.
const AT_ONCE: usize = 16;

/// A queue whose memory is in proportion to what waits in it, however much has passed through: a reader that is always a
/// little slower than the client never empties it.
///
/// It is made of pieces, which neither move nor grow. In one that did, a seventh of the worker's time went to new pages
/// while a file was stored.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that have gone.
    gone: usize,
    length: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if let Some(last) = self.pieces.back_mut() {
            let room = last.capacity().saturating_sub(last.len());
            if let Some((fitting, rest)) = bytes.split_at_checked(room.min(bytes.len())) {
                last.extend_from_slice(fitting);
                bytes = rest;
            }
        }
        for piece in bytes.chunks(LONGEST) {
            let mut last = Vec::with_capacity(piece.len().max(SHORTEST));
            last.extend_from_slice(piece);
            self.pieces.push_back(last);
        }
    }

    /// Passes those that come first to `write`, which says how many it took, or why none.
    pub(super) fn write_to<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        let mut gone = self.gone;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece.get(gone..).unwrap_or_default());
            gone = 0;
            count += 1;
        }
        let written = write(slices.get(..count).unwrap_or_default())?;
        self.took(written);
        Ok(written)
    }

    /// The first `count` have gone.
    fn took(&mut self, count: usize) {
        self.length = self.length.saturating_sub(count);
        self.gone = self.gone.saturating_add(count);
        while let Some(first) = self.pieces.front()
            && self.gone >= first.len()
        {
            self.gone = self.gone.saturating_sub(first.len());
            self.pieces.pop_front();
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most so many bytes.
    fn take(queue: &mut Queue, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        let written = queue.write_to(|slices| {
            taken = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            taken.truncate(most);
            Ok::<_, ()>(taken.len())
        });
        assert_eq!(written, Ok(taken.len()));
        taken
    }

    #[test]
    fn bytes_come_out_in_their_order() {
        let mut queue = Queue::default();
        let (mut pushed, mut taken) = (0_u8, 0_u8);
        // Of lengths that do not divide each other, so that pieces end at every place.
        for length in (0..7_u8).cycle().take(50_000) {
            let bytes: Vec<u8> = (0..length).map(|n| pushed.wrapping_add(n)).collect();
            queue.push(&bytes);
            pushed = pushed.wrapping_add(length);
            for byte in take(&mut queue, 5) {
                assert_eq!(byte, taken);
                taken = taken.wrapping_add(1);
            }
        }
        assert_eq!(queue.len(), take(&mut queue, usize::MAX).len());
    }

    #[test]
    fn what_is_not_taken_stays() {
        let mut queue = Queue::default();
        queue.push(b"stays");
        assert_eq!(queue.write_to(|_| Err(())), Err(()));
        assert_eq!(take(&mut queue, 5), b"stays");
        assert!(queue.is_empty());
    }

    #[test]
    fn what_has_passed_takes_no_memory() {
        let mut queue = Queue::default();
        queue.push(&[0; 2 << 20]);
        while queue.len() > 1 {
            let most = queue.len() - 1;
            take(&mut queue, most);
        }
        assert!(queue.capacity() <= LONGEST, "{}", queue.capacity());
    }

    #[test]
    fn bytes_that_come_one_by_one_take_little_more_than_their_number() {
        let mut queue = Queue::default();
        for _ in 0..1 << 20 {
            queue.push(&[0]);
        }
        assert!(queue.capacity() <= (1 << 20) + SHORTEST);
    }
}
