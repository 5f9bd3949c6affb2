//! zlib@openssh.com: from the login on, with new streams for new keys, and never more than a packet.

use transport::{DisconnectReason, Misbehaviour, PAYLOAD_LIMIT, RekeyLimit};
use wire::message::number;
use wire::names::{CipherAlgorithm, CompressionAlgorithm, KexAlgorithm};

use crate::client::{Client, Offer, data, service_request};
use crate::pair::{Pair, Portions, request, signed};

fn compressed(cipher: CipherAlgorithm) -> Offer {
    Offer::new(KexAlgorithm::Curve25519Sha256, cipher).compressed()
}

fn logged_in() -> Pair {
    let offer = Offer::default().compressed();
    let mut pair = Pair::logged_in(offer, RekeyLimit::default());
    pair.client.received.clear();
    pair
}

#[test]
fn payloads_of_every_length_cross_in_both_directions() {
    for cipher in CipherAlgorithm::ALL {
        let mut pair = Pair::logged_in(compressed(*cipher), RekeyLimit::default());
        let negotiated = pair.transport.negotiated().unwrap();
        assert_eq!(
            negotiated.compression_server_to_client,
            CompressionAlgorithm::ZlibDelayed
        );
        pair.client.received.clear();
        for (index, length) in [0, 1, 15, 16, 1000, 32_768, PAYLOAD_LIMIT - 5, 7]
            .into_iter()
            .enumerate()
        {
            let message = data(u32::try_from(index).unwrap(), length);
            pair.client.send(&message);
            pair.run();
            assert_eq!(pair.received.pop(), Some(message.clone()), "{cipher:?}");
            pair.transport.send_packet(&message).unwrap();
            assert!(pair.transport.output_pending() < 1000 + length / 100);
            pair.run();
            assert_eq!(
                pair.client.received.pop_front(),
                Some(message),
                "{cipher:?}"
            );
        }
        assert_eq!(pair.error, None);
    }
}

#[test]
fn new_keys_begin_new_streams() {
    let limit = RekeyLimit {
        bytes: Some(2000),
        interval: None,
    };
    let mut pair = Pair::logged_in(Offer::default().compressed(), limit);
    pair.client.received.clear();
    for index in 0..200 {
        pair.client.send(&data(index, 500));
        if index % 50 == 0 {
            pair.client.request_exchange();
        }
        pair.run();
        pair.transport.send_packet(&data(index, 700)).unwrap();
        pair.run();
        assert_eq!(pair.received.pop(), Some(data(index, 500)));
        assert_eq!(pair.client.received.pop_front(), Some(data(index, 700)));
    }
    assert!(pair.client.exchanges > 5, "{}", pair.client.exchanges);
    assert_eq!(pair.error, None);
}

#[test]
fn a_rekey_before_the_login_compresses_nothing() {
    let mut pair = Pair::with_offer(Offer::default().compressed());
    pair.run();
    pair.client.request_exchange();
    pair.run();
    assert_eq!(pair.client.exchanges, 2);
    pair.log_in();
    pair.client.send(&data(1, 100));
    pair.run();
    assert_eq!(pair.received, [data(1, 100)]);
}

#[test]
fn the_byte_stream_may_be_split_anywhere() {
    let run = |portions| {
        let mut pair = Pair::new(
            Client::new(Offer::default().compressed()),
            RekeyLimit::default(),
        );
        pair.portions = portions;
        pair.client.send(&service_request("ssh-userauth"));
        pair.client.send(&request("alice", signed()));
        pair.run();
        let login = pair.delivered;
        pair.client.send(&data(1, 100));
        pair.client.send(&data(2, 100));
        pair.run();
        assert_eq!(pair.received, [data(1, 100), data(2, 100)]);
        (login, pair.delivered)
    };
    let (login, length) = run(Portions::All);
    for border in login..length {
        run(Portions::SplitAt(border));
    }
    run(Portions::Single);
}

#[test]
fn a_slot_may_be_abandoned_or_used_in_part() {
    let mut pair = logged_in();
    pair.transport.payload_slot(1000).unwrap().fill(1);
    assert_eq!(pair.transport.output_pending(), 0);
    let message = data(1, 50);
    let slot = pair.transport.payload_slot(32_768).unwrap();
    slot[..message.len()].copy_from_slice(&message);
    pair.transport.seal_payload(message.len()).unwrap();
    pair.run();
    assert_eq!(pair.client.received, [message]);
}

#[test]
fn a_packet_that_grows_beyond_the_limit_ends_the_connection() {
    let mut pair = logged_in();
    pair.client.send(&data(1, 1024 * 1024 - 10));
    // A megabyte in a packet that a stranger may send.
    assert!(pair.client.output.len() < 35_000);
    let error = pair.expect_disconnect();
    assert_eq!(error, Misbehaviour::InflatedPayload.into());
    assert_eq!(
        error.disconnect_reason(),
        Some(DisconnectReason::CompressionError)
    );
    assert!(pair.received.is_empty());
}

#[test]
fn a_payload_that_is_not_compressed_ends_the_connection() {
    let mut pair = logged_in();
    pair.client.send_sealed(&data(1, 100));
    assert_eq!(
        pair.expect_disconnect(),
        Misbehaviour::CompressedPayload.into()
    );
}

#[test]
fn every_message_after_the_login_is_compressed_and_its_number_counts() {
    let mut pair = logged_in();
    pair.client.send(&[number::IGNORE, 0, 0, 0, 0]);
    pair.client.send(&[number::SERVICE_REQUEST, 0, 0, 0, 0]);
    assert!(matches!(
        pair.expect_disconnect(),
        transport::Error::Misbehaved(Misbehaviour::Unexpected { message: 5, .. })
    ));
}
