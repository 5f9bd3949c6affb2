//! Sealing and opening of whole packets, in place.
//!
//! A packet is `packet_length || padding_length || payload || padding || tag` (RFC 4253 section 6)
//! in one slice. What differs between algorithms is how `packet_length` is hidden and what the tag
//! covers, so each algorithm has a module of its own and [`SealingKey`] and [`OpeningKey`] choose.

mod chacha20poly1305;
mod ctr;
mod ctr_mac;
mod gcm;
mod mac;
mod umac;
#[cfg(test)]
mod vectors;

use wire::names::{CipherAlgorithm, MacAlgorithm};

use crate::error::{Error, Failure};
use crate::keys::DirectionKeys;

/// Bytes of `packet_length`.
pub(crate) const LENGTH_FIELD: usize = 4;

/// Longest tag of any algorithm, in bytes (HMAC-SHA-512).
pub(crate) const TAG_LIMIT: usize = 64;

/// Cipher and MAC of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectionAlgorithms {
    /// Encryption algorithm.
    pub cipher: CipherAlgorithm,
    /// MAC algorithm; `None` for a cipher that authenticates by itself.
    pub mac: Option<MacAlgorithm>,
}

/// How packets are laid out for an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Padding makes the covered bytes a multiple of this.
    pub(crate) block: usize,
    /// First byte that padding counts: 0 with `packet_length`, 4 without it.
    pub(crate) aligned_from: usize,
    /// Bytes of the tag.
    pub(crate) tag: usize,
}

/// The sending side's key.
pub(crate) enum SealingKey {
    /// Before the first key exchange.
    Clear,
    /// AES-GCM.
    Gcm(gcm::Key),
    /// ChaCha20 and Poly1305.
    Chacha20Poly1305(chacha20poly1305::SealingKey),
    /// AES-CTR and a MAC.
    CtrMac(Box<ctr_mac::Key>),
}

/// The receiving side's key.
pub(crate) enum OpeningKey {
    /// Before the first key exchange.
    Clear,
    /// AES-GCM.
    Gcm(gcm::Key),
    /// ChaCha20 and Poly1305.
    Chacha20Poly1305(chacha20poly1305::OpeningKey),
    /// AES-CTR and a MAC.
    CtrMac(Box<ctr_mac::Key>),
}

/// Whether a cipher authenticates by itself, so that no MAC is negotiated.
pub(crate) fn authenticates(cipher: CipherAlgorithm) -> bool {
    match cipher {
        CipherAlgorithm::Chacha20Poly1305
        | CipherAlgorithm::Aes128Gcm
        | CipherAlgorithm::Aes256Gcm => true,
        CipherAlgorithm::Aes128Ctr | CipherAlgorithm::Aes192Ctr | CipherAlgorithm::Aes256Ctr => {
            false
        }
    }
}

/// Layout before the first key exchange: as if the cipher had blocks of eight bytes.
const CLEAR: Layout = Layout {
    block: 8,
    aligned_from: 0,
    tag: 0,
};

impl SealingKey {
    /// Derives and prepares what the algorithms of this direction need.
    pub(crate) fn new(
        algorithms: DirectionAlgorithms,
        keys: &DirectionKeys<'_>,
    ) -> Result<Self, Error> {
        Ok(match algorithms.cipher {
            CipherAlgorithm::Aes128Gcm | CipherAlgorithm::Aes256Gcm => {
                Self::Gcm(gcm::Key::new(algorithms.cipher, keys)?)
            }
            CipherAlgorithm::Chacha20Poly1305 => {
                Self::Chacha20Poly1305(chacha20poly1305::SealingKey::new(keys)?)
            }
            CipherAlgorithm::Aes128Ctr
            | CipherAlgorithm::Aes192Ctr
            | CipherAlgorithm::Aes256Ctr => Self::CtrMac(Box::new(ctr_mac::Key::new(
                algorithms.cipher,
                algorithms.mac.ok_or(Failure::Cryptography)?,
                keys,
            )?)),
        })
    }

