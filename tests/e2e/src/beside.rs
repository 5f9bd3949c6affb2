//! Debian's sshd beside ours, on one machine and at the same time: the same lines of configuration, the same calls of a
//! client, what came of each.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Server;
use crate::server::CONFIGURATION;

/// Where ours and theirs listen.
pub const PORTS: [u16; 2] = [22, 2222];

/// How Debian's sshd is started from a shell. Since OpenSSH 9.8 it refuses addresses whose logins fail for a while: all
/// tests come from one.
pub const THEIRS: &str =
    "/usr/sbin/sshd $(grep -q persourcepenalties /usr/sbin/sshd && echo -o PerSourcePenalties=no)";

/// Where results of calls are until they are read.
const CALLS: &str = "/root/calls";

/// What came of one call of a client.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit status, in digits.
    pub code: String,
    /// What was on standard output.
    pub out: String,
    /// What was on standard error.
    pub err: String,
}

impl Server {
    /// Gives both servers their file: ours reads it again, theirs is started anew with these flags. Without `-E` it logs
    /// to the journal.
    pub fn configure_beside(&self, files: [&str; 2], flags: &str) -> Result<()> {
        let [ours, theirs] = files;
        self.stop_theirs()?;
        self.write_file("/root/theirs.conf", theirs.as_bytes(), 0o644)?;
        let port = PORTS[1];
        self.shell(&format!(
            "mkdir -p /run/sshd; {THEIRS} -f /root/theirs.conf -p {port} -o PidFile=/run/theirs.pid {flags}"
        ))?;
        self.write_file(CONFIGURATION, ours.as_bytes(), 0o644)?;
        self.reload()
    }

    /// Ends Debian's sshd, if it was started.
    pub fn stop_theirs(&self) -> Result<()> {
        self.shell(
            "test ! -e /run/theirs.pid || kill $(cat /run/theirs.pid); while test -e /run/theirs.pid; do sleep 0.02; done",
        )?;
        Ok(())
    }

    /// Runs calls, each a line for the shell: first the one for our server and then the one for theirs, so many at the
    /// same time.
    pub fn call_beside(&self, calls: &[[String; 2]], at_once: usize) -> Result<Vec<[Ended; 2]>> {
        let lines: Vec<&str> = calls.iter().flatten().map(String::as_str).collect();
        self.write_file(
            &format!("{CALLS}/lines"),
            (lines.join("\n") + "\n").as_bytes(),
            0o600,
        )?;
        let count = lines.len();
        let mut script = format!(
            "cd {CALLS}; seq {count} | xargs -P {at_once} -n 1 sh -c \
             'sh -c \"$(sed -n $0p lines)\" </dev/null >$0.out 2>$0.err; printf $? >$0.code'\n"
        );
        for number in 1..=count {
            for what in ["code", "out", "err"] {
                writeln!(script, "cat {number}.{what}; printf '\\036'")?;
            }
        }
        let output = self
            .command(["sh", "-euc", &script])
            .deadline(Duration::from_secs(120))
            .run()?
            .success()?
            .text();
        let mut parts = output.split('\u{1e}').map(str::to_owned);
        let mut next = || parts.next().context("output of a call is missing");
        let mut ended = || {
            anyhow::Ok(Ended {
                code: next()?,
                out: next()?,
                err: next()?,
            })
        };
        calls.iter().map(|_| Ok([ended()?, ended()?])).collect()
    }
}
