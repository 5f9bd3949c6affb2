//! Message numbers (RFC 4250 section 4.1) and the messages of RFC 4253, RFC 4252, RFC 4256,
//! RFC 4419 and RFC 8308.
//!
//! Each struct carries the RFC's name, its number as `NUMBER`, and borrows from the payload that it
//! was decoded from. `decode` takes a whole payload, the number included, and refuses bytes after
//! the last field: what was accepted encodes to the same bytes again.

mod group_exchange;
mod questions;
mod shares;

use crate::codec::{DecodeError, Reader, Write};
use crate::names::SignatureAlgorithm;

pub use group_exchange::{KexDhGexGroup, KexDhGexRequest};
pub use questions::{
    PROMPT_LIMIT, UserauthInfoRequest, UserauthInfoResponse, UserauthPasswdChangereq,
};
pub use shares::{
    ClientShare, KexDhGexInit, KexDhGexReply, KexEcdhInit, KexEcdhReply, ServerShare,
};

/// Message numbers. One table; which of them may come when is the admission table of `transport`.
pub mod number {
    /// RFC 4253 section 11.1
    pub const DISCONNECT: u8 = 1;
    /// RFC 4253 section 11.2
    pub const IGNORE: u8 = 2;
    /// RFC 4253 section 11.4
    pub const UNIMPLEMENTED: u8 = 3;
    /// RFC 4253 section 11.3
    pub const DEBUG: u8 = 4;
    /// RFC 4253 section 10
    pub const SERVICE_REQUEST: u8 = 5;
    /// RFC 4253 section 10
    pub const SERVICE_ACCEPT: u8 = 6;
    /// RFC 8308 section 2.3
    pub const EXT_INFO: u8 = 7;
    /// RFC 4253 section 7.1
    pub const KEXINIT: u8 = 20;
    /// RFC 4253 section 7.3
    pub const NEWKEYS: u8 = 21;
    /// First of the numbers that belong to the key exchange method.
    pub const KEX_METHOD_FIRST: u8 = 30;
    /// RFC 5656 section 4; also KEX_HYBRID_INIT and KEXDH_INIT
    pub const KEX_ECDH_INIT: u8 = 30;
    /// RFC 5656 section 4; also KEX_HYBRID_REPLY and KEXDH_REPLY
    pub const KEX_ECDH_REPLY: u8 = 31;
    /// RFC 4419 section 5
    pub const KEX_DH_GEX_GROUP: u8 = 31;
    /// RFC 4419 section 5
    pub const KEX_DH_GEX_INIT: u8 = 32;
    /// RFC 4419 section 5
    pub const KEX_DH_GEX_REPLY: u8 = 33;
    /// RFC 4419 section 5. KEX_DH_GEX_REQUEST_OLD, which is 30, is not known here.
    pub const KEX_DH_GEX_REQUEST: u8 = 34;
    /// Last of the numbers that belong to the key exchange method.
    pub const KEX_METHOD_LAST: u8 = 49;
    /// RFC 4252 section 5
    pub const USERAUTH_REQUEST: u8 = 50;
    /// RFC 4252 section 5.1
    pub const USERAUTH_FAILURE: u8 = 51;
    /// RFC 4252 section 5.1
    pub const USERAUTH_SUCCESS: u8 = 52;
    /// RFC 4252 section 5.4
    pub const USERAUTH_BANNER: u8 = 53;
    /// RFC 4252 section 7
    pub const USERAUTH_PK_OK: u8 = 60;
    /// RFC 4252 section 8, with method password
    pub const USERAUTH_PASSWD_CHANGEREQ: u8 = 60;
    /// RFC 4256 section 5, with method keyboard-interactive
    pub const USERAUTH_INFO_REQUEST: u8 = 60;
    /// RFC 4256 section 5
    pub const USERAUTH_INFO_RESPONSE: u8 = 61;
    /// Last of the numbers of the user authentication protocol.
    pub const USERAUTH_LAST: u8 = 79;
    /// First of the numbers of the connection protocol (RFC 4254).
    pub const CONNECTION_FIRST: u8 = 80;
    /// RFC 4254 section 4
    pub const GLOBAL_REQUEST: u8 = 80;
    /// RFC 4254 section 4
    pub const REQUEST_SUCCESS: u8 = 81;
    /// RFC 4254 section 4
    pub const REQUEST_FAILURE: u8 = 82;
    /// RFC 4254 section 5.1
    pub const CHANNEL_OPEN: u8 = 90;
    /// RFC 4254 section 5.1
    pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    /// RFC 4254 section 5.1
    pub const CHANNEL_OPEN_FAILURE: u8 = 92;
    /// RFC 4254 section 5.2
    pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
    /// RFC 4254 section 5.2
    pub const CHANNEL_DATA: u8 = 94;
    /// RFC 4254 section 5.2
    pub const CHANNEL_EXTENDED_DATA: u8 = 95;
    /// RFC 4254 section 5.3
    pub const CHANNEL_EOF: u8 = 96;
    /// RFC 4254 section 5.3
    pub const CHANNEL_CLOSE: u8 = 97;
    /// RFC 4254 section 5.4
    pub const CHANNEL_REQUEST: u8 = 98;
    /// RFC 4254 section 5.4
    pub const CHANNEL_SUCCESS: u8 = 99;
    /// RFC 4254 section 5.4
    pub const CHANNEL_FAILURE: u8 = 100;
    /// Last of the numbers of the connection protocol.
    pub const CONNECTION_LAST: u8 = 127;
    /// OpenSSH PROTOCOL section 1.9
    pub const PING: u8 = 192;
    /// OpenSSH PROTOCOL section 1.9
    pub const PONG: u8 = 193;
}

