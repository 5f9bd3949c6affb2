//! The account phase of the service that judges, in a transaction of its own.
//!
//! systemd runs the stack of the unit's `PAMName=`, for which the administrator's answer is always the same; who may log
//! in is judged by the stack of PAMServiceName, which is a setting of the server. So the monitor names it in the unit's
//! environment, and this module asks it about the same user, from the same host.

use std::cell::RefCell;
use std::ffi::CStr;

use crate::said::Said;
use crate::transaction::{Item, Nested, PamError, Transaction};

/// Who judges: the name of a service, or [`NOBODY`].
const VARIABLE: &CStr = c"SSHD_PRIVSEP_ACCOUNT";

/// UsePAM no: the monitor has judged by itself.
const NOBODY: &[u8] = b"-";

/// What the session process is told of an expired password, in the PAM environment: it lets the user do nothing but
/// change it. systemd would fail the unit instead.
const EXPIRED: &CStr = c"SSHD_PRIVSEP_PASSWORD=expired";

/// How the user was authenticated, as sshd tells PAM modules.
const AUTH_INFO: &CStr = c"SSH_AUTH_INFO_0";

/// The session process finds what was said under this name in its environment; monitor and worker show it.
const SAID: &str = "SSHD_PRIVSEP_SAID";

/// The longest name of a service, as the monitor knows them.
const SERVICE_LIMIT: usize = 64;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nobody was named: the modules below judge.
    NotAsked,
    /// The user may log in. The modules below have no part in it.
    Permitted,
}

/// Why the user may not log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The variable does not name a service.
    Form,
    /// What the service says, or what kept it from speaking.
    Pam(PamError),
}

/// Whether nobody has asked [`judge`]: the account stack does not have this module.
pub(crate) fn was_forgotten(transaction: &Transaction<'_>) -> bool {
    transaction.variable(VARIABLE).is_some()
}

/// Asks the service that the environment names. Services are looked for in `directory`, or where libpam does.
pub(crate) fn judge(
    transaction: &mut Transaction<'_>,
    directory: Option<&CStr>,
) -> Result<Judgement, Refusal> {
    let Some(service) = transaction.variable(VARIABLE) else {
        return Ok(Judgement::NotAsked);
    };
    transaction
        .remove_variable(VARIABLE)
        .map_err(Refusal::Pam)?;
    if service.to_bytes() == NOBODY {
        return Ok(Judgement::Permitted);
    }
    if !is_service(service.to_bytes()) {
        return Err(Refusal::Form);
    }
    let said = RefCell::default();
    let answer = ask(transaction, &service, directory, &said);
    if let Some(said) = said.into_inner().variable(SAID) {
        transaction.set_variable(&said).map_err(Refusal::Pam)?;
    }
    match answer {
        Ok(()) => Ok(Judgement::Permitted),
        Err(PamError::PASSWORD_EXPIRED) => {
            let told = transaction.set_variable(EXPIRED);
            told.map(|()| Judgement::Permitted).map_err(Refusal::Pam)
        }
        Err(error) => Err(Refusal::Pam(error)),
    }
}

/// What the service says of the user; what it says to the user goes to `said`.
fn ask(
    transaction: &Transaction<'_>,
    service: &CStr,
    directory: Option<&CStr>,
    said: &RefCell<Said>,
) -> Result<(), PamError> {
    let user = transaction.item(Item::User).ok_or(PamError::SYSTEM)?;
    let mut nested = Nested::start(service, &user, directory, said)?;
    for item in [Item::RemoteHost, Item::Terminal] {
        if let Some(value) = transaction.item(item) {
            nested.set_item(item, &value)?;
        }
    }
    if let Some(value) = transaction.variable(AUTH_INFO) {
        nested.set_variable(AUTH_INFO, &value)?;
    }
    nested.account()?;
    // What the service says is about the user that it was asked about.
    match nested.item(Item::User) == Some(user) {
        true => Ok(()),
        false => Err(PamError::USER_UNKNOWN),
    }
}

/// A plain file name: a path would be a stack of anybody's making.
fn is_service(name: &[u8]) -> bool {
    (1..=SERVICE_LIMIT).contains(&name.len())
        && !name.starts_with(b".")
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_plain_file_name() {
        for good in ["sshd", "sshd-privsep", "my_ssh.d"] {
            assert!(is_service(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "..", "../sshd", "a/b", "/etc/pam.d/sshd", "a b"] {
            assert!(!is_service(bad.as_bytes()), "{bad}");
        }
        assert!(is_service(&[b'a'; SERVICE_LIMIT]));
        assert!(!is_service(&[b'a'; SERVICE_LIMIT + 1]));
    }
}
