//! The calls of the model: each one of `proto/preauth.proto`, right and wrong.

use std::collections::BTreeSet;

use wire::groups::GroupRequest;
use wire::userauth::{HostbasedRequest, KeyboardInteractiveRequest, PasswordRequest};

use super::*;

/// What the client's host is called.
pub(super) const HOST: &str = "client.example.com";

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    ChooseGroup,
    SignExchange(Keys),
    Authenticate(Name, Means),
    Answer(Given),
    ProveHostKeys,
    Report,
}

/// How keys are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    OnCurve,
    InGroup,
    /// With a host key that is not there.
    ForeignHost,
}

/// Whom a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Own,
    Other,
}

/// By what a request wants to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    None,
    AskKey,
    Key(Signature),
    Host(Signature),
    Password(&'static str),
    LongPassword,
    NewPassword { old: &'static str },
    Interactive,
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    /// For another session.
    OtherSession,
    /// For another user than the request names.
    OtherUser,
    /// By a key that nobody lists.
    Stranger,
}

/// What is answered to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Text(&'static str),
    LongText,
}

pub(super) const CALLS: &[Call] = &[
    Call::ChooseGroup,
    Call::SignExchange(Keys::OnCurve),
    Call::SignExchange(Keys::InGroup),
    Call::SignExchange(Keys::ForeignHost),
    Call::Authenticate(Name::Own, Means::None),
    Call::Authenticate(Name::Own, Means::AskKey),
    Call::Authenticate(Name::Own, Means::Key(Signature::Good)),
    Call::Authenticate(Name::Own, Means::Key(Signature::OtherSession)),
    Call::Authenticate(Name::Own, Means::Key(Signature::OtherUser)),
    Call::Authenticate(Name::Own, Means::Key(Signature::Stranger)),
    Call::Authenticate(Name::Own, Means::Host(Signature::Good)),
    Call::Authenticate(Name::Own, Means::Host(Signature::OtherSession)),
    Call::Authenticate(Name::Own, Means::Host(Signature::OtherUser)),
    Call::Authenticate(Name::Own, Means::Host(Signature::Stranger)),
    Call::Authenticate(Name::Own, Means::Password("right")),
    Call::Authenticate(Name::Own, Means::Password("wrong")),
    Call::Authenticate(Name::Own, Means::Password("expired")),
    Call::Authenticate(Name::Own, Means::Password("locked")),
    Call::Authenticate(Name::Own, Means::LongPassword),
    Call::Authenticate(Name::Own, Means::NewPassword { old: "expired" }),
    Call::Authenticate(Name::Own, Means::NewPassword { old: "wrong" }),
    Call::Authenticate(Name::Own, Means::Interactive),
    Call::Authenticate(Name::Own, Means::Unsupported),
    Call::Authenticate(Name::Other, Means::Key(Signature::Good)),
    Call::Authenticate(Name::Other, Means::Host(Signature::Good)),
    Call::Authenticate(Name::Other, Means::Password("right")),
    Call::Authenticate(Name::Other, Means::NewPassword { old: "expired" }),
    Call::Authenticate(Name::Other, Means::Interactive),
    Call::Answer(Given::Text("right")),
    Call::Answer(Given::Text("wrong")),
    Call::Answer(Given::LongText),
    Call::ProveHostKeys,
    Call::Report,
];

impl World {
    /// A call as the conversation gets it, after a first key exchange with this session identifier.
    pub(super) fn question(&self, call: Call, session: Option<&[u8]>) -> Question {
        match call {
            Call::ChooseGroup => {
                let request = GroupRequest::new(2048, 2048, 8192).unwrap();
                Question::ChooseGroup(request, oneshot::channel().0)
            }
            Call::SignExchange(keys) => {
                let values = self.values(keys, session);
                Question::SignExchange(values, oneshot::channel().0)
            }
            Call::Authenticate(name, means) => {
                let method = self.method(name, means, session.unwrap_or_default());
                Question::Authenticate(request(self.name(name), method), oneshot::channel().0)
            }
            Call::Answer(given) => {
                let responses = match given {
                    Given::Text(text) => Responses::Given(vec![secret(text)]),
                    Given::LongText => Responses::Impossible,
                };
                Question::Answer(responses, oneshot::channel().0)
            }
            Call::ProveHostKeys => {
                let keys = self.machine.policy.offer.host_keys.public();
                let blobs = keys.into_iter().map(|key| key.public_key);
                Question::ProveHostKeys(blobs.collect(), oneshot::channel().0)
            }
            Call::Report => Question::Report(ConnectionEnd::Closed, oneshot::channel().0),
        }
    }

    /// What is exchanged. The first time it is something else than later on.
    pub(super) fn values(&self, keys: Keys, session: Option<&[u8]>) -> ExchangeValues {
        let values = self.machine.exchange(if session.is_none() { 1 } else { 2 });
        match keys {
            Keys::OnCurve => values,
            Keys::InGroup => ExchangeValues {
                kex: KexAlgorithm::DhGroupExchangeSha256,
                ..values
            },
            Keys::ForeignHost => ExchangeValues {
                host_key: SignatureAlgorithm::EcdsaNistp256,
                ..values
            },
        }
    }

    fn name(&self, name: Name) -> &str {
        match name {
            Name::Own => &self.machine.user,
            Name::Other => UNKNOWN,
        }
    }

