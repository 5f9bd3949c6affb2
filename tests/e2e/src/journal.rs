//! The entries of the journal with their fields.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Server;
use crate::server::eventually;

/// How long an entry may be on its way to the journal.
const PATIENCE: Duration = Duration::from_secs(10);

/// What both servers log as, for journalctl: OpenSSH's parts have names of their own since 9.8.
pub const SERVERS: &[&str] = &["-t", "sshd", "-t", "sshd-session", "-t", "sshd-auth"];

/// One entry: its fields by name. Values that are no text are left out.
#[derive(Debug, Clone, Default)]
pub struct Entry(BTreeMap<String, String>);

impl Entry {
    /// A field, empty if the entry has none of this name.
    pub fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The text of the entry.
    pub fn message(&self) -> &str {
        self.field("MESSAGE")
    }
}

impl Server {
    /// The entries chosen by these journalctl arguments, oldest first.
    pub fn entries(&self, arguments: &[&str]) -> Result<Vec<Entry>> {
        let mut words = vec!["-o", "export"];
        words.extend(arguments);
        Ok(parse_export(&self.journal(&words)?))
    }

    /// Waits for the first entry of the server, written after `since`, whose text holds each of `parts`.
    pub fn wait_for_entry(&self, since: &str, parts: &[&str]) -> Result<Entry> {
        let arguments = [&["--since", since, "-t", "internal-sftp"], SERVERS].concat();
        let mut found = None;
        eventually("a line in the journal", PATIENCE, || {
            found = self
                .entries(&arguments)?
                .into_iter()
                .find(|entry| parts.iter().all(|part| entry.message().contains(part)));
            Ok(found.is_some())
        })
        .with_context(|| {
            let journal = self.journal(&["--since", since]);
            format!(
                "no line with {parts:?} in\n{}",
                journal.unwrap_or_else(|error| error.to_string())
            )
        })?;
        found.context("no entry")
    }

    /// All entries of the connection that a user's login made, from every process.
    pub fn entries_of_connection(&self, connection: &str) -> Result<Vec<Entry>> {
        self.entries(&[&format!("SSHD_CONN={connection}")])
    }
}

/// The export format of the journal: `NAME=value` lines, an empty line between entries. A value with control characters
/// comes as a name alone on its line, a length of eight bytes and the bytes: no field of ours may be such a one, so the
/// parts of it are dropped here.
fn parse_export(text: &str) -> Vec<Entry> {
    text.split("\n\n")
        .map(|block| {
            Entry(
                block
                    .lines()
                    .filter_map(|line| line.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            )
        })
        .filter(|entry| !entry.0.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_fields_are_told_apart() {
        let entries = parse_export("MESSAGE=a=b\nSSHD_CONN=1\n\nMESSAGE=c\n\n");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].message(), "a=b");
        assert_eq!(entries[0].field("SSHD_CONN"), "1");
        assert_eq!(entries[1].field("SSHD_CONN"), "");
    }
}
