//! A small SSH client: it answers key exchanges by itself and leaves the rest to the test.

use std::collections::VecDeque;

use aws_lc_rs::digest::digest;
use aws_lc_rs::signature;
use wire::codec::{Reader, Write};
use wire::exchange::ExchangeValues;
use wire::groups::{ChosenGroup, DhGroup, GroupRequest};
use wire::message::{
    KexDhGexGroup, KexDhGexInit, KexDhGexReply, KexDhGexRequest, KexEcdhInit, KexEcdhReply,
    KexInit, NameList, number,
};
use wire::names::{CipherAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm};

use crate::agreement::{Ephemeral, KeySource, digest_algorithm};
use crate::compressing::{Deflating, Inflating};
use crate::sealing::Key;

/// min, n and max of the client's request for a group.
const GROUP_SIZES: [u32; 3] = [1024, 2048, 4096];

pub(crate) const IDENTIFICATION: &str = "SSH-2.0-test_client";

/// What the client offers.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) kex: KexAlgorithm,
    pub(crate) cipher: CipherAlgorithm,
    /// For ciphers that do not authenticate by themselves.
    pub(crate) mac: MacAlgorithm,
    /// Names around the real method: "before,{kex},after".
    pub(crate) kex_before: &'static str,
    pub(crate) kex_after: &'static str,
    /// Compression methods, for both directions.
    pub(crate) compression: &'static str,
    /// Sends this as a guess right behind its KEXINIT.
    pub(crate) guess: Option<Vec<u8>>,
}

impl Offer {
    /// One method, one cipher, strict key exchange and ext-info.
    pub(crate) fn new(kex: KexAlgorithm, cipher: CipherAlgorithm) -> Self {
        Self {
            kex,
            cipher,
            mac: MacAlgorithm::HmacSha2_256Etm,
            kex_before: "",
            kex_after: ",ext-info-c,kex-strict-c-v00@openssh.com",
            compression: "none",
            guess: None,
        }
    }

    /// An offer for each cipher, and for each MAC where the cipher needs one.
    pub(crate) fn each() -> Vec<Self> {
        let mut offers = Vec::new();
        for cipher in CipherAlgorithm::ALL {
            let macs = match cipher {
                CipherAlgorithm::Chacha20Poly1305
                | CipherAlgorithm::Aes128Gcm
                | CipherAlgorithm::Aes256Gcm => &[MacAlgorithm::HmacSha2_256Etm],
                CipherAlgorithm::Aes128Ctr
                | CipherAlgorithm::Aes192Ctr
                | CipherAlgorithm::Aes256Ctr => MacAlgorithm::ALL,
            };
            offers.extend(macs.iter().map(|mac| Self {
                mac: *mac,
                ..Self::new(KexAlgorithm::Curve25519Sha256, *cipher)
            }));
        }
        offers
    }

    /// Cipher and MAC, for a test's message.
    pub(crate) fn protection(&self) -> String {
        format!("{} {}", self.cipher.name(), self.mac.name())
    }

    /// With compression from the login on.
    pub(crate) fn compressed(self) -> Self {
        Self {
            compression: "zlib@openssh.com,none",
            ..self
        }
    }

    fn is_strict(&self) -> bool {
        self.kex_after.contains("kex-strict-c-v00@openssh.com")
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self::new(KexAlgorithm::Curve25519Sha256, CipherAlgorithm::Aes128Gcm)
    }
}

enum Exchange {
    Idle,
    /// Our KEXINIT is out.
    Requested {
        kexinit: Vec<u8>,
    },
    /// We have asked for a group.
    Asked {
        kexinit: Vec<u8>,
        server_kexinit: Vec<u8>,
    },
    /// Our share is out.
    Shared {
        kexinit: Vec<u8>,
        server_kexinit: Vec<u8>,
        ephemeral: Box<Ephemeral>,
    },
    /// The server's reply is here. Its NEWKEYS is, too, if there is no opening key.
    Agreed {
        sealing: Box<Key>,
        opening: Option<Box<Key>>,
    },
    /// Our NEWKEYS is out.
    AwaitingNewKeys {
        opening: Box<Key>,
    },
}

/// Who sends the client's messages of a key exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The client does, as soon as each is due.
    Prompt,
    /// The test does, by `request_exchange`, `send_share` and `send_new_keys`.
    Stepwise,
}

