//! User authentication of `preauth.proto`.

use wire::message::{BANNER_LIMIT, PROMPT_LIMIT, TEXT_LIMIT};
use wire::secret::Secret;
use wire::userauth::{
    AuthMethod, AuthOutcome, AuthRequest, Echo, HOST_NAME_LIMIT, HostbasedRequest, InfoRequest,
    KeyboardInteractiveRequest, PasswordRequest, Prompt, PublicKeyRequest, Responses,
    SUBMETHODS_LIMIT, USER_NAME_LIMIT, UserName,
};
use zeroize::Zeroizing;

use super::{KEY_LIMIT, NAME_LIMIT, SIGNATURE_LIMIT, bounded};
use crate::grpc::Violation;
use crate::preauth::{AuthReply, BANNERS_LIMIT};
use crate::proto::preauth::v1 as pre;

pub(crate) fn auth_to_proto(request: AuthRequest) -> pre::AuthenticateRequest {
    use pre::authenticate_request::Method;
    let method = match request.method {
        AuthMethod::None => Method::None(pre::None {}),
        AuthMethod::PublicKey(PublicKeyRequest {
            algorithm,
            key,
            host_key,
            signature,
        }) => Method::PublicKey(pre::PublicKey {
            algorithm,
            key,
            host_key,
            signature,
        }),
        AuthMethod::Password(request) => Method::Password(password_to_proto(request)),
        AuthMethod::KeyboardInteractive(KeyboardInteractiveRequest { submethods }) => {
            Method::KeyboardInteractive(pre::KeyboardInteractive { submethods })
        }
        AuthMethod::Hostbased(HostbasedRequest {
            algorithm,
            key,
            host_name,
            client_user,
            signature,
        }) => Method::Hostbased(pre::Hostbased {
            algorithm,
            key,
            host_name,
            client_user,
            signature,
        }),
        AuthMethod::Unsupported(name) => Method::Unsupported(name),
    };
    pre::AuthenticateRequest {
        user: request.user.as_sent().to_owned(),
        service: request.service,
        method: Some(method),
    }
}

pub(crate) fn auth_from_proto(message: pre::AuthenticateRequest) -> Result<AuthRequest, Violation> {
    use pre::authenticate_request::Method;
    let user = UserName::new(&message.user).map_err(|error| Violation(format!("user: {error}")))?;
    let method = match message.method {
        Some(Method::None(pre::None {})) => AuthMethod::None,
        Some(Method::PublicKey(pre::PublicKey {
            algorithm,
            key,
            host_key,
            signature,
        })) => AuthMethod::PublicKey(PublicKeyRequest {
            algorithm: bounded(algorithm, NAME_LIMIT, "algorithm")?,
            key: bounded(key, KEY_LIMIT, "key")?,
            host_key: host_key
                .map(|blob| bounded(blob, KEY_LIMIT, "host_key"))
                .transpose()?,
            signature: signature
                .map(|blob| bounded(blob, SIGNATURE_LIMIT, "signature"))
                .transpose()?,
        }),
        Some(Method::Password(request)) => AuthMethod::Password(password_from_proto(request)?),
        Some(Method::KeyboardInteractive(pre::KeyboardInteractive { submethods })) => {
            AuthMethod::KeyboardInteractive(KeyboardInteractiveRequest {
                submethods: bounded(submethods, SUBMETHODS_LIMIT, "submethods")?,
            })
        }
        Some(Method::Hostbased(pre::Hostbased {
            algorithm,
            key,
            host_name,
            client_user,
            signature,
        })) => AuthMethod::Hostbased(HostbasedRequest {
            algorithm: bounded(algorithm, NAME_LIMIT, "algorithm")?,
            key: bounded(key, KEY_LIMIT, "key")?,
            host_name: bounded(host_name, HOST_NAME_LIMIT, "host_name")?,
            client_user: bounded(client_user, USER_NAME_LIMIT, "client_user")?,
            signature: bounded(signature, SIGNATURE_LIMIT, "signature")?,
        }),
        Some(Method::Unsupported(name)) => {
            AuthMethod::Unsupported(bounded(name, NAME_LIMIT, "method")?)
        }
        None => return Err(Violation::new("method: missing")),
    };
    Ok(AuthRequest {
        user,
        service: bounded(message.service, NAME_LIMIT, "service")?,
        method,
    })
}

fn password_to_proto(request: PasswordRequest) -> pre::Password {
    use pre::password::Request;
    let request = match request {
        PasswordRequest::Login(password) => Request::Login(take(password)),
        PasswordRequest::Change { old, new } => Request::Change(pre::PasswordChange {
            old: take(old),
            new: take(new),
        }),
        PasswordRequest::Impossible => Request::Impossible(pre::Impossible {}),
    };
    pre::Password {
        request: Some(request),
    }
}

