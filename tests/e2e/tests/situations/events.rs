//! What a client and a log say, line by line, without what differs for reasons of place: ports and names.

use std::collections::BTreeMap;

use e2e::beside::Ended;
use e2e::journal::Entry;

use crate::table::Outcome;

/// What one server did with one situation.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// What the user is shown and what the client is told, in order.
    pub(crate) client: Vec<String>,
    /// What the administrator reads, sorted: a process of lesser privilege hands its lines on, so the order is not fixed.
    pub(crate) log: Vec<String>,
}

/// Lines of `ssh -v` that tell what the server said.
const TOLD: &[&str] = &[
    "Authentications that can continue: ",
    "Server accepts key: ",
    "Remote: ",
];

/// Lines of PAM modules.
const MODULES: &[&str] = &["pam_", "PAM "];

/// Lines about a key that a client asks about, which is no attempt yet.
const QUESTIONS: &[&str] = &[
    "Accepted key ",
    "Accepted certificate ",
    "Postponed publickey ",
];

/// What is left out where sshd is newer than Debian 12's: a line that it has no more, and those of one that misses utmp
/// and lastlog.
pub(crate) const OF_NEWER_SSHD: &[&str] = &[
    "Could not open user ",
    "lastlog_openseek: ",
    "syslogin_perform_logout: ",
];

/// Lines about what comes after the login, of which some are lost with the process that would write them.
const AFTERWARDS: &[&str] = &[
    "Close session: ",
    "Closing connection to ",
    "Connection closed by 127.",
    "Connection closed by user ",
    "Connection reset by user ",
    "Disconnected from user ",
    "Read error from remote host ",
    "Received disconnect from ",
    "Session of user ",
    "Starting session: ",
    "Transferred: ",
    "User child is on pid ",
];

impl Record {
    /// The client's part.
    pub(crate) fn of_client(ended: &Ended, port: u16) -> Self {
        let mut client: Vec<String> = ended
            .err
            .lines()
            .filter_map(|line| {
                let Some(detail) = line.strip_prefix("debug1: ") else {
                    let own = ["OpenSSH_", "Transferred: ", "Bytes per second: "];
                    return (!own.iter().any(|start| line.starts_with(start))).then_some(line);
                };
                TOLD.iter()
                    .any(|start| detail.starts_with(start))
                    .then_some(detail)
            })
            .map(|line| plain(&line.replace(&format!(":{port}]"), "]")))
            .map(|line| line.replace(&format!("]:{port})"), "]:PORT)"))
            .collect();
        client.extend(
            ended
                .out
                .lines()
                .map(|line| plain(&format!("output: {line}"))),
        );
        client.push(format!("exit: {}", ended.code));
        Self {
            client,
            log: Vec::new(),
        }
    }

    /// What came of it.
    pub(crate) fn outcome(&self) -> Outcome {
        let says = |text: &str| self.client.iter().any(|line| line.contains(text));
        if says("exit: 0") {
            Outcome::In
        } else if !says("exit: 255") {
            Outcome::Idle
        } else if says(": Permission denied (") {
            Outcome::Denied
        } else {
            Outcome::Cut
        }
    }
}

/// The lines about each address that a client connected from, of each server.
pub(crate) fn of_log(entries: &[Entry], left_out: &[&str]) -> [BTreeMap<String, Vec<String>>; 2] {
    let mut connections: BTreeMap<(usize, &str), Vec<&str>> = BTreeMap::new();
    for entry in entries {
        // Modules log as the server that called them; what they say is theirs.
        if MODULES
            .iter()
            .chain(QUESTIONS)
            .chain(AFTERWARDS)
            .chain(left_out)
            .any(|it| entry.message().starts_with(it))
        {
            continue;
        }
        let key = match entry.field("SSHD_CONN") {
            "" => (1, entry.field("_PID")),
            connection => (0, connection),
        };
        connections.entry(key).or_default().push(entry.message());
    }
    let mut logs = [BTreeMap::new(), BTreeMap::new()];
    for ((server, _), lines) in connections {
        if let Some(address) = lines.iter().find_map(|line| address(line))
            && let Some(log) = logs.get_mut(server)
        {
            log.entry(address.to_owned())
                .or_insert_with(Vec::new)
                .extend(lines.into_iter().map(plain));
        }
    }
    for log in &mut logs {
        log.values_mut().for_each(|lines| lines.sort());
    }
    logs
}

/// The first address in a line that only a client of ours can have.
fn address(line: &str) -> Option<&str> {
    line.split([' ', '=', ',', ':'])
        .find(|word| word.starts_with("127.") && !word.starts_with("127.0.0."))
}

/// A line without port numbers and without whose account it is.
fn plain(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in line.split(' ') {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
        words.push(match rest {
            _ if words.last() != Some(&"port") || rest.len() == word.len() => word,
            "" => "PORT",
            _ => "PORT:",
        });
    }
    words
        .join(" ")
        .replace("-ours", "-*")
        .replace("-theirs", "-*")
}
