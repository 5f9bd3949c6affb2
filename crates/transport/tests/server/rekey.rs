//! New keys at any time, and nothing lost.

use std::time::Duration;

use transport::{Error, Failure, Misbehaviour, Phase, RekeyLimit};
use wire::message::number;
use wire::names::{CipherAlgorithm, KexAlgorithm};
use wire::quirks::Quirk;

use crate::client::{Client, Offer, data};
use crate::pair::{Answers, Pair};

const NO_LIMIT: RekeyLimit = RekeyLimit {
    bytes: None,
    interval: None,
};

/// Both sides send numbered messages while the connection rekeys; all must arrive, in order.
fn both_ways(pair: &mut Pair, messages: u32, mut disturb: impl FnMut(&mut Pair, u32)) {
    pair.client.received.clear();
    let (mut sent, mut refused) = (0, 0);
    for index in 0..messages {
        pair.client.send(&data(index, 500));
        disturb(pair, index);
        while sent <= index && pair.transport.can_send() {
            pair.transport.send_packet(&data(sent, 700)).unwrap();
            sent += 1;
        }
        if sent <= index {
            refused += 1;
            assert_eq!(pair.transport.send_packet(&[94]), Err(Failure::Busy.into()));
            assert!(pair.transport.payload_slot(1).is_none());
        }
        // One direction at a time, so that data crosses the key exchange.
        if index.is_multiple_of(2) {
            pair.client_to_server()
        } else {
            pair.server_to_client()
        };
    }
    pair.run();
    while sent < messages {
        pair.transport.send_packet(&data(sent, 700)).unwrap();
        sent += 1;
        pair.run();
    }
    assert_eq!(pair.error, None);
    assert!(refused > 0, "no exchange was in the way of data");
    let expected: Vec<_> = (0..messages).map(|index| data(index, 500)).collect();
    assert_eq!(pair.received, expected);
    let expected: Vec<_> = (0..messages).map(|index| data(index, 700)).collect();
    assert_eq!(pair.client.received, expected);
}

/// Between our KEXINIT and our NEWKEYS there may be nothing but the key exchange.
pub(crate) fn assert_silence_during_exchanges(log: &[u8]) {
    let mut exchanging = false;
    for message in log {
        match *message {
            number::KEXINIT => exchanging = true,
            number::NEWKEYS => exchanging = false,
            number::KEX_METHOD_FIRST..=number::KEX_METHOD_LAST => assert!(exchanging),
            other => assert!(!exchanging, "message {other} during a key exchange"),
        }
    }
}

#[test]
fn the_server_rekeys_by_bytes_and_nothing_is_lost() {
    for offer in Offer::each() {
        let limit = RekeyLimit {
            bytes: Some(20_000),
            interval: None,
        };
        let mut pair = Pair::logged_in(offer, limit);
        both_ways(&mut pair, 300, |_, _| {});
        assert!(
            pair.client.exchanges > 8,
            "{} exchanges",
            pair.client.exchanges
        );
        assert_silence_during_exchanges(&pair.client.log);
    }
}

#[test]
fn the_client_rekeys_and_nothing_is_lost() {
    for kex in KexAlgorithm::ALL {
        let offer = Offer::new(*kex, CipherAlgorithm::Chacha20Poly1305);
        let mut pair = Pair::logged_in(offer, NO_LIMIT);
        pair.answers = Answers::None;
        both_ways(&mut pair, 200, |pair, index| {
            if index % 20 == 7 {
                pair.client.request_exchange();
            }
            if let Some(request) = pair.unchosen.pop() {
                pair.choose(request);
            }
            // The monitor takes its time.
            if index % 5 == 0
                && let Some(values) = pair.unsigned.pop()
            {
                let signature = pair.sign(&values);
                pair.transport.handle_signature(signature).unwrap();
            }
        });
        assert!(
            pair.client.exchanges > 5,
            "{} exchanges",
            pair.client.exchanges
        );
        assert_silence_during_exchanges(&pair.client.log);
    }
}

#[test]
fn both_sides_may_ask_at_the_same_time() {
    for after in [",kex-strict-c-v00@openssh.com", ""] {
        let offer = Offer {
            kex_after: after,
            ..Offer::default()
        };
        let mut pair = Pair::logged_in(offer, NO_LIMIT);
        for round in 2..10 {
            pair.client.send(&data(round, 10));
            pair.transport.send_packet(&data(round, 20)).unwrap();
            pair.client.request_exchange();
            pair.transport.rekey().unwrap();
            pair.run();
            assert_eq!(pair.client.exchanges, round);
            assert_eq!(pair.received.pop(), Some(data(round, 10)));
            assert_eq!(pair.client.received.pop_back(), Some(data(round, 20)));
        }
        assert_eq!(pair.error, None);
    }
}

