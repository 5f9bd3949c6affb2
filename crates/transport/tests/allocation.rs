//! A connection that has found its size asks for no more memory, whatever it carries.
//!
//! The counter sees what Rust allocates. What aws-lc would take from malloc(3) the benchmark's callgrind dumps show:
//! no packet calls it.
#![cfg(test)]

#[path = "server/agreement.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod agreement;
#[path = "server/client.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod client;
#[path = "server/compressing.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod compressing;
#[path = "server/monitor.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod monitor;
#[path = "server/pair.rs"]
#[allow(dead_code, unused_imports, reason = "the other tests use more of it")]
mod pair;
#[path = "server/sealing.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod sealing;
#[path = "server/umac.rs"]
mod umac;

use std::alloc::System;

use cap::Cap;
use transport::{Event, RekeyLimit};

use crate::client::{Offer, data};
use crate::pair::Pair;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Payloads of one round, long and short.
const PAYLOADS: [usize; 5] = [32 * 1024, 1, 64, 100_000, 1500];

/// Packets that the client sends in one round.
fn from_client(pair: &mut Pair) -> Vec<u8> {
    for (index, length) in (0..).zip(PAYLOADS) {
        pair.client.send(&data(index, length));
    }
    std::mem::take(&mut pair.client.output)
}

/// One round of both directions, as a driver does it.
fn carry(pair: &mut Pair, mut input: &mut [u8]) {
    for length in PAYLOADS {
        pair.transport.payload_slot(length).unwrap().fill(94);
        pair.transport.seal_payload(length).unwrap();
    }
    pair.transport.output_sent(pair.transport.output_pending());
    while !input.is_empty() {
        let step = pair.transport.handle_input(pair.now, input).unwrap();
        assert!(matches!(step.event, Some(Event::Packet(_))));
        let consumed = step.consumed;
        input = &mut input[consumed..];
    }
}

#[test]
fn packets_cost_no_allocation() {
    for offer in Offer::each() {
        let protection = offer.protection();
        let mut pair = Pair::logged_in(offer, RekeyLimit::default());
        let mut rounds: Vec<_> = (0..12).map(|_| from_client(&mut pair)).collect();
        let (first, rest) = rounds.split_at_mut(2);
        for input in first {
            carry(&mut pair, input);
        }
        let before = ALLOCATOR.total_allocated();
        for input in rest {
            carry(&mut pair, input);
        }
        let allocated = ALLOCATOR.total_allocated() - before;
        assert_eq!(allocated, 0, "bytes for {protection}");
    }
}
