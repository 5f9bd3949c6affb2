//! Streamlined NTRU Prime (draft-josefsson-ntruprime-streamlined).

use std::convert::Infallible;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rand_core::{TryCryptoRng, TryRng};
use sntrup::sntrup761::{EncapsulationKey, PUBLIC_KEY_SIZE};
use zeroize::Zeroizing;

use super::Encapsulated;
use crate::error::{Error, Failure, Misbehaviour};
use crate::random::RandomUnavailable;

pub(super) const ENCAPSULATION_KEY: usize = PUBLIC_KEY_SIZE;

/// Every key of the right length is taken: the decoding reduces each coefficient, as the reference
/// does. A client that sends nonsense gets a secret that nobody knows.
pub(super) fn encapsulate(key: &[u8]) -> Result<Encapsulated, Error> {
    let key = EncapsulationKey::try_from(key).map_err(|_| Misbehaviour::InvalidShare)?;
    let mut generator = Generator { outcome: Ok(()) };
    let (ciphertext, secret) = key.encapsulate(&mut generator);
    generator.outcome.map_err(Failure::from)?;
    Ok(Encapsulated {
        ciphertext: ciphertext.as_ref().to_vec(),
        secret: Zeroizing::new(secret.as_ref().to_vec()),
    })
}

/// The generator that all other keys come from, for a crate whose own must not fail: it remembers
/// that it did, and nothing that was made with it is used.
struct Generator {
    outcome: Result<(), RandomUnavailable>,
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if SystemRandom::new().fill(out).is_err() {
            self.outcome = Err(RandomUnavailable);
        }
        Ok(())
    }
}

impl TryCryptoRng for Generator {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kex::vectors::value;

    const VECTOR: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/sntrup761.txt"
    ));

    /// Yields what was recorded, and nothing beyond.
    struct Recorded(Vec<u8>);

    impl TryRng for Recorded {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unimplemented!("the crate asks for bytes")
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unimplemented!("the crate asks for bytes")
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            let rest = self.0.split_off(out.len());
            out.copy_from_slice(&std::mem::replace(&mut self.0, rest));
            Ok(())
        }
    }

    impl TryCryptoRng for Recorded {}

    #[test]
    fn the_crate_encapsulates_as_the_reference_does() {
        let [public, random, ciphertext, secret] =
            ["public-key", "random", "ciphertext", "shared-secret"]
                .map(|name| value(VECTOR, "", name));
        let key = EncapsulationKey::try_from(public).unwrap();
        let ours = key.encapsulate(&mut Recorded(random));
        assert_eq!(ours.0.as_ref(), ciphertext);
        assert_eq!(ours.1.as_ref(), secret);
    }

    #[test]
    fn every_encapsulation_is_fresh() {
        let key = value(VECTOR, "", "public-key");
        let ciphertext = || encapsulate(&key).map(|made| made.ciphertext).unwrap();
        assert_ne!(ciphertext(), ciphertext());
    }
}
