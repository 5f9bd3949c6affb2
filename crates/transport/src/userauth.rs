//! The user authentication service (RFC 4252), as far as it is protocol: who may log in, and
//! whether a key or a signature is right, is decided elsewhere.

use wire::codec::Write;
use wire::message::{NameList, UserauthFailure, UserauthPasswdChangereq, UserauthPkOk, number};
use wire::userauth::{AuthMethod, AuthOutcome, AuthRequest, AuthRequestError, Responses, UserName};

use crate::error::{Error, Failure, Incompatibility, Misbehaviour};
use crate::peer_text::printable;

/// The only service that follows authentication.
pub(crate) const CONNECTION_SERVICE: &str = "ssh-connection";

/// How much of a service name is kept for the log.
const LOG_LIMIT: usize = 64;

/// The service between two messages of the client.
pub(crate) enum Authentication {
    /// Nobody was named yet.
    Unbound,
    /// The first request named this user; the connection is bound to it.
    Bound(UserName),
    /// The same, and the user was asked something (RFC 4256). Another request abandons the question.
    Asked(UserName),
}

/// A request, or the answer to a question, is being decided.
pub(crate) struct Pending {
    user: UserName,
    matter: Matter,
}

/// What is being decided: as much of it as tells which outcomes are legal. No secrets.
enum Matter {
    None,
    /// The client asks whether this key would do.
    Key {
        algorithm: String,
        key: Vec<u8>,
    },
    SignedKey,
    Password,
    /// The request itself, or responses.
    KeyboardInteractive,
    Hostbased,
    Unsupported,
}

impl Matter {
    fn of(method: &AuthMethod) -> Self {
        match method {
            AuthMethod::None => Self::None,
            AuthMethod::PublicKey(request) => match request.signature {
                Some(_) => Self::SignedKey,
                None => Self::Key {
                    algorithm: request.algorithm.clone(),
                    key: request.key.clone(),
                },
            },
            AuthMethod::Password(_) => Self::Password,
            AuthMethod::KeyboardInteractive(_) => Self::KeyboardInteractive,
            AuthMethod::Hostbased(_) => Self::Hostbased,
            AuthMethod::Unsupported(_) => Self::Unsupported,
        }
    }
}

/// What follows from an outcome.
pub(crate) enum Decided {
    /// SSH_MSG_USERAUTH_SUCCESS
    Success,
    /// The client may try again; the answer's payload.
    Continue(Authentication, Vec<u8>),
    /// It may not; SSH_MSG_DISCONNECT says this.
    GiveUp(&'static str),
}

impl Authentication {
    /// SSH_MSG_USERAUTH_REQUEST
    pub(crate) fn handle_request(self, payload: &[u8]) -> Result<(Pending, AuthRequest), Error> {
        let request = AuthRequest::decode(payload).map_err(|error| match error {
            AuthRequestError::UserName(source) => Misbehaviour::IllegalUserName(source),
            AuthRequestError::Malformed(source) => Misbehaviour::Malformed {
                message: AuthRequest::NUMBER,
                source,
            },
        })?;
        if request.service != CONNECTION_SERVICE {
            let service = printable(request.service.as_bytes(), LOG_LIMIT);
            return Err(Incompatibility::Service { service }.into());
        }
        match self {
            Self::Bound(user) | Self::Asked(user) if user != request.user => {
                return Err(Misbehaviour::UserChanged.into());
            }
            Self::Bound(_) | Self::Asked(_) | Self::Unbound => {}
        }
        let pending = Pending {
            user: request.user.clone(),
            matter: Matter::of(&request.method),
        };
        Ok((pending, request))
    }

    /// SSH_MSG_USERAUTH_INFO_RESPONSE, which the admission table lets in after a question only.
    pub(crate) fn handle_responses(self, payload: &[u8]) -> Result<(Pending, Responses), Error> {
        let Self::Asked(user) = self else {
            return Err(Failure::NoQuestion.into());
        };
        let responses =
            Responses::decode(payload).map_err(Error::malformed(number::USERAUTH_INFO_RESPONSE))?;
        let matter = Matter::KeyboardInteractive;
        Ok((Pending { user, matter }, responses))
    }
}

impl Pending {
    /// Whether the outcome is one that RFC 4252 and RFC 4256 have an answer for.
    pub(crate) fn permits(&self, outcome: &AuthOutcome) -> bool {
        match outcome {
            AuthOutcome::Refused { .. } | AuthOutcome::TooManyFailures | AuthOutcome::NoMethods => {
                true
            }
            // There is no answer: whoever asked ends the connection.
            AuthOutcome::Denied => false,
            AuthOutcome::Accepted => match &self.matter {
                Matter::None
                | Matter::SignedKey
                | Matter::Password
                | Matter::KeyboardInteractive
                | Matter::Hostbased => true,
                // Nothing was proved by asking whether a key would do, or by a method that is not
                // ours.
                Matter::Key { .. } | Matter::Unsupported => false,
            },
            AuthOutcome::KeyAcceptable => matches!(self.matter, Matter::Key { .. }),
            AuthOutcome::InfoRequest(_) => matches!(self.matter, Matter::KeyboardInteractive),
            AuthOutcome::PasswordChange { .. } => matches!(self.matter, Matter::Password),
        }
    }

