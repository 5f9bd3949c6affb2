//! The border between the monitor and a process that holds one PAM transaction (`proto/pam.proto`).
//!
//! ```text
//!  monitor: Conversation ── Start, Answers ──▶ pam: Channel      one SOCK_SEQPACKET socket,
//!                        ◀── Question, End ──                    strictly in turns
//! ```
//!
//! The monitor's end is made of states that consume themselves: [`Conversation::start`] yields a [`Turn`], which is
//! either the [`End`] or a [`Question`] with the only means to answer it. An end of the socket in between is an error,
//! and an error is a refusal. The process's end blocks: a PAM module that asks waits for the answer.

mod channel;
mod conversation;
mod convert;
#[cfg(test)]
mod tests;

use std::time::Duration;

use thiserror::Error;
use wire::userauth::UserName;

pub use wire::secret::{SECRET_LIMIT, Secret};

pub use channel::Channel;
pub use conversation::{Conversation, Pending, Turn};

/// Largest datagram in bytes. With the system's default send buffer of 208 KiB it is never refused for its size.
pub const DATAGRAM_LIMIT: usize = 64 * 1024;

/// Most messages in one question: `PAM_MAX_NUM_MSG` of pam_conv(3).
pub const MESSAGE_LIMIT: usize = 32;

/// Longest text of one message in bytes. `PAM_MAX_MSG_SIZE` is 512, and no module keeps to it: pam_motd(8) sends files,
/// pam_google_authenticator(8) QR codes.
pub const TEXT_LIMIT: usize = 16 * 1024;

/// Most questions of one transaction. An honest one has a handful; this stops a module that never comes to an end.
pub const QUESTION_LIMIT: usize = 100;

/// Most variables of the PAM environment.
pub const VARIABLE_LIMIT: usize = 256;

/// Longest name of a PAM service in bytes.
const SERVICE_LIMIT: usize = 64;

/// Longest text about methods that were completed, in bytes: several of the largest certificates.
pub const AUTH_INFO_LIMIT: usize = 48 * 1024;

/// Longest host name or user name of the client's side in bytes.
const REMOTE_LIMIT: usize = 256;

/// Why a conversation ended without a verdict. For the monitor, each of them is a refusal.
#[derive(Debug, Error)]
pub enum PamError {
    /// The other process is gone: a module crashed or exited, or the monitor gave up.
    #[error("other side of the PAM conversation is gone")]
    Gone,
    /// Nothing came in time.
    #[error("no progress of the PAM conversation in time")]
    Deadline,
    /// The other side broke the contract.
    #[error("malformed PAM conversation: {0}")]
    Malformed(&'static str),
    /// Something here is beyond the contract's limits, and was not sent.
    #[error("not sent: {0}")]
    Unsendable(&'static str),
    /// The socket failed.
    #[error("socket of the PAM conversation: {0}")]
    Io(#[from] std::io::Error),
}

/// The name of a PAM service: letters, digits, `-`, `_` and `.`, no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service(String);

/// The one of this server's package.
impl Default for Service {
    fn default() -> Self {
        Self("sshd-privsep".to_owned())
    }
}

impl Service {
    /// Checks length and characters.
    pub fn new(name: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=SERVICE_LIMIT).contains(&name.len()) && !name.starts_with('.');
        (fits && name.bytes().all(plain)).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that belongs to the client's side, for logs and rules of modules: 1 to 256 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteName(String);

impl RemoteName {
    /// Checks length and characters.
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=REMOTE_LIMIT).contains(&name.len());
        (fits && !name.chars().any(char::is_control)).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a transaction is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Who judges.
    pub authority: Authority,
    /// PAM_USER
    pub user: UserName,
    /// Whether that is somebody who may log in.
    pub subject: Subject,
    /// PAM_RHOST
    pub remote_host: RemoteName,
    /// PAM_RUSER
    pub remote_user: Option<RemoteName>,
    /// SSH_AUTH_INFO_0, as sshd has it: the methods that were completed before, a line for each. At most
    /// [`AUTH_INFO_LIMIT`] bytes, without NUL.
    pub auth_info: String,
    /// PermitEmptyPasswords
    pub empty_passwords: EmptyPasswords,
    /// What to do.
    pub task: Task,
}

/// Who judges passwords and accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// PAM, with the stack of this service.
    Pam(Service),
    /// shadow(5) and crypt(5), for UsePAM no. It judges [`Task::Password`] and [`Task::Account`] only.
    Shadow,
}

/// Whether a user may log in. The process does as much for both, and takes as long; none of it opens anything to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Somebody who may.
    Somebody,
    /// Whoever does not exist or may not: what they give for a password is replaced by a wrong one, as in sshd, so that
    /// modules that count failures see them.
    Nobody,
}

/// Whether an account without a password may be entered (`PAM_DISALLOW_NULL_AUTHTOK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyPasswords {
    /// No.
    Refused,
    /// Yes.
    Permitted,
}

