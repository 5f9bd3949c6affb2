//! How fast the packet layer and the key exchange are: the whole way that a driver uses, with the
//! tests' client at the other end. `cargo xtask bench --packets` makes a table of it.
//!
//! ```text
//! cargo bench -p transport --bench speed [-- FILTER]         times, by criterion
//! cargo bench -p transport --bench speed -- --instructions   the same work once, for callgrind
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "as in tests: what goes wrong should end it, and results are printed"
)]

mod instructions;
mod key_exchange;
mod packets;
mod primitives;
mod subject;

// The tests' client and what belongs to it.
#[path = "../../tests/server/agreement.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod agreement;
#[path = "../../tests/server/client.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod client;
#[path = "../../tests/server/compressing.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod compressing;
#[path = "../../tests/server/monitor.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod monitor;
#[path = "../../tests/server/pair.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
mod pair;
#[path = "../../tests/server/sealing.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod sealing;
#[path = "../../tests/server/umac.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod umac;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    if std::env::args().any(|argument| argument == "--instructions") {
        return instructions::run();
    }
    // Many short samples: the best of them is what counts on a host with other work.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .without_plots()
        .configure_from_args();
    packets::run(&mut criterion);
    key_exchange::run(&mut criterion);
    criterion.final_summary();
}
