//! chacha20-poly1305@openssh.com (OpenSSH PROTOCOL.chacha20poly1305): `packet_length` has a key of
//! its own, the nonce is the packet's sequence number.

use aws_lc_rs::aead::chacha20_poly1305_openssh as primitive;

use super::{LENGTH_FIELD, Layout};
use crate::error::{Error, Failure, Misbehaviour};
use crate::keys::DirectionKeys;

pub(super) const LAYOUT: Layout = Layout {
    block: 8,
    aligned_from: LENGTH_FIELD,
    tag: primitive::TAG_LEN,
};

/// Key for sending.
pub(crate) struct SealingKey(primitive::SealingKey);

/// Key for receiving.
pub(crate) struct OpeningKey(primitive::OpeningKey);

impl SealingKey {
    pub(super) fn new(keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let key = keys.key(primitive::KEY_LEN);
        let key = key.first_chunk().ok_or(Failure::Cryptography)?;
        Ok(Self(primitive::SealingKey::new(key)))
    }

    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (body, tag) = packet.split_last_chunk_mut().ok_or(Failure::Cryptography)?;
        // The primitive splits the length field off without looking.
        if body.len() < LENGTH_FIELD {
            return Err(Failure::Cryptography.into());
        }
        self.0.seal_in_place(sequence, body, tag);
        Ok(())
    }
}

impl OpeningKey {
    pub(super) fn new(keys: &DirectionKeys<'_>) -> Result<Self, Error> {
        let key = keys.key(primitive::KEY_LEN);
        let key = key.first_chunk().ok_or(Failure::Cryptography)?;
        Ok(Self(primitive::OpeningKey::new(key)))
    }

    pub(super) fn packet_length(&self, sequence: u32, field: [u8; LENGTH_FIELD]) -> u32 {
        u32::from_be_bytes(self.0.decrypt_packet_length(sequence, field))
    }

    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (body, tag) = packet
            .split_last_chunk_mut()
            .ok_or(Misbehaviour::Corrupted)?;
        if body.len() < LENGTH_FIELD {
            return Err(Misbehaviour::Corrupted.into());
        }
        self.0
            .open_in_place(sequence, body, tag)
            .map_err(|_| Misbehaviour::Corrupted)?;
        Ok(())
    }
}