/// Which phases of PAM, and who answers its prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Authentication and account; the password answers.
    Password(Secret),
    /// Authentication, account, and change of an expired password; the user answers.
    KeyboardInteractive,
    /// Account; nobody answers.
    Account,
    /// Authentication, account, and change of an expired password; the passwords answer.
    PasswordChange {
        /// The one that has expired.
        old: Secret,
        /// The one that is to be.
        new: Secret,
    },
}

/// What a module says in one call of the conversation function: 1 to [`MESSAGE_LIMIT`] messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In the module's order.
    pub messages: Vec<Message>,
}

impl Question {
    /// How many of the messages want an answer.
    pub fn prompts(&self) -> usize {
        let prompts = self.messages.iter();
        prompts.filter(|message| message.style.is_prompt()).count()
    }
}

/// One message of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub style: Style,
    /// At most [`TEXT_LIMIT`] bytes. Modules quote files and servers: it may hold control characters.
    pub text: String,
}

/// Styles of pam_conv(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A prompt whose answer is not shown.
    Secret,
    /// A prompt whose answer is shown.
    Visible,
    /// An error.
    Error,
    /// Other text.
    Information,
}

impl Style {
    /// Whether it wants an answer.
    pub fn is_prompt(self) -> bool {
        match self {
            Self::Secret | Self::Visible => true,
            Self::Error | Self::Information => false,
        }
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The verdict.
    pub verdict: Verdict,
    /// What modules said to nobody, at most [`MESSAGE_LIMIT`] messages.
    pub messages: Vec<Message>,
    /// The delay that libpam asked for. For a refused user the monitor's own delay is to cover it: how long modules
    /// want to wait tells users apart.
    pub delay: Duration,
}

/// PAM's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every phase of the task succeeded.
    Accepted {
        /// Whether the password is a new one.
        password: PasswordState,
        /// Variables of the PAM environment.
        environment: Vec<Variable>,
    },
    /// Every phase succeeded, but the password has expired and is the same still.
    PasswordExpired {
        /// Variables of the PAM environment.
        environment: Vec<Variable>,
    },
    /// One did not.
    Refused {
        /// Which.
        refusal: Refusal,
        /// In libpam's words.
        reason: String,
    },
}

/// What became of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordState {
    /// Nothing.
    Kept,
    /// The user has chosen a new one.
    Changed,
    /// It has expired, and the session is for changing it only: passwd(1) and nothing else (UsePAM no).
    MustChange,
}

/// Why a user is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The authentication phase.
    Credentials,
    /// The same, and no further attempt is to be made.
    NoMoreTries,
    /// The account phase.
    Account,
    /// The expired password was not changed.
    PasswordChange,
    /// A module changed the user.
    OtherUser,
    /// PAM could not do its work.
    System,
    /// The password field says that the account is locked, sshd(8). By [`Authority::Shadow`] only.
    Locked,
    /// The account's last day has passed, shadow(5). By [`Authority::Shadow`] only.
    Expired,
}

/// A variable of the PAM environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Not empty, without `=` and NUL.
    pub name: Vec<u8>,
    /// Without NUL.
    pub value: Vec<u8>,
}
