//! Diffie-Hellman group exchange (RFC 4419): what the client asks for, and what it gets.

use transport::{Error, Failure, Incompatibility, Misbehaviour, RekeyLimit};
use wire::groups::{DhGroup, FixedGroup};
use wire::message::{KexDhGexGroup, KexDhGexRequest, number};
use wire::names::{CipherAlgorithm, KexAlgorithm};

use crate::client::{Client, Offer};
use crate::pair::{Answers, Pair};

fn offer() -> Offer {
    Offer::new(
        KexAlgorithm::DhGroupExchangeSha256,
        CipherAlgorithm::Aes128Gcm,
    )
}

/// A pair whose test sends what comes after both KEXINITs.
fn agreed() -> Pair {
    let mut pair = Pair::new(Client::silent(offer()), RekeyLimit::default());
    pair.answers = Answers::None;
    let kexinit = pair.client.kexinit();
    pair.client.send_now(&kexinit);
    pair.client_to_server();
    assert_eq!(pair.error, None);
    pair
}

fn request(min: u32, preferred: u32, max: u32) -> Vec<u8> {
    let mut out = Vec::new();
    KexDhGexRequest {
        min,
        preferred,
        max,
    }
    .encode(&mut out);
    out
}

/// A pair in which the client has asked for a group.
fn asked() -> Pair {
    let mut pair = agreed();
    pair.client.send_now(&request(2048, 3072, 4096));
    pair.client_to_server();
    assert!(pair.transport.question_open());
    pair
}

#[test]
fn a_request_for_useless_sizes_is_refused_and_asks_nobody() {
    for (min, preferred, max) in [(1024, 1024, 2047), (8193, 8193, 9000), (4096, 3072, 8192)] {
        let mut pair = agreed();
        pair.client.send_now(&request(min, preferred, max));
        pair.client_to_server();
        assert!(!pair.transport.question_open());
        let expected = Misbehaviour::GroupSize { min, max };
        assert_eq!(pair.error, Some(expected.into()));
    }
}

#[test]
fn the_group_that_was_chosen_is_sent() {
    let mut pair = asked();
    let sent = pair.transport.poll_output().len();
    let group = FixedGroup::Group16.group();
    pair.transport.handle_group(Some(group.clone())).unwrap();
    let output = &pair.transport.poll_output()[sent..];
    // packet_length, padding_length, payload, padding
    let payload = &output[5..output.len() - usize::from(output[4])];
    let message = KexDhGexGroup::decode(payload).unwrap();
    assert_eq!(
        (message.prime, message.generator),
        (&group.prime[..], &[2][..])
    );
    assert!(!pair.transport.question_open());
}

#[test]
fn a_group_that_was_not_asked_for_is_not_passed_on() {
    let group = FixedGroup::Group14.group();
    let large = FixedGroup::Group18.group();
    let mut even = group.clone();
    *even.prime.last_mut().unwrap() -= 1;
    let with_generator = |generator: &[u8]| DhGroup {
        generator: generator.to_vec(),
        ..group.clone()
    };
    let mut order_two = group.prime.clone();
    *order_two.last_mut().unwrap() -= 1;
    for group in [
        large,
        even,
        with_generator(&[]),
        with_generator(&[1]),
        with_generator(&order_two),
    ] {
        let mut pair = asked();
        let result = pair.transport.handle_group(Some(group));
        assert_eq!(result, Err(Error::from(Failure::UnfitAnswer)));
    }
}

#[test]
fn a_client_for_which_there_is_no_group_is_told_so() {
    let mut pair = asked();
    let result = pair.transport.handle_group(None);
    let expected = Error::from(Incompatibility::NoGroup(2048..=4096));
    assert_eq!(result, Err(expected));
    pair.server_to_client();
    assert_eq!(pair.client.log.last(), Some(&number::DISCONNECT));
}

#[test]
fn a_group_without_a_question_changes_nothing() {
    let group = || Some(FixedGroup::Group14.group());
    let mut pair = agreed();
    assert_eq!(
        pair.transport.handle_group(group()),
        Err(Failure::NoQuestion.into())
    );
    pair.client.send_now(&request(2048, 2048, 2048));
    pair.client_to_server();
    // The wrong answer to the right question.
    assert_eq!(
        pair.transport.handle_signature(vec![1]),
        Err(Failure::NoQuestion.into())
    );
    pair.transport.handle_group(group()).unwrap();
    assert_eq!(
        pair.transport.handle_group(group()),
        Err(Failure::NoQuestion.into())
    );
    assert_eq!(pair.error, None);
}

#[test]
fn the_messages_come_in_their_order_only() {
    // The old request, the share before the group, the server's messages.
    for message in [
        number::KEX_ECDH_INIT,
        number::KEX_DH_GEX_INIT,
        number::KEX_DH_GEX_GROUP,
        number::KEX_DH_GEX_REPLY,
        number::NEWKEYS,
    ] {
        let mut pair = agreed();
        pair.client.send_now(&[message, 0, 0, 8, 0]);
        pair.client_to_server();
        assert!(
            matches!(
                pair.error,
                Some(Error::Misbehaved(Misbehaviour::StrictKeyExchange { .. }))
            ),
            "{message}: {:?}",
            pair.error
        );
    }
    // A second request instead of the share.
    let mut pair = asked();
    let group = FixedGroup::Group14.group();
    pair.transport.handle_group(Some(group)).unwrap();
    pair.client.send_now(&request(2048, 3072, 4096));
    pair.client_to_server();
    assert!(pair.error.is_some());
}
