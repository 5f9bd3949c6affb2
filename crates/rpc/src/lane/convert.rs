//! Lane messages to bytes and descriptors, and back with all checks.

mod forwarding;
mod login_process;
mod permissions;
mod timeouts;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use prost::Message;
use tracing::level_filters::LevelFilter;
use wire::message::TEXT_LIMIT;

use super::descriptor::{
    expect_client, expect_forwarded, expect_lane, expect_program_stream, expect_stream,
    expect_terminal, expect_tunnel,
};
use super::{
    Connection, FromSession, HostKey, Identifications, LaneError, LoginDetails, NoLogin,
    PacketMarks, Password, ProgramDescriptors, REMARK_LIMIT, REMARKS_LIMIT, SessionGrant,
    SessionStart, ToSession, ToWorker, Welcome,
};
use crate::convert::IDENTIFICATION_LIMIT;
use crate::convert::forwarding::{accepted_from_proto, accepted_to_proto};
use crate::identity::{ConnectionId, Endpoint, Endpoints};
use crate::pam::Variable;
use crate::proto::lane::v1 as pb;
use crate::proto::types::v1 as types;
use crate::session::Channel;
use pb::lane_message::Body;

type Encoded<'a> = (Vec<u8>, Vec<BorrowedFd<'a>>);

pub(super) fn to_worker(message: &ToWorker) -> Encoded<'_> {
    match message {
        ToWorker::Welcome { welcome, rpc } => {
            encode(Body::Welcome(welcome_to_proto(welcome)), vec![rpc.as_fd()])
        }
        ToWorker::Connection { connection, socket } => {
            let body = pb::Connection {
                id: Some(id_to_proto(connection.id)),
                endpoints: Some(endpoints_to_proto(connection.endpoints)),
            };
            encode(Body::Connection(body), vec![socket.as_fd()])
        }
        ToWorker::Session { grant, rpc, lane } => {
            let body = pb::Session {
                user: grant.user.clone(),
                max_sessions: grant.max_sessions,
                client_alive_interval: grant.client_alive_interval,
                client_alive_count_max: grant.client_alive_count_max,
                rekey_bytes: grant.rekey_bytes,
                rekey_seconds: grant.rekey_seconds,
                unused_connection_timeout: grant.unused_connection_timeout,
                channel_timeouts: Some(timeouts::to_proto(&grant.channel_timeouts)),
                packet_marks: Some(marks_to_proto(grant.packet_marks)),
                remark: remarks_to_proto(&grant.remarks),
            };
            encode(Body::Session(body), vec![rpc.as_fd(), lane.as_fd()])
        }
    }
}

pub(super) fn to_session(message: &ToSession) -> Encoded<'_> {
    let ToSession::Start {
        start,
        rpc,
        lane,
        accounting,
    } = message;
    let subsystem = |(name, command): &(String, String)| pb::Subsystem {
        name: name.clone(),
        command: command.clone(),
    };
    let variable = |(name, value): &(String, String)| pb::Variable {
        name: name.clone(),
        value: value.clone(),
    };
    let body = pb::SessionStart {
        id: Some(id_to_proto(start.id)),
        endpoints: Some(endpoints_to_proto(start.endpoints)),
        log_level: log_level_to_proto(start.log_level).into(),
        facility: start.facility.into(),
        user: start.user.clone(),
        home: start.home.clone(),
        shell: start.shell.clone(),
        accept_env: start.accept_env.clone(),
        permit_tty: start.permit_tty,
        subsystems: start.subsystems.iter().map(subsystem).collect(),
        max_sessions: start.max_sessions,
        forced_command: start.forced_command.clone(),
        environment: start.environment.iter().map(variable).collect(),
        user_environment: start.user_environment.clone(),
        chroot_directory: start.chroot_directory.clone(),
        permissions: Some(permissions::to_proto(&start.permissions)),
        login: Some(login_to_proto(&start.login)),
        forwarding: Some(forwarding::to_proto(&start.forwarding)),
        process: Some(login_process::to_proto(&start.process)),
        accounting: accounting.is_some(),
        client_identification: start.identifications.client.clone(),
        server_identification: start.identifications.server.clone(),
    };
    let mut descriptors = vec![rpc.as_fd(), lane.as_fd()];
    descriptors.extend(accounting.as_ref().map(AsFd::as_fd));
    encode(Body::SessionStart(body), descriptors)
}

