//! What systemd and `/proc` say about the server's processes.

use anyhow::{Result, ensure};
use support::UserKey;

use crate::Server;
use crate::journal::Entry;

/// The process that speaks SSH for one connection.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its number on the machine.
    pub pid: String,
    /// The unit it runs in.
    pub unit: String,
}

impl Server {
    /// The worker of this user's one login: the journal has the connection's port, the kernel knows who holds the
    /// socket.
    pub fn worker_of(&self, user: &str) -> Result<Worker> {
        let accepted = format!("Accepted publickey for {user} from ");
        let entry = self.wait_for_entry("-1h", &[&accepted])?;
        let port = entry.field("SSHD_PEER_PORT").to_owned();
        let holders = self.shell(&format!(
            "ss -tnpH state established '( sport = :22 and dport = :{port} )'"
        ))?;
        // users:(("preauth",pid=123,fd=4))
        let pid: String = holders
            .split("\"preauth\",pid=")
            .nth(1)
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        ensure!(!pid.is_empty(), "no worker has port {port}: {holders}");
        let unit = self.shell(&format!("sed 's|.*/||' /proc/{pid}/cgroup"))?;
        Ok(Worker {
            unit: unit.trim().to_owned(),
            pid,
        })
    }

    /// A number of kilobytes in `/proc/PID/status`: VmRSS, VmHWM.
    pub fn memory(&self, pid: &str, name: &str) -> Result<u64> {
        let number = self.shell(&format!(
            "sed -n 's/^{name}:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/{pid}/status"
        ))?;
        Ok(number.trim().parse()?)
    }

    /// The main process of a unit.
    pub fn main_pid(&self, unit: &str) -> Result<String> {
        let pid = self.shell(&format!("systemctl show -P MainPID {unit}"))?;
        Ok(pid.trim().to_owned())
    }

    /// The units that match a pattern and are running now.
    pub fn running_units(&self, pattern: &str) -> Result<Vec<String>> {
        let listing = self.shell(&format!(
            "systemctl list-units --plain --no-legend --state=running '{pattern}'"
        ))?;
        Ok(listing
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// The units that have failed.
    pub fn failed_units(&self) -> Result<String> {
        self.shell("systemctl list-units --plain --no-legend --state=failed --all")
    }

    /// The entry that records this user's login after `since`.
    pub fn login_entry(&self, since: &str, key: &UserKey) -> Result<Entry> {
        let accepted = format!("Accepted publickey for {} from ", key.user);
        self.wait_for_entry(since, &[&accepted])
    }
}
