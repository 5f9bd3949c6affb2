//! Proof that the client holds a private key: the only place where a signature counts.
//!
//! [`prove_possession`] builds the signed data itself, from the session identifier that the monitor
//! computed, the user name that binds the connection, the fixed service, the key and algorithm of the
//! request, and for a host-bound request the host key that the monitor itself signed the first
//! exchange with. What the worker claims to have been signed does not occur. A signature made for
//! another connection, user, key, algorithm or host therefore does not verify.

use config::authorized_keys::Constraints;
use config::sshd::{PubkeyAuthOptions, YesNo};
use thiserror::Error;
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

/// What an authenticator must say for its signature to count (OpenSSH PROTOCOL.u2f). A key in
/// software cannot say it and need not, as in OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demands {
    touch: YesNo,
    verification: YesNo,
}

/// What an authenticator did not say. `Display` is OpenSSH's wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unsaid {
    /// Nobody touched it. A thief of the machine can have such a signature as well.
    #[error("user presence (authenticator touch) requirement not met")]
    Touch,
    /// It did not ask for a PIN or a finger.
    #[error("user verification requirement not met")]
    Verification,
}

impl Demands {
    /// What the administrator demands of every key, and a line or certificate of this one.
    pub fn new(options: PubkeyAuthOptions, constraints: &Constraints) -> Self {
        let either = |one, other| match (one, other) {
            (YesNo::No, YesNo::No) => YesNo::No,
            (YesNo::Yes, _) | (_, YesNo::Yes) => YesNo::Yes,
        };
        Self {
            touch: either(options.touch_required, constraints.touch_required),
            verification: either(options.verify_required, constraints.verify_required),
        }
    }

    /// Whether a signature meets them.
    ///
    /// # Errors
    /// The first that it does not meet.
    pub fn met_by(self, signature: &SignatureProof) -> Result<(), Unsaid> {
        let Some(said) = signature.authenticator else {
            return Ok(());
        };
        if self.touch == YesNo::Yes && !said.user_present() {
            return Err(Unsaid::Touch);
        }
        if self.verification == YesNo::Yes && !said.user_verified() {
            return Err(Unsaid::Verification);
        }
        Ok(())
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
/// What an authenticator said of its user comes with the proof: what it must have said ([`Demands`])
/// is known when the key is found.
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
    fn an_authenticator_must_have_said_what_is_demanded_by_anybody() {
        let alice = UserName::new("alice").unwrap();
        for device in [SecurityKey::ed25519(), SecurityKey::ecdsa()] {
            let algorithm = device.algorithm();
            let key = PublicKey::parse(&device.blob(), RequiredRsaSize(2048)).unwrap();
            let key = ClientKey::Plain(key);
            let name = algorithm.name();
            let data = signed_data(b"this session", &alice, SERVICE, name, key.blob(), None);
            let prove = |flags| {
                let signature = device.sign(&data, flags, 7);
                prove(Binding::Session, algorithm, &key, &signature).unwrap()
            };
            assert_eq!(prove(0x01).authenticator().unwrap().counter(), 7);
            for touch in [YesNo::No, YesNo::Yes] {
                for verification in [YesNo::No, YesNo::Yes] {
                    for demands in demanded(touch, verification) {
                        for flags in 0..=0xff {
                            let touched = touch == YesNo::No || flags & 1 != 0;
                            let verified = verification == YesNo::No || flags & 4 != 0;
                            let expected = match (touched, verified) {
                                (false, _) => Err(Unsaid::Touch),
                                (true, false) => Err(Unsaid::Verification),
                                (true, true) => Ok(()),
                            };
                            assert_eq!(demands.met_by(&prove(flags)), expected, "{flags:x}");
                        }
                    }
                }
            }
        }
    }

    /// The ways to demand this: by the configuration, by the line or certificate, by both.
    fn demanded(touch: YesNo, verification: YesNo) -> Vec<Demands> {
        let options = PubkeyAuthOptions {
            touch_required: touch,
            verify_required: verification,
        };
        let constraints = Constraints {
            touch_required: touch,
            verify_required: verification,
            ..Constraints::default()
        };
        let nothing = Constraints {
            touch_required: YesNo::No,
            ..Constraints::default()
        };
        vec![
            Demands::new(options, &nothing),
            Demands::new(PubkeyAuthOptions::default(), &constraints),
            Demands::new(options, &constraints),
        ]
    }

    #[test]
    fn a_key_in_software_is_not_asked_what_it_cannot_say() {
        let client = Client::new();
        let good = client.sign(b"this session", "alice", SERVICE, "ssh-ed25519");
        let proof = prove(Binding::Session, ED25519, &client.key, &good).unwrap();
        for demands in demanded(YesNo::Yes, YesNo::Yes) {
            assert_eq!(demands.met_by(&proof), Ok(()));
        }
    }

    #[test]
    fn touch_is_demanded_unless_a_line_says_otherwise() {
        let by_default = Demands::new(PubkeyAuthOptions::default(), &Constraints::default());
        assert_eq!(by_default.touch, YesNo::Yes);
        assert_eq!(by_default.verification, YesNo::No);
    }
}
