//! The sending side as a driver sees it.

use transport::{DisconnectReason, Failure, PAYLOAD_LIMIT, Phase, RekeyLimit};
use wire::message::{Disconnect, Unimplemented, number};

use crate::client::{Offer, data};
use crate::pair::Pair;

fn logged_in() -> Pair {
    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    pair.client.received.clear();
    pair
}

#[test]
fn a_payload_is_written_where_it_is_sealed() {
    let mut pair = logged_in();
    let message = data(1, 1000);
    let slot = pair.transport.payload_slot(32_768).unwrap();
    assert_eq!(slot.len(), 32_768);
    slot[..message.len()].copy_from_slice(&message);
    pair.transport.seal_payload(message.len()).unwrap();
    pair.run();
    assert_eq!(pair.client.received, [message]);
}

#[test]
fn an_abandoned_slot_leaves_nothing_behind() {
    let mut pair = logged_in();
    pair.transport.payload_slot(100).unwrap().fill(1);
    assert_eq!(pair.transport.output_pending(), 0);
    pair.transport.send_packet(&data(2, 5)).unwrap();
    assert_eq!(pair.transport.seal_payload(5), Err(Failure::NoSlot.into()));
    pair.run();
    assert_eq!(pair.client.received, [data(2, 5)]);
}

#[test]
fn nothing_is_sent_before_login() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.run();
    assert!(!pair.transport.can_send());
    assert!(pair.transport.payload_slot(10).is_none());
    assert_eq!(pair.transport.send_packet(&[94]), Err(Failure::Busy.into()));
    // A wrong use is no fault of the connection.
    pair.log_in();
}

#[test]
fn payloads_are_bounded_and_the_longest_arrives() {
    let mut pair = logged_in();
    let longest = data(1, PAYLOAD_LIMIT - 5);
    pair.transport.send_packet(&longest).unwrap();
    pair.run();
    assert_eq!(pair.client.received, [longest]);
    let too_long = vec![94; PAYLOAD_LIMIT + 1];
    assert_eq!(
        pair.transport.send_packet(&too_long),
        Err(Failure::PayloadTooLong(PAYLOAD_LIMIT + 1).into())
    );
    assert!(pair.transport.payload_slot(PAYLOAD_LIMIT + 1).is_none());
}

#[test]
fn a_socket_that_takes_nothing_costs_bounded_memory() {
    let mut pair = logged_in();
    let mut sent = 0;
    while pair.transport.can_send() {
        pair.transport.send_packet(&data(sent, 32_000)).unwrap();
        sent += 1;
    }
    assert!(pair.transport.output_pending() < 1024 * 1024);
    pair.run();
    assert!(pair.transport.can_send());
    assert_eq!(pair.client.received.len(), sent as usize);
}

#[test]
fn a_client_that_provokes_answers_and_does_not_read_is_not_heard() {
    let mut pair = logged_in();
    for _ in 0..60_000 {
        pair.client.send(&[191]);
    }
    while pair.client_to_server() {}
    let pending = pair.transport.output_pending();
    assert!(pending > 500_000 && pending < 1_200_000, "{pending}");
    // As soon as it reads, all of it is answered.
    pair.run();
    assert_eq!(pair.client.received.len(), 60_000);
    assert_eq!(pair.error, None);
}

#[test]
fn an_unknown_message_is_answered_with_its_sequence_number() {
    let mut pair = logged_in();
    let sequence_number = pair.client.sequence_out;
    pair.client.send(&[191]);
    pair.run();
    let answer = pair.client.received.pop_front().unwrap();
    assert_eq!(
        Unimplemented::decode(&answer),
        Ok(Unimplemented { sequence_number })
    );
}

#[test]
fn a_disconnect_is_the_last_that_is_sent() {
    let mut pair = logged_in();
    pair.transport.send_packet(&data(1, 1)).unwrap();
    pair.transport
        .disconnect(DisconnectReason::ByApplication, "good\nbye");
    pair.transport
        .disconnect(DisconnectReason::ByApplication, "again");
    assert_eq!(pair.transport.phase(), Phase::Closed);
    assert!(!pair.transport.can_send());
    pair.server_to_client();
    assert_eq!(pair.client.received.len(), 2);
    let told = pair.client.received.pop_back().unwrap();
    assert_eq!(
        Disconnect::decode(&told).unwrap().description,
        b"good\\nbye"
    );
}

#[test]
fn a_disconnect_of_the_client_is_told_escaped() {
    let mut pair = logged_in();
    let mut payload = Vec::new();
    Disconnect {
        reason: 11,
        description: b"bye\x1b[2J\n",
        language: b"",
    }
    .encode(&mut payload);
    pair.client.send(&payload);
    pair.client.send(&data(1, 1));
    pair.run();
    assert_eq!(pair.disconnected, Some((11, "bye\\x1b[2J\\n".to_owned())));
    assert_eq!(pair.transport.phase(), Phase::Closed);
    assert!(pair.received.is_empty());
    assert_eq!(
        pair.client
            .received
            .iter()
            .filter(|p| p[0] == number::DISCONNECT)
            .count(),
        0
    );
}
