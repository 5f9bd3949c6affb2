//! Messages about what is forwarded.

use super::{bounded, named};
use crate::grpc::{CallError, Violation};
use crate::proto::session::v1 as ses;
use crate::session::{
    ACCEPT_LIMIT, Accepted, Address, Channel, Connect, Connections, HOST_LIMIT, Listening,
    OpenFailure, OpenFailureReason, Opened, PATH_LIMIT, Port, Remark, Remarked, X11Request,
    is_xauth_word,
};

/// Longest text of a failure, in bytes: one of strerror(3) or gai_strerror(3).
const DESCRIPTION_LIMIT: usize = 256;

pub(crate) fn connect_to_proto(channel: Channel, connect: Connect) -> ses::ConnectRequest {
    ses::ConnectRequest {
        channel: channel.0,
        target: Some(address_to_proto(connect.target)),
        originator: Some(port_to_proto(connect.originator)),
    }
}

pub(crate) fn connect_from_proto(
    message: ses::ConnectRequest,
) -> Result<(Channel, Connect), Violation> {
    let connect = Connect {
        target: address_from_proto(named(message.target, "target")?)?,
        originator: port_from_proto(message.originator)?,
    };
    Ok((Channel(message.channel), connect))
}

pub(crate) fn address_to_proto(address: Address) -> ses::Address {
    use ses::address::Address as Message;
    let address = match address {
        Address::Port(port) => Message::Port(port_to_proto(port)),
        Address::Path(path) => Message::Path(path),
    };
    ses::Address {
        address: Some(address),
    }
}

pub(crate) fn address_from_proto(message: ses::Address) -> Result<Address, Violation> {
    use ses::address::Address as Message;
    Ok(match named(message.address, "address")? {
        Message::Port(port) => Address::Port(port_from_proto(Some(port))?),
        Message::Path(path) => Address::Path(path_from_proto(path)?),
    })
}

pub(crate) fn remark_to_proto(remark: Option<Remark>) -> ses::Remark {
    match remark {
        None => ses::Remark::Unspecified,
        Some(Remark::PortForwardingDisabled) => ses::Remark::PortForwardingDisabled,
        Some(Remark::StreamLocalForwardingDisabled) => ses::Remark::StreamLocalForwardingDisabled,
        Some(Remark::ForwardingRefused) => ses::Remark::ForwardingRefused,
        Some(Remark::AddressOverridden) => ses::Remark::AddressOverridden,
        Some(Remark::X11DisabledForKey) => ses::Remark::X11DisabledForKey,
        Some(Remark::NoXauth) => ses::Remark::NoXauth,
    }
}

pub(crate) fn remark_from_proto(remark: ses::Remark) -> Option<Remark> {
    match remark {
        ses::Remark::Unspecified => None,
        ses::Remark::PortForwardingDisabled => Some(Remark::PortForwardingDisabled),
        ses::Remark::StreamLocalForwardingDisabled => Some(Remark::StreamLocalForwardingDisabled),
        ses::Remark::ForwardingRefused => Some(Remark::ForwardingRefused),
        ses::Remark::AddressOverridden => Some(Remark::AddressOverridden),
        ses::Remark::X11DisabledForKey => Some(Remark::X11DisabledForKey),
        ses::Remark::NoXauth => Some(Remark::NoXauth),
    }
}

pub(crate) fn listening_to_proto(listening: Remarked<Listening>) -> ses::ListenReply {
    use ses::listen_reply::Outcome;
    let outcome = match listening.answer {
        Listening::On(port) => Outcome::Port(port.into()),
        Listening::Refused => Outcome::Refused(ses::Refused {}),
    };
    ses::ListenReply {
        outcome: Some(outcome),
        remark: remark_to_proto(listening.remark).into(),
    }
}

pub(crate) fn listening_from_proto(
    message: ses::ListenReply,
) -> Result<Remarked<Listening>, CallError> {
    use ses::listen_reply::Outcome;
    let remark = remark_from_proto(message.remark());
    let answer = match message.outcome {
        Some(Outcome::Port(port)) => match u16::try_from(port) {
            Ok(port) => Listening::On(port),
            Err(_) => return Err(CallError::Malformed("port")),
        },
        Some(Outcome::Refused(ses::Refused {})) => Listening::Refused,
        None => return Err(CallError::Malformed("outcome is missing")),
    };
    Ok(Remarked { answer, remark })
}

pub(crate) fn x11_to_proto(channel: Channel, request: X11Request) -> ses::ForwardX11Request {
    let connections = match request.connections {
        Connections::Any => ses::Connections::Any,
        Connections::One => ses::Connections::One,
    };
    ses::ForwardX11Request {
        channel: channel.0,
        connections: connections.into(),
        protocol: request.protocol,
        cookie: request.cookie,
        screen: request.screen,
    }
}

pub(crate) fn x11_from_proto(
    message: ses::ForwardX11Request,
) -> Result<(Channel, X11Request), Violation> {
    let connections = match message.connections() {
        ses::Connections::Unspecified => return Err(Violation::new("connections: missing")),
        ses::Connections::Any => Connections::Any,
        ses::Connections::One => Connections::One,
    };
    let word = |word: String, field| match is_xauth_word(&word) {
        true => Ok(word),
        false => Err(Violation(format!("{field}: not a word for xauth"))),
    };
    let request = X11Request {
        connections,
        protocol: word(message.protocol, "protocol")?,
        cookie: word(message.cookie, "cookie")?,
        screen: message.screen,
    };
    Ok((Channel(message.channel), request))
}

pub(crate) fn accept_from_proto(message: ses::AcceptRequest) -> Result<Vec<Channel>, Violation> {
    if message.channels.len() > ACCEPT_LIMIT {
        return Err(Violation::new("channels: too many"));
    }
    Ok(message.channels.into_iter().map(Channel).collect())
}

pub(crate) fn accepted_to_proto(accepted: Accepted) -> ses::Accepted {
    use ses::accepted::From;
    let from = match accepted {
        Accepted::Port {
            listening,
            originator,
        } => From::Port(ses::AcceptedPort {
            listening: Some(port_to_proto(listening)),
            originator: Some(port_to_proto(originator)),
        }),
        Accepted::Path(path) => From::Path(path),
        Accepted::Agent => From::Agent(ses::Done {}),
        Accepted::X11 { originator } => From::X11(port_to_proto(originator)),
    };
    ses::Accepted { from: Some(from) }
}

pub(crate) fn accepted_from_proto(message: ses::Accepted) -> Result<Accepted, Violation> {
    use ses::accepted::From;
    Ok(match named(message.from, "from")? {
        From::Port(accepted) => Accepted::Port {
            listening: port_from_proto(accepted.listening)?,
            originator: port_from_proto(accepted.originator)?,
        },
        From::Path(path) => Accepted::Path(path_from_proto(path)?),
        From::Agent(ses::Done {}) => Accepted::Agent,
        From::X11(originator) => Accepted::X11 {
            originator: port_from_proto(Some(originator))?,
        },
    })
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
