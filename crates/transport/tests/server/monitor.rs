//! The monitor's part in the tests: a host key, and whom it lets in. And what users say to it.

use std::sync::Mutex;

use aws_lc_rs::digest::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use transport::{HostKey, Random, RandomUnavailable, RekeyLimit, Settings};
use wire::codec::Write;
use wire::exchange::ExchangeValues;
use wire::groups::{ChosenGroup, DhGroup, FixedGroup, GroupRequest};
use wire::names::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm,
};
use wire::secret::Secret;
use wire::userauth::{
    AuthMethod, AuthOutcome, AuthRequest, Echo, InfoRequest, KeyboardInteractiveRequest, Prompt,
    PublicKeyRequest, Responses, UserName,
};

use crate::agreement::digest_algorithm;

/// Repeatable "randomness".
#[derive(Default)]
pub(crate) struct Counter(u8);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomUnavailable> {
        for byte in out {
            self.0 = self.0.wrapping_mul(5).wrapping_add(17);
            *byte = self.0;
        }
        Ok(())
    }
}

pub(crate) const SOFTWARE: &str = "test_server with comment";

/// Holds the host key.
pub(crate) struct Monitor {
    host_key: Ed25519KeyPair,
    public_key: Vec<u8>,
    chosen: Mutex<Option<ChosenGroup>>,
}

impl Monitor {
    /// Always with the same host key.
    pub(crate) fn new() -> Self {
        let host_key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let mut public_key = Vec::new();
        public_key.put_string(b"ssh-ed25519");
        public_key.put_string(host_key.public_key().as_ref());
        Self {
            host_key,
            public_key,
            chosen: Mutex::new(None),
        }
    }

    /// Everything on offer.
    pub(crate) fn settings(&self, rekey: RekeyLimit) -> Settings {
        Settings {
            software_version: SOFTWARE.to_owned(),
            host_keys: vec![HostKey {
                public_key: self.public_key.clone(),
                algorithms: vec![SignatureAlgorithm::Ed25519],
            }],
            kex: KexAlgorithm::ALL.to_vec(),
            ciphers: CipherAlgorithm::ALL.to_vec(),
            macs: MacAlgorithm::ALL.to_vec(),
            compression: CompressionAlgorithm::ALL.to_vec(),
            pubkey_algorithms: vec![SignatureAlgorithm::Ed25519, SignatureAlgorithm::RsaSha2_512],
            rekey,
        }
    }

    /// A group for a client, which the next signature covers; `None` if there is none that fits.
    pub(crate) fn choose(&self, request: GroupRequest) -> Option<DhGroup> {
        let fits = |fixed: &FixedGroup| request.permitted().contains(&fixed.bits());
        let group = FixedGroup::ALL.into_iter().find(fits)?.group();
        *self.chosen.lock().unwrap() = Some(ChosenGroup {
            request,
            group: group.clone(),
        });
        Some(group)
    }

    /// Signs, over a hash of its own.
    pub(crate) fn sign(&self, values: &ExchangeValues) -> Vec<u8> {
        let chosen = self.chosen.lock().unwrap();
        let group = match values.kex {
            KexAlgorithm::DhGroupExchangeSha256 => chosen.as_ref(),
            _ => None,
        };
        let identification = format!("SSH-2.0-{SOFTWARE}");
        let input = values.hash_input(identification.as_bytes(), &self.public_key, group);
        let hash = digest(digest_algorithm(values.kex), &input);
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519");
        blob.put_string(self.host_key.sign(hash.as_ref()).as_ref());
        blob
    }
}

/// A USERAUTH_REQUEST.
pub(crate) fn request(user: &str, method: AuthMethod) -> Vec<u8> {
    let mut out = Vec::new();
    AuthRequest {
        user: UserName::new(user).unwrap(),
        service: "ssh-connection".to_owned(),
        method,
    }
    .encode(&mut out);
    out
}

fn public_key(key: Vec<u8>, signature: Option<Vec<u8>>) -> AuthMethod {
    AuthMethod::PublicKey(PublicKeyRequest {
        algorithm: "ssh-ed25519".to_owned(),
        key,
        host_key: None,
        signature,
    })
}

/// A request with a signature, which the pair's monitor believes.
pub(crate) fn signed() -> AuthMethod {
    public_key(b"a key".to_vec(), Some(b"a signature".to_vec()))
}

/// A request that asks whether the key would do.
pub(crate) fn asking() -> AuthMethod {
    asking_for(b"a key".to_vec())
}

/// A request that asks whether this key would do.
pub(crate) fn asking_for(key: Vec<u8>) -> AuthMethod {
    public_key(key, None)
}

pub(crate) fn refused() -> AuthOutcome {
    AuthOutcome::Refused {
        methods: vec!["publickey".to_owned()],
        partial_success: false,
    }
}

/// A request to be asked.
pub(crate) fn interactive() -> AuthMethod {
    AuthMethod::KeyboardInteractive(KeyboardInteractiveRequest {
        submethods: String::new(),
    })
}

/// What it is asked.
pub(crate) fn question() -> InfoRequest {
    let prompt = Prompt {
        text: "Code: ".to_owned(),
        echo: Echo::On,
    };
    InfoRequest::new(String::new(), "Hello.".to_owned(), vec![prompt]).unwrap()
}

/// A USERAUTH_INFO_RESPONSE with one response.
pub(crate) fn response(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Responses::Given(vec![Secret::copy(text).unwrap()]).encode(&mut out);
    out
}

/// The response that lets somebody in.
pub(crate) const CODE: &[u8] = b"123456";

/// Lets in whoever brings a signature, asks who wants to be asked.
pub(crate) fn outcome(request: &AuthRequest) -> AuthOutcome {
    match &request.method {
        AuthMethod::PublicKey(key) if key.signature.is_some() => AuthOutcome::Accepted,
        AuthMethod::PublicKey(_) => AuthOutcome::KeyAcceptable,
        AuthMethod::KeyboardInteractive(_) => AuthOutcome::InfoRequest(question()),
        AuthMethod::None
        | AuthMethod::Password(_)
        | AuthMethod::Hostbased(_)
        | AuthMethod::Unsupported(_) => refused(),
    }
}

/// Lets in whoever gives [`CODE`].
pub(crate) fn outcome_of_responses(responses: &Responses) -> AuthOutcome {
    match responses {
        Responses::Given(given) if *given == [Secret::copy(CODE).unwrap()] => AuthOutcome::Accepted,
        Responses::Given(_) | Responses::Impossible => refused(),
    }
}
