//! The receiving half of the packet layer (RFC 4253 section 6).

use crate::cipher::{LENGTH_FIELD, OpeningKey};
use crate::compression::Inflater;
use crate::error::{Error, Misbehaviour};
use crate::kexinit::StrictKex;
use crate::rekey::Traffic;

/// Cap of `packet_length` before login: RFC 4253 section 6.1 has all implementations take 35000
/// bytes, and a stranger gets no more.
pub(crate) const BEFORE_LOGIN: u32 = 35_000;

/// Cap of `packet_length` after login: OpenSSH's 256 KiB, with room for padding and fields.
pub(crate) const AFTER_LOGIN: u32 = 256 * 1024 + 1024;

/// `padding_length` and the least padding (RFC 4253 section 6).
const LENGTH_LEAST: u32 = 1 + 4;

/// Opens packets in the place where they were received.
pub(crate) struct Inbound {
    key: OpeningKey,
    /// While payloads are compressed.
    inflater: Option<Inflater>,
    sequence: u32,
    traffic: Traffic,
}

/// A packet whose tag was right.
pub(crate) struct Opened<'b> {
    /// At least one byte.
    pub(crate) payload: &'b [u8],
    /// First byte of the payload.
    pub(crate) message: u8,
    /// Its sequence number.
    pub(crate) sequence: u32,
    /// Bytes that it took from the input.
    pub(crate) consumed: usize,
}

impl Inbound {
    /// Before the first key exchange.
    pub(crate) fn new() -> Self {
        Self {
            key: OpeningKey::Clear,
            inflater: None,
            sequence: 0,
            traffic: Traffic::default(),
        }
    }

    /// What came in with the key in use.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Takes a new key into use: after the peer's SSH_MSG_NEWKEYS.
    pub(crate) fn replace_key(
        &mut self,
        key: OpeningKey,
        strict: StrictKex,
        inflater: Option<Inflater>,
    ) {
        self.key = key;
        self.inflater = inflater;
        self.traffic = Traffic::default();
        match strict {
            StrictKex::On => self.sequence = 0,
            StrictKex::Off => {}
        }
    }

    /// Compression begins with the key in use: at the login.
    pub(crate) fn start_inflating(&mut self) {
        self.inflater = Some(Inflater::new());
    }

