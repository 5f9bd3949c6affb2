//! OpenSSH certificates (PROTOCOL.certkeys, PROTOCOL.u2f): their fields, without any judgement.
//!
//! [`Certificate::decode`] accepts one encoding per certificate: whole fields, nothing behind them,
//! options in order and once each, text that is text. Who signed it, whether that signature verifies
//! and what the certificate is good for is for others to say.

use crate::codec::{DecodeError, Reader, Write};
use crate::names::KeyType;

/// Longest certificate in bytes. The largest honest ones have an RSA key of 8192 bits, an RSA
/// authority of as many, and some dozens of principals.
pub const CERTIFICATE_LIMIT: usize = 32 * 1024;

/// Most principals of a certificate: OpenSSH's limit (SSHKEY_CERT_MAX_PRINCIPALS).
pub const PRINCIPAL_LIMIT: usize = 256;

/// Most options of one kind; OpenSSH knows three critical ones and six extensions.
const OPTION_LIMIT: usize = 64;

/// Longest name of a key type (RFC 4250 section 4.6.1).
const NAME_LIMIT: usize = 64;

/// The fields of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// "nonce": random bytes of the authority's choice.
    pub nonce: Vec<u8>,
    /// The key that the certificate is about, in its plain form (RFC 4253 section 6.6).
    pub key: Vec<u8>,
    /// "serial": 0 where the authority does not number its certificates.
    pub serial: u64,
    /// "type"
    pub kind: CertificateKind,
    /// "key id": free text for the log.
    pub key_id: String,
    /// "valid principals": users or hosts, one element each. A name with a comma in it is one name.
    pub principals: Vec<String>,
    /// "valid after" and "valid before"
    pub validity: Validity,
    /// "critical options": whoever does not know one must refuse the certificate.
    pub critical_options: Vec<CertificateOption>,
    /// "extensions": whoever does not know one ignores it.
    pub extensions: Vec<CertificateOption>,
    /// "reserved": ignored by PROTOCOL.certkeys.
    pub reserved: Vec<u8>,
    /// "signature key": the authority's public key blob.
    pub signature_key: Vec<u8>,
    /// "signature": signature blob over everything before it.
    pub signature: Vec<u8>,
    /// The whole certificate as it came.
    blob: Vec<u8>,
    /// How many bytes of it the signature covers.
    signed: usize,
    key_type: KeyType,
}

/// What a certificate certifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateKind {
    /// SSH_CERT_TYPE_USER
    User,
    /// SSH_CERT_TYPE_HOST
    Host,
}

/// When a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub after: u64,
    /// The first second after; all ones is for ever.
    pub before: u64,
}

/// A critical option or an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOption {
    /// "name"
    pub name: String,
    /// "data": empty, or what the option's definition says.
    pub data: Vec<u8>,
}

impl Certificate {
    /// Reads a public key blob that is a certificate.
    ///
    /// # Errors
    /// The fields are not those of PROTOCOL.certkeys, or there is another encoding of the same.
    pub fn decode(blob: &[u8]) -> Result<Self, DecodeError> {
        if blob.len() > CERTIFICATE_LIMIT {
            return Err(DecodeError::TooLong {
                length: blob.len(),
                limit: CERTIFICATE_LIMIT,
            });
        }
        let mut reader = Reader::new(blob);
        let key_type = KeyType::from_name(reader.text(NAME_LIMIT)?)
            .filter(|kind| kind.is_certificate())
            .ok_or(DecodeError::OutOfRange)?;
        let nonce = reader.string(blob.len())?.to_vec();
        let key = plain_key(&mut reader, key_type)?;
        let serial = reader.uint64()?;
        let kind = match reader.uint32()? {
            1 => CertificateKind::User,
            2 => CertificateKind::Host,
            _ => return Err(DecodeError::OutOfRange),
        };
        let key_id = plain_text(&mut reader)?;
        let principals = principals(reader.string(blob.len())?)?;
        let validity = Validity {
            after: reader.uint64()?,
            before: reader.uint64()?,
        };
        let critical_options = options(reader.string(blob.len())?)?;
        let extensions = options(reader.string(blob.len())?)?;
        let reserved = reader.string(blob.len())?.to_vec();
        let signature_key = reader.string(blob.len())?.to_vec();
        let signed = blob.len().saturating_sub(reader.rest().len());
        let signature = reader.string(blob.len())?.to_vec();
        reader.finish()?;
        Ok(Self {
            nonce,
            key,
            serial,
            kind,
            key_id,
            principals,
            validity,
            critical_options,
            extensions,
            reserved,
            signature_key,
            signature,
            blob: blob.to_vec(),
            signed,
            key_type,
        })
    }

