//! The line of `systemctl status`, and what `sshd-privsepctl status` shows.

use rpc::admin;

use super::in_force::InForce;
use crate::admission::Admission;
use crate::connection::Common;
use crate::notify;
use crate::pool::Pool;

/// What the line says, and what it said last.
pub(super) struct Status {
    addresses: Vec<String>,
    told: String,
}

impl Status {
    /// For a server that listens there.
    pub(super) fn new(addresses: &[String]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            told: String::new(),
        }
    }

    pub(super) fn line(
        &mut self,
        pool: &Pool,
        admission: &Admission,
        in_force: &InForce,
    ) -> String {
        let census = pool.census();
        let trouble = match in_force.is_latest() {
            true => "",
            false => "configuration has errors, the one before it is in force; ",
        };
        self.told = format!(
            "{trouble}listening on {}; {} connections ({} not logged in), {} idle workers",
            self.addresses.join(", "),
            census.busy,
            admission.unauthenticated(),
            census.idle,
        );
        self.told.clone()
    }

    /// Tells the line if it has changed.
    pub(super) fn refresh(&mut self, pool: &Pool, admission: &Admission, in_force: &InForce) {
        let before = self.told.clone();
        let now = self.line(pool, admission, in_force);
        if now != before {
            notify::status(&now);
        }
    }
    /// All of it, for an administrator.
    pub(super) fn report<M>(
        &self,
        common: &Common<M>,
        admission: &Admission,
        in_force: &InForce,
    ) -> admin::Status {
        let census = common.pool.census();
        admin::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listeners: self.addresses.clone(),
            configuration: in_force.describe(),
            workers: admin::Workers {
                starting: census.starting,
                idle: census.idle,
                busy: census.busy,
                waiting: census.waiting,
            },
            unauthenticated: admission.unauthenticated(),
            connections: common.connections.list(),
        }
    }
}
