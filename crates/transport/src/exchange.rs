//! One key exchange, step by step (RFC 4253 sections 7 and 8). Each step has a type that holds what
//! exists then; a transition consumes it.
//!
//! ```text
//!  Requested ──KEXINIT──▶ Agreed ──KEX_ECDH_INIT──▶ Signing ──signature──▶ AwaitingNewKeys ──NEWKEYS──▶ (keys)
//!  ours is out            both are here             the question is open   ours is out: our new key is in use
//!
//!                         Agreed ──GEX_REQUEST──▶ Choosing ──group──▶ Offered ──GEX_INIT──▶ Signing
//!                                                 question is open    the group is out
//! ```

use wire::exchange::ExchangeValues;
use wire::groups::{ChosenGroup, DhGroup, GroupRequest};
use wire::message::{
    KexDhGexGroup, KexDhGexInit, KexDhGexReply, KexDhGexRequest, KexEcdhInit, KexEcdhReply,
};
use zeroize::Zeroizing;

use crate::admission::Expected;
use crate::cipher::{OpeningKey, SealingKey};
use crate::error::{Error, Failure, Incompatibility, Misbehaviour};
use crate::event::Event;
use crate::identification;
use crate::kex::{self, Agreement, Method};
use crate::kexinit::{self, Guess, Negotiated, Round};
use crate::keys::{ExchangeHash, Flow, KeySource};
use crate::settings::Settings;

/// A key exchange under way.
pub(crate) enum Exchange {
    /// Our SSH_MSG_KEXINIT is out.
    Requested(Requested),
    /// The client's is here.
    Agreed(Agreed),
    /// The client has asked for a group; which one it gets is not known.
    Choosing(Choosing),
    /// The group is out.
    Offered(Offered),
    /// The shared secret is here; the host key's signature is not.
    Signing(Signing),
    /// Our SSH_MSG_NEWKEYS is out.
    AwaitingNewKeys(AwaitingNewKeys),
}

/// See [`Exchange::Requested`].
pub(crate) struct Requested {
    server_kexinit: Vec<u8>,
    round: Round,
}

impl Requested {
    /// With the payload that was sent.
    pub(crate) fn new(server_kexinit: Vec<u8>, round: Round) -> Self {
        Self {
            server_kexinit,
            round,
        }
    }

    /// The client's SSH_MSG_KEXINIT.
    pub(crate) fn handle_kexinit(
        self,
        settings: &Settings,
        payload: &[u8],
    ) -> Result<Agreed, Error> {
        let negotiated = kexinit::negotiate(settings, self.round, &kexinit::decode(payload)?)?;
        Ok(Agreed {
            client_kexinit: payload.to_vec(),
            server_kexinit: self.server_kexinit,
            negotiated,
        })
    }
}

/// See [`Exchange::Agreed`].
pub(crate) struct Agreed {
    client_kexinit: Vec<u8>,
    server_kexinit: Vec<u8>,
    negotiated: Negotiated,
}

impl Agreed {
    /// What both sides agreed on.
    pub(crate) fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The packet that was sent on a wrong guess has come.
    pub(crate) fn skip_guess(mut self) -> Self {
        self.negotiated.guess = Guess::NoneOrRight;
        self
    }

    /// The message that comes next.
    pub(crate) fn expected(&self) -> Expected {
        match (self.negotiated.guess, kex::method(self.negotiated.kex)) {
            (Guess::Wrong, _) => Expected::WrongGuess,
            (Guess::NoneOrRight, Method::Agreement(_)) => Expected::MethodInit,
            (Guess::NoneOrRight, Method::GroupExchange) => Expected::GroupRequest,
        }
    }

    /// The method's first message: leads to a question.
    pub(crate) fn handle_message(
        self,
        server: Server<'_>,
        payload: &[u8],
    ) -> Result<(Exchange, Event<'static>), Error> {
        match kex::method(self.negotiated.kex) {
            Method::Agreement(scheme) => {
                let KexEcdhInit { client_share } =
                    KexEcdhInit::decode(payload).map_err(Error::malformed(KexEcdhInit::NUMBER))?;
                let agreement = scheme.agree(client_share)?;
                self.sign(server, None, client_share, agreement)
            }
            Method::GroupExchange => {
                let KexDhGexRequest {
                    min,
                    preferred,
                    max,
                } = KexDhGexRequest::decode(payload)
                    .map_err(Error::malformed(KexDhGexRequest::NUMBER))?;
                let request = GroupRequest::new(min, preferred, max)
                    .ok_or(Misbehaviour::GroupSize { min, max })?;
                let choosing = Choosing {
                    agreed: self,
                    request,
                };
                Ok((Exchange::Choosing(choosing), Event::ChooseGroup(request)))
            }
        }
    }

