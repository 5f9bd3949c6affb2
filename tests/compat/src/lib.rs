//! Every combination of algorithms with the clients that there are, on the installed package.
//!
//! - [`algorithms`]: what is combined
//! - [`host_keys`]: keys and certificates of every type
//! - [`handshakes`]: many runs of `ssh`, judged by what `ssh -v` says
//! - [`clients`]: clients of other authors
//! - [`cover`]: a small sample of combinations with all that each client has
//! - [`newer`]: clients of a later Debian than the machine's

#![forbid(unsafe_code)]

pub mod algorithms;
pub mod clients;
pub mod cover;
pub mod handshakes;
pub mod host_keys;
pub mod newer;
