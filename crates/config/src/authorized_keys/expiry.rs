//! `expiry-time` of sshd(8): until when a line counts.

use std::fmt;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The last second in which something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Seconds since 1970.
    Utc(u64),
    /// The same for a clock that shows local time. Which second that is depends on the machine's time zone.
    Local(u64),
}

/// The machine's time zone.
pub trait LocalTime {
    /// Seconds since 1970 when a local clock shows `local`, given as seconds since 1970 on that clock. None if it cannot
    /// be told.
    fn seconds(&self, local: u64) -> Option<u64>;
}

impl Expiry {
    /// Reads `YYYYMMDD[HHMM[SS]]`, with `Z` or `UTC` behind it for UTC. Days beyond the end of a month are those of the
    /// next, as mktime(3) has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let zone = |suffix: &str| {
            let at = text.len().checked_sub(suffix.len())?;
            let (digits, zone) = text.split_at_checked(at)?;
            zone.eq_ignore_ascii_case(suffix).then_some(digits)
        };
        match zone("Z").or_else(|| zone("UTC")) {
            Some(digits) => seconds(digits).map(Self::Utc),
            None => seconds(text).map(Self::Local),
        }
    }

    /// Whether it is over at `now`, in seconds since 1970. What cannot be told is over.
    #[must_use]
    pub fn is_over(self, now: u64, zone: &dyn LocalTime) -> bool {
        let last = match self {
            Self::Utc(last) => Some(last),
            Self::Local(local) => zone.seconds(local),
        };
        last.is_none_or(|last| last < now)
    }
}

impl fmt::Display for Expiry {
    /// As OpenSSH logs it, with a `Z` for UTC: `2026-01-31T23:59:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, zone) = match self {
            Self::Utc(seconds) => (*seconds, "Z"),
            Self::Local(seconds) => (*seconds, ""),
        };
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}"
        )
    }
}

/// Seconds since 1970 of `YYYYMMDD[HHMM[SS]]`. None before and in the first second, which means no limit in OpenSSH.
fn seconds(digits: &str) -> Option<u64> {
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| match digits.get(from..to) {
        Some(digits) => digits.parse::<u64>().ok(),
        None => Some(0),
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    // The ranges of strptime(3).
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 61 {
        return None;
    }
    let days = days_before_month(year, month)?.checked_add(day - 1)?;
    let time = hour * 3600 + minute * 60 + second;
    let seconds = days.checked_mul(DAY)?.checked_add(time)?;
    (seconds > 0).then_some(seconds)
}

/// Days from 1970-01-01 to the first of a month. None before 1970.
fn days_before_month(year: u64, month: u64) -> Option<u64> {
    // Years from March on, so that a leap day is the last of its year; 719468 days lie between 0000-03-01 and 1970-01-01.
    let year = if month > 2 {
        year
    } else {
        year.checked_sub(1)?
    };
    let since_march = (month + 9) % 12;
    let of_months = (153 * since_march + 2) / 5;
    (year * 365 + year / 4 + year / 400 + of_months)
        .checked_sub(year / 100)?
        .checked_sub(719_468)
}

/// Year, month and day, that many days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let since_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * since_march + 2) / 5 + 1;
    let month = (since_march + 2) % 12 + 1;
    let year = era.saturating_mul(400) + year + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One hour before UTC.
    struct East;

    impl LocalTime for East {
        fn seconds(&self, local: u64) -> Option<u64> {
            local.checked_sub(3600)
        }
    }

    #[test]
    fn times_are_those_of_date_1() {
        // date -u -d '2026-01-31 23:59:58' +%s, and so on
        for (text, expected) in [
            ("20260131235958Z", Expiry::Utc(1_769_903_998)),
            ("20260131235958", Expiry::Local(1_769_903_998)),
            ("202601312359utc", Expiry::Utc(1_769_903_940)),
            ("20260131z", Expiry::Utc(1_769_817_600)),
            ("20240229Z", Expiry::Utc(1_709_164_800)),
            ("20000301Z", Expiry::Utc(951_868_800)),
            ("19700102Z", Expiry::Utc(86_400)),
            ("99991231Z", Expiry::Utc(253_402_214_400)),
            // As mktime(3): 3 March.
            ("20260231Z", Expiry::Utc(1_772_496_000)),
            ("20260131235961Z", Expiry::Utc(1_769_904_001)),
        ] {
            assert_eq!(Expiry::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "Z",
            "UTC",
            "2026",
            "2026013",
            "202601311",
            "2026013123",
            "202601312359585",
            "20261301",
            "20260100",
            "20260132",
            "202601312400",
            "202601312360",
            "20260131235962",
            "19700101Z",
            "19691231",
            "2026-01-31",
            "+20260131",
            " 20260131",
            "20260131 ",
            "20260131ZZ",
            "20260131+01",
            "２0260131",
        ] {
            assert_eq!(Expiry::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn it_is_over_the_second_after() {
        let at = |text: &str, now| Expiry::parse(text).unwrap().is_over(now, &East);
        assert!(!at("20260131Z", 1_769_817_600) && at("20260131Z", 1_769_817_601));
        // East of Greenwich it is midnight an hour earlier.
        assert!(!at("20260131", 1_769_814_000) && at("20260131", 1_769_814_001));
        // A zone that does not know is not taken for one that permits.
        assert!(Expiry::Local(5).is_over(0, &East));
    }

    #[test]
    fn it_is_shown_as_a_date() {
        for (text, shown) in [
            ("20260131235958Z", "2026-01-31T23:59:58Z"),
            ("20240229", "2024-02-29T00:00:00"),
            ("20260231", "2026-03-03T00:00:00"),
        ] {
            assert_eq!(Expiry::parse(text).unwrap().to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_read(seconds in 1..253_402_300_800_u64) {
            let shown = Expiry::Utc(seconds).to_string();
            let digits: String = shown.chars().filter(|c| c.is_ascii_digit()).collect();
            prop_assert_eq!(Expiry::parse(&(digits + "Z")), Some(Expiry::Utc(seconds)));
        }
    }
}