    /// How packets are laid out.
    pub(crate) fn layout(&self) -> Layout {
        match self {
            Self::Clear => CLEAR,
            Self::Gcm(_) => gcm::LAYOUT,
            Self::Chacha20Poly1305(_) => chacha20poly1305::LAYOUT,
            Self::CtrMac(key) => key.layout(),
        }
    }

    /// Encrypts `packet` and fills in its tag. `packet` is laid out as [`Self::layout`] says.
    pub(crate) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Clear => Ok(()),
            Self::Gcm(key) => key.seal(packet),
            Self::Chacha20Poly1305(key) => key.seal(sequence, packet),
            Self::CtrMac(key) => key.seal(sequence, packet),
        }
    }
}

impl OpeningKey {
    /// Derives and prepares what the algorithms of this direction need.
    pub(crate) fn new(
        algorithms: DirectionAlgorithms,
        keys: &DirectionKeys<'_>,
    ) -> Result<Self, Error> {
        Ok(match algorithms.cipher {
            CipherAlgorithm::Aes128Gcm | CipherAlgorithm::Aes256Gcm => {
                Self::Gcm(gcm::Key::new(algorithms.cipher, keys)?)
            }
            CipherAlgorithm::Chacha20Poly1305 => {
                Self::Chacha20Poly1305(chacha20poly1305::OpeningKey::new(keys)?)
            }
            CipherAlgorithm::Aes128Ctr
            | CipherAlgorithm::Aes192Ctr
            | CipherAlgorithm::Aes256Ctr => Self::CtrMac(Box::new(ctr_mac::Key::new(
                algorithms.cipher,
                algorithms.mac.ok_or(Failure::Cryptography)?,
                keys,
            )?)),
        })
    }

    /// How packets are laid out.
    pub(crate) fn layout(&self) -> Layout {
        match self {
            Self::Clear => CLEAR,
            Self::Gcm(_) => gcm::LAYOUT,
            Self::Chacha20Poly1305(_) => chacha20poly1305::LAYOUT,
            Self::CtrMac(key) => key.layout(),
        }
    }

    /// `packet_length` of the next packet. Changes no state: it may be asked again when more has
    /// arrived. The answer is not authenticated yet.
    pub(crate) fn packet_length(
        &self,
        sequence: u32,
        field: [u8; LENGTH_FIELD],
    ) -> Result<u32, Error> {
        match self {
            Self::Clear | Self::Gcm(_) => Ok(u32::from_be_bytes(field)),
            Self::Chacha20Poly1305(key) => Ok(key.packet_length(sequence, field)),
            Self::CtrMac(key) => key.packet_length(field),
        }
    }

    /// Checks the tag of a whole packet and decrypts what follows `packet_length`, whose own bytes
    /// are of no use afterwards.
    pub(crate) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Clear => Ok(()),
            Self::Gcm(key) => key.open(packet),
            Self::Chacha20Poly1305(key) => key.open(sequence, packet),
            Self::CtrMac(key) => key.open(sequence, packet),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use wire::names::HashAlgorithm;

    use super::*;
    use crate::keys::{ExchangeHash, Flow, KeySource};

    /// Every cipher, with every MAC where it needs one.
    pub(crate) fn all() -> impl Iterator<Item = DirectionAlgorithms> {
        CipherAlgorithm::ALL.iter().flat_map(|cipher| {
            let macs: Vec<_> = match authenticates(*cipher) {
                true => vec![None],
                false => MacAlgorithm::ALL.iter().copied().map(Some).collect(),
            };
            macs.into_iter().map(|mac| DirectionAlgorithms {
                cipher: *cipher,
                mac,
            })
        })
    }

    pub(crate) fn pair(algorithms: DirectionAlgorithms) -> (SealingKey, OpeningKey) {
        let hash = ExchangeHash::compute(HashAlgorithm::Sha256, b"test");
        let source = KeySource {
            hash: HashAlgorithm::Sha256,
            secret: b"secret",
            exchange_hash: &hash,
            session_identifier: &hash,
        };
        let keys = source.direction(Flow::ServerToClient);
        (
            SealingKey::new(algorithms, &keys).unwrap(),
            OpeningKey::new(algorithms, &keys).unwrap(),
        )
    }

