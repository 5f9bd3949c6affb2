//! Bytes of a stranger, as they come.
//!
//! An input is eight bytes that say how, and then the stream itself: what a client sends, up to its
//! first keys and whatever it likes after them.

use transport::{DisconnectReason, Phase, RekeyLimit};

use crate::watched::{MONITOR, Outcome, START, Watched};

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((portions, stream)) = data.split_first_chunk() else {
        return;
    };
    let whole = connect(&[0; 8], stream);
    let parts = connect(portions, stream);
    // Under keys the same bytes mean something else in each connection.
    if !whole.had_keys && !parts.had_keys {
        assert_eq!(whole, parts, "it matters how the bytes were split");
    }
}

/// What came of a connection.
#[derive(Debug, PartialEq, Eq)]
struct End {
    phase: Phase,
    reason: Option<DisconnectReason>,
    signatures: u32,
    had_keys: bool,
}

/// One connection. `portions` are the lengths of the reads, in turn; zero is all that is left.
fn connect(portions: &[u8; 8], mut stream: &[u8]) -> End {
    let mut transport = Watched::new(RekeyLimit::default());
    let mut arrived = Vec::new();
    let (mut signatures, mut had_keys) = (0, false);
    for portion in portions.iter().cycle() {
        let count = match usize::from(*portion) {
            0 => stream.len(),
            count => count.min(stream.len()),
        };
        let (read, rest) = stream.split_at(count);
        stream = rest;
        arrived.extend_from_slice(read);
        loop {
            match transport.step(*START, &mut arrived) {
                Outcome::Waiting | Outcome::Ended => break,
                Outcome::Went => had_keys |= transport.phase() == Phase::Authentication,
                Outcome::Sign(values) => {
                    let signature = MONITOR.sign(&values);
                    transport.sign(values, signature);
                    signatures += 1;
                }
                Outcome::Authenticate(_) | Outcome::Packet(_) => {
                    panic!("a tag was right without the key")
                }
            }
        }
        transport.drain(usize::MAX);
        if stream.is_empty() {
            break;
        }
    }
    End {
        phase: transport.phase(),
        reason: transport
            .error()
            .and_then(|error| error.disconnect_reason()),
        signatures,
        had_keys,
    }
}
