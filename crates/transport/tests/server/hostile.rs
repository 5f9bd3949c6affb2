//! Peers and networks that mean harm.

use proptest::prelude::*;
use transport::{Error, Incompatibility, Misbehaviour, Phase, RekeyLimit};
use wire::codec::DecodeError;
use wire::message::{KexEcdhInit, number};

use crate::client::{Client, Offer, data, service_request};
use crate::pair::{Answers, Pair, request, signed};

fn silent(offer: Offer) -> Pair {
    Pair::new(Client::silent(offer), RekeyLimit::default())
}

fn ecdh_init(share: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    KexEcdhInit {
        client_share: share,
    }
    .encode(&mut out);
    out
}

const LENIENT: &str = ",ext-info-c";

#[test]
fn strict_key_exchange_wants_kexinit_first() {
    for message in [number::IGNORE, number::DEBUG, number::UNIMPLEMENTED] {
        let mut pair = silent(Offer::default());
        pair.client.send_now(&[message, 0, 0, 0, 0]);
        let kexinit = pair.client.kexinit();
        pair.client.send_now(&kexinit);
        pair.client_to_server();
        let expected = Misbehaviour::StrictKeyExchange {
            message: number::KEXINIT,
            sequence: 1,
        };
        assert_eq!(pair.error, Some(expected.into()));
    }
}

#[test]
fn strict_key_exchange_lets_nothing_else_in() {
    for message in 0..=255 {
        // DISCONNECT, and the one that is due.
        if matches!(message, number::DISCONNECT | number::KEX_ECDH_INIT) {
            continue;
        }
        let mut pair = silent(Offer::default());
        let kexinit = pair.client.kexinit();
        pair.client.send_now(&kexinit);
        pair.client.send_now(&[message, 0, 0, 0, 0]);
        pair.client_to_server();
        let expected = Misbehaviour::StrictKeyExchange {
            message,
            sequence: 1,
        };
        assert_eq!(pair.error, Some(expected.into()));
        assert_eq!(pair.transport.phase(), Phase::Closed);
    }
}

#[test]
fn without_strictness_the_rfcs_exceptions_are_let_in() {
    let mut pair = silent(Offer {
        kex_after: LENIENT,
        ..Offer::default()
    });
    let kexinit = pair.client.kexinit();
    pair.client.send_now(&[number::IGNORE, 0, 0, 0, 0]);
    pair.client.send_now(&kexinit);
    pair.client.send_now(&[number::DEBUG, 0, 0, 0, 0, 0]);
    pair.client.send_now(&ecdh_init(&[9; 32]));
    pair.answers = Answers::None;
    pair.client_to_server();
    assert_eq!((pair.error, pair.unsigned.len()), (None, 1));
}

#[test]
fn every_changed_byte_of_a_sealed_packet_ends_the_connection() {
    for offer in Offer::each() {
        let length = {
            let mut pair = Pair::logged_in(offer.clone(), RekeyLimit::default());
            pair.client.send(&data(1, 20));
            pair.client.output.len()
        };
        // Behind the length field, whose change may just make the server wait for more.
        for position in 4..length {
            let mut pair = Pair::logged_in(offer.clone(), RekeyLimit::default());
            pair.client.send(&data(1, 20));
            pair.client.output[position] ^= 0x80;
            assert_eq!(pair.expect_disconnect(), Misbehaviour::Corrupted.into());
            assert!(pair.received.is_empty());
        }
    }
}

#[test]
fn a_truncated_packet_is_never_handed_out() {
    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    pair.client.send(&data(1, 100));
    pair.client.output.pop();
    pair.run();
    assert!(pair.received.is_empty());
    assert_eq!(pair.error, None);
}

#[test]
fn lengths_are_capped_tighter_before_login_than_after() {
    let announce = |pair: &mut Pair, length: u32| {
        // With AES-GCM the length is in clear.
        pair.client.output.extend(length.to_be_bytes());
        pair.run();
        pair.error.clone()
    };
    let mut pair = Pair::with_offer(Offer::default());
    pair.run();
    assert_eq!(
        announce(&mut pair, 40_000),
        Some(Misbehaviour::PacketLength(40_000).into())
    );

    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    assert_eq!(announce(&mut pair, 262_144), None);

    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    assert_eq!(
        announce(&mut pair, 300_000),
        Some(Misbehaviour::PacketLength(300_000).into())
    );
}