    fn method(&self, name: Name, means: Means, session: &[u8]) -> AuthMethod {
        let password = |text| AuthMethod::Password(PasswordRequest::Login(secret(text)));
        match means {
            Means::None => AuthMethod::None,
            Means::AskKey => publickey("x", self.client.blob(), None).method,
            Means::Key(signature) => self.key(name, signature, session),
            Means::Host(signature) => self.host(name, signature, session),
            Means::Password(text) => password(text),
            Means::LongPassword => AuthMethod::Password(PasswordRequest::Impossible),
            Means::NewPassword { old } => AuthMethod::Password(PasswordRequest::Change {
                old: secret(old),
                new: secret("right"),
            }),
            Means::Interactive => AuthMethod::KeyboardInteractive(KeyboardInteractiveRequest {
                submethods: String::new(),
            }),
            Means::Unsupported => AuthMethod::Unsupported("gssapi-with-mic".to_owned()),
        }
    }

    fn key(&self, name: Name, signature: Signature, session: &[u8]) -> AuthMethod {
        let signer = signature.signer(&self.client, self);
        let signed = signer.sign(signature.session(session), self.name(signature.user(name)));
        publickey("x", signer.blob(), Some(signed)).method
    }

    fn host(&self, name: Name, signature: Signature, session: &[u8]) -> AuthMethod {
        let signer = signature.signer(&self.host, self);
        let unsigned = HostbasedRequest {
            algorithm: "ssh-ed25519".to_owned(),
            key: signer.blob(),
            host_name: HOST.to_owned(),
            client_user: self.machine.user.clone(),
            signature: Vec::new(),
        };
        let user = UserName::new(self.name(signature.user(name))).unwrap();
        let data = unsigned.signed_data(signature.session(session), &user, SERVICE);
        AuthMethod::Hostbased(HostbasedRequest {
            signature: signer.sign_data(&data),
            ..unsigned
        })
    }
}

impl Signature {
    fn session(self, own: &[u8]) -> &[u8] {
        match self {
            Self::OtherSession => b"another session",
            Self::Good | Self::OtherUser | Self::Stranger => own,
        }
    }

    fn user(self, named: Name) -> Name {
        match (self, named) {
            (Self::OtherUser, Name::Own) => Name::Other,
            (Self::OtherUser, Name::Other) => Name::Own,
            (Self::Good | Self::OtherSession | Self::Stranger, named) => named,
        }
    }

    fn signer<'a>(self, listed: &'a Client, world: &'a World) -> &'a Client {
        match self {
            Self::Stranger => &world.stranger,
            Self::Good | Self::OtherSession | Self::OtherUser => listed,
        }
    }
}

/// What a question is in `proto/preauth.proto`. Whoever adds a call comes by here: it needs letters.
fn specified_as(question: &Question) -> Vec<&'static str> {
    match question {
        Question::ChooseGroup(..) => vec!["ChooseGroup"],
        Question::SignExchange(..) => vec!["SignExchange"],
        Question::Authenticate(request, _) => match &request.method {
            AuthMethod::None => vec!["Authenticate", "AuthenticateRequest.none"],
            AuthMethod::PublicKey(_) => vec!["Authenticate", "AuthenticateRequest.public_key"],
            AuthMethod::Hostbased(_) => vec!["Authenticate", "AuthenticateRequest.hostbased"],
            AuthMethod::KeyboardInteractive(_) => {
                vec!["Authenticate", "AuthenticateRequest.keyboard_interactive"]
            }
            AuthMethod::Unsupported(_) => vec!["Authenticate", "AuthenticateRequest.unsupported"],
            AuthMethod::Password(request) => {
                let request = match request {
                    PasswordRequest::Login(_) => "Password.login",
                    PasswordRequest::Change { .. } => "Password.change",
                    PasswordRequest::Impossible => "Password.impossible",
                };
                vec!["Authenticate", "AuthenticateRequest.password", request]
            }
        },
        Question::Answer(Responses::Given(_), _) => vec!["Answer", "AnswerRequest.given"],
        Question::Answer(Responses::Impossible, _) => vec!["Answer", "AnswerRequest.impossible"],
        Question::ProveHostKeys(..) => vec!["ProveHostKeys"],
        Question::Report(..) => vec!["Report"],
    }
}

/// The calls of `proto/preauth.proto`, and the alternatives in their messages.
fn specified() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut message, mut choice) = ("", false);
    for line in include_str!("../../../../../../proto/preauth.proto").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["rpc", call, ..] => found.extend(call.split('(').next().map(str::to_owned)),
            ["message", name, ..] => message = name,
            ["oneof", ..] => choice = true,
            ["}"] => choice = false,
            // How a connection ended decides nothing.
            [_, field, "=", ..] if choice && message != "ReportRequest" => {
                found.insert(format!("{message}.{field}"));
            }
            _ => {}
        }
    }
    found.retain(|name| !name.contains("Reply."));
    found
}

#[test]
fn the_alphabet_has_every_call_of_the_border() {
    let world = World::new();
    let questions = CALLS.iter().map(|call| world.question(*call, None));
    let made = questions.flat_map(|question| specified_as(&question));
    assert_eq!(
        made.map(str::to_owned).collect::<BTreeSet<_>>(),
        specified()
    );
}