/// What a session says to the monitor. There is only this one thing. The text is cut to [`TEXT_LIMIT`].
pub(super) fn ready(said: &str) -> Vec<u8> {
    let said = said.get(..said.floor_char_boundary(TEXT_LIMIT));
    let body = pb::SessionReady {
        said: said.unwrap_or_default().to_owned(),
    };
    encode(Body::SessionReady(body), Vec::new()).0
}

pub(super) fn read_ready(bytes: &[u8]) -> Result<String, LaneError> {
    match decode(bytes)? {
        // Not in any other form than that which is sent.
        Body::SessionReady(body) if ready(&body.said) == bytes => Ok(body.said),
        _ => Err(LaneError::Malformed("not from a session that is up")),
    }
}

pub(super) fn from_session(message: &FromSession) -> Encoded<'_> {
    let (channel, descriptors) = match message {
        FromSession::Descriptors {
            channel,
            descriptors,
        } => (channel, descriptors),
        FromSession::Forwarded { channel, socket } => {
            let body = pb::ForwardedDescriptor { channel: channel.0 };
            return encode(Body::ForwardedDescriptor(body), vec![socket.as_fd()]);
        }
        FromSession::Accepted {
            channel,
            accepted,
            socket,
        } => {
            let body = pb::AcceptedDescriptor {
                channel: channel.0,
                accepted: Some(accepted_to_proto(accepted.clone())),
            };
            return encode(Body::AcceptedDescriptor(body), vec![socket.as_fd()]);
        }
        FromSession::Tunnel { channel, device } => {
            let body = pb::TunnelDescriptor { channel: channel.0 };
            return encode(Body::TunnelDescriptor(body), vec![device.as_fd()]);
        }
    };
    let (pty, descriptors) = match descriptors {
        ProgramDescriptors::Pty(master) => (true, vec![master.as_fd()]),
        ProgramDescriptors::Pipes {
            stdin,
            stdout,
            stderr,
        } => (false, vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]),
    };
    encode(
        Body::ChannelDescriptors(pb::ChannelDescriptors {
            channel: channel.0,
            pty,
        }),
        descriptors,
    )
}

