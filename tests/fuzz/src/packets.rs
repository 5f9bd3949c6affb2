//! Messages of every kind, well formed and mangled, in clear: each decoder, the start of a key
//! exchange, and the link to the engine.

use arbitrary::{Arbitrary, Unstructured};
use transport::RekeyLimit;
use transport::link::Link;
use wire::message::{
    Disconnect, ExtInfo, KexDhGexGroup, KexDhGexInit, KexDhGexReply, KexDhGexRequest, KexEcdhInit,
    KexEcdhReply, KexInit, Ping, Pong, ServiceAccept, ServiceRequest, Unimplemented,
    UserauthFailure, UserauthPkOk, number,
};
use wire::userauth::AuthRequest;

use crate::message::Message;
use crate::watched::{MONITOR, Outcome, START, Watched};

/// Most messages of an input that are looked at.
const MESSAGES: usize = 32;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let mut payloads = Vec::new();
    while payloads.len() < MESSAGES
        && !data.is_empty()
        && let Ok(message) = Message::arbitrary(&mut data)
    {
        payloads.push(message.payload());
    }
    payloads.iter().for_each(|payload| decode(payload));
    connect(&payloads);
    link(&payloads);
}

/// What a decoder accepts, it encodes to the same bytes.
fn decode(payload: &[u8]) {
    macro_rules! same_again {
        ($($message:ident)+) => {$(
            if let Ok(message) = $message::decode(payload) {
                let mut again = Vec::new();
                message.encode(&mut again);
                assert_eq!(again, payload);
            }
        )+};
    }
    same_again!(
        Disconnect Unimplemented ServiceRequest ServiceAccept ExtInfo KexInit KexEcdhInit
        KexEcdhReply UserauthFailure UserauthPkOk Ping Pong
        KexDhGexRequest KexDhGexGroup KexDhGexInit KexDhGexReply
    );
    // A boolean may be any byte, and a method that is not ours any bytes: here it is the meaning
    // that stays.
    if let Ok(request) = AuthRequest::decode(payload) {
        let mut again = Vec::new();
        request.encode(&mut again);
        assert_eq!(AuthRequest::decode(&again), Ok(request));
    }
}

/// The messages as the first packets of a connection.
fn connect(payloads: &[Vec<u8>]) {
    let mut transport = Watched::new(RekeyLimit::default());
    let mut arrived = b"SSH-2.0-fuzz\r\n".to_vec();
    for payload in payloads {
        plain_packet(payload, &mut arrived);
    }
    loop {
        match transport.step(*START, &mut arrived) {
            Outcome::Waiting | Outcome::Ended => break,
            Outcome::Went => {}
            Outcome::Sign(values) => {
                let signature = MONITOR.sign(&values);
                transport.sign(values, signature);
            }
            Outcome::Authenticate(_) | Outcome::Packet(_) => panic!("served in clear"),
        }
    }
}

/// The messages as what the engine says after its login: it gets them out as it put them in.
fn link(payloads: &[Vec<u8>]) {
    let mut link = Link::new();
    let mut said = b"SSH-2.0-engine\r\n".to_vec();
    for message in [
        number::KEXINIT,
        number::NEWKEYS,
        number::SERVICE_ACCEPT,
        number::USERAUTH_SUCCESS,
    ] {
        plain_packet(&[message], &mut said);
    }
    for payload in payloads {
        plain_packet(payload, &mut said);
        link.push(payload);
    }
    let mut expected = payloads.iter();
    for portion in said.chunks(1000) {
        link.write(portion);
        loop {
            match link.next_packet() {
                Ok(Some(payload)) => assert_eq!(Some(payload), expected.next().map(Vec::as_slice)),
                Ok(None) => break,
                Err(_) => {
                    let refused = expected.next().unwrap()[0];
                    assert!(matches!(refused, number::KEXINIT | number::NEWKEYS));
                    return;
                }
            }
        }
    }
    assert_eq!((expected.next(), link.untaken()), (None, 0));
    let mut out = vec![0; link.unread()];
    assert_eq!(link.read(&mut out), out.len());
    assert_eq!(link.unread(), 0);
}

/// A packet without encryption (RFC 4253 section 6).
fn plain_packet(payload: &[u8], out: &mut Vec<u8>) {
    let padding = 4 + (5 + payload.len() + 4).next_multiple_of(8) - (5 + payload.len() + 4);
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    out.extend(length.to_be_bytes());
    out.push(u8::try_from(padding).unwrap());
    out.extend(payload);
    out.resize(out.len() + padding, 0);
}