#[test]
fn keys_are_replaced_when_they_are_old() {
    let limit = RekeyLimit {
        bytes: None,
        interval: Some(Duration::from_secs(60)),
    };
    let mut pair = Pair::new(Client::new(Offer::default()), limit);
    assert_eq!(pair.transport.poll_timeout(), None);
    pair.log_in();
    pair.wait(Duration::from_secs(59));
    pair.run();
    assert_eq!(pair.client.exchanges, 1);
    pair.wait(Duration::from_secs(1));
    assert_eq!(pair.transport.poll_timeout(), None);
    pair.run();
    assert_eq!(pair.client.exchanges, 2);
    // Keys that nobody uses do not age.
    assert_eq!(pair.transport.poll_timeout(), None);
    pair.wait(Duration::from_secs(3600));
    pair.run();
    assert_eq!(pair.client.exchanges, 2);
    // Their first packet is the last one.
    pair.client.send(&data(1, 1));
    pair.run();
    assert_eq!((pair.client.exchanges, pair.received.len()), (3, 1));
    pair.transport.send_packet(&data(2, 1)).unwrap();
    assert_eq!(
        pair.transport.poll_timeout(),
        Some(pair.now + Duration::from_secs(60))
    );
}

#[test]
fn the_limits_of_the_user_hold_from_the_login_on() {
    let minute = Duration::from_secs(60);
    for (bytes, interval) in [(Some(20_000), None), (None, Some(minute))] {
        let mut pair = Pair::logged_in(Offer::default(), NO_LIMIT);
        let limit = RekeyLimit { bytes, interval };
        pair.transport.set_rekey_limit(pair.now, limit);
        for round in 1..4 {
            pair.client.send(&data(round, 1));
            pair.run();
            assert_eq!(pair.client.exchanges, round);
            match interval {
                Some(interval) => pair.wait(interval),
                None => pair.transport.send_packet(&data(round, 20_000)).unwrap(),
            }
            pair.run();
            assert_eq!(pair.client.exchanges, round + 1);
        }
        assert_eq!(pair.error, None);
    }
}

#[test]
fn whichever_limit_comes_first_counts_and_both_start_again() {
    let minute = Duration::from_secs(60);
    let limit = RekeyLimit {
        bytes: Some(20_000),
        interval: Some(minute),
    };
    let mut pair = Pair::logged_in(Offer::default(), limit);
    let mut index = 0;
    let mut send = |pair: &mut Pair, bytes: usize| {
        for _ in 0..bytes / 1000 {
            pair.client.send(&data(index, 990));
            index += 1;
            pair.run();
        }
    };
    for round in 1..5 {
        assert_eq!(pair.client.exchanges, 2 * round - 1);
        // Bytes first.
        pair.wait(minute / 2);
        send(&mut pair, 21_000);
        assert_eq!(pair.client.exchanges, 2 * round);
        // Time first, counted from then on.
        pair.wait(minute - Duration::from_millis(1));
        send(&mut pair, 10_000);
        assert_eq!(pair.client.exchanges, 2 * round);
        pair.wait(Duration::from_millis(1));
        pair.run();
    }
    assert_eq!((pair.client.exchanges, pair.error), (9, None));
}

#[test]
fn a_slow_client_is_asked_for_new_keys_once() {
    let limit = RekeyLimit {
        bytes: Some(1000),
        interval: Some(Duration::from_secs(1)),
    };
    let mut pair = Pair::logged_in(Offer::default(), limit);
    pair.client.log.clear();
    pair.wait(Duration::from_secs(2));
    for index in 0..100 {
        // It goes on with its data and has not looked at anything.
        pair.client.send(&data(index, 1000));
        pair.client_to_server();
        pair.wait(Duration::from_secs(10));
    }
    assert_eq!(pair.received.len(), 100);
    pair.run();
    let asked = pair.client.log.iter().filter(|m| **m == number::KEXINIT);
    assert_eq!((asked.count(), pair.client.exchanges), (1, 2));
    assert_eq!(pair.error, None);
}