pub(super) fn read_to_worker(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<ToWorker, LaneError> {
    match decode(bytes)? {
        Body::Welcome(body) => {
            let [rpc] = exactly(descriptors)?;
            expect_stream(&rpc)?;
            Ok(ToWorker::Welcome {
                welcome: welcome_from_proto(body),
                rpc,
            })
        }
        Body::Connection(body) => {
            let [socket] = exactly(descriptors)?;
            expect_client(&socket)?;
            let connection = Connection {
                id: id_from_proto(body.id)?,
                endpoints: endpoints_from_proto(body.endpoints)?,
            };
            Ok(ToWorker::Connection { connection, socket })
        }
        Body::Session(body) => {
            let [rpc, lane] = exactly(descriptors)?;
            expect_stream(&rpc)?;
            expect_lane(&lane)?;
            let grant = SessionGrant {
                user: body.user,
                max_sessions: body.max_sessions,
                client_alive_interval: body.client_alive_interval,
                client_alive_count_max: body.client_alive_count_max,
                rekey_bytes: body.rekey_bytes,
                rekey_seconds: body.rekey_seconds,
                unused_connection_timeout: body.unused_connection_timeout,
                channel_timeouts: timeouts::from_proto(body.channel_timeouts)?,
                packet_marks: marks_from_proto(body.packet_marks)?,
                remarks: body.remark,
            };
            Ok(ToWorker::Session { grant, rpc, lane })
        }
        Body::ChannelDescriptors(_)
        | Body::ForwardedDescriptor(_)
        | Body::AcceptedDescriptor(_)
        | Body::TunnelDescriptor(_)
        | Body::SessionStart(_)
        | Body::SessionReady(_) => Err(LaneError::Malformed("not for a worker")),
    }
}

fn remarks_to_proto(remarks: &[String]) -> Vec<String> {
    let remarks = remarks.iter().take(REMARKS_LIMIT);
    let cut = |remark: &String| {
        remark
            .get(..remark.floor_char_boundary(REMARK_LIMIT))
            .map(str::to_owned)
    };
    remarks.filter_map(cut).collect()
}

fn marks_to_proto(marks: PacketMarks) -> pb::PacketMarks {
    pb::PacketMarks {
        interactive: marks.interactive.map(u32::from),
        bulk: marks.bulk.map(u32::from),
    }
}

fn marks_from_proto(message: Option<pb::PacketMarks>) -> Result<PacketMarks, LaneError> {
    const WRONG: LaneError = LaneError::Malformed("mark of packets");
    let pb::PacketMarks { interactive, bulk } = message.ok_or(WRONG)?;
    let mark = |value: Option<u32>| value.map(u8::try_from).transpose().map_err(|_| WRONG);
    Ok(PacketMarks {
        interactive: mark(interactive)?,
        bulk: mark(bulk)?,
    })
}

pub(super) fn read_to_session(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<ToSession, LaneError> {
    let Body::SessionStart(body) = decode(bytes)? else {
        return Err(LaneError::Malformed("not for a session"));
    };
    let (rpc, lane, accounting) = match body.accounting {
        true => {
            let [rpc, lane, accounting] = exactly(descriptors)?;
            expect_lane(&accounting)?;
            (rpc, lane, Some(accounting))
        }
        false => {
            let [rpc, lane] = exactly(descriptors)?;
            (rpc, lane, None)
        }
    };
    expect_stream(&rpc)?;
    expect_lane(&lane)?;
    let log_level = body.log_level();
    let start = SessionStart {
        id: id_from_proto(body.id)?,
        endpoints: endpoints_from_proto(body.endpoints)?,
        log_level: log_level_from_proto(log_level)?,
        facility: u8::try_from(body.facility)
            .ok()
            .filter(|facility| *facility <= FACILITY_LIMIT)
            .ok_or(LaneError::Malformed("facility"))?,
        user: body.user,
        home: body.home,
        shell: body.shell,
        accept_env: body.accept_env,
        permit_tty: body.permit_tty,
        subsystems: body
            .subsystems
            .into_iter()
            .map(|s| (s.name, s.command))
            .collect(),
        max_sessions: body.max_sessions,
        forced_command: body.forced_command,
        environment: body
            .environment
            .into_iter()
            .map(|v| (v.name, v.value))
            .collect(),
        user_environment: body.user_environment,
        chroot_directory: body.chroot_directory,
        permissions: permissions::from_proto(body.permissions)?,
        login: login_from_proto(body.login)?,
        forwarding: forwarding::from_proto(body.forwarding)?,
        process: login_process::from_proto(body.process)?,
        identifications: Identifications {
            client: identification(body.client_identification)?,
            server: identification(body.server_identification)?,
        },
    };
    Ok(ToSession::Start {
        start,
        rpc,
        lane,
        accounting,
    })
}

fn identification(line: Vec<u8>) -> Result<Vec<u8>, LaneError> {
    match line.len() <= IDENTIFICATION_LIMIT {
        true => Ok(line),
        false => Err(LaneError::Malformed("identification string")),
    }
}

pub(super) fn read_from_session(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<FromSession, LaneError> {
    let body = match decode(bytes)? {
        Body::ChannelDescriptors(body) => body,
        Body::ForwardedDescriptor(body) => {
            let [socket] = exactly(descriptors)?;
            expect_forwarded(&socket)?;
            return Ok(FromSession::Forwarded {
                channel: Channel(body.channel),
                socket,
            });
        }
        Body::AcceptedDescriptor(body) => {
            let [socket] = exactly(descriptors)?;
            expect_forwarded(&socket)?;
            let accepted = body
                .accepted
                .and_then(|accepted| accepted_from_proto(accepted).ok());
            return Ok(FromSession::Accepted {
                channel: Channel(body.channel),
                accepted: accepted.ok_or(LaneError::Malformed("nobody was accepted"))?,
                socket,
            });
        }
        Body::TunnelDescriptor(body) => {
            let [device] = exactly(descriptors)?;
            expect_tunnel(&device)?;
            return Ok(FromSession::Tunnel {
                channel: Channel(body.channel),
                device,
            });
        }
        _ => return Err(LaneError::Malformed("not from a session")),
    };
    let descriptors = if body.pty {
        let [master] = exactly(descriptors)?;
        expect_terminal(&master)?;
        ProgramDescriptors::Pty(master)
    } else {
        let [stdin, stdout, stderr] = exactly(descriptors)?;
        for stream in [&stdin, &stdout, &stderr] {
            expect_program_stream(stream)?;
        }
        ProgramDescriptors::Pipes {
            stdin,
            stdout,
            stderr,
        }
    };
    Ok(FromSession::Descriptors {
        channel: Channel(body.channel),
        descriptors,
    })
}

fn encode(body: Body, descriptors: Vec<BorrowedFd<'_>>) -> Encoded<'_> {
    (
        pb::LaneMessage { body: Some(body) }.encode_to_vec(),
        descriptors,
    )
}

fn decode(bytes: &[u8]) -> Result<Body, LaneError> {
    let message =
        pb::LaneMessage::decode(bytes).map_err(|_| LaneError::Malformed("not a lane message"))?;
    message.body.ok_or(LaneError::Malformed("no body"))
}

fn exactly<const N: usize>(descriptors: Vec<OwnedFd>) -> Result<[OwnedFd; N], LaneError> {
    descriptors
        .try_into()
        .map_err(|_| LaneError::Descriptors("wrong number"))
}

pub(crate) fn id_to_proto(id: ConnectionId) -> types::ConnectionId {
    types::ConnectionId {
        hex: id.to_string(),
    }
}

pub(crate) fn id_from_proto(id: Option<types::ConnectionId>) -> Result<ConnectionId, LaneError> {
    id.and_then(|id| ConnectionId::from_hex(&id.hex))
        .ok_or(LaneError::Malformed("connection id"))
}

pub(crate) fn endpoints_to_proto(endpoints: Endpoints) -> types::Endpoints {
    use types::endpoints::Kind;
    let kind = match (endpoints.peer(), endpoints.local()) {
        (Endpoint::Inet(peer), Endpoint::Inet(local)) => Kind::Internet(types::InternetEndpoints {
            peer: Some(address_to_proto(peer)),
            local: Some(address_to_proto(local)),
        }),
        _ => Kind::Unknown(types::UnknownEndpoints {}),
    };
    types::Endpoints { kind: Some(kind) }
}

pub(crate) fn endpoints_from_proto(
    endpoints: Option<types::Endpoints>,
) -> Result<Endpoints, LaneError> {
    use types::endpoints::Kind;
    match endpoints.and_then(|endpoints| endpoints.kind) {
        Some(Kind::Unknown(types::UnknownEndpoints {})) => Ok(Endpoints::UNKNOWN),
        Some(Kind::Internet(types::InternetEndpoints { peer, local })) => {
            match (address_from_proto(peer), address_from_proto(local)) {
                (Some(peer), Some(local)) => Ok(Endpoints::inet(peer, local)),
                _ => Err(LaneError::Malformed("socket address")),
            }
        }
        None => Err(LaneError::Malformed("endpoints")),
    }
}

fn address_to_proto(address: SocketAddr) -> types::SocketAddress {
    types::SocketAddress {
        ip: address.ip().to_string(),
        port: address.port().into(),
    }
}

fn address_from_proto(address: Option<types::SocketAddress>) -> Option<SocketAddr> {
    let address = address?;
    let ip: IpAddr = address.ip.parse().ok()?;
    Some(SocketAddr::new(ip, u16::try_from(address.port).ok()?))
}

fn login_to_proto(login: &LoginDetails) -> pb::LoginDetails {
    let variable = |variable: &Variable| pb::PamVariable {
        name: variable.name.clone(),
        value: variable.value.clone(),
    };
    let no_login = match login.no_login {
        NoLogin::Judged => pb::NoLogin::Judged,
        NoLogin::Obeyed => pb::NoLogin::Obeyed,
    };
    let password = match login.password {
        Password::Good => pb::Password::Good,
        Password::Expired => pb::Password::Expired,
    };
    pb::LoginDetails {
        exposed: login.exposed.clone(),
        environment: login.environment.iter().map(variable).collect(),
        no_login: no_login.into(),
        password: password.into(),
    }
}

fn login_from_proto(login: Option<pb::LoginDetails>) -> Result<LoginDetails, LaneError> {
    let login = login.ok_or(LaneError::Malformed("no login details"))?;
    let no_login = match login.no_login() {
        pb::NoLogin::Unspecified => return Err(LaneError::Malformed("nologin")),
        pb::NoLogin::Judged => NoLogin::Judged,
        pb::NoLogin::Obeyed => NoLogin::Obeyed,
    };
    let password = match login.password() {
        pb::Password::Unspecified => return Err(LaneError::Malformed("password")),
        pb::Password::Good => Password::Good,
        pb::Password::Expired => Password::Expired,
    };
    let variables = login
        .environment
        .into_iter()
        .map(|pb::PamVariable { name, value }| {
            let whole = !name.is_empty() && !name.contains(&b'=');
            match whole && !name.contains(&0) && !value.contains(&0) {
                true => Ok(Variable { name, value }),
                false => Err(LaneError::Malformed("variable")),
            }
        });
    Ok(LoginDetails {
        exposed: login.exposed,
        environment: variables.collect::<Result<_, _>>()?,
        no_login,
        password,
    })
}

/// LOCAL7
const FACILITY_LIMIT: u8 = 23;

fn log_level_to_proto(level: LevelFilter) -> pb::LogLevel {
    match level {
        LevelFilter::OFF => pb::LogLevel::Off,
        LevelFilter::ERROR => pb::LogLevel::Error,
        LevelFilter::WARN => pb::LogLevel::Warn,
        LevelFilter::INFO => pb::LogLevel::Info,
        LevelFilter::DEBUG => pb::LogLevel::Debug,
        LevelFilter::TRACE => pb::LogLevel::Trace,
    }
}

fn log_level_from_proto(level: pb::LogLevel) -> Result<LevelFilter, LaneError> {
    match level {
        pb::LogLevel::Unspecified => Err(LaneError::Malformed("log level")),
        pb::LogLevel::Off => Ok(LevelFilter::OFF),
        pb::LogLevel::Error => Ok(LevelFilter::ERROR),
        pb::LogLevel::Warn => Ok(LevelFilter::WARN),
        pb::LogLevel::Info => Ok(LevelFilter::INFO),
        pb::LogLevel::Debug => Ok(LevelFilter::DEBUG),
        pb::LogLevel::Trace => Ok(LevelFilter::TRACE),
    }
}

fn welcome_to_proto(welcome: &Welcome) -> pb::Welcome {
    let host_key = |key: &HostKey| pb::HostKey {
        public_key: key.public_key.clone(),
        algorithms: key.algorithms.clone(),
    };
    pb::Welcome {
        software_version: welcome.software_version.clone(),
        host_keys: welcome.host_keys.iter().map(host_key).collect(),
        kex_algorithms: welcome.kex_algorithms.clone(),
        ciphers: welcome.ciphers.clone(),
        macs: welcome.macs.clone(),
        compression: welcome.compression.clone(),
        pubkey_algorithms: welcome.pubkey_algorithms.clone(),
        rekey_bytes: welcome.rekey_bytes,
        rekey_seconds: welcome.rekey_seconds,
    }
}

fn welcome_from_proto(body: pb::Welcome) -> Welcome {
    let host_key = |key: pb::HostKey| HostKey {
        public_key: key.public_key,
        algorithms: key.algorithms,
    };
    Welcome {
        software_version: body.software_version,
        host_keys: body.host_keys.into_iter().map(host_key).collect(),
        kex_algorithms: body.kex_algorithms,
        ciphers: body.ciphers,
        macs: body.macs,
        compression: body.compression,
        pubkey_algorithms: body.pubkey_algorithms,
        rekey_bytes: body.rekey_bytes,
        rekey_seconds: body.rekey_seconds,
    }
}
