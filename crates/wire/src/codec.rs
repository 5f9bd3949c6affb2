//! Data types of RFC 4251 section 5: bounded reading, plain writing.

use thiserror::Error;

/// Why bytes could not be read as the type that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The input ends inside the value.
    #[error("value is truncated")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("{0} bytes after the last field")]
    Trailing(usize),
    /// A string is longer than its field may be.
    #[error("string of {length} bytes exceeds its limit of {limit}")]
    TooLong {
        /// Announced length in bytes.
        length: usize,
        /// The field's limit in bytes.
        limit: usize,
    },
    /// Text is not valid UTF-8, or a name is not US-ASCII.
    #[error("text has an invalid encoding")]
    Encoding,
    /// A value is outside of what its field allows.
    #[error("value is out of range")]
    OutOfRange,
}

/// Reads values from the front of a byte slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Exactly `count` raw bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// `byte`
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// `boolean`: all non-zero values are true.
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        Ok(self.byte()? != 0)
    }

    /// `uint32`
    pub fn uint32(&mut self) -> Result<u32, DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<4>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*head))
    }

    /// `uint64`
    pub fn uint64(&mut self) -> Result<u64, DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<8>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*head))
    }

    /// `string` of at most `limit` bytes.
    pub fn string(&mut self, limit: usize) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.uint32()?).map_err(|_| DecodeError::OutOfRange)?;
        if length > limit {
            return Err(DecodeError::TooLong { length, limit });
        }
        self.bytes(length)
    }

    /// `string` that holds UTF-8 text of at most `limit` bytes.
    pub fn text(&mut self, limit: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.string(limit)?).map_err(|_| DecodeError::Encoding)
    }

    /// `mpint` that is not negative, of at most `limit` bytes without the sign: see [`magnitude`].
    pub fn mpint(&mut self, limit: usize) -> Result<&'a [u8], DecodeError> {
        let digits = magnitude(self.string(limit.saturating_add(1))?)?;
        match digits.len() {
            length if length > limit => Err(DecodeError::TooLong { length, limit }),
            _ => Ok(digits),
        }
    }

    /// Fails unless all input has been read.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

/// The big-endian digits, without leading zeros, of the contents of an `mpint` that is not negative
/// and has the one form that RFC 4251 section 5 permits. Another form of the same number would be
/// another input to a hash.
pub fn magnitude(contents: &[u8]) -> Result<&[u8], DecodeError> {
    let is_signed = |digits: &[u8]| digits.first().is_some_and(|first| first & 0x80 != 0);
    match contents.split_first() {
        Some((0, digits)) if is_signed(digits) => Ok(digits),
        Some((0, _)) => Err(DecodeError::OutOfRange),
        _ if is_signed(contents) => Err(DecodeError::OutOfRange),
        _ => Ok(contents),
    }
}

/// Appends values to a buffer. Implemented for `Vec<u8>`.
pub trait Write {
    /// Raw bytes.
    fn put_bytes(&mut self, bytes: &[u8]);

    /// `byte`
    fn put_byte(&mut self, value: u8) {
        self.put_bytes(&[value]);
    }

    /// `boolean`
    fn put_boolean(&mut self, value: bool) {
        self.put_byte(u8::from(value));
    }

    /// `uint32`
    fn put_uint32(&mut self, value: u32) {
        self.put_bytes(&value.to_be_bytes());
    }

    /// `uint64`
    fn put_uint64(&mut self, value: u64) {
        self.put_bytes(&value.to_be_bytes());
    }

    /// `string`. Lengths above 2^32-1 cannot occur: every buffer here is bounded far below.
    fn put_string(&mut self, value: &[u8]) {
        self.put_uint32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.put_bytes(value);
    }

    /// `mpint` of the non-negative integer with these big-endian bytes: leading zeros are dropped
    /// and one is added where the top bit would make it negative.
    fn put_mpint(&mut self, big_endian: &[u8]) {
        let first = big_endian
            .iter()
            .position(|byte| *byte != 0)
            .unwrap_or(big_endian.len());
        let digits = big_endian.get(first..).unwrap_or_default();
        let sign = digits.first().is_some_and(|byte| byte & 0x80 != 0);
        let length = digits.len() + usize::from(sign);
        self.put_uint32(u32::try_from(length).unwrap_or(u32::MAX));
        if sign {
            self.put_byte(0);
        }
        self.put_bytes(digits);
    }
}

