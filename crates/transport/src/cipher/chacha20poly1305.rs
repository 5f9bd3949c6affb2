//! chacha20-poly1305@openssh.com (OpenSSH PROTOCOL.chacha20poly1305): `packet_length` has a key of
//! its own, the nonce is the packet's sequence number.

mod wide;

use aws_lc_rs::aead::chacha20_poly1305_openssh as primitive;

use super::{LENGTH_FIELD, Layout};
use crate::error::{Error, Failure, Misbehaviour};
use crate::keys::DirectionKeys;

pub(super) const LAYOUT: Layout = Layout {
    block: 8,
    aligned_from: LENGTH_FIELD,
    tag: TAG,
};

const KEY: usize = primitive::KEY_LEN;
const TAG: usize = primitive::TAG_LEN;

/// Key for sending.
pub(crate) struct SealingKey {
    key: primitive::SealingKey,
    /// For long packets, where the processor has what it takes.
    wide: Option<wide::Key>,
}

/// Key for receiving.
pub(crate) struct OpeningKey {
    key: primitive::OpeningKey,
    /// As for sending.
    wide: Option<wide::Key>,
}

impl SealingKey {
    pub(super) fn new(keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let key = keys.key(KEY);
        let key = key.first_chunk().ok_or(Failure::Cryptography)?;
        Ok(Self {
            key: primitive::SealingKey::new(key),
            wide: wide::is_available().then(|| wide::Key::new(key)),
        })
    }

    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (body, tag) = packet.split_last_chunk_mut().ok_or(Failure::Cryptography)?;
        match &self.wide {
            Some(wide) if body.len() >= wide::LEAST => wide.seal(sequence, body, tag),
            // The primitive splits the length field off without looking.
            _ if body.len() < LENGTH_FIELD => return Err(Failure::Cryptography.into()),
            _ => self.key.seal_in_place(sequence, body, tag),
        }
        Ok(())
    }
}

impl OpeningKey {
    pub(super) fn new(keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let key = keys.key(KEY);
        let key = key.first_chunk().ok_or(Failure::Cryptography)?;
        Ok(Self {
            key: primitive::OpeningKey::new(key),
            wide: wide::is_available().then(|| wide::Key::new(key)),
        })
    }

    pub(super) fn packet_length(&self, sequence: u32, field: [u8; LENGTH_FIELD]) -> u32 {
        u32::from_be_bytes(self.key.decrypt_packet_length(sequence, field))
    }

    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (body, tag) = packet
            .split_last_chunk_mut()
            .ok_or(Misbehaviour::Corrupted)?;
        let right = match &self.wide {
            Some(wide) if body.len() >= wide::LEAST => wide.open(sequence, body, tag),
            _ if body.len() < LENGTH_FIELD => false,
            _ => self.key.open_in_place(sequence, body, tag).is_ok(),
        };
        match right {
            true => Ok(()),
            false => Err(Misbehaviour::Corrupted.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_BYTES: [u8; KEY] = [0x5c; KEY];

    /// Bytes that are not all the same.
    fn clear(length: usize) -> Vec<u8> {
        (0..length)
            .map(|index| u8::try_from(index * 7 % 251).unwrap())
            .collect()
    }

    #[test]
    fn both_implementations_seal_the_same_and_open_each_others() {
        let wide = wide::Key::new(&KEY_BYTES);
        let sealing = primitive::SealingKey::new(&KEY_BYTES);
        let opening = primitive::OpeningKey::new(&KEY_BYTES);
        for length in (4..600).chain([4096, wide::LEAST, 32 * 1024 + 4, 256 * 1024 + 20]) {
            for sequence in [0, 1, u32::MAX] {
                let (mut ours, mut theirs) = (clear(length), clear(length));
                let (mut our_tag, mut their_tag) = ([0; TAG], [0; TAG]);
                wide.seal(sequence, &mut ours, &mut our_tag);
                sealing.seal_in_place(sequence, &mut theirs, &mut their_tag);
                assert!((&ours, our_tag) == (&theirs, their_tag), "{length}");

                assert!(wide.open(sequence, &mut theirs, &their_tag));
                opening
                    .open_in_place(sequence, &mut ours, &our_tag)
                    .unwrap();
                assert!(
                    ours == theirs && ours[4..] == clear(length)[4..],
                    "{length}"
                );
            }
        }
    }

    #[test]
    fn the_wide_one_leaves_a_packet_with_a_wrong_tag_alone() {
        let wide = wide::Key::new(&KEY_BYTES);
        let (mut packet, mut tag) = (clear(1000), [0; TAG]);
        wide.seal(7, &mut packet, &mut tag);
        let sealed = packet.clone();
        tag[15] ^= 0x80;
        assert!(!wide.open(7, &mut packet, &tag));
        assert_eq!(packet, sealed);
        tag[15] ^= 0x80;
        assert!(!wide.open(8, &mut packet, &tag));
        assert!(wide.open(7, &mut packet, &tag));
    }
}
