//! The exchange hash: computed here, signed here, from values and never from a hash that was sent.
//!
//! The worker tells the values of the exchange that only it can know (RFC 4253 section 8). The two
//! that bind the exchange to this server, V_S and K_S, are the monitor's own. So a corrupted worker
//! gets a signature over a key exchange of this server and over nothing else, and the monitor knows
//! the session identifier, on which every publickey signature rests, first-hand.

use std::fmt;

use aws_lc_rs::digest;
use rpc::lane::Identifications;
use thiserror::Error;
use wire::exchange::ExchangeValues;
use wire::groups::ChosenGroup;
use wire::names::{HashAlgorithm, KexAlgorithm, SignatureAlgorithm};

use crate::groups::{GroupExchange, Groups};
use crate::hostkeys::{HostKeys, SignError};

/// H of one key exchange.
#[derive(Clone, PartialEq, Eq)]
pub struct ExchangeHash(Vec<u8>);

/// H of the first key exchange (RFC 4253 section 7.2).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(Vec<u8>);

/// What the first key exchange of a connection fixes for good. Made by [`SignedExchange::fix`] only.
#[derive(Debug)]
pub struct FirstExchange {
    session: SessionId,
    host_key: Vec<u8>,
    algorithm: SignatureAlgorithm,
    identifications: Identifications,
}

/// What this server offers to exchange keys with.
pub struct Offer {
    /// V_S without CR LF.
    pub identification: String,
    /// Key exchange methods.
    pub kex: Vec<KexAlgorithm>,
    /// Host keys and the algorithms that they sign with.
    pub host_keys: HostKeys,
    /// Groups for those who ask for one.
    pub groups: Groups,
}

/// Why an exchange is not signed.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// The configuration does not offer this method.
    #[error("key exchange method {} is not offered", .0.name())]
    Kex(KexAlgorithm),
    /// No host key signs with this algorithm.
    #[error("host key algorithm {} is not offered", .0.name())]
    HostKey(SignatureAlgorithm),
    /// A group was given out and not used, or used and not given out.
    #[error("key exchange method {} does not fit the group that was asked for", .0.name())]
    Group(KexAlgorithm),
    /// The cryptographic library failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A signed exchange.
#[derive(Debug)]
pub struct SignedExchange {
    /// H
    pub hash: ExchangeHash,
    /// Signature blob of RFC 4253 section 6.6.
    pub signature: Vec<u8>,
    /// K_S: a host key or its certificate.
    host_key: Vec<u8>,
    algorithm: SignatureAlgorithm,
    identifications: Identifications,
}

/// Computes H and signs it with the host key that the values name. `group` is what this exchange was
/// given out.
///
/// # Errors
/// See [`ExchangeError`]; all but the last are the worker's fault.
pub fn sign(
    offer: &Offer,
    values: &ExchangeValues,
    group: GroupExchange,
) -> Result<SignedExchange, ExchangeError> {
    if !offer.kex.contains(&values.kex) {
        return Err(ExchangeError::Kex(values.kex));
    }
    let host_key = offer
        .host_keys
        .for_algorithm(values.host_key)
        .ok_or(ExchangeError::HostKey(values.host_key))?;
    let group = match (values.kex, group) {
        (KexAlgorithm::DhGroupExchangeSha256, GroupExchange::Chosen(group)) => Some(group),
        (KexAlgorithm::DhGroupExchangeSha256, _) => return Err(ExchangeError::Group(values.kex)),
        (_, GroupExchange::NotAsked) => None,
        (_, _) => return Err(ExchangeError::Group(values.kex)),
    };
    let identification = offer.identification.as_bytes();
    let hash = exchange_hash(values, identification, host_key.blob(), group.as_ref());
    let signature = host_key.sign(values.host_key, &hash.0)?;
    Ok(SignedExchange {
        hash,
        signature,
        host_key: host_key.blob().to_vec(),
        algorithm: values.host_key,
        identifications: Identifications {
            client: values.client_identification.clone(),
            server: identification.to_vec(),
        },
    })
}

fn exchange_hash(
    values: &ExchangeValues,
    identification: &[u8],
    host_key: &[u8],
    group: Option<&ChosenGroup>,
) -> ExchangeHash {
    let algorithm = match values.kex.hash() {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    };
    let input = values.hash_input(identification, host_key, group);
    ExchangeHash(digest::digest(algorithm, &input).as_ref().to_vec())
}

impl SignedExchange {
    /// Makes this exchange the connection's first.
    pub fn fix(self) -> FirstExchange {
        FirstExchange {
            session: SessionId(self.hash.0),
            host_key: self.host_key,
            algorithm: self.algorithm,
            identifications: self.identifications,
        }
    }
}

impl FirstExchange {
    /// The session identifier.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// V_C and V_S, as they are in the hash.
    pub fn identifications(&self) -> &Identifications {
        &self.identifications
    }

    /// K_S, byte for byte as the client got it.
    pub fn host_key(&self) -> &[u8] {
        &self.host_key
    }

    /// The host key algorithm that was negotiated.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    #[cfg(test)]
    pub(crate) fn for_test(session: &[u8], host_key: &[u8]) -> Self {
        Self {
            session: SessionId(session.to_vec()),
            host_key: host_key.to_vec(),
            algorithm: SignatureAlgorithm::Ed25519,
            identifications: Identifications {
                client: b"SSH-2.0-test".to_vec(),
                server: b"SSH-2.0-test_server".to_vec(),
            },
        }
    }

    #[cfg(test)]
    pub(crate) fn with_algorithm(self, algorithm: SignatureAlgorithm) -> Self {
        Self { algorithm, ..self }
    }
}

impl SessionId {
    /// The bytes that signatures cover.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ExchangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangeHash")
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId")
    }
}

#[cfg(test)]
mod tests;
