//! What `sshd_config` says of forwarding, as a session is told of it.

use super::{ForwardPort, Permission};

/// What `sshd_config` permits to be forwarded, apart from what the key or certificate of the login does
/// ([`Permissions`](super::Permissions)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// AllowTcpForwarding
    pub tcp: Directions,
    /// AllowStreamLocalForwarding
    pub stream_local: Directions,
    /// PermitOpen
    pub permit_open: Places,
    /// PermitListen
    pub permit_listen: Places,
}

/// Which side may connect to the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directions {
    /// From the client to the server's side (`ssh -L`).
    pub local: Permission,
    /// From the server's side to the client (`ssh -R`).
    pub remote: Permission,
}

impl Directions {
    /// Neither.
    pub const NONE: Self = Self {
        local: Permission::Denied,
        remote: Permission::Denied,
    };

    /// Both.
    pub const BOTH: Self = Self {
        local: Permission::Granted,
        remote: Permission::Granted,
    };
}

/// Where connections may be opened to, or where may be listened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// Anywhere.
    Any,
    /// In these, which may be none.
    Listed(Vec<ForwardPort>),
}

impl Forwarding {
    /// Nothing, as with DisableForwarding.
    pub const NONE: Self = Self {
        tcp: Directions::NONE,
        stream_local: Directions::NONE,
        permit_open: Places::Listed(Vec::new()),
        permit_listen: Places::Listed(Vec::new()),
    };
}
