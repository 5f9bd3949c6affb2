//! Proofs for clients that learn this server's other keys (hostkeys-prove-00@openssh.com, OpenSSH
//! PROTOCOL section 2.5).

use wire::hostkeys::proof_data;
use wire::names::SignatureAlgorithm;

use super::{HostIdentity, HostKey, HostKeys, SignError};
use crate::exchange::FirstExchange;

impl HostKeys {
    /// Signs, with each of the `wanted` keys, that it belongs to the server of this session.
    ///
    /// The signed bytes are built here. They begin with a name of their own and are longer than any
    /// exchange hash, so that no signature of the one kind counts as one of the other. `None`: one of
    /// the keys is not ours, is a certificate, or occurs twice: it costs one signature per key.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn prove(
        &self,
        first: &FirstExchange,
        wanted: &[Vec<u8>],
    ) -> Result<Option<Vec<Vec<u8>>>, SignError> {
        let mut left: Vec<&HostKey> = self.plain().collect();
        let mut keys = Vec::new();
        for blob in wanted {
            let Some(at) = left.iter().position(|own| own.blob() == blob) else {
                return Ok(None);
            };
            keys.push(left.swap_remove(at));
        }
        keys.into_iter()
            .map(|own| {
                let data = proof_data(first.session().as_bytes(), own.blob());
                own.sign(proving_algorithm(own, first.algorithm()), &data)
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// The host keys without their certificates.
    fn plain(&self) -> impl Iterator<Item = &HostKey> {
        let is_plain = |own: &&HostIdentity| own.blob() == own.key.blob();
        self.0.iter().filter(is_plain).map(|own| &*own.key)
    }
}

/// The algorithm that OpenSSH's client expects: for an RSA key the one of the key exchange, if that
/// had an RSA key as well. (SHA-1, which OpenSSH's server falls back to, is not made here.)
fn proving_algorithm(key: &HostKey, negotiated: SignatureAlgorithm) -> SignatureAlgorithm {
    let best = key.algorithm();
    match negotiated.plain().key_type() == best.key_type() {
        true => negotiated.plain(),
        false => best,
    }
}