    /// The certificate as it came.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The type that the blob names.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// What the authority signed: all fields before the signature, its own key among them.
    pub fn signed_data(&self) -> &[u8] {
        self.blob.get(..self.signed).unwrap_or_default()
    }
}

impl Validity {
    /// Whether a moment, in seconds since 1970, lies within.
    pub fn contains(self, now: u64) -> bool {
        (self.after..self.before).contains(&now)
    }
}

/// The fields of the key itself, under the name of the plain type.
fn plain_key(reader: &mut Reader<'_>, kind: KeyType) -> Result<Vec<u8>, DecodeError> {
    let plain = kind.plain();
    let fields = match plain {
        // pk
        KeyType::Ed25519 => 1,
        // e, n
        KeyType::Rsa => 2,
        // curve, public_key
        KeyType::EcdsaNistp256 | KeyType::EcdsaNistp384 | KeyType::EcdsaNistp521 => 2,
        // pk, application
        KeyType::SkEd25519 => 2,
        // curve, public_key, application
        KeyType::SkEcdsaNistp256 => 3,
        // `plain` yields none of these.
        KeyType::Ed25519Cert
        | KeyType::EcdsaNistp256Cert
        | KeyType::EcdsaNistp384Cert
        | KeyType::EcdsaNistp521Cert
        | KeyType::SkEd25519Cert
        | KeyType::SkEcdsaNistp256Cert
        | KeyType::RsaCert => return Err(DecodeError::OutOfRange),
    };
    let mut key = Vec::new();
    key.put_string(plain.name().as_bytes());
    for _ in 0..fields {
        key.put_string(reader.string(CERTIFICATE_LIMIT)?);
    }
    Ok(key)
}

/// Text without NUL: what follows one would be invisible to whoever compares as C does.
fn plain_text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let text = reader.text(CERTIFICATE_LIMIT)?;
    match text.contains('\0') {
        true => Err(DecodeError::Encoding),
        false => Ok(text.to_owned()),
    }
}

fn principals(bytes: &[u8]) -> Result<Vec<String>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut principals = Vec::new();
    while !reader.rest().is_empty() {
        if principals.len() >= PRINCIPAL_LIMIT {
            return Err(DecodeError::OutOfRange);
        }
        principals.push(plain_text(&mut reader)?);
    }
    Ok(principals)
}

