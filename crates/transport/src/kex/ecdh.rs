//! Elliptic curves: curve25519-sha256 (RFC 8731) and ecdh-sha2-nistp256, -384 and -521 (RFC 5656).

use aws_lc_rs::agreement::{
    Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey, X25519,
    agree_ephemeral,
};
use aws_lc_rs::rand::SystemRandom;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Agreement;
use crate::error::{Error, Failure, Misbehaviour};

/// First byte of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A curve and the form of its public keys on the wire.
#[derive(Clone, Copy)]
pub(crate) struct Curve {
    algorithm: &'static Algorithm,
    /// Bytes of a public key.
    pub(super) share: usize,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    /// A coordinate (RFC 7748 section 5): every string of the right length is a public key.
    Coordinate,
    /// [`UNCOMPRESSED`] and both coordinates, which have to be on the curve.
    Point,
}

impl Curve {
    pub(super) const X25519: Self = Self {
        algorithm: &X25519,
        share: 32,
        form: Form::Coordinate,
    };
    pub(super) const NISTP256: Self = Self::point(&ECDH_P256, 32);
    pub(super) const NISTP384: Self = Self::point(&ECDH_P384, 48);
    pub(super) const NISTP521: Self = Self::point(&ECDH_P521, 66);

    const fn point(algorithm: &'static Algorithm, coordinate: usize) -> Self {
        Self {
            algorithm,
            share: 1 + 2 * coordinate,
            form: Form::Point,
        }
    }

    /// Whether these bytes have the form of a public key. The library would read other forms too:
    /// compressed points, which RFC 5656 section 4 leaves to be negotiated and nobody does, and
    /// even DER.
    fn permits(self, share: &[u8]) -> bool {
        share.len() == self.share
            && match self.form {
                Form::Coordinate => true,
                Form::Point => share.first() == Some(&UNCOMPRESSED),
            }
    }
}

pub(super) fn agree(curve: Curve, client_share: &[u8]) -> Result<Agreement, Error> {
    if !curve.permits(client_share) {
        return Err(Misbehaviour::InvalidShare.into());
    }
    let private = EphemeralPrivateKey::generate(curve.algorithm, &SystemRandom::new())
        .map_err(|_| Failure::Cryptography)?;
    let public = private
        .compute_public_key()
        .map_err(|_| Failure::Cryptography)?;
    // The library refuses points that are not on the curve (RFC 5656 section 4).
    let shared_secret = agree_ephemeral(
        private,
        UnparsedPublicKey::new(curve.algorithm, client_share),
        Error::from(Misbehaviour::InvalidShare),
        |secret| Ok(Zeroizing::new(secret.to_vec())),
    )?;
    // A point of small order makes the secret of X25519 zero, whatever our key is: RFC 8731
    // section 3 has both sides abort. The library refuses it too; this does not rely on that.
    if bool::from(shared_secret.ct_eq(&vec![0; shared_secret.len()])) {
        return Err(Misbehaviour::InvalidShare.into());
    }
    Ok(Agreement {
        server_share: public.as_ref().to_vec(),
        shared_secret,
    })
}

#[cfg(test)]
mod tests;