#[test]
fn without_a_limit_keys_do_not_grow_old() {
    let mut pair = Pair::logged_in(Offer::default(), NO_LIMIT);
    assert_eq!(pair.transport.poll_timeout(), None);
    pair.wait(Duration::from_secs(10 * 365 * 86_400));
    pair.run();
    assert_eq!(pair.client.exchanges, 1);
}

#[test]
fn a_client_that_cannot_replace_keys_is_not_asked_to() {
    let limit = RekeyLimit {
        bytes: Some(16),
        interval: Some(Duration::from_secs(1)),
    };
    let mut client = Client::new(Offer::default());
    client.identify("SSH-2.0-Sun_SSH_1.0.1");
    let mut pair = Pair::new(client, limit);
    pair.log_in();
    for index in 0..10 {
        pair.client.send(&data(index, 100));
        pair.run();
        pair.wait(Duration::from_secs(60));
    }
    assert_eq!(pair.client.exchanges, 1);
    assert!(pair.transport.quirks().has(Quirk::NoRekey));
}

#[test]
fn data_still_arrives_while_our_request_is_unanswered() {
    let mut pair = Pair::logged_in(Offer::default(), NO_LIMIT);
    pair.transport.rekey().unwrap();
    assert!(!pair.transport.can_send());
    // The client has not seen our KEXINIT.
    for index in 0..10 {
        pair.client.send(&data(index, 10));
        pair.client_to_server();
    }
    assert_eq!(pair.received.len(), 10);
    pair.run();
    assert_eq!(pair.client.exchanges, 2);
    assert!(pair.transport.can_send());
}

#[test]
fn we_send_again_after_our_new_keys_even_before_theirs() {
    let mut pair = Pair::logged_in(Offer::default(), NO_LIMIT);
    pair.client.received.clear();
    pair.client.request_exchange();
    pair.client_to_server();
    pair.server_to_client();
    pair.client_to_server();
    // Our reply and NEWKEYS are in the output, the client's NEWKEYS cannot be here.
    assert!(pair.transport.can_send());
    pair.transport.send_packet(&data(1, 10)).unwrap();
    pair.run();
    assert_eq!(pair.client.received, [data(1, 10)]);
}

#[test]
fn the_session_identifier_stays() {
    let mut pair = Pair::logged_in(Offer::default(), NO_LIMIT);
    let first = pair.transport.session_identifier().unwrap().to_vec();
    pair.transport.rekey().unwrap();
    pair.run();
    assert_eq!(pair.client.exchanges, 2);
    assert_eq!(pair.transport.session_identifier().unwrap(), first);
}

#[test]
fn sequence_numbers_start_again_only_under_strict_key_exchange() {
    for (after, expected) in [(",kex-strict-c-v00@openssh.com", 1), ("", 11)] {
        let offer = Offer {
            kex_after: after,
            ..Offer::default()
        };
        let mut pair = Pair::logged_in(offer, NO_LIMIT);
        pair.client.request_exchange();
        pair.run();
        pair.client.send(&data(1, 1));
        pair.run();
        // KEXINIT, INIT and NEWKEYS twice, two for the login, then the data.
        let expected = if expected == 1 { 1 } else { 3 + 2 + 3 + 1 };
        assert_eq!(pair.client.sequence_out, expected);
        assert_eq!((pair.received.len(), pair.error), (1, None));
    }
}

#[test]
fn data_between_their_kexinit_and_new_keys_ends_the_connection() {
    for message in [5, 7, 20, 50, 80, 94, 192] {
        let mut pair = Pair::logged_in(Offer::default(), NO_LIMIT);
        pair.client.request_exchange();
        pair.client.send_now(&[message, 0, 0, 0, 0]);
        let error = pair.expect_disconnect();
        assert!(
            matches!(error, Error::Misbehaved(Misbehaviour::Unexpected { .. })),
            "{error}"
        );
        assert!(pair.received.is_empty());
    }
}

#[test]
fn transport_messages_are_allowed_in_a_rekey() {
    let mut pair = Pair::logged_in(Offer::default(), NO_LIMIT);
    pair.client.request_exchange();
    pair.client.send_now(&[number::IGNORE, 0, 0, 0, 0]);
    pair.client
        .send_now(&[number::DEBUG, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    pair.run();
    assert_eq!((pair.client.exchanges, pair.error), (2, None));
}

#[test]
fn a_client_may_rekey_before_login() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.run();
    assert_eq!(pair.transport.phase(), Phase::Authentication);
    pair.client.request_exchange();
    pair.run();
    assert_eq!(pair.client.exchanges, 2);
    pair.log_in();
}