fn password_from_proto(message: pre::Password) -> Result<PasswordRequest, Violation> {
    use pre::password::Request;
    match message.request {
        Some(Request::Login(password)) => Ok(PasswordRequest::Login(secret(password)?)),
        Some(Request::Change(pre::PasswordChange { old, new })) => {
            // Both are wiped, whichever is refused.
            let (old, new) = (secret(old), secret(new));
            Ok(PasswordRequest::Change {
                old: old?,
                new: new?,
            })
        }
        Some(Request::Impossible(pre::Impossible {})) => Ok(PasswordRequest::Impossible),
        None => Err(Violation::new("password: missing")),
    }
}

pub(crate) fn responses_to_proto(responses: Responses) -> pre::AnswerRequest {
    use pre::answer_request::Answer;
    let answer = match responses {
        Responses::Given(secrets) => Answer::Given(pre::Responses {
            responses: secrets.into_iter().map(take).collect(),
        }),
        Responses::Impossible => Answer::Impossible(pre::Impossible {}),
    };
    pre::AnswerRequest {
        answer: Some(answer),
    }
}

pub(crate) fn responses_from_proto(message: pre::AnswerRequest) -> Result<Responses, Violation> {
    use pre::answer_request::Answer;
    match message.answer {
        Some(Answer::Given(pre::Responses { responses })) => {
            let secrets: Vec<_> = responses.into_iter().map(secret).collect();
            if secrets.len() > PROMPT_LIMIT {
                return Err(Violation::new("responses: too many"));
            }
            let secrets = secrets.into_iter().collect::<Result<_, _>>()?;
            Ok(Responses::Given(secrets))
        }
        Some(Answer::Impossible(pre::Impossible {})) => Ok(Responses::Impossible),
        None => Err(Violation::new("answer: missing")),
    }
}

