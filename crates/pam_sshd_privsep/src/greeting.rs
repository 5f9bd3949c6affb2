//! What the user is greeted with: said by the modules of a service of its own, and what they set.
//!
//! systemd opens sessions with `PAM_SILENT`, so modules like pam_motd(8) and pam_mail(8) say nothing in its stack. The
//! session process, which starts later, shows their words before the user's shell, as sshd does (sshd(8), "Login process").

use std::cell::RefCell;
use std::ffi::CStr;

use crate::transaction::{Item, Nested, PamError, Transaction};

/// Where the session process finds the words.
const VARIABLE: &str = "SSHD_PRIVSEP_WORDS";

/// Opens a session of `service`, which is looked for in `directory` or where libpam does. It is not closed: its modules
/// are there to talk.
pub(crate) fn greet(
    transaction: &mut Transaction<'_>,
    service: &CStr,
    directory: Option<&CStr>,
) -> Result<(), PamError> {
    let user = transaction.item(Item::User).ok_or(PamError::SYSTEM)?;
    let said = RefCell::default();
    let mut nested = Nested::start(service, &user, directory, &said)?;
    for item in [Item::RemoteHost, Item::Terminal] {
        if let Some(value) = transaction.item(item) {
            nested.set_item(item, &value)?;
        }
    }
    nested.open()?;
    let set = nested.environment();
    drop(nested);
    for variable in set.into_iter().chain(said.into_inner().variable(VARIABLE)) {
        transaction.set_variable(&variable)?;
    }
    Ok(())
}
