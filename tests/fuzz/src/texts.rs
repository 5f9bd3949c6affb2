//! The other files that are read line by line: a user's authorized_keys, and moduli.
//!
//! What must hold: no panic, memory in proportion to the file, every line accounted for, and no line
//! with a say about another: a file's lines are what each of them is alone.

use config::authorized_keys::{self, Line};
use config::moduli;

use crate::memory::Account;

/// Bytes of memory for a byte of text: a line of one byte is a malformed line.
const MEMORY_FACTOR: usize = 256;

/// What an empty text may take.
const MEMORY_BASE: usize = 64 * 1024;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut account = Account::new(MEMORY_BASE + MEMORY_FACTOR * data.len());
    let lines: Vec<(usize, Line)> = account.charge(|| authorized_keys::lines(data).collect());
    let written: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), written.len());
    for (at, ((number, line), written)) in lines.iter().zip(&written).enumerate() {
        assert_eq!(*number, at + 1);
        assert_eq!(*line, authorized_keys::parse(written));
    }

    let text = String::from_utf8_lossy(data);
    let mut account = Account::new(MEMORY_BASE + MEMORY_FACTOR * text.len());
    let found = account.charge(|| moduli::parse(&text));
    let left_out = found.left_out.map_or(0, |left_out| left_out.lines);
    assert!(found.moduli.len() + left_out <= written.len());
    for modulus in &found.moduli {
        // In the sizes that OpenSSH takes, and odd, as a prime is.
        assert!(modulus.prime.last().is_some_and(|last| last % 2 == 1));
        assert!(modulus.prime.first() != Some(&0));
    }
}
