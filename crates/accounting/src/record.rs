//! Entries of utmp(5) and lastlog(8), byte by byte: with the layout that libc has on this architecture, and without its
//! functions, of which none is safe to call.

use std::mem::{offset_of, size_of};
use std::net::IpAddr;

use libc::utmpx;
use rpc::accounting::{FailedLogin, Origin, TerminalNumber};

/// Bytes of an entry of utmp and wtmp.
pub const SIZE: usize = size_of::<utmpx>();

/// Bytes of the seconds: four on most architectures, until 2106.
const SECONDS: usize = offset_of!(utmpx, ut_tv.tv_usec) - offset_of!(utmpx, ut_tv.tv_sec);

const LINE: usize = offset_of!(utmpx, ut_id) - offset_of!(utmpx, ut_line);
const ID: usize = offset_of!(utmpx, ut_user) - offset_of!(utmpx, ut_id);
const USER: usize = offset_of!(utmpx, ut_host) - offset_of!(utmpx, ut_user);
const HOST: usize = offset_of!(utmpx, ut_exit) - offset_of!(utmpx, ut_host);

/// An entry of utmp or wtmp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry([u8; SIZE]);

/// A point in time, as entries have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Since 1970.
    pub seconds: i64,
    /// Millionth parts of a second.
    pub microseconds: u32,
}

impl Entry {
    /// The entry of a login.
    pub fn login(origin: &Origin, terminal: TerminalNumber, pid: i32, now: Time) -> Self {
        let mut entry = Self::on_terminal(libc::USER_PROCESS, terminal, pid, now);
        entry.put_client(&origin.user, &origin.host, origin.address);
        entry
    }

    /// The entry of a login that failed, for btmp: as sshd makes it, without a terminal.
    pub fn failure(failed: &FailedLogin, pid: i32, now: Time) -> Self {
        let mut entry = Self::of(libc::LOGIN_PROCESS, "ssh:notty", pid, now);
        entry.put_client(&failed.user, &failed.host, failed.address);
        entry
    }

    fn put_client(&mut self, user: &str, host: &str, address: Option<IpAddr>) {
        self.put(offset_of!(utmpx, ut_user), USER, user.as_bytes());
        self.put(offset_of!(utmpx, ut_host), HOST, host.as_bytes());
        let mut octets = [0; 16];
        match address {
            Some(IpAddr::V4(v4)) => octets[..4].copy_from_slice(&v4.octets()),
            Some(IpAddr::V6(v6)) => octets = v6.octets(),
            None => {}
        }
        self.put(offset_of!(utmpx, ut_addr_v6), octets.len(), &octets);
    }

    /// The entry of its end. In wtmp, last(1) finds the login by the terminal.
    pub fn logout(terminal: TerminalNumber, pid: i32, now: Time) -> Self {
        Self::on_terminal(libc::DEAD_PROCESS, terminal, pid, now)
    }

    /// An entry that was read.
    pub fn of_bytes(bytes: [u8; SIZE]) -> Self {
        Self(bytes)
    }

    /// What is written.
    pub fn bytes(&self) -> &[u8; SIZE] {
        &self.0
    }

    /// Whether this is the place for the entry of the same terminal (getutxid(3)).
    pub fn is_place_of(&self, other: &Self) -> bool {
        let kind = i16::from_ne_bytes(self.array(offset_of!(utmpx, ut_type)));
        let of_process = [
            libc::INIT_PROCESS,
            libc::LOGIN_PROCESS,
            libc::USER_PROCESS,
            libc::DEAD_PROCESS,
        ];
        let id = offset_of!(utmpx, ut_id);
        of_process.contains(&kind) && self.array::<ID>(id) == other.array::<ID>(id)
    }

