//! Key exchange methods, server side. One file per family; `agree` is the only way in.

mod dh;
mod ecdh;
mod hybrid;
#[cfg(test)]
mod vectors;

use wire::groups::FixedGroup;
use wire::names::KexAlgorithm;
use zeroize::Zeroizing;

use self::ecdh::Curve;
use self::hybrid::Kem;
use crate::error::Error;

/// What a method makes of the client's share.
pub(crate) struct Agreement {
    /// Q_S, S_REPLY or f: contents of the string or mpint.
    pub(crate) server_share: Vec<u8>,
    /// K: big-endian integer or contents of the string, as the method's encoding says.
    pub(crate) shared_secret: Zeroizing<Vec<u8>>,
}

/// Draws an ephemeral key and agrees with the client's share on a secret.
pub(crate) fn agree(method: KexAlgorithm, client_share: &[u8]) -> Result<Agreement, Error> {
    match method {
        KexAlgorithm::Mlkem768X25519Sha256 => hybrid::agree(Kem::MLKEM768, client_share),
        KexAlgorithm::Sntrup761X25519Sha512 | KexAlgorithm::Sntrup761X25519Sha512Openssh => {
            hybrid::agree(Kem::SNTRUP761, client_share)
        }
        KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256Libssh => {
            ecdh::agree(Curve::X25519, client_share)
        }
        KexAlgorithm::EcdhSha2Nistp256 => ecdh::agree(Curve::NISTP256, client_share),
        KexAlgorithm::EcdhSha2Nistp384 => ecdh::agree(Curve::NISTP384, client_share),
        KexAlgorithm::EcdhSha2Nistp521 => ecdh::agree(Curve::NISTP521, client_share),
        KexAlgorithm::DhGroup14Sha256 => dh::agree(&FixedGroup::Group14.group(), client_share),
        KexAlgorithm::DhGroup16Sha512 => dh::agree(&FixedGroup::Group16.group(), client_share),
        KexAlgorithm::DhGroup18Sha512 => dh::agree(&FixedGroup::Group18.group(), client_share),
    }
}
