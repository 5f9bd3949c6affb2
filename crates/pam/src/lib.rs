//! The process that holds one PAM transaction.
//!
//! ```text
//!                 Start                    pam_authenticate ┐
//!  monitor ──────────────────▶ pam ───────▶ pam_acct_mgmt    ├─▶ modules of /etc/pam.d/SERVICE
//!     ▲   ◀── Question, Answers ──▶ ◀────── pam_chauthtok    ┘
//!     └──────── End ────────────┘  conversation function
//! ```
//!
//! PAM modules are other people's code with root's rights, in C, and they ask, wait, fork, write to standard output and
//! crash. So each conversation has a process to itself, which ends with it: what a module breaks is one login. The
//! monitor decides by what this process says ([`rpc::pam::End`]) and takes its death for a refusal.
//!
//! What modules may do to it, and what comes of that:
//!
//! * crash, exit, hang: the socket ends, or the monitor's deadline passes; the unit's own deadline kills what is left;
//! * fork: children do not speak for it ([`rpc::pam::Channel`]), and systemd kills them with the unit;
//! * write to standard output: that is `/dev/null`, the channel is at a descriptor they do not know ([`take_channel`]);
//! * change the user: the user is refused ([`rpc::pam::Refusal::OtherUser`]);
//! * ask for a delay: it is reported and not waited for, since the monitor makes all refusals take the same time.
//!
//! Credentials (pam_setcred(3)) and the session are not here: the session's unit opens them, in the process that needs
//! them.
//!
//! Without PAM (UsePAM no) the same process judges accounts by shadow(5), and compares a password with the one there, for
//! it holds the password and the hash in the same way. Whoever does not exist, may not log in or has no password gets the same hashing done as others, by both.
//!
//! This crate has two islands of unsafe code: modules `libpam` and `libcrypt`, the borders to the C libraries.

mod conversation;
mod libcrypt;
mod libpam;
mod shadow;
mod stdio;
mod transaction;

pub use libpam::Stacks;
pub use stdio::take_channel;

use rpc::pam::{Authority, Channel, PamError};

/// Holds one transaction, with PAM or shadow(5): from the monitor's [`Start`](rpc::pam::Start) to the [`End`](rpc::pam::End) it is told.
///
/// # Errors
/// The monitor is gone or broke the contract: there is nobody to tell. What PAM finds wrong is no error.
pub fn run(channel: Channel, stacks: &Stacks) -> Result<(), PamError> {
    let start = channel.start()?;
    let end = match &start.authority {
        Authority::Pam(service) => transaction::hold(&channel, service, &start, stacks),
        Authority::Shadow => shadow::judge(&start),
    };
    channel.end(&end)
}
