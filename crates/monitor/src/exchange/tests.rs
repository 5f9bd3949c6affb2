use wire::codec::Write;
use wire::groups::{DhGroup, GroupRequest};
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

fn hash(kex: KexAlgorithm, group: Option<&ChosenGroup>) -> String {
    let mut host_key = Vec::new();
    host_key.put_string(b"ssh-ed25519");
    host_key.put_string(&[7; 32]);
    let identification = b"SSH-2.0-sshd_privsep_0.1.0";
    let hash = exchange_hash(&values(kex), identification, &host_key, group);
    hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn exchange_hash_is_that_of_an_independent_computation() {
    // By Python's hashlib over struct.pack, K as mpint and as string.
    assert_eq!(
        hash(KexAlgorithm::Curve25519Sha256, None),
        "547a09701c6643b210036e89a6b2f57a49a98938fdf4e34bf0ebc0183befdd0e"
    );
    assert_eq!(
        hash(KexAlgorithm::Mlkem768X25519Sha256, None),
        "f8159a8fb746eb532cae9863a05cf3e6b41a86fd3ef54f7092a999e42b134453"
    );
    assert_eq!(
        hash(KexAlgorithm::EcdhSha2Nistp384, None),
        "4c49cfaaa9da3dd8ddf265c547a36715ceef4d05e69a0809c2d21b43ca69d685f0b0615d9556db7c3a0ca2b855c2dc17"
    );
    assert_eq!(
        hash(KexAlgorithm::Sntrup761X25519Sha512, None),
        "be81cecc3a7c1a5f7ef73d28299d55ffa85e472399e2b78e2761610d9e2fbb2d\
         cd026a19b17000c931eed8ca2de4628eb673beca46688560d51185cbc94cc437"
    );
    let group = ChosenGroup {
        request: GroupRequest::new(1024, 3072, 8192).unwrap(),
        group: DhGroup {
            prime: vec![0xff; 256],
            generator: vec![2],
        },
    };
    assert_eq!(
        hash(KexAlgorithm::DhGroupExchangeSha256, Some(&group)),
        "44d48ccfcd0915c835bbfb6fee37b87539184b4a32a3585794d85d263c435fe3"
    );
}

#[test]
fn the_signature_is_the_host_keys_over_the_hash_computed_here() {
    let machine = Machine::new(&[], "");
    let values = machine.exchange(1);
    let signed = sign(&machine.policy.offer, &values, GroupExchange::NotAsked).unwrap();
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
    let refused = sign(&machine.policy.offer, &values, GroupExchange::NotAsked);
    assert!(matches!(refused, Err(ExchangeError::Kex(_))));
    let mut values = machine.exchange(1);
    values.host_key = SignatureAlgorithm::RsaSha2_512;
    let refused = sign(&machine.policy.offer, &values, GroupExchange::NotAsked);
    assert!(matches!(refused, Err(ExchangeError::HostKey(_))));
}

#[test]
fn a_group_is_signed_for_if_this_exchange_was_given_one() {
    let machine = Machine::new(&[], "KexAlgorithms diffie-hellman-group*");
    let offer = &machine.policy.offer;
    let request = GroupRequest::new(2048, 2048, 8192).unwrap();
    let chosen = || offer.groups.choose(request);
    let mut values = machine.exchange(1);
    values.kex = KexAlgorithm::DhGroupExchangeSha256;
    assert!(sign(offer, &values, chosen()).is_ok());
    for wrong in [GroupExchange::NotAsked, GroupExchange::NoneFits] {
        let refused = sign(offer, &values, wrong);
        assert!(matches!(refused, Err(ExchangeError::Group(_))));
    }
    values.kex = KexAlgorithm::DhGroup14Sha256;
    assert!(sign(offer, &values, GroupExchange::NotAsked).is_ok());
    for wrong in [chosen(), GroupExchange::NoneFits] {
        let refused = sign(offer, &values, wrong);
        assert!(matches!(refused, Err(ExchangeError::Group(_))));
    }
}