/// Longest name-list that is looked at, in bytes. The longest that a common client sends, with all
/// its host key algorithms, is below 1 KiB.
pub const NAME_LIST_LIMIT: usize = 16 * 1024;

/// Limit of text that is only logged (descriptions), in bytes.
pub const TEXT_LIMIT: usize = 16 * 1024;

/// Longest banner, in bytes: what every client takes in one packet (RFC 4253 section 6.1).
pub const BANNER_LIMIT: usize = 32 * 1024;

/// Longest data of a ping, in bytes: what RFC 4253 section 6.1 has every payload hold.
pub const PING_LIMIT: usize = 32 * 1024;

/// Limit of a field that holds a key, a share or a signature, in bytes.
pub const BLOB_LIMIT: usize = 64 * 1024;

/// Reasons of SSH_MSG_DISCONNECT (RFC 4250 section 4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum DisconnectReason {
    /// SSH_DISCONNECT_HOST_NOT_ALLOWED_TO_CONNECT
    HostNotAllowedToConnect = 1,
    /// SSH_DISCONNECT_PROTOCOL_ERROR
    ProtocolError = 2,
    /// SSH_DISCONNECT_KEY_EXCHANGE_FAILED
    KeyExchangeFailed = 3,
    /// SSH_DISCONNECT_MAC_ERROR
    MacError = 5,
    /// SSH_DISCONNECT_COMPRESSION_ERROR
    CompressionError = 6,
    /// SSH_DISCONNECT_SERVICE_NOT_AVAILABLE
    ServiceNotAvailable = 7,
    /// SSH_DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED
    ProtocolVersionNotSupported = 8,
    /// SSH_DISCONNECT_HOST_KEY_NOT_VERIFIABLE
    HostKeyNotVerifiable = 9,
    /// SSH_DISCONNECT_CONNECTION_LOST
    ConnectionLost = 10,
    /// SSH_DISCONNECT_BY_APPLICATION
    ByApplication = 11,
    /// SSH_DISCONNECT_TOO_MANY_CONNECTIONS
    TooManyConnections = 12,
    /// SSH_DISCONNECT_AUTH_CANCELLED_BY_USER
    AuthCancelledByUser = 13,
    /// SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
    NoMoreAuthMethodsAvailable = 14,
    /// SSH_DISCONNECT_ILLEGAL_USER_NAME
    IllegalUserName = 15,
}

