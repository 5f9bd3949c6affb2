//! When keys have been used enough (RFC 4253 section 9, RFC 4344 section 3).

use std::time::Instant;

use wire::names::CipherAlgorithm;

use crate::settings::RekeyLimit;

/// What went through one direction since its keys were taken into use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Packets.
    pub(crate) packets: u64,
    /// Bytes, as on the wire.
    pub(crate) bytes: u64,
}

impl Traffic {
    /// Counts one packet.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Whether the key must not be used again: the sequence number would come around and with it
    /// the nonce of chacha20-poly1305 and the protection against replay.
    pub(crate) fn is_exhausted(self) -> bool {
        self.packets >= PACKETS_HARD
    }
}

/// Limits of the keys in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyLimits {
    bytes: u64,
    deadline: Option<Instant>,
}

impl KeyLimits {
    /// Limits of keys that are taken into use `now`.
    pub(crate) fn new(
        setting: RekeyLimit,
        client_to_server: CipherAlgorithm,
        server_to_client: CipherAlgorithm,
        now: Instant,
    ) -> Self {
        let own = cipher_limit(client_to_server).min(cipher_limit(server_to_client));
        Self {
            // Both bounds hold, as in OpenSSH: a setting cannot stretch what a cipher bears.
            bytes: setting
                .bytes
                .map_or(own, |bytes| bytes.clamp(BYTES_LEAST, own)),
            deadline: setting
                .interval
                .and_then(|interval| now.checked_add(interval)),
        }
    }

    /// Whether one direction has reached its limit.
    pub(crate) fn reached_by(&self, traffic: Traffic) -> bool {
        traffic.bytes >= self.bytes || traffic.packets >= PACKETS_SOFT
    }

    /// Whether the keys are too old.
    pub(crate) fn expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// When they will be.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

/// Bytes for one key: 2^(L/4) blocks of L bits, or a gigabyte where blocks are shorter than 128
/// bits (RFC 4344 section 3.2). ChaCha20 counts as 64 bits, as in OpenSSH.
fn cipher_limit(cipher: CipherAlgorithm) -> u64 {
    match cipher {
        CipherAlgorithm::Aes128Gcm
        | CipherAlgorithm::Aes256Gcm
        | CipherAlgorithm::Aes128Ctr
        | CipherAlgorithm::Aes192Ctr
        | CipherAlgorithm::Aes256Ctr => 16 << 32,
        CipherAlgorithm::Chacha20Poly1305 => 1 << 30,
    }
}

/// Below this, key exchanges would follow each other without data between them.
const BYTES_LEAST: u64 = 16;

/// RFC 4344 section 3.1: after 2^31 packets at the latest.
const PACKETS_SOFT: u64 = 1 << 31;

/// Before the sequence number comes around.
const PACKETS_HARD: u64 = (1 << 32) - 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to start from"
    )]
    fn limits(setting: RekeyLimit, cipher: CipherAlgorithm) -> (KeyLimits, Instant) {
        let now = Instant::now();
        (KeyLimits::new(setting, cipher, cipher, now), now)
    }

    #[test]
    fn without_a_setting_the_cipher_decides() {
        let (limits, now) = limits(RekeyLimit::default(), CipherAlgorithm::Chacha20Poly1305);
        assert!(!limits.reached_by(Traffic {
            packets: 1,
            bytes: (1 << 30) - 1
        }));
        assert!(limits.reached_by(Traffic {
            packets: 1,
            bytes: 1 << 30
        }));
        assert!(limits.reached_by(Traffic {
            packets: 1 << 31,
            bytes: 0
        }));
        assert!(!limits.expired(now + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn a_setting_tightens_but_never_stretches() {
        let setting = |bytes| RekeyLimit {
            bytes: Some(bytes),
            interval: None,
        };
        let (tight, _) = limits(setting(1000), CipherAlgorithm::Aes128Gcm);
        assert!(tight.reached_by(Traffic {
            packets: 1,
            bytes: 1000
        }));
        let (stretched, _) = limits(setting(u64::MAX), CipherAlgorithm::Aes128Gcm);
        assert!(stretched.reached_by(Traffic {
            packets: 1,
            bytes: 1 << 36
        }));
    }

    #[test]
    fn keys_expire_at_their_deadline() {
        let interval = Duration::from_secs(60);
        let setting = RekeyLimit {
            bytes: None,
            interval: Some(interval),
        };
        let (limits, now) = limits(setting, CipherAlgorithm::Aes256Gcm);
        assert_eq!(limits.deadline(), Some(now + interval));
        assert!(!limits.expired(now + interval - Duration::from_nanos(1)));
        assert!(limits.expired(now + interval));
    }

    #[test]
    fn a_key_is_never_used_for_a_second_round_of_sequence_numbers() {
        assert!(
            !Traffic {
                packets: u64::from(u32::MAX) - 1,
                bytes: 0
            }
            .is_exhausted()
        );
        assert!(
            Traffic {
                packets: u64::from(u32::MAX),
                bytes: 0
            }
            .is_exhausted()
        );
    }
}
