//! SSH_MSG_EXT_INFO (RFC 8308) and ping@openssh.com (OpenSSH PROTOCOL section 1.9).

use transport::{Error, Misbehaviour, RekeyLimit};
use wire::codec::DecodeError;
use wire::message::{ExtInfo, PING_LIMIT, Ping, Pong, Unimplemented, number};
use wire::names::SignatureAlgorithm;
use wire::userauth::AuthMethod;

use crate::client::{Offer, data, service_request};
use crate::pair::{Answers, Pair, refused, request};

fn ext_info(extensions: Vec<(&[u8], &[u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    ExtInfo { extensions }.encode(&mut out);
    out
}

fn ping(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Ping { data }.encode(&mut out);
    out
}

fn pong(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Pong { data }.encode(&mut out);
    out
}

fn logged_in() -> Pair {
    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    pair.client.received.clear();
    pair
}

#[test]
fn extensions_are_told_right_after_the_first_keys_to_those_who_ask() {
    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    let info = pair.client.received.pop_front().unwrap();
    assert_eq!(
        ExtInfo::decode(&info).unwrap().extensions,
        [
            (&b"server-sig-algs"[..], &b"ssh-ed25519,rsa-sha2-512"[..]),
            (b"publickey-hostbound@openssh.com", b"0"),
            (b"ping@openssh.com", b"0"),
        ]
    );
    let after_keys = pair
        .client
        .log
        .iter()
        .skip_while(|message| **message != number::NEWKEYS);
    assert_eq!(
        after_keys.take(2).copied().collect::<Vec<_>>(),
        [number::NEWKEYS, number::EXT_INFO]
    );

    let offer = Offer {
        kex_after: ",kex-strict-c-v00@openssh.com",
        ..Offer::default()
    };
    let pair = Pair::logged_in(offer, RekeyLimit::default());
    assert!(!pair.client.log.contains(&number::EXT_INFO));
}

#[test]
fn extensions_of_the_client_are_taken_right_after_its_first_keys() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.client
        .send(&ext_info(vec![(b"unknown@example.com", b"\0\xff")]));
    pair.log_in();
    let told = |number| pair.client.log.iter().filter(|n| **n == number).count();
    assert_eq!(told(number::EXT_INFO), 1);
}

#[test]
fn extensions_of_the_client_are_refused_at_any_other_time() {
    let mut before = vec![vec![number::IGNORE, 0, 0, 0, 0]];
    before.push(ext_info(Vec::new()));
    before.push(service_request("ssh-userauth"));
    for first in before {
        let mut pair = Pair::with_offer(Offer::default());
        pair.client.send(&first);
        pair.client.send(&ext_info(Vec::new()));
        let error = pair.expect_disconnect();
        assert!(
            matches!(
                error,
                Error::Misbehaved(Misbehaviour::Unexpected { message: 7, .. })
            ),
            "{error}"
        );
    }
    // A new key is no first key.
    let mut pair = logged_in();
    pair.client.request_exchange();
    pair.run();
    pair.client.send(&ext_info(Vec::new()));
    pair.expect_disconnect();
}

#[test]
fn extensions_that_are_malformed_or_too_many_end_the_connection() {
    let many = vec![(&b"x"[..], &b""[..]); 65];
    let mut cut = ext_info(vec![(b"x", b"")]);
    cut.pop();
    for (payload, source) in [
        (ext_info(many), DecodeError::OutOfRange),
        (cut, DecodeError::Truncated),
    ] {
        let mut pair = Pair::with_offer(Offer::default());
        pair.client.send(&payload);
        let message = number::EXT_INFO;
        assert_eq!(
            pair.expect_disconnect(),
            Misbehaviour::Malformed { message, source }.into()
        );
    }
}

#[test]
fn a_client_that_listens_is_told_again_when_it_has_named_the_user() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.client
        .send(&ext_info(vec![(b"ext-info-in-auth@openssh.com", b"0")]));
    pair.client.send(&service_request("ssh-userauth"));
    pair.run();
    pair.client.received.clear();
    for _ in 0..2 {
        pair.client.send(&request("alice", AuthMethod::None));
    }
    pair.run();
    let told: Vec<_> = pair
        .client
        .received
        .iter()
        .map(|message| message[0])
        .collect();
    assert_eq!(
        told,
        [
            number::EXT_INFO,
            number::USERAUTH_FAILURE,
            number::USERAUTH_FAILURE
        ]
    );
    assert_eq!(
        ExtInfo::decode(&pair.client.received[0])
            .unwrap()
            .extensions,
        [(&b"server-sig-algs"[..], &b"ssh-ed25519,rsa-sha2-512"[..])]
    );
}

