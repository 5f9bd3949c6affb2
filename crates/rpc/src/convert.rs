//! Protobuf types to domain types and back, with the limits of each field.

pub(crate) mod forwarding;
mod userauth;

use wire::exchange::ExchangeValues;
use wire::groups::{DhGroup, GroupRequest};
use wire::hostkeys::PROOF_LIMIT;
use wire::names::{KexAlgorithm, SignatureAlgorithm};
use zeroize::Zeroizing;

use crate::grpc::Violation;
use crate::preauth::{ConnectionEnd, KeyProofs};
use crate::proto::preauth::v1 as pre;
use crate::proto::session::v1 as ses;
use crate::session::{
    COMMAND_LIMIT, Channel, ENVIRONMENT_LIMIT, Program, ProgramEnd, PtyRequest, Signal,
    TERMINAL_MODE_LIMIT, WindowSize, is_term,
};

pub(crate) use userauth::{
    auth_from_proto, auth_reply_from_proto, auth_reply_to_proto, auth_to_proto,
    responses_from_proto, responses_to_proto,
};

/// Identification string: 255 bytes with CR LF (RFC 4253 section 4.2).
pub(crate) const IDENTIFICATION_LIMIT: usize = 253;
/// A payload before login: the packet limit of RFC 4253 section 6.1.
const PAYLOAD_LIMIT: usize = 35_000;
/// Largest share: FrodoKEM and the like are far off; ML-KEM-768 with X25519 needs 1,216.
const SHARE_LIMIT: usize = 4096;
/// Largest secret: 8192-bit Diffie-Hellman.
const SECRET_LIMIT: usize = 1024;
/// Names of algorithms, methods and services (RFC 4251 section 6).
const NAME_LIMIT: usize = 64;
/// Public key blob: RSA 16384 bits, or a certificate with principals.
const KEY_LIMIT: usize = 32 * 1024;
/// Text of a report: a journal line's worth.
const REPORT_LIMIT: usize = 4096;
/// Signature blob: RSA 16384 bits and names; a browser's repeats what it signed, the key or
/// certificate included.
const SIGNATURE_LIMIT: usize = 16 * 1024;

fn bounded<T: AsRef<[u8]>>(value: T, limit: usize, field: &str) -> Result<T, Violation> {
    let length = value.as_ref().len();
    if length > limit {
        return Err(Violation(format!(
            "{field}: {length} bytes, the limit is {limit}"
        )));
    }
    Ok(value)
}

fn named<T>(value: Option<T>, field: &str) -> Result<T, Violation> {
    value.ok_or_else(|| Violation(format!("{field}: not a name of ours")))
}

pub(crate) fn exchange_to_proto(values: ExchangeValues) -> pre::SignExchangeRequest {
    pre::SignExchangeRequest {
        client_identification: values.client_identification,
        client_kexinit: values.client_kexinit,
        server_kexinit: values.server_kexinit,
        kex_algorithm: values.kex.name().to_owned(),
        host_key_algorithm: values.host_key.name().to_owned(),
        client_share: values.client_share,
        server_share: values.server_share,
        shared_secret: values.shared_secret.to_vec(),
    }
}

pub(crate) fn exchange_from_proto(
    message: pre::SignExchangeRequest,
) -> Result<ExchangeValues, Violation> {
    let shared_secret = Zeroizing::new(message.shared_secret);
    Ok(ExchangeValues {
        client_identification: bounded(
            message.client_identification,
            IDENTIFICATION_LIMIT,
            "client_identification",
        )?,
        client_kexinit: bounded(message.client_kexinit, PAYLOAD_LIMIT, "client_kexinit")?,
        server_kexinit: bounded(message.server_kexinit, PAYLOAD_LIMIT, "server_kexinit")?,
        kex: named(
            KexAlgorithm::from_name(&message.kex_algorithm),
            "kex_algorithm",
        )?,
        host_key: named(
            SignatureAlgorithm::from_name(&message.host_key_algorithm),
            "host_key_algorithm",
        )?,
        client_share: bounded(message.client_share, SHARE_LIMIT, "client_share")?,
        server_share: bounded(message.server_share, SHARE_LIMIT, "server_share")?,
        shared_secret: bounded(shared_secret, SECRET_LIMIT, "shared_secret")?,
    })
}

