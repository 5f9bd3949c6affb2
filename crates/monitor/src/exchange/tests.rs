use wire::codec::Write;
use zeroize::Zeroizing;

use super::*;
use crate::public_key::{PublicKey, RequiredRsaSize};
use crate::testing::Machine;

fn values(kex: KexAlgorithm) -> ExchangeValues {
    let payload = |range: std::ops::Range<u8>| std::iter::once(20).chain(range).collect();
    ExchangeValues {
        client_identification: b"SSH-2.0-OpenSSH_10.0".to_vec(),
        client_kexinit: payload(0..16),
        server_kexinit: payload(16..32),
        kex,
        host_key: SignatureAlgorithm::Ed25519,
        client_share: vec![0x11; 32],
        server_share: vec![0x22; 32],
        shared_secret: Zeroizing::new([vec![0x90], vec![0x33; 31]].concat()),
    }
}

fn hash(kex: KexAlgorithm) -> String {
    let mut host_key = Vec::new();
    host_key.put_string(b"ssh-ed25519");
    host_key.put_string(&[7; 32]);
    let hash = exchange_hash(&values(kex), b"SSH-2.0-sshd_privsep_0.1.0", &host_key);
    hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn exchange_hash_is_that_of_an_independent_computation() {
    // By Python's hashlib over struct.pack, K as mpint and as string.
    assert_eq!(
        hash(KexAlgorithm::Curve25519Sha256),
        "547a09701c6643b210036e89a6b2f57a49a98938fdf4e34bf0ebc0183befdd0e"
    );
    assert_eq!(
        hash(KexAlgorithm::Mlkem768X25519Sha256),
        "f8159a8fb746eb532cae9863a05cf3e6b41a86fd3ef54f7092a999e42b134453"
    );
}

#[test]
fn the_signature_is_the_host_keys_over_the_hash_computed_here() {
    let machine = Machine::new(&[], "");
    let values = machine.exchange(1);
    let signed = sign(&machine.policy.offer, &values).unwrap();
    let hash = machine.hash(&values);
    let signature = signed.signature.clone();
    let first = signed.fix();
    assert_eq!(first.session().as_bytes(), hash);
    let host_key = machine.policy.offer.host_keys.public().remove(0);
    assert_eq!(first.host_key(), host_key.public_key);
    PublicKey::parse(&host_key.public_key, RequiredRsaSize(2048))
        .unwrap()
        .verify(SignatureAlgorithm::Ed25519, &hash, &signature)
        .unwrap();
}

#[test]
fn what_is_not_offered_is_not_signed() {
    let machine = Machine::new(&[], "KexAlgorithms curve25519-sha256");
    let mut values = machine.exchange(1);
    values.kex = KexAlgorithm::Mlkem768X25519Sha256;
    let refused = sign(&machine.policy.offer, &values);
    assert!(matches!(refused, Err(ExchangeError::Kex(_))));
    let mut values = machine.exchange(1);
    values.host_key = SignatureAlgorithm::RsaSha2_512;
    let refused = sign(&machine.policy.offer, &values);
    assert!(matches!(refused, Err(ExchangeError::HostKey(_))));
}
