//! The fields of each method's request.

use super::USER_NAME_LIMIT;
use super::UserName;
use crate::codec::{DecodeError, Reader, Write};
use crate::message::{BLOB_LIMIT, number};
use crate::secret::Secret;

/// `publickey` (RFC 4252 section 7)
pub(super) const PUBLICKEY: &str = "publickey";

/// The same, bound to the server's host key (OpenSSH PROTOCOL section 3.1).
pub(super) const HOSTBOUND: &str = "publickey-hostbound-v00@openssh.com";

/// `password` (RFC 4252 section 8)
pub(super) const PASSWORD: &str = "password";

/// `hostbased` (RFC 4252 section 9)
pub(super) const HOSTBASED: &str = "hostbased";

/// `keyboard-interactive` (RFC 4256)
pub(super) const KEYBOARD_INTERACTIVE: &str = "keyboard-interactive";

/// Longest algorithm name, in bytes. RFC 4250 section 4.6.1 allows 64.
const ALGORITHM_LIMIT: usize = 256;

/// Longest list of submethods, in bytes.
pub const SUBMETHODS_LIMIT: usize = 1024;

/// Longest name of a client's host, in bytes; DNS allows 253 with dots.
pub const HOST_NAME_LIMIT: usize = 256;

/// Fields of a `publickey` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyRequest {
    /// "public key algorithm name"
    pub algorithm: String,
    /// "public key blob"
    pub key: Vec<u8>,
    /// "server host key": K_S of the first key exchange, as the client knows it. `None`: the plain
    /// method, which does not name it.
    pub host_key: Option<Vec<u8>>,
    /// "signature"; `None` asks whether the key would do.
    pub signature: Option<Vec<u8>>,
}

/// Whether a request names the server's host key.
pub(super) enum HostKeyField {
    Absent,
    Present,
}

impl PublicKeyRequest {
    pub(super) fn read(reader: &mut Reader<'_>, field: HostKeyField) -> Result<Self, DecodeError> {
        let signed = reader.boolean()?;
        Ok(Self {
            algorithm: reader.text(ALGORITHM_LIMIT)?.to_owned(),
            key: reader.string(BLOB_LIMIT)?.to_vec(),
            host_key: match field {
                HostKeyField::Present => Some(reader.string(BLOB_LIMIT)?.to_vec()),
                HostKeyField::Absent => None,
            },
            signature: match signed {
                true => Some(reader.string(BLOB_LIMIT)?.to_vec()),
                false => None,
            },
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let host_key = self.host_key.as_deref();
        out.put_string(publickey_name(host_key).as_bytes());
        out.put_boolean(self.signature.is_some());
        out.put_string(self.algorithm.as_bytes());
        out.put_string(&self.key);
        if let Some(host_key) = host_key {
            out.put_string(host_key);
        }
        if let Some(signature) = &self.signature {
            out.put_string(signature);
        }
    }
}

/// The method that a request with or without a host key belongs to.
fn publickey_name(host_key: Option<&[u8]>) -> &'static str {
    match host_key {
        None => PUBLICKEY,
        Some(_) => HOSTBOUND,
    }
}

/// Fields of a `password` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordRequest {
    /// "plaintext password"
    Login(Secret),
    /// The answer to SSH_MSG_USERAUTH_PASSWD_CHANGEREQ.
    Change {
        /// "plaintext old password"
        old: Secret,
        /// "plaintext new password"
        new: Secret,
    },
    /// What was typed can be nobody's password ([`Secret::new`]): a failed attempt and no error.
    Impossible,
}

