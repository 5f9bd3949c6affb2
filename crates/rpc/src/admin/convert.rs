//! Protobuf types to domain types and back, with the limits of each field.

use std::time::Duration;

use super::{Configuration, Connection, Kill, Phase, Reload, Status, Workers};
use crate::grpc::{CallError, Violation};
use crate::identity::ConnectionId;
use crate::lane::convert::{endpoints_from_proto, endpoints_to_proto, id_from_proto, id_to_proto};
use crate::proto::admin::v1 as pb;

/// Connections in one answer; the monitor has descriptors for fewer.
const CONNECTION_LIMIT: usize = 8192;

/// All errors, or all warnings, of one configuration in bytes: what nobody reads to its end is cut.
const TEXT_LIMIT: usize = 1024 * 1024;

pub(super) fn reload_to_proto(reload: Reload) -> pb::ReloadReply {
    use pb::reload_reply::Outcome;
    let outcome = match reload {
        Reload::InForce { mut warnings } => {
            let mut room = TEXT_LIMIT;
            warnings.retain(|warning| {
                room = room.saturating_sub(warning.len());
                room > 0
            });
            Outcome::InForce(pb::InForce { warnings })
        }
        Reload::Refused { errors } => Outcome::Refused(pb::Refused {
            errors: cut(errors),
        }),
    };
    pb::ReloadReply {
        outcome: Some(outcome),
    }
}

pub(super) fn reload_from_proto(reply: pb::ReloadReply) -> Option<Reload> {
    use pb::reload_reply::Outcome;
    Some(match reply.outcome? {
        Outcome::InForce(pb::InForce { warnings }) => Reload::InForce { warnings },
        Outcome::Refused(pb::Refused { errors }) => Reload::Refused { errors },
    })
}

pub(super) fn status_to_proto(status: Status) -> pb::StatusReply {
    let connections = status.connections.into_iter().take(CONNECTION_LIMIT);
    pb::StatusReply {
        version: status.version,
        listeners: status.listeners,
        configuration: Some(pb::Configuration {
            file: status.configuration.file,
            age_seconds: status.configuration.age.as_secs(),
            errors: status.configuration.errors.map(cut),
        }),
        workers: Some(pb::Workers {
            starting: status.workers.starting,
            idle: status.workers.idle,
            busy: status.workers.busy,
            waiting: status.workers.waiting,
        }),
        unauthenticated: status.unauthenticated,
        connections: connections.map(connection_to_proto).collect(),
    }
}

pub(super) fn status_from_proto(reply: pb::StatusReply) -> Result<Status, CallError> {
    let configuration = reply
        .configuration
        .ok_or(CallError::Malformed("configuration"))?;
    let workers = reply.workers.ok_or(CallError::Malformed("workers"))?;
    let connections = reply.connections.into_iter();
    Ok(Status {
        version: reply.version,
        listeners: reply.listeners,
        configuration: Configuration {
            file: configuration.file,
            age: Duration::from_secs(configuration.age_seconds),
            errors: configuration.errors,
        },
        workers: Workers {
            starting: workers.starting,
            idle: workers.idle,
            busy: workers.busy,
            waiting: workers.waiting,
        },
        unauthenticated: reply.unauthenticated,
        connections: connections
            .map(connection_from_proto)
            .collect::<Result<_, _>>()?,
    })
}

fn connection_to_proto(connection: Connection) -> pb::Connection {
    let phase = match connection.phase {
        Phase::Waiting => pb::Phase::Waiting,
        Phase::KeyExchange => pb::Phase::KeyExchange,
        Phase::Authenticating => pb::Phase::Authenticating,
        Phase::Exhausted => pb::Phase::Exhausted,
        Phase::Open => pb::Phase::Open,
        Phase::Over => pb::Phase::Over,
    };
    pb::Connection {
        id: Some(id_to_proto(connection.id)),
        endpoints: Some(endpoints_to_proto(connection.endpoints)),
        phase: phase.into(),
        age_seconds: connection.age.as_secs(),
        user: connection.user,
        worker_unit: connection.worker_unit,
        session_unit: connection.session_unit,
    }
}

fn connection_from_proto(connection: pb::Connection) -> Result<Connection, CallError> {
    let phase = match pb::Phase::try_from(connection.phase) {
        Ok(pb::Phase::Waiting) => Phase::Waiting,
        Ok(pb::Phase::KeyExchange) => Phase::KeyExchange,
        Ok(pb::Phase::Authenticating) => Phase::Authenticating,
        Ok(pb::Phase::Exhausted) => Phase::Exhausted,
        Ok(pb::Phase::Open) => Phase::Open,
        Ok(pb::Phase::Over) => Phase::Over,
        Ok(pb::Phase::Unspecified) | Err(_) => return Err(CallError::Malformed("phase")),
    };
    let malformed = |_| CallError::Malformed("connection");
    Ok(Connection {
        id: id_from_proto(connection.id).map_err(malformed)?,
        endpoints: endpoints_from_proto(connection.endpoints).map_err(malformed)?,
        phase,
        age: Duration::from_secs(connection.age_seconds),
        user: connection.user,
        worker_unit: connection.worker_unit,
        session_unit: connection.session_unit,
    })
}

pub(super) fn kill_to_request(id: ConnectionId) -> pb::KillRequest {
    pb::KillRequest {
        id: Some(id_to_proto(id)),
    }
}

pub(super) fn id_from_request(request: pb::KillRequest) -> Result<ConnectionId, Violation> {
    id_from_proto(request.id).map_err(|error| Violation::new(error.to_string()))
}

pub(super) fn kill_to_proto(kill: Kill) -> pb::KillReply {
    use pb::kill_reply::Outcome;
    let outcome = match kill {
        Kill::Ending => Outcome::Killed(pb::Killed {}),
        Kill::NoSuchConnection => Outcome::NoSuchConnection(pb::NoSuchConnection {}),
    };
    pb::KillReply {
        outcome: Some(outcome),
    }
}

pub(super) fn kill_from_proto(reply: pb::KillReply) -> Option<Kill> {
    use pb::kill_reply::Outcome;
    Some(match reply.outcome? {
        Outcome::Killed(pb::Killed {}) => Kill::Ending,
        Outcome::NoSuchConnection(pb::NoSuchConnection {}) => Kill::NoSuchConnection,
    })
}

/// The beginning of a text, as far as there is room.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_LIMIT {
        text.truncate(text.floor_char_boundary(TEXT_LIMIT));
        text.push('…');
    }
    text
}