impl DisconnectReason {
    /// The number on the wire.
    pub fn code(self) -> u32 {
        self as u32
    }
}

/// Checks the number and yields a reader of what follows it.
fn body(payload: &[u8], number: u8) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(payload);
    if reader.byte()? != number {
        return Err(DecodeError::OutOfRange);
    }
    Ok(reader)
}

/// `name-list` (RFC 4251 section 5): names in US-ASCII, separated by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameList<'a>(&'a str);

impl<'a> NameList<'a> {
    /// Takes text that is already in the form of a list.
    pub fn new(list: &'a str) -> Result<Self, DecodeError> {
        if list.len() > NAME_LIST_LIMIT {
            return Err(DecodeError::TooLong {
                length: list.len(),
                limit: NAME_LIST_LIMIT,
            });
        }
        // Printable only: these names end in log lines and error texts.
        if list.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(list))
        } else {
            Err(DecodeError::Encoding)
        }
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Self::new(reader.text(NAME_LIST_LIMIT)?)
    }

    /// The names in order of preference.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.0.split(',').filter(|name| !name.is_empty())
    }

    /// The most preferred name.
    pub fn first(self) -> Option<&'a str> {
        self.names().next()
    }

    /// Whether the list has this name.
    pub fn contains(self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    /// The list as on the wire.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// SSH_MSG_DISCONNECT
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// "reason code": one of [`DisconnectReason`], or whatever the peer made up.
    pub reason: u32,
    /// "description", not sanitised: peers differ in its encoding.
    pub description: &'a [u8],
    /// "language tag"
    pub language: &'a [u8],
}

impl<'a> Disconnect<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::DISCONNECT;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            reason: reader.uint32()?,
            description: reader.string(TEXT_LIMIT)?,
            language: reader.string(TEXT_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_uint32(self.reason);
        out.put_string(self.description);
        out.put_string(self.language);
    }
}

/// SSH_MSG_DEBUG
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debug<'a> {
    /// "always_display", 0 or 1.
    pub always_display: u8,
    /// "message"
    pub message: &'a [u8],
    /// "language tag"
    pub language: &'a [u8],
}

impl Debug<'_> {
    /// Message number.
    pub const NUMBER: u8 = number::DEBUG;

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_byte(self.always_display);
        out.put_string(self.message);
        out.put_string(self.language);
    }
}

/// SSH_MSG_UNIMPLEMENTED
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unimplemented {
    /// "packet sequence number of rejected message"
    pub sequence_number: u32,
}

impl Unimplemented {
    /// Message number.
    pub const NUMBER: u8 = number::UNIMPLEMENTED;

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            sequence_number: reader.uint32()?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_uint32(self.sequence_number);
    }
}

/// SSH_MSG_SERVICE_REQUEST
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceRequest<'a> {
    /// "service name"
    pub service: &'a str,
}

impl<'a> ServiceRequest<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::SERVICE_REQUEST;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            service: reader.text(TEXT_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.service.as_bytes());
    }
}

/// SSH_MSG_SERVICE_ACCEPT
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceAccept<'a> {
    /// "service name"
    pub service: &'a str,
}

impl<'a> ServiceAccept<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::SERVICE_ACCEPT;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            service: reader.text(TEXT_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.service.as_bytes());
    }
}

/// SSH_MSG_EXT_INFO (RFC 8308 section 2.3)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtInfo<'a> {
    /// Pairs of "extension-name" and "extension-value".
    pub extensions: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> ExtInfo<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::EXT_INFO;

    /// Most extensions that are looked at; nine are registered.
    pub const LIMIT: u32 = 64;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let count = reader.uint32()?;
        if count > Self::LIMIT {
            return Err(DecodeError::OutOfRange);
        }
        let mut extensions = Vec::new();
        for _ in 0..count {
            extensions.push((reader.string(NAME_LIST_LIMIT)?, reader.string(BLOB_LIMIT)?));
        }
        reader.finish()?;
        Ok(Self { extensions })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_uint32(u32::try_from(self.extensions.len()).unwrap_or(u32::MAX));
        for (name, value) in &self.extensions {
            out.put_string(name);
            out.put_string(value);
        }
    }
}

