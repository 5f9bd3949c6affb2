//! `sshd-privsepctl`: what an administrator asks of the running server, in the manner of loginctl(1), and of its
//! configuration.
//!
//! - [`command_line`]: subcommands and flags, in one table.
//! - [`ask`](mod@ask): the way to the monitor, with a deadline, and what to do if there is none.
//! - [`explain`]: which value holds for whom and where it was set; asks nobody.
//! - [`show`](mod@show): tables.

pub mod ask;
pub mod command_line;
pub mod explain;
pub mod show;

use std::fmt::Write;

use rpc::ConnectionId;
use rpc::admin::{Connection, Exempt, Kill, Reload, Status};

use self::ask::{AskError, ask};
use self::command_line::{Legend, Penalties, Voice};

/// What is to be said, and whether all went well.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For standard output.
    pub output: String,
    /// For standard error.
    pub remarks: String,
    /// How it went.
    pub verdict: Verdict,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// As was asked.
    #[default]
    Done,
    /// Not so, or not all of it: the remarks say why.
    Failed,
}

/// `status`
///
/// # Errors
/// See [`AskError`].
pub fn status() -> Result<Said, AskError> {
    let status = ask(async |monitor| monitor.status().await)?;
    Ok(Said {
        output: show::status(&status),
        ..Said::default()
    })
}

/// `list`
///
/// # Errors
/// See [`AskError`].
pub fn list(legend: Legend) -> Result<Said, AskError> {
    let status = ask(async |monitor| monitor.status().await)?;
    Ok(Said {
        output: show::list(&status.connections, legend),
        ..Said::default()
    })
}

/// `show`
///
/// # Errors
/// See [`AskError`].
pub fn show(names: &[String]) -> Result<Said, AskError> {
    let status = ask(async |monitor| monitor.status().await)?;
    Ok(each(&status, names, |connection, said| {
        let separator = if said.output.is_empty() { "" } else { "\n" };
        said.output.push_str(separator);
        said.output.push_str(&show::connection(connection));
    }))
}

/// `kill`
///
/// # Errors
/// See [`AskError`].
pub fn kill(names: &[String]) -> Result<Said, AskError> {
    ask(async |monitor| {
        let status = monitor.status().await?;
        let mut wanted = Vec::new();
        let mut said = each(&status, names, |connection, _| wanted.push(connection.id));
        for id in wanted {
            if monitor.kill(id).await? == Kill::NoSuchConnection {
                said.fail(&gone(id));
            }
        }
        Ok(said)
    })
}

/// `penalties`
///
/// # Errors
/// See [`AskError`].
pub fn penalties(what: Penalties) -> Result<Said, AskError> {
    ask(async |monitor| match what {
        Penalties::List(legend) => Ok(Said {
            output: show::penalties(&monitor.penalties().await?, legend),
            ..Said::default()
        }),
        Penalties::ClearAll => Ok(cleared(monitor.clear_penalties(None).await?)),
        Penalties::Clear(networks) => {
            let mut said = Said::default();
            for network in networks {
                match monitor.clear_penalties(Some(network)).await? {
                    0 => said.fail(&format!("there is no penalty for {network}")),
                    count => said.output.push_str(&cleared(count).output),
                }
            }
            Ok(said)
        }
        Penalties::Exempt(networks) => {
            let mut said = Said::default();
            for network in networks {
                if monitor.exempt(network).await? == Exempt::TooMany {
                    said.fail(&format!(
                        "{network} is not exempt: there are too many exemptions; put them into PerSourcePenaltyExemptList"
                    ));
                }
            }
            Ok(said)
        }
    })
}

fn cleared(count: u64) -> Said {
    Said {
        output: match count {
            1 => "1 penalty cleared.\n".to_owned(),
            count => format!("{count} penalties cleared.\n"),
        },
        ..Said::default()
    }
}

/// `reload`
///
/// # Errors
/// See [`AskError`].
pub fn reload(voice: Voice) -> Result<Said, AskError> {
    let mut said = Said::default();
    match ask(async |monitor| monitor.reload().await)? {
        Reload::InForce { warnings } => warnings.iter().for_each(|warning| said.remark(warning)),
        Reload::Refused { errors } => {
            said.fail(&errors);
            said.remark("The configuration before it stays in force.");
        }
    }
    // The monitor has written all of it to the journal.
    if voice == Voice::Quiet {
        said.remarks.clear();
    }
    Ok(said)
}

impl Said {
    fn remark(&mut self, text: &str) {
        // Writing to a String does not fail.
        let _written = writeln!(self.remarks, "{text}");
    }

    fn fail(&mut self, text: &str) {
        self.remark(text);
        self.verdict = Verdict::Failed;
    }
}

/// Does something with each connection that is named. The beginning of a name will do if no other begins so.
fn each(status: &Status, names: &[String], mut act: impl FnMut(&Connection, &mut Said)) -> Said {
    let mut said = Said::default();
    for name in names {
        let mut matching = status
            .connections
            .iter()
            .filter(|connection| connection.id.to_string().starts_with(name.as_str()));
        match (matching.next(), matching.next()) {
            (Some(connection), None) => act(connection, &mut said),
            (None, _) => said.fail(&format!(
                "there is no connection {name}: see \"sshd-privsepctl list\""
            )),
            (Some(_), Some(_)) => {
                said.fail(&format!("more than one connection begins with {name}"))
            }
        }
    }
    said
}

fn gone(id: ConnectionId) -> String {
    format!("connection {id} has ended in the meantime")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rpc::Endpoints;
    use rpc::admin::{Configuration, Phase, Workers};

    use super::*;

    /// A connection that nothing is known of yet.
    pub(super) fn waiting(id: [u8; 8]) -> Connection {
        Connection {
            id: ConnectionId::from_bytes(id),
            endpoints: Endpoints::UNKNOWN,
            phase: Phase::Waiting,
            age: Duration::ZERO,
            user: None,
            worker_unit: None,
            session_unit: None,
        }
    }

    fn status(ids: &[[u8; 8]]) -> Status {
        Status {
            version: String::new(),
            listeners: Vec::new(),
            configuration: Configuration {
                file: String::new(),
                age: Duration::ZERO,
                errors: None,
            },
            workers: Workers::default(),
            unauthenticated: 0,
            connections: ids.iter().map(|id| waiting(*id)).collect(),
        }
    }

    #[test]
    fn a_connection_is_known_by_what_no_other_begins_with() {
        let status = status(&[[0xab, 1, 0, 0, 0, 0, 0, 0], [0xab, 2, 0, 0, 0, 0, 0, 0]]);
        let chosen = |name: &str| {
            let mut ids = Vec::new();
            let said = each(&status, &[name.to_owned()], |connection, _| {
                ids.push(connection.id.to_string());
            });
            (ids, said.verdict)
        };
        let second = vec!["ab02000000000000".to_owned()];
        assert_eq!(chosen("ab02"), (second.clone(), Verdict::Done));
        assert_eq!(chosen("ab02000000000000"), (second, Verdict::Done));
        assert_eq!(chosen("ab0"), (vec![], Verdict::Failed));
        assert_eq!(chosen("b"), (vec![], Verdict::Failed));
    }
}
