//! The other files about keys: authorized_keys, principals, known_hosts, lists of revoked keys, and moduli.
//!
//! What must hold: no panic, memory in proportion to the file, every line accounted for, and no line
//! with a say about another: a file's lines are what each of them is alone.

use accounts::known_hosts;
use accounts::revocation::{Presented, Revocation, RevokedKeys};
use config::authorized_keys::{self, Line};
use config::moduli;

use crate::memory::Account;

/// Bytes of memory for a byte of text: a line of one byte is a malformed line.
const MEMORY_FACTOR: usize = 512;

/// What an empty text may take.
const MEMORY_BASE: usize = 64 * 1024;

/// What looking for a revoked key may take, however long the list is.
const SEARCH: usize = 16 * 1024;

/// Runs one input.
pub fn run(data: &[u8]) {
    let limit = MEMORY_BASE + MEMORY_FACTOR * data.len();
    let written: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();

    let lines: Vec<(usize, Line)> =
        Account::new(limit).charge(|| authorized_keys::lines(data).collect());
    assert_eq!(lines.len(), written.len());
    for (at, ((number, line), written)) in lines.iter().zip(&written).enumerate() {
        assert_eq!(*number, at + 1);
        assert_eq!(*line, authorized_keys::parse(written));
    }

    let numbers: Vec<usize> = Account::new(limit).charge(|| {
        authorized_keys::principals(data)
            .map(|(at, _)| at)
            .collect()
    });
    ascending(&numbers, written.len());

    let hosts: Vec<_> = Account::new(limit).charge(|| known_hosts::lines(data).collect());
    let numbers: Vec<usize> = hosts.iter().map(|(at, _)| *at).collect();
    ascending(&numbers, written.len());
    for host in hosts.iter().flat_map(|(_, host)| host) {
        let presented = Presented::Plain(&host.key_blob);
        known_hosts::status([host].into_iter(), "a.example.com", presented);
    }

    revoked(data, b"");
    if let Some((key, list)) = data.split_first_chunk::<51>() {
        revoked(list, key);
    }

    let text = String::from_utf8_lossy(data);
    let limit = MEMORY_BASE + MEMORY_FACTOR * text.len();
    let found = Account::new(limit).charge(|| moduli::parse(&text));
    let left_out = found.left_out.map_or(0, |left_out| left_out.lines);
    assert!(found.moduli.len() + left_out <= written.len());
    for modulus in &found.moduli {
        // Odd, as a prime is, and without leading zeros.
        assert!(modulus.prime.last().is_some_and(|last| last % 2 == 1));
        assert!(modulus.prime.first() != Some(&0));
    }
}

/// Numbers of lines, each once and in order.
fn ascending(numbers: &[usize], lines: usize) {
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert!(numbers.iter().all(|number| (1..=lines).contains(number)));
}

fn revoked(list: &[u8], key: &[u8]) {
    let answer =
        Account::new(SEARCH).charge(|| RevokedKeys::new(list).check(Presented::Plain(key)));
    if list.is_empty() {
        assert_eq!(answer, Revocation::Valid);
    }
}
