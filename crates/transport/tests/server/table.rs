//! Each of the 256 message numbers in each state, against `admission.txt`, which is the code's table.

use transport::{Error, Misbehaviour, RekeyLimit, StrictKex};
use wire::message::{KexDhGexRequest, KexEcdhInit, Unimplemented, number};
use wire::names::KexAlgorithm;
use wire::userauth::AuthMethod;

use crate::client::{Client, Offer, service_request};
use crate::pair::{Pair, request, response};

const TABLE: &str = include_str!("../../admission.txt");

/// What the table says: the symbol for a number in the column with this title.
fn expected(title: &str, message: u8) -> char {
    let legend = TABLE.lines().find(|line| line.get(3..) == Some(title));
    let column = legend.and_then(|line| line.chars().next()).unwrap();
    for line in TABLE.lines() {
        let mut words = line.split_whitespace();
        let (Some(numbers), Some(row), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (Ok(first), Ok(last)) = (first.parse::<u8>(), last.parse::<u8>()) else {
            continue;
        };
        if (first..=last).contains(&message) {
            let place = u32::from(column) - u32::from('A');
            return row.chars().nth(place as usize).unwrap();
        }
    }
    panic!("no line for {message}")
}

/// What one message comes to.
#[derive(PartialEq, Eq)]
enum Effect {
    Nothing,
    Unimplemented,
    Refused,
    Handled,
}

fn effect(pair: &mut Pair, message: u8) -> Effect {
    let pending = pair.transport.output_pending();
    let sequence_number = pair.client.sequence_out;
    // No field of any message can be this long: what is handled is found to be malformed, or is
    // handed out as it is.
    pair.client.send_now(&[message, 0xff, 0xff, 0xff, 0xff]);
    pair.client_to_server();
    match &pair.error {
        Some(Error::Misbehaved(
            Misbehaviour::Unexpected { .. } | Misbehaviour::StrictKeyExchange { .. },
        )) => return Effect::Refused,
        Some(_) => return Effect::Handled,
        None if pair.transport.output_pending() == pending && pair.received.is_empty() => {
            return Effect::Nothing;
        }
        None => {}
    }
    pair.client.received.clear();
    pair.server_to_client();
    let unimplemented = Ok(Unimplemented { sequence_number });
    match &pair.client.received {
        answers
            if answers
                .iter()
                .any(|a| Unimplemented::decode(a) == unimplemented) =>
        {
            Effect::Unimplemented
        }
        _ => Effect::Handled,
    }
}

/// The symbol for what the server does.
fn observed(mut pair: Pair, message: u8) -> char {
    match effect(&mut pair, message) {
        Effect::Refused => 'x',
        Effect::Unimplemented => '?',
        Effect::Handled => '+',
        // A guess that was skipped leaves no trace, but the next one is no guess any more.
        Effect::Nothing => match effect(&mut pair, message) {
            Effect::Nothing => '.',
            Effect::Refused | Effect::Unimplemented | Effect::Handled => '+',
        },
    }
}

fn compare(title: &str, situation: impl Fn() -> Pair) {
    for message in 0..=255 {
        let observed = observed(situation(), message);
        assert_eq!(
            observed,
            expected(title, message),
            "message {message}, {title}"
        );
    }
}

/// Which step of a key exchange comes next.
#[derive(Clone, Copy)]
enum Next {
    WrongGuess,
    MethodInit,
    GroupRequest,
    GroupInit,
    NewKeys,
}

/// Each with its words in a title.
const STEPS: [(Next, &str); 5] = [
    (Next::WrongGuess, "wrong guess to come"),
    (Next::MethodInit, "the method's first message to come"),
    (Next::GroupRequest, "KEX_DH_GEX_REQUEST to come"),
    (Next::GroupInit, "KEX_DH_GEX_INIT to come"),
    (Next::NewKeys, "NEWKEYS to come"),
];

const NO_SUCH_METHOD_FIRST: &str = "no-such-method,";

fn offer(strict: StrictKex, next: Next) -> Offer {
    let offer = Offer {
        kex_after: match strict {
            StrictKex::On => ",kex-strict-c-v00@openssh.com",
            StrictKex::Off => "",
        },
        ..Offer::default()
    };
    match next {
        Next::WrongGuess => Offer {
            kex_before: NO_SUCH_METHOD_FIRST,
            guess: Some(Vec::new()),
            ..offer
        },
        Next::GroupRequest | Next::GroupInit => Offer {
            kex: KexAlgorithm::DhGroupExchangeSha256,
            ..offer
        },
        Next::MethodInit | Next::NewKeys => offer,
    }
}

/// Sends what precedes the next step of a key exchange.
fn exchange(pair: &mut Pair, next: Next) {
    let kexinit = pair.client.kexinit();
    pair.client.send_now(&kexinit);
    let mut before = Vec::new();
    match next {
        Next::WrongGuess | Next::MethodInit | Next::GroupRequest => {}
        Next::GroupInit => KexDhGexRequest {
            min: 2048,
            preferred: 2048,
            max: 8192,
        }
        .encode(&mut before),
        Next::NewKeys => KexEcdhInit {
            client_share: &[9; 32],
        }
        .encode(&mut before),
    }
    if !before.is_empty() {
        pair.client.send_now(&before);
    }
    pair.client_to_server();
    assert_eq!(pair.error, None);
}

fn first_exchange(strict: StrictKex, next: Next) -> Pair {
    let client = Client::silent(offer(strict, next));
    let mut pair = Pair::new(client, RekeyLimit::default());
    exchange(&mut pair, next);
    pair
}

/// A later exchange, of a client that was strict in the first one.
fn later_exchange(mut pair: Pair, next: Next) -> Pair {
    pair.client.offer = offer(StrictKex::On, next);
    exchange(&mut pair, next);
    pair
}

fn logged_in() -> Pair {
    Pair::logged_in(Offer::default(), RekeyLimit::default())
}

#[test]
fn before_the_first_kexinit() {
    compare("before the client's first KEXINIT", || {
        let client = Client::silent(Offer::default());
        let mut pair = Pair::new(client, RekeyLimit::default());
        pair.client_to_server();
        pair
    });
}

#[test]
fn in_a_strict_key_exchange() {
    for (next, step) in STEPS {
        let title = format!("strict key exchange, {step}");
        compare(&title, || first_exchange(StrictKex::On, next));
    }
}

#[test]
fn in_a_first_key_exchange_that_is_not_strict() {
    for (next, step) in STEPS {
        let title = format!("any other key exchange, {step}");
        compare(&title, || first_exchange(StrictKex::Off, next));
    }
}

#[test]
fn in_a_key_exchange_before_the_login() {
    for (next, step) in STEPS {
        let title = format!("any other key exchange, {step}");
        compare(&title, || later_exchange(Pair::authenticating(), next));
        compare(&title, || later_exchange(Pair::asked(), next));
    }
}

#[test]
fn in_a_key_exchange_after_the_login() {
    for (next, step) in STEPS {
        let title = format!("any other key exchange, {step}");
        compare(&title, || later_exchange(logged_in(), next));
    }
}

#[test]
fn right_after_the_first_keys() {
    compare("first packet under the first keys", Pair::under_keys);
}

#[test]
fn before_the_service_is_requested() {
    compare("before the service request", || {
        let mut pair = Pair::under_keys();
        pair.client.send(&[number::IGNORE, 0, 0, 0, 0]);
        pair.run();
        pair
    });
}

#[test]
fn in_authentication() {
    compare("authentication", Pair::authenticating);
    compare("authentication", || {
        let mut pair = Pair::authenticating();
        pair.client.send(&request("alice", AuthMethod::None));
        pair.run();
        pair
    });
}

#[test]
fn after_a_question() {
    compare("authentication, INFO_RESPONSE to come", Pair::asked);
    compare("authentication, INFO_RESPONSE to come", || {
        let mut pair = Pair::asked();
        pair.client.send(&service_request("ssh-userauth"));
        pair.run();
        pair
    });
    compare("authentication", || {
        let mut pair = Pair::asked();
        pair.client.send(&response(b"wrong"));
        pair.run();
        pair
    });
    compare("authentication", || {
        let mut pair = Pair::asked();
        pair.client.send(&request("alice", AuthMethod::None));
        pair.run();
        pair
    });
}

#[test]
fn after_the_login() {
    compare("connection", logged_in);
    compare("connection", || {
        let mut pair = Pair::logged_in(Offer::default().compressed(), RekeyLimit::default());
        pair.client.received.clear();
        pair
    });
}

#[test]
fn while_our_request_for_new_keys_is_unanswered() {
    compare("connection", || {
        let mut pair = logged_in();
        pair.transport.rekey().unwrap();
        pair
    });
}
