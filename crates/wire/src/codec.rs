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
        let (head, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
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
        let (head, rest) = self.rest.split_first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*head))
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

    /// Fails unless all input has been read.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
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

    /// `string`. Lengths above 2^32-1 cannot occur: every buffer here is bounded far below.
    fn put_string(&mut self, value: &[u8]) {
        self.put_uint32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.put_bytes(value);
    }

    /// `mpint` of the non-negative integer with these big-endian bytes: leading zeros are dropped
    /// and one is added where the top bit would make it negative.
    fn put_mpint(&mut self, big_endian: &[u8]) {
        let first = big_endian.iter().position(|byte| *byte != 0).unwrap_or(big_endian.len());
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