/// SSH2_MSG_PING (OpenSSH PROTOCOL section 1.9)
pub type Ping<'a> = Echo<'a, { number::PING }>;

/// SSH2_MSG_PONG (OpenSSH PROTOCOL section 1.9)
pub type Pong<'a> = Echo<'a, { number::PONG }>;

/// [`Ping`] and [`Pong`], which differ in their number only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a, const N: u8> {
    /// "ping data": in the answer as it came.
    pub data: &'a [u8],
}

impl<'a, const N: u8> Echo<'a, N> {
    /// Message number.
    pub const NUMBER: u8 = N;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            data: reader.string(PING_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.data);
    }
}

/// SSH_MSG_KEXINIT
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KexInit<'a> {
    /// "cookie"
    pub cookie: [u8; 16],
    /// "kex_algorithms"
    pub kex_algorithms: NameList<'a>,
    /// "server_host_key_algorithms"
    pub server_host_key_algorithms: NameList<'a>,
    /// "encryption_algorithms_client_to_server"
    pub encryption_algorithms_client_to_server: NameList<'a>,
    /// "encryption_algorithms_server_to_client"
    pub encryption_algorithms_server_to_client: NameList<'a>,
    /// "mac_algorithms_client_to_server"
    pub mac_algorithms_client_to_server: NameList<'a>,
    /// "mac_algorithms_server_to_client"
    pub mac_algorithms_server_to_client: NameList<'a>,
    /// "compression_algorithms_client_to_server"
    pub compression_algorithms_client_to_server: NameList<'a>,
    /// "compression_algorithms_server_to_client"
    pub compression_algorithms_server_to_client: NameList<'a>,
    /// "languages_client_to_server"
    pub languages_client_to_server: NameList<'a>,
    /// "languages_server_to_client"
    pub languages_server_to_client: NameList<'a>,
    /// "first_kex_packet_follows", as the byte that it is: it is part of the exchange hash.
    pub first_kex_packet_follows: u8,
    /// "0 (reserved for future extension)": a peer of the future may send another value.
    pub reserved: u32,
}

impl<'a> KexInit<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::KEXINIT;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let mut cookie = [0; 16];
        cookie.copy_from_slice(reader.bytes(16)?);
        let message = Self {
            cookie,
            kex_algorithms: NameList::read(&mut reader)?,
            server_host_key_algorithms: NameList::read(&mut reader)?,
            encryption_algorithms_client_to_server: NameList::read(&mut reader)?,
            encryption_algorithms_server_to_client: NameList::read(&mut reader)?,
            mac_algorithms_client_to_server: NameList::read(&mut reader)?,
            mac_algorithms_server_to_client: NameList::read(&mut reader)?,
            compression_algorithms_client_to_server: NameList::read(&mut reader)?,
            compression_algorithms_server_to_client: NameList::read(&mut reader)?,
            languages_client_to_server: NameList::read(&mut reader)?,
            languages_server_to_client: NameList::read(&mut reader)?,
            first_kex_packet_follows: reader.byte()?,
            reserved: reader.uint32()?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_bytes(&self.cookie);
        for list in [
            self.kex_algorithms,
            self.server_host_key_algorithms,
            self.encryption_algorithms_client_to_server,
            self.encryption_algorithms_server_to_client,
            self.mac_algorithms_client_to_server,
            self.mac_algorithms_server_to_client,
            self.compression_algorithms_client_to_server,
            self.compression_algorithms_server_to_client,
            self.languages_client_to_server,
            self.languages_server_to_client,
        ] {
            out.put_string(list.as_str().as_bytes());
        }
        out.put_byte(self.first_kex_packet_follows);
        out.put_uint32(self.reserved);
    }
}