/// Options, "lexically ordered by name" and each name once (PROTOCOL.certkeys).
fn options(bytes: &[u8]) -> Result<Vec<CertificateOption>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut options: Vec<CertificateOption> = Vec::new();
    while !reader.rest().is_empty() {
        let option = CertificateOption {
            name: plain_text(&mut reader)?,
            data: reader.string(bytes.len())?.to_vec(),
        };
        let in_order = options.last().is_none_or(|last| last.name < option.name);
        if !in_order || options.len() >= OPTION_LIMIT {
            return Err(DecodeError::OutOfRange);
        }
        options.push(option);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        parts.iter().for_each(|part| out.put_string(part));
        out
    }

    /// The parts of a certificate, to be changed one at a time.
    struct Parts {
        kind: u32,
        key_id: Vec<u8>,
        principals: Vec<u8>,
        critical: Vec<u8>,
        extensions: Vec<u8>,
    }

    impl Parts {
        fn new() -> Self {
            Self {
                kind: 1,
                key_id: b"id".to_vec(),
                principals: strings(&[b"alice", b"bob,root"]),
                critical: strings(&[b"force-command", &strings(&[b"true"])]),
                extensions: strings(&[b"permit-pty", b"", b"permit-user-rc", b""]),
            }
        }

        fn blob(&self) -> Vec<u8> {
            let mut out = strings(&[b"ssh-ed25519-cert-v01@openssh.com", b"nonce", &[7; 32]]);
            out.put_uint64(42);
            out.put_uint32(self.kind);
            out.put_string(&self.key_id);
            out.put_string(&self.principals);
            out.put_uint64(1000);
            out.put_uint64(2000);
            out.put_string(&self.critical);
            out.put_string(&self.extensions);
            out.put_string(b"");
            out.put_string(b"authority");
            out.put_string(b"signature");
            out
        }
    }

    #[test]
    fn every_field_is_where_the_protocol_says() {
        let blob = Parts::new().blob();
        let certificate = Certificate::decode(&blob).unwrap();
        assert_eq!(certificate.blob(), blob);
        assert_eq!(certificate.key_type(), KeyType::Ed25519Cert);
        assert_eq!(certificate.nonce, b"nonce");
        assert_eq!(certificate.key, strings(&[b"ssh-ed25519", &[7; 32]]));
        assert_eq!(certificate.serial, 42);
        assert_eq!(certificate.kind, CertificateKind::User);
        assert_eq!(certificate.key_id, "id");
        assert_eq!(certificate.principals, ["alice", "bob,root"]);
        assert!(!certificate.validity.contains(999) && certificate.validity.contains(1000));
        assert!(certificate.validity.contains(1999) && !certificate.validity.contains(2000));
        assert_eq!(certificate.critical_options[0].name, "force-command");
        assert_eq!(certificate.extensions.len(), 2);
        assert_eq!(certificate.signature_key, b"authority");
        assert_eq!(certificate.signature, b"signature");
        let signed = blob.len() - 4 - b"signature".len();
        assert_eq!(certificate.signed_data(), &blob[..signed]);
    }

    #[test]
    fn a_cut_or_longer_certificate_is_refused() {
        let blob = Parts::new().blob();
        for length in 0..blob.len() {
            assert!(Certificate::decode(&blob[..length]).is_err(), "{length}");
        }
        assert_eq!(
            Certificate::decode(&[blob, vec![0]].concat()),
            Err(DecodeError::Trailing(1))
        );
    }

    #[test]
    fn what_has_another_encoding_or_no_meaning_is_refused() {
        let refused = |change: &dyn Fn(&mut Parts)| {
            let mut parts = Parts::new();
            change(&mut parts);
            Certificate::decode(&parts.blob()).unwrap_err()
        };
        for kind in [0, 3] {
            assert_eq!(refused(&|parts| parts.kind = kind), DecodeError::OutOfRange);
        }
        assert_eq!(
            refused(&|parts| parts.key_id = b"a\0b".to_vec()),
            DecodeError::Encoding
        );
        assert_eq!(
            refused(&|parts| parts.principals = strings(&[b"root\0x"])),
            DecodeError::Encoding
        );
        let unordered = strings(&[b"permit-user-rc", b"", b"permit-pty", b""]);
        let twice = strings(&[b"permit-pty", b"", b"permit-pty", b""]);
        for options in [unordered, twice] {
            assert_eq!(
                refused(&|parts| parts.extensions.clone_from(&options)),
                DecodeError::OutOfRange
            );
            assert_eq!(
                refused(&|parts| parts.critical.clone_from(&options)),
                DecodeError::OutOfRange
            );
        }
        let dangling = strings(&[b"permit-pty"]);
        assert_eq!(
            refused(&|parts| parts.extensions.clone_from(&dangling)),
            DecodeError::Truncated
        );
    }

    #[test]
    fn principals_and_size_are_bounded() {
        let mut parts = Parts::new();
        parts.principals = strings(&[b"x".as_slice(); PRINCIPAL_LIMIT]);
        assert!(Certificate::decode(&parts.blob()).is_ok());
        parts.principals = strings(&[b"x".as_slice(); PRINCIPAL_LIMIT + 1]);
        assert!(Certificate::decode(&parts.blob()).is_err());
        parts = Parts::new();
        parts.key_id = vec![b'x'; CERTIFICATE_LIMIT];
        assert!(matches!(
            Certificate::decode(&parts.blob()),
            Err(DecodeError::TooLong { .. })
        ));
    }

    #[test]
    fn a_plain_key_is_no_certificate() {
        let plain = strings(&[b"ssh-ed25519", &[7; 32]]);
        assert_eq!(Certificate::decode(&plain), Err(DecodeError::OutOfRange));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(
            kind in 0..KeyType::ALL.len(),
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let blob = [strings(&[KeyType::ALL[kind].name().as_bytes()]), rest].concat();
            drop(Certificate::decode(&blob));
        }
    }
}
