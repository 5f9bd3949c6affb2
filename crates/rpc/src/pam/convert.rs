//! Messages of `proto/pam.proto` to bytes, and back with all checks.

use std::time::Duration;

use prost::Message as _;
use wire::userauth::UserName;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    AUTH_INFO_LIMIT, Authority, EmptyPasswords, End, MESSAGE_LIMIT, Message, PamError,
    PasswordState, Question, Refusal, RemoteName, Secret, Service, Start, Style, Subject,
    TEXT_LIMIT, Task, VARIABLE_LIMIT, Variable, Verdict,
};
use crate::proto::pam::v1 as pb;
use pb::end::Verdict as PbVerdict;
use pb::start::{Authority as PbAuthority, Task as PbTask};
use pb::{from_pam::Body as FromPam, to_pam::Body as ToPam};

/// What the process may say when it is its turn.
#[derive(Debug)]
pub(super) enum Said {
    Question(Question),
    End(End),
}

pub(super) fn start(start: Start) -> Zeroizing<Vec<u8>> {
    let task = match start.task {
        Task::Password(password) => PbTask::Password(take(password)),
        Task::KeyboardInteractive => PbTask::KeyboardInteractive(pb::KeyboardInteractive {}),
        Task::Account => PbTask::Account(pb::Account {}),
        Task::PasswordChange { old, new } => PbTask::PasswordChange(pb::PasswordChange {
            old: take(old),
            new: take(new),
        }),
    };
    let empty_passwords = match start.empty_passwords {
        EmptyPasswords::Refused => pb::EmptyPasswords::Refused,
        EmptyPasswords::Permitted => pb::EmptyPasswords::Permitted,
    };
    let subject = match start.subject {
        Subject::Somebody => pb::Subject::Somebody,
        Subject::Nobody => pb::Subject::Nobody,
    };
    let authority = match start.authority {
        Authority::Pam(service) => PbAuthority::Service(service.0),
        Authority::Shadow => PbAuthority::Shadow(pb::Shadow {}),
    };
    to_pam(ToPam::Start(pb::Start {
        authority: Some(authority),
        user: start.user.as_str().to_owned(),
        subject: subject.into(),
        remote_host: start.remote_host.0,
        remote_user: start.remote_user.map(|name| name.0),
        auth_info: start.auth_info,
        empty_passwords: empty_passwords.into(),
        task: Some(task),
    }))
}

pub(super) fn answers(answers: Vec<Secret>) -> Zeroizing<Vec<u8>> {
    let answers = answers.into_iter().map(take).collect();
    to_pam(ToPam::Answers(pb::Answers { answers }))
}

pub(super) fn question(question: &Question) -> Vec<u8> {
    let messages = messages(&question.messages);
    from_pam(FromPam::Question(pb::Question { messages }))
}

pub(super) fn end(end: &End) -> Vec<u8> {
    let verdict = match &end.verdict {
        Verdict::Accepted {
            password,
            environment,
        } => PbVerdict::Accepted(pb::Accepted {
            password: match password {
                PasswordState::Kept => pb::PasswordState::Kept,
                PasswordState::Changed => pb::PasswordState::Changed,
                PasswordState::MustChange => pb::PasswordState::MustChange,
            }
            .into(),
            environment: environment.iter().map(variable).collect(),
        }),
        Verdict::PasswordExpired { environment } => {
            PbVerdict::PasswordExpired(pb::PasswordExpired {
                environment: environment.iter().map(variable).collect(),
            })
        }
        Verdict::Refused { refusal, reason } => PbVerdict::Refused(pb::Refused {
            refusal: refusal_to_proto(*refusal).into(),
            reason: reason.clone(),
        }),
    };
    from_pam(FromPam::End(pb::End {
        verdict: Some(verdict),
        messages: messages(&end.messages),
        delay_milliseconds: u32::try_from(end.delay.as_millis()).unwrap_or(u32::MAX),
    }))
}

