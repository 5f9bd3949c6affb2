//! Attempts on files and directories.

use std::fs::{self, File};
use std::os::unix::fs::chown;

use libc::{EACCES, EPERM};
use rustix::fs::{MemfdFlags, Mode, inotify};

use super::Attempt;
use super::Expected::{Killed, Refused, Unspecified, Works};

#[rustfmt::skip] // A table.
pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("open-file", Refused(EACCES), Works, Works, || File::open("/etc/passwd").map(drop)),
    Attempt::new("open-directory", Refused(EACCES), Works, Works, || fs::read_dir("/").map(drop)),
    Attempt::new("open-for-writing", Refused(EACCES), Refused(EACCES), Works,
        || File::options().write(true).open("/dev/null").map(drop)),
    Attempt::new("create-file", Refused(EACCES), Refused(EACCES), Unspecified, || File::create_new(SCRATCH).map(drop)),
    Attempt::new("stat-path", Refused(EACCES), Works, Works, || fs::metadata("/etc/passwd").map(drop)),
    Attempt::new("stat-link", Refused(EACCES), Works, Works, || fs::symlink_metadata("/proc/self").map(drop)),
    Attempt::new("read-link", Refused(EACCES), Works, Works, || fs::read_link("/proc/self").map(drop)),
    Attempt::new("working-directory", Refused(EACCES), Works, Works, || std::env::current_dir().map(drop)),
    Attempt::new("change-directory", Killed, Refused(EPERM), Killed, || std::env::set_current_dir("/")),
    Attempt::new("make-directory", Killed, Refused(EPERM), Unspecified, || fs::create_dir(SCRATCH)),
    Attempt::new("remove-file", Killed, Refused(EPERM), Unspecified, || fs::remove_file(SCRATCH)),
    Attempt::new("rename-file", Killed, Refused(EPERM), Unspecified, || fs::rename(SCRATCH, "/tmp/sandbox-probe-2")),
    Attempt::new("link-file", Killed, Refused(EPERM), Unspecified, || fs::hard_link("/etc/passwd", SCRATCH)),
    Attempt::new("change-mode", Killed, Refused(EPERM), Unspecified, || Ok(rustix::fs::chmod(SCRATCH, Mode::RUSR)?)),
    Attempt::new("change-owner", Killed, Refused(EPERM), Unspecified, || chown(SCRATCH, Some(0), Some(0))),
    Attempt::new("memory-file", Killed, Killed, Killed,
        || Ok(rustix::fs::memfd_create("probe", MemfdFlags::CLOEXEC).map(drop)?)),
    Attempt::new("watch-files", Killed, Refused(EPERM), Killed,
        || Ok(inotify::init(inotify::CreateFlags::CLOEXEC).map(drop)?)),

    // Processes, by path. Number 1 stands for all others: asking for the parent's number would be a call of its own.
    Attempt::new("own-memory", Refused(EACCES), Unspecified, Refused(EACCES), || File::open("/proc/self/mem").map(drop)),
    Attempt::new("others-memory", Refused(EACCES), Unspecified, Refused(EACCES), || File::open("/proc/1/mem").map(drop)),
    Attempt::new("others-environment", Refused(EACCES), Unspecified, Refused(EACCES), || File::open("/proc/1/environ").map(drop)),
    Attempt::new("others-descriptors", Refused(EACCES), Unspecified, Refused(EACCES), || fs::read_dir("/proc/1/fd").map(drop)),
    Attempt::new("stat-process", Refused(EACCES), Works, Works, || fs::metadata("/proc/1/status").map(drop)),
];

const SCRATCH: &str = "/tmp/sandbox-probe";