    /// Both shares are here, and the secret: the question for the signature.
    fn sign(
        self,
        server: Server<'_>,
        group: Option<&ChosenGroup>,
        client_share: &[u8],
        agreement: Agreement,
    ) -> Result<(Exchange, Event<'static>), Error> {
        let host_key = server
            .settings
            .host_key(self.negotiated.host_key)
            .ok_or(Failure::Cryptography)?;
        let values = ExchangeValues {
            client_identification: server.client_identification.to_vec(),
            client_kexinit: self.client_kexinit,
            server_kexinit: self.server_kexinit,
            kex: self.negotiated.kex,
            host_key: self.negotiated.host_key,
            client_share: client_share.to_vec(),
            server_share: agreement.server_share.clone(),
            shared_secret: agreement.shared_secret,
        };
        let identification = identification::server(&server.settings.software_version);
        let input = values.hash_input(&identification, &host_key.public_key, group);
        let signing = Signing {
            hash: ExchangeHash::compute(self.negotiated.kex.hash(), &input),
            secret: values.encoded_secret(),
            host_key: host_key.public_key.clone(),
            server_share: agreement.server_share,
            negotiated: self.negotiated,
        };
        Ok((Exchange::Signing(signing), Event::SignExchange(values)))
    }
}

/// What an exchange hash needs to know beyond the exchange.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) client_identification: &'a [u8],
}

/// See [`Exchange::Choosing`].
pub(crate) struct Choosing {
    agreed: Agreed,
    request: GroupRequest,
}

impl Choosing {
    /// The answer has come; `None` if there is no group of a size that the client permits.
    ///
    /// Yields the payload of SSH_MSG_KEX_DH_GEX_GROUP.
    pub(crate) fn handle_group(self, group: Option<DhGroup>) -> Result<(Vec<u8>, Offered), Error> {
        let group = group.ok_or_else(|| Incompatibility::NoGroup(self.request.permitted()))?;
        let group = kex::fitting(self.request, group)?;
        let mut payload = Vec::new();
        KexDhGexGroup {
            prime: &group.group.prime,
            generator: &group.group.generator,
        }
        .encode(&mut payload);
        let offered = Offered {
            agreed: self.agreed,
            group,
        };
        Ok((payload, offered))
    }
}

/// See [`Exchange::Offered`].
pub(crate) struct Offered {
    agreed: Agreed,
    group: ChosenGroup,
}

impl Offered {
    /// The client's share in this group: leads to the question for the signature.
    pub(crate) fn handle_message(
        self,
        server: Server<'_>,
        payload: &[u8],
    ) -> Result<(Exchange, Event<'static>), Error> {
        let KexDhGexInit { client_share } =
            KexDhGexInit::decode(payload).map_err(Error::malformed(KexDhGexInit::NUMBER))?;
        let agreement = kex::agree_in(&self.group.group, client_share)?;
        self.agreed
            .sign(server, Some(&self.group), client_share, agreement)
    }
}

/// See [`Exchange::Signing`].
pub(crate) struct Signing {
    negotiated: Negotiated,
    host_key: Vec<u8>,
    server_share: Vec<u8>,
    hash: ExchangeHash,
    secret: Zeroizing<Vec<u8>>,
}

impl Signing {
    /// What both sides agreed on.
    pub(crate) fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The signature has come. `session_identifier` is that of the connection, or `None` if this is
    /// the exchange whose hash becomes it.
    ///
    /// Yields the payload of the method's reply and our new key, for use after our NEWKEYS.
    pub(crate) fn handle_signature(
        self,
        signature: &[u8],
        session_identifier: Option<&ExchangeHash>,
    ) -> Result<(Vec<u8>, SealingKey, AwaitingNewKeys), Error> {
        let (host_key, server_share) = (&self.host_key, &self.server_share);
        let mut reply = Vec::new();
        match kex::method(self.negotiated.kex) {
            Method::Agreement(_) => KexEcdhReply {
                host_key,
                server_share,
                signature,
            }
            .encode(&mut reply),
            Method::GroupExchange => KexDhGexReply {
                host_key,
                server_share,
                signature,
            }
            .encode(&mut reply),
        }
        let source = KeySource {
            hash: self.negotiated.kex.hash(),
            secret: &self.secret,
            exchange_hash: &self.hash,
            session_identifier: session_identifier.unwrap_or(&self.hash),
        };
        let sealing = SealingKey::new(
            self.negotiated.server_to_client,
            &source.direction(Flow::ServerToClient),
        )?;
        let opening = OpeningKey::new(
            self.negotiated.client_to_server,
            &source.direction(Flow::ClientToServer),
        )?;
        let next = AwaitingNewKeys {
            negotiated: self.negotiated,
            hash: self.hash,
            opening,
        };
        Ok((reply, sealing, next))
    }
}

/// See [`Exchange::AwaitingNewKeys`].
pub(crate) struct AwaitingNewKeys {
    /// What both sides agreed on.
    pub(crate) negotiated: Negotiated,
    /// H of this exchange.
    pub(crate) hash: ExchangeHash,
    /// For use after the client's NEWKEYS.
    pub(crate) opening: OpeningKey,
}

impl Exchange {
    /// What both sides agreed on, once the client's offer is here.
    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        match self {
            Self::Requested(_) => None,
            Self::Agreed(agreed)
            | Self::Choosing(Choosing { agreed, .. })
            | Self::Offered(Offered { agreed, .. }) => Some(agreed.negotiated()),
            Self::Signing(signing) => Some(signing.negotiated()),
            Self::AwaitingNewKeys(awaiting) => Some(&awaiting.negotiated),
        }
    }
}
