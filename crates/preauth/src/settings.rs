//! From what the monitor says to what the transport offers.

use std::sync::Arc;
use std::time::Duration;

use rpc::lane::Welcome;
use thiserror::Error;
use transport::{HostKey, RekeyLimit, Settings};
use wire::names::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm,
};

/// The monitor offers what this worker does not have: a package half upgraded.
#[derive(Debug, Error)]
#[error("monitor offers unknown {kind} \"{name}\"; are monitor and worker of one version?")]
pub struct UnknownName {
    kind: &'static str,
    name: String,
}

/// Converts names to algorithms.
///
/// # Errors
/// A name that is not in the tables of crate `wire`.
pub fn settings(welcome: &Welcome) -> Result<Arc<Settings>, UnknownName> {
    let host_key = |key: &rpc::lane::HostKey| {
        Ok(HostKey {
            public_key: key.public_key.clone(),
            algorithms: all(
                &key.algorithms,
                "host key algorithm",
                SignatureAlgorithm::from_name,
            )?,
        })
    };
    Ok(Arc::new(Settings {
        software_version: welcome.software_version.clone(),
        host_keys: welcome
            .host_keys
            .iter()
            .map(host_key)
            .collect::<Result<_, _>>()?,
        kex: all(
            &welcome.kex_algorithms,
            "key exchange",
            KexAlgorithm::from_name,
        )?,
        ciphers: all(&welcome.ciphers, "cipher", CipherAlgorithm::from_name)?,
        macs: all(&welcome.macs, "MAC", MacAlgorithm::from_name)?,
        compression: all(
            &welcome.compression,
            "compression method",
            CompressionAlgorithm::from_name,
        )?,
        pubkey_algorithms: pubkey_algorithms(&welcome.pubkey_algorithms)?,
        rekey: rekey_limit(welcome.rekey_bytes, welcome.rekey_seconds),
    }))
}

/// Converts the names of signature algorithms for publickey.
///
/// # Errors
/// A name that is not in the tables of crate `wire`.
pub fn pubkey_algorithms(names: &[String]) -> Result<Vec<SignatureAlgorithm>, UnknownName> {
    all(names, "public key algorithm", SignatureAlgorithm::from_name)
}

/// RekeyLimit, of which 0 is none.
pub fn rekey_limit(bytes: u64, seconds: u32) -> RekeyLimit {
    RekeyLimit {
        bytes: Some(bytes).filter(|bytes| *bytes != 0),
        interval: Some(u64::from(seconds))
            .filter(|seconds| *seconds != 0)
            .map(Duration::from_secs),
    }
}

fn all<T>(
    names: &[String],
    kind: &'static str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, UnknownName> {
    let known = |name: &String| {
        from_name(name).ok_or_else(|| UnknownName {
            kind,
            name: name.clone(),
        })
    };
    names.iter().map(known).collect()
}
