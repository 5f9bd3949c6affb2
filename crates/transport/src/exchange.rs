//! One key exchange, step by step (RFC 4253 sections 7 and 8). Each step has a type that holds what
//! exists then; a transition consumes it.
//!
//! ```text
//!  Requested ──KEXINIT──▶ Agreed ──KEX_ECDH_INIT──▶ Signing ──signature──▶ AwaitingNewKeys ──NEWKEYS──▶ (keys)
//!  ours is out            both are here             the question is open   ours is out: our new key is in use
//! ```

use wire::exchange::ExchangeValues;
use wire::message::{KexEcdhInit, KexEcdhReply};
use zeroize::Zeroizing;

use crate::cipher::{OpeningKey, SealingKey};
use crate::error::{Error, Failure};
use crate::identification;
use crate::kex;
use crate::kexinit::{self, Guess, Negotiated, Round};
use crate::keys::{ExchangeHash, Flow, KeySource};
use crate::settings::Settings;

/// A key exchange under way.
pub(crate) enum Exchange {
    /// Our SSH_MSG_KEXINIT is out.
    Requested(Requested),
    /// The client's is here.
    Agreed(Agreed),
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

    /// The client's share: makes ours, the shared secret, and the question for the signature.
    pub(crate) fn handle_init(
        self,
        settings: &Settings,
        client_identification: &[u8],
        payload: &[u8],
    ) -> Result<(Signing, ExchangeValues), Error> {
        let init = KexEcdhInit::decode(payload).map_err(Error::malformed(KexEcdhInit::NUMBER))?;
        let host_key = settings
            .host_key(self.negotiated.host_key)
            .ok_or(Failure::Cryptography)?;
        let agreement = kex::agree(self.negotiated.kex, init.client_share)?;
        let values = ExchangeValues {
            client_identification: client_identification.to_vec(),
            client_kexinit: self.client_kexinit,
            server_kexinit: self.server_kexinit,
            kex: self.negotiated.kex,
            host_key: self.negotiated.host_key,
            client_share: init.client_share.to_vec(),
            server_share: agreement.server_share.clone(),
            shared_secret: agreement.shared_secret,
        };
        let server_identification = identification::server(&settings.software_version);
        let input = values.hash_input(&server_identification, &host_key.public_key);
        let signing = Signing {
            hash: ExchangeHash::compute(self.negotiated.kex.hash(), &input),
            secret: values.encoded_secret(),
            host_key: host_key.public_key.clone(),
            server_share: agreement.server_share,
            negotiated: self.negotiated,
        };
        Ok((signing, values))
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
    /// Yields the payload of SSH_MSG_KEX_ECDH_REPLY and our new key, for use after our NEWKEYS.
    pub(crate) fn handle_signature(
        self,
        signature: &[u8],
        session_identifier: Option<&ExchangeHash>,
    ) -> Result<(Vec<u8>, SealingKey, AwaitingNewKeys), Error> {
        let mut reply = Vec::new();
        KexEcdhReply {
            host_key: &self.host_key,
            server_share: &self.server_share,
            signature,
        }
        .encode(&mut reply);
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
            Self::Agreed(agreed) => Some(agreed.negotiated()),
            Self::Signing(signing) => Some(signing.negotiated()),
            Self::AwaitingNewKeys(awaiting) => Some(&awaiting.negotiated),
        }
    }
}
