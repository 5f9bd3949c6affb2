//! Where a generator can speak: systemd.generator(7).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// The kernel's log if systemd runs the generator, since no other log is there yet; otherwise standard error, for who
/// runs it by hand.
#[derive(Debug)]
pub struct Log(Option<File>);

impl Log {
    /// Opens it.
    #[must_use]
    pub fn open() -> Self {
        // systemd(1), ENVIRONMENT.
        let by_systemd = std::env::var("SYSTEMD_EXEC_PID")
            .is_ok_and(|pid| pid == std::process::id().to_string());
        // In a container this may be a pipe that nobody reads: the boot must not wait for it.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let kernel = || {
            OpenOptions::new()
                .write(true)
                .custom_flags(flags)
                .open("/dev/kmsg")
        };
        Self(by_systemd.then(kernel).and_then(Result::ok))
    }

    /// Says something, as a warning. Who cannot be told is not.
    pub fn say(&mut self, text: &str) {
        match &mut self.0 {
            // One write is one record; <4> is LOG_WARNING.
            Some(kernel) => {
                let record = format!("<4>sshd-privsep-generator: {}\n", text.replace('\n', " "));
                drop(kernel.write_all(record.as_bytes()));
            }
            None => drop(writeln!(
                std::io::stderr(),
                "sshd-privsep-generator: {text}"
            )),
        }
    }
}
