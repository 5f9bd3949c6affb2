//! Proof that the client holds a private key: the only place where a signature counts.
//!
//! [`prove_possession`] builds the signed data itself, from the session identifier that the monitor
//! computed, the user name that binds the connection, the fixed service, and the key and algorithm
//! of the request. What the worker claims to have been signed does not occur. A signature made for
//! another connection, user, key or algorithm therefore does not verify.

use wire::names::SignatureAlgorithm;
use wire::userauth::{UserName, signed_data};

use crate::exchange::SessionId;
use crate::public_key::{BadSignature, PublicKey};

/// The only service that authentication is for (RFC 4252 section 5, RFC 4254).
pub const SERVICE: &str = "ssh-connection";

/// The holder of `key` signed, in this very connection, that it wants to log in as `user`.
///
/// Made by [`prove_possession`] only. It says nothing about whether the account lists the key.
#[derive(Debug)]
pub struct SignatureProof {
    user: UserName,
    key: PublicKey,
}

impl SignatureProof {
    /// The user whom the signature names.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The key that made the signature.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Verifies a publickey signature (RFC 4252 section 7).
///
/// # Errors
/// [`BadSignature`] for every way in which it does not verify.
pub fn prove_possession(
    session: &SessionId,
    user: &UserName,
    algorithm: SignatureAlgorithm,
    key: PublicKey,
    signature: &[u8],
) -> Result<SignatureProof, BadSignature> {
    let data = signed_data(
        session.as_bytes(),
        user,
        SERVICE,
        algorithm.name(),
        key.blob(),
    );
    key.verify(algorithm, &data, signature)?;
    Ok(SignatureProof {
        user: user.clone(),
        key,
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use wire::codec::Write;

    use super::*;
    use crate::public_key::RequiredRsaSize;

    const ED25519: SignatureAlgorithm = SignatureAlgorithm::Ed25519;

    struct Client {
        pair: Ed25519KeyPair,
        key: PublicKey,
    }

    impl Client {
        fn new() -> Self {
            let pair = Ed25519KeyPair::generate().unwrap();
            let mut blob = Vec::new();
            blob.put_string(b"ssh-ed25519");
            blob.put_string(pair.public_key().as_ref());
            let key = PublicKey::parse(&blob, RequiredRsaSize(2048)).unwrap();
            Self { pair, key }
        }

        fn sign(&self, session: &[u8], user: &str, service: &str, algorithm: &str) -> Vec<u8> {
            let user = UserName::new(user).unwrap();
            let data = signed_data(session, &user, service, algorithm, self.key.blob());
            let mut blob = Vec::new();
            blob.put_string(b"ssh-ed25519");
            blob.put_string(self.pair.sign(&data).as_ref());
            blob
        }
    }

    #[test]
    fn a_signature_counts_for_its_own_session_user_service_and_algorithm_only() {
        let client = Client::new();
        let session = SessionId::for_test(b"this session");
        let alice = UserName::new("alice").unwrap();
        let check = |blob: &[u8]| {
            prove_possession(&session, &alice, ED25519, client.key.clone(), blob).map(drop)
        };
        let good = client.sign(b"this session", "alice", SERVICE, "ssh-ed25519");
        assert_eq!(check(&good), Ok(()));
        for bad in [
            client.sign(b"another session", "alice", SERVICE, "ssh-ed25519"),
            client.sign(b"this session", "bob", SERVICE, "ssh-ed25519"),
            client.sign(b"this session", "alice", "ssh-userauth", "ssh-ed25519"),
            client.sign(b"this session", "alice", SERVICE, "rsa-sha2-512"),
            Client::new().sign(b"this session", "alice", SERVICE, "ssh-ed25519"),
            Vec::new(),
        ] {
            assert_eq!(check(&bad), Err(BadSignature));
        }
    }

    #[test]
    fn no_bit_of_a_signature_may_change() {
        let client = Client::new();
        let session = SessionId::for_test(b"id");
        let alice = UserName::new("alice").unwrap();
        let good = client.sign(b"id", "alice", SERVICE, "ssh-ed25519");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let proof = prove_possession(&session, &alice, ED25519, client.key.clone(), &bad);
            assert_eq!(proof.map(drop), Err(BadSignature), "bit {bit}");
        }
    }
}
