//! AES-CTR (RFC 4344) with a MAC beside it.
//!
//! With an encrypt-then-MAC algorithm (OpenSSH PROTOCOL section 1.5) `packet_length` is in clear and
//! under the tag with the ciphertext. With the others (RFC 4253 section 6.4) it is encrypted with
//! the rest, so that a length must be believed before any tag can be checked.
//!
//! That is what the plaintext recovery of CVE-2008-5161 lives on: under CBC an attacker puts any
//! ciphertext block in front, the server takes 32 bits of its plaintext for a length, and when it
//! hangs up tells what they were. OpenSSH's remedy there is to read 256 KiB from everybody before it
//! does. Counter mode needs none: a block decrypted at the place of a length gives nothing but the
//! key stream of that length, so the attacker learns the length of a packet which he could count,
//! for the price of the connection. A bad length therefore ends the connection at once, as it does
//! in OpenSSH for all but CBC, and nobody can make the server wait for bytes that it will not use.

use wire::names::{CipherAlgorithm, MacAlgorithm};

use super::ctr::{BLOCK, KeyStream};
use super::mac::{Mac, Order, order};
use super::{LENGTH_FIELD, Layout};
use crate::error::{Error, Failure, Misbehaviour};
use crate::keys::DirectionKeys;

/// Keys and counter of one direction.
pub(crate) struct Key {
    stream: KeyStream,
    mac: Mac,
    order: Order,
}

impl Key {
    pub(super) fn new(
        cipher: CipherAlgorithm,
        mac: MacAlgorithm,
        keys: &DirectionKeys<'_>,
    ) -> Result<Self, Error> {
        Ok(Self {
            stream: KeyStream::new(cipher, keys)?,
            mac: Mac::new(mac, keys)?,
            order: order(mac),
        })
    }

    pub(super) fn layout(&self) -> Layout {
        Layout {
            block: BLOCK,
            aligned_from: match self.order {
                Order::EncryptThenMac => LENGTH_FIELD,
                Order::EncryptAndMac => 0,
            },
            tag: self.mac.tag_len(),
        }
    }

    pub(super) fn packet_length(&self, field: [u8; LENGTH_FIELD]) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(match self.order {
            Order::EncryptThenMac => field,
            Order::EncryptAndMac => self.stream.peek(field)?,
        }))
    }

    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (covered, tag) = self.split(packet).ok_or(Failure::Cryptography)?;
        match self.order {
            Order::EncryptThenMac => {
                let (_, body) = covered
                    .split_at_mut_checked(LENGTH_FIELD)
                    .ok_or(Failure::Cryptography)?;
                self.stream.apply(body)?;
                self.mac.sign(sequence, covered, tag)
            }
            Order::EncryptAndMac => {
                self.mac.sign(sequence, covered, tag)?;
                self.stream.apply(covered)
            }
        }
    }

    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        let (covered, tag) = self.split(packet).ok_or(Misbehaviour::Corrupted)?;
        match self.order {
            Order::EncryptThenMac => {
                self.verify(sequence, covered, tag)?;
                let (_, body) = covered
                    .split_at_mut_checked(LENGTH_FIELD)
                    .ok_or(Misbehaviour::Corrupted)?;
                self.stream.apply(body)
            }
            Order::EncryptAndMac => {
                self.stream.apply(covered)?;
                self.verify(sequence, covered, tag)
            }
        }
    }

    /// What the tag covers, and the tag.
    fn split<'p>(&self, packet: &'p mut [u8]) -> Option<(&'p mut [u8], &'p mut [u8])> {
        let covered = packet.len().checked_sub(self.mac.tag_len())?;
        packet.split_at_mut_checked(covered)
    }

    fn verify(&self, sequence: u32, covered: &[u8], tag: &[u8]) -> Result<(), Error> {
        match self.mac.verify(sequence, covered, tag)? {
            true => Ok(()),
            false => Err(Misbehaviour::Corrupted.into()),
        }
    }
}