    /// The process of a login on a terminal of `/dev/pts`, with the terminal.
    pub fn user_process(&self) -> Option<(i32, TerminalNumber)> {
        let kind = i16::from_ne_bytes(self.array(offset_of!(utmpx, ut_type)));
        let line = self.array::<LINE>(offset_of!(utmpx, ut_line));
        let line = line.split(|byte| *byte == 0).next()?;
        let number = std::str::from_utf8(line).ok()?.strip_prefix("pts/")?;
        let pid = i32::from_ne_bytes(self.array(offset_of!(utmpx, ut_pid)));
        (kind == libc::USER_PROCESS).then_some((pid, TerminalNumber(number.parse().ok()?)))
    }

    fn on_terminal(kind: i16, terminal: TerminalNumber, pid: i32, now: Time) -> Self {
        let line = line(terminal);
        let mut entry = Self::of(kind, &line, pid, now);
        // As sshd: the end of it.
        let id = line.len().saturating_sub(ID);
        entry.put(
            offset_of!(utmpx, ut_id),
            ID,
            line.as_bytes().get(id..).unwrap_or_default(),
        );
        entry
    }

    fn of(kind: i16, line: &str, pid: i32, now: Time) -> Self {
        let mut entry = Self([0; SIZE]);
        entry.put(offset_of!(utmpx, ut_type), 2, &kind.to_ne_bytes());
        entry.put(offset_of!(utmpx, ut_pid), 4, &pid.to_ne_bytes());
        entry.put(offset_of!(utmpx, ut_line), LINE, line.as_bytes());
        entry.put(
            offset_of!(utmpx, ut_tv.tv_sec),
            SECONDS,
            &seconds(now.seconds),
        );
        entry.put(
            offset_of!(utmpx, ut_tv.tv_usec),
            4,
            &now.microseconds.to_ne_bytes(),
        );
        entry
    }

    /// Texts are cut to their place; one that fills it has no end mark (utmp(5)).
    fn put(&mut self, at: usize, room: usize, value: &[u8]) {
        let place = self.0.iter_mut().skip(at).take(room);
        for (byte, value) in place.zip(value) {
            *byte = *value;
        }
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        for (byte, value) in array.iter_mut().zip(self.0.iter().skip(at)) {
            *byte = *value;
        }
        array
    }
}

/// The name of a terminal in entries.
pub fn line(terminal: TerminalNumber) -> String {
    format!("pts/{}", terminal.0)
}

fn seconds(seconds: i64) -> Vec<u8> {
    match SECONDS {
        // Unsigned, as newer programs read it: nothing was recorded before 1970.
        4 => u32::try_from(seconds)
            .unwrap_or(u32::MAX)
            .to_ne_bytes()
            .to_vec(),
        _ => seconds.to_ne_bytes().to_vec(),
    }
}

/// An entry of lastlog: its place in the file is given by the user's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEntry {
    /// When, since 1970.
    pub seconds: i64,
    /// On which terminal.
    pub line: String,
    /// From where.
    pub host: String,
}

impl LastEntry {
    /// Bytes of an entry.
    pub const SIZE: usize = SECONDS + LINE + HOST;

    /// The place of a user's entry.
    pub fn place(uid: u32) -> u64 {
        // 300 times the largest number is no large number.
        u64::from(uid).saturating_mul(Self::SIZE.try_into().unwrap_or(u64::MAX))
    }

