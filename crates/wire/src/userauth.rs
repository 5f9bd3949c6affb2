//! User authentication requests (RFC 4252), as the monitor and the network process both name them.

use std::fmt;

use crate::codec::{DecodeError, Write};

/// Longest user name that is looked at, in bytes. Linux allows 32 in useradd(8) and 256 in
/// LOGIN_NAME_MAX; longer names cannot exist.
pub const USER_NAME_LIMIT: usize = 256;

/// A user name from the network: 1 to 256 bytes of UTF-8 without control characters, not yet
/// known to exist. Control characters would forge log lines and no account can have them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl UserName {
    /// Checks length and characters.
    pub fn new(name: &str) -> Result<Self, DecodeError> {
        if name.len() > USER_NAME_LIMIT {
            return Err(DecodeError::TooLong { length: name.len(), limit: USER_NAME_LIMIT });
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(DecodeError::OutOfRange);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One SSH_MSG_USERAUTH_REQUEST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// "user name"
    pub user: UserName,
    /// "service name": what to start after authentication.
    pub service: String,
    /// "method name" and its fields.
    pub method: AuthMethod,
}

/// Methods of RFC 4252 that have a meaning here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthMethod {
    /// `none` (section 5.2)
    None,
    /// `publickey` (section 7)
    PublicKey(PublicKeyRequest),
    /// Any other method; its name.
    Unsupported(String),
}

/// Fields of a `publickey` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyRequest {
    /// "public key algorithm name"
    pub algorithm: String,
    /// "public key blob"
    pub key: Vec<u8>,
    /// "signature"; `None` asks whether the key would do.
    pub signature: Option<Vec<u8>>,
}

/// The answer to an [`AuthRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    /// SSH_MSG_USERAUTH_SUCCESS
    Accepted,
    /// SSH_MSG_USERAUTH_PK_OK
    KeyAcceptable,
    /// SSH_MSG_USERAUTH_FAILURE
    Refused {
        /// "authentications that can continue"
        methods: Vec<String>,
        /// "partial success"
        partial_success: bool,
    },
    /// SSH_MSG_DISCONNECT with NO_MORE_AUTH_METHODS_AVAILABLE
    TooManyFailures,
}

/// The data that a publickey signature covers (RFC 4252 section 7), built from what the verifier
/// knows itself.
pub fn signed_data(
    session_identifier: &[u8],
    user: &UserName,
    service: &str,
    algorithm: &str,
    key: &[u8],
) -> Vec<u8> {
    const SSH_MSG_USERAUTH_REQUEST: u8 = 50;
    let mut out = Vec::new();
    out.put_string(session_identifier);
    out.put_byte(SSH_MSG_USERAUTH_REQUEST);
    out.put_string(user.as_str().as_bytes());
    out.put_string(service.as_bytes());
    out.put_string(b"publickey");
    out.put_boolean(true);
    out.put_string(algorithm.as_bytes());
    out.put_string(key);
    out
}
