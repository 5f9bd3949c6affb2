//! User authentication (RFC 4252, RFC 4256), as the monitor and the network process both name it.

mod dialog;
mod methods;

use std::fmt;

use thiserror::Error;

use crate::codec::{DecodeError, Reader, Write};
use crate::message::{TEXT_LIMIT, number};

pub use dialog::{Echo, INFO_TEXT_LIMIT, InfoRequest, Prompt, Responses};
pub use methods::{
    HOST_NAME_LIMIT, HostbasedRequest, KeyboardInteractiveRequest, PasswordRequest,
    PublicKeyRequest, SUBMETHODS_LIMIT, signed_data,
};
use methods::{HOSTBASED, HOSTBOUND, HostKeyField, KEYBOARD_INTERACTIVE, PASSWORD, PUBLICKEY};

/// Longest user name that is looked at, in bytes. Linux allows 32 in useradd(8) and 256 in
/// LOGIN_NAME_MAX; longer names cannot exist.
pub const USER_NAME_LIMIT: usize = 256;

/// Longest service or method name, in bytes. RFC 4250 section 4.6.1 allows 64.
const METHOD_NAME_LIMIT: usize = 256;

/// A user name from the network: 1 to 256 bytes of UTF-8 without control characters, not yet
/// known to exist. Control characters would forge log lines and no account can have them.
///
/// Behind a colon there may be a style of authentication, as in OpenSSH: `alice:skey`. No account's name
/// has a colon in it (passwd(5)), and no method here has styles, so it only counts in what is signed. Names
/// with different styles are different ones.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserName {
    sent: String,
    /// Where the style begins with its colon, or the end.
    style: usize,
}

impl UserName {
    /// Checks length and characters.
    pub fn new(name: &str) -> Result<Self, DecodeError> {
        if name.len() > USER_NAME_LIMIT {
            return Err(DecodeError::TooLong {
                length: name.len(),
                limit: USER_NAME_LIMIT,
            });
        }
        let style = name.find(':').unwrap_or(name.len());
        if style == 0 || name.chars().any(char::is_control) {
            return Err(DecodeError::OutOfRange);
        }
        let sent = name.to_owned();
        Ok(Self { sent, style })
    }

    /// The name that an account may have.
    pub fn as_str(&self) -> &str {
        self.sent.get(..self.style).unwrap_or_default()
    }

    /// The name with its style, as it was sent and signed.
    pub fn as_sent(&self) -> &str {
        &self.sent
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.sent, f)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
        let rest = &mut reader;
        let method = match method {
            "none" => AuthMethod::None,
            PUBLICKEY => AuthMethod::PublicKey(PublicKeyRequest::read(rest, HostKeyField::Absent)?),
            HOSTBOUND => {
                AuthMethod::PublicKey(PublicKeyRequest::read(rest, HostKeyField::Present)?)
            }
            PASSWORD => AuthMethod::Password(PasswordRequest::read(rest)?),
            KEYBOARD_INTERACTIVE => {
                AuthMethod::KeyboardInteractive(KeyboardInteractiveRequest::read(rest)?)
            }
            HOSTBASED => AuthMethod::Hostbased(HostbasedRequest::read(rest)?),
            other => {
                rest.bytes(rest.rest().len())?;
                AuthMethod::Unsupported(other.to_owned())
            }
        };
        reader.finish()?;
        Ok(Self {
            user,
            service,
            method,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_byte(Self::NUMBER);
        out.put_string(self.user.as_sent().as_bytes());
        out.put_string(self.service.as_bytes());
        match &self.method {
            AuthMethod::None => out.put_string(b"none"),
            AuthMethod::PublicKey(request) => request.write(out),
            AuthMethod::Password(request) => request.write(out),
            AuthMethod::KeyboardInteractive(request) => request.write(out),
            AuthMethod::Hostbased(request) => request.write(out),
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
    /// `password` (section 8)
    Password(PasswordRequest),
    /// `keyboard-interactive` (RFC 4256)
    KeyboardInteractive(KeyboardInteractiveRequest),
    /// `hostbased` (section 9)
    Hostbased(HostbasedRequest),
    /// Any other method; its name.
    Unsupported(String),
}

/// The answer to an [`AuthRequest`], or to [`Responses`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    /// SSH_MSG_USERAUTH_SUCCESS
    Accepted,
    /// SSH_MSG_USERAUTH_PK_OK
    KeyAcceptable,
    /// SSH_MSG_USERAUTH_INFO_REQUEST: the user is asked.
    InfoRequest(InfoRequest),
    /// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ: the password was right and has expired.
    PasswordChange {
        /// "prompt", at most [`TEXT_LIMIT`] bytes.
        prompt: String,
    },
    /// SSH_MSG_USERAUTH_FAILURE
    Refused {
        /// "authentications that can continue"
        methods: Vec<String>,
        /// "partial success"
        partial_success: bool,
    },
    /// SSH_MSG_DISCONNECT with NO_MORE_AUTH_METHODS_AVAILABLE
    TooManyFailures,
    /// The same, for a user who has no method to try
    NoMethods,
    /// The end of the connection, without a message: the account may not be used, whatever was proved.
    Denied,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn password() -> impl Strategy<Value = Secret> {
        let bytes = proptest::collection::vec(1..=u8::MAX, 0..100);
        bytes.prop_map(|bytes| Secret::copy(&bytes).unwrap())
    }

    fn hostbased() -> impl Strategy<Value = HostbasedRequest> {
        let blob = || proptest::collection::vec(any::<u8>(), 0..100);
        let names = ("[a-z.]{0,40}", "[a-zä]{0,40}");
        ("[a-z0-9@.-]{1,40}", blob(), names, blob()).prop_map(
            |(algorithm, key, (host_name, client_user), signature)| HostbasedRequest {
                algorithm,
                key,
                host_name,
                client_user,
                signature,
            },
        )
    }

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
            password().prop_map(|password| AuthMethod::Password(PasswordRequest::Login(password))),
            (password(), password())
                .prop_map(|(old, new)| AuthMethod::Password(PasswordRequest::Change { old, new })),
            Just(AuthMethod::Password(PasswordRequest::Impossible)),
            "[a-z,]{0,40}".prop_map(|submethods| {
                AuthMethod::KeyboardInteractive(KeyboardInteractiveRequest { submethods })
            }),
            hostbased().prop_map(AuthMethod::Hostbased),
        ]
    }

