//! Proof that the client holds a private key: the only place where a signature counts.
//!
//! [`prove_possession`] builds the signed data itself, from the session identifier that the monitor
//! computed, the user name that binds the connection, the fixed service, and the key and algorithm
//! of the request. What the worker claims to have been signed does not occur. A signature made for
//! another connection, user, key or algorithm therefore does not verify.

use wire::names::SignatureAlgorithm;
use wire::userauth::{UserName, signed_data};

use crate::client_key::ClientKey;
use crate::exchange::SessionId;
use crate::public_key::{Authenticator, BadSignature};

/// The only service that authentication is for (RFC 4252 section 5, RFC 4254).
pub const SERVICE: &str = "ssh-connection";

/// The holder of `key` signed, in this very connection, that it wants to log in as `user`.
///
/// Made by [`prove_possession`] only. It says nothing about whether the account lists the key.
#[derive(Debug)]
pub struct SignatureProof {
    user: UserName,
    key: ClientKey,
    authenticator: Option<Authenticator>,
}

impl SignatureProof {
    /// The user whom the signature names.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The key that made the signature.
    pub fn key(&self) -> &ClientKey {
        &self.key
    }

    /// What the authenticator said that the key is on; `None` for a key in software.
    pub fn authenticator(&self) -> Option<Authenticator> {
        self.authenticator
    }
}

/// Verifies a publickey signature (RFC 4252 section 7).
///
/// An authenticator must have seen its user (OpenSSH PROTOCOL.u2f): a signature that it makes
/// untouched is one that a thief of the machine can have as well.
///
/// # Errors
/// [`BadSignature`] for every way in which it does not verify.
pub fn prove_possession(
    session: &SessionId,
    user: &UserName,
    algorithm: SignatureAlgorithm,
    key: ClientKey,
    signature: &[u8],
) -> Result<SignatureProof, BadSignature> {
    let data = signed_data(
        session.as_bytes(),
        user,
        SERVICE,
        algorithm.name(),
        key.blob(),
    );
    let authenticator = key.verify(algorithm, &data, signature)?;
    if authenticator.is_some_and(|said| !said.user_present()) {
        return Err(BadSignature);
    }
    Ok(SignatureProof {
        user: user.clone(),
        key,
        authenticator,
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use wire::codec::Write;

    use super::*;
    use crate::public_key::{PublicKey, RequiredRsaSize};
    use crate::testing::SecurityKey;

    const ED25519: SignatureAlgorithm = SignatureAlgorithm::Ed25519;

    struct Client {
        pair: Ed25519KeyPair,
        key: ClientKey,
    }

    impl Client {
        fn new() -> Self {
            let pair = Ed25519KeyPair::generate().unwrap();
            let mut blob = Vec::new();
            blob.put_string(b"ssh-ed25519");
            blob.put_string(pair.public_key().as_ref());
            let key = PublicKey::parse(&blob, RequiredRsaSize(2048)).unwrap();
            Self {
                pair,
                key: ClientKey::Plain(key),
            }
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

    #[test]
    fn an_authenticator_that_was_not_touched_proves_nothing() {
        let session = SessionId::for_test(b"id");
        let alice = UserName::new("alice").unwrap();
        for device in [SecurityKey::ed25519(), SecurityKey::ecdsa()] {
            let algorithm = device.algorithm();
            let key = PublicKey::parse(&device.blob(), RequiredRsaSize(2048)).unwrap();
            let data = signed_data(b"id", &alice, SERVICE, algorithm.name(), key.blob());
            let prove = |flags| {
                let signature = device.sign(&data, flags, 7);
                let key = ClientKey::Plain(key.clone());
                prove_possession(&session, &alice, algorithm, key, &signature)
            };
            let said = prove(0x01).unwrap().authenticator().unwrap();
            assert_eq!((said.user_verified(), said.counter()), (false, 7));
            for flags in [0x00, 0x04, 0xfe] {
                assert_eq!(prove(flags).map(drop), Err(BadSignature));
            }
        }
    }
}
