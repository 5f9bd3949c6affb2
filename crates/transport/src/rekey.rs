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

/// Limits of the keys in use, as in packet.c of OpenSSH: whichever is reached first, but never
/// before one packet has crossed under them, so that the smallest limit lets data through and a
/// connection on which nothing happens is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyLimits {
    client_to_server: u64,
    server_to_client: u64,
    packets: u64,
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
        let bytes = |cipher| {
            let own = cipher_limit(cipher);
            // Both bounds hold: a setting cannot stretch what a cipher bears.
            setting.bytes.map_or(own, |bytes| bytes.min(own))
        };
        Self {
            client_to_server: bytes(client_to_server),
            server_to_client: bytes(server_to_client),
            packets: PACKETS_SOFT,
            deadline: setting
                .interval
                .and_then(|interval| now.checked_add(interval)),
        }
    }

    /// For a client that cannot replace keys.
    pub(crate) fn none() -> Self {
        Self {
            client_to_server: u64::MAX,
            server_to_client: u64::MAX,
            packets: u64::MAX,
            deadline: None,
        }
    }

    /// Whether the keys have carried enough.
    pub(crate) fn reached_by(&self, inbound: Traffic, outbound: Traffic) -> bool {
        let packets = inbound.packets.max(outbound.packets);
        packets > 0
            && (inbound.bytes >= self.client_to_server
                || outbound.bytes >= self.server_to_client
                || packets >= self.packets)
    }

    /// When the keys are too old; `None` while nothing has crossed under them.
    pub(crate) fn deadline(&self, inbound: Traffic, outbound: Traffic) -> Option<Instant> {
        self.deadline
            .filter(|_| inbound.packets > 0 || outbound.packets > 0)
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

    const NOTHING: Traffic = Traffic {
        packets: 0,
        bytes: 0,
    };

    fn traffic(packets: u64, bytes: u64) -> Traffic {
        Traffic { packets, bytes }
    }

    #[test]
    fn without_a_setting_the_cipher_decides() {
        let (limits, _) = limits(RekeyLimit::default(), CipherAlgorithm::Chacha20Poly1305);
        let gigabyte = 1 << 30;
        assert!(!limits.reached_by(traffic(1, gigabyte - 1), traffic(1, gigabyte - 1)));
        assert!(limits.reached_by(traffic(1, gigabyte), NOTHING));
        assert!(limits.reached_by(NOTHING, traffic(1, gigabyte)));
        assert!(limits.reached_by(NOTHING, traffic(1 << 31, 0)));
        assert_eq!(limits.deadline(traffic(1, 1), NOTHING), None);
    }

    #[test]
    fn each_direction_has_the_limit_of_its_cipher() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        let now = Instant::now();
        let limits = KeyLimits::new(
            RekeyLimit::default(),
            CipherAlgorithm::Aes128Gcm,
            CipherAlgorithm::Chacha20Poly1305,
            now,
        );
        assert!(!limits.reached_by(traffic(1, 1 << 30), NOTHING));
        assert!(limits.reached_by(NOTHING, traffic(1, 1 << 30)));
        assert!(limits.reached_by(traffic(1, 16 << 32), NOTHING));
    }

    #[test]
    fn a_setting_tightens_but_never_stretches() {
        let setting = |bytes| RekeyLimit {
            bytes: Some(bytes),
            interval: None,
        };
        let (tight, _) = limits(setting(1000), CipherAlgorithm::Aes128Gcm);
        assert!(tight.reached_by(traffic(1, 1000), NOTHING));
        let (stretched, _) = limits(setting(u64::MAX), CipherAlgorithm::Aes128Gcm);
        assert!(stretched.reached_by(traffic(1, 1 << 36), NOTHING));
    }

    #[test]
    fn the_smallest_limit_lets_one_packet_through() {
        let setting = RekeyLimit {
            bytes: Some(0),
            interval: None,
        };
        let (limits, _) = limits(setting, CipherAlgorithm::Aes128Gcm);
        assert!(!limits.reached_by(NOTHING, NOTHING));
        assert!(limits.reached_by(NOTHING, traffic(1, 16)));
    }

    #[test]
    fn keys_are_too_old_at_their_deadline_if_they_were_used() {
        let interval = Duration::from_secs(60);
        let setting = RekeyLimit {
            bytes: None,
            interval: Some(interval),
        };
        let (limits, now) = limits(setting, CipherAlgorithm::Aes256Gcm);
        assert_eq!(
            limits.deadline(traffic(1, 16), NOTHING),
            Some(now + interval)
        );
        assert_eq!(limits.deadline(NOTHING, NOTHING), None);
    }

    #[test]
    fn a_client_that_cannot_replace_keys_is_never_asked_to() {
        let most = traffic(u64::MAX - 1, u64::MAX - 1);
        assert!(!KeyLimits::none().reached_by(most, most));
        assert_eq!(KeyLimits::none().deadline(most, most), None);
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