pub(crate) fn group_request_to_proto(request: GroupRequest) -> pre::ChooseGroupRequest {
    let [min, preferred, max] = request.fields();
    pre::ChooseGroupRequest {
        min,
        preferred,
        max,
    }
}

pub(crate) fn group_request_from_proto(
    message: pre::ChooseGroupRequest,
) -> Result<GroupRequest, Violation> {
    let pre::ChooseGroupRequest {
        min,
        preferred,
        max,
    } = message;
    GroupRequest::new(min, preferred, max)
        .ok_or_else(|| Violation(format!("group of {min}, {preferred}, {max} bits")))
}

pub(crate) fn group_to_proto(group: Option<DhGroup>) -> pre::ChooseGroupReply {
    let group = group.map(|DhGroup { prime, generator }| pre::DhGroup { prime, generator });
    pre::ChooseGroupReply { group }
}

/// The worker's end: whether the numbers fit what was asked is the transport's to judge.
pub(crate) fn group_from_proto(message: pre::ChooseGroupReply) -> Option<DhGroup> {
    let group = message.group?;
    Some(DhGroup {
        prime: group.prime,
        generator: group.generator,
    })
}

pub(crate) fn host_keys_from_proto(
    message: pre::ProveHostKeysRequest,
) -> Result<Vec<Vec<u8>>, Violation> {
    if message.host_keys.len() > PROOF_LIMIT {
        return Err(Violation::new("host_keys: too many"));
    }
    let keys = message.host_keys.into_iter();
    keys.map(|key| bounded(key, KEY_LIMIT, "host_keys"))
        .collect()
}

pub(crate) fn proofs_to_proto(proofs: KeyProofs) -> pre::ProveHostKeysReply {
    use pre::prove_host_keys_reply::Outcome;
    let outcome = match proofs {
        KeyProofs::Proved(signatures) => Outcome::Proofs(pre::Proofs { signatures }),
        KeyProofs::Refused => Outcome::NoProofs(pre::NoProofs {}),
    };
    pre::ProveHostKeysReply {
        outcome: Some(outcome),
    }
}

pub(crate) fn proofs_from_proto(message: pre::ProveHostKeysReply) -> Option<KeyProofs> {
    use pre::prove_host_keys_reply::Outcome;
    Some(match message.outcome? {
        Outcome::Proofs(pre::Proofs { signatures }) => KeyProofs::Proved(signatures),
        Outcome::NoProofs(pre::NoProofs {}) => KeyProofs::Refused,
    })
}

pub(crate) fn end_to_report(end: ConnectionEnd) -> pre::ReportRequest {
    use pre::report_request::End;
    // Cut here, where it is known to be a report: the other side refuses what is too long.
    let cut = |text: String| text.chars().take(REPORT_LIMIT / 4).collect::<String>();
    let end = match end {
        ConnectionEnd::Closed => End::Closed(pre::Closed {}),
        ConnectionEnd::Socket(error) => End::Socket(cut(error)),
        ConnectionEnd::Disconnected {
            reason,
            description,
        } => End::Disconnected(pre::Disconnected {
            reason,
            description: cut(description),
        }),
        ConnectionEnd::TooManyFailures => End::TooManyFailures(pre::TooManyFailures {}),
        ConnectionEnd::NoMethods => End::NoMethods(pre::NoMethods {}),
        ConnectionEnd::Denied => End::Denied(pre::Denied {}),
        ConnectionEnd::NotSsh(error) => End::NotSsh(cut(error)),
        ConnectionEnd::Incompatible(error) => End::Incompatible(cut(error)),
        ConnectionEnd::Misbehaved(error) => End::Misbehaved(cut(error)),
        ConnectionEnd::Failed(error) => End::Failed(cut(error)),
        ConnectionEnd::Unresponsive => End::Unresponsive(pre::Unresponsive {}),
        ConnectionEnd::Unused => End::Unused(pre::Unused {}),
    };
    pre::ReportRequest { end: Some(end) }
}