pub(crate) fn auth_reply_to_proto(reply: AuthReply) -> pre::AuthenticateReply {
    use pre::authenticate_reply::Outcome;
    let outcome = match reply.outcome {
        AuthOutcome::Accepted => Outcome::Accepted(pre::Accepted {}),
        AuthOutcome::KeyAcceptable => Outcome::KeyAcceptable(pre::KeyAcceptable {}),
        AuthOutcome::InfoRequest(question) => {
            Outcome::InfoRequest(info_request_to_proto(&question))
        }
        AuthOutcome::PasswordChange { mut prompt } => {
            prompt.truncate(prompt.floor_char_boundary(TEXT_LIMIT));
            Outcome::PasswordChange(pre::PasswordChangeRequest { prompt })
        }
        AuthOutcome::Refused {
            methods,
            partial_success,
        } => Outcome::Refused(pre::Refused {
            methods,
            partial_success,
        }),
        AuthOutcome::TooManyFailures => Outcome::TooManyFailures(pre::TooManyFailures {}),
        AuthOutcome::NoMethods => Outcome::NoMethods(pre::NoMethods {}),
        AuthOutcome::Denied => Outcome::Denied(pre::Denied {}),
    };
    let mut left = BANNERS_LIMIT;
    let fit = |text: &Vec<u8>| {
        let rest = left.checked_sub(text.len());
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    pre::AuthenticateReply {
        outcome: Some(outcome),
        banners: reply.banners.into_iter().take_while(fit).collect(),
        pubkey_algorithms: reply.pubkey_algorithms,
    }
}

pub(crate) fn auth_reply_from_proto(message: pre::AuthenticateReply) -> Option<AuthReply> {
    use pre::authenticate_reply::Outcome;
    let outcome = match message.outcome? {
        Outcome::Accepted(pre::Accepted {}) => AuthOutcome::Accepted,
        Outcome::KeyAcceptable(pre::KeyAcceptable {}) => AuthOutcome::KeyAcceptable,
        Outcome::InfoRequest(question) => {
            AuthOutcome::InfoRequest(info_request_from_proto(question)?)
        }
        Outcome::PasswordChange(pre::PasswordChangeRequest { prompt }) => {
            AuthOutcome::PasswordChange { prompt }
        }
        Outcome::Refused(pre::Refused {
            methods,
            partial_success,
        }) => AuthOutcome::Refused {
            methods,
            partial_success,
        },
        Outcome::TooManyFailures(pre::TooManyFailures {}) => AuthOutcome::TooManyFailures,
        Outcome::NoMethods(pre::NoMethods {}) => AuthOutcome::NoMethods,
        Outcome::Denied(pre::Denied {}) => AuthOutcome::Denied,
    };
    let banners = message.banners;
    let fit = banners.iter().all(|text| text.len() <= BANNER_LIMIT);
    fit.then_some(AuthReply {
        banners,
        pubkey_algorithms: message.pubkey_algorithms,
        outcome,
    })
}

fn info_request_to_proto(question: &InfoRequest) -> pre::InfoRequest {
    let prompt = |prompt: &Prompt| pre::Prompt {
        text: prompt.text.clone(),
        echo: match prompt.echo {
            Echo::Off => false,
            Echo::On => true,
        },
    };
    pre::InfoRequest {
        name: question.name().to_owned(),
        instruction: question.instruction().to_owned(),
        prompts: question.prompts().iter().map(prompt).collect(),
    }
}

fn info_request_from_proto(message: pre::InfoRequest) -> Option<InfoRequest> {
    let prompt = |pre::Prompt { text, echo }| Prompt {
        text,
        echo: match echo {
            false => Echo::Off,
            true => Echo::On,
        },
    };
    let prompts = message.prompts.into_iter().map(prompt).collect();
    InfoRequest::new(message.name, message.instruction, prompts)
}

/// The bytes themselves, not a copy. Whoever encodes the message drops them unwiped, which only a
/// worker does: it dies with its connection.
fn take(secret: Secret) -> Vec<u8> {
    std::mem::take(&mut *secret.into_bytes())
}

fn secret(bytes: Vec<u8>) -> Result<Secret, Violation> {
    Secret::new(Zeroizing::new(bytes)).ok_or_else(|| Violation::new("secret: too long, or NUL"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(count: usize) -> impl Strategy<Value = Vec<Secret>> {
        let bytes = proptest::collection::vec(1..=u8::MAX, 0..1024);
        let secret = bytes.prop_map(|bytes| Secret::copy(&bytes).unwrap());
        proptest::collection::vec(secret, 0..=count)
    }

    fn outcome() -> impl Strategy<Value = AuthOutcome> {
        let prompt = ("[a-zä: ]{0,40}", any::<bool>()).prop_map(|(text, shown)| Prompt {
            text,
            echo: if shown { Echo::On } else { Echo::Off },
        });
        let prompts = proptest::collection::vec(prompt, 0..=PROMPT_LIMIT);
        prop_oneof![
            Just(AuthOutcome::Accepted),
            Just(AuthOutcome::KeyAcceptable),
            Just(AuthOutcome::TooManyFailures),
            Just(AuthOutcome::NoMethods),
            Just(AuthOutcome::Denied),
            ("[a-z]{0,9}", ".{0,40}", prompts).prop_map(|(name, instruction, prompts)| {
                AuthOutcome::InfoRequest(InfoRequest::new(name, instruction, prompts).unwrap())
            }),
            ".{0,40}".prop_map(|prompt| AuthOutcome::PasswordChange { prompt }),
            (proptest::collection::vec("[a-z]{1,9}", 0..4), any::<bool>()).prop_map(
                |(methods, partial_success)| AuthOutcome::Refused {
                    methods,
                    partial_success
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn replies_survive_the_border(
            outcome in outcome(),
            banners in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..4),
        ) {
            let reply = AuthReply { banners, pubkey_algorithms: Vec::new(), outcome };
            let crossed = auth_reply_from_proto(auth_reply_to_proto(reply.clone()));
            prop_assert_eq!(crossed, Some(reply));
        }

        #[test]
        fn responses_survive_the_border_up_to_as_many_as_there_can_be_prompts(secrets in secrets(PROMPT_LIMIT + 2)) {
            let count = secrets.len();
            let responses = Responses::Given(secrets);
            let crossed = responses_from_proto(responses_to_proto(responses.clone()));
            match count {
                0..=PROMPT_LIMIT => prop_assert_eq!(crossed, Ok(responses)),
                _ => prop_assert!(crossed.is_err()),
            }
        }
    }

    #[test]
    fn passwords_cross_the_border_as_what_they_are() {
        let secret = |text: &str| Secret::copy(text.as_bytes()).unwrap();
        for request in [
            PasswordRequest::Login(secret("")),
            PasswordRequest::Change {
                old: secret("a"),
                new: secret("b"),
            },
            PasswordRequest::Impossible,
        ] {
            let crossed = password_from_proto(password_to_proto(request.clone()));
            assert_eq!(crossed, Ok(request));
        }
        for bytes in [vec![b'a'; 1025], b"a\0b".to_vec()] {
            let login = pre::password::Request::Login(bytes.clone());
            let change = pre::password::Request::Change(pre::PasswordChange {
                old: b"a".to_vec(),
                new: bytes,
            });
            for request in [login, change] {
                let request = Some(request);
                assert!(password_from_proto(pre::Password { request }).is_err());
            }
        }
    }

    #[test]
    fn the_names_of_a_host_are_bounded() {
        let hostbased = |length| AuthRequest {
            user: UserName::new("alice").unwrap(),
            service: "ssh-connection".to_owned(),
            method: AuthMethod::Hostbased(HostbasedRequest {
                algorithm: "ssh-ed25519".to_owned(),
                key: b"key".to_vec(),
                host_name: "h".repeat(length),
                client_user: "u".repeat(length),
                signature: b"signature".to_vec(),
            }),
        };
        let crossed = |length| auth_from_proto(auth_to_proto(hostbased(length)));
        assert_eq!(crossed(256), Ok(hostbased(256)));
        assert!(crossed(257).is_err());
    }

    #[test]
    fn banners_beyond_their_limit_are_left_out() {
        let reply = AuthReply {
            banners: vec![
                vec![b'a'; BANNER_LIMIT],
                vec![b'b'; BANNER_LIMIT],
                vec![b'c'],
            ],
            ..AuthReply::from(AuthOutcome::Accepted)
        };
        let crossed = auth_reply_from_proto(auth_reply_to_proto(reply.clone())).unwrap();
        assert_eq!(crossed.banners, reply.banners[..2]);
    }
}