pub(crate) struct Client {
    pub(crate) offer: Offer,
    identification: &'static str,
    /// Bytes for the server.
    pub(crate) output: Vec<u8>,
    input: Vec<u8>,
    server_identification: Option<Vec<u8>>,
    pub(crate) pace: Pace,
    exchange: Exchange,
    /// The server's KEXINIT, before our share.
    server_kexinit: Option<Vec<u8>>,
    sealing: Key,
    opening: Key,
    /// Streams of zlib@openssh.com, from the login on.
    deflating: Option<Deflating>,
    inflating: Option<Inflating>,
    pub(crate) sequence_out: u32,
    sequence_in: u32,
    pub(crate) session_identifier: Option<Vec<u8>>,
    /// Payloads that are not part of a key exchange, with what was known of the exchange then.
    pub(crate) received: VecDeque<Vec<u8>>,
    /// What `send` holds back during a key exchange.
    held: VecDeque<Vec<u8>>,
    /// Number of completed exchanges.
    pub(crate) exchanges: u32,
    /// Message numbers as they arrived, key exchange included.
    pub(crate) log: Vec<u8>,
    /// Host key of the last exchange.
    pub(crate) host_key: Vec<u8>,
}

impl Client {
    pub(crate) fn new(offer: Offer) -> Self {
        let mut client = Self {
            offer,
            identification: IDENTIFICATION,
            output: format!("{IDENTIFICATION}\r\n").into_bytes(),
            input: Vec::new(),
            server_identification: None,
            pace: Pace::Prompt,
            exchange: Exchange::Idle,
            server_kexinit: None,
            sealing: Key::Clear,
            opening: Key::Clear,
            deflating: None,
            inflating: None,
            sequence_out: 0,
            sequence_in: 0,
            session_identifier: None,
            received: VecDeque::new(),
            held: VecDeque::new(),
            exchanges: 0,
            log: Vec::new(),
            host_key: Vec::new(),
        };
        client.request_exchange();
        client
    }

    /// Calls itself otherwise; to be called before anything of it was sent.
    pub(crate) fn identify(&mut self, identification: &'static str) {
        self.output
            .splice(..self.identification.len(), identification.bytes());
        self.identification = identification;
    }

    /// A client that has sent nothing but its identification string, for tests that send the rest.
    pub(crate) fn silent(offer: Offer) -> Self {
        let mut client = Self::new(offer);
        client.output.truncate(IDENTIFICATION.len() + 2);
        client.sequence_out = 0;
        client.exchange = Exchange::Idle;
        client
    }

    /// Payload of our KEXINIT.
    pub(crate) fn kexinit(&self) -> Vec<u8> {
        let kex = format!(
            "{}{}{}",
            self.offer.kex_before,
            self.offer.kex.name(),
            self.offer.kex_after
        );
        let list = |names| NameList::new(names).unwrap();
        let cipher = list(self.offer.cipher.name());
        let mac = list(self.offer.mac.name());
        let mut out = Vec::new();
        KexInit {
            cookie: [0x5a; 16],
            kex_algorithms: list(&kex),
            server_host_key_algorithms: list(SignatureAlgorithm::Ed25519.name()),
            encryption_algorithms_client_to_server: cipher,
            encryption_algorithms_server_to_client: cipher,
            mac_algorithms_client_to_server: mac,
            mac_algorithms_server_to_client: mac,
            compression_algorithms_client_to_server: list(self.offer.compression),
            compression_algorithms_server_to_client: list(self.offer.compression),
            languages_client_to_server: list(""),
            languages_server_to_client: list(""),
            first_kex_packet_follows: u8::from(self.offer.guess.is_some()),
            reserved: 0,
        }
        .encode(&mut out);
        out
    }

    /// Sends a KEXINIT unless an exchange is under way; whether it was sent.
    pub(crate) fn request_exchange(&mut self) -> bool {
        if !matches!(self.exchange, Exchange::Idle) {
            return false;
        }
        let kexinit = self.kexinit();
        self.send_now(&kexinit);
        if let Some(guess) = self.offer.guess.clone() {
            self.send_now(&guess);
        }
        self.exchange = Exchange::Requested { kexinit };
        true
    }

    /// Whether the client is not between its KEXINIT and its NEWKEYS.
    pub(crate) fn may_send(&self) -> bool {
        self.exchanges > 0
            && matches!(
                self.exchange,
                Exchange::Idle | Exchange::AwaitingNewKeys { .. }
            )
    }

