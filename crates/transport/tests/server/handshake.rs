//! From the first byte to the login.

use transport::{Phase, RekeyLimit, StrictKex};
use wire::message::{KexEcdhInit, number};
use wire::names::{CipherAlgorithm, KexAlgorithm};

use crate::client::{Client, IDENTIFICATION, Offer, data};
use crate::pair::Pair;

#[test]
fn every_method_works() {
    for kex in KexAlgorithm::ALL {
        let offer = Offer::new(*kex, CipherAlgorithm::Aes128Gcm);
        let pair = Pair::logged_in(offer, RekeyLimit::default());
        assert_eq!(pair.transport.negotiated().unwrap().kex, *kex);
        assert_eq!(
            pair.transport.session_identifier(),
            pair.client.session_identifier.as_deref()
        );
    }
}

#[test]
fn every_cipher_carries_packets_of_every_size_with_every_mac() {
    for offer in Offer::each() {
        let mut pair = Pair::logged_in(offer.clone(), RekeyLimit::default());
        let negotiated = pair.transport.negotiated().unwrap();
        for direction in [negotiated.client_to_server, negotiated.server_to_client] {
            assert_eq!(direction.cipher, offer.cipher);
            assert!(direction.mac.is_none_or(|mac| mac == offer.mac));
        }
        assert_eq!(negotiated.strict, StrictKex::On);
        pair.client.received.clear();
        for (index, length) in [0, 1, 3, 15, 16, 17, 1000, 32_768, 262_000]
            .into_iter()
            .enumerate()
        {
            let message = data(u32::try_from(index).unwrap(), length);
            let about = format!("{} with {length} bytes", offer.protection());
            pair.client.send(&message);
            pair.run();
            assert_eq!(pair.received.pop(), Some(message.clone()), "{about}");
            pair.transport.send_packet(&message).unwrap();
            pair.run();
            assert_eq!(pair.client.received.pop_front(), Some(message), "{about}");
        }
        assert_eq!(pair.error, None);
    }
}

#[test]
fn our_line_and_offer_are_out_before_the_client_says_anything() {
    let pair = Pair::with_offer(Offer::default());
    let output = pair.transport.poll_output();
    let line = b"SSH-2.0-test_server with comment\r\n";
    assert!(output.starts_with(line));
    assert_eq!(output[line.len() + 5], number::KEXINIT);
    assert_eq!(pair.transport.phase(), Phase::Handshake);
    assert_eq!(pair.transport.client_identification(), None);
}

#[test]
fn the_clients_identification_is_known_from_its_line_on() {
    let mut pair = Pair::new(Client::silent(Offer::default()), RekeyLimit::default());
    pair.run();
    assert_eq!(
        pair.transport.client_identification(),
        Some(IDENTIFICATION.as_bytes())
    );
}

#[test]
fn a_client_without_strict_key_exchange_gets_in() {
    let offer = Offer {
        kex_after: ",ext-info-c",
        ..Offer::default()
    };
    let pair = Pair::logged_in(offer, RekeyLimit::default());
    assert_eq!(pair.transport.negotiated().unwrap().strict, StrictKex::Off);
}

#[test]
fn a_packet_on_a_wrong_guess_is_skipped() {
    let mut guess = Vec::new();
    KexEcdhInit {
        client_share: b"for a method that was not negotiated",
    }
    .encode(&mut guess);
    for kex_before in ["not-ours@example.com,", ""] {
        for after in [",kex-strict-c-v00@openssh.com", ""] {
            let offer = Offer {
                kex_before,
                kex_after: after,
                guess: Some(guess.clone()),
                ..Offer::default()
            };
            Pair::logged_in(offer, RekeyLimit::default());
        }
    }
}

#[test]
fn a_right_guess_is_used() {
    // The first method of both sides: the share that follows the KEXINIT counts.
    let offer = Offer::new(
        KexAlgorithm::Mlkem768X25519Sha256,
        CipherAlgorithm::Chacha20Poly1305,
    );
    let mut pair = Pair::with_offer(Offer {
        guess: Some(vec![30, 0, 0, 0, 0]),
        ..offer
    });
    pair.run();
    assert_eq!(
        pair.error,
        Some(transport::Misbehaviour::InvalidShare.into())
    );
}
