//! What a monitor reports to the launcher, and what the launcher passes on to its own service manager (sd_notify(3)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use sd_notify::NotifyState;
use tracing::warn;

/// The longest report that is read, in bytes. systemd's own limit is a page.
const REPORT_LIMIT: usize = 4096;

/// What is passed on. Descriptors and process ids of a monitor are the launcher's business.
const PASSED_ON: &[&str] = &[
    "READY=",
    "RELOADING=",
    "MONOTONIC_USEC=",
    "STATUS=",
    "WATCHDOG=",
];

/// Where one monitor reports.
#[derive(Debug)]
pub(super) struct Reports {
    socket: UnixDatagram,
    path: PathBuf,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report(String);

impl Reports {
    /// Opens a socket in the launcher's directory, where nobody but root can reach it.
    pub(super) fn listen(directory: &Path, monitor: u32) -> io::Result<Self> {
        let path = directory.join(format!("notify-{monitor}"));
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// The value of NOTIFY_SOCKET.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next report that has come; none if there is none now.
    pub(super) fn next(&self) -> io::Result<Option<Report>> {
        let mut buffer = [0; REPORT_LIMIT];
        match self.socket.recv(&mut buffer) {
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                Ok(Some(Report(String::from_utf8_lossy(bytes).into_owned())))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

impl Report {
    /// Whether the monitor serves.
    pub(super) fn is_ready(&self) -> bool {
        self.0.lines().any(|line| line == "READY=1")
    }

    /// The lines that the service manager may hear as the launcher's own.
    fn passed_on(&self) -> Vec<&str> {
        let known = |line: &&str| PASSED_ON.iter().any(|name| line.starts_with(name));
        self.0.lines().filter(known).collect()
    }

    /// Tells the launcher's service manager.
    pub(super) fn pass_on(&self) {
        send(&self.passed_on());
    }
}

/// The launcher serves. Whoever started it in the background hears here which process that is.
pub(super) fn ready() {
    send(&["READY=1", &format!("MAINPID={}", std::process::id())]);
}

/// A reload begins that the monitor knows nothing of; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&["RELOADING=1", &now.to_string()]),
        Err(_) => send(&["RELOADING=1"]),
    }
}

/// The launcher ends.
pub(super) fn stopping() {
    send(&["STOPPING=1"]);
}

/// A line for `systemctl status`.
pub(super) fn status(text: &str) {
    send(&[&format!("STATUS={text}")]);
}

fn send(lines: &[&str]) {
    let states: Vec<NotifyState<'_>> = lines.iter().copied().map(NotifyState::Custom).collect();
    if states.is_empty() {
        return;
    }
    if let Err(error) = sd_notify::notify(&states) {
        warn!("the service manager cannot be notified: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_monitor_says_of_itself_is_not_passed_on() {
        let report =
            Report("READY=1\nMAINPID=7\nSTATUS=listening\nFDSTORE=1\nSTOPPING=1\n".to_owned());
        assert!(report.is_ready());
        assert_eq!(report.passed_on(), ["READY=1", "STATUS=listening"]);
        assert!(!Report("STATUS=READY=1\n".to_owned()).is_ready());
    }

    #[test]
    fn reports_arrive_one_by_one_and_the_socket_goes() {
        let directory = std::env::temp_dir();
        let reports = Reports::listen(&directory, std::process::id()).unwrap();
        let path = reports.path().to_owned();
        assert_eq!(reports.next().unwrap(), None);
        let monitor = UnixDatagram::unbound().unwrap();
        for text in ["READY=1\n", "STATUS=x\n"] {
            monitor.send_to(text.as_bytes(), &path).unwrap();
        }
        assert_eq!(
            reports.next().unwrap(),
            Some(Report("READY=1\n".to_owned()))
        );
        assert_eq!(
            reports.next().unwrap(),
            Some(Report("STATUS=x\n".to_owned()))
        );
        drop(reports);
        assert!(!path.exists());
    }
}