    /// A packet in clear with the least padding, and room for its tag (RFC 4253 section 6).
    pub(super) fn lay_out(payload: &[u8], layout: Layout) -> Vec<u8> {
        let covered = LENGTH_FIELD - layout.aligned_from + 1 + payload.len() + 4;
        let padding = 4 + covered.next_multiple_of(layout.block) - covered;
        let length = u32::try_from(1 + payload.len() + padding).unwrap();
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).unwrap());
        packet.extend(payload);
        packet.resize(packet.len() + padding, 9);
        packet.resize(packet.len() + layout.tag, 0);
        packet
    }

    fn packet(layout: Layout) -> Vec<u8> {
        lay_out(b"a message of thirty bytes, about", layout)
    }

    #[test]
    fn opening_gives_back_what_was_sealed_packet_after_packet() {
        for algorithms in all() {
            let (mut sealing, mut opening) = pair(algorithms);
            let layout = sealing.layout();
            for sequence in 0..5 {
                let clear = packet(layout);
                let mut sealed = clear.clone();
                sealing.seal(sequence, &mut sealed).unwrap();
                let end = clear.len() - layout.tag;
                assert_ne!(sealed[4..end], clear[4..end]);
                let field = sealed[..4].try_into().unwrap();
                let length = opening.packet_length(sequence, field).unwrap();
                assert_eq!(length.to_be_bytes(), clear[..4], "{algorithms:?}");
                opening.open(sequence, &mut sealed).unwrap();
                assert_eq!(sealed[4..end], clear[4..end], "{algorithms:?}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for algorithms in all() {
            let layout = pair(algorithms).0.layout();
            for position in 0..packet(layout).len() {
                let (mut sealing, mut opening) = pair(algorithms);
                let mut sealed = packet(layout);
                sealing.seal(0, &mut sealed).unwrap();
                sealed[position] ^= 1;
                assert!(
                    opening.open(0, &mut sealed).is_err(),
                    "{algorithms:?} at {position}"
                );
            }
        }
    }

    #[test]
    fn a_packet_replayed_or_left_out_is_noticed() {
        for algorithms in all() {
            let (mut sealing, mut opening) = pair(algorithms);
            let layout = sealing.layout();
            let mut first = packet(layout);
            sealing.seal(0, &mut first).unwrap();
            let replayed = first.clone();
            opening.open(0, &mut first).unwrap();
            assert!(
                opening.open(1, &mut replayed.clone()).is_err(),
                "{algorithms:?}"
            );

            let (mut sealing, mut opening) = pair(algorithms);
            sealing.seal(0, &mut packet(layout)).unwrap();
            let mut second = packet(layout);
            sealing.seal(1, &mut second).unwrap();
            assert!(opening.open(0, &mut second).is_err(), "{algorithms:?}");
        }
    }
    proptest! {
        #[test]
        fn any_packet_opens_once_and_with_no_bit_changed(
            payload in prop::collection::vec(any::<u8>(), 1..3000),
            sequence: u32,
            position: prop::sample::Index,
            bit in 0..8,
        ) {
            for algorithms in all() {
                let (mut sealing, mut opening) = pair(algorithms);
                let clear = lay_out(&payload, sealing.layout());
                let mut sealed = clear.clone();
                sealing.seal(sequence, &mut sealed).unwrap();

                let mut changed = sealed.clone();
                changed[position.index(sealed.len())] ^= 1_u8 << bit;
                prop_assert!(pair(algorithms).1.open(sequence, &mut changed).is_err());
                let other = sequence.wrapping_add(1);
                let mut moved = sealed.clone();
                match algorithms.cipher {
                    // Their nonce is a counter of their own.
                    CipherAlgorithm::Aes128Gcm | CipherAlgorithm::Aes256Gcm => {}
                    _ => prop_assert!(pair(algorithms).1.open(other, &mut moved).is_err()),
                }

                let replayed = sealed.clone();
                opening.open(sequence, &mut sealed).unwrap();
                let end = clear.len() - opening.layout().tag;
                prop_assert_eq!(&sealed[4..end], &clear[4..end]);
                prop_assert!(opening.open(other, &mut replayed.clone()).is_err());
            }
        }
    }
}