#[test]
fn a_share_that_leads_to_a_known_secret_is_refused() {
    for share in [[0; 32].as_slice(), &[1; 31], &[]] {
        let mut pair = silent(Offer::default());
        let kexinit = pair.client.kexinit();
        pair.client.send_now(&kexinit);
        pair.client.send_now(&ecdh_init(share));
        pair.client_to_server();
        assert_eq!(pair.error, Some(Misbehaviour::InvalidShare.into()));
        assert!(pair.unsigned.is_empty(), "nothing is signed for it");
    }
}

#[test]
fn a_client_without_a_common_method_is_told_so() {
    let mut pair = silent(Offer::default());
    let mut kexinit = pair.client.kexinit();
    // "curve25519-sha256" becomes a name that nobody has.
    kexinit[21] = b'x';
    pair.client.send_now(&kexinit);
    let error = pair.client_to_server();
    assert!(error);
    let Some(Error::Incompatible(Incompatibility::NoCommon { what, offer })) = &pair.error else {
        panic!("{:?}", pair.error);
    };
    assert_eq!(*what, "key exchange method");
    assert!(offer.starts_with("xurve25519-sha256,"), "{offer}");
}

#[test]
fn malformed_messages_end_the_connection() {
    let mut pair = Pair::with_offer(Offer::default());
    let mut long = service_request("ssh-userauth");
    long.push(0);
    pair.client.send(&long);
    assert_eq!(
        pair.expect_disconnect(),
        Misbehaviour::Malformed {
            message: number::SERVICE_REQUEST,
            source: DecodeError::Trailing(1)
        }
        .into()
    );
}

#[test]
fn a_closed_connection_takes_no_input() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.client.output = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    pair.client_to_server();
    assert!(matches!(
        pair.error,
        Some(Error::Misbehaved(Misbehaviour::NotSsh { .. }))
    ));
    assert!(
        pair.transport
            .poll_output()
            .ends_with(b"Invalid SSH identification string.\r\n")
    );
    let mut more = [0; 100];
    let result = pair.transport.handle_input(pair.now, &mut more);
    assert!(matches!(
        result,
        Err(Error::Internal(transport::Failure::Closed))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever bytes come, the transport waits, goes on or closes; it never panics and never asks
    /// for authentication.
    #[test]
    fn garbage_leads_nowhere(
        line in any::<bool>(),
        garbage in proptest::collection::vec(any::<u8>(), 0..3000),
    ) {
        let mut pair = silent(Offer::default());
        if !line {
            pair.client.output.clear();
        }
        pair.client.output.extend(garbage);
        while pair.client_to_server() {}
        prop_assert!(pair.questions.is_empty() && pair.received.is_empty());
        prop_assert!(pair.transport.phase() != Phase::Connection);
    }

    /// Messages in any order, well sealed: nobody gets in without having been asked for.
    #[test]
    fn messages_in_any_order_never_get_around_authentication(
        messages in proptest::collection::vec(
            prop_oneof![
                Just(service_request("ssh-userauth")),
                Just(request("alice", signed())),
                Just(vec![number::EXT_INFO, 0, 0, 0, 0]),
                Just(vec![number::USERAUTH_SUCCESS]),
                Just(vec![number::NEWKEYS]),
                Just(data(1, 10)),
                (0..=255u8, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(
                    |(number, mut rest)| {
                        rest.insert(0, number);
                        rest
                    }
                ),
            ],
            1..12,
        ),
    ) {
        let mut pair = Pair::with_offer(Offer::default());
        pair.run();
        pair.answers = Answers::SignOnly;
        for message in &messages {
            pair.client.send_now(message);
            pair.client_to_server();
        }
        prop_assert!(pair.received.is_empty());
        prop_assert!(pair.transport.phase() != Phase::Connection);
        prop_assert!(!pair.transport.can_send());
    }

    /// After login, whatever a client sends is handed out, ignored, answered, or the end.
    #[test]
    fn any_message_after_login_is_handled(
        messages in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 1..60),
            1..20,
        ),
    ) {
        let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
        for message in &messages {
            pair.client.send_now(message);
        }
        pair.client_to_server();
        let ended = pair.error.is_some() || pair.disconnected.is_some();
        prop_assert_eq!(ended, pair.transport.phase() == Phase::Closed);
        prop_assert!(pair.received.iter().all(|payload| (80..=127).contains(&payload[0])));
        prop_assert_eq!(pair.questions.len(), 1);
    }
}
