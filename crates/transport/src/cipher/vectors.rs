//! Our packets against those of other implementations: `packets.py` beside them says which.

use aws_lc_rs::digest::{SHA256, digest};
use wire::names::{CipherAlgorithm, HashAlgorithm, MacAlgorithm};

use super::tests::{all, lay_out};
use super::{DirectionAlgorithms, OpeningKey, SealingKey};
use crate::keys::{ExchangeHash, Flow, KeySource};

const VECTORS: &str = include_str!("../../../../tests/vectors/packets.txt");

struct Vector {
    algorithms: DirectionAlgorithms,
    sequence: u32,
    payload: usize,
    packet: &'static str,
}

impl Vector {
    fn parse(line: &'static str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [cipher, mac, sequence, payload, packet] = words[..] else {
            panic!("{line}");
        };
        Self {
            algorithms: DirectionAlgorithms {
                cipher: CipherAlgorithm::from_name(cipher).unwrap(),
                mac: MacAlgorithm::from_name(mac),
            },
            sequence: sequence.parse().unwrap(),
            payload: payload.parse().unwrap(),
            packet,
        }
    }
}

fn keys(algorithms: DirectionAlgorithms) -> (SealingKey, OpeningKey) {
    let source = KeySource {
        hash: HashAlgorithm::Sha256,
        secret: b"secret",
        exchange_hash: &ExchangeHash::compute(HashAlgorithm::Sha256, b"second exchange"),
        session_identifier: &ExchangeHash::compute(HashAlgorithm::Sha256, b"first exchange"),
    };
    let keys = source.direction(Flow::ServerToClient);
    (
        SealingKey::new(algorithms, &keys).unwrap(),
        OpeningKey::new(algorithms, &keys).unwrap(),
    )
}

/// The script's payload of this length.
fn payload(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from(index * 7 % 251).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As the script writes a packet.
fn shown(packet: &[u8]) -> String {
    match packet.len() {
        ..1000 => hex(packet),
        _ => format!("sha256:{}", hex(digest(&SHA256, packet).as_ref())),
    }
}

#[test]
fn packets_are_those_of_other_implementations() {
    let vectors: Vec<Vector> = VECTORS.lines().map(Vector::parse).collect();
    let mut seen = Vec::new();
    for of_one_key in vectors.chunk_by(|one, next| one.algorithms == next.algorithms) {
        let algorithms = of_one_key[0].algorithms;
        let (mut sealing, mut opening) = keys(algorithms);
        for vector in of_one_key {
            let layout = sealing.layout();
            let clear = lay_out(&payload(vector.payload), layout);
            let mut packet = clear.clone();
            sealing.seal(vector.sequence, &mut packet).unwrap();
            assert_eq!(shown(&packet), vector.packet, "{algorithms:?}");

            let field = *packet.first_chunk().unwrap();
            let length = opening.packet_length(vector.sequence, field).unwrap();
            assert_eq!(length.to_be_bytes(), clear[..4]);
            opening.open(vector.sequence, &mut packet).unwrap();
            let body = 4..packet.len() - layout.tag;
            assert!(packet[body.clone()] == clear[body], "{algorithms:?}");
        }
        seen.push(algorithms);
    }
    assert_eq!(seen, all().collect::<Vec<_>>());
}
