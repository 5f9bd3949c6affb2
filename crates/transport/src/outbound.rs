//! The sending half of the packet layer (RFC 4253 section 6): one contiguous buffer in which
//! packets are written, sealed, and wait for the socket.

use crate::cipher::{LENGTH_FIELD, SealingKey, TAG_LIMIT};
use crate::compression::Deflater;
use crate::error::{Error, Failure};
use crate::kexinit::StrictKex;
use crate::random::Random;
use crate::rekey::Traffic;

/// Longest payload of one packet: OpenSSH's 256 KiB.
pub const PAYLOAD_LIMIT: usize = 256 * 1024;

/// From this much waiting output on, no further payload is taken.
pub(crate) const PAYLOAD_HIGH_WATER: usize = 512 * 1024;

/// From this much waiting output on, no further input is taken either: each message of a peer that
/// does not read can cost an answer, and answers must not pile up. It is above the other mark, so
/// that input never waits just because much data is on its way out.
pub(crate) const INPUT_HIGH_WATER: usize = PAYLOAD_HIGH_WATER + 2 * PAYLOAD_LIMIT;

/// `packet_length` and `padding_length`.
const HEADER: usize = LENGTH_FIELD + 1;

/// Least padding (RFC 4253 section 6).
const PADDING_LEAST: usize = 4;

/// Longest padding that this side makes: the least, and up to a block.
const PADDING_LIMIT: usize = PADDING_LEAST + 16;

/// Seals packets in the place where they wait for the socket.
pub(crate) struct Outbound {
    /// All of it is initialised, so that a slot costs no clearing; `start..end` waits.
    storage: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that the open slot can hold; it begins a header after `end`.
    slot: Option<usize>,
    key: SealingKey,
    /// While payloads are compressed; the slot is in here then.
    deflater: Option<Deflater>,
    sequence: u32,
    traffic: Traffic,
    padding: PaddingPool,
}

impl Outbound {
    /// Before the first key exchange.
    pub(crate) fn new() -> Self {
        Self {
            storage: Vec::new(),
            start: 0,
            end: 0,
            slot: None,
            key: SealingKey::Clear,
            deflater: None,
            sequence: 0,
            traffic: Traffic::default(),
            padding: PaddingPool::new(),
        }
    }

    /// What went out with the key in use.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// What waits for the socket.
    pub(crate) fn waiting(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// The socket took this many bytes.
    pub(crate) fn sent(&mut self, count: usize) {
        self.slot = None;
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Takes a new key into use: after our SSH_MSG_NEWKEYS.
    pub(crate) fn replace_key(
        &mut self,
        key: SealingKey,
        strict: StrictKex,
        deflater: Option<Deflater>,
    ) {
        self.slot = None;
        self.key = key;
        self.deflater = deflater;
        self.traffic = Traffic::default();
        match strict {
            StrictKex::On => self.sequence = 0,
            StrictKex::Off => {}
        }
    }

    /// Compression begins with the key in use: at the login.
    pub(crate) fn start_deflating(&mut self) {
        self.slot = None;
        self.deflater = Some(Deflater::new());
    }

    /// Appends bytes that are no packet.
    pub(crate) fn push_clear(&mut self, bytes: &[u8]) {
        self.slot = None;
        self.make_room(bytes.len());
        let end = self.end + bytes.len();
        if let Some(place) = self.storage.get_mut(self.end..end) {
            place.copy_from_slice(bytes);
            self.end = end;
        }
    }

    /// Appends one packet.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        random: &mut (dyn Random + Send),
    ) -> Result<(), Error> {
        if payload.len() > PAYLOAD_LIMIT {
            return Err(Failure::PayloadTooLong(payload.len()).into());
        }
        self.slot(payload.len()).copy_from_slice(payload);
        self.seal(payload.len(), random)
    }

    /// Opens a slot for a payload of up to `max` bytes; all of the slice is the caller's.
    pub(crate) fn slot(&mut self, max: usize) -> &mut [u8] {
        let longest = match &self.deflater {
            None => max,
            Some(_) => Deflater::bound(max),
        };
        self.make_room(HEADER + longest + PADDING_LIMIT + TAG_LIMIT);
        self.slot = Some(max);
        match &mut self.deflater {
            None => {
                let first = self.end + HEADER;
                self.storage.get_mut(first..first + max).unwrap_or_default()
            }
            Some(deflater) => deflater.slot(max),
        }
    }

    /// Makes a packet of the first `len` bytes of the open slot.
    pub(crate) fn seal(
        &mut self,
        len: usize,
        random: &mut (dyn Random + Send),
    ) -> Result<(), Error> {
        let max = self.slot.take().ok_or(Failure::NoSlot)?;
        if len > max || len == 0 {
            return Err(Failure::PayloadTooLong(len).into());
        }
        if self.traffic.is_exhausted() {
            return Err(Failure::Cryptography.into());
        }
        let len = match &mut self.deflater {
            None => len,
            Some(deflater) => {
                let first = self.end + HEADER;
                let place = first..first + Deflater::bound(max);
                let place = self.storage.get_mut(place).ok_or(Failure::Compression)?;
                deflater.deflate(len, place)?
            }
        };
        let layout = self.key.layout();
        let covered = HEADER - layout.aligned_from + len;
        let padding = PADDING_LEAST + (covered + PADDING_LEAST).next_multiple_of(layout.block)
            - (covered + PADDING_LEAST);
        let length = 1 + len + padding;
        let total = LENGTH_FIELD + length + layout.tag;

        let packet = self
            .storage
            .get_mut(self.end..self.end + total)
            .ok_or(Failure::Cryptography)?;
        let too_long = |_| Failure::PayloadTooLong(len);
        if let Some(([a, b, c, d, padding_length], rest)) = packet.split_first_chunk_mut::<HEADER>()
        {
            [*a, *b, *c, *d] = u32::try_from(length).map_err(too_long)?.to_be_bytes();
            *padding_length = u8::try_from(padding).map_err(too_long)?;
            if let Some(place) = rest.get_mut(len..len + padding) {
                self.padding.take(place, random)?;
            }
        }
        self.key.seal(self.sequence, packet)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.traffic.add(total);
        self.end += total;
        Ok(())
    }

    /// Makes `storage[end..end + room]` exist.
    fn make_room(&mut self, room: usize) {
        if self.end + room <= self.storage.len() {
            return;
        }
        let waiting = self.end - self.start;
        if self.start > 0 {
            self.storage.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, waiting);
        }
        if waiting + room > self.storage.len() {
            let length = (waiting + room).next_power_of_two();
            self.storage.resize(length, 0);
        }
    }
}

