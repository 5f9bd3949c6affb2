//! What systemd and `/proc` say about the server's processes.

use anyhow::Result;
use support::UserKey;

use crate::Server;
use crate::journal::Entry;

impl Server {
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
