//! Key exchange methods, server side. One file per method; `agree` is the only way in.

mod curve25519;
mod mlkem768x25519;

use wire::names::KexAlgorithm;
use zeroize::Zeroizing;

use crate::error::Error;

/// What a method makes of the client's share.
pub(crate) struct Agreement {
    /// Q_S or S_REPLY, contents of the string.
    pub(crate) server_share: Vec<u8>,
    /// K: big-endian integer or contents of the string, as the method's encoding says.
    pub(crate) shared_secret: Zeroizing<Vec<u8>>,
}

/// Draws an ephemeral key and agrees with the client's share on a secret.
pub(crate) fn agree(method: KexAlgorithm, client_share: &[u8]) -> Result<Agreement, Error> {
    match method {
        KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256Libssh => {
            curve25519::agree(client_share)
        }
        KexAlgorithm::Mlkem768X25519Sha256 => mlkem768x25519::agree(client_share),
    }
}
