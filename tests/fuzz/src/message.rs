//! Messages of every kind, well formed and mangled.

use arbitrary::Arbitrary;
use wire::codec::Write;
use wire::message::{
    Disconnect, ExtInfo, KexDhGexInit, KexDhGexRequest, KexEcdhInit, KexEcdhReply, KexInit,
    NameList, Ping, ServiceAccept, ServiceRequest, Unimplemented, UserauthFailure,
    UserauthInfoResponse, UserauthPkOk,
};
use wire::names::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm,
};
use wire::userauth::{
    AuthMethod, AuthRequest, HostbasedRequest, KeyboardInteractiveRequest, PublicKeyRequest,
    UserName,
};

/// A payload, described.
#[derive(Debug, Arbitrary)]
pub(crate) struct Message {
    kind: Kind,
    mangling: Option<Mangling>,
}

impl Message {
    /// Never empty.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut out = self.kind.encoded();
        match &self.mangling {
            None => {}
            Some(Mangling::Truncate(length)) => out.truncate(1.max(usize::from(*length))),
            Some(Mangling::Append(bytes)) => out.extend(bytes),
            Some(Mangling::Change { at, by }) => {
                if let Some(byte) = out.get_mut(usize::from(*at)) {
                    *byte ^= by;
                }
            }
        }
        out
    }
}

/// What happens to a well-formed payload.
#[derive(Debug, Arbitrary)]
enum Mangling {
    Truncate(u16),
    Append(Vec<u8>),
    Change { at: u16, by: u8 },
}

/// Contents of a `string`.
#[derive(Debug, Arbitrary)]
enum Blob {
    Short(Vec<u8>),
    /// The length of some share, where a few bytes matter.
    Share {
        kind: u8,
        fill: u8,
        head: Vec<u8>,
    },
    /// At a limit of lengths.
    Long(u8),
}

impl Blob {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Short(bytes) => bytes.clone(),
            Self::Share { kind, fill, head } => {
                let length = pick(SHARES, *kind);
                let mut share = vec![*fill; length];
                for (place, byte) in share.iter_mut().zip(head) {
                    *place = *byte;
                }
                share
            }
            Self::Long(kind) => vec![b'a'; pick(LIMITS, *kind)],
        }
    }
}

/// Shares of clients: X25519, its hybrids with ML-KEM-768 and sntrup761, points on the NIST curves,
/// and numbers modulo the groups of RFC 3526.
const SHARES: &[usize] = &[32, 1216, 1190, 65, 97, 133, 256, 257, 384, 512, 1024];

/// Around the limits of fields.
const LIMITS: &[usize] = &[255, 256, 257, 4096, 16_384, 16_385, 34_000, 65_536];

/// Text that often means something.
#[derive(Debug, Arbitrary)]
enum Text {
    Known(u8),
    Other(String),
}

impl Text {
    fn text(&self) -> &str {
        match self {
            Self::Known(index) => pick(TEXTS, *index),
            Self::Other(text) => text,
        }
    }
}

const TEXTS: &[&str] = &[
    "alice",
    "bob",
    "ssh-userauth",
    "ssh-connection",
    "ssh-ed25519",
    "rsa-sha2-512",
    "publickey",
    "password",
    "none",
];

/// A name-list.
#[derive(Debug, Arbitrary)]
struct Names(Vec<u8>);

impl Names {
    fn list(&self, table: &[&str]) -> String {
        let names = self.0.iter().map(|index| match usize::from(*index) {
            // So that a list needs few bytes to have what the server has.
            0 => table.join(","),
            index => (*table.get(index - 1).unwrap_or(&"x")).to_owned(),
        });
        names.collect::<Vec<_>>().join(",")
    }
}

/// The lists of a KEXINIT in their order.
#[derive(Debug, Arbitrary)]
struct Lists {
    kex: Names,
    host_key: Names,
    cipher: [Names; 2],
    mac: [Names; 2],
    compression: [Names; 2],
    guess: u8,
    reserved: u32,
}

