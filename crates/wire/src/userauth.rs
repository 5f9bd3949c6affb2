//! User authentication requests (RFC 4252), as the monitor and the network process both name them.

use std::fmt;

use thiserror::Error;

use crate::codec::{DecodeError, Reader, Write};
use crate::message::{BLOB_LIMIT, TEXT_LIMIT, number};

/// Longest user name that is looked at, in bytes. Linux allows 32 in useradd(8) and 256 in
/// LOGIN_NAME_MAX; longer names cannot exist.
pub const USER_NAME_LIMIT: usize = 256;

/// Longest service, method or algorithm name, in bytes. RFC 4250 section 4.6.1 allows 64.
const METHOD_NAME_LIMIT: usize = 256;

/// A user name from the network: 1 to 256 bytes of UTF-8 without control characters, not yet
/// known to exist. Control characters would forge log lines and no account can have them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl UserName {
    /// Checks length and characters.
    pub fn new(name: &str) -> Result<Self, DecodeError> {
        if name.len() > USER_NAME_LIMIT {
            return Err(DecodeError::TooLong {
                length: name.len(),
                limit: USER_NAME_LIMIT,
            });
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

impl AuthRequest {
    /// Message number.
    pub const NUMBER: u8 = number::USERAUTH_REQUEST;

    /// Reads a payload of SSH_MSG_USERAUTH_REQUEST.
    ///
    /// The fields of a method that is not ours are not looked at: RFC 4252 section 5 wants such a
    /// request answered with a failure, not with a disconnect.
    pub fn decode(payload: &[u8]) -> Result<Self, AuthRequestError> {
        let mut reader = Reader::new(payload);
        if reader.byte()? != Self::NUMBER {
            return Err(DecodeError::OutOfRange.into());
        }
        let user = UserName::new(reader.text(TEXT_LIMIT)?).map_err(AuthRequestError::UserName)?;
        let service = reader.text(METHOD_NAME_LIMIT)?.to_owned();
        let method = reader.text(METHOD_NAME_LIMIT)?;
        let method = match method {
            "none" => {
                reader.finish()?;
                AuthMethod::None
            }
            PUBLICKEY | HOSTBOUND => {
                let signed = reader.boolean()?;
                let algorithm = reader.text(METHOD_NAME_LIMIT)?.to_owned();
                let key = reader.string(BLOB_LIMIT)?.to_vec();
                let host_key = match method {
                    HOSTBOUND => Some(reader.string(BLOB_LIMIT)?.to_vec()),
                    _ => None,
                };
                let signature = match signed {
                    true => Some(reader.string(BLOB_LIMIT)?.to_vec()),
                    false => None,
                };
                reader.finish()?;
                AuthMethod::PublicKey(PublicKeyRequest {
                    algorithm,
                    key,
                    host_key,
                    signature,
                })
            }
            other => AuthMethod::Unsupported(other.to_owned()),
        };
        Ok(Self {
            user,
            service,
            method,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.user.as_str().as_bytes());
        out.put_string(self.service.as_bytes());
        match &self.method {
            AuthMethod::None => out.put_string(b"none"),
            AuthMethod::PublicKey(request) => {
                let host_key = request.host_key.as_deref();
                out.put_string(method_name(host_key).as_bytes());
                out.put_boolean(request.signature.is_some());
                out.put_string(request.algorithm.as_bytes());
                out.put_string(&request.key);
                if let Some(host_key) = host_key {
                    out.put_string(host_key);
                }
                if let Some(signature) = &request.signature {
                    out.put_string(signature);
                }
            }
            AuthMethod::Unsupported(name) => out.put_string(name.as_bytes()),
        }
    }
}

/// Why a request could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthRequestError {
    /// No account can have this name.
    #[error("user name cannot exist: {0}")]
    UserName(DecodeError),
    /// The message is malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// Methods of RFC 4252 that have a meaning here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthMethod {
    /// `none` (section 5.2)
    None,
    /// `publickey` (section 7), or publickey-hostbound-v00@openssh.com (OpenSSH PROTOCOL section
    /// 3.1), which names the server's host key as well.
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
    /// "server host key": K_S of the first key exchange, as the client knows it. `None`: the plain
    /// method, which does not name it.
    pub host_key: Option<Vec<u8>>,
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

/// `publickey` (RFC 4252 section 7)
const PUBLICKEY: &str = "publickey";

/// The same, bound to the server's host key (OpenSSH PROTOCOL section 3.1).
const HOSTBOUND: &str = "publickey-hostbound-v00@openssh.com";

/// The method that a request with or without a host key belongs to.
fn method_name(host_key: Option<&[u8]>) -> &'static str {
    match host_key {
        None => PUBLICKEY,
        Some(_) => HOSTBOUND,
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
    let mut out = Vec::new();
    out.put_string(session_identifier);
    out.put_byte(number::USERAUTH_REQUEST);
    out.put_string(user.as_str().as_bytes());
    out.put_string(service.as_bytes());
    out.put_string(method_name(host_key).as_bytes());
    out.put_boolean(true);
    out.put_string(algorithm.as_bytes());
    out.put_string(key);
    if let Some(host_key) = host_key {
        out.put_string(host_key);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn method() -> impl Strategy<Value = AuthMethod> {
        let blob = || proptest::collection::vec(any::<u8>(), 0..100);
        prop_oneof![
            Just(AuthMethod::None),
            "[a-z-]{1,20}-x".prop_map(AuthMethod::Unsupported),
            (
                "[a-z0-9@.-]{1,40}",
                blob(),
                proptest::option::of(blob()),
                proptest::option::of(blob())
            )
                .prop_map(|(algorithm, key, host_key, signature)| {
                    AuthMethod::PublicKey(PublicKeyRequest {
                        algorithm,
                        key,
                        host_key,
                        signature,
                    })
                }),
        ]
    }

    proptest! {
        #[test]
        fn a_request_decodes_to_what_was_encoded(user in "[a-zåß0-9._@:-]{1,40}", method in method()) {
            let request = AuthRequest {
                user: UserName::new(&user).unwrap(),
                service: "ssh-connection".to_owned(),
                method,
            };
            let mut payload = Vec::new();
            request.encode(&mut payload);
            prop_assert_eq!(AuthRequest::decode(&payload), Ok(request.clone()));
            if !matches!(request.method, AuthMethod::Unsupported(_)) {
                for length in 0..payload.len() {
                    prop_assert!(AuthRequest::decode(&payload[..length]).is_err());
                }
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_survive_a_round_trip(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut payload = vec![AuthRequest::NUMBER];
            payload.extend(rest);
            if let Ok(request) = AuthRequest::decode(&payload) {
                let mut again = Vec::new();
                request.encode(&mut again);
                prop_assert_eq!(AuthRequest::decode(&again), Ok(request));
            }
        }
    }

    #[test]
    fn user_names_that_would_forge_log_lines_are_refused() {
        assert_eq!(
            UserName::new("root\nAccepted"),
            Err(DecodeError::OutOfRange)
        );
        assert_eq!(UserName::new(""), Err(DecodeError::OutOfRange));
        assert!(matches!(
            UserName::new(&"a".repeat(257)),
            Err(DecodeError::TooLong { .. })
        ));
        assert!(UserName::new("alice").is_ok());
    }

    #[test]
    fn fields_of_an_unknown_method_are_not_an_error() {
        let mut payload = Vec::new();
        let request = AuthRequest {
            user: UserName::new("alice").unwrap(),
            service: "ssh-connection".to_owned(),
            method: AuthMethod::Unsupported("password".to_owned()),
        };
        request.encode(&mut payload);
        payload.extend([0, 0, 0, 0, 1, b'x']);
        assert_eq!(AuthRequest::decode(&payload), Ok(request));
    }

    #[test]
    fn signed_data_is_session_identifier_and_request_without_signature() {
        let user = UserName::new("alice").unwrap();
        for host_key in [None, Some(b"host".as_slice())] {
            let data = signed_data(
                b"id",
                &user,
                "ssh-connection",
                "ssh-ed25519",
                b"blob",
                host_key,
            );
            let mut request = Vec::new();
            AuthRequest {
                user: user.clone(),
                service: "ssh-connection".to_owned(),
                method: AuthMethod::PublicKey(PublicKeyRequest {
                    algorithm: "ssh-ed25519".to_owned(),
                    key: b"blob".to_vec(),
                    host_key: host_key.map(<[u8]>::to_vec),
                    signature: Some(Vec::new()),
                }),
            }
            .encode(&mut request);
            request.truncate(request.len() - 4);
            assert_eq!(data, [b"\0\0\0\x02id".as_slice(), &request].concat());
        }
    }
}
