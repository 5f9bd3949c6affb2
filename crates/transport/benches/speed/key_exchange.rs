//! Every key exchange method, on the server's side.

use criterion::Criterion;
use wire::names::KexAlgorithm;

use crate::subject::exchange_keys;

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kex");
    for kex in KexAlgorithm::ALL {
        group.bench_function(kex.name(), |bencher| {
            bencher.iter_custom(|count| (0..count).map(|_| exchange_keys(*kex)).sum());
        });
    }
    group.finish();
}
