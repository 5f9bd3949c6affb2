//! Attempts at a chosen moment in the life of a real worker.

use std::fmt;
use std::io::{Write, stderr};

use super::{Outcome, attempt};

/// The environment variable that says what to try when: a phase, a colon, and names of attempts separated by commas,
/// as in `session:open-file,stat-path,execute`.
///
/// From the environment and not from the client: it needs no parser of its own, and an attempt can be made in the phase
/// in which no byte has come yet. The process looks at its own memory for it, so the cage is no obstacle.
pub const PLAN_VARIABLE: &str = "SSHD_PRIVSEP_PROBE";

/// The moments of a connection at which a worker tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The cage is closed and nothing was read.
    Caged,
    /// The client's first bytes were parsed, keys are not exchanged.
    KeyExchange,
    /// Keys are exchanged, the client has not authenticated.
    Authentication,
    /// The user is logged in, and a channel is open.
    Session,
}

impl Phase {
    /// Every phase.
    pub const ALL: &[Self] = &[
        Self::Caged,
        Self::KeyExchange,
        Self::Authentication,
        Self::Session,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caged => "caged",
            Self::KeyExchange => "key-exchange",
            Self::Authentication => "authentication",
            Self::Session => "session",
        })
    }
}

/// Makes the attempts that are planned for `phase`, one after the other, and goes on with life after them.
///
/// Each says what comes of it on standard error, twice: `probe session execute: tries` before, and
/// `probe session execute: refused 13` or `… worked` after it. What the cage kills for leaves the first line only.
pub fn reached(phase: Phase) {
    let Ok(plan) = std::env::var(PLAN_VARIABLE) else {
        return;
    };
    let Some((planned, names)) = plan.split_once(':') else {
        return;
    };
    if planned != phase.to_string() {
        return;
    }
    for name in names.split(',') {
        say(phase, name, format_args!("tries"));
        match attempt(name) {
            Outcome::Refused(errno) => say(phase, name, format_args!("refused {errno}")),
            Outcome::Worked => say(phase, name, format_args!("worked")),
            Outcome::Unknown => say(phase, name, format_args!("unknown")),
        }
    }
}

fn say(phase: Phase, name: &str, what: fmt::Arguments<'_>) {
    // Whoever waits for the line notices that it is missing.
    drop(writeln!(stderr(), "probe {phase} {name}: {what}"));
}
