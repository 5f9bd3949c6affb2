use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use config::sshd::{Offers, SshdConfig};
use wire::codec::Write;

use super::*;

const ED25519: SignatureAlgorithm = SignatureAlgorithm::Ed25519;

fn rules() -> Rules {
    Rules::new(SshdConfig::defaults(&Offers::ours().offered()))
}

fn blob(pair: &Ed25519KeyPair) -> Vec<u8> {
    let mut blob = Vec::new();
    blob.put_string(b"ssh-ed25519");
    blob.put_string(pair.public_key().as_ref());
    blob
}

/// What a host says of its user bob, who wants to be alice.
fn unsigned(pair: &Ed25519KeyPair) -> HostbasedRequest {
    HostbasedRequest {
        algorithm: "ssh-ed25519".to_owned(),
        key: blob(pair),
        host_name: "h.example.com.".to_owned(),
        client_user: "bob".to_owned(),
        signature: Vec::new(),
    }
}

fn sign(pair: &Ed25519KeyPair, request: &HostbasedRequest, session: &[u8], user: &str) -> Vec<u8> {
    let user = UserName::new(user).unwrap();
    let mut signature = Vec::new();
    signature.put_string(b"ssh-ed25519");
    let data = request.signed_data(session, &user, SERVICE);
    signature.put_string(pair.sign(&data).as_ref());
    signature
}

#[test]
fn a_signature_counts_for_its_own_session_users_host_and_key_only() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let first = FirstExchange::for_test(b"this session", b"this host");
    let alice = UserName::new("alice").unwrap();
    let request = unsigned(&pair);
    let (algorithm, key) = usable_key(&request, &rules()).unwrap();
    let check = |signature: Vec<u8>| {
        let request = HostbasedRequest {
            signature,
            ..request.clone()
        };
        verify(&first, &alice, &request, algorithm, &key)
    };
    let good = sign(&pair, &request, b"this session", "alice");
    assert_eq!(check(good.clone()), Ok(()));
    let root = HostbasedRequest {
        client_user: "root".to_owned(),
        ..request.clone()
    };
    let elsewhere = HostbasedRequest {
        host_name: "g.example.com.".to_owned(),
        ..request.clone()
    };
    let other = Ed25519KeyPair::generate().unwrap();
    for bad in [
        sign(&pair, &request, b"another session", "alice"),
        sign(&pair, &request, b"this session", "bob"),
        sign(&pair, &root, b"this session", "alice"),
        sign(&pair, &elsewhere, b"this session", "alice"),
        sign(&other, &request, b"this session", "alice"),
        sign(&pair, &unsigned(&other), b"this session", "alice"),
        Vec::new(),
    ] {
        assert_eq!(check(bad), Err(BadSignature));
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(bad), Err(BadSignature), "bit {bit}");
    }
}

#[test]
fn only_accepted_algorithms_and_keys_that_fit_them_are_used() {
    let request = unsigned(&Ed25519KeyPair::generate().unwrap());
    assert_eq!(usable_key(&request, &rules()).unwrap().0, ED25519);
    for algorithm in ["rsa-sha2-512", "ssh-ed25519-cert-v01@openssh.com", "x"] {
        let request = HostbasedRequest {
            algorithm: algorithm.to_owned(),
            ..request.clone()
        };
        assert!(usable_key(&request, &rules()).is_err(), "{algorithm}");
    }
    let mut rules = rules();
    rules.config.hostbased_accepted_algorithms = rules.config.ca_signature_algorithms.clone();
    assert!(usable_key(&request, &rules).is_ok());
}

#[tokio::test]
async fn nobody_has_no_hosts() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let first = FirstExchange::for_test(b"this session", b"this host");
    let mut request = unsigned(&pair);
    request.signature = sign(&pair, &request, b"this session", "alice");
    let source = Source {
        host: "192.0.2.7".to_owned(),
        address: "192.0.2.7".parse().ok(),
    };
    let situation = Situation {
        first: &first,
        user: &UserName::new("alice").unwrap(),
        standing: &Standing::Refused(crate::account::Refusal::Unknown),
        rules: &rules(),
        files: &SystemFiles::default(),
        source: &source,
    };
    let Hostbased::Refused(Some(key)) = prove(&request, situation, &mut Told::default()).await
    else {
        panic!("believed")
    };
    assert_eq!(key.blob(), request.key);
}

#[test]
fn what_the_client_calls_itself_starts_no_line_and_ends_no_quotation() {
    let mut request = unsigned(&Ed25519KeyPair::generate().unwrap());
    let words = "client user \"bob\", client host \"h.example.com\"";
    assert_eq!(described(&request), words);
    request.client_user = "a\"\nb".to_owned();
    request.host_name = "h".repeat(200);
    let words = format!(
        "client user \"a\\042\\012b\", client host \"{}…\"",
        "h".repeat(100)
    );
    assert_eq!(described(&request), words);
}
