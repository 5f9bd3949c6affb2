//! New keys at every point of a connection, by each side and by both at once, while data is on its
//! way in both directions: nothing is lost, comes twice or in another order.

use transport::{Phase, RekeyLimit};
use wire::message::number;
use wire::names::{CipherAlgorithm, KexAlgorithm};
use wire::userauth::AuthMethod;

use crate::client::{Client, Offer, data, service_request};
use crate::pair::{Pair, asking, request, signed};
use crate::rekey::assert_silence_during_exchanges;

/// Who asks for new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Client,
    Server,
    Both,
}

/// How bytes come through between two points.
#[derive(Debug, Clone, Copy)]
enum Network {
    /// In both directions.
    Prompt,
    /// In one direction at a time.
    Alternating,
    /// Now and then, so that much is on its way.
    Stalling,
}

/// At each one new keys may be asked for. The slowest network has carried the login after a third.
const POINTS: u32 = 27;

impl Network {
    fn deliver(self, pair: &mut Pair, point: u32) {
        let (to_server, to_client) = match self {
            Self::Prompt => (true, true),
            Self::Alternating => (point.is_multiple_of(2), !point.is_multiple_of(2)),
            Self::Stalling => (point % 3 != 1, point.is_multiple_of(3)),
        };
        if to_server {
            pair.client_to_server();
        }
        if to_client {
            pair.server_to_client();
        }
    }
}

/// A connection from its first byte on. At every point the client says something, and the server
/// does when it can; at one of them new keys are asked for. Returns how often the server could not.
fn connection(offer: &Offer, network: Network, asks: Asks, at: u32) -> u32 {
    let about = format!("{} {network:?} {asks:?} at {at}", offer.protection());
    let mut pair = Pair::new(Client::new(offer.clone()), RekeyLimit::default());
    let mut login = [
        service_request("ssh-userauth"),
        request("alice", AuthMethod::None),
        request("alice", asking()),
        request("alice", signed()),
    ]
    .into_iter();
    let (mut sent, mut sent_back, mut held_back, mut exchanges) = (0, 0, 0, 1);
    for point in 0..POINTS {
        let logged_in = pair.client.log.contains(&number::USERAUTH_SUCCESS);
        if point == at {
            // Between its last request and the answer, a client that compresses cannot know whether
            // it does.
            let unclear = offer.compression != "none" && login.len() == 0 && !logged_in;
            let client = asks != Asks::Server && !unclear && pair.client.request_exchange();
            let server = asks != Asks::Client && pair.transport.phase() == Phase::Connection;
            if server {
                pair.transport.rekey().unwrap();
            }
            exchanges += u32::from(client || server);
        }
        if logged_in {
            pair.client.send(&data(sent, 100));
            sent += 1;
        } else if pair.client.exchanges > 0
            && let Some(message) = login.next()
        {
            pair.client.send(&message);
        }
        if pair.transport.can_send() {
            pair.transport.send_packet(&data(sent_back, 200)).unwrap();
            sent_back += 1;
        } else if pair.transport.phase() == Phase::Connection {
            held_back += 1;
        }
        network.deliver(&mut pair, point);
    }
    pair.run();
    assert_eq!(pair.error, None, "{about}");
    assert_eq!(pair.client.exchanges, exchanges, "{about}");
    assert!(
        pair.transport.can_send() && pair.client.may_send(),
        "{about}"
    );
    let expected: Vec<_> = (0..sent).map(|index| data(index, 100)).collect();
    assert_eq!(pair.received, expected, "{about}");
    pair.client.received.retain(|payload| payload[0] == 94);
    let expected: Vec<_> = (0..sent_back).map(|index| data(index, 200)).collect();
    assert_eq!(pair.client.received, expected, "{about}");
    assert!(sent > 5 && sent_back > 5, "{about}: {sent} {sent_back}");
    assert_silence_during_exchanges(&pair.client.log);
    held_back
}

fn at_every_point(offer: &Offer, network: Network) {
    for asks in [Asks::Client, Asks::Server, Asks::Both] {
        let held_back: u32 = (0..POINTS)
            .map(|at| connection(offer, network, asks, at))
            .sum();
        assert!(held_back > 0, "no exchange was in the way of data");
    }
}

#[test]
fn new_keys_may_be_asked_for_at_every_point_of_every_network() {
    let lenient = Offer {
        kex_after: "",
        ..Offer::default()
    };
    let chacha = Offer::new(
        KexAlgorithm::Curve25519Sha256,
        CipherAlgorithm::Chacha20Poly1305,
    );
    for offer in [Offer::default(), lenient, chacha.compressed()] {
        for network in [Network::Prompt, Network::Alternating, Network::Stalling] {
            at_every_point(&offer, network);
        }
    }
}

#[test]
fn new_keys_may_be_asked_for_at_every_point_with_every_cipher_and_mac() {
    for offer in Offer::each() {
        at_every_point(&offer, Network::Stalling);
    }
}
