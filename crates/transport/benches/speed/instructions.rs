//! The same work a few times, for callgrind, which counts instructions however busy the host is:
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*under_the_meter*' --dump-before='*next_reading*'
//! ```
//!
//! Each line of the output says what the next dump has counted, and how often it was done.

use wire::names::KexAlgorithm;

use crate::client::Offer;
use crate::packets::{PAYLOADS, protection};
use crate::subject::{Subject, exchange_keys};

/// Packets per reading: enough that what happens now and then, such as new random bytes for padding,
/// has its share.
const PACKETS: u64 = 64;

/// Exchanges per reading: they all do the same.
const EXCHANGES: u64 = 2;

pub(crate) fn run() {
    for offer in Offer::each() {
        let mut subject = Subject::new(offer.clone());
        // The first packets make the buffers.
        for payload in PAYLOADS {
            subject.seal(payload, PACKETS);
            subject.open(payload, PACKETS);
        }
        next_reading("nothing", 1);
        for payload in PAYLOADS {
            subject.seal(payload, PACKETS);
            next_reading(&format!("seal {payload}/{}", protection(&offer)), PACKETS);
            subject.open(payload, PACKETS);
            next_reading(&format!("open {payload}/{}", protection(&offer)), PACKETS);
        }
    }
    for kex in KexAlgorithm::ALL {
        exchange_keys(*kex);
        next_reading("nothing", 1);
        for _ in 0..EXCHANGES {
            exchange_keys(*kex);
        }
        next_reading(&format!("kex/{}", kex.name()), EXCHANGES);
    }
}

/// Callgrind dumps what it has counted before it comes in here.
#[inline(never)]
fn next_reading(what: &str, times: u64) {
    println!("{what}\t{times}");
}
