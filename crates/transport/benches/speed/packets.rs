//! Every cipher with every MAC, both ways, and its bare primitives beside it.

use criterion::{Criterion, Throughput};
use wire::names::CipherAlgorithm;

use crate::client::Offer;
use crate::primitives::Bare;
use crate::subject::{Subject, timed};

/// A packet of a transfer, and one of somebody who types.
pub(crate) const PAYLOADS: [usize; 2] = [32 * 1024, 64];

pub(crate) fn run(criterion: &mut Criterion) {
    for payload in PAYLOADS {
        let throughput = Throughput::Bytes(payload as u64);
        for (work, measure) in [
            ("seal", Subject::seal as fn(&mut Subject, usize, u64) -> _),
            ("open", Subject::open),
        ] {
            let mut group = criterion.benchmark_group(format!("{work} {payload}"));
            group.throughput(throughput.clone());
            for offer in Offer::each() {
                group.bench_function(protection(&offer), |bencher| {
                    let mut subject = Subject::new(offer.clone());
                    bencher.iter_custom(|count| measure(&mut subject, payload, count));
                });
            }
            group.finish();
        }
        let mut group = criterion.benchmark_group(format!("bare {payload}"));
        group.throughput(throughput);
        for offer in Offer::each() {
            group.bench_function(protection(&offer), |bencher| {
                let (mut bare, mut bytes) = (Bare::new(&offer), vec![0; payload]);
                bencher.iter_custom(|count| {
                    let ((), time) = timed(|| {
                        for _ in 0..count {
                            bare.seal(&mut bytes);
                        }
                    });
                    time
                });
            });
        }
        group.finish();
    }
}

/// The cipher, and the MAC where one is negotiated.
pub(crate) fn protection(offer: &Offer) -> String {
    match offer.cipher {
        CipherAlgorithm::Chacha20Poly1305
        | CipherAlgorithm::Aes128Gcm
        | CipherAlgorithm::Aes256Gcm => offer.cipher.name().to_owned(),
        CipherAlgorithm::Aes128Ctr | CipherAlgorithm::Aes192Ctr | CipherAlgorithm::Aes256Ctr => {
            offer.protection()
        }
    }
}
