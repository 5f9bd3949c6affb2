//! The client's messages in every other order: each one twice, left out, exchanged with its
//! neighbour, or anywhere else. What becomes of each message is told by a model of the protocol that
//! shares no code with the transport; and the network's changes of order are noticed by a tag.

use transport::{Error, Misbehaviour, PACKET_LIMIT, Phase, RekeyLimit};
use wire::message::{ExtInfo, Ping, Pong, Unimplemented, number};
use wire::userauth::AuthMethod;

use crate::client::{Client, Offer, Pace, data, service_request};
use crate::pair::{Pair, asking, interactive, request, response, signed};

/// What a client says, one message each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    KexInit,
    Share,
    NewKeys,
    ExtInfo,
    Service,
    /// USERAUTH_REQUEST with the method "none".
    None,
    /// One that asks whether a key would do.
    Asking,
    /// One that wants to be asked.
    Interactive,
    /// USERAUTH_INFO_RESPONSE, not the right one.
    Response,
    /// One with a signature.
    Signed,
    /// A channel message with this index.
    Data(u32),
    Ping,
    Ignore,
    Debug,
    /// A number that nobody has.
    Unknown,
    Disconnect,
}

/// The messages of a whole session, with new keys in the middle of it.
const SESSION: [Say; 21] = [
    Say::KexInit,
    Say::Share,
    Say::NewKeys,
    Say::ExtInfo,
    Say::Ignore,
    Say::Service,
    Say::None,
    Say::Asking,
    Say::Interactive,
    Say::Response,
    Say::Unknown,
    Say::Signed,
    Say::Data(1),
    Say::Ping,
    Say::KexInit,
    Say::Share,
    Say::NewKeys,
    Say::Data(2),
    Say::Debug,
    Say::Data(3),
    Say::Disconnect,
];

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing that can be seen.
    Taken,
    /// The payload is handed out.
    HandedOut,
    /// The monitor is asked who that is, or told what was answered.
    Asked,
    Ponged,
    Unimplemented,
    Refused,
    /// The client has said goodbye.
    Ended,
}

/// The protocol as the RFCs and OpenSSH's PROTOCOL tell it, for the client's messages.
struct Model {
    strict: bool,
    said: u32,
    exchange: Exchange,
    service: Service,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// There were no keys yet, and none are exchanged.
    NotBegun,
    AwaitsShare,
    AwaitsNewKeys,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    /// Nothing was said under keys.
    FirstUnderKeys,
    None,
    Authentication,
    /// The same, after a question to the user.
    Question,
    Connection,
}

impl Model {
    fn new(strict: bool) -> Self {
        Self {
            strict,
            said: 0,
            exchange: Exchange::NotBegun,
            service: Service::FirstUnderKeys,
        }
    }

    fn has_logged_in(&self) -> bool {
        self.service == Service::Connection
    }

    fn fate(&mut self, say: Say) -> Fate {
        let first = self.said == 0;
        let first_under_keys =
            self.exchange == Exchange::Done && self.service == Service::FirstUnderKeys;
        // A first exchange under way is one before anything was said under keys.
        let strict_exchange = self.strict
            && matches!(
                self.exchange,
                Exchange::AwaitsShare | Exchange::AwaitsNewKeys
            )
            && self.in_first_exchange();
        self.said += 1;
        let fate = match (say, self.exchange) {
            (Say::Disconnect, _) => Fate::Ended,
            (Say::Ignore | Say::Debug, _) if strict_exchange => Fate::Refused,
            (Say::Ignore | Say::Debug, _) => Fate::Taken,
            (Say::KexInit, Exchange::NotBegun) if self.strict && !first => Fate::Refused,
            (Say::KexInit, Exchange::NotBegun | Exchange::Done) => Fate::Taken,
            (Say::Share, Exchange::AwaitsShare) => Fate::Taken,
            (Say::NewKeys, Exchange::AwaitsNewKeys) => Fate::Taken,
            (_, Exchange::NotBegun | Exchange::AwaitsShare | Exchange::AwaitsNewKeys) => {
                Fate::Refused
            }
            (say, Exchange::Done) => self.under_keys(say),
        };
        if first_under_keys {
            self.service = Service::None;
        }
        self.advance(say, fate);
        fate
    }

    fn in_first_exchange(&self) -> bool {
        self.service == Service::FirstUnderKeys
    }

