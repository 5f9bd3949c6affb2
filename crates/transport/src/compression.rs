//! Compression of payloads: zlib@openssh.com (RFC 4253 section 6.2, OpenSSH PROTOCOL section 1.2).
//!
//! A layer between messages and packets: what is sealed is what [`Deflater`] made of a payload,
//! what was opened goes through [`Inflater`]. It begins with the login and never before, so that no
//! stranger reaches a decompressor. Each new key begins new streams, as RFC 4253 section 6.2 says.
//! Memory exists only while compression is in use: about 270 KiB to deflate, 40 KiB to inflate, and
//! a payload each.

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use crate::error::{Failure, Misbehaviour};

/// Compresses what goes out: one stream for one key.
pub(crate) struct Deflater {
    stream: Deflate,
    /// The slot: all of it is initialised, so that it costs no clearing.
    payload: Vec<u8>,
}

/// Decompresses what comes in: one stream for one key.
pub(crate) struct Inflater(Inflate);

/// OpenSSH's, which is zlib's default.
const LEVEL: i32 = 6;

/// The largest window of RFC 1950, 32 KiB: a peer may use all of it.
const WINDOW_BITS: u8 = 15;

/// Longest payload that comes out of a packet, one byte less: as long as a packet may be that is
/// not compressed. A few hundred bytes can become megabytes, so this is what bounds them.
const INFLATED_LIMIT: usize = crate::inbound::AFTER_LOGIN as usize;

impl Deflater {
    /// A new stream.
    pub(crate) fn new() -> Self {
        Self {
            stream: Deflate::new(LEVEL, true, WINDOW_BITS),
            payload: Vec::new(),
        }
    }

    /// Most bytes that a payload of `length` becomes: deflateBound() of zlib for any setting, and
    /// room for the flush.
    pub(crate) fn bound(length: usize) -> usize {
        length + length.div_ceil(8) + length.div_ceil(64) + 64
    }

    /// Room for a payload of up to `max` bytes; its contents are arbitrary.
    pub(crate) fn slot(&mut self, max: usize) -> &mut [u8] {
        if self.payload.len() < max {
            self.payload.resize(max, 0);
        }
        self.payload.get_mut(..max).unwrap_or_default()
    }

    /// Compresses the first `length` bytes of the slot into `out`, which holds [`Self::bound`] of
    /// them; how many they became. The flush is the partial one that RFC 4253 section 6.2 wants.
    pub(crate) fn deflate(&mut self, length: usize, out: &mut [u8]) -> Result<usize, Failure> {
        let payload = self.payload.get(..length).ok_or(Failure::Compression)?;
        let (taken, made) = (self.stream.total_in(), self.stream.total_out());
        let status = self
            .stream
            .compress(payload, out, DeflateFlush::PartialFlush)
            .map_err(|_| Failure::Compression)?;
        let taken = progress(taken, self.stream.total_in());
        let made = progress(made, self.stream.total_out());
        // A full output may not be all of it.
        match status {
            Status::Ok if taken == length && made < out.len() => Ok(made),
            Status::Ok | Status::BufError | Status::StreamEnd => Err(Failure::Compression),
        }
    }
}

impl Inflater {
    /// A new stream.
    pub(crate) fn new() -> Self {
        Self(Inflate::new(true, WINDOW_BITS))
    }