/// Random bytes in stock: one call of the generator for many packets.
struct PaddingPool {
    stock: [u8; 512],
    used: usize,
}

impl PaddingPool {
    fn new() -> Self {
        Self {
            stock: [0; 512],
            used: 512,
        }
    }

    /// Fills `place`, which is far shorter than the stock.
    fn take(&mut self, place: &mut [u8], random: &mut (dyn Random + Send)) -> Result<(), Error> {
        if self.stock.len() - self.used < place.len() {
            random.fill(&mut self.stock).map_err(Failure::from)?;
            self.used = 0;
        }
        let end = self.used + place.len();
        if let Some(bytes) = self.stock.get(self.used..end) {
            place.copy_from_slice(bytes);
        }
        self.used = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::RandomUnavailable;

    struct Nines;

    impl Random for Nines {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomUnavailable> {
            out.fill(9);
            Ok(())
        }
    }

    #[test]
    fn a_packet_in_clear_is_padded_to_blocks_of_eight_with_random_bytes() {
        let mut outbound = Outbound::new();
        outbound.push(&[20], &mut Nines).unwrap();
        assert_eq!(
            outbound.waiting(),
            [0, 0, 0, 12, 10, 20, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]
        );
        for length in 1..100 {
            let mut outbound = Outbound::new();
            outbound.push(&vec![1; length], &mut Nines).unwrap();
            let packet = outbound.waiting();
            assert!(packet.len().is_multiple_of(8) && packet.len() >= 16);
            assert!((4..12).contains(&packet[4]));
        }
    }

    #[test]
    fn a_slot_that_is_not_sealed_leaves_nothing_behind() {
        let mut outbound = Outbound::new();
        outbound.slot(100).fill(7);
        assert_eq!(outbound.waiting(), []);
        outbound.push(&[20], &mut Nines).unwrap();
        assert_eq!(outbound.waiting().len(), 16);
        assert_eq!(outbound.seal(5, &mut Nines), Err(Failure::NoSlot.into()));
    }

    #[test]
    fn a_seal_beyond_the_slot_is_refused() {
        let mut outbound = Outbound::new();
        outbound.slot(10);
        assert_eq!(
            outbound.seal(11, &mut Nines),
            Err(Failure::PayloadTooLong(11).into())
        );
        assert_eq!(outbound.waiting(), []);
    }

    #[test]
    fn output_survives_partial_writes_and_growth() {
        let mut outbound = Outbound::new();
        let mut expected = Vec::new();
        let mut got = Vec::new();
        for round in 0..200_usize {
            let payload = vec![u8::try_from(round % 250).unwrap(); 1 + round * 7 % 300];
            let before = outbound.waiting().len();
            outbound.push(&payload, &mut Nines).unwrap();
            expected.extend_from_slice(&outbound.waiting()[before..]);
            let take = outbound.waiting().len().min(round * 13 % 400);
            got.extend_from_slice(&outbound.waiting()[..take]);
            outbound.sent(take);
        }
        got.extend_from_slice(outbound.waiting());
        assert_eq!(got, expected);
    }
}