pub(super) fn read_start(bytes: &[u8]) -> Result<Start, PamError> {
    let Some(ToPam::Start(start)) = decode::<pb::ToPam>(bytes)?.body else {
        return Err(PamError::Malformed("not a start"));
    };
    let empty_passwords = match start.empty_passwords() {
        pb::EmptyPasswords::Refused => EmptyPasswords::Refused,
        pb::EmptyPasswords::Permitted => EmptyPasswords::Permitted,
        pb::EmptyPasswords::Unspecified => return Err(PamError::Malformed("empty passwords")),
    };
    let subject = match start.subject() {
        pb::Subject::Somebody => Subject::Somebody,
        pb::Subject::Nobody => Subject::Nobody,
        pb::Subject::Unspecified => return Err(PamError::Malformed("subject")),
    };
    let authority = match start.authority.ok_or(PamError::Malformed("no authority"))? {
        PbAuthority::Service(name) => {
            let service = Service::new(&name).ok_or(PamError::Malformed("service"))?;
            Authority::Pam(service)
        }
        PbAuthority::Shadow(_) => Authority::Shadow,
    };
    let task = match start.task.ok_or(PamError::Malformed("no task"))? {
        PbTask::Password(password) => Task::Password(secret(password)?),
        PbTask::KeyboardInteractive(_) => Task::KeyboardInteractive,
        PbTask::Account(_) => Task::Account,
        PbTask::PasswordChange(pb::PasswordChange { old, new }) => Task::PasswordChange {
            old: secret(old)?,
            new: secret(new)?,
        },
    };
    let remote = |name: &str| RemoteName::new(name).ok_or(PamError::Malformed("remote name"));
    let remote_user = start.remote_user.as_deref().map(remote).transpose()?;
    if start.auth_info.len() > AUTH_INFO_LIMIT || start.auth_info.contains('\0') {
        return Err(PamError::Malformed("completed methods"));
    }
    Ok(Start {
        authority,
        auth_info: start.auth_info,
        user: UserName::new(&start.user).map_err(|_| PamError::Malformed("user"))?,
        subject,
        remote_host: remote(&start.remote_host)?,
        remote_user,
        empty_passwords,
        task,
    })
}

pub(super) fn read_answers(bytes: &[u8]) -> Result<Vec<Secret>, PamError> {
    let Some(ToPam::Answers(answers)) = decode::<pb::ToPam>(bytes)?.body else {
        return Err(PamError::Malformed("not answers"));
    };
    answers.answers.into_iter().map(secret).collect()
}

pub(super) fn read_turn(bytes: &[u8]) -> Result<Said, PamError> {
    match decode::<pb::FromPam>(bytes)?.body {
        Some(FromPam::Question(question)) => {
            let messages = read_messages(question.messages)?;
            if messages.is_empty() {
                return Err(PamError::Malformed("question without messages"));
            }
            Ok(Said::Question(Question { messages }))
        }
        Some(FromPam::End(end)) => Ok(Said::End(read_end(end)?)),
        None => Err(PamError::Malformed("neither question nor end")),
    }
}

fn read_end(end: pb::End) -> Result<End, PamError> {
    let verdict = match end.verdict.ok_or(PamError::Malformed("no verdict"))? {
        PbVerdict::Accepted(accepted) => Verdict::Accepted {
            password: match accepted.password() {
                pb::PasswordState::Kept => PasswordState::Kept,
                pb::PasswordState::Changed => PasswordState::Changed,
                pb::PasswordState::MustChange => PasswordState::MustChange,
                pb::PasswordState::Unspecified => {
                    return Err(PamError::Malformed("password state"));
                }
            },
            environment: read_environment(accepted.environment)?,
        },
        PbVerdict::PasswordExpired(expired) => Verdict::PasswordExpired {
            environment: read_environment(expired.environment)?,
        },
        PbVerdict::Refused(refused) => Verdict::Refused {
            refusal: refusal_from_proto(refused.refusal())?,
            reason: refused.reason,
        },
    };
    Ok(End {
        verdict,
        messages: read_messages(end.messages)?,
        delay: Duration::from_millis(end.delay_milliseconds.into()),
    })
}

fn messages(messages: &[Message]) -> Vec<pb::Message> {
    let message = |message: &Message| pb::Message {
        style: match message.style {
            Style::Secret => pb::Style::Secret,
            Style::Visible => pb::Style::Visible,
            Style::Error => pb::Style::Error,
            Style::Information => pb::Style::Information,
        }
        .into(),
        text: message.text.clone(),
    };
    messages.iter().map(message).collect()
}