    /// What is written.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = seconds(self.seconds);
        for (text, room) in [(&self.line, LINE), (&self.host, HOST)] {
            let text = text.as_bytes();
            // With an end mark, as sshd.
            bytes.extend(text.iter().copied().take(room.saturating_sub(1)));
            bytes.resize(
                bytes.len() + room - text.len().min(room.saturating_sub(1)),
                0,
            );
        }
        bytes
    }

    /// An entry that was read; none if that user has never logged in.
    pub fn of_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let (time, rest) = bytes.split_at(SECONDS);
        let (line, host) = rest.split_at(LINE);
        let text = |bytes: &[u8]| {
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        };
        let seconds = match (time.try_into(), time.try_into()) {
            (Ok(short), _) => u32::from_ne_bytes(short).into(),
            (_, Ok(long)) => i64::from_ne_bytes(long),
            (Err(_), Err(_)) => 0,
        };
        (seconds != 0).then(|| Self {
            seconds,
            line: text(line),
            host: text(host),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn origin() -> Origin {
        Origin {
            user: "alice".into(),
            uid: 1000,
            host: "192.0.2.1".into(),
            address: Some([192, 0, 2, 1].into()),
            began: SystemTime::UNIX_EPOCH,
        }
    }

    const NOW: Time = Time {
        seconds: 1_800_000_000,
        microseconds: 7,
    };

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn an_entry_is_one_of_libcs() {
        let entry = Entry::login(&origin(), TerminalNumber(12), 4711, NOW);
        let bytes = entry.bytes();
        let mut expected = [0; 384];
        expected[0] = 7;
        expected[4..8].copy_from_slice(&4711_i32.to_ne_bytes());
        expected[8..14].copy_from_slice(b"pts/12");
        expected[40..44].copy_from_slice(b"s/12");
        expected[44..49].copy_from_slice(b"alice");
        expected[76..85].copy_from_slice(b"192.0.2.1");
        expected[340..344].copy_from_slice(&1_800_000_000_u32.to_ne_bytes());
        expected[344..348].copy_from_slice(&7_u32.to_ne_bytes());
        expected[348..352].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(bytes, &expected);
        assert_eq!(LastEntry::SIZE, 292);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_failure_has_no_terminal() {
        let failed = FailedLogin {
            user: "nobody such".into(),
            host: "2001:db8::1".into(),
            address: Some("2001:db8::1".parse().unwrap()),
        };
        let entry = Entry::failure(&failed, 4711, NOW);
        let bytes = entry.bytes();
        assert_eq!((bytes[0], &bytes[8..18]), (6, b"ssh:notty\0".as_slice()));
        assert_eq!(
            (&bytes[40..44], &bytes[44..55]),
            (&[0; 4][..], &b"nobody such"[..])
        );
        assert_eq!(
            bytes[348..364],
            "2001:db8::1"
                .parse::<std::net::Ipv6Addr>()
                .unwrap()
                .octets()
        );
        assert_eq!(entry.user_process(), None);
    }

    #[test]
    fn an_entry_takes_the_place_of_its_terminals_last_one() {
        let login = Entry::login(&origin(), TerminalNumber(3), 1, NOW);
        let logout = Entry::logout(TerminalNumber(3), 1, NOW);
        assert!(login.is_place_of(&logout) && logout.is_place_of(&login));
        assert!(!login.is_place_of(&Entry::logout(TerminalNumber(4), 1, NOW)));
        // The entry of the boot has no terminal.
        let mut boot = *login.bytes();
        boot[..2].copy_from_slice(&libc::BOOT_TIME.to_ne_bytes());
        assert!(!Entry::of_bytes(boot).is_place_of(&login));
        assert_eq!(login.user_process(), Some((1, TerminalNumber(3))));
        assert_eq!(logout.user_process(), None);
    }

    #[test]
    fn long_names_are_cut() {
        let origin = Origin {
            user: "u".repeat(500),
            host: "h".repeat(500),
            ..origin()
        };
        let entry = Entry::login(&origin, TerminalNumber(0), 1, NOW);
        let of = |letter| entry.bytes().iter().filter(|byte| **byte == letter).count();
        assert_eq!((of(b'u'), of(b'h')), (32, 256));
    }

    #[test]
    fn a_last_entry_is_read_as_it_was_written() {
        for host in ["192.0.2.1".to_owned(), String::new(), "h".repeat(500)] {
            let entry = LastEntry {
                seconds: 1_800_000_000,
                line: "pts/0".into(),
                host,
            };
            let bytes: [u8; LastEntry::SIZE] = entry.bytes().try_into().unwrap();
            let read = LastEntry::of_bytes(&bytes).unwrap();
            assert_eq!((read.seconds, &read.line), (entry.seconds, &entry.line));
            assert!(
                entry.host.starts_with(&read.host) && read.host.len() == entry.host.len().min(255)
            );
        }
        assert_eq!(LastEntry::of_bytes(&[0; LastEntry::SIZE]), None);
    }
}