    proptest! {
        #[test]
        fn a_request_decodes_to_what_was_encoded(user in "[a-zåß0-9._@-][a-zåß0-9._@:-]{0,39}", method in method()) {
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
    fn a_style_is_signed_and_not_looked_up() {
        let user = UserName::new("alice:a:b").unwrap();
        assert_eq!(user.as_str(), "alice");
        assert_eq!(user.to_string(), "alice");
        assert_ne!(user, UserName::new("alice").unwrap());
        let data = signed_data(b"id", &user, "x", "x", b"x", None);
        assert!(data.windows(9).any(|part| part == b"alice:a:b"));
        for nobody in [":", ":style"] {
            assert_eq!(UserName::new(nobody), Err(DecodeError::OutOfRange));
        }
        assert_eq!(UserName::new("alice:").unwrap().as_str(), "alice");
    }

    #[test]
    fn fields_of_an_unknown_method_are_not_an_error() {
        let mut payload = Vec::new();
        let request = AuthRequest {
            user: UserName::new("alice").unwrap(),
            service: "ssh-connection".to_owned(),
            method: AuthMethod::Unsupported("gssapi-with-mic".to_owned()),
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

    #[test]
    fn a_password_that_nobody_can_have_is_not_an_error() {
        for password in [[b'a'; 1025].as_slice(), b"hunter2\0"] {
            for changed in [false, true] {
                let mut payload = vec![AuthRequest::NUMBER];
                payload.put_string(b"alice");
                payload.put_string(b"ssh-connection");
                payload.put_string(b"password");
                payload.put_boolean(changed);
                payload.put_string(password);
                if changed {
                    payload.put_string(b"new");
                }
                let method = AuthRequest::decode(&payload).unwrap().method;
                assert_eq!(method, AuthMethod::Password(PasswordRequest::Impossible));
            }
        }
    }

    #[test]
    fn what_a_host_signs_is_session_identifier_and_request_without_signature() {
        let user = UserName::new("alice").unwrap();
        let hostbased = HostbasedRequest {
            algorithm: "ssh-ed25519".to_owned(),
            key: b"blob".to_vec(),
            host_name: "client.example.com.".to_owned(),
            client_user: "bob".to_owned(),
            signature: Vec::new(),
        };
        let data = hostbased.signed_data(b"id", &user, "ssh-connection");
        let mut request = Vec::new();
        AuthRequest {
            user,
            service: "ssh-connection".to_owned(),
            method: AuthMethod::Hostbased(hostbased),
        }
        .encode(&mut request);
        request.truncate(request.len() - 4);
        assert_eq!(data, [b"\0\0\0\x02id".as_slice(), &request].concat());
    }
}
