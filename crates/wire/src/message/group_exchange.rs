//! Diffie-Hellman group exchange (RFC 4419 section 3).

use super::{body, number};
use crate::codec::{DecodeError, Write};

/// Largest number of a group, in bytes: 8192 bits.
const NUMBER_LIMIT: usize = 1024;

/// SSH_MSG_KEX_DH_GEX_REQUEST
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KexDhGexRequest {
    /// "min"
    pub min: u32,
    /// "n"
    pub preferred: u32,
    /// "max"
    pub max: u32,
}

impl KexDhGexRequest {
    /// Message number.
    pub const NUMBER: u8 = number::KEX_DH_GEX_REQUEST;

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            min: reader.uint32()?,
            preferred: reader.uint32()?,
            max: reader.uint32()?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_uint32(self.min);
        out.put_uint32(self.preferred);
        out.put_uint32(self.max);
    }
}

/// SSH_MSG_KEX_DH_GEX_GROUP
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KexDhGexGroup<'a> {
    /// "p", big-endian without leading zeros.
    pub prime: &'a [u8],
    /// "g", the same.
    pub generator: &'a [u8],
}

impl<'a> KexDhGexGroup<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::KEX_DH_GEX_GROUP;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            prime: reader.mpint(NUMBER_LIMIT)?,
            generator: reader.mpint(NUMBER_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_mpint(self.prime);
        out.put_mpint(self.generator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{KexDhGexInit, KexDhGexReply};

    #[test]
    fn each_message_reads_back_as_written_and_nothing_else_does() {
        let request = KexDhGexRequest {
            min: 2048,
            preferred: 3072,
            max: 8192,
        };
        let group = KexDhGexGroup {
            prime: &[0xfb; 256],
            generator: &[2],
        };
        let init = KexDhGexInit {
            client_share: &[0x11; 256],
        };
        let reply = KexDhGexReply {
            host_key: b"key",
            server_share: &[0x22; 256],
            signature: b"signature",
        };
        let mut payloads = [const { Vec::new() }; 4];
        request.encode(&mut payloads[0]);
        group.encode(&mut payloads[1]);
        init.encode(&mut payloads[2]);
        reply.encode(&mut payloads[3]);
        assert_eq!(KexDhGexRequest::decode(&payloads[0]), Ok(request));
        assert_eq!(KexDhGexGroup::decode(&payloads[1]), Ok(group));
        assert_eq!(KexDhGexInit::decode(&payloads[2]), Ok(init));
        assert_eq!(KexDhGexReply::decode(&payloads[3]), Ok(reply));
        assert_eq!(payloads.map(|payload| payload[0]), [34, 31, 32, 33]);
    }

    #[test]
    fn a_request_of_the_old_form_or_with_more_fields_is_refused() {
        // SSH_MSG_KEX_DH_GEX_REQUEST_OLD has the number 30 and one field.
        assert!(KexDhGexRequest::decode(&[30, 0, 0, 8, 0]).is_err());
        assert!(KexDhGexRequest::decode(&[34, 0, 0, 8, 0]).is_err());
        let more = [&[34][..], &[0; 13]].concat();
        assert_eq!(
            KexDhGexRequest::decode(&more),
            Err(DecodeError::Trailing(1))
        );
    }
}
