//! What `/proc` and systemd say about the server's processes.

use anyhow::{Context, Result};
use support::UserKey;

use crate::Server;
use crate::journal::Entry;

/// The lines of `/proc/PID/status` of one process.
#[derive(Debug, Clone)]
pub struct Status(String);

impl Status {
    /// The value of a line, its words separated by one blank.
    pub fn value(&self, name: &str) -> String {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .unwrap_or_default()
    }
}

impl Server {
    /// `/proc/PID/status`, as the machine's root sees it.
    pub fn status_of(&self, pid: &str) -> Result<Status> {
        self.shell(&format!("cat /proc/{pid}/status"))
            .map(Status)
            .with_context(|| format!("process {pid}"))
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

    /// The entry that records this user's login after `since`, which names the units of the connection.
    pub fn login_entry(&self, since: &str, key: &UserKey) -> Result<Entry> {
        let accepted = format!("Accepted publickey for {} from ", key.user);
        self.wait_for_entry(since, &[&accepted])
    }

    /// The unit in which the worker of this user's login runs, and the unit of the session.
    pub fn units_of_login(&self, since: &str, key: &UserKey) -> Result<(String, String)> {
        let entry = self.login_entry(since, key)?;
        let mut worker = String::new();
        let mut session = String::new();
        for entry in self.entries_of_connection(entry.field("SSHD_CONN"))? {
            for (field, found) in [
                ("SSHD_WORKER_UNIT", &mut worker),
                ("SSHD_SESSION_UNIT", &mut session),
            ] {
                if !entry.field(field).is_empty() {
                    entry.field(field).clone_into(found);
                }
            }
        }
        Ok((worker, session))
    }
}
