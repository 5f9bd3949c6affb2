//! The transport against a client of our own, as a whole: what a peer can see of it.
//!
//! `client` speaks the client's side with its own key exchange, key derivation and ciphers, `pair`
//! connects both without a network and plays the monitor. Each other module is one topic.
#![cfg(test)]

mod authentication;
mod client;
mod handshake;
mod hostile;
mod pair;
mod rekey;
mod sending;