    /// Decompresses the payload of the packet that was opened last; `None` if payloads are what
    /// they are.
    pub(crate) fn inflate<'r>(
        &mut self,
        payload: &[u8],
        room: &'r mut Vec<u8>,
    ) -> Option<Result<&'r [u8], Misbehaviour>> {
        let inflater = self.inflater.as_mut()?;
        Some(inflater.inflate(payload, room))
    }

    /// Opens the packet at the front of `input`; `None` while it is incomplete. Lengths are checked
    /// as soon as they are known, so that nobody waits for a packet that would be refused.
    pub(crate) fn open<'b>(
        &mut self,
        input: &'b mut [u8],
        cap: u32,
    ) -> Result<Option<Opened<'b>>, Error> {
        let Some(field) = input.first_chunk::<LENGTH_FIELD>() else {
            return Ok(None);
        };
        let layout = self.key.layout();
        let length = self.key.packet_length(self.sequence, *field)?;
        let bad_length = || Error::from(Misbehaviour::PacketLength(length));
        if !(LENGTH_LEAST..=cap).contains(&length) {
            return Err(bad_length());
        }
        let body = usize::try_from(length).map_err(|_| bad_length())?;
        if !(LENGTH_FIELD - layout.aligned_from + body).is_multiple_of(layout.block) {
            return Err(bad_length());
        }
        let total = LENGTH_FIELD + body + layout.tag;
        if input.len() < total {
            return Ok(None);
        }
        if self.traffic.is_exhausted() {
            return Err(Misbehaviour::KeyExhausted.into());
        }
        let packet = input.get_mut(..total).ok_or_else(bad_length)?;
        self.key.open(self.sequence, packet)?;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.traffic.add(total);

        let (padding, rest) = packet
            .get(LENGTH_FIELD..LENGTH_FIELD + body)
            .and_then(<[u8]>::split_first)
            .ok_or_else(bad_length)?;
        let payload = rest
            .len()
            .checked_sub(usize::from(*padding))
            .filter(|_| *padding >= 4)
            .and_then(|end| rest.get(..end))
            .ok_or(Misbehaviour::PaddingLength(*padding))?;
        let message = *payload
            .first()
            .ok_or(Misbehaviour::PaddingLength(*padding))?;
        Ok(Some(Opened {
            payload,
            message,
            sequence,
            consumed: total,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::tests::{all, pair};
    use crate::outbound::Outbound;
    use crate::random::{Random, RandomUnavailable};

    fn refused(packet: &[u8]) -> Error {
        match Inbound::new().open(&mut packet.to_vec(), BEFORE_LOGIN) {
            Err(error) => error,
            Ok(_) => panic!("accepted {packet:?}"),
        }
    }

    #[test]
    fn takes_one_packet_and_leaves_what_follows() {
        let mut input = vec![0, 0, 0, 12, 4, 2, 0, 0, 0, 0, 7, 7, 9, 9, 9, 9, 0xaa];
        let mut inbound = Inbound::new();
        let opened = inbound.open(&mut input, BEFORE_LOGIN).unwrap().unwrap();
        assert_eq!(opened.payload, [2, 0, 0, 0, 0, 7, 7]);
        assert_eq!(
            (opened.message, opened.sequence, opened.consumed),
            (2, 0, 16)
        );
        assert_eq!(
            inbound.traffic(),
            Traffic {
                packets: 1,
                bytes: 16
            }
        );
    }

    #[test]
    fn waits_for_every_byte_of_a_packet() {
        let packet = [0, 0, 0, 12, 4, 2, 0, 0, 0, 0, 7, 7, 9, 9, 9, 9];
        for length in 0..packet.len() {
            let mut input = packet[..length].to_vec();
            assert!(
                Inbound::new()
                    .open(&mut input, BEFORE_LOGIN)
                    .unwrap()
                    .is_none()
            );
        }
    }

    #[test]
    fn bad_lengths_are_refused_before_the_packet_is_there() {
        // Too short, too long, and no multiple of the block size.
        for length in [0u32, 4, 35_004, u32::MAX, 13] {
            assert_eq!(
                refused(&length.to_be_bytes()),
                Misbehaviour::PacketLength(length).into()
            );
        }
    }

    #[test]
    fn bad_padding_is_refused() {
        // Below four, all of the packet, and more than the packet.
        for padding in [0, 3, 11, 12, 255] {
            let mut packet = vec![0, 0, 0, 12, padding];
            packet.extend([2; 11]);
            assert_eq!(
                refused(&packet),
                Misbehaviour::PaddingLength(padding).into()
            );
        }
    }
    struct Nines;

    impl Random for Nines {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomUnavailable> {
            out.fill(9);
            Ok(())
        }
    }

    /// What arrives until the longest packet that a length can promise must be there.
    fn open_with_all_that_follows(inbound: &mut Inbound, packet: &[u8]) -> Option<Error> {
        let mut input = packet.to_vec();
        input.resize(packet.len() + 64 * 1024, 0);
        inbound.open(&mut input, BEFORE_LOGIN).err()
    }

    #[test]
    fn a_length_that_was_changed_or_a_packet_left_out_is_never_believed() {
        for algorithms in all() {
            let (sealing, _) = pair(algorithms);
            let mut outbound = Outbound::new();
            outbound.replace_key(sealing, StrictKex::On, None);
            outbound.push(&[94; 40], &mut Nines).unwrap();
            let first = outbound.waiting().to_vec();
            outbound.push(&[94; 40], &mut Nines).unwrap();
            let second = outbound.waiting()[first.len()..].to_vec();

            let receiver = || {
                let mut inbound = Inbound::new();
                inbound.replace_key(pair(algorithms).1, StrictKex::On, None);
                inbound
            };
            for bit in 0..32 {
                let mut changed = first.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let error = open_with_all_that_follows(&mut receiver(), &changed);
                assert!(error.is_some(), "{algorithms:?} bit {bit}");
            }
            let error = open_with_all_that_follows(&mut receiver(), &second);
            assert!(error.is_some(), "{algorithms:?}");

            // In order, and with a look at each length byte by byte, both are fine.
            let mut inbound = receiver();
            for packet in [first, second] {
                for end in 0..packet.len() {
                    let mut input = packet[..end].to_vec();
                    assert!(inbound.open(&mut input, BEFORE_LOGIN).unwrap().is_none());
                }
                let mut input = packet;
                let opened = inbound.open(&mut input, BEFORE_LOGIN).unwrap().unwrap();
                assert_eq!(opened.payload, [94; 40], "{algorithms:?}");
            }
        }
    }
}
