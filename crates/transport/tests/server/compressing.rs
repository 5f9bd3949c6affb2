//! The client's zlib streams, made with another implementation than the server's.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What goes out of the client.
pub(crate) struct Deflating(Compress);

/// What comes in.
pub(crate) struct Inflating(Decompress);

/// More than any payload of the tests.
const ROOM: usize = 1024 * 1024;

impl Deflating {
    pub(crate) fn new() -> Self {
        Self(Compress::new(Compression::new(6), true))
    }

    pub(crate) fn payload(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROOM);
        let taken = self.0.total_in();
        self.0
            .compress_vec(payload, &mut out, FlushCompress::Partial)
            .unwrap();
        assert_eq!(self.0.total_in() - taken, payload.len() as u64);
        out
    }
}

impl Inflating {
    pub(crate) fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub(crate) fn payload(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROOM);
        // What this implementation has taken in may come out at the next call only.
        for input in [packet, &[]] {
            let status = self
                .0
                .decompress_vec(input, &mut out, FlushDecompress::Sync)
                .unwrap();
            assert!(status != Status::StreamEnd && out.len() < ROOM);
        }
        out
    }
}
