//! How long clients, channels and unused connections may be silent.

use std::time::Duration;

/// What a channel is for, as ChannelTimeout of sshd_config(5) tells channels apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ChannelType {
    /// A shell of the user.
    Shell,
    /// A command.
    Command,
    /// The subsystem of this name.
    Subsystem(String),
    /// A connection for `ssh -L` and its kin.
    DirectTcpip,
    /// The same to a socket with a path.
    DirectStreamLocal,
    /// A connection to a port of `ssh -R`.
    ForwardedTcpip,
    /// The same to a socket with a path.
    ForwardedStreamLocal,
    /// A connection to the client's agent.
    Agent,
    /// A connection to the client's display.
    X11,
    /// A tunnel of packets.
    Tunnel,
}

/// A time without traffic after which channels are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdleSeconds(
    /// 0 is never.
    pub u32,
);

impl IdleSeconds {
    /// No channel is closed.
    pub const NEVER: Self = Self(0);

    /// The time, where it is not [`Self::NEVER`].
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

/// ChannelTimeout
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelTimeouts {
    /// Each type of channel by itself. What is not named has no limit.
    pub types: Vec<(ChannelType, IdleSeconds)>,
    /// "global": all channels are closed after this time without traffic on any.
    pub global: IdleSeconds,
}

const SUBSYSTEM: &str = "session:subsystem:";

impl ChannelType {
    /// All but subsystems, whose names the configuration has.
    pub const FIXED: [Self; 9] = [
        Self::Shell,
        Self::Command,
        Self::DirectTcpip,
        Self::DirectStreamLocal,
        Self::ForwardedTcpip,
        Self::ForwardedStreamLocal,
        Self::Agent,
        Self::X11,
        Self::Tunnel,
    ];

    /// The name that patterns of sshd_config(5) are tried on.
    #[must_use]
    pub fn name(&self) -> String {
        let name = match self {
            Self::Shell => "session:shell",
            Self::Command => "session:command",
            Self::Subsystem(name) => return format!("{SUBSYSTEM}{name}"),
            Self::DirectTcpip => "direct-tcpip",
            Self::DirectStreamLocal => "direct-streamlocal@openssh.com",
            Self::ForwardedTcpip => "forwarded-tcpip",
            Self::ForwardedStreamLocal => "forwarded-streamlocal@openssh.com",
            Self::Agent => "agent-connection",
            Self::X11 => "x11-connection",
            Self::Tunnel => "tun-connection",
        };
        name.to_owned()
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name.strip_prefix(SUBSYSTEM) {
            Some(subsystem) => Some(Self::Subsystem(subsystem.to_owned())),
            None => Self::FIXED.into_iter().find(|fixed| fixed.name() == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        let sftp = ChannelType::Subsystem("sftp".to_owned());
        assert_eq!(sftp.name(), "session:subsystem:sftp");
        for kind in ChannelType::FIXED.into_iter().chain([sftp]) {
            assert_eq!(ChannelType::from_name(&kind.name()), Some(kind));
        }
        assert_eq!(ChannelType::from_name("session"), None);
    }
}
