//! A line of `ls -l`, as sftp-server writes it for people.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{FileType, Stat};

use crate::names::Names;

/// A file older than half a year has its year in place of the time of day.
const RECENT: i64 = 365 * 24 * 60 * 60 / 2;

/// What a line needs to know besides the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    pub(crate) names: &'a Names,
    pub(crate) zone: &'a TimeZone,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

impl Listing<'_> {
    /// The line for a file. Its name is the bytes that it is.
    pub(crate) fn line(&self, name: &[u8], stat: &Stat) -> Vec<u8> {
        let named =
            |name: Option<&str>, id: u32| name.map_or_else(|| id.to_string(), str::to_owned);
        let user = named(self.names.user(stat.st_uid), stat.st_uid);
        let group = named(self.names.group(stat.st_gid), stat.st_gid);
        let mode = mode(stat.st_mode);
        let (links, size) = (stat.st_nlink, stat.st_size);
        let time = self.time(stat.st_mtime);
        let line = format!("{mode}  {links:>3} {user:<8} {group:<8} {size:>8} {time} ");
        [line.as_bytes(), name].concat()
    }

    fn time(&self, seconds: i64) -> String {
        let format = match seconds > self.now.saturating_sub(RECENT) {
            true => "%b %e %H:%M",
            false => "%b %e  %Y",
        };
        match Timestamp::from_second(seconds) {
            Ok(time) => time
                .to_zoned(self.zone.clone())
                .strftime(format)
                .to_string(),
            Err(_) => String::new(),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}

/// `drwxr-xr-x`
fn mode(mode: u32) -> String {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 'd',
        FileType::RegularFile => '-',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Unknown => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letters) in [
        (6, 0o4000, ['s', 'S']),
        (3, 0o2000, ['s', 'S']),
        (0, 0o1000, ['t', 'T']),
    ] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        let [with, without] = letters;
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => with,
            (false, true) => without,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::OwnAccount;

    #[test]
    fn modes_are_written_as_by_ls() {
        for (bits, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o041_777, "drwxrwxrwt"),
            (0o104_755, "-rwsr-xr-x"),
            (0o106_644, "-rwSr-Sr--"),
            (0o041_770, "drwxrwx--T"),
            (0o120_777, "lrwxrwxrwx"),
            (0o010_600, "prw-------"),
            (0o140_600, "srw-------"),
            (0o020_620, "crw--w----"),
            (0o060_660, "brw-rw----"),
        ] {
            assert_eq!(mode(bits), text);
        }
    }

    #[test]
    fn a_line_is_sftp_servers() {
        let names = Names::new(OwnAccount {
            name: "alice".into(),
            uid: 1001,
            home: Vec::new(),
        });
        let listing = Listing {
            names: &names,
            zone: &TimeZone::UTC,
            now: 1_700_000_000,
        };
        let mut stat = rustix::fs::stat("/").unwrap();
        stat.st_mode = 0o100_644;
        stat.st_nlink = 1;
        stat.st_uid = 1001;
        stat.st_gid = 4_000_000;
        stat.st_size = 12;
        stat.st_mtime = 1_699_999_999;
        let line = |stat: &Stat| String::from_utf8(listing.line(b"a b", stat)).unwrap();
        assert_eq!(
            line(&stat),
            "-rw-r--r--    1 alice    4000000        12 Nov 14 22:13 a b"
        );
        stat.st_mtime = 1_600_000_000;
        assert_eq!(
            line(&stat),
            "-rw-r--r--    1 alice    4000000        12 Sep 13  2020 a b"
        );
    }
}
