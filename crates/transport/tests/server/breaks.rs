//! One test for each known break of an SSH implementation that concerns this layer, named after it.
//!
//! What went wrong elsewhere stands above each. Breaks of other layers have their tests where those
//! layers are, under names of the same form; `tests/README.md` has the whole list.

use transport::{Error, Misbehaviour, Phase, RekeyLimit};
use wire::codec::{DecodeError, Write};
use wire::message::{ExtInfo, KexEcdhInit, PING_LIMIT, Ping, number};
use wire::names::{CipherAlgorithm, KexAlgorithm};
use wire::quirks::Quirk;
use wire::userauth::AuthMethod;

use crate::client::{Client, Offer, data, service_request};
use crate::pair::{Answers, Pair, request, signed};

const LENIENT: &str = ",ext-info-c";

/// Without kex-strict-c-v00@openssh.com.
fn lenient(offer: Offer) -> Offer {
    Offer {
        kex_after: LENIENT,
        ..offer
    }
}

fn silent(offer: Offer) -> Pair {
    Pair::new(Client::silent(offer), RekeyLimit::default())
}

/// A pair that sends what `payloads` are instead of a key exchange's next messages.
fn after_kexinit(offer: Offer, payloads: &[&[u8]]) -> Pair {
    let mut pair = silent(offer);
    let kexinit = pair.client.kexinit();
    pair.client.send_now(&kexinit);
    for payload in payloads {
        pair.client.send_now(payload);
    }
    pair.client_to_server();
    pair
}

fn authenticating() -> Pair {
    let mut pair = Pair::authenticating();
    pair.client.received.clear();
    pair
}

fn logged_in(offer: Offer) -> Pair {
    let mut pair = Pair::logged_in(offer, RekeyLimit::default());
    pair.client.received.clear();
    pair
}

fn ext_info() -> Vec<u8> {
    let mut out = Vec::new();
    ExtInfo {
        extensions: vec![(b"ext-info-in-auth@openssh.com", b"0")],
    }
    .encode(&mut out);
    out
}

fn ping(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Ping { data }.encode(&mut out);
    out
}

fn assert_nothing_was_gained(pair: &Pair) {
    assert!(pair.questions.is_empty() && pair.received.is_empty());
    assert!(pair.transport.phase() != Phase::Connection);
}

fn is_refused(error: &Error) -> bool {
    matches!(
        error,
        Error::Misbehaved(Misbehaviour::Unexpected { .. } | Misbehaviour::StrictKeyExchange { .. })
    )
}

