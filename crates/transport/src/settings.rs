//! What the transport is told from outside, once, before the first byte.

use std::time::Duration;

use wire::names::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm,
};

/// Settings that all connections share. Lists are in order of preference.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What follows "SSH-2.0-" in our identification string, comments included.
    pub software_version: String,
    /// Public host keys; the private halves are elsewhere.
    pub host_keys: Vec<HostKey>,
    /// Key exchange methods.
    pub kex: Vec<KexAlgorithm>,
    /// Encryption algorithms, for both directions.
    pub ciphers: Vec<CipherAlgorithm>,
    /// MAC algorithms, for both directions; not used with ciphers that have their own.
    pub macs: Vec<MacAlgorithm>,
    /// Compression methods, for both directions.
    pub compression: Vec<CompressionAlgorithm>,
    /// Signature algorithms for `publickey`, told to the client as server-sig-algs.
    pub pubkey_algorithms: Vec<SignatureAlgorithm>,
    /// When keys are replaced.
    pub rekey: RekeyLimit,
}

/// A host key and the signature algorithms that it can be asked for.
#[derive(Debug, Clone)]
pub struct HostKey {
    /// K_S: the public key blob.
    pub public_key: Vec<u8>,
    /// In order of preference. None: it is not offered (yet), and clients are told of it.
    pub algorithms: Vec<SignatureAlgorithm>,
}

/// When we ask for new keys, whichever comes first. The peer may ask at any time.
#[derive(Debug, Clone, Copy, Default)]
pub struct RekeyLimit {
    /// Bytes in one direction; `None` is the cipher's own limit (RFC 4344 section 3.2).
    pub bytes: Option<u64>,
    /// Age of the keys; `None` is no limit, as in OpenSSH.
    pub interval: Option<Duration>,
}

impl Settings {
    /// The host key algorithms that can be offered, in order.
    pub(crate) fn host_key_algorithms(&self) -> Vec<SignatureAlgorithm> {
        self.host_keys
            .iter()
            .flat_map(|key| key.algorithms.iter().copied())
            .collect()
    }

    /// K_S for a negotiated algorithm.
    pub(crate) fn host_key(&self, algorithm: SignatureAlgorithm) -> Option<&HostKey> {
        self.host_keys
            .iter()
            .find(|key| key.algorithms.contains(&algorithm))
    }
}
