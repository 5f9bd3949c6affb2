//! What the kernel says about this process, in `/proc/self/status` (proc_pid_status(5)).
//!
//! Read before the cage closes, since `/proc` is out of reach afterwards; in a jail it may be out of reach before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// The status page cannot be read or understood.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// `/proc` is not mounted or not readable.
    #[error("/proc/self/status cannot be read")]
    Read(#[from] io::Error),
    /// A line is missing or has an unexpected form.
    #[error("/proc/self/status has no usable line {0}")]
    Line(&'static str),
}

/// The lines that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Threads of this process.
    pub(crate) threads: u32,
    /// Inheritable, permitted, effective and ambient capabilities, one bit each.
    pub(crate) capabilities: [u64; 4],
    /// The capability bounding set.
    pub(crate) bounding: u64,
}

/// The page itself, open: what it says is made up anew at each reading.
#[derive(Debug)]
pub struct StatusPage(File);

impl StatusPage {
    /// Opens it.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub fn open() -> Result<Self, StatusError> {
        Ok(Self(File::open("/proc/self/status")?))
    }

    /// Asks the kernel.
    pub(crate) fn read(&self) -> Result<Status, StatusError> {
        // Less than two KiB of it are ever written.
        let mut text = vec![0; 16 * 1024];
        let length = self.0.read_at(&mut text, 0)?;
        let text = text.get(..length).unwrap_or_default();
        Status::parse(&String::from_utf8_lossy(text))
    }
}

impl Status {
    fn parse(text: &str) -> Result<Self, StatusError> {
        let line = |name: &'static str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
                .ok_or(StatusError::Line(name))
        };
        let set = |name| u64::from_str_radix(line(name)?, 16).map_err(|_| StatusError::Line(name));
        Ok(Self {
            threads: line("Threads")?
                .parse()
                .map_err(|_| StatusError::Line("Threads"))?,
            capabilities: [
                set("CapInh")?,
                set("CapPrm")?,
                set("CapEff")?,
                set("CapAmb")?,
            ],
            bounding: set("CapBnd")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "Name:\tx\nThreads:\t3\nCapInh:\t0000000000000000\nCapPrm:\t00000000000000c4\n\
        CapEff:\t0000000000000004\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n";

    #[test]
    fn reads_the_form_that_the_kernel_writes() {
        let status = Status::parse(PAGE).unwrap();
        assert_eq!(status.threads, 3);
        assert_eq!(status.capabilities, [0, 0xc4, 4, 0]);
        assert_eq!(status.bounding, 0x1ff_ffff_ffff);
    }

    #[test]
    fn a_missing_line_is_an_error_and_not_an_empty_set() {
        let page = PAGE.replace("CapPrm", "CapXyz");
        assert!(matches!(
            Status::parse(&page),
            Err(StatusError::Line("CapPrm"))
        ));
    }
}
