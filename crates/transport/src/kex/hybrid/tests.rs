use ::sntrup::sntrup761 as streamlined;
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree as agree_x25519};
use aws_lc_rs::kem::{self, DecapsulationKey, ML_KEM_768};

use super::*;

/// The client's half of the encapsulation.
enum Client {
    Mlkem(DecapsulationKey),
    Sntrup(streamlined::DecapsulationKey),
}

impl Client {
    fn new(kem: Kem) -> (Self, Vec<u8>) {
        match kem.encapsulation_key {
            mlkem768::ENCAPSULATION_KEY => {
                let key = DecapsulationKey::generate(&ML_KEM_768).unwrap();
                let public = key.encapsulation_key().unwrap().key_bytes().unwrap();
                (Self::Mlkem(key), public.as_ref().to_vec())
            }
            _ => {
                let (public, key) = streamlined::generate_key_deterministic(&[7; 32]);
                (Self::Sntrup(key), public.as_ref().to_vec())
            }
        }
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Vec<u8> {
        match self {
            Self::Mlkem(key) => {
                let secret = key.decapsulate(kem::Ciphertext::from(ciphertext)).unwrap();
                secret.as_ref().to_vec()
            }
            Self::Sntrup(key) => {
                let ciphertext = streamlined::Ciphertext::try_from(ciphertext).unwrap();
                key.decapsulate(&ciphertext).as_ref().to_vec()
            }
        }
    }
}

const KEMS: [Kem; 2] = [Kem::MLKEM768, Kem::SNTRUP761];

fn client_share(kem: Kem, classical: &[u8]) -> Vec<u8> {
    let (_, public) = Client::new(kem);
    [&public, classical].concat()
}

#[test]
fn the_secret_is_the_hash_of_both_secrets() {
    for kem in KEMS {
        let (client, public) = Client::new(kem);
        let classical = PrivateKey::generate(&X25519).unwrap();
        let share = [&public, classical.compute_public_key().unwrap().as_ref()].concat();
        let ours = agree(kem, &share).unwrap();

        let (ciphertext, theirs) = ours.server_share.split_at(ours.server_share.len() - 32);
        let theirs = UnparsedPublicKey::new(&X25519, theirs);
        let classical = agree_x25519(&classical, theirs, (), |s| Ok(s.to_vec())).unwrap();
        let both = [client.decapsulate(ciphertext), classical].concat();
        let expected = digest::digest(kem.hash, &both);
        assert_eq!(*ours.shared_secret, expected.as_ref());
    }
}

#[test]
fn a_wrong_length_is_refused() {
    for kem in KEMS {
        let share = client_share(kem, &[9; 32]);
        assert!(agree(kem, &share).is_ok());
        assert!(agree(kem, &share[1..]).is_err());
        assert!(agree(kem, &[&share[..], &[9]].concat()).is_err());
        assert!(agree(kem, &[]).is_err());
    }
}

#[test]
fn a_classical_share_of_small_order_is_refused() {
    for kem in KEMS {
        assert!(matches!(
            agree(kem, &client_share(kem, &[0; 32])),
            Err(Error::Misbehaved(Misbehaviour::InvalidShare))
        ));
    }
}

#[test]
fn an_ml_kem_key_outside_of_the_modulus_is_refused() {
    let mut share = client_share(Kem::MLKEM768, &[9; 32]);
    // Coefficients are twelve bits below 3329: all ones are not.
    share[..mlkem768::ENCAPSULATION_KEY].fill(0xff);
    assert!(matches!(
        agree(Kem::MLKEM768, &share),
        Err(Error::Misbehaved(Misbehaviour::InvalidShare))
    ));
}

#[test]
fn an_sntrup_key_of_any_content_is_taken_and_leads_nowhere_else() {
    for fill in [0, 0x5a, 0xff] {
        let mut share = client_share(Kem::SNTRUP761, &[9; 32]);
        share[..sntrup761::ENCAPSULATION_KEY].fill(fill);
        let first = agree(Kem::SNTRUP761, &share).unwrap();
        let second = agree(Kem::SNTRUP761, &share).unwrap();
        assert_ne!(first.shared_secret, second.shared_secret);
    }
}
