//! Numbers, times and sizes.

use crate::sshd::lexer::Malformed;
use crate::sshd::setting::{Arguments, Effect, Kind, or_none};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The largest number of OpenSSH, whose numbers are an int.
const MAX: u32 = 0x7fff_ffff;

/// A number that is not negative.
pub(crate) const INTEGER: Kind<u32> = Kind::new(|arguments| integer(arguments, 0..=MAX), show);

/// A file mode in octal digits.
pub(crate) const MODE: Kind<u32> = Kind::new(
    |arguments| {
        arguments.value("a file mode from 0 to 0777 in octal digits", |word| {
            u32::from_str_radix(digits(word)?, 8)
                .ok()
                .filter(|mode| *mode <= 0o777)
        })
    },
    |mode| vec![format!("0{mode:o}")],
)
.last();

/// A time; 0 is never.
pub(crate) const TIME: Kind<Option<Duration>> = Kind::new(read_time, |time| {
    vec![time.map_or(0, |time| time.as_secs()).to_string()]
});

/// A time; 0 and `none` are never. OpenSSH lets a `none` override what stands before it.
pub(crate) const TIME_OR_NONE: Kind<Option<Duration>> = Kind {
    again: |place, value| match value {
        Some(_) => Effect::Dropped,
        None => {
            *place = None;
            Effect::Counts
        }
    },
    ..Kind::new(
        |arguments| {
            arguments.value("none, or a time such as 90, 5m or 1h30m", |word| match word
                .eq_ignore_ascii_case("none")
            {
                true => Some(None),
                false => time(word).map(some_if_not_zero),
            })
        },
        |time| or_none(time.map(|time| time.as_secs().to_string())),
    )
};

/// A number, or `none`.
pub(crate) const INTEGER_OR_NONE: Kind<Option<u32>> = Kind::new(
    |arguments| {
        arguments.value("none, or a number", |word| match word {
            "none" => Some(None),
            number => within(number, 0..=MAX).map(Some),
        })
    },
    |number| or_none(number.map(|number| number.to_string())),
);

/// WorkerPoolIdle.
pub(crate) const POOL_IDLE: Kind<u32> = Kind::new(|arguments| integer(arguments, 1..=64), show);
/// WorkerPoolMax.
pub(crate) const POOL_MAX: Kind<u32> = Kind::new(|arguments| integer(arguments, 1..=65536), show);
/// WorkerStartRate.
pub(crate) const START_RATE: Kind<u32> = Kind::new(|arguments| integer(arguments, 1..=1000), show);

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature of Kind::show"
)]
fn show(number: &u32) -> Vec<String> {
    vec![number.to_string()]
}

fn integer(arguments: &mut Arguments<'_>, range: RangeInclusive<u32>) -> Result<u32, Malformed> {
    let expected = format!("a number from {} to {}", range.start(), range.end());
    arguments.value(&expected, |word| within(word, range))
}

fn read_time(arguments: &mut Arguments<'_>) -> Result<Option<Duration>, Malformed> {
    arguments
        .value("a time such as 90, 5m or 1h30m", time)
        .map(some_if_not_zero)
}

pub(crate) fn some_if_not_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

/// Reads decimal digits within a range.
pub(crate) fn within(word: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let number = u32::try_from(number(word)?).ok()?;
    range.contains(&number).then_some(number)
}

/// Reads the time formats of sshd_config(5): seconds, or numbers with the units s, m, h, d, w as in `1h30m`.
#[must_use]
pub fn time(text: &str) -> Option<Duration> {
    fractional_time(text).filter(|time| time.subsec_nanos() == 0)
}

/// As [`time`], but seconds may have a fraction, as `1.5` (OpenSSH 10).
pub(crate) fn fractional_time(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (amount, after) = rest.split_at(end);
        let mut after = after.chars();
        let unit = match after.next().map(|c| c.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 60 * 60,
            Some('d') => 24 * 60 * 60,
            Some('w') => 7 * 24 * 60 * 60,
            Some(_) => return None,
        };
        let amount = match amount.split_once('.') {
            None => Duration::from_secs(number(amount)?.checked_mul(unit)?),
            // Only seconds have fractions.
            Some((whole, fraction)) if unit == 1 && !fraction.is_empty() => {
                let whole = if whole.is_empty() { 0 } else { number(whole)? };
                Duration::new(whole, nanoseconds(fraction)?)
            }
            Some(_) => return None,
        };
        total = total.checked_add(amount)?;
        rest = after.as_str();
    }
    // The limit of OpenSSH, whose times are an int.
    (!text.is_empty() && total <= Duration::from_secs(u64::from(MAX))).then_some(total)
}

fn nanoseconds(fraction: &str) -> Option<u32> {
    let digits: String = digits(fraction)?
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    digits.parse().ok()
}

/// Reads a number of bytes with an optional unit from B to E, as `1G` or `1.5M` (scan_scaled(3)).
pub(crate) fn size(text: &str) -> Option<u64> {
    let (amount, shift) = match text.char_indices().next_back()? {
        (at, unit) if unit.is_ascii_alphabetic() => {
            let units = "bkmgtpe".find(unit.to_ascii_lowercase())?;
            (text.get(..at)?, u32::try_from(units).ok()? * 10)
        }
        _ => (text, 0),
    };
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let unit = 1_u64.checked_shl(shift)?;
    let part = u128::from(nanoseconds(fraction)?) * u128::from(unit) / 1_000_000_000;
    number(whole)?
        .checked_mul(unit)?
        .checked_add(u64::try_from(part).ok()?)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// Reads decimal digits and nothing else (`FromStr` would take a sign).
pub(crate) fn number(text: &str) -> Option<u64> {
    digits(text)?.parse().ok()
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("1h30m", Some(5400)),
            ("1H30", Some(3630)),
            ("2d", Some(172_800)),
            ("1w1s", Some(604_801)),
            ("3550w5d3h14m7s", Some(2_147_483_647)),
            ("3550w5d3h14m8s", None),
            ("2147483648", None),
            ("99999999999999999999", None),
            ("", None),
            ("m", None),
            ("1y", None),
            ("-1", None),
            ("1 m", None),
            ("1.5", None),
        ] {
            assert_eq!(time(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        for (text, milliseconds) in [
            ("1.5", Some(1500)),
            (".5s", Some(500)),
            ("1m.25s", Some(60_250)),
            ("1.s", None),
            ("1.5m", None),
            ("1e10", None),
            ("inf", None),
        ] {
            let expected = milliseconds.map(Duration::from_millis);
            assert_eq!(fractional_time(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("16", Some(16)),
            ("16B", Some(16)),
            ("1K", Some(1024)),
            ("2m", Some(2 << 20)),
            ("1G", Some(1 << 30)),
            ("1.5G", Some(3 << 29)),
            ("1T", Some(1 << 40)),
            ("G", None),
            ("", None),
            ("+1", None),
            ("1X", None),
            ("99999999999G", None),
            ("1é", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[0-9.smhdwKMG:]{0,30}") {
            fractional_time(&text);
            size(&text);
        }
    }
}