impl PasswordRequest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let change = reader.boolean()?;
        let password = Secret::read(reader)?;
        Ok(match (change, password) {
            (false, Some(password)) => Self::Login(password),
            (false, None) => Self::Impossible,
            (true, old) => match (old, Secret::read(reader)?) {
                (Some(old), Some(new)) => Self::Change { old, new },
                _ => Self::Impossible,
            },
        })
    }

    /// What is impossible is written as the shortest of its kind.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_string(PASSWORD.as_bytes());
        match self {
            Self::Login(password) => {
                out.put_boolean(false);
                out.put_string(password.expose());
            }
            Self::Change { old, new } => {
                out.put_boolean(true);
                out.put_string(old.expose());
                out.put_string(new.expose());
            }
            Self::Impossible => {
                out.put_boolean(false);
                out.put_string(b"\0");
            }
        }
    }
}

/// Fields of a `keyboard-interactive` request (RFC 4256 section 3.1). The language tag, which is
/// deprecated, is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyboardInteractiveRequest {
    /// "submethods": a comma-separated hint; empty if the client has no wishes.
    pub submethods: String,
}

impl KeyboardInteractiveRequest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.string(ALGORITHM_LIMIT)?;
        Ok(Self {
            submethods: reader.text(SUBMETHODS_LIMIT)?.to_owned(),
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_string(KEYBOARD_INTERACTIVE.as_bytes());
        out.put_string(b"");
        out.put_string(self.submethods.as_bytes());
    }
}

/// Fields of a `hostbased` request (RFC 4252 section 9). The names are the client's words: they may
/// hold anything but invalid UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostbasedRequest {
    /// "public key algorithm for host key"
    pub algorithm: String,
    /// "public host key and certificates for client host"
    pub key: Vec<u8>,
    /// "client host name", at most [`HOST_NAME_LIMIT`] bytes. OpenSSH's ends in a dot.
    pub host_name: String,
    /// "user name on the client host", at most [`USER_NAME_LIMIT`] bytes.
    pub client_user: String,
    /// "signature"
    pub signature: Vec<u8>,
}

impl HostbasedRequest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            algorithm: reader.text(ALGORITHM_LIMIT)?.to_owned(),
            key: reader.string(BLOB_LIMIT)?.to_vec(),
            host_name: reader.text(HOST_NAME_LIMIT)?.to_owned(),
            client_user: reader.text(USER_NAME_LIMIT)?.to_owned(),
            signature: reader.string(BLOB_LIMIT)?.to_vec(),
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_signed(out);
        out.put_string(&self.signature);
    }

    fn write_signed(&self, out: &mut Vec<u8>) {
        out.put_string(HOSTBASED.as_bytes());
        out.put_string(self.algorithm.as_bytes());
        out.put_string(&self.key);
        out.put_string(self.host_name.as_bytes());
        out.put_string(self.client_user.as_bytes());
    }

    /// The data that its signature is to cover (RFC 4252 section 9), built from what the verifier
    /// knows itself.
    pub fn signed_data(
        &self,
        session_identifier: &[u8],
        user: &UserName,
        service: &str,
    ) -> Vec<u8> {
        let mut out = request_head(session_identifier, user, service);
        self.write_signed(&mut out);
        out
    }
}

/// The data that a publickey signature covers (RFC 4252 section 7), built from what the verifier
/// knows itself. With `host_key`, that of publickey-hostbound-v00@openssh.com.
pub fn signed_data(
    session_identifier: &[u8],
    user: &UserName,
    service: &str,
    algorithm: &str,
    key: &[u8],
    host_key: Option<&[u8]>,
) -> Vec<u8> {
    let mut out = request_head(session_identifier, user, service);
    out.put_string(publickey_name(host_key).as_bytes());
    out.put_boolean(true);
    out.put_string(algorithm.as_bytes());
    out.put_string(key);
    if let Some(host_key) = host_key {
        out.put_string(host_key);
    }
    out
}

/// What all signatures over a request begin with.
fn request_head(session_identifier: &[u8], user: &UserName, service: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_string(session_identifier);
    out.put_byte(number::USERAUTH_REQUEST);
    out.put_string(user.as_sent().as_bytes());
    out.put_string(service.as_bytes());
    out
}
