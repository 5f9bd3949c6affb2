//! The SFTP server: internal-sftp of sshd_config(5), as a process of its own in a cage.
//!
//! ```text
//!  worker ── pipe: packets ──▶ ┌───────────────────────────────────────────────┐
//!                              │ sftp      as the user, in its cage            │
//!                              │ driver ─▶ request ─▶ server ─▶ files, handles │ ──▶ file system
//!         ◀── pipe: answers ── │        ◀─ output ◀───┘                        │
//!                              └───────────────────────────────────────────────┘
//! ```
//!
//! * [`Options`] is the command line of sftp-server(8).
//! * [`serve`] reads as many requests as there are, answers them, and writes all answers at once.
//! * A [`Server`] speaks version 3 of the protocol (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions (PROTOCOL,
//!   section 4). Decoding and encoding know no descriptor, and the system calls know no protocol.
//!
//! The client may have the rights of its user, and yet not more than files: in the cage nothing can be executed, no
//! socket made, no other process touched or seen into, although every path is open that is open to the user. Without
//! it, whoever may write files may write `/proc/PID/mem`.
#![forbid(unsafe_code)]

mod attributes;
mod driver;
mod files;
mod handles;
mod long_name;
mod names;
mod operation;
mod options;
mod output;
mod permitted;
mod realpath;
mod request;
mod server;
mod status;
#[cfg(test)]
mod testing;

pub use driver::{ServeError, client_has_gone, serve};
pub use names::OwnAccount;
pub use options::{
    CONNECTION, Invocation, JAIL, LINK_FIRST, Level, Log, Options, OptionsError, Root, Symlinks,
};
pub use permitted::{Access, Permitted};
pub use request::ProtocolError;
pub use server::Server;

/// For `tests/fuzz`, which makes a jail of its own around what it serves.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    use std::os::fd::AsFd;

    use crate::{ServeError, Server};

    /// Serves the client of these descriptors until it has gone.
    ///
    /// # Errors
    /// As of [`serve`](crate::serve).
    pub fn serve_between(
        server: &mut Server,
        input: impl AsFd,
        output: impl AsFd,
    ) -> Result<(), ServeError> {
        let end = crate::driver::run(server, input, output);
        server.finish();
        end
    }
}
