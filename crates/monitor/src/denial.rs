//! Why a session did not come up.
//!
//! Its unit runs PAM's account phase, and says no more than that it failed. So PAM is asked again, in a process whose
//! modules can be heard: what they have to say is the user's to read (`/etc/nologin`, say), as with sshd. That costs a
//! process where a login failed, and nothing where it succeeds.

use std::sync::Arc;
use std::time::Duration;

use rpc::pam::{Authority, EmptyPasswords, Message, RemoteName, Subject};
use tokio::time::Instant;
use tracing::warn;

use crate::open_session::Origin;
use crate::pam_process::{self, AccountPhase, Applicant, Failure};
use crate::proof::AuthenticatedUser;
use crate::rules::Rules;
use crate::systemd::ServiceManager;

/// How long PAM may take to say why. The connection has its own limit, LoginGraceTime.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why.
#[derive(Debug)]
pub enum Reason {
    /// PAM does not permit the account.
    Account {
        /// What its modules say to the user.
        said: Vec<u8>,
    },
    /// It is not PAM, or PAM does not say.
    Other,
}

/// Asks PAM about a user who proved to be the one, and whose session failed.
pub async fn inquire<M: ServiceManager>(
    services: &Arc<M>,
    rules: &Rules,
    origin: Origin,
    remote_host: &str,
    user: &AuthenticatedUser,
) -> Reason {
    let authority = rules.authority();
    if authority == Authority::Shadow {
        // The monitor judged by itself, before anything was proved.
        return Reason::Other;
    }
    let Some(remote_host) = RemoteName::new(remote_host) else {
        return Reason::Other;
    };
    let applicant = Applicant {
        connection: origin.id,
        authority,
        user: user.user().clone(),
        subject: Subject::Somebody,
        remote_host,
        remote_user: None,
        auth_info: user.auth_info(),
        empty_passwords: EmptyPasswords::Refused,
    };
    match pam_process::account(services, applicant, Instant::now() + DEADLINE).await {
        AccountPhase::Refused(refused) => Reason::Account {
            said: text(refused.messages),
        },
        // It is not permitted without an answer, and nobody can answer here.
        AccountPhase::Failed(failure @ Failure::Contract(_)) => {
            warn!("account phase: {failure}");
            Reason::Account { said: Vec::new() }
        }
        AccountPhase::Failed(failure) => {
            warn!("account phase: {failure}");
            Reason::Other
        }
        AccountPhase::Permitted { .. } | AccountPhase::PasswordExpired { .. } => Reason::Other,
    }
}

/// A line for each message.
fn text(messages: Vec<Message>) -> Vec<u8> {
    let lines = messages.into_iter().map(|message| message.text + "\n");
    lines.collect::<String>().into_bytes()
}
