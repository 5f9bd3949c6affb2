//! Fuzz targets for what a stranger's bytes reach, crates `wire` and `transport`, for what an
//! administrator or a user writes, crates `config` and `accounts`, and for what a user asks crate `sftp`.
//!
//! ```text
//!  raw_bytes      bytes ─────────────────────────────────▶ transport
//!  packets        messages ─▶ framed in clear ───────────▶ transport, link, every decoder of wire
//!  connection     acts ─▶ scripted client ═ sealed ══════▶ transport
//!  sshd_config    texts that include each other ─────────▶ config ─▶ printed ─▶ config
//!  texts          bytes ─────────────────────────────────▶ authorized_keys, known_hosts, revoked keys, moduli
//!  sftp_requests  acts, bytes ─────────────────────────▶ sftp ─▶ files in memory
//! ```
//!
//! Each target is a function of bytes. `cargo xtask fuzz` gives it libFuzzer's, with coverage as the
//! guide; the test `corpus` gives it the files of `corpus/`, without libFuzzer. The first three reach
//! the transport through `watched`, which knows what must hold whatever arrives.
//!
//! What is not repeatable is the ephemeral keys: aws-lc-rs draws them itself. An input whose way
//! depends on them is rare and would show as a finding that does not come back.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a finding is told"
)]

pub mod connection;
mod memory;
mod message;
pub mod packets;
pub mod raw_bytes;
pub mod replay;
pub mod sftp_requests;
pub mod sshd_config;
pub mod texts;
mod watched;

// The scripted client and the monitor of transport's own tests.
#[allow(dead_code, reason = "not every target needs all of it")]
#[path = "../../../crates/transport/tests/server/agreement.rs"]
mod agreement;
#[allow(dead_code, reason = "not every target needs all of it")]
#[path = "../../../crates/transport/tests/server/client.rs"]
mod client;
#[allow(dead_code, reason = "not every target needs all of it")]
#[path = "../../../crates/transport/tests/server/compressing.rs"]
mod compressing;
#[allow(dead_code, reason = "not every target needs all of it")]
#[path = "../../../crates/transport/tests/server/monitor.rs"]
mod monitor;
#[allow(dead_code, reason = "not every target needs all of it")]
#[path = "../../../crates/transport/tests/server/sealing.rs"]
mod sealing;
#[allow(dead_code, reason = "not every target needs all of it")]
#[path = "../../../crates/transport/tests/server/umac.rs"]
mod umac;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("raw_bytes", raw_bytes::run),
    ("packets", packets::run),
    ("connection", connection::run),
    ("sshd_config", sshd_config::run),
    ("texts", texts::run),
    ("sftp_requests", sftp_requests::run),
];

/// The `main` of a target: libFuzzer's, or one that runs the files it is given.
#[macro_export]
macro_rules! main {
    ($target:path) => {
        #[cfg(feature = "libfuzzer")]
        ::libfuzzer_sys::fuzz_target!(|data: &[u8]| $target(data));

        #[cfg(not(feature = "libfuzzer"))]
        fn main() -> ::anyhow::Result<()> {
            $crate::replay::arguments($target)
        }
    };
}