pub(crate) fn end_from_report(message: pre::ReportRequest) -> Result<ConnectionEnd, Violation> {
    use pre::report_request::End;
    let text = |text: String| bounded(text, REPORT_LIMIT, "end");
    Ok(match message.end {
        Some(End::Closed(pre::Closed {})) => ConnectionEnd::Closed,
        Some(End::Socket(error)) => ConnectionEnd::Socket(text(error)?),
        Some(End::Disconnected(pre::Disconnected {
            reason,
            description,
        })) => ConnectionEnd::Disconnected {
            reason,
            description: text(description)?,
        },
        Some(End::TooManyFailures(pre::TooManyFailures {})) => ConnectionEnd::TooManyFailures,
        Some(End::NoMethods(pre::NoMethods {})) => ConnectionEnd::NoMethods,
        Some(End::Denied(pre::Denied {})) => ConnectionEnd::Denied,
        Some(End::NotSsh(error)) => ConnectionEnd::NotSsh(text(error)?),
        Some(End::Incompatible(error)) => ConnectionEnd::Incompatible(text(error)?),
        Some(End::Misbehaved(error)) => ConnectionEnd::Misbehaved(text(error)?),
        Some(End::Failed(error)) => ConnectionEnd::Failed(text(error)?),
        Some(End::Unresponsive(pre::Unresponsive {})) => ConnectionEnd::Unresponsive,
        Some(End::Unused(pre::Unused {})) => ConnectionEnd::Unused,
        None => return Err(Violation::new("end: missing")),
    })
}

pub(crate) fn environment_from_proto(
    message: ses::SetEnvironmentRequest,
) -> Result<(Channel, String, String), Violation> {
    let name = bounded(message.name, ENVIRONMENT_LIMIT, "name")?;
    let value = bounded(message.value, ENVIRONMENT_LIMIT, "value")?;
    // '=' in a name would set another variable, NUL cannot be in either (environ(7)).
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err(Violation::new("name: not a variable"));
    }
    Ok((Channel(message.channel), name, value))
}

pub(crate) fn size_to_proto(size: WindowSize) -> ses::WindowSize {
    ses::WindowSize {
        columns: size.columns.into(),
        rows: size.rows.into(),
        width_pixels: size.width_pixels.into(),
        height_pixels: size.height_pixels.into(),
    }
}

pub(crate) fn size_from_proto(message: ses::WindowSize) -> WindowSize {
    WindowSize::from_fields(
        message.columns,
        message.rows,
        message.width_pixels,
        message.height_pixels,
    )
}

pub(crate) fn pty_to_proto(channel: Channel, request: PtyRequest) -> ses::AllocatePtyRequest {
    let mode = |(opcode, argument): (u8, u32)| ses::TerminalMode {
        opcode: opcode.into(),
        argument,
    };
    ses::AllocatePtyRequest {
        channel: channel.0,
        term: request.term,
        size: Some(size_to_proto(request.size)),
        modes: request.modes.into_iter().map(mode).collect(),
    }
}

pub(crate) fn pty_from_proto(
    message: ses::AllocatePtyRequest,
) -> Result<(Channel, PtyRequest), Violation> {
    let term = message.term;
    if !is_term(&term) {
        return Err(Violation::new("term: no value of TERM"));
    }
    if message.modes.len() > TERMINAL_MODE_LIMIT {
        return Err(Violation::new("modes: too many"));
    }
    let mode = |mode: ses::TerminalMode| match u8::try_from(mode.opcode) {
        Ok(opcode) => Ok((opcode, mode.argument)),
        Err(_) => Err(Violation::new("modes: opcode is not a byte")),
    };
    let request = PtyRequest {
        term,
        size: size_from_proto(message.size.unwrap_or_default()),
        modes: message
            .modes
            .into_iter()
            .map(mode)
            .collect::<Result<_, _>>()?,
    };
    Ok((Channel(message.channel), request))
}

pub(crate) fn program_to_proto(channel: Channel, program: Program) -> ses::StartRequest {
    use ses::start_request::Program as Message;
    let program = match program {
        Program::Shell => Message::Shell(ses::Shell {}),
        Program::Command(line) => Message::Command(line),
        Program::Subsystem(name) => Message::Subsystem(name),
    };
    ses::StartRequest {
        channel: channel.0,
        program: Some(program),
    }
}

