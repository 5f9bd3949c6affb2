//! Messages about what is forwarded.

use super::{bounded, named};
use crate::grpc::{CallError, Violation};
use crate::proto::session::v1 as ses;
use crate::session::{
    Channel, Connect, HOST_LIMIT, OpenFailure, OpenFailureReason, Opened, PATH_LIMIT, Port, Target,
};

/// Longest text of a failure, in bytes: one of strerror(3) or gai_strerror(3).
const DESCRIPTION_LIMIT: usize = 256;

pub(crate) fn connect_to_proto(channel: Channel, connect: Connect) -> ses::ConnectRequest {
    use ses::connect_request::Target as Message;
    ses::ConnectRequest {
        channel: channel.0,
        target: Some(match connect.target {
            Target::Port(port) => Message::Port(port_to_proto(port)),
            Target::Path(path) => Message::Path(path),
        }),
        originator: Some(port_to_proto(connect.originator)),
    }
}

pub(crate) fn connect_from_proto(
    message: ses::ConnectRequest,
) -> Result<(Channel, Connect), Violation> {
    use ses::connect_request::Target as Message;
    let connect = Connect {
        target: match named(message.target, "target")? {
            Message::Port(port) => Target::Port(port_from_proto(Some(port))?),
            Message::Path(path) => Target::Path(path_from_proto(path)?),
        },
        originator: port_from_proto(message.originator)?,
    };
    Ok((Channel(message.channel), connect))
}

fn port_to_proto(port: Port) -> ses::Port {
    ses::Port {
        host: port.host,
        port: port.port.into(),
    }
}

fn port_from_proto(message: Option<ses::Port>) -> Result<Port, Violation> {
    let ses::Port { host, port } = named(message, "port")?;
    let host = bounded(host, HOST_LIMIT, "host")?;
    if host.contains('\0') {
        return Err(Violation::new("host: contains NUL"));
    }
    Ok(Port {
        host,
        port: named(u16::try_from(port).ok(), "port")?,
    })
}

fn path_from_proto(path: Vec<u8>) -> Result<Vec<u8>, Violation> {
    let path = bounded(path, PATH_LIMIT, "path")?;
    if path.contains(&0) {
        return Err(Violation::new("path: contains NUL"));
    }
    Ok(path)
}

pub(crate) fn opened_to_proto(opened: Opened) -> ses::OpenReply {
    use ses::open_reply::Outcome;
    let outcome = match opened {
        Opened::Done => Outcome::Done(ses::Done {}),
        Opened::Failed(failure) => Outcome::Failure(failure_to_proto(failure)),
    };
    ses::OpenReply {
        outcome: Some(outcome),
    }
}

pub(crate) fn opened_from_proto(message: ses::OpenReply) -> Result<Opened, CallError> {
    use ses::open_reply::Outcome;
    match message.outcome {
        Some(Outcome::Done(ses::Done {})) => Ok(Opened::Done),
        Some(Outcome::Failure(failure)) => failure_from_proto(failure).map(Opened::Failed),
        None => Err(CallError::Malformed("outcome is missing")),
    }
}

fn failure_to_proto(failure: OpenFailure) -> ses::OpenFailure {
    let reason = match failure.reason {
        OpenFailureReason::AdministrativelyProhibited => {
            ses::OpenFailureReason::AdministrativelyProhibited
        }
        OpenFailureReason::ConnectFailed => ses::OpenFailureReason::ConnectFailed,
        OpenFailureReason::ResourceShortage => ses::OpenFailureReason::ResourceShortage,
    };
    ses::OpenFailure {
        reason: reason.into(),
        description: failure.description,
    }
}

fn failure_from_proto(message: ses::OpenFailure) -> Result<OpenFailure, CallError> {
    let reason = match message.reason() {
        ses::OpenFailureReason::Unspecified => return Err(CallError::Malformed("reason")),
        ses::OpenFailureReason::AdministrativelyProhibited => {
            OpenFailureReason::AdministrativelyProhibited
        }
        ses::OpenFailureReason::ConnectFailed => OpenFailureReason::ConnectFailed,
        ses::OpenFailureReason::ResourceShortage => OpenFailureReason::ResourceShortage,
    };
    if message.description.len() > DESCRIPTION_LIMIT {
        return Err(CallError::Malformed("description"));
    }
    Ok(OpenFailure {
        reason,
        description: message.description,
    })
}
