//! Groups for Diffie-Hellman group exchange: `/etc/ssh/moduli` in the form of moduli(5).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

/// The longest file, in bytes. OpenSSH's own has 0.6 MB.
const FILE_LIMIT: u64 = 4 << 20;

/// The longest number, in hexadecimal digits: 8192 bits, beyond which nothing is used.
const DIGIT_LIMIT: usize = 2048;

/// Type 2 of moduli(5): p is prime and (p - 1) / 2 is, too.
const SAFE_PRIME: &str = "2";

/// Bit of "Tests" that says that the number is no prime. The others say which tests were made.
const COMPOSITE: u32 = 1;

/// A group that can be offered. Numbers are big-endian without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modulus {
    /// Size of the prime in bits.
    pub bits: u32,
    /// "Generator"
    pub generator: Vec<u8>,
    /// "Modulus"
    pub prime: Vec<u8>,
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moduli {
    /// The groups, in the file's order.
    pub moduli: Vec<Modulus>,
    /// What was left out, if anything was.
    pub left_out: Option<LeftOut>,
}

/// Lines that cannot be used. They take nothing from the others.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{lines} lines are left out; the first is line {first}: {reason}")]
pub struct LeftOut {
    /// How many.
    pub lines: usize,
    /// Number of the first, from 1.
    pub first: usize,
    /// What is wrong with the first.
    pub reason: LineError,
}

/// Why a line cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineError {
    /// There are seven fields.
    #[error("not the seven fields of moduli(5)")]
    Fields,
    /// Only safe primes are used.
    #[error("type is not 2 (safe prime)")]
    Type,
    /// Known to be composite, or not tested.
    #[error("not tested, or not a prime")]
    Tests,
    /// No trials.
    #[error("invalid number of trials")]
    Tries,
    /// "Size" is not that of the number, or nothing that is in use.
    #[error("size is not that of the modulus")]
    Size,
    /// Not above 1, or not a number.
    #[error("invalid generator")]
    Generator,
    /// Not a number, or an even one.
    #[error("invalid modulus")]
    Modulus,
}

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The system's words.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Above the limit.
    #[error("longer than {FILE_LIMIT} bytes")]
    TooLong,
}

/// Reads a file.
///
/// # Errors
///
/// If there is none, or it is too long. A line that cannot be used is no error.
pub fn load(path: &Path) -> Result<Moduli, LoadError> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= FILE_LIMIT => Ok(parse(&String::from_utf8_lossy(&bytes))),
        _ => Err(LoadError::TooLong),
    }
}

/// Reads the text of a file.
#[must_use]
pub fn parse(text: &str) -> Moduli {
    let mut found = Moduli::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match (modulus(line), &mut found.left_out) {
            (Ok(modulus), _) => found.moduli.push(modulus),
            (Err(_), Some(left_out)) => left_out.lines += 1,
            (Err(reason), none) => {
                *none = Some(LeftOut {
                    lines: 1,
                    first: number,
                    reason,
                });
            }
        }
    }
    found
}

/// "Time Type Tests Tries Size Generator Modulus", with the checks of OpenSSH's parse_prime.
fn modulus(line: &str) -> Result<Modulus, LineError> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
    let [_, kind, tests, tries, size, generator, prime] = *fields else {
        return Err(LineError::Fields);
    };
    if kind != SAFE_PRIME {
        return Err(LineError::Type);
    }
    match tests.parse::<u32>() {
        Ok(tests) if tests & COMPOSITE == 0 && tests != 0 => {}
        Ok(_) | Err(_) => return Err(LineError::Tests),
    }
    match tries.parse::<u32>() {
        Ok(0) | Err(_) => return Err(LineError::Tries),
        Ok(_) => {}
    }
    // The number of the highest bit, from 0.
    let highest: u32 = size.parse().map_err(|_| LineError::Size)?;
    let generator = number(generator).ok_or(LineError::Generator)?;
    if matches!(*generator, [] | [1]) {
        return Err(LineError::Generator);
    }
    let prime = number(prime).ok_or(LineError::Modulus)?;
    if prime.last().is_none_or(|last| last % 2 == 0) {
        return Err(LineError::Modulus);
    }
    let bits = bits(&prime);
    match highest.checked_add(1) {
        Some(listed) if listed == bits => Ok(Modulus {
            bits,
            generator,
            prime,
        }),
        Some(_) | None => Err(LineError::Size),
    }
}

