//! Key exchange methods, server side. One file per family.

mod dh;
mod ecdh;
mod hybrid;
#[cfg(test)]
mod vectors;

use wire::groups::{ChosenGroup, DhGroup, FixedGroup, GroupRequest};
use wire::names::KexAlgorithm;
use zeroize::Zeroizing;

use self::ecdh::Curve;
use self::hybrid::Kem;
use crate::error::{Error, Failure};

/// How a method goes.
pub(crate) enum Method {
    /// The client's share comes first.
    Agreement(Scheme),
    /// The client asks for a group first (RFC 4419).
    GroupExchange,
}

/// What shares are.
pub(crate) enum Scheme {
    Curve(Curve),
    Hybrid(Kem),
    Group(FixedGroup),
}

/// What a method makes of the client's share.
pub(crate) struct Agreement {
    /// Q_S, S_REPLY or f: contents of the string or mpint.
    pub(crate) server_share: Vec<u8>,
    /// K: big-endian integer or contents of the string, as the method's encoding says.
    pub(crate) shared_secret: Zeroizing<Vec<u8>>,
}

/// The method of a name.
pub(crate) fn method(kex: KexAlgorithm) -> Method {
    Method::Agreement(match kex {
        KexAlgorithm::Mlkem768X25519Sha256 => Scheme::Hybrid(Kem::MLKEM768),
        KexAlgorithm::Sntrup761X25519Sha512 | KexAlgorithm::Sntrup761X25519Sha512Openssh => {
            Scheme::Hybrid(Kem::SNTRUP761)
        }
        KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256Libssh => {
            Scheme::Curve(Curve::X25519)
        }
        KexAlgorithm::EcdhSha2Nistp256 => Scheme::Curve(Curve::NISTP256),
        KexAlgorithm::EcdhSha2Nistp384 => Scheme::Curve(Curve::NISTP384),
        KexAlgorithm::EcdhSha2Nistp521 => Scheme::Curve(Curve::NISTP521),
        KexAlgorithm::DhGroup14Sha256 => Scheme::Group(FixedGroup::Group14),
        KexAlgorithm::DhGroup16Sha512 => Scheme::Group(FixedGroup::Group16),
        KexAlgorithm::DhGroup18Sha512 => Scheme::Group(FixedGroup::Group18),
        KexAlgorithm::DhGroupExchangeSha256 => return Method::GroupExchange,
    })
}

impl Scheme {
    /// Draws an ephemeral key and agrees with the client's share on a secret.
    pub(crate) fn agree(&self, client_share: &[u8]) -> Result<Agreement, Error> {
        match self {
            Self::Curve(curve) => ecdh::agree(*curve, client_share),
            Self::Hybrid(kem) => hybrid::agree(*kem, client_share),
            Self::Group(group) => agree_in(&group.group(), client_share),
        }
    }
}

/// The same in any group.
pub(crate) fn agree_in(group: &DhGroup, client_share: &[u8]) -> Result<Agreement, Error> {
    dh::agree(group, client_share)
}

/// Takes a group that was chosen for a client if it fits what the client asked for.
pub(crate) fn fitting(request: GroupRequest, group: DhGroup) -> Result<ChosenGroup, Error> {
    match request.permitted().contains(&group.bits()) && dh::is_usable(&group) {
        true => Ok(ChosenGroup { request, group }),
        false => Err(Failure::UnfitAnswer.into()),
    }
}
