//! What is written down about a machine, so that a later process can use it or clean up behind one that was killed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::Network;
use crate::process::Process;

/// The record of one machine: the file `record` in its directory, one `key=value` per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Distinguishes this machine from an earlier or later one of the same name.
    pub(crate) instance: String,
    pub(crate) network: Network,
    /// Whose death ends the machine. `None`: it stays until it is taken down by name.
    pub(crate) owner: Option<Process>,
    /// systemd-nspawn, once started.
    pub(crate) nspawn: Option<Process>,
    /// PID 1 of the machine, once known.
    pub(crate) leader: Option<Process>,
}

impl Record {
    /// The record in a machine's directory. A machine without one was given up half-way.
    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(path(directory)).ok()?;
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        };
        let process = |key: &str| {
            let (pid, started) = value(key)?.split_once(' ')?;
            Some(Process {
                pid: pid.parse().ok()?,
                started: started.parse().ok()?,
            })
        };
        Some(Self {
            instance: value("instance")?.to_owned(),
            network: match value("network")? {
                "private" => Network::Private,
                _ => Network::HostLoopback,
            },
            owner: process("owner"),
            nspawn: process("nspawn"),
            leader: process("leader"),
        })
    }

    /// Writes the record in one step: whoever reads finds the old one or the new one.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let mut text = format!("instance={}\n", self.instance);
        text.push_str(match self.network {
            Network::Private => "network=private\n",
            Network::HostLoopback => "network=host-loopback\n",
        });
        for (key, process) in [
            ("owner", self.owner),
            ("nspawn", self.nspawn),
            ("leader", self.leader),
        ] {
            if let Some(Process { pid, started }) = process {
                text.push_str(&format!("{key}={pid} {started}\n"));
            }
        }
        let unfinished = directory.join("record.unfinished");
        fs::write(&unfinished, text).with_context(|| unfinished.display().to_string())?;
        fs::rename(&unfinished, path(directory)).context("record")?;
        Ok(())
    }

    /// Nobody needs the machine any more: its owner is gone, or the machine itself is.
    pub(crate) fn is_stale(&self) -> bool {
        let owner_gone = self.owner.is_some_and(|owner| !owner.alive());
        let machine_gone = self.nspawn.is_some_and(|nspawn| !nspawn.alive());
        owner_gone || machine_gone
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("record")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_sees_that_the_owner_died() {
        let directory = std::env::temp_dir().join(format!("record-test-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut record = Record {
            instance: "1-2".to_owned(),
            network: Network::Private,
            owner: Process::now(std::process::id()),
            nspawn: None,
            leader: None,
        };
        record.write(&directory).unwrap();
        assert_eq!(Record::read(&directory).as_ref(), Some(&record));
        assert!(!record.is_stale());
        record.owner = Some(Process { pid: 1, started: 1 });
        assert!(record.is_stale());
        fs::remove_dir_all(&directory).unwrap();
    }
}
