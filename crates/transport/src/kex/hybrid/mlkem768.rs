//! ML-KEM-768 (FIPS 203).

use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use zeroize::Zeroizing;

use super::Encapsulated;
use crate::error::{Error, Misbehaviour};

pub(super) const ENCAPSULATION_KEY: usize = 1184;

pub(super) fn encapsulate(key: &[u8]) -> Result<Encapsulated, Error> {
    let key = EncapsulationKey::new(&ML_KEM_768, key).map_err(|_| Misbehaviour::InvalidShare)?;
    // Fails for a key that does not pass the modulus check of FIPS 203 section 7.2.
    let (ciphertext, secret) = key.encapsulate().map_err(|_| Misbehaviour::InvalidShare)?;
    Ok(Encapsulated {
        ciphertext: ciphertext.as_ref().to_vec(),
        secret: Zeroizing::new(secret.as_ref().to_vec()),
    })
}