/// Hexadecimal digits of a number that is not too long.
fn number(text: &str) -> Option<Vec<u8>> {
    if text.len() > DIGIT_LIMIT {
        return None;
    }
    let digits = text.trim_start_matches('0').as_bytes();
    digits
        .rchunks(2)
        .rev()
        .map(|pair| {
            pair.iter().try_fold(0_u8, |value, digit| {
                let digit = char::from(*digit).to_digit(16)?;
                Some(value << 4 | u8::try_from(digit).ok()?)
            })
        })
        .collect()
}

fn bits(number: &[u8]) -> u32 {
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    let length = u32::try_from(number.len()).unwrap_or(u32::MAX);
    length.saturating_mul(u8::BITS).saturating_sub(unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 12 bits, as if that were enough.
    const GOOD: &str = "20260101000000 2 6 100 11 2 C0F";

    fn reason(line: &str) -> LineError {
        parse(line).left_out.unwrap().reason
    }

    #[test]
    fn a_file_yields_its_groups_in_order() {
        let text = format!(
            "# Time Type Tests Tries Size Generator Modulus\n\n{GOOD}\n20260101000000 2 6 100 15 5 8001\n"
        );
        let found = parse(&text);
        assert_eq!(found.left_out, None);
        let expected = |bits, generator: u8, prime: &[u8]| Modulus {
            bits,
            generator: vec![generator],
            prime: prime.to_vec(),
        };
        assert_eq!(
            found.moduli,
            [expected(12, 2, &[0x0c, 0x0f]), expected(16, 5, &[0x80, 1])]
        );
    }

    #[test]
    fn what_openssh_refuses_is_left_out() {
        for (field, value, expected) in [
            (1, "4", LineError::Type),
            (2, "0", LineError::Tests),
            (2, "7", LineError::Tests),
            (2, "x", LineError::Tests),
            (3, "0", LineError::Tries),
            (4, "12", LineError::Size),
            (4, "4294967295", LineError::Size),
            (5, "1", LineError::Generator),
            (5, "0", LineError::Generator),
            (5, "g", LineError::Generator),
            (6, "C0E", LineError::Modulus),
            (6, "0", LineError::Modulus),
            (6, "-C0F", LineError::Modulus),
            (6, "C0F 1", LineError::Fields),
        ] {
            let mut fields: Vec<&str> = GOOD.split(' ').collect();
            fields[field] = value;
            assert_eq!(reason(&fields.join(" ")), expected, "{fields:?}");
        }
        assert_eq!(reason("20260101000000 2 6"), LineError::Fields);
        let long = GOOD.replace("C0F", &"F".repeat(DIGIT_LIMIT + 1));
        assert_eq!(reason(&long), LineError::Modulus);
    }

    #[test]
    fn a_bad_line_takes_nothing_from_the_good_ones() {
        let found = parse(&format!("bad\n{GOOD}\nbad\n"));
        assert_eq!(found.moduli.len(), 1);
        assert_eq!(
            found.left_out.unwrap().to_string(),
            "2 lines are left out; the first is line 1: not the seven fields of moduli(5)"
        );
    }

    #[test]
    fn a_file_above_the_limit_is_not_read() {
        assert!(matches!(
            load(Path::new("/dev/zero")),
            Err(LoadError::TooLong)
        ));
        assert!(matches!(
            load(Path::new("/nonexistent")),
            Err(LoadError::Io(_))
        ));
    }
}