/// Terrapin: who inserts a packet before the keys may drop one after them, unnoticed.
#[test]
fn cve_2023_48795_terrapin_no_packet_can_be_inserted_before_the_keys() {
    let ignore = [0, 0, 0, 12, 6, number::IGNORE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for cipher in CipherAlgorithm::ALL {
        let offer = Offer::new(KexAlgorithm::Curve25519Sha256, *cipher);
        // Before the client's NEWKEYS, which is sixteen bytes in clear.
        let mut pair = Pair::with_offer(offer.clone());
        pair.server_to_client();
        pair.client_to_server();
        pair.server_to_client();
        pair.client.output.splice(..0, ignore);
        pair.client_to_server();
        assert!(
            matches!(
                pair.error,
                Some(Error::Misbehaved(Misbehaviour::StrictKeyExchange {
                    message: number::IGNORE,
                    ..
                }))
            ),
            "{cipher:?}: {:?}",
            pair.error
        );
        // Before the KEXINIT: found when that says that the client is strict.
        let mut pair = Pair::with_offer(offer);
        let line = pair.client.output.iter().position(|byte| *byte == b'\n');
        let first = line.unwrap() + 1;
        pair.client.output.splice(first..first, ignore);
        pair.client_to_server();
        assert!(
            matches!(
                pair.error,
                Some(Error::Misbehaved(Misbehaviour::StrictKeyExchange {
                    message: number::KEXINIT,
                    sequence: 1
                }))
            ),
            "{cipher:?}: {:?}",
            pair.error
        );
    }
}

/// The other half of it, with and without strict key exchange: a cut alone breaks the next tag.
#[test]
fn cve_2023_48795_terrapin_a_cut_is_noticed() {
    for cipher in CipherAlgorithm::ALL {
        let strict = Offer::new(KexAlgorithm::Curve25519Sha256, *cipher);
        for offer in [strict.clone(), lenient(strict)] {
            let mut pair = Pair::with_offer(offer);
            pair.run();
            pair.client.send(&ext_info());
            pair.client.output.clear();
            pair.client.send(&service_request("ssh-userauth"));
            let error = pair.expect_disconnect();
            assert!(
                matches!(
                    error,
                    Error::Misbehaved(Misbehaviour::Corrupted | Misbehaviour::PacketLength(_))
                ),
                "{cipher:?}: {error}"
            );
        }
    }
}

/// What takes the attack its base: each new key begins with sequence number 0.
#[test]
fn cve_2023_48795_terrapin_sequence_numbers_start_again_with_each_key() {
    let mut pair = logged_in(Offer::default());
    for exchanges in 2..4 {
        pair.client.request_exchange();
        pair.run();
        assert_eq!(
            (pair.client.exchanges, pair.client.sequence_out),
            (exchanges, 0)
        );
    }
    pair.client.send(&data(1, 1));
    pair.run();
    assert_eq!((pair.received.len(), pair.error), (1, None));
}

/// russh #577 and others took strictness from a later exchange: then both sides count differently.
#[test]
fn strict_key_exchange_is_decided_in_the_first_exchange_only() {
    let mut pair = logged_in(lenient(Offer::default()));
    pair.client.offer.kex_after = Offer::default().kex_after;
    let kexinit = pair.client.kexinit();
    pair.client.send_now(&kexinit);
    pair.client.send_now(&[number::IGNORE, 0, 0, 0, 0]);
    pair.client_to_server();
    assert_eq!(pair.error, None, "as in any exchange that is not strict");
}

/// libssh: a client that sends the server's USERAUTH_SUCCESS was logged in.
#[test]
fn cve_2018_10933_libssh_the_servers_words_log_nobody_in() {
    for asked_before in [false, true] {
        for message in [51, 52, 53, 60, 61] {
            let mut pair = authenticating();
            if asked_before {
                pair.client.send(&request("alice", AuthMethod::None));
                pair.run();
            }
            pair.client.send(&[message]);
            pair.client.send(&data(1, 1));
            pair.run();
            assert_eq!(pair.transport.phase(), Phase::Closed, "message {message}");
            assert!(pair.received.is_empty());
            assert_eq!(pair.questions.len(), usize::from(asked_before));
        }
    }
}

/// Erlang/OTP: messages of the connection protocol were obeyed before the login.
#[test]
fn cve_2025_32433_erlang_channel_messages_before_the_login_are_refused() {
    let asked = || {
        let mut pair = authenticating();
        pair.client.send(&request("alice", AuthMethod::None));
        pair.run();
        pair.questions.clear();
        pair
    };
    for message in 80..=127 {
        for mut pair in [Pair::under_keys(), authenticating(), asked()] {
            pair.client.send(&[message, 0, 0, 0, 0]);
            let error = pair.expect_disconnect();
            assert!(is_refused(&error), "{error}");
            assert_nothing_was_gained(&pair);
        }
    }
}

/// The same while the monitor thinks about a request: nothing is taken until it has answered no.
#[test]
fn cve_2025_32433_erlang_a_channel_message_does_not_overtake_the_decision() {
    let mut pair = authenticating();
    pair.answers = Answers::SignOnly;
    pair.client.send(&request("alice", signed()));
    pair.client.send(&[number::CHANNEL_OPEN, 0, 0, 0, 0]);
    pair.run();
    assert!(pair.transport.question_open() && pair.received.is_empty());
    let outcome = crate::pair::refused();
    pair.transport.handle_auth_outcome(outcome).unwrap();
    assert!(is_refused(&pair.expect_disconnect()));
    assert!(pair.received.is_empty());
}

/// OpenSSH: each PING cost a PONG in a queue without bound, before the login and in a key exchange.
#[test]
fn cve_2025_26466_openssh_pings_before_the_login_cost_nothing_that_grows() {
    let mut pair = silent(Offer::default());
    let pending = pair.transport.output_pending();
    pair.client.send_now(&ping(b"x"));
    pair.client_to_server();
    assert!(is_refused(&pair.error.clone().unwrap()));
    // Nothing but the disconnect.
    assert!(pair.transport.output_pending() < pending + 200);

    let pair = after_kexinit(lenient(Offer::default()), &[&ping(b"x")]);
    assert!(is_refused(&pair.error.unwrap()));

    // Under keys a stranger's ping is answered in few bytes, and the allowance ends it.
    let mut pair = Pair::under_keys();
    for _ in 0..2000 {
        pair.client.send(&ping(&[0; 1000]));
    }
    while pair.client_to_server() {}
    assert_eq!(pair.error, Some(Misbehaviour::TooMuchBeforeLogin.into()));
    assert!(pair.transport.output_pending() < 64 * 1024);
}

/// The same after the login, by a client that does not read: what waits is bounded.
#[test]
fn cve_2025_26466_openssh_a_client_that_pings_and_does_not_read_is_not_heard() {
    let mut pair = logged_in(Offer::default());
    let flood = |pair: &mut Pair| {
        for _ in 0..200 {
            pair.client.send_now(&ping(&[7; PING_LIMIT]));
        }
        while pair.client_to_server() {}
    };
    flood(&mut pair);
    let pending = pair.transport.output_pending();
    assert!(pending < 1_200_000, "{pending}");
    pair.run();
    assert_eq!(pair.client.received.len(), 200);

    // While our KEXINIT is unanswered nothing may be answered: little is kept, the rest dropped.
    let mut pair = logged_in(Offer::default());
    pair.transport.rekey().unwrap();
    let before = pair.transport.output_pending();
    flood(&mut pair);
    assert_eq!(pair.transport.output_pending(), before);
    pair.run();
    assert_eq!((pair.client.exchanges, pair.error), (2, None));
    let kept: usize = pair.client.received.iter().map(Vec::len).sum();
    assert!(kept <= 64 * 1024, "{kept}");
}

/// AsyncSSH: an EXT_INFO that somebody inserted in clear was taken for the peer's.
#[test]
fn cve_2023_46445_asyncssh_no_extension_is_heard_before_the_keys() {
    for offer in [Offer::default(), lenient(Offer::default())] {
        let pair = after_kexinit(offer.clone(), &[&ext_info()]);
        assert!(is_refused(&pair.error.clone().unwrap()));
        assert_nothing_was_gained(&pair);
        let mut pair = silent(offer);
        pair.client.send_now(&ext_info());
        pair.client_to_server();
        assert!(is_refused(&pair.error.unwrap()));
    }
}

/// AsyncSSH: a request to log in that somebody inserted before the keys bound the session to them.
#[test]
fn cve_2023_46446_asyncssh_no_service_and_no_user_is_heard_before_the_keys() {
    for offer in [Offer::default(), lenient(Offer::default())] {
        for inserted in [
            service_request("ssh-userauth"),
            request("mallory", signed()),
        ] {
            let pair = after_kexinit(offer.clone(), &[&inserted]);
            assert!(is_refused(&pair.error.clone().unwrap()));
            assert_nothing_was_gained(&pair);
            let mut pair = silent(offer.clone());
            pair.client.send_now(&inserted);
            pair.client_to_server();
            assert!(is_refused(&pair.error.clone().unwrap()));
            assert_nothing_was_gained(&pair);
        }
    }
}

/// A length that is announced and refused, by what is there of the packet: four bytes.
fn announced(mut pair: Pair, length: u32) {
    // With AES-GCM the length is in clear, as it is before the keys.
    pair.client.output.extend(length.to_be_bytes());
    pair.client_to_server();
    assert_eq!(pair.error, Some(Misbehaviour::PacketLength(length).into()));
}

/// russh: memory for a packet of the announced length, before anything was checked.
#[test]
fn cve_2024_43410_russh_a_length_is_refused_before_its_packet() {
    for length in [u32::MAX, 1 << 31, 300_000] {
        announced(silent(Offer::default()), length);
        announced(Pair::under_keys(), length);
        announced(authenticating(), length);
        announced(logged_in(Offer::default()), length);
    }
}

/// russh: a buffer that grew to whatever was announced. The longest that is let in waits in the
/// driver's buffer, whose size is fixed; here nothing is kept of it.
#[test]
fn cve_2026_46673_russh_waiting_for_a_packet_costs_nothing() {
    let mut pair = logged_in(Offer::default());
    pair.client.output.extend(262_144_u32.to_be_bytes());
    pair.client.output.extend(vec![0; 200_000]);
    pair.client_to_server();
    assert_eq!(
        (pair.error.clone(), pair.transport.output_pending()),
        (None, 0)
    );
    const { assert!(transport::PACKET_LIMIT < 264 * 1024) };
}

/// russh: a keyboard-interactive response that announces 2^32-1 answers, before the login.
#[test]
fn cve_2026_42189_russh_an_answer_that_was_not_asked_for_is_not_decoded() {
    let mut pair = authenticating();
    pair.client.send(&[61, 0xff, 0xff, 0xff, 0xff]);
    pair.run();
    let answer = pair.client.received.pop_front().unwrap();
    assert_eq!(answer[0], number::UNIMPLEMENTED);
    assert_nothing_was_gained(&pair);
}

/// russh: a compressed packet within the limit became a payload without one.
#[test]
fn cve_2026_46702_russh_a_payload_is_bounded_after_decompression_too() {
    let mut pair = logged_in(Offer::default().compressed());
    pair.client.send(&data(1, 1024 * 1024 - 10));
    assert!(pair.client.output.len() < 35_000);
    let error = pair.expect_disconnect();
    assert_eq!(error, Misbehaviour::InflatedPayload.into());
    assert!(pair.received.is_empty());
}

/// russh: what one user had achieved was kept when the next request named another.
#[test]
fn cve_2026_46705_russh_another_user_or_service_ends_the_connection() {
    let mut pair = authenticating();
    pair.client.send(&request("alice", AuthMethod::None));
    pair.client.send(&request("root", signed()));
    assert_eq!(pair.expect_disconnect(), Misbehaviour::UserChanged.into());
    assert_eq!(pair.questions.len(), 1);

    let mut pair = authenticating();
    pair.client.send(&request("alice", AuthMethod::None));
    let mut other = vec![number::USERAUTH_REQUEST];
    for field in ["alice", "ssh-other", "none"] {
        other.put_string(field.as_bytes());
    }
    pair.client.send(&other);
    pair.expect_disconnect();
    assert_eq!(pair.questions.len(), 1);
}

/// russh: lines before the identification string, without end and from clients.
#[test]
fn cve_2026_48108_russh_nothing_precedes_the_clients_identification() {
    for line in [
        &b"\n"[..],
        b"hello\r\n",
        b"H",
        b"\0",
        b" SSH-2.0-x\r\n",
        b"ssh-2.0-x\r\n",
    ] {
        let mut pair = silent(Offer::default());
        pair.client.output = line.to_vec();
        pair.client_to_server();
        assert!(
            matches!(
                pair.error,
                Some(Error::Misbehaved(Misbehaviour::NotSsh { .. }))
            ),
            "{line:?}"
        );
    }
    let mut pair = silent(Offer::default());
    pair.client.output = b"SSH-2.0-".to_vec();
    pair.client.output.resize(255, b'x');
    pair.client_to_server();
    assert_eq!(pair.error, Some(Misbehaviour::IdentificationTooLong.into()));
}

/// russh: fields were copied in the length that they announce before it was looked at.
#[test]
fn cve_2026_48110_russh_a_field_is_bounded_before_it_is_copied() {
    let huge = |message: u8, before: &[u8]| {
        let mut payload = vec![message];
        payload.extend(before);
        payload.extend([0xff; 4]);
        payload
    };
    let too_long = |error: Option<Error>, number: u8| {
        let Some(Error::Misbehaved(Misbehaviour::Malformed { message, source })) = error else {
            panic!("{error:?}");
        };
        assert_eq!(message, number);
        assert!(matches!(source, DecodeError::TooLong { .. }), "{source}");
    };
    let mut pair = silent(Offer::default());
    pair.client.send_now(&huge(number::KEXINIT, &[0; 16]));
    pair.client_to_server();
    too_long(pair.error, number::KEXINIT);
    let init = huge(number::KEX_ECDH_INIT, &[]);
    too_long(
        after_kexinit(Offer::default(), &[&init]).error,
        number::KEX_ECDH_INIT,
    );

    for (mut pair, message, before) in [
        (Pair::under_keys(), number::SERVICE_REQUEST, &[][..]),
        (Pair::under_keys(), number::EXT_INFO, &[0, 0, 0, 1]),
        (Pair::under_keys(), number::DISCONNECT, &[0, 0, 0, 2]),
        (authenticating(), number::USERAUTH_REQUEST, &[]),
        (logged_in(Offer::default()), number::PING, &[]),
    ] {
        pair.client.send(&huge(message, before));
        pair.client_to_server();
        too_long(pair.error, message);
    }
}

/// russh: a panic, before the login, on a share of zeros. And GHSA-w3jg-pjxf-73p4: the hybrid did
/// not look at its X25519 part.
#[test]
fn cve_2026_73430_russh_a_share_of_zeros_is_refused() {
    let with_the_curve = |kex: &&KexAlgorithm| kex.name().contains("25519");
    for kex in KexAlgorithm::ALL.iter().filter(with_the_curve) {
        let mut pair = Pair::with_offer(Offer::new(*kex, CipherAlgorithm::Aes128Gcm));
        pair.answers = Answers::None;
        pair.server_to_client();
        // The client's own share, with what belongs to the curve set to zero: the last 32 bytes.
        let length = pair.client.output.len();
        let init = last_packet(&pair.client.output);
        let mut share = init.client_share;
        let curve = share.len().saturating_sub(32);
        share[curve..].fill(0);
        pair.client.output.truncate(length - init.packet);
        pair.client.sequence_out -= 1;
        let mut payload = Vec::new();
        KexEcdhInit {
            client_share: &share,
        }
        .encode(&mut payload);
        pair.client.send_now(&payload);
        pair.client_to_server();
        assert_eq!(
            pair.error,
            Some(Misbehaviour::InvalidShare.into()),
            "{kex:?}"
        );
        assert!(pair.unsigned.is_empty(), "nothing is signed for it");
    }
}

struct Init {
    client_share: Vec<u8>,
    /// Bytes of its packet.
    packet: usize,
}

/// The last packet in clear of a stream that begins with a line.
fn last_packet(stream: &[u8]) -> Init {
    let mut rest = stream.splitn(2, |byte| *byte == b'\n').nth(1).unwrap();
    loop {
        let (length, body) = rest.split_first_chunk::<4>().unwrap();
        let length = u32::from_be_bytes(*length) as usize;
        if body.len() == length {
            let payload = &body[1..length - usize::from(body[0])];
            return Init {
                client_share: KexEcdhInit::decode(payload).unwrap().client_share.to_vec(),
                packet: 4 + length,
            };
        }
        rest = &body[length..];
    }
}

/// OpenSSH: a client that calls itself FuTTY made the server free its list of methods twice.
#[test]
fn cve_2023_25136_openssh_an_old_clients_name_changes_what_is_known_of_it_and_nothing_else() {
    let mut client = Client::new(Offer::default());
    client.identify("SSH-2.0-FuTTYSH_9.1p1");
    let mut pair = Pair::new(client, RekeyLimit::default());
    pair.log_in();
    assert!(pair.transport.quirks().has(Quirk::OldGroupExchange));
    pair.client.request_exchange();
    pair.run();
    assert_eq!((pair.client.exchanges, pair.error), (2, None));
}

/// DHEat: whoever names a large group makes the server compute for a few bytes.
#[test]
fn cve_2002_20001_dheat_no_finite_field_is_offered_by_default() {
    for kex in KexAlgorithm::DEFAULT {
        assert!(!kex.name().contains("diffie-hellman"), "{}", kex.name());
    }
}

/// CBC tells from an error how far a packet was read.
#[test]
fn cve_2008_5161_no_cipher_is_cbc_or_worse() {
    for cipher in CipherAlgorithm::ALL {
        let name = cipher.name();
        for bad in ["cbc", "3des", "arcfour", "blowfish", "none"] {
            assert!(!name.contains(bad), "{name}");
        }
    }
}