impl Lists {
    fn encode(&self, out: &mut Vec<u8>) {
        const PSEUDO: &[&str] = &["ext-info-c", "kex-strict-c-v00@openssh.com"];
        let kex: Vec<_> = KexAlgorithm::ALL.iter().map(|name| name.name()).collect();
        let kex = [PSEUDO, &kex].concat();
        let host_key: Vec<_> = SignatureAlgorithm::ALL.iter().map(|n| n.name()).collect();
        let cipher: Vec<_> = CipherAlgorithm::ALL
            .iter()
            .map(|name| name.name())
            .collect();
        let mac: Vec<_> = MacAlgorithm::ALL.iter().map(|name| name.name()).collect();
        let compression = CompressionAlgorithm::ALL.iter().map(|name| name.name());
        let compression: Vec<_> = compression.collect();
        let lists = [
            self.kex.list(&kex),
            self.host_key.list(&host_key),
            self.cipher[0].list(&cipher),
            self.cipher[1].list(&cipher),
            self.mac[0].list(&mac),
            self.mac[1].list(&mac),
            self.compression[0].list(&compression),
            self.compression[1].list(&compression),
        ];
        let list = |index: usize| NameList::new(&lists[index]).unwrap_or_else(|_| empty());
        KexInit {
            cookie: [self.guess; 16],
            kex_algorithms: list(0),
            server_host_key_algorithms: list(1),
            encryption_algorithms_client_to_server: list(2),
            encryption_algorithms_server_to_client: list(3),
            mac_algorithms_client_to_server: list(4),
            mac_algorithms_server_to_client: list(5),
            compression_algorithms_client_to_server: list(6),
            compression_algorithms_server_to_client: list(7),
            languages_client_to_server: empty(),
            languages_server_to_client: empty(),
            first_kex_packet_follows: self.guess,
            reserved: self.reserved,
        }
        .encode(out);
    }
}

fn empty() -> NameList<'static> {
    NameList::new("").unwrap()
}

/// Messages by type; numbers without a type of their own are `Other`.
#[derive(Debug, Arbitrary)]
enum Kind {
    KexInit(Lists),
    KexEcdhInit(Blob),
    NewKeys,
    ServiceRequest(Text),
    UserauthRequest {
        user: Text,
        service: Text,
        method: Method,
    },
    Other {
        number: u8,
        rest: Vec<u8>,
    },
    ExtInfo(Vec<(Blob, Blob)>),
    Disconnect {
        reason: u32,
        description: Blob,
        language: Blob,
    },
    Unimplemented(u32),
    KexEcdhReply([Blob; 3]),
    ServiceAccept(Text),
    UserauthFailure(u8),
    UserauthPkOk(Text, Blob),
    Ping(Blob),
    /// min, n, max: what a client asks for is more often near these.
    GroupRequest([Size; 3]),
    GroupInit(Blob),
    InfoResponse(Vec<Blob>),
}

/// Bits of a group.
#[derive(Debug, Arbitrary)]
enum Size {
    Usual(u8),
    Other(u32),
}