    /// Sends a payload, after the key exchange if there is one.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        match self.may_send() {
            true => self.send_now(payload),
            false => self.held.push_back(payload.to_vec()),
        }
    }

    /// Seals a payload whatever the state is.
    pub(crate) fn send_now(&mut self, payload: &[u8]) {
        match &mut self.deflating {
            None => self.send_sealed(payload),
            Some(deflating) => {
                let payload = deflating.payload(payload);
                self.send_sealed(&payload);
            }
        }
    }

    /// Seals a payload as it is, even where it should be compressed.
    pub(crate) fn send_sealed(&mut self, payload: &[u8]) {
        let block = self.sealing.block();
        let covered = self.sealing.covered_header() + payload.len();
        let padding = 4 + (covered + 4).next_multiple_of(block) - (covered + 4);
        let length = u32::try_from(1 + payload.len() + padding).unwrap();
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).unwrap());
        packet.extend(payload);
        packet.resize(packet.len() + padding, 0xee);
        self.sealing.seal(self.sequence_out, &mut packet);
        self.sequence_out = self.sequence_out.wrapping_add(1);
        self.output.extend(packet);
    }

    /// Takes bytes from the server and acts on every complete packet.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        if self.server_identification.is_none() {
            let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else {
                return;
            };
            self.server_identification = Some(self.input[..end].to_vec());
            self.input.drain(..end + 2);
        }
        while let Some(payload) = self.next_packet() {
            self.log.push(payload[0]);
            self.handle(payload);
        }
    }

    fn next_packet(&mut self) -> Option<Vec<u8>> {
        let field: [u8; 4] = self.input.get(..4)?.try_into().unwrap();
        let length = self.opening.length(self.sequence_in, field) as usize;
        let total = 4 + length + self.opening.tag();
        if self.input.len() < total {
            return None;
        }
        let mut packet: Vec<u8> = self.input.drain(..total).collect();
        self.opening.open(self.sequence_in, &mut packet);
        self.sequence_in = self.sequence_in.wrapping_add(1);
        let padding = usize::from(packet[4]);
        let payload = &packet[5..4 + length - padding];
        Some(match &mut self.inflating {
            None => payload.to_vec(),
            Some(inflating) => inflating.payload(payload),
        })
    }

    fn handle(&mut self, payload: Vec<u8>) {
        match payload[0] {
            number::KEXINIT => {
                let second = self.server_kexinit.replace(payload);
                assert_eq!(second, None, "second KEXINIT");
            }
            number::KEX_DH_GEX_GROUP if matches!(self.exchange, Exchange::Asked { .. }) => {
                self.handle_group(&payload);
            }
            number::KEX_ECDH_REPLY => {
                let reply = KexEcdhReply::decode(&payload).unwrap();
                self.handle_reply(reply.host_key, reply.server_share, reply.signature);
            }
            number::KEX_DH_GEX_REPLY => {
                let reply = KexDhGexReply::decode(&payload).unwrap();
                self.handle_reply(reply.host_key, reply.server_share, reply.signature);
            }
            number::NEWKEYS => self.handle_new_keys(),
            number::USERAUTH_SUCCESS => {
                if self.offer.compression.starts_with("zlib@openssh.com") {
                    self.deflating = Some(Deflating::new());
                    self.inflating = Some(Inflating::new());
                }
                self.received.push_back(payload);
            }
            _ => self.received.push_back(payload),
        }
        if self.pace == Pace::Prompt {
            if self.server_kexinit.is_some() {
                self.request_exchange();
            }
            self.send_share();
            self.send_new_keys();
        }
    }

    /// Sends our share if it is due; whether it was.
    pub(crate) fn send_share(&mut self) -> bool {
        let Exchange::Requested { kexinit } = &mut self.exchange else {
            return false;
        };
        let Some(server_kexinit) = self.server_kexinit.take() else {
            return false;
        };
        let kexinit = std::mem::take(kexinit);
        if self.offer.kex == KexAlgorithm::DhGroupExchangeSha256 {
            let [min, preferred, max] = GROUP_SIZES;
            let mut request = Vec::new();
            KexDhGexRequest {
                min,
                preferred,
                max,
            }
            .encode(&mut request);
            self.send_now(&request);
            self.exchange = Exchange::Asked {
                kexinit,
                server_kexinit,
            };
            return true;
        }
        let ephemeral = Box::new(Ephemeral::generate(self.offer.kex));
        let mut init = Vec::new();
        KexEcdhInit {
            client_share: &ephemeral.share,
        }
        .encode(&mut init);
        // A right guess would have been this message already; tests send wrong ones only.
        self.send_now(&init);
        self.exchange = Exchange::Shared {
            kexinit,
            server_kexinit,
            ephemeral,
        };
        true
    }

    fn handle_group(&mut self, payload: &[u8]) {
        let exchange = std::mem::replace(&mut self.exchange, Exchange::Idle);
        let Exchange::Asked {
            kexinit,
            server_kexinit,
        } = exchange
        else {
            panic!("unexpected group")
        };
        let group = KexDhGexGroup::decode(payload).unwrap();
        let [min, preferred, max] = GROUP_SIZES;
        let chosen = ChosenGroup {
            request: GroupRequest::new(min, preferred, max).unwrap(),
            group: DhGroup {
                prime: group.prime.to_vec(),
                generator: group.generator.to_vec(),
            },
        };
        let ephemeral = Box::new(Ephemeral::in_group(self.offer.kex, chosen));
        let mut init = Vec::new();
        KexDhGexInit {
            client_share: &ephemeral.share,
        }
        .encode(&mut init);
        self.send_now(&init);
        self.exchange = Exchange::Shared {
            kexinit,
            server_kexinit,
            ephemeral,
        };
    }

    fn handle_reply(&mut self, host_key: &[u8], server_share: &[u8], signature: &[u8]) {
        let exchange = std::mem::replace(&mut self.exchange, Exchange::Idle);
        let Exchange::Shared {
            kexinit,
            server_kexinit,
            ephemeral,
        } = exchange
        else {
            panic!("unexpected reply")
        };
        let (client_share, group) = (ephemeral.share.clone(), ephemeral.group.clone());
        let values = ExchangeValues {
            client_identification: self.identification.as_bytes().to_vec(),
            client_kexinit: kexinit,
            server_kexinit,
            kex: self.offer.kex,
            host_key: SignatureAlgorithm::Ed25519,
            client_share,
            server_share: server_share.to_vec(),
            shared_secret: (*ephemeral).secret(server_share),
        };
        let server_identification = self.server_identification.clone().unwrap();
        let algorithm = digest_algorithm(self.offer.kex);
        let input = values.hash_input(&server_identification, host_key, group.as_ref());
        let hash = digest(algorithm, &input).as_ref().to_vec();
        verify(host_key, signature, &hash);
        self.host_key = host_key.to_vec();

        let session = self.session_identifier.get_or_insert_with(|| hash.clone());
        let keys = KeySource {
            algorithm,
            secret: values.encoded_secret(),
            hash: &hash,
            session,
        };
        let new_key = |letters| Key::new(self.offer.cipher, self.offer.mac, letters, &keys);
        let (sealing, opening) = (new_key(*b"ACE"), new_key(*b"BDF"));
        self.exchange = Exchange::Agreed {
            sealing: Box::new(sealing),
            opening: Some(Box::new(opening)),
        };
    }

    /// Sends our NEWKEYS if it is due; whether it was.
    pub(crate) fn send_new_keys(&mut self) -> bool {
        match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Agreed { sealing, opening } => {
                self.send_now(&[number::NEWKEYS]);
                self.sealing = *sealing;
                self.deflating = self.deflating.take().map(|_| Deflating::new());
                if self.offer.is_strict() {
                    self.sequence_out = 0;
                }
                match opening {
                    Some(opening) => self.exchange = Exchange::AwaitingNewKeys { opening },
                    None => self.end_exchange(),
                }
                true
            }
            exchange => {
                self.exchange = exchange;
                false
            }
        }
    }

    fn handle_new_keys(&mut self) {
        let (opening, exchange) = match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::AwaitingNewKeys { opening } => (opening, Exchange::Idle),
            Exchange::Agreed {
                sealing,
                opening: Some(opening),
            } => {
                let opened = Exchange::Agreed {
                    sealing,
                    opening: None,
                };
                (opening, opened)
            }
            _ => panic!("unexpected NEWKEYS"),
        };
        self.opening = *opening;
        self.inflating = self.inflating.take().map(|_| Inflating::new());
        if self.offer.is_strict() {
            self.sequence_in = 0;
        }
        self.exchange = exchange;
        if matches!(self.exchange, Exchange::Idle) {
            self.end_exchange();
        }
    }

    fn end_exchange(&mut self) {
        self.exchanges += 1;
        while let Some(held) = self.held.pop_front() {
            self.send_now(&held);
        }
    }
}

fn verify(host_key: &[u8], blob: &[u8], hash: &[u8]) {
    let mut key = Reader::new(host_key);
    assert_eq!(key.string(100).unwrap(), b"ssh-ed25519");
    let key = key.string(32).unwrap();
    let mut blob = Reader::new(blob);
    assert_eq!(blob.string(100).unwrap(), b"ssh-ed25519");
    let blob = blob.string(64).unwrap();
    signature::UnparsedPublicKey::new(&signature::ED25519, key)
        .verify(hash, blob)
        .unwrap();
}

/// Payload of a service request.
pub(crate) fn service_request(service: &str) -> Vec<u8> {
    let mut out = vec![number::SERVICE_REQUEST];
    out.put_string(service.as_bytes());
    out
}

/// A message of the connection protocol that carries a number and `length` more bytes.
pub(crate) fn data(index: u32, length: usize) -> Vec<u8> {
    let mut out = vec![94];
    out.put_uint32(index);
    out.resize(out.len() + length, u8::try_from(index % 251).unwrap());
    out
}
