//! The session's binary, as the monitor starts it and as a worker uses it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test that cannot go on has failed the test"
)]

mod forwarding;
mod hangup;
mod harness;
mod lifecycle;
mod login;
mod programs;
mod requests;
mod terminals;