impl Size {
    fn bits(&self) -> u32 {
        match self {
            Self::Usual(index) => pick(&[1024, 2048, 3072, 4096, 8192], *index),
            Self::Other(bits) => *bits,
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Method {
    None,
    PublicKey {
        algorithm: Text,
        key: Blob,
        host_key: Option<Blob>,
        signature: Option<Blob>,
    },
    Other(Text, Vec<u8>),
    /// Spelled out: a password need not be one that anybody can have.
    Password {
        password: Blob,
        new: Option<Blob>,
    },
    KeyboardInteractive(Text),
    Hostbased {
        algorithm: Text,
        key: Blob,
        host_name: Text,
        client_user: Text,
        signature: Blob,
    },
}

impl Kind {
    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::KexInit(lists) => lists.encode(&mut out),
            Self::KexEcdhInit(share) => KexEcdhInit {
                client_share: &share.bytes(),
            }
            .encode(&mut out),
            Self::NewKeys => out.put_byte(wire::message::number::NEWKEYS),
            Self::ServiceRequest(service) => ServiceRequest {
                service: service.text(),
            }
            .encode(&mut out),
            Self::UserauthRequest {
                user,
                service,
                method,
            } => authentication(user, service, method, &mut out),
            Self::Other { number, rest } => {
                out.put_byte(*number);
                out.extend(rest);
            }
            Self::ExtInfo(extensions) => {
                let extensions: Vec<_> = extensions
                    .iter()
                    .map(|(name, value)| (name.bytes(), value.bytes()))
                    .collect();
                ExtInfo {
                    extensions: extensions
                        .iter()
                        .map(|(name, value)| (name.as_slice(), value.as_slice()))
                        .collect(),
                }
                .encode(&mut out);
            }
            Self::Disconnect {
                reason,
                description,
                language,
            } => Disconnect {
                reason: *reason,
                description: &description.bytes(),
                language: &language.bytes(),
            }
            .encode(&mut out),
            Self::Unimplemented(sequence_number) => Unimplemented {
                sequence_number: *sequence_number,
            }
            .encode(&mut out),
            Self::KexEcdhReply([host_key, server_share, signature]) => KexEcdhReply {
                host_key: &host_key.bytes(),
                server_share: &server_share.bytes(),
                signature: &signature.bytes(),
            }
            .encode(&mut out),
            Self::ServiceAccept(service) => ServiceAccept {
                service: service.text(),
            }
            .encode(&mut out),
            Self::UserauthFailure(partial_success) => UserauthFailure {
                methods: empty(),
                partial_success: *partial_success,
            }
            .encode(&mut out),
            Self::UserauthPkOk(algorithm, key) => UserauthPkOk {
                algorithm: algorithm.text(),
                key: &key.bytes(),
            }
            .encode(&mut out),
            Self::GroupRequest([min, preferred, max]) => KexDhGexRequest {
                min: min.bits(),
                preferred: preferred.bits(),
                max: max.bits(),
            }
            .encode(&mut out),
            Self::GroupInit(share) => KexDhGexInit {
                client_share: &share.bytes(),
            }
            .encode(&mut out),
            Self::Ping(data) => Ping {
                data: &data.bytes(),
            }
            .encode(&mut out),
            Self::InfoResponse(responses) => {
                let responses: Vec<_> = responses.iter().map(Blob::bytes).collect();
                UserauthInfoResponse {
                    responses: responses.iter().map(Vec::as_slice).collect(),
                }
                .encode(&mut out);
            }
        }
        out
    }
}

fn authentication(user: &Text, service: &Text, method: &Method, out: &mut Vec<u8>) {
    let mut password = Vec::new();
    let (method, rest) = match method {
        Method::None => (AuthMethod::None, [].as_slice()),
        Method::PublicKey {
            algorithm,
            key,
            host_key,
            signature,
        } => {
            let request = PublicKeyRequest {
                algorithm: algorithm.text().to_owned(),
                key: key.bytes(),
                host_key: host_key.as_ref().map(Blob::bytes),
                signature: signature.as_ref().map(Blob::bytes),
            };
            (AuthMethod::PublicKey(request), [].as_slice())
        }
        Method::Other(name, rest) => {
            let name = name.text().to_owned();
            (AuthMethod::Unsupported(name), rest.as_slice())
        }
        Method::Password { password: old, new } => {
            password.put_boolean(new.is_some());
            password.put_string(&old.bytes());
            if let Some(new) = new {
                password.put_string(&new.bytes());
            }
            let name = "password".to_owned();
            (AuthMethod::Unsupported(name), password.as_slice())
        }
        Method::KeyboardInteractive(submethods) => {
            let submethods = submethods.text().to_owned();
            let request = KeyboardInteractiveRequest { submethods };
            (AuthMethod::KeyboardInteractive(request), [].as_slice())
        }
        Method::Hostbased {
            algorithm,
            key,
            host_name,
            client_user,
            signature,
        } => {
            let request = HostbasedRequest {
                algorithm: algorithm.text().to_owned(),
                key: key.bytes(),
                host_name: host_name.text().to_owned(),
                client_user: client_user.text().to_owned(),
                signature: signature.bytes(),
            };
            (AuthMethod::Hostbased(request), [].as_slice())
        }
    };
    AuthRequest {
        user: UserName::new(user.text()).unwrap_or_else(|_| UserName::new("alice").unwrap()),
        service: service.text().to_owned(),
        method,
    }
    .encode(out);
    out.extend(rest);
}

/// Every byte picks something.
pub(crate) fn pick<T: Copy>(table: &[T], index: u8) -> T {
    table[usize::from(index) % table.len()]
}
