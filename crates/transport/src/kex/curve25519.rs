//! curve25519-sha256 (RFC 8731).

use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Agreement;
use crate::error::{Error, Failure, Misbehaviour};

/// Bytes of a public key and of the shared secret.
pub(super) const SHARE: usize = 32;

pub(super) fn agree(client_share: &[u8]) -> Result<Agreement, Error> {
    // RFC 8731 section 3: "if the length is not 32 bytes, abort".
    if client_share.len() != SHARE {
        return Err(Misbehaviour::InvalidShare.into());
    }
    let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())
        .map_err(|_| Failure::Cryptography)?;
    let public = private
        .compute_public_key()
        .map_err(|_| Failure::Cryptography)?;
    let shared_secret = agree_ephemeral(
        private,
        UnparsedPublicKey::new(&X25519, client_share),
        Error::from(Misbehaviour::InvalidShare),
        |secret| Ok(Zeroizing::new(secret.to_vec())),
    )?;
    // A point of small order makes the secret zero, whatever our key is: RFC 8731 section 3 has
    // both sides abort. The library refuses it as well; this check does not rely on that.
    if bool::from(shared_secret.as_slice().ct_eq(&[0; SHARE])) {
        return Err(Misbehaviour::InvalidShare.into());
    }
    Ok(Agreement {
        server_share: public.as_ref().to_vec(),
        shared_secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_the_same_secret() {
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let public = private.compute_public_key().unwrap();
        let ours = agree(public.as_ref()).unwrap();
        let server_share = UnparsedPublicKey::new(&X25519, ours.server_share);
        let theirs = agree_ephemeral(private, server_share, (), |s| Ok(s.to_vec())).unwrap();
        assert_eq!(ours.shared_secret.as_slice(), theirs);
    }

    #[test]
    fn points_of_small_order_are_refused() {
        let mut one = [0; SHARE];
        one[0] = 1;
        let minus_one = {
            let mut point = [0xff; SHARE];
            point[0] = 0xec;
            point[31] = 0x7f;
            point
        };
        // The two points of order eight of RFC 7748's curve.
        let order_eight = [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f,
            0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
            0x5f, 0x49, 0xb8, 0x00,
        ];
        for share in [[0; SHARE], one, minus_one, order_eight] {
            assert!(matches!(
                agree(&share),
                Err(Error::Misbehaved(Misbehaviour::InvalidShare))
            ));
        }
    }

    #[test]
    fn shares_of_another_length_are_refused() {
        for length in [0, 31, 33, 64] {
            assert!(agree(&vec![9; length]).is_err());
        }
    }
}
