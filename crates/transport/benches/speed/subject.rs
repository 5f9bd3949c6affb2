//! The server's side of a connection under a meter.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use transport::{Event, Phase, RekeyLimit, Transport};
use wire::names::KexAlgorithm;

use crate::client::{Client, Offer};
use crate::monitor::{Counter, Monitor};
use crate::pair::Pair;

/// Bytes that go through between two looks at the clock: about as much as a driver writes
/// and reads at once, and it stays in the cache.
const BATCH_BYTES: usize = 256 * 1024;

/// What a packet has beyond its payload, at most: header, padding and tag.
const OVERHEAD: usize = 128;

/// Bytes for one connection. Ciphers ask for new keys after a gigabyte at the earliest.
const CONNECTION_BYTES: usize = 1 << 29;

/// Runs what is to be measured; returns the CPU time of this thread that it took: what else the host
/// does costs at most caches.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = cpu_time();
    let result = under_the_meter(work);
    (result, cpu_time() - start)
}

/// Callgrind counts in here only. It knows the function by its name.
#[inline(never)]
fn under_the_meter<R>(work: impl FnOnce() -> R) -> R {
    work()
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

/// A logged-in connection.
pub(crate) struct Subject {
    offer: Offer,
    pair: Pair,
    used: usize,
}

impl Subject {
    pub(crate) fn new(offer: Offer) -> Self {
        let pair = Pair::logged_in(offer.clone(), RekeyLimit::default());
        Self {
            offer,
            pair,
            used: 0,
        }
    }

    /// Time in which the server makes `count` packets of payloads that lie in their slots.
    pub(crate) fn seal(&mut self, payload: usize, count: u64) -> Duration {
        self.in_batches(payload, count, |pair, batch| {
            let ((), time) = timed(|| {
                for _ in 0..batch {
                    pair.transport.payload_slot(payload).unwrap();
                    pair.transport.seal_payload(payload).unwrap();
                }
            });
            pair.transport.output_sent(pair.transport.output_pending());
            time
        })
    }

    /// Time in which the server opens `count` packets and hands out their payloads.
    pub(crate) fn open(&mut self, payload: usize, count: u64) -> Duration {
        let message = vec![94; payload];
        self.in_batches(payload, count, |pair, batch| {
            for _ in 0..batch {
                pair.client.send_now(&message);
            }
            let mut input = std::mem::take(&mut pair.client.output);
            let (opened, time) = timed(|| {
                let (mut rest, mut opened) = (input.as_mut_slice(), 0);
                while !rest.is_empty() {
                    let step = pair.transport.handle_input(pair.now, rest).unwrap();
                    let consumed = step.consumed;
                    opened += u64::from(matches!(step.event, Some(Event::Packet(_))));
                    rest = &mut rest[consumed..];
                }
                opened
            });
            assert_eq!(opened, batch);
            time
        })
    }

    fn in_batches(
        &mut self,
        payload: usize,
        count: u64,
        mut work: impl FnMut(&mut Pair, u64) -> Duration,
    ) -> Duration {
        let packet = payload + OVERHEAD;
        let mut time = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let batch = left.min((BATCH_BYTES / packet) as u64);
            self.used += packet * usize::try_from(batch).unwrap();
            if self.used > CONNECTION_BYTES {
                *self = Self::new(self.offer.clone());
            }
            time += work(&mut self.pair, batch);
            left -= batch;
        }
        time
    }
}

/// Time of the server's part in a first key exchange, from its first byte to the client's keys in
/// use, without the host key's signature.
pub(crate) fn exchange_keys(kex: KexAlgorithm) -> Duration {
    let offer = Offer {
        kex,
        ..Offer::default()
    };
    let monitor = Monitor::new();
    let settings = std::sync::Arc::new(monitor.settings(RekeyLimit::default()));
    let mut client = Client::new(offer);
    let (transport, mut time) = timed(|| Transport::new(settings, Box::new(Counter::default())));
    let mut transport = transport.unwrap();
    let now = start_of_time();
    while transport.phase() == Phase::Handshake {
        client.receive(transport.poll_output());
        transport.output_sent(transport.output_pending());
        let mut arrived = std::mem::take(&mut client.output);
        let mut rest = arrived.as_mut_slice();
        while !rest.is_empty() {
            let (step, used) = timed(|| transport.handle_input(now, rest));
            time += used;
            let step = step.unwrap();
            let consumed = step.consumed;
            let (answer, used) = match step.event {
                Some(Event::ChooseGroup(request)) => {
                    let group = monitor.choose(request);
                    timed(|| transport.handle_group(group))
                }
                Some(Event::SignExchange(values)) => {
                    let signature = monitor.sign(&values);
                    timed(|| transport.handle_signature(signature))
                }
                _ => (Ok(()), Duration::ZERO),
            };
            answer.unwrap();
            time += used;
            assert!(consumed > 0, "{kex:?} stands still");
            rest = &mut rest[consumed..];
        }
    }
    time
}

#[expect(clippy::disallowed_methods, reason = "some instant to start from")]
fn start_of_time() -> Instant {
    Instant::now()
}
