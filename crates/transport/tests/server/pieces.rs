//! A whole session, in pieces: identification, key exchange, login, data, new keys by each side, the
//! end. Where the network cuts the streams makes no difference.

use transport::{Phase, RekeyLimit};
use wire::message::number;
use wire::names::{CipherAlgorithm, KexAlgorithm, MacAlgorithm};
use wire::userauth::AuthMethod;

use crate::client::{Client, Offer, data, service_request};
use crate::pair::{Pair, Portions, asking, request, signed};

/// Both ways in the same portions; the lengths of both streams.
fn session(offer: &Offer, portions: Portions) -> [usize; 2] {
    let mut pair = Pair::new(Client::new(offer.clone()), RekeyLimit::default());
    (pair.portions, pair.portions_back) = (portions, portions);
    pair.client.send(&service_request("ssh-userauth"));
    for method in [AuthMethod::None, asking(), signed()] {
        pair.client.send(&request("alice", method));
    }
    pair.run();
    assert_eq!((pair.error.clone(), pair.questions.len()), (None, 3));
    assert_eq!(pair.transport.phase(), Phase::Connection);
    pair.client.received.clear();

    both_send(&mut pair, 1);
    pair.run();
    pair.client.request_exchange();
    both_send(&mut pair, 2);
    pair.run();
    pair.client.send(&data(3, 60));
    pair.transport.send_packet(&data(3, 70)).unwrap();
    pair.transport.rekey().unwrap();
    pair.run();
    both_send(&mut pair, 4);
    pair.run();
    assert_eq!(pair.client.exchanges, 3);
    assert_eq!(pair.received, [1, 2, 3, 4].map(|index| data(index, 60)));
    assert_eq!(
        pair.client.received,
        [1, 2, 3, 4].map(|index| data(index, 70))
    );

    let goodbye = [number::DISCONNECT, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0];
    pair.client.send(&goodbye);
    pair.run();
    assert_eq!(
        (pair.error, pair.disconnected),
        (None, Some((11, String::new())))
    );
    [pair.delivered, pair.delivered_back]
}

fn both_send(pair: &mut Pair, index: u32) {
    pair.client.send(&data(index, 60));
    pair.transport.send_packet(&data(index, 70)).unwrap();
}

/// One of each way to hide a length: with a key of its own, not at all, with the packet; and one
/// with compression.
fn offers() -> [Offer; 4] {
    [
        (CipherAlgorithm::Chacha20Poly1305, MacAlgorithm::Umac64),
        (CipherAlgorithm::Aes256Gcm, MacAlgorithm::Umac64),
        (CipherAlgorithm::Aes128Ctr, MacAlgorithm::Umac128),
        (CipherAlgorithm::Aes192Ctr, MacAlgorithm::HmacSha2_512Etm),
    ]
    .map(|(cipher, mac)| {
        let offer = Offer {
            mac,
            ..Offer::new(KexAlgorithm::Curve25519Sha256, cipher)
        };
        match cipher {
            CipherAlgorithm::Aes192Ctr => offer.compressed(),
            _ => offer,
        }
    })
}

#[test]
fn both_streams_may_be_split_anywhere() {
    for (offer, step) in offers().iter().zip([1, 7, 3, 7]) {
        // Every position of the first one; the others have seen them all byte by byte.
        let longest = session(offer, Portions::All).into_iter().max().unwrap();
        for border in (1..longest).step_by(step) {
            session(offer, Portions::SplitAt(border));
        }
    }
}

#[test]
fn both_streams_may_come_byte_by_byte() {
    for offer in Offer::each().into_iter().chain(offers()) {
        session(&offer, Portions::Single);
    }
}