    fn under_keys(&self, say: Say) -> Fate {
        match (say, self.service) {
            (Say::ExtInfo, Service::FirstUnderKeys) => Fate::Taken,
            (Say::Service, Service::Connection) => Fate::Refused,
            // Paramiko requests it again before each attempt.
            (Say::Service, _) => Fate::Taken,
            (
                Say::None | Say::Asking | Say::Interactive | Say::Signed,
                Service::Authentication | Service::Question,
            ) => Fate::Asked,
            (Say::Response, Service::Question) => Fate::Asked,
            (Say::Response, Service::Authentication) => Fate::Unimplemented,
            (
                Say::None | Say::Asking | Say::Interactive | Say::Response | Say::Signed,
                Service::Connection,
            ) => Fate::Taken,
            (Say::Data(_), Service::Connection) => Fate::HandedOut,
            (Say::Ping, Service::Connection) => Fate::Ponged,
            (Say::Ping | Say::Unknown, _) => Fate::Unimplemented,
            _ => Fate::Refused,
        }
    }

    fn advance(&mut self, say: Say, fate: Fate) {
        match (say, fate) {
            (Say::KexInit, Fate::Taken) => self.exchange = Exchange::AwaitsShare,
            (Say::Share, Fate::Taken) => self.exchange = Exchange::AwaitsNewKeys,
            (Say::NewKeys, Fate::Taken) => self.exchange = Exchange::Done,
            (Say::Service, Fate::Taken) if self.service == Service::Question => {}
            (Say::Service, Fate::Taken) => self.service = Service::Authentication,
            (Say::Signed, Fate::Asked) => self.service = Service::Connection,
            (Say::Interactive, Fate::Asked) => self.service = Service::Question,
            (_, Fate::Asked) => self.service = Service::Authentication,
            _ => {}
        }
    }
}

/// Says everything in this order; each message is delivered and answered before the next.
fn play(offer: &Offer, strict: bool, order: &[Say]) {
    let mut pair = Pair::new(Client::silent(offer.clone()), RekeyLimit::default());
    pair.client.pace = Pace::Stepwise;
    pair.run();
    let mut model = Model::new(strict);
    for (place, say) in order.iter().enumerate() {
        let expected = model.fate(*say);
        let seen = fate(&mut pair, *say);
        assert_eq!(seen, expected, "{say:?} at {place} of {order:?}");
        assert_eq!(
            pair.transport.phase() == Phase::Connection,
            model.has_logged_in() && !matches!(seen, Fate::Refused | Fate::Ended),
            "{order:?}"
        );
        if matches!(seen, Fate::Refused | Fate::Ended) {
            break;
        }
    }
}

/// Says one message and looks at what comes of it.
fn fate(pair: &mut Pair, say: Say) -> Fate {
    let sequence = pair.client.sequence_out;
    let asked = |pair: &Pair| pair.questions.len() + pair.responses.len();
    let before = (pair.received.len(), asked(pair));
    pair.client.received.clear();
    match say {
        // Whatever is due as it should be; otherwise something of that kind.
        Say::KexInit => {
            if !pair.client.request_exchange() {
                let kexinit = pair.client.kexinit();
                pair.client.send_now(&kexinit);
            }
        }
        Say::Share => {
            if !pair.client.send_share() {
                pair.client.send_now(&[number::KEX_ECDH_INIT, 0, 0, 0, 0]);
            }
        }
        Say::NewKeys => {
            if !pair.client.send_new_keys() {
                pair.client.send_now(&[number::NEWKEYS]);
            }
        }
        say => pair.client.send_now(&payload(say)),
    }
    pair.run();
    if let Some(error) = &pair.error {
        assert!(
            matches!(
                error,
                Error::Misbehaved(
                    Misbehaviour::Unexpected { .. } | Misbehaviour::StrictKeyExchange { .. }
                )
            ),
            "{error}"
        );
        assert_eq!((pair.received.len(), asked(pair)), before);
        return Fate::Refused;
    }
    let received: Vec<_> = pair.client.received.drain(..).collect();
    let answer = received.iter().find_map(|payload| match payload[0] {
        number::PONG => {
            Pong::decode(payload).unwrap();
            Some(Fate::Ponged)
        }
        number::UNIMPLEMENTED => {
            let told = Unimplemented::decode(payload).unwrap();
            assert_eq!(told.sequence_number, sequence);
            Some(Fate::Unimplemented)
        }
        _ => None,
    });
    match (
        pair.received.len() - before.0,
        asked(pair) - before.1,
        answer,
        &pair.disconnected,
    ) {
        (0, 0, None, None) => Fate::Taken,
        (1, 0, None, None) => {
            assert_eq!(pair.received.last(), Some(&payload(say)));
            Fate::HandedOut
        }
        (0, 1, None, None) => Fate::Asked,
        (0, 0, Some(answer), None) => answer,
        (0, 0, None, Some(_)) => Fate::Ended,
        other => panic!("{say:?} led to {other:?}"),
    }
}