impl Write for Vec<u8> {
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mpint(big_endian: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_mpint(big_endian);
        out
    }

    #[test]
    fn mpint_matches_the_examples_of_rfc_4251() {
        assert_eq!(mpint(&[]), [0, 0, 0, 0]);
        assert_eq!(mpint(&[0, 0]), [0, 0, 0, 0]);
        assert_eq!(
            mpint(&[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7]),
            [0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7]
        );
        assert_eq!(mpint(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(mpint(&[0, 0, 0x7f]), [0, 0, 0, 1, 0x7f]);
    }

    #[test]
    fn an_mpint_is_read_in_its_one_form_only() {
        assert_eq!(magnitude(&[]), Ok([].as_slice()));
        assert_eq!(magnitude(&[0x7f, 0]), Ok([0x7f, 0].as_slice()));
        assert_eq!(magnitude(&[0, 0x80]), Ok([0x80].as_slice()));
        let zero = [0].as_slice();
        let negative = [0x80].as_slice();
        for contents in [zero, negative, &[0, 0x7f], &[0, 0, 0x80]] {
            assert_eq!(magnitude(contents), Err(DecodeError::OutOfRange));
        }
        let mut reader = Reader::new(&[0, 0, 0, 3, 0, 0x80, 1]);
        assert_eq!(reader.clone().mpint(2), Ok([0x80, 1].as_slice()));
        assert!(reader.mpint(1).is_err());
        let unsigned = DecodeError::TooLong {
            length: 2,
            limit: 1,
        };
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1, 1]).mpint(1), Err(unsigned));
    }

    #[test]
    fn a_string_longer_than_its_limit_is_refused_before_it_is_complete() {
        let error = Reader::new(&[0xff; 8]).string(100).unwrap_err();
        assert_eq!(
            error,
            DecodeError::TooLong {
                length: 0xffff_ffff,
                limit: 100
            }
        );
        assert_eq!(
            Reader::new(&[0, 0, 0, 3, 1, 2]).string(100),
            Err(DecodeError::Truncated)
        );
    }

    #[test]
    fn bytes_after_the_last_field_are_refused() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.byte(), Ok(1));
        assert_eq!(reader.rest(), [2, 3]);
        assert_eq!(reader.finish(), Err(DecodeError::Trailing(2)));
    }

    #[test]
    fn text_must_be_utf_8() {
        assert_eq!(
            Reader::new(&[0, 0, 0, 1, 0xff]).text(9),
            Err(DecodeError::Encoding)
        );
        assert_eq!(Reader::new(&[0, 0, 0, 2, 0xc3, 0xa9]).text(9), Ok("é"));
    }

    proptest! {
        #[test]
        fn values_read_back_as_written(
            byte in any::<u8>(),
            truth in any::<bool>(),
            number in any::<u32>(),
            large in any::<u64>(),
            blob in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut out = Vec::new();
            out.put_byte(byte);
            out.put_boolean(truth);
            out.put_uint32(number);
            out.put_uint64(large);
            out.put_string(&blob);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.byte(), Ok(byte));
            prop_assert_eq!(reader.boolean(), Ok(truth));
            prop_assert_eq!(reader.uint32(), Ok(number));
            prop_assert_eq!(reader.uint64(), Ok(large));
            prop_assert_eq!(reader.string(300), Ok(blob.as_slice()));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn mpint_is_minimal_and_keeps_the_value(digits in proptest::collection::vec(any::<u8>(), 0..70)) {
            let encoded = mpint(&digits);
            let body = Reader::new(&encoded).string(80).unwrap();
            let significant = |bytes: &[u8]| bytes.iter().copied().skip_while(|b| *b == 0).collect::<Vec<_>>();
            prop_assert_eq!(significant(body), significant(&digits));
            // Non-negative, and no zero in front that the sign does not need.
            prop_assert_eq!(magnitude(body).map(<[u8]>::to_vec), Ok(significant(&digits)));
        }
    }
}