pub(crate) fn program_from_proto(
    message: ses::StartRequest,
) -> Result<(Channel, Program), Violation> {
    use ses::start_request::Program as Message;
    let program = match message.program {
        Some(Message::Shell(ses::Shell {})) => Program::Shell,
        Some(Message::Command(line)) => {
            let line = bounded(line, COMMAND_LIMIT, "command")?;
            if line.contains(&0) {
                return Err(Violation::new("command: contains NUL"));
            }
            Program::Command(line)
        }
        Some(Message::Subsystem(name)) => {
            Program::Subsystem(bounded(name, NAME_LIMIT, "subsystem")?)
        }
        None => return Err(Violation::new("program: missing")),
    };
    Ok((Channel(message.channel), program))
}

pub(crate) fn end_to_proto(end: ProgramEnd) -> ses::WaitReply {
    use ses::wait_reply::End;
    let end = match end {
        ProgramEnd::Exited(status) => End::ExitStatus(status),
        ProgramEnd::Signaled {
            signal,
            core_dumped,
        } => End::ExitSignal(ses::ExitSignal {
            name: signal.name().to_owned(),
            core_dumped,
        }),
        ProgramEnd::Gone => End::Gone(ses::Done {}),
    };
    ses::WaitReply { end: Some(end) }
}

pub(crate) fn end_from_proto(message: ses::WaitReply) -> Option<ProgramEnd> {
    use ses::wait_reply::End;
    Some(match message.end? {
        End::ExitStatus(status) => ProgramEnd::Exited(status),
        End::ExitSignal(ses::ExitSignal { name, core_dumped }) => ProgramEnd::Signaled {
            signal: Signal::from_name(&name)?,
            core_dumped,
        },
        End::Gone(ses::Done {}) => ProgramEnd::Gone,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn terminal_requests_survive_the_border(
            term in "[^\0]{0,256}",
            columns: u16,
            rows: u16,
            modes in proptest::collection::vec(any::<(u8, u32)>(), 0..TERMINAL_MODE_LIMIT),
        ) {
            let size = WindowSize { columns, rows, ..WindowSize::default() };
            let request = PtyRequest { term, size, modes };
            let (channel, back) = pty_from_proto(pty_to_proto(Channel(3), request.clone())).unwrap();
            prop_assert_eq!(channel, Channel(3));
            prop_assert_eq!(back, request);
        }

        #[test]
        fn a_variable_cannot_smuggle_another(name in "[^a]{0,20}", value in ".{0,20}") {
            let message = ses::SetEnvironmentRequest { channel: 1, name: name.clone(), value: value.clone() };
            let refused = name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
            prop_assert_eq!(environment_from_proto(message).is_err(), refused);
        }

        #[test]
        fn a_command_with_nul_is_refused(line: Vec<u8>) {
            let refused = line.contains(&0);
            let message = program_to_proto(Channel(1), Program::Command(line));
            prop_assert_eq!(program_from_proto(message).is_err(), refused);
        }
    }

    #[test]
    fn what_cannot_be_in_an_environment_is_no_value_of_term() {
        let crossed = |term: &str| {
            let request = PtyRequest {
                term: term.to_owned(),
                size: WindowSize::default(),
                modes: Vec::new(),
            };
            pty_from_proto(pty_to_proto(Channel(1), request)).is_ok()
        };
        for good in ["", "weird term;x\n", "é", &"x".repeat(1024)] {
            assert!(crossed(good), "{good:?}");
        }
        for bad in ["a\0b", "\0", &"x".repeat(1025)] {
            assert!(!crossed(bad), "{bad:?}");
        }
    }

    /// russh: a panic on a terminal request with more than 130 modes.
    #[test]
    fn cve_2026_73489_russh_more_modes_than_there_are_opcodes_are_refused() {
        let request = |count| PtyRequest {
            term: "xterm".to_owned(),
            size: WindowSize::default(),
            modes: vec![(1, 0); count],
        };
        let crossed = |count| pty_from_proto(pty_to_proto(Channel(1), request(count)));
        assert!(crossed(TERMINAL_MODE_LIMIT).is_ok());
        for count in [TERMINAL_MODE_LIMIT + 1, 100_000] {
            assert!(crossed(count).is_err());
        }
    }
}