    /// The outcome.
    pub(crate) fn handle_outcome(self, outcome: AuthOutcome) -> Result<Decided, Error> {
        if !self.permits(&outcome) {
            return Err(Failure::UnfitAnswer.into());
        }
        let mut out = Vec::new();
        let mut next = Authentication::Bound as fn(UserName) -> Authentication;
        match (outcome, self.matter) {
            (AuthOutcome::Accepted, _) => return Ok(Decided::Success),
            (AuthOutcome::TooManyFailures, _) => {
                return Ok(Decided::GiveUp("Too many authentication failures"));
            }
            (AuthOutcome::NoMethods, _) => {
                return Ok(Decided::GiveUp("no authentication methods enabled"));
            }
            (AuthOutcome::KeyAcceptable, Matter::Key { algorithm, key }) => {
                UserauthPkOk {
                    algorithm: &algorithm,
                    key: &key,
                }
                .encode(&mut out);
            }
            (AuthOutcome::KeyAcceptable | AuthOutcome::Denied, _) => {
                return Err(Failure::UnfitAnswer.into());
            }
            (AuthOutcome::InfoRequest(question), _) => {
                question.encode(&mut out);
                next = Authentication::Asked;
            }
            (AuthOutcome::PasswordChange { prompt }, _) => {
                UserauthPasswdChangereq {
                    prompt: &prompt,
                    language: "",
                }
                .encode(&mut out);
            }
            (
                AuthOutcome::Refused {
                    methods,
                    partial_success,
                },
                _,
            ) => {
                let methods = methods.join(",");
                UserauthFailure {
                    methods: NameList::new(&methods).map_err(|_| Failure::UnfitAnswer)?,
                    partial_success: u8::from(partial_success),
                }
                .encode(&mut out);
            }
        }
        Ok(Decided::Continue(next(self.user), out))
    }
}

/// Payload of SSH_MSG_USERAUTH_SUCCESS.
pub(crate) fn success() -> Vec<u8> {
    let mut out = Vec::new();
    out.put_byte(number::USERAUTH_SUCCESS);
    out
}

#[cfg(test)]
mod tests {
    use wire::userauth::PublicKeyRequest;

    use super::*;

    fn payload(user: &str, service: &str, method: AuthMethod) -> Vec<u8> {
        let mut out = Vec::new();
        AuthRequest {
            user: UserName::new(user).unwrap(),
            service: service.to_owned(),
            method,
        }
        .encode(&mut out);
        out
    }

    fn public_key(signature: Option<Vec<u8>>) -> AuthMethod {
        AuthMethod::PublicKey(PublicKeyRequest {
            algorithm: "ssh-ed25519".to_owned(),
            key: b"key".to_vec(),
            host_key: None,
            signature,
        })
    }

    fn pending(method: AuthMethod) -> Pending {
        let payload = payload("alice", CONNECTION_SERVICE, method);
        Authentication::Unbound
            .handle_request(&payload)
            .map(|(pending, _)| pending)
            .unwrap()
    }

    fn refused() -> AuthOutcome {
        AuthOutcome::Refused {
            methods: vec!["publickey".to_owned()],
            partial_success: false,
        }
    }

    #[test]
    fn the_first_user_name_binds_the_connection() {
        let decided = pending(AuthMethod::None)
            .handle_outcome(refused())
            .unwrap_or(Decided::GiveUp("unfit"));
        let Decided::Continue(authentication, answer) = decided else {
            panic!("not continued")
        };
        assert_eq!(
            UserauthFailure::decode(&answer).unwrap().methods.as_str(),
            "publickey"
        );
        let other = payload("bob", CONNECTION_SERVICE, AuthMethod::None);
        assert_eq!(
            authentication.handle_request(&other).err(),
            Some(Misbehaviour::UserChanged.into())
        );
    }

    #[test]
    fn another_service_is_not_available() {
        let other = payload("alice", "ssh-nothing", AuthMethod::None);
        assert!(matches!(
            Authentication::Unbound.handle_request(&other),
            Err(Error::Incompatible(Incompatibility::Service { .. }))
        ));
    }

    #[test]
    fn asking_for_a_key_is_never_a_success() {
        let outcome = pending(public_key(None)).handle_outcome(AuthOutcome::Accepted);
        assert_eq!(outcome.err(), Some(Failure::UnfitAnswer.into()));
        let unsupported = AuthMethod::Unsupported("gssapi-with-mic".to_owned());
        let outcome = pending(unsupported).handle_outcome(AuthOutcome::Accepted);
        assert_eq!(outcome.err(), Some(Failure::UnfitAnswer.into()));
    }

    #[test]
    fn an_acceptable_key_is_told_only_who_asked_for_it() {
        let asked = pending(public_key(None)).handle_outcome(AuthOutcome::KeyAcceptable);
        let Ok(Decided::Continue(_, answer)) = asked else {
            panic!("not continued")
        };
        assert_eq!(UserauthPkOk::decode(&answer).unwrap().key, b"key");
        let signed = pending(public_key(Some(Vec::new())));
        assert!(signed.handle_outcome(AuthOutcome::KeyAcceptable).is_err());
    }
}