    /// Decompresses one packet's payload into `room`, which is kept for the next.
    pub(crate) fn inflate<'r>(
        &mut self,
        packet: &[u8],
        room: &'r mut Vec<u8>,
    ) -> Result<&'r [u8], Misbehaviour> {
        room.resize(INFLATED_LIMIT, 0);
        let (taken, made) = (self.0.total_in(), self.0.total_out());
        let status = self
            .0
            .decompress(packet, room, InflateFlush::SyncFlush)
            .map_err(|_| Misbehaviour::CompressedPayload)?;
        let taken = progress(taken, self.0.total_in());
        let made = progress(made, self.0.total_out());
        if made >= INFLATED_LIMIT {
            return Err(Misbehaviour::InflatedPayload);
        }
        match status {
            // With room left, nothing of the packet waits inside.
            Status::Ok | Status::BufError if taken == packet.len() => room
                .get(..made)
                .filter(|payload| !payload.is_empty())
                .ok_or(Misbehaviour::CompressedPayload),
            // The stream goes on for as long as the key.
            Status::Ok | Status::BufError | Status::StreamEnd => {
                Err(Misbehaviour::CompressedPayload)
            }
        }
    }
}

/// How far a counter of a stream has moved.
fn progress(before: u64, after: u64) -> usize {
    usize::try_from(after.wrapping_sub(before)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn deflate(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
        deflater.slot(payload.len()).copy_from_slice(payload);
        let mut out = vec![0; Deflater::bound(payload.len())];
        let length = deflater.deflate(payload.len(), &mut out).unwrap();
        out.truncate(length);
        out
    }

    proptest! {
        #[test]
        fn payloads_come_out_as_they_went_in_one_after_the_other(
            payloads in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 1..3000),
                    (any::<u8>(), 1..40_000_usize).prop_map(|(byte, length)| vec![byte; length]),
                ],
                1..20,
            ),
        ) {
            let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
            let mut room = Vec::new();
            for payload in payloads {
                let packet = deflate(&mut deflater, &payload);
                prop_assert_eq!(inflater.inflate(&packet, &mut room).unwrap(), payload.as_slice());
            }
        }

        #[test]
        fn garbage_is_refused_or_bounded(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..6)) {
            let (mut inflater, mut room) = (Inflater::new(), Vec::new());
            for packet in packets {
                let Ok(payload) = inflater.inflate(&packet, &mut room) else { break };
                prop_assert!(payload.len() < INFLATED_LIMIT);
            }
        }
    }

    #[test]
    fn the_longest_payload_fits_even_if_nothing_can_be_saved() {
        let mut state = 1_u64;
        let mut noise = Vec::new();
        for _ in 0..crate::PAYLOAD_LIMIT {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            noise.push(state.to_be_bytes()[0]);
        }
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        for _ in 0..3 {
            let packet = deflate(&mut deflater, &noise);
            assert_eq!(inflater.inflate(&packet, &mut Vec::new()).unwrap(), noise);
        }
    }

    #[test]
    fn a_small_packet_that_becomes_a_huge_payload_is_refused() {
        let packet = {
            let mut stream = Deflate::new(9, true, WINDOW_BITS);
            let bomb = vec![0; 16 * 1024 * 1024];
            let mut out = vec![0; 1024 * 1024];
            stream
                .compress(&bomb, &mut out, DeflateFlush::PartialFlush)
                .unwrap();
            out.truncate(usize::try_from(stream.total_out()).unwrap());
            out
        };
        assert!(packet.len() < 35_000, "{}", packet.len());
        let mut room = Vec::new();
        assert_eq!(
            Inflater::new().inflate(&packet, &mut room),
            Err(Misbehaviour::InflatedPayload)
        );
        assert!(room.capacity() <= 2 * INFLATED_LIMIT);
    }

    #[test]
    fn a_stream_that_ends_or_a_packet_without_payload_is_refused() {
        let mut stream = Deflate::new(LEVEL, true, WINDOW_BITS);
        let mut out = [0; 100];
        stream
            .compress(&[94; 20], &mut out, DeflateFlush::Finish)
            .unwrap();
        let length = usize::try_from(stream.total_out()).unwrap();
        for packet in [&out[..length], &out[..2], b"", b"no zlib"] {
            assert_eq!(
                Inflater::new().inflate(packet, &mut Vec::new()),
                Err(Misbehaviour::CompressedPayload),
                "{packet:?}"
            );
        }
    }
}
