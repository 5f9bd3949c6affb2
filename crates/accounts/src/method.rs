//! Authentication methods, and who of them opens root's account.

use config::sshd::PermitRootLogin;

/// An authentication method, RFC 4252 and RFC 4256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// none, which lets in where the empty password does
    None,
    /// publickey
    PublicKey,
    /// password
    Password,
    /// keyboard-interactive
    KeyboardInteractive,
    /// hostbased
    Hostbased,
}

/// Whether what a client proved permits one command only: `command=` of its key or `force-command` of its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedCommand {
    /// Any command.
    Absent,
    /// That one.
    Present,
}

impl Method {
    /// All of them, in the order in which sshd offers them.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::PublicKey,
        Self::Password,
        Self::KeyboardInteractive,
        Self::Hostbased,
    ];

    /// Its name on the wire and in AuthenticationMethods.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PublicKey => "publickey",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Hostbased => "hostbased",
        }
    }

    /// Whether what the user knows is judged by PAM or shadow(5).
    #[must_use]
    pub fn asks_pam(self) -> bool {
        match self {
            Self::None | Self::Password | Self::KeyboardInteractive => true,
            Self::PublicKey | Self::Hostbased => false,
        }
    }

    /// Whether root may log in by it (PermitRootLogin).
    pub(crate) fn opens_root(self, setting: PermitRootLogin, command: ForcedCommand) -> bool {
        match (setting, self) {
            (PermitRootLogin::Yes, _) => true,
            // OpenSSH looks for a forced command whatever the method, and has replaced the password before. So only
            // methods that carry a command of their own get here.
            (PermitRootLogin::ForcedCommandsOnly, Self::PublicKey | Self::Hostbased) => {
                command == ForcedCommand::Present
            }
            (PermitRootLogin::ProhibitPassword, Self::PublicKey | Self::Hostbased) => true,
            (
                PermitRootLogin::ProhibitPassword | PermitRootLogin::ForcedCommandsOnly,
                Self::None | Self::Password | Self::KeyboardInteractive,
            )
            | (PermitRootLogin::No, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_logs_in_as_configured() {
        use Method::{Hostbased, PublicKey};
        use PermitRootLogin::{ForcedCommandsOnly, No, ProhibitPassword, Yes};
        for (setting, command, permitted) in [
            (Yes, ForcedCommand::Absent, Method::ALL.as_slice()),
            (
                ProhibitPassword,
                ForcedCommand::Absent,
                &[PublicKey, Hostbased],
            ),
            (ForcedCommandsOnly, ForcedCommand::Absent, &[]),
            (
                ForcedCommandsOnly,
                ForcedCommand::Present,
                &[PublicKey, Hostbased],
            ),
            (No, ForcedCommand::Present, &[]),
        ] {
            for method in Method::ALL {
                assert_eq!(
                    method.opens_root(setting, command),
                    permitted.contains(&method),
                    "{setting:?} {command:?} {method:?}"
                );
            }
        }
    }
}