fn read_messages(messages: Vec<pb::Message>) -> Result<Vec<Message>, PamError> {
    if messages.len() > MESSAGE_LIMIT {
        return Err(PamError::Malformed("too many messages"));
    }
    let message = |message: pb::Message| {
        let style = match message.style() {
            pb::Style::Secret => Style::Secret,
            pb::Style::Visible => Style::Visible,
            pb::Style::Error => Style::Error,
            pb::Style::Information => Style::Information,
            pb::Style::Unspecified => return Err(PamError::Malformed("style")),
        };
        let text = message.text;
        if text.len() > TEXT_LIMIT {
            return Err(PamError::Malformed("text is too long"));
        }
        Ok(Message { style, text })
    };
    messages.into_iter().map(message).collect()
}

fn variable(variable: &Variable) -> pb::Variable {
    pb::Variable {
        name: variable.name.clone(),
        value: variable.value.clone(),
    }
}

fn read_environment(environment: Vec<pb::Variable>) -> Result<Vec<Variable>, PamError> {
    if environment.len() > VARIABLE_LIMIT {
        return Err(PamError::Malformed("too many variables"));
    }
    let variable = |pb::Variable { name, value }: pb::Variable| {
        let named = !name.is_empty() && !name.iter().any(|byte| b"=\0".contains(byte));
        if !named || value.contains(&0) {
            return Err(PamError::Malformed("variable"));
        }
        Ok(Variable { name, value })
    };
    environment.into_iter().map(variable).collect()
}

fn refusal_to_proto(refusal: Refusal) -> pb::Refusal {
    match refusal {
        Refusal::Credentials => pb::Refusal::Credentials,
        Refusal::NoMoreTries => pb::Refusal::NoMoreTries,
        Refusal::Account => pb::Refusal::Account,
        Refusal::PasswordChange => pb::Refusal::PasswordChange,
        Refusal::OtherUser => pb::Refusal::OtherUser,
        Refusal::System => pb::Refusal::System,
        Refusal::Locked => pb::Refusal::Locked,
        Refusal::Expired => pb::Refusal::Expired,
    }
}

fn refusal_from_proto(refusal: pb::Refusal) -> Result<Refusal, PamError> {
    match refusal {
        pb::Refusal::Credentials => Ok(Refusal::Credentials),
        pb::Refusal::NoMoreTries => Ok(Refusal::NoMoreTries),
        pb::Refusal::Account => Ok(Refusal::Account),
        pb::Refusal::PasswordChange => Ok(Refusal::PasswordChange),
        pb::Refusal::OtherUser => Ok(Refusal::OtherUser),
        pb::Refusal::System => Ok(Refusal::System),
        pb::Refusal::Locked => Ok(Refusal::Locked),
        pb::Refusal::Expired => Ok(Refusal::Expired),
        pb::Refusal::Unspecified => Err(PamError::Malformed("refusal")),
    }
}

/// The bytes themselves, not a copy: [`to_pam`] wipes them.
fn take(secret: Secret) -> Vec<u8> {
    std::mem::take(&mut *secret.into_bytes())
}

fn secret(bytes: Vec<u8>) -> Result<Secret, PamError> {
    Secret::new(Zeroizing::new(bytes)).ok_or(PamError::Malformed("secret"))
}

/// The message, in a buffer that never grows and so leaves no copy behind. The message's own secrets are wiped.
fn to_pam(body: ToPam) -> Zeroizing<Vec<u8>> {
    let mut message = pb::ToPam { body: Some(body) };
    let bytes = Zeroizing::new(message.encode_to_vec());
    match &mut message.body {
        Some(ToPam::Start(start)) => match &mut start.task {
            Some(PbTask::Password(password)) => password.zeroize(),
            Some(PbTask::PasswordChange(change)) => {
                change.old.zeroize();
                change.new.zeroize();
            }
            Some(PbTask::KeyboardInteractive(_) | PbTask::Account(_)) | None => {}
        },
        Some(ToPam::Answers(answers)) => answers.answers.zeroize(),
        None => {}
    }
    bytes
}

fn from_pam(body: FromPam) -> Vec<u8> {
    pb::FromPam { body: Some(body) }.encode_to_vec()
}

fn decode<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, PamError> {
    M::decode(bytes).map_err(|_| PamError::Malformed("not a message"))
}
