//! The line of `systemctl status`.

use crate::admission::Admission;
use crate::notify;
use crate::pool::Pool;

/// The configuration is of no use; the one before stays in force.
pub(super) struct KeepsOld;

/// What the line says, and what it said last.
pub(super) struct Status {
    addresses: String,
    /// What became of the last reload.
    pub(super) trouble: Option<KeepsOld>,
    told: String,
}

impl Status {
    /// For a server that listens there.
    pub(super) fn new(addresses: &[String]) -> Self {
        Self {
            addresses: addresses.join(", "),
            trouble: None,
            told: String::new(),
        }
    }

    pub(super) fn line(&mut self, pool: &Pool, admission: &Admission) -> String {
        let census = pool.census();
        let trouble = match self.trouble {
            None => "",
            Some(KeepsOld) => "configuration has errors, the one before it is in force; ",
        };
        self.told = format!(
            "{trouble}listening on {}; {} connections ({} not logged in), {} idle workers",
            self.addresses,
            census.busy,
            admission.unauthenticated(),
            census.idle,
        );
        self.told.clone()
    }

    /// Tells the line if it has changed.
    pub(super) fn refresh(&mut self, pool: &Pool, admission: &Admission) {
        let before = self.told.clone();
        let now = self.line(pool, admission);
        if now != before {
            notify::status(&now);
        }
    }
}
