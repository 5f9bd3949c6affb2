//! What `sshd_config` says of forwarding, as a session is told of it.

use std::net::IpAddr;

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
    /// GatewayPorts
    pub gateway_ports: GatewayPorts,
    /// StreamLocalBindMask: permission bits that sockets do not get.
    pub stream_local_bind_mask: u32,
    /// StreamLocalBindUnlink: whether what is in the way of a socket is removed.
    pub stream_local_bind_unlink: Permission,
    /// AllowAgentForwarding
    pub agent: Permission,
    /// X11Forwarding
    pub x11: Option<X11Forwarding>,
    /// AddressFamily
    pub address_family: IpFamily,
    /// PermitTunnel
    pub tunnels: Tunnels,
}

/// PermitTunnel: which tunnels of packets there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnels {
    /// Layer 3.
    pub point_to_point: Permission,
    /// Layer 2.
    pub ethernet: Permission,
}

impl Tunnels {
    /// None.
    pub const NONE: Self = Self {
        point_to_point: Permission::Denied,
        ethernet: Permission::Denied,
    };

    /// Both.
    pub const BOTH: Self = Self {
        point_to_point: Permission::Granted,
        ethernet: Permission::Granted,
    };
}

/// AddressFamily: which addresses are listened on and connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpFamily {
    /// Both.
    Any,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl IpFamily {
    /// Whether an address is of it.
    pub fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Inet => address.is_ipv4(),
            Self::Inet6 => address.is_ipv6(),
        }
    }
}

/// GatewayPorts: the addresses that are listened on for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayPorts {
    /// Loopback.
    No,
    /// All, whatever the client names.
    Yes,
    /// Those that the client names.
    ClientSpecified,
}

/// How the client's display is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X11Forwarding {
    /// X11DisplayOffset: the first number of a display.
    pub display_offset: u32,
    /// X11UseLocalhost
    pub addresses: X11Addresses,
    /// XAuthLocation
    pub xauth: String,
}

/// X11UseLocalhost: the addresses that displays are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum X11Addresses {
    /// Loopback.
    Loopback,
    /// All.
    All,
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
        gateway_ports: GatewayPorts::No,
        stream_local_bind_mask: DEFAULT_BIND_MASK,
        stream_local_bind_unlink: Permission::Denied,
        agent: Permission::Denied,
        x11: None,
        tunnels: Tunnels::NONE,
        address_family: IpFamily::Any,
    };

    /// What sshd_config(5) permits that does not say a word of it.
    pub const DEFAULT: Self = Self {
        tcp: Directions::BOTH,
        stream_local: Directions::BOTH,
        permit_open: Places::Any,
        permit_listen: Places::Any,
        gateway_ports: GatewayPorts::No,
        stream_local_bind_mask: DEFAULT_BIND_MASK,
        stream_local_bind_unlink: Permission::Denied,
        agent: Permission::Granted,
        x11: None,
        tunnels: Tunnels::NONE,
        address_family: IpFamily::Any,
    };
}

/// Sockets are the user's alone.
const DEFAULT_BIND_MASK: u32 = 0o177;
