//! The transport against a client of our own, as a whole: what a peer can see of it.
//!
//! `client` speaks the client's side, with its own key exchange and key derivation (`agreement`) and
//! its own ciphers (`sealing`, `umac`) and compression (`compressing`). `pair` connects both without
//! a network; `monitor` answers the server's questions. Each other module is one topic.
#![cfg(test)]

mod agreement;
mod authentication;
mod breaks;
mod client;
mod compressing;
mod compression;
mod crossing;
mod extensions;
mod group_exchange;
mod handshake;
mod hostile;
mod monitor;
mod order;
mod pair;
mod pieces;
mod rekey;
mod sealing;
mod sending;
mod table;
mod umac;
