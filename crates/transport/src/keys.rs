//! From the shared secret to keys (RFC 4253 section 7.2).

use aws_lc_rs::digest;
use wire::names::HashAlgorithm;
use zeroize::Zeroizing;

/// H of one key exchange. That of the first one is the session identifier for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExchangeHash(Vec<u8>);

impl ExchangeHash {
    /// HASH of the bytes that [`wire::exchange::ExchangeValues::hash_input`] lays out.
    pub(crate) fn compute(hash: HashAlgorithm, input: &[u8]) -> Self {
        Self(
            digest::digest(digest_algorithm(hash), input)
                .as_ref()
                .to_vec(),
        )
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Which way packets go; each way has its own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Letters A, C, E.
    ClientToServer,
    /// Letters B, D, F.
    ServerToClient,
}

/// What all keys of an exchange are derived from.
pub(crate) struct KeySource<'a> {
    /// HASH of the key exchange method.
    pub(crate) hash: HashAlgorithm,
    /// K in its encoding.
    pub(crate) secret: &'a [u8],
    /// H of this exchange.
    pub(crate) exchange_hash: &'a ExchangeHash,
    /// H of the first exchange.
    pub(crate) session_identifier: &'a ExchangeHash,
}

/// Keys of one direction.
pub(crate) struct DirectionKeys<'a> {
    source: &'a KeySource<'a>,
    flow: Flow,
}

impl KeySource<'_> {
    /// The keys of one direction.
    pub(crate) fn direction(&self, flow: Flow) -> DirectionKeys<'_> {
        DirectionKeys { source: self, flow }
    }

    /// HASH(K || H || letter || session_id), then as often as needed HASH(K || H || what there is).
    fn derive(&self, letter: u8, length: usize) -> Zeroizing<Vec<u8>> {
        let algorithm = digest_algorithm(self.hash);
        // Room for the last round: the buffer must not move while it holds keys.
        let mut out = Zeroizing::new(Vec::with_capacity(length + digest::MAX_OUTPUT_LEN));
        while out.len() < length {
            let mut context = digest::Context::new(algorithm);
            context.update(self.secret);
            context.update(self.exchange_hash.as_bytes());
            if out.is_empty() {
                context.update(&[letter]);
                context.update(self.session_identifier.as_bytes());
            } else {
                context.update(&out);
            }
            out.extend_from_slice(context.finish().as_ref());
        }
        out.truncate(length);
        out
    }
}

impl DirectionKeys<'_> {
    /// Initial IV.
    pub(crate) fn iv(&self, length: usize) -> Zeroizing<Vec<u8>> {
        self.derive([b'A', b'B'], length)
    }

    /// Encryption key.
    pub(crate) fn key(&self, length: usize) -> Zeroizing<Vec<u8>> {
        self.derive([b'C', b'D'], length)
    }

    /// Integrity key.
    pub(crate) fn mac(&self, length: usize) -> Zeroizing<Vec<u8>> {
        self.derive([b'E', b'F'], length)
    }

    fn derive(
        &self,
        [client_to_server, server_to_client]: [u8; 2],
        length: usize,
    ) -> Zeroizing<Vec<u8>> {
        let letter = match self.flow {
            Flow::ClientToServer => client_to_server,
            Flow::ServerToClient => server_to_client,
        };
        self.source.derive(letter, length)
    }
}

fn digest_algorithm(hash: HashAlgorithm) -> &'static digest::Algorithm {
    match hash {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_are_extended_as_rfc_4253_says() {
        let sha256 = |parts: &[&[u8]]| {
            digest::digest(&digest::SHA256, &parts.concat())
                .as_ref()
                .to_vec()
        };
        let exchange_hash = ExchangeHash::compute(HashAlgorithm::Sha256, b"second");
        let session_identifier = ExchangeHash::compute(HashAlgorithm::Sha256, b"first");
        let source = KeySource {
            hash: HashAlgorithm::Sha256,
            secret: b"K",
            exchange_hash: &exchange_hash,
            session_identifier: &session_identifier,
        };
        let (h, id) = (exchange_hash.as_bytes(), session_identifier.as_bytes());
        let first = sha256(&[b"K", h, b"C", id]);
        let second = sha256(&[b"K", h, &first]);
        let third = sha256(&[b"K", h, &first, &second]);
        let key = source.direction(Flow::ClientToServer).key(80);
        assert_eq!(key.as_slice(), &[first, second, third].concat()[..80]);
        let iv = source.direction(Flow::ServerToClient).iv(12);
        assert_eq!(iv.as_slice(), &sha256(&[b"K", h, b"B", id])[..12]);
    }
}
