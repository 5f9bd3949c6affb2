//! The phases of a transaction, and what their results mean.

use rpc::pam::{
    Channel, EmptyPasswords, End, PasswordState, Refusal, Service, Start, Subject, Task,
    VARIABLE_LIMIT, Variable, Verdict,
};

use crate::conversation::{Conversation, Phase};
use crate::libpam::{Code, Item, NullPasswords, Stacks, Transaction};
use crate::shadow;

/// How the user was authenticated until now, as sshd tells PAM modules.
const AUTH_INFO: &str = "SSH_AUTH_INFO_0";

/// Goes through the phases of the task.
pub(crate) fn hold(channel: &Channel, service: &Service, start: &Start, stacks: &Stacks) -> End {
    let conversation = Conversation::new(channel, &start.task, start.subject);
    let verdict = match judge(&conversation, service, start, stacks) {
        Ok(verdict) => verdict,
        Err(Refused { refusal, reason }) => Verdict::Refused { refusal, reason },
    };
    End {
        verdict,
        messages: conversation.said(),
        delay: conversation.delay(),
    }
}

struct Refused {
    refusal: Refusal,
    reason: String,
}

fn judge(
    conversation: &Conversation<'_>,
    service: &Service,
    start: &Start,
    stacks: &Stacks,
) -> Result<Verdict, Refused> {
    let refuse = |refusal: fn(Code) -> Refusal| {
        move |code: Code| Refused {
            refusal: refusal(code),
            reason: code.to_string(),
        }
    };
    let system = refuse(|_| Refusal::System);
    let user = start.user.as_str();
    let mut pam =
        Transaction::start(service.as_str(), user, conversation, stacks).map_err(system)?;
    pam.set_item(Item::RemoteHost, start.remote_host.as_str())
        .map_err(system)?;
    // Modules such as pam_time want a terminal, and there is none yet. sshd says the same word.
    pam.set_item(Item::Terminal, "ssh").map_err(system)?;
    // In every phase, as sshd has it in that of answers and in those of account and session.
    pam.set_variable(AUTH_INFO, &start.auth_info)
        .map_err(system)?;
    if let Some(remote_user) = &start.remote_user {
        pam.set_item(Item::RemoteUser, remote_user.as_str())
            .map_err(system)?;
    }

    if start.task != Task::Account {
        let empty_passwords = match start.empty_passwords {
            EmptyPasswords::Refused => NullPasswords::Disallowed,
            EmptyPasswords::Permitted => NullPasswords::Allowed,
        };
        let outcome = pam.authenticate(empty_passwords);
        if conversation.secret_given() && (outcome.is_err() || start.subject == Subject::Nobody) {
            shadow::spend_as_pam_unix(user);
        }
        same_user(&pam, user)?;
        outcome.map_err(refuse(of_authentication))?;
    }
    if start.subject == Subject::Nobody {
        return Err(Refused {
            refusal: Refusal::Credentials,
            reason: "PAM accepts whoever may not log in".to_owned(),
        });
    }

    conversation.enter(Phase::Account);
    let outcome = pam.account();
    same_user(&pam, user)?;
    let mut password = PasswordState::Kept;
    match outcome {
        // To say yes would have the user believe in the new password.
        Ok(()) if matches!(start.task, Task::PasswordChange { .. }) => {
            return Err(Refused {
                refusal: Refusal::PasswordChange,
                reason: "a password that has not expired is not changed".to_owned(),
            });
        }
        Ok(()) => {}
        Err(Code::NEW_AUTHTOK_REQD) => match start.task {
            Task::KeyboardInteractive | Task::PasswordChange { .. } => {
                conversation.enter(Phase::PasswordChange);
                let outcome = pam.change_expired_password();
                same_user(&pam, user)?;
                outcome.map_err(refuse(|_| Refusal::PasswordChange))?;
                password = PasswordState::Changed;
            }
            Task::Password(_) | Task::Account => {
                let environment = environment(&pam)?;
                return Ok(Verdict::PasswordExpired { environment });
            }
        },
        Err(code) => return Err(refuse(|_| Refusal::Account)(code)),
    }
    Ok(Verdict::Accepted {
        password,
        environment: environment(&pam)?,
    })
}

/// A module may map a user to another one. Here the name is bound: what the monitor checked was about that name.
fn same_user(pam: &Transaction<'_, Conversation<'_>>, user: &str) -> Result<(), Refused> {
    match pam.user() {
        Some(now) if now.as_bytes() == user.as_bytes() => Ok(()),
        _ => Err(Refused {
            refusal: Refusal::OtherUser,
            reason: "a PAM module changed the user".to_owned(),
        }),
    }
}

/// The environment, whole: a session that lacks a part of it could lack a restriction.
fn environment(pam: &Transaction<'_, Conversation<'_>>) -> Result<Vec<Variable>, Refused> {
    let mut environment = pam.environment();
    // The monitor's own word.
    environment.retain(|variable| variable.name != AUTH_INFO.as_bytes());
    if environment.len() > VARIABLE_LIMIT {
        return Err(Refused {
            refusal: Refusal::System,
            reason: "PAM environment is too large".to_owned(),
        });
    }
    Ok(environment)
}

/// PAM_ACCT_EXPIRED is no word about the account here: a module may say it before it has looked at the password, and what
/// is said of accounts is shown.
fn of_authentication(code: Code) -> Refusal {
    match code {
        Code::MAXTRIES => Refusal::NoMoreTries,
        Code::OPEN_ERR
        | Code::SYMBOL_ERR
        | Code::SERVICE_ERR
        | Code::SYSTEM_ERR
        | Code::BUF_ERR
        | Code::ABORT
        | Code::MODULE_UNKNOWN => Refusal::System,
        _ => Refusal::Credentials,
    }
}
