//! IPQoS: how the packets to the client are marked.
//!
//! A connection has one mark for all of its channels. As with OpenSSH since 10.1 it is the interactive one while a terminal
//! is open, for somebody waits for the echo of keys, and the other one otherwise.

use std::convert::Infallible;
use std::sync::Arc;

use rpc::lane::PacketMarks;
use tokio::sync::watch;

use super::mux::Mux;
use crate::client::ClientSocket;

/// What the system's own packets have.
const UNMARKED: u8 = 0;

/// How many programs have a terminal.
#[derive(Debug, Default)]
pub(super) struct Terminals(watch::Sender<usize>);

/// A program with a terminal, for as long as this lives.
pub(super) struct OpenTerminal(Arc<Mux>);

impl OpenTerminal {
    pub(super) fn new(mux: Arc<Mux>) -> Self {
        mux.terminals
            .0
            .send_modify(|count| *count = count.saturating_add(1));
        Self(mux)
    }
}

impl Drop for OpenTerminal {
    fn drop(&mut self) {
        let terminals = &self.0.terminals;
        terminals
            .0
            .send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Terminals {
    /// Marks the client's packets, now and whenever the first terminal opens or the last one closes.
    pub(super) async fn mark(&self, marks: PacketMarks, client: &ClientSocket) -> Infallible {
        let mut terminals = self.0.subscribe();
        let mut marked = UNMARKED;
        loop {
            let wanted = match *terminals.borrow_and_update() {
                0 => marks.bulk,
                _ => marks.interactive,
            };
            let wanted = wanted.unwrap_or(UNMARKED);
            if wanted != marked {
                client.mark(wanted);
                marked = wanted;
            }
            if terminals.changed().await.is_err() {
                // Cannot be: the sender is in `self`.
                std::future::pending::<()>().await;
            }
        }
    }
}
