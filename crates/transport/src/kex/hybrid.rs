//! A key encapsulation and X25519, so that the secret holds as long as one of them does:
//! mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex) and sntrup761x25519-sha512
//! (draft-ietf-sshm-ntruprime-ssh).

mod mlkem768;
mod sntrup761;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::Agreement;
use super::ecdh::{self, Curve};
use crate::error::{Error, Misbehaviour};

/// A key encapsulation mechanism and what a method does with it.
#[derive(Clone, Copy)]
pub(crate) struct Kem {
    /// Bytes of C_PK2, the client's encapsulation key.
    encapsulation_key: usize,
    encapsulate: fn(&[u8]) -> Result<Encapsulated, Error>,
    /// HASH of the method, which makes K of both secrets.
    hash: &'static digest::Algorithm,
}

struct Encapsulated {
    ciphertext: Vec<u8>,
    secret: Zeroizing<Vec<u8>>,
}

impl Kem {
    pub(super) const MLKEM768: Self = Self {
        encapsulation_key: mlkem768::ENCAPSULATION_KEY,
        encapsulate: mlkem768::encapsulate,
        hash: &digest::SHA256,
    };
    pub(super) const SNTRUP761: Self = Self {
        encapsulation_key: sntrup761::ENCAPSULATION_KEY,
        encapsulate: sntrup761::encapsulate,
        hash: &digest::SHA512,
    };
}

pub(super) fn agree(kem: Kem, client_share: &[u8]) -> Result<Agreement, Error> {
    // C_INIT = C_PK2 || C_PK1
    if client_share.len() != kem.encapsulation_key + Curve::X25519.share {
        return Err(Misbehaviour::InvalidShare.into());
    }
    let (post_quantum, classical) = client_share
        .split_at_checked(kem.encapsulation_key)
        .ok_or(Misbehaviour::InvalidShare)?;
    let post_quantum = (kem.encapsulate)(post_quantum)?;
    let classical = ecdh::agree(Curve::X25519, classical)?;

    // K = HASH(K_PQ || K_CL)
    let mut context = digest::Context::new(kem.hash);
    context.update(&post_quantum.secret);
    context.update(&classical.shared_secret);
    let shared_secret = Zeroizing::new(context.finish().as_ref().to_vec());

    // S_REPLY = S_CT2 || S_PK1
    let mut server_share = post_quantum.ciphertext;
    server_share.extend_from_slice(&classical.server_share);
    Ok(Agreement {
        server_share,
        shared_secret,
    })
}

#[cfg(test)]
mod tests;
