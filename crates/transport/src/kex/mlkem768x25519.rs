//! mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex): ML-KEM-768 (FIPS 203) and X25519, so
//! that the secret holds as long as one of them does.

use aws_lc_rs::digest;
use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use zeroize::Zeroizing;

use super::{Agreement, curve25519};
use crate::error::{Error, Misbehaviour};

/// Bytes of C_PK2, the ML-KEM-768 encapsulation key.
const ENCAPSULATION_KEY: usize = 1184;

pub(super) fn agree(client_share: &[u8]) -> Result<Agreement, Error> {
    // C_INIT = C_PK2 || C_PK1
    if client_share.len() != ENCAPSULATION_KEY + curve25519::SHARE {
        return Err(Misbehaviour::InvalidShare.into());
    }
    let (post_quantum, classical) = client_share
        .split_at_checked(ENCAPSULATION_KEY)
        .ok_or(Misbehaviour::InvalidShare)?;

    let key =
        EncapsulationKey::new(&ML_KEM_768, post_quantum).map_err(|_| Misbehaviour::InvalidShare)?;
    // Fails for a key that does not pass the modulus check of FIPS 203 section 7.2.
    let (ciphertext, post_quantum_secret) =
        key.encapsulate().map_err(|_| Misbehaviour::InvalidShare)?;
    let classical = curve25519::agree(classical)?;

    // K = HASH(K_PQ || K_CL)
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(post_quantum_secret.as_ref());
    context.update(&classical.shared_secret);
    let shared_secret = Zeroizing::new(context.finish().as_ref().to_vec());

    // S_REPLY = S_CT2 || S_PK1
    let mut server_share = ciphertext.as_ref().to_vec();
    server_share.extend_from_slice(&classical.server_share);
    Ok(Agreement {
        server_share,
        shared_secret,
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::kem::DecapsulationKey;

    use super::*;

    fn client_share(classical: [u8; curve25519::SHARE]) -> Vec<u8> {
        let key = DecapsulationKey::generate(&ML_KEM_768).unwrap();
        let encapsulation = key.encapsulation_key().unwrap().key_bytes().unwrap();
        [encapsulation.as_ref(), classical.as_slice()].concat()
    }

    #[test]
    fn a_wrong_length_or_a_key_outside_the_modulus_is_refused() {
        let mut share = client_share([9; curve25519::SHARE]);
        assert!(agree(&share).is_ok());
        assert!(agree(&share[1..]).is_err());
        // Coefficients are twelve bits below 3329: all ones are not.
        share[..ENCAPSULATION_KEY].fill(0xff);
        assert!(agree(&share).is_err());
    }

    #[test]
    fn a_classical_share_of_small_order_is_refused() {
        let share = client_share([0; curve25519::SHARE]);
        assert!(agree(&share).is_err());
    }
}