/// SSH_MSG_USERAUTH_FAILURE
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserauthFailure<'a> {
    /// "authentications that can continue"
    pub methods: NameList<'a>,
    /// "partial success": non-zero is true.
    pub partial_success: u8,
}

impl<'a> UserauthFailure<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::USERAUTH_FAILURE;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            methods: NameList::read(&mut reader)?,
            partial_success: reader.byte()?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.methods.as_str().as_bytes());
        out.put_byte(self.partial_success);
    }
}

/// SSH_MSG_USERAUTH_BANNER (RFC 4252 section 5.4)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserauthBanner<'a> {
    /// "message": UTF-8, says the RFC; what the administrator wrote, say servers.
    pub message: &'a [u8],
    /// "language tag"
    pub language: &'a [u8],
}

impl<'a> UserauthBanner<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::USERAUTH_BANNER;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            message: reader.string(BANNER_LIMIT)?,
            language: reader.string(TEXT_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.message);
        out.put_string(self.language);
    }
}

/// SSH_MSG_USERAUTH_PK_OK (RFC 4252 section 7)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserauthPkOk<'a> {
    /// "public key algorithm name from the request"
    pub algorithm: &'a str,
    /// "public key blob from the request"
    pub key: &'a [u8],
}

impl<'a> UserauthPkOk<'a> {
    /// Message number.
    pub const NUMBER: u8 = number::USERAUTH_PK_OK;

    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = body(payload, Self::NUMBER)?;
        let message = Self {
            algorithm: reader.text(TEXT_LIMIT)?,
            key: reader.string(BLOB_LIMIT)?,
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.algorithm.as_bytes());
        out.put_string(self.key);
    }
}

