//! Proof that the client holds a private key: the only place where a signature counts.
//!
//! [`prove_possession`] builds the signed data itself, from the session identifier that the monitor
//! computed, the user name that binds the connection, the fixed service, the key and algorithm of the
//! request, and for a host-bound request the host key that the monitor itself signed the first
//! exchange with. What the worker claims to have been signed does not occur. A signature made for
//! another connection, user, key, algorithm or host therefore does not verify.

use wire::names::SignatureAlgorithm;
use wire::userauth::{UserName, signed_data};

use crate::client_key::ClientKey;
use crate::exchange::FirstExchange;
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

/// What a signature is bound to besides the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Nothing: `publickey`.
    Session,
    /// The host key of the first exchange: publickey-hostbound-v00@openssh.com.
    HostKey,
}

impl Binding {
    /// `None`: the client names another host key than the one that it was shown here. OpenSSH
    /// compares certificates whole as well.
    pub fn of(claimed: Option<&[u8]>, first: &FirstExchange) -> Option<Self> {
        match claimed {
            None => Some(Self::Session),
            Some(host_key) if host_key == first.host_key() => Some(Self::HostKey),
            Some(_) => None,
        }
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
    first: &FirstExchange,
    user: &UserName,
    binding: Binding,
    algorithm: SignatureAlgorithm,
    key: ClientKey,
    signature: &[u8],
) -> Result<SignatureProof, BadSignature> {
    let data = signed_data(
        first.session().as_bytes(),
        user,
        SERVICE,
        algorithm.name(),
        key.blob(),
        match binding {
            Binding::Session => None,
            Binding::HostKey => Some(first.host_key()),
        },
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
            let data = signed_data(session, &user, service, algorithm, self.key.blob(), None);
            self.sign_data(&data)
        }

        fn sign_data(&self, data: &[u8]) -> Vec<u8> {
            let mut blob = Vec::new();
            blob.put_string(b"ssh-ed25519");
            blob.put_string(self.pair.sign(data).as_ref());
            blob
        }
    }

    fn prove(
        binding: Binding,
        algorithm: SignatureAlgorithm,
        key: &ClientKey,
        signature: &[u8],
    ) -> Result<SignatureProof, BadSignature> {
        let first = FirstExchange::for_test(b"this session", b"this host");
        let alice = UserName::new("alice").unwrap();
        prove_possession(&first, &alice, binding, algorithm, key.clone(), signature)
    }

    #[test]
    fn a_signature_counts_for_its_own_session_user_service_and_algorithm_only() {
        let client = Client::new();
        let check = |blob: &[u8]| prove(Binding::Session, ED25519, &client.key, blob).map(drop);
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
    fn a_signature_counts_for_its_own_host_key_and_method_only() {
        let client = Client::new();
        let alice = UserName::new("alice").unwrap();
        let sign = |host_key: Option<&[u8]>| {
            let name = ED25519.name();
            let blob = client.key.blob();
            let data = signed_data(b"this session", &alice, SERVICE, name, blob, host_key);
            client.sign_data(&data)
        };
        for (binding, host_key) in [
            (Binding::Session, None),
            (Binding::HostKey, Some(b"this host".as_slice())),
        ] {
            for signed in [None, Some(b"this host".as_slice()), Some(b"another host")] {
                let proof = prove(binding, ED25519, &client.key, &sign(signed));
                assert_eq!(proof.is_ok(), signed == host_key, "{binding:?} {signed:?}");
            }
        }
        let first = FirstExchange::for_test(b"this session", b"this host");
        let binding = |claimed: &[u8]| Binding::of(Some(claimed), &first);
        assert_eq!(binding(b"this host"), Some(Binding::HostKey));
        assert_eq!(binding(b"another host"), None);
        assert_eq!(binding(b""), None);
        assert_eq!(Binding::of(None, &first), Some(Binding::Session));
    }

    #[test]
    fn no_bit_of_a_signature_may_change() {
        let client = Client::new();
        let good = client.sign(b"this session", "alice", SERVICE, "ssh-ed25519");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let proof = prove(Binding::Session, ED25519, &client.key, &bad);
            assert_eq!(proof.map(drop), Err(BadSignature), "bit {bit}");
        }
    }

    #[test]
    fn an_authenticator_that_was_not_touched_proves_nothing() {
        let alice = UserName::new("alice").unwrap();
        for device in [SecurityKey::ed25519(), SecurityKey::ecdsa()] {
            let algorithm = device.algorithm();
            let key = PublicKey::parse(&device.blob(), RequiredRsaSize(2048)).unwrap();
            let key = ClientKey::Plain(key);
            let name = algorithm.name();
            let data = signed_data(b"this session", &alice, SERVICE, name, key.blob(), None);
            let prove = |flags| {
                let signature = device.sign(&data, flags, 7);
                prove(Binding::Session, algorithm, &key, &signature)
            };
            let said = prove(0x01).unwrap().authenticator().unwrap();
            assert_eq!((said.user_verified(), said.counter()), (false, 7));
            for flags in [0x00, 0x04, 0xfe] {
                assert_eq!(prove(flags).map(drop), Err(BadSignature));
            }
        }
    }
}