#[test]
fn what_it_is_told_again_are_the_algorithms_of_the_user() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.answers = Answers::SignOnly;
    pair.client
        .send(&ext_info(vec![(b"ext-info-in-auth@openssh.com", b"0")]));
    pair.client.send(&service_request("ssh-userauth"));
    pair.client.send(&request("alice", AuthMethod::None));
    pair.run();
    pair.client.received.clear();
    let of_the_user = vec![SignatureAlgorithm::RsaSha2_256];
    pair.transport.set_pubkey_algorithms(of_the_user);
    pair.transport.handle_auth_outcome(refused()).unwrap();
    pair.run();
    let told = pair.client.received.pop_front().unwrap();
    assert_eq!(
        ExtInfo::decode(&told).unwrap().extensions,
        [(&b"server-sig-algs"[..], &b"rsa-sha2-256"[..])]
    );
    let answer = pair.client.received.pop_front().unwrap();
    assert_eq!(answer[0], number::USERAUTH_FAILURE);
}

#[test]
fn a_ping_is_answered_with_its_data_after_the_login() {
    let mut pair = logged_in();
    let longest = vec![7; PING_LIMIT];
    for content in [&b""[..], b"PING!", &longest] {
        pair.client.send(&ping(content));
        pair.run();
        assert_eq!(pair.client.received.pop_front(), Some(pong(content)));
    }
}

#[test]
fn a_ping_before_the_login_is_a_message_that_does_not_exist() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.run();
    pair.client.received.clear();
    let sequence_number = pair.client.sequence_out;
    pair.client.send(&ping(b"PING!"));
    pair.run();
    let answer = pair.client.received.pop_front().unwrap();
    assert_eq!(
        Unimplemented::decode(&answer),
        Ok(Unimplemented { sequence_number })
    );
}

#[test]
fn a_ping_that_crosses_our_request_for_new_keys_is_answered_after_them() {
    let mut pair = logged_in();
    pair.transport.rekey().unwrap();
    pair.client.send(&ping(b"one"));
    pair.client.send(&data(1, 1));
    pair.client.send(&ping(b"two"));
    pair.client_to_server();
    assert_eq!(pair.received, [data(1, 1)]);
    pair.run();
    assert_eq!(pair.client.exchanges, 2);
    assert_eq!(pair.client.received, [pong(b"one"), pong(b"two")]);
    let log = &pair.client.log;
    let last = |number| log.iter().rposition(|message| *message == number).unwrap();
    let pongs: Vec<_> = (0..log.len()).filter(|i| log[*i] == number::PONG).collect();
    assert!(pongs.iter().all(|pong| *pong > last(number::NEWKEYS)));
}

#[test]
fn a_ping_in_a_key_exchange_ends_the_connection() {
    let mut pair = logged_in();
    pair.client.request_exchange();
    pair.client.send_now(&ping(b"x"));
    let error = pair.expect_disconnect();
    assert!(
        matches!(
            error,
            Error::Misbehaved(Misbehaviour::Unexpected { message: 192, .. })
        ),
        "{error}"
    );
}

#[test]
fn a_malformed_ping_ends_the_connection() {
    let too_long = vec![0; PING_LIMIT + 1];
    for payload in [
        vec![number::PING],
        ping(&too_long),
        [ping(b""), vec![0]].concat(),
    ] {
        let mut pair = logged_in();
        pair.client.send(&payload);
        assert!(matches!(
            pair.expect_disconnect(),
            Error::Misbehaved(Misbehaviour::Malformed { message: 192, .. })
        ));
    }
}
