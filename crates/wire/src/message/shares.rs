//! The messages that carry the shares of a key exchange. Methods differ in their numbers and in what
//! is in a share; fields and layout are the same.

use super::{BLOB_LIMIT, body, number};
use crate::codec::{DecodeError, Write};

/// SSH_MSG_KEX_ECDH_INIT (RFC 5656 section 4), SSH_MSG_KEX_HYBRID_INIT of the hybrid exchanges, and
/// SSH_MSG_KEXDH_INIT (RFC 4253 section 8), whose mpint is a string here.
pub type KexEcdhInit<'a> = ClientShare<'a, { number::KEX_ECDH_INIT }>;

/// SSH_MSG_KEX_ECDH_REPLY (RFC 5656 section 4), SSH_MSG_KEX_HYBRID_REPLY and SSH_MSG_KEXDH_REPLY.
pub type KexEcdhReply<'a> = ServerShare<'a, { number::KEX_ECDH_REPLY }>;

/// SSH_MSG_KEX_DH_GEX_INIT (RFC 4419 section 3)
pub type KexDhGexInit<'a> = ClientShare<'a, { number::KEX_DH_GEX_INIT }>;

/// SSH_MSG_KEX_DH_GEX_REPLY (RFC 4419 section 3)
pub type KexDhGexReply<'a> = ServerShare<'a, { number::KEX_DH_GEX_REPLY }>;

/// The client's share, under the method's number `N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientShare<'a, const N: u8> {
    /// "Q_C", "C_INIT", or the contents of "e"
    pub client_share: &'a [u8],
}

impl<'a, const N: u8> ClientShare<'a, N> {
    /// Message number.
    pub const NUMBER: u8 = N;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            client_share: reader.string(BLOB_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.client_share);
    }
}

/// The server's share and its proof, under the method's number `N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerShare<'a, const N: u8> {
    /// "K_S"
    pub host_key: &'a [u8],
    /// "Q_S", "S_REPLY", or the contents of "f"
    pub server_share: &'a [u8],
    /// "the signature on the exchange hash"
    pub signature: &'a [u8],
}

impl<'a, const N: u8> ServerShare<'a, N> {
    /// Message number.
    pub const NUMBER: u8 = N;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            host_key: reader.string(BLOB_LIMIT)?,
            server_share: reader.string(BLOB_LIMIT)?,
            signature: reader.string(BLOB_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.host_key);
        out.put_string(self.server_share);
        out.put_string(self.signature);
    }
}
