//! The configuration that is in force, and its exchange for another.

use std::fmt;
use std::sync::Arc;

use journal::Threshold;
use journal::message_id::CONFIGURATION_ERROR;
use rpc::admin::{Configuration, Reload};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::connections::Administrator;
use crate::listening::Watch;
use crate::options::Source;
use crate::policy::{Loaded, Policy};
use crate::rules::{facility, log_level};

/// What everybody goes by.
pub(super) struct InForce {
    source: Source,
    listening: Option<Watch>,
    policies: watch::Sender<Arc<Policy>>,
    threshold: Threshold,
    since: Instant,
    /// Why what was read later is not in force.
    refused: Option<String>,
}

/// Who wants the configuration to be read again.
pub(super) enum Asked {
    /// Somebody who may send a signal.
    Signal,
    /// An administrator, who waits for an answer.
    By(Administrator),
}

impl InForce {
    /// What was read at the start.
    pub(super) fn new(
        source: Source,
        listening: Option<Watch>,
        policies: watch::Sender<Arc<Policy>>,
        threshold: Threshold,
    ) -> Self {
        Self {
            source,
            listening,
            policies,
            threshold,
            since: Instant::now(),
            refused: None,
        }
    }

    /// Reads the configuration again. When this returns, it counts for workers and connections from
    /// now on, or the one before it still does.
    pub(super) fn reload(&mut self, asked: &Asked) -> Reload {
        info!("{asked}; reading {} again.", self.source.file.display());
        match Policy::load(&self.source) {
            Ok(Loaded {
                policy,
                mut remarks,
            }) => {
                if let Some(listening) = &self.listening {
                    remarks.extend(listening.remarks(&policy.config));
                }
                remarks.iter().for_each(|remark| warn!("{remark}"));
                self.threshold.set(log_level(&policy.config));
                self.threshold.set_facility(facility(&policy.config));
                self.policies.send_replace(policy);
                self.since = Instant::now();
                self.refused = None;
                Reload::InForce { warnings: remarks }
            }
            Err(error) => {
                let errors = error.to_string();
                error!(
                    message_id = CONFIGURATION_ERROR,
                    "{errors}\nThe configuration before it stays in force."
                );
                self.refused = Some(errors.clone());
                Reload::Refused { errors }
            }
        }
    }

    /// Whether what was read last is in force.
    pub(super) fn is_latest(&self) -> bool {
        self.refused.is_none()
    }

    /// For administrators.
    pub(super) fn describe(&self) -> Configuration {
        Configuration {
            file: self.source.file.display().to_string(),
            age: self.since.elapsed(),
            errors: self.refused.clone(),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal => f.write_str("Received SIGHUP"),
            Self::By(administrator) => write!(f, "Reload by {administrator}"),
        }
    }
}
