//! The worker's driver and engine, with a monitor and a session of the tests' own on the other sides of the borders. No
//! cage, no systemd: those have their own suites.
#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may"
)]

mod forwarding;
mod long_path;
mod requests;
mod scripted;
mod session;
mod stock_client;
mod timeouts;

// The scripted client and the login of transport's own tests.
#[path = "../../../transport/tests/server/agreement.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod agreement;
#[path = "../../../transport/tests/server/client.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod client;
#[path = "../../../transport/tests/server/compressing.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod compressing;
#[path = "../../../transport/tests/server/monitor.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod monitor;
#[path = "../../../transport/tests/server/pair.rs"]
#[allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    reason = "not all of it is needed here, and the clock is no stranger"
)]
mod pair;
#[path = "../../../transport/tests/server/sealing.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod sealing;
#[path = "../../../transport/tests/server/umac.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod umac;
