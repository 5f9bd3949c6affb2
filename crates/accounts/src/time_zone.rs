//! The machine's time zone, for times that a user wrote without one.

use config::authorized_keys::LocalTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::Path;

/// The time zone of `/etc/localtime`.
#[derive(Debug, Clone)]
pub struct SystemZone(Option<TimeZone>);

impl SystemZone {
    /// Reads it, from the file or from where it was kept a short time ago.
    #[must_use]
    pub fn read() -> Self {
        let zone = TimeZone::try_system().ok();
        // As tzset(3): UTC without the file. A file that cannot be read is another thing.
        let missing = || !Path::new("/etc/localtime").exists();
        Self(zone.or_else(|| missing().then_some(TimeZone::UTC)))
    }
}

impl LocalTime for SystemZone {
    fn seconds(&self, local: u64) -> Option<u64> {
        in_zone(self.0.as_ref()?, local)
    }
}

/// Of a time that a clock shows twice the first one counts, and one that it leaves out is that much later.
fn in_zone(zone: &TimeZone, local: u64) -> Option<u64> {
    let shown = Timestamp::from_second(i64::try_from(local).ok()?).ok()?;
    let shown = shown.to_zoned(TimeZone::UTC).datetime();
    let zoned = zone.to_ambiguous_zoned(shown).compatible().ok()?;
    u64::try_from(zoned.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_local_time_is_the_one_of_date_1() {
        let output = Command::new("date")
            .args(["-d", "2026-07-01 12:00:00", "+%s"])
            .output()
            .unwrap();
        let expected: u64 = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // 2026-07-01 12:00:00 on a clock that shows UTC
        assert_eq!(SystemZone::read().seconds(1_782_907_200), Some(expected));
    }

    #[test]
    fn summer_time_counts() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let hour = 3600;
        assert_eq!(
            in_zone(&zone, 1_782_907_200),
            Some(1_782_907_200 - 2 * hour)
        );
        assert_eq!(in_zone(&zone, 1_769_817_600), Some(1_769_817_600 - hour));
        // 02:30 on 25 October 2026 comes twice, on 29 March never.
        assert_eq!(
            in_zone(&zone, 1_792_895_400),
            Some(1_792_895_400 - 2 * hour)
        );
        assert_eq!(in_zone(&zone, 1_774_751_400), Some(1_774_751_400 - hour));
        assert_eq!(in_zone(&zone, u64::MAX), None);
    }
}