/// Value of the extension "server-sig-algs" (RFC 8308 section 3.1).
///
/// Names of signatures, as OpenSSH tells them: a certificate is signed under the plain key's name.
pub fn server_sig_algs(algorithms: &[SignatureAlgorithm]) -> String {
    algorithms
        .iter()
        .filter(|algorithm| !algorithm.is_certificate())
        .map(|algorithm| algorithm.name())
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One encoded message of each kind, built from the same pool of random fields.
    fn messages(number: u32, text: &str, blob: &[u8]) -> Vec<Vec<u8>> {
        let list = NameList::new(text).unwrap();
        let mut out = vec![Vec::new(); 14];
        Disconnect {
            reason: number,
            description: blob,
            language: b"",
        }
        .encode(&mut out[0]);
        Unimplemented {
            sequence_number: number,
        }
        .encode(&mut out[1]);
        ServiceRequest { service: text }.encode(&mut out[2]);
        ServiceAccept { service: text }.encode(&mut out[3]);
        ExtInfo {
            extensions: vec![(text.as_bytes(), blob), (b"x", blob)],
        }
        .encode(&mut out[4]);
        KexInit {
            cookie: [7; 16],
            kex_algorithms: list,
            server_host_key_algorithms: list,
            encryption_algorithms_client_to_server: list,
            encryption_algorithms_server_to_client: list,
            mac_algorithms_client_to_server: list,
            mac_algorithms_server_to_client: list,
            compression_algorithms_client_to_server: list,
            compression_algorithms_server_to_client: list,
            languages_client_to_server: list,
            languages_server_to_client: list,
            first_kex_packet_follows: u8::from(number.is_multiple_of(2)),
            reserved: number,
        }
        .encode(&mut out[5]);
        KexEcdhInit { client_share: blob }.encode(&mut out[6]);
        KexEcdhReply {
            host_key: blob,
            server_share: blob,
            signature: blob,
        }
        .encode(&mut out[7]);
        UserauthFailure {
            methods: list,
            partial_success: 1,
        }
        .encode(&mut out[8]);
        UserauthPkOk {
            algorithm: text,
            key: blob,
        }
        .encode(&mut out[9]);
        Disconnect {
            reason: 2,
            description: text.as_bytes(),
            language: b"en",
        }
        .encode(&mut out[10]);
        Ping { data: blob }.encode(&mut out[11]);
        Pong { data: blob }.encode(&mut out[12]);
        UserauthBanner {
            message: blob,
            language: text.as_bytes(),
        }
        .encode(&mut out[13]);
        out
    }

    /// Decodes with the type of its number and encodes again.
    fn reencode(payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        match payload.first().copied() {
            Some(number::DISCONNECT) => Disconnect::decode(payload)?.encode(&mut out),
            Some(number::UNIMPLEMENTED) => Unimplemented::decode(payload)?.encode(&mut out),
            Some(number::SERVICE_REQUEST) => ServiceRequest::decode(payload)?.encode(&mut out),
            Some(number::SERVICE_ACCEPT) => ServiceAccept::decode(payload)?.encode(&mut out),
            Some(number::EXT_INFO) => ExtInfo::decode(payload)?.encode(&mut out),
            Some(number::KEXINIT) => KexInit::decode(payload)?.encode(&mut out),
            Some(number::KEX_ECDH_INIT) => KexEcdhInit::decode(payload)?.encode(&mut out),
            Some(number::KEX_ECDH_REPLY) => KexEcdhReply::decode(payload)?.encode(&mut out),
            Some(number::USERAUTH_FAILURE) => UserauthFailure::decode(payload)?.encode(&mut out),
            Some(number::USERAUTH_PK_OK) => UserauthPkOk::decode(payload)?.encode(&mut out),
            Some(number::USERAUTH_BANNER) => UserauthBanner::decode(payload)?.encode(&mut out),
            Some(number::PING) => Ping::decode(payload)?.encode(&mut out),
            Some(number::PONG) => Pong::decode(payload)?.encode(&mut out),
            _ => return Err(DecodeError::OutOfRange),
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn decoded_messages_encode_to_the_same_bytes(
            number in any::<u32>(),
            text in "[a-z0-9@.,-]{0,60}",
            blob in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for payload in messages(number, &text, &blob) {
                prop_assert_eq!(reencode(&payload), Ok(payload.clone()));
            }
        }

        #[test]
        fn every_truncation_and_every_extra_byte_is_refused(
            text in "[a-z,]{1,20}",
            blob in proptest::collection::vec(any::<u8>(), 1..20),
        ) {
            for payload in messages(9, &text, &blob) {
                for length in 0..payload.len() {
                    prop_assert!(reencode(&payload[..length]).is_err());
                }
                let mut longer = payload.clone();
                longer.push(0);
                prop_assert_eq!(reencode(&longer), Err(DecodeError::Trailing(1)));
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_encode_to_themselves(
            number in proptest::sample::select(vec![1u8, 3, 5, 6, 7, 20, 30, 31, 51, 53, 60, 192, 193]),
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut payload = vec![number];
            payload.extend(rest);
            if let Ok(again) = reencode(&payload) {
                prop_assert_eq!(again, payload);
            }
        }
    }

    #[test]
    fn a_name_list_keeps_order_and_skips_empty_names() {
        let list = NameList::new("b,a,,c").unwrap();
        assert_eq!(list.names().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(list.first(), Some("b"));
        assert!(list.contains("c") && !list.contains(""));
        assert_eq!(NameList::new("").unwrap().first(), None);
    }

    #[test]
    fn a_name_list_with_unprintable_characters_is_refused() {
        for list in ["a\nb", "a b", "a\0", "é"] {
            assert_eq!(NameList::new(list), Err(DecodeError::Encoding));
        }
    }

    #[test]
    fn server_sig_algs_is_a_name_list() {
        let value =
            server_sig_algs(&[SignatureAlgorithm::Ed25519, SignatureAlgorithm::RsaSha2_512]);
        assert_eq!(value, "ssh-ed25519,rsa-sha2-512");
    }
}