fn payload(say: Say) -> Vec<u8> {
    let mut out = Vec::new();
    match say {
        Say::KexInit | Say::Share | Say::NewKeys => unreachable!("the client's own"),
        Say::ExtInfo => ExtInfo {
            extensions: Vec::new(),
        }
        .encode(&mut out),
        Say::Service => out = service_request("ssh-userauth"),
        Say::None => out = request("alice", AuthMethod::None),
        Say::Asking => out = request("alice", asking()),
        Say::Interactive => out = request("alice", interactive()),
        Say::Response => out = response(b"wrong"),
        Say::Signed => out = request("alice", signed()),
        Say::Data(index) => out = data(index, 50),
        Say::Ping => Ping { data: b"here?" }.encode(&mut out),
        Say::Ignore => out = vec![number::IGNORE, 0, 0, 0, 0],
        Say::Debug => out = vec![number::DEBUG, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Say::Unknown => out = vec![150, 1, 2, 3],
        Say::Disconnect => {
            out = vec![number::DISCONNECT, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0];
        }
    }
    out
}

/// Offers with strict key exchange and without it.
fn offers() -> [(Offer, bool); 2] {
    let lenient = Offer {
        kex_after: ",ext-info-c",
        ..Offer::default()
    };
    [(Offer::default(), true), (lenient, false)]
}

#[test]
fn the_session_as_it_should_be_is_what_the_model_says() {
    for (offer, strict) in offers() {
        play(&offer, strict, &SESSION);
    }
}

#[test]
fn a_message_that_is_left_out_or_said_twice_gets_nobody_further() {
    for (offer, strict) in offers() {
        for (place, say) in SESSION.into_iter().enumerate() {
            let mut order = SESSION.to_vec();
            order.remove(place);
            play(&offer, strict, &order);
            let mut order = SESSION.to_vec();
            order.insert(place, say);
            play(&offer, strict, &order);
        }
    }
}

#[test]
fn a_message_at_any_other_place_gets_nobody_further() {
    // Among them are all exchanges of two neighbours.
    for (offer, strict) in offers() {
        for from in 0..SESSION.len() {
            for to in 0..SESSION.len() {
                let mut order = SESSION.to_vec();
                let say = order.remove(from);
                order.insert(to, say);
                play(&offer, strict, &order);
            }
        }
    }
}

#[test]
fn a_second_copy_at_any_place_gets_nobody_further() {
    for (offer, strict) in offers() {
        for say in SESSION {
            for to in 0..SESSION.len() {
                let mut order = SESSION.to_vec();
                order.insert(to, say);
                play(&offer, strict, &order);
            }
        }
    }
}

/// Five messages after login, as the packets that they were sealed to.
fn sealed(offer: &Offer) -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::logged_in(offer.clone(), RekeyLimit::default());
    let packets = (0..5).map(|index| {
        pair.client.send(&data(index, 30));
        std::mem::take(&mut pair.client.output)
    });
    let packets = packets.collect();
    (pair, packets)
}

#[test]
fn sealed_packets_in_another_order_end_the_connection() {
    for offer in Offer::each() {
        for from in 0..5 {
            for to in 0..5 {
                // Moved, or if it is the same place: sent once more.
                let (mut pair, packets) = sealed(&offer);
                let mut order: Vec<usize> = (0..5).collect();
                match from == to {
                    true => order.insert(to, from),
                    false => {
                        let index = order.remove(from);
                        order.insert(to, index);
                    }
                }
                let right = order.iter().zip(0..5).take_while(|(is, was)| **is == *was);
                let right = u32::try_from(right.count()).unwrap();
                pair.client.output = order.iter().flat_map(|i| packets[*i].clone()).collect();
                pair.run();
                let expected: Vec<_> = (0..right).map(|index| data(index, 30)).collect();
                assert_eq!(pair.received, expected, "{order:?}");
                if pair.error.is_none() {
                    // The length was read with the wrong key, and may ask for more than there is.
                    pair.client.output = vec![0; PACKET_LIMIT];
                    pair.run();
                }
                assert!(
                    matches!(
                        pair.error,
                        Some(Error::Misbehaved(
                            Misbehaviour::Corrupted | Misbehaviour::PacketLength(_)
                        ))
                    ),
                    "{} {order:?} {:?}",
                    offer.protection(),
                    pair.error
                );
            }
        }
    }
}
