//! The values of one key exchange and the bytes that its exchange hash covers.

use zeroize::Zeroizing;

use crate::codec::Write;
use crate::groups::ChosenGroup;
use crate::names::{KexAlgorithm, SecretEncoding, SignatureAlgorithm};

/// What the network process tells the monitor so that the monitor can compute the exchange hash
/// itself. V_S and K_S are missing on purpose: the monitor takes them from its own memory.
#[derive(Clone)]
pub struct ExchangeValues {
    /// V_C: the client's identification string without CR LF.
    pub client_identification: Vec<u8>,
    /// I_C: payload of the client's SSH_MSG_KEXINIT.
    pub client_kexinit: Vec<u8>,
    /// I_S: payload of the server's SSH_MSG_KEXINIT.
    pub server_kexinit: Vec<u8>,
    /// Negotiated key exchange method.
    pub kex: KexAlgorithm,
    /// Negotiated host key algorithm.
    pub host_key: SignatureAlgorithm,
    /// Q_C, C_INIT or e: contents of the string, or of the mpint, which is a string of one form.
    pub client_share: Vec<u8>,
    /// Q_S, S_REPLY or f: contents of the string or mpint.
    pub server_share: Vec<u8>,
    /// K: big-endian integer or contents of the string, see [`KexAlgorithm::secret_encoding`].
    pub shared_secret: Zeroizing<Vec<u8>>,
}

impl ExchangeValues {
    /// K as the exchange hash and the key derivation (RFC 4253 section 7.2) take it.
    pub fn encoded_secret(&self) -> Zeroizing<Vec<u8>> {
        // Room for the length and a sign byte: the buffer must not move while it holds the secret.
        let mut out = Zeroizing::new(Vec::with_capacity(self.shared_secret.len() + 5));
        match self.kex.secret_encoding() {
            SecretEncoding::Mpint => out.put_mpint(&self.shared_secret),
            SecretEncoding::String => out.put_string(&self.shared_secret),
        }
        out
    }

    /// The bytes that HASH is applied to (RFC 4253 section 8, RFC 5656 section 4):
    /// V_C, V_S, I_C, I_S, K_S, Q_C or e, Q_S or f, K; with a group that was exchanged
    /// (RFC 4419 section 3) min, n, max, p, g before e.
    ///
    /// `server_identification` is V_S without CR LF, `host_key` the public key blob K_S.
    pub fn hash_input(
        &self,
        server_identification: &[u8],
        host_key: &[u8],
        group: Option<&ChosenGroup>,
    ) -> Zeroizing<Vec<u8>> {
        let mut public = Vec::new();
        for string in [
            self.client_identification.as_slice(),
            server_identification,
            self.client_kexinit.as_slice(),
            self.server_kexinit.as_slice(),
            host_key,
        ] {
            public.put_string(string);
        }
        if let Some(ChosenGroup { request, group }) = group {
            for size in request.fields() {
                public.put_uint32(size);
            }
            public.put_mpint(&group.prime);
            public.put_mpint(&group.generator);
        }
        public.put_string(&self.client_share);
        public.put_string(&self.server_share);
        // The buffer must not move while it holds the secret.
        let secret = self.encoded_secret();
        let mut out = Zeroizing::new(Vec::with_capacity(public.len() + secret.len()));
        out.put_bytes(&public);
        out.put_bytes(&secret);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::{DhGroup, GroupRequest};

    fn values(kex: KexAlgorithm) -> ExchangeValues {
        ExchangeValues {
            client_identification: b"VC".to_vec(),
            client_kexinit: b"IC".to_vec(),
            server_kexinit: b"IS".to_vec(),
            kex,
            host_key: SignatureAlgorithm::Ed25519,
            client_share: b"QC".to_vec(),
            server_share: b"QS".to_vec(),
            shared_secret: Zeroizing::new(vec![0, 0x80]),
        }
    }

    #[test]
    fn the_hash_covers_all_values_in_the_order_of_rfc_5656() {
        let input = values(KexAlgorithm::Curve25519Sha256).hash_input(b"VS", b"KS", None);
        let mut expected = Vec::new();
        for string in [b"VC", b"VS", b"IC", b"IS", b"KS", b"QC", b"QS"] {
            expected.extend([0, 0, 0, 2]);
            expected.extend(string);
        }
        expected.extend([0, 0, 0, 2, 0, 0x80]);
        assert_eq!(input.as_slice(), expected);
    }

    #[test]
    fn the_hash_covers_an_exchanged_group_where_rfc_4419_has_it() {
        let values = values(KexAlgorithm::DhGroupExchangeSha256);
        let group = ChosenGroup {
            request: GroupRequest::new(0x801, 0x802, 0x803).unwrap(),
            group: DhGroup {
                prime: vec![0x80, 1],
                generator: vec![2],
            },
        };
        let without = values.hash_input(b"VS", b"KS", None);
        let input = values.hash_input(b"VS", b"KS", Some(&group));
        let (before, after) = without.split_at(5 * 6);
        let sizes = [0, 0, 8, 1, 0, 0, 8, 2, 0, 0, 8, 3];
        let numbers = [0, 0, 0, 3, 0, 0x80, 1, 0, 0, 0, 1, 2];
        assert_eq!(*input, [before, &sizes, &numbers, after].concat());
    }

    #[test]
    fn the_hybrid_secret_is_a_string_with_its_leading_zero() {
        let secret = values(KexAlgorithm::Mlkem768X25519Sha256).encoded_secret();
        assert_eq!(secret.as_slice(), [0, 0, 0, 2, 0, 0x80]);
        let mut zero_led = values(KexAlgorithm::Mlkem768X25519Sha256);
        zero_led.shared_secret = Zeroizing::new(vec![0, 1]);
        assert_eq!(zero_led.encoded_secret().as_slice(), [0, 0, 0, 2, 0, 1]);
        zero_led.kex = KexAlgorithm::Curve25519Sha256;
        assert_eq!(zero_led.encoded_secret().as_slice(), [0, 0, 0, 1, 1]);
    }
}
