//! What may be forwarded: what `sshd_config` permits and the key or certificate of the login, too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rpc::lane::{
    Directions, ForwardPort, Forwarding, GatewayPorts, IpFamily, Permission, Permissions, Places,
    SessionStart, Tunnel, X11Forwarding,
};
use rpc::session::{Address, OpenTunnel, Remark, TunnelDevice, TunnelMode};
use rustix::fs::Mode;

use crate::glob;
use crate::policy::Policy;

/// Every restriction on forwarding. It is never in the worker.
#[derive(Debug, Clone)]
pub(crate) struct ForwardPolicy {
    forwarding: Forwarding,
    permissions: Permissions,
}

/// Why a connection or a tunnel is refused. sshd has another sentence for each in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Forwarding of this kind is off.
    Kind,
    /// It is on, but not to this place.
    Place,
}

impl ForwardPolicy {
    /// The policy that the monitor sent.
    pub(crate) fn new(start: &SessionStart) -> Self {
        let mut forwarding = start.forwarding.clone();
        // Who may have nothing but files could have programs started through the socket of their service manager, or of
        // whatever else obeys them. sshd leaves this to AllowStreamLocalForwarding.
        if Policy::new(start).permits_sftp_only() {
            forwarding.stream_local = Directions::NONE;
        }
        Self {
            forwarding,
            permissions: start.permissions.clone(),
        }
    }

    /// Whether a connection may be made.
    pub(crate) fn judge(&self, target: &Address) -> Result<(), Refusal> {
        let Forwarding {
            tcp, stream_local, ..
        } = &self.forwarding;
        let kind = match target {
            Address::Port(_) => tcp.local,
            Address::Path(_) => stream_local.local,
        };
        if both(kind, self.permissions.port_forwarding) == Permission::Denied {
            return Err(Refusal::Kind);
        }
        // As in OpenSSH: without AllowTcpForwarding no place is permitted, sockets with a path included.
        let permitted = tcp.local == Permission::Granted
            && (self.permissions.permit_open.is_empty()
                || is_among(&self.permissions.permit_open, target))
            && match &self.forwarding.permit_open {
                Places::Any => true,
                Places::Listed(places) => is_among(places, target),
            };
        permitted.then_some(()).ok_or(Refusal::Place)
    }

    /// Whether may be listened somewhere.
    pub(crate) fn judge_listening(&self, address: &Address) -> Result<(), Refusal> {
        let Forwarding {
            tcp, stream_local, ..
        } = &self.forwarding;
        let kind = match address {
            Address::Port(_) => tcp.remote,
            Address::Path(_) => stream_local.remote,
        };
        if both(kind, self.permissions.port_forwarding) == Permission::Denied {
            return Err(Refusal::Kind);
        }
        // As in OpenSSH: paths are not listed anywhere, but without AllowTcpForwarding they are not permitted either.
        let user = &self.permissions.permit_listen;
        let permitted = tcp.remote == Permission::Granted
            && (user.is_empty() || is_listed(user, address))
            && match &self.forwarding.permit_listen {
                Places::Any => true,
                Places::Listed(places) => is_listed(places, address),
            };
        permitted.then_some(()).ok_or(Refusal::Place)
    }

    /// Which device a tunnel may end at.
    pub(crate) fn judge_tunnel(&self, wanted: OpenTunnel) -> Result<TunnelDevice, Refusal> {
        let tunnels = self.forwarding.tunnels;
        let kind = match wanted.mode {
            TunnelMode::PointToPoint => tunnels.point_to_point,
            TunnelMode::Ethernet => tunnels.ethernet,
        };
        match (kind, self.permissions.tunnel, wanted.device) {
            (Permission::Denied, _, _) | (Permission::Granted, Tunnel::Refused, _) => {
                Err(Refusal::Kind)
            }
            (Permission::Granted, Tunnel::Any, device) => Ok(device),
            (Permission::Granted, Tunnel::Device(only), TunnelDevice::Number(number))
                if number != only =>
            {
                Err(Refusal::Place)
            }
            (Permission::Granted, Tunnel::Device(only), _) => Ok(TunnelDevice::Number(only)),
        }
    }

    /// AddressFamily
    pub(crate) fn address_family(&self) -> IpFamily {
        self.forwarding.address_family
    }

    /// GatewayPorts: where is listened if the client names this host, as far as
    /// [`address_family`](Self::address_family) has it.
    pub(crate) fn interfaces(&self, host: &str) -> Interfaces {
        const LOOPBACK: [IpAddr; 2] = [
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ];
        match (self.forwarding.gateway_ports, host) {
            // One of the two may be chosen whatever is configured.
            (GatewayPorts::No, "127.0.0.1") => Interfaces::These(vec![LOOPBACK[1]]),
            (GatewayPorts::No, "::1") => Interfaces::These(vec![LOOPBACK[0]]),
            (GatewayPorts::No, _) | (GatewayPorts::ClientSpecified, "localhost") => {
                Interfaces::These(LOOPBACK.to_vec())
            }
            (GatewayPorts::Yes, _) | (GatewayPorts::ClientSpecified, "" | "*") => {
                Interfaces::These(ALL.to_vec())
            }
            (GatewayPorts::ClientSpecified, name) => Interfaces::Named(name.to_owned()),
        }
    }

    /// StreamLocalBindMask
    pub(crate) fn bind_mask(&self) -> Mode {
        Mode::from_raw_mode(self.forwarding.stream_local_bind_mask)
    }

    /// StreamLocalBindUnlink
    pub(crate) fn unlinks(&self) -> bool {
        self.forwarding.stream_local_bind_unlink == Permission::Granted
    }

    /// Whether the client's agent may be forwarded.
    pub(crate) fn permits_agent(&self) -> bool {
        both(self.forwarding.agent, self.permissions.agent_forwarding) == Permission::Granted
    }

    /// How the client's display is forwarded.
    ///
    /// # Errors
    /// It may not be.
    pub(crate) fn x11(&self) -> Result<&X11Forwarding, NoDisplay> {
        match self.permissions.x11_forwarding {
            Permission::Granted => self.forwarding.x11.as_ref().ok_or(NoDisplay::Untold),
            Permission::Denied => Err(NoDisplay::Key),
        }
    }

    /// GatewayPorts: whether a host that the client names makes no difference, although it is meant to.
    pub(crate) fn overrides(&self, host: &str) -> bool {
        self.forwarding.gateway_ports == GatewayPorts::Yes && !["", "*", "0.0.0.0"].contains(&host)
    }
}

/// Why no display is forwarded, as far as sshd tells users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoDisplay {
    /// The key has no permission.
    Key,
    /// There is no xauth(1) to tell programs of the cookie.
    NoXauth,
    /// It does not tell.
    Untold,
}

impl NoDisplay {
    /// What the user is told.
    pub(crate) fn remark(self) -> Option<Remark> {
        match self {
            Self::Key => Some(Remark::X11DisabledForKey),
            Self::NoXauth => Some(Remark::NoXauth),
            Self::Untold => None,
        }
    }
}

/// Every address of this machine.
pub(super) const ALL: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
];

/// Addresses of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interfaces {
    /// These.
    These(Vec<IpAddr>),
    /// Those of this name.
    Named(String),
}

fn both(one: Permission, other: Permission) -> Permission {
    match (one, other) {
        (Permission::Granted, Permission::Granted) => Permission::Granted,
        (Permission::Denied, _) | (_, Permission::Denied) => Permission::Denied,
    }
}

/// PermitOpen and permitopen: hosts are compared as they are written. A path is a host without a port, so that only a
/// place with every port can permit it.
fn is_among(places: &[ForwardPort], target: &Address) -> bool {
    let (host, port) = match target {
        Address::Port(target) => (target.host.as_bytes(), Some(target.port)),
        Address::Path(path) => (path.as_slice(), None),
    };
    places.iter().any(|place| {
        let permitted = place.port.is_none() || place.port == port;
        permitted && (place.host == "*" || place.host.as_bytes() == host)
    })
}

/// PermitListen and permitlisten: the host is a pattern. Paths are not listed.
fn is_listed(places: &[ForwardPort], address: &Address) -> bool {
    let Address::Port(address) = address else {
        return true;
    };
    let host = address.host.to_ascii_lowercase();
    places.iter().any(|place| {
        let permitted = place.port.is_none() || place.port == Some(address.port);
        permitted && glob::matches(&place.host, &host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::start;
    use rpc::session::Port;

    fn port(host: &str, port: u16) -> Address {
        Address::Port(Port {
            host: host.to_owned(),
            port,
        })
    }

    fn place(host: &str, port: Option<u16>) -> ForwardPort {
        ForwardPort {
            host: host.to_owned(),
            port,
        }
    }

    fn policy(forwarding: Forwarding, change: impl FnOnce(&mut Permissions)) -> ForwardPolicy {
        let mut start = start();
        start.forwarding = forwarding;
        change(&mut start.permissions);
        ForwardPolicy::new(&start)
    }

    fn all() -> Forwarding {
        start().forwarding
    }

    #[test]
    fn each_kind_has_its_switch_and_the_key_one_for_both() {
        let path = Address::Path(b"/run/x".to_vec());
        let denied = Directions {
            local: Permission::Denied,
            ..Directions::BOTH
        };
        let everything = policy(all(), |_| {});
        assert_eq!(everything.judge(&port("db", 1)), Ok(()));
        assert_eq!(everything.judge(&path), Ok(()));

        let mut forwarding = all();
        forwarding.tcp = denied;
        let no_tcp = policy(forwarding, |_| {});
        assert_eq!(no_tcp.judge(&port("db", 1)), Err(Refusal::Kind));
        assert_eq!(no_tcp.judge(&path), Err(Refusal::Place));

        let mut forwarding = all();
        forwarding.stream_local = denied;
        let no_paths = policy(forwarding, |_| {});
        assert_eq!(no_paths.judge(&port("db", 1)), Ok(()));
        assert_eq!(no_paths.judge(&path), Err(Refusal::Kind));

        let no_key = policy(all(), |permissions| {
            permissions.port_forwarding = Permission::Denied;
        });
        assert_eq!(no_key.judge(&port("db", 1)), Err(Refusal::Kind));
        assert_eq!(no_key.judge(&path), Err(Refusal::Kind));
    }

    #[test]
    fn who_is_restricted_to_sftp_reaches_no_socket_with_a_path() {
        let path = Address::Path(b"/run/user/1000/systemd/private".to_vec());
        for (command, expected) in [
            ("internal-sftp -u 027", Err(Refusal::Kind)),
            ("internal-sftp \"", Err(Refusal::Kind)),
            ("/usr/bin/backup", Ok(())),
        ] {
            let mut start = start();
            start.forced_command = Some(command.to_owned());
            let policy = ForwardPolicy::new(&start);
            assert_eq!(policy.judge(&path), expected, "{command}");
            assert_eq!(policy.judge_listening(&path), expected, "{command}");
            assert_eq!(policy.judge(&port("db", 1)), Ok(()));
        }
    }

    #[test]
    fn a_place_must_be_permitted_by_both() {
        let mut forwarding = all();
        forwarding.permit_open = Places::Listed(vec![place("db", Some(1)), place("web", None)]);
        let both = policy(forwarding.clone(), |permissions| {
            permissions.permit_open = vec![place("*", Some(1)), place("web", Some(2))];
        });
        for (target, permitted) in [
            (port("db", 1), true),
            (port("db", 2), false),
            (port("web", 1), true),
            (port("web", 2), true),
            (port("web", 3), false),
            (port("DB", 1), false),
        ] {
            assert_eq!(both.judge(&target).is_ok(), permitted, "{target:?}");
        }
        forwarding.permit_open = Places::Listed(Vec::new());
        let none = policy(forwarding, |_| {});
        assert_eq!(none.judge(&port("db", 1)), Err(Refusal::Place));
    }

    #[test]
    fn a_path_is_permitted_by_a_place_with_every_port_only() {
        let path = Address::Path(b"/run/x".to_vec());
        for (places, permitted) in [
            (vec![place("*", None)], true),
            (vec![place("/run/x", None)], true),
            (vec![place("*", Some(1))], false),
            (vec![place("db", None)], false),
        ] {
            let mut forwarding = all();
            forwarding.permit_open = Places::Listed(places);
            assert_eq!(policy(forwarding, |_| {}).judge(&path).is_ok(), permitted);
        }
    }

    #[test]
    fn listening_is_permitted_by_patterns_and_exact_ports() {
        let mut forwarding = all();
        forwarding.permit_listen = Places::Listed(vec![
            place("*", Some(8080)),
            place("localhost", None),
            place("10.0.?.1", Some(1)),
        ]);
        let policy = policy(forwarding, |_| {});
        for (address, permitted) in [
            (port("", 8080), true),
            (port("LocalHost", 7), true),
            // Whichever the system chooses is not one that is listed.
            (port("", 0), false),
            (port("localhost", 0), true),
            (port("10.0.7.1", 1), true),
            (port("10.0.77.1", 1), false),
            (Address::Path(b"/run/x".to_vec()), true),
        ] {
            let judged = policy.judge_listening(&address);
            assert_eq!(judged.is_ok(), permitted, "{address:?}");
        }
    }

    #[test]
    fn a_tunnel_must_be_permitted_by_both_and_end_where_the_key_says() {
        use TunnelDevice::{Any, Number};
        let (three, two) = (TunnelMode::PointToPoint, TunnelMode::Ethernet);
        let mut layer_3 = all();
        layer_3.tunnels.point_to_point = Permission::Granted;
        for (forwarding, key, mode, device, judged) in [
            (&all(), Tunnel::Any, three, Any, Err(Refusal::Kind)),
            (&all(), Tunnel::Device(7), three, Any, Err(Refusal::Kind)),
            (&layer_3, Tunnel::Any, two, Any, Err(Refusal::Kind)),
            (&layer_3, Tunnel::Refused, three, Any, Err(Refusal::Kind)),
            (&layer_3, Tunnel::Any, three, Any, Ok(Any)),
            (&layer_3, Tunnel::Any, three, Number(3), Ok(Number(3))),
            (&layer_3, Tunnel::Device(7), three, Any, Ok(Number(7))),
            (&layer_3, Tunnel::Device(7), three, Number(7), Ok(Number(7))),
            (
                &layer_3,
                Tunnel::Device(7),
                three,
                Number(8),
                Err(Refusal::Place),
            ),
        ] {
            let policy = policy(forwarding.clone(), |permissions| permissions.tunnel = key);
            let wanted = OpenTunnel { mode, device };
            assert_eq!(policy.judge_tunnel(wanted), judged, "{key:?} {wanted:?}");
        }
    }

    #[test]
    fn listening_has_its_own_switches() {
        let denied = Directions {
            remote: Permission::Denied,
            ..Directions::BOTH
        };
        let path = Address::Path(b"/run/x".to_vec());
        let mut forwarding = all();
        forwarding.tcp = denied;
        let no_tcp = policy(forwarding, |_| {});
        assert_eq!(no_tcp.judge_listening(&port("", 1)), Err(Refusal::Kind));
        assert_eq!(no_tcp.judge_listening(&path), Err(Refusal::Place));
        assert_eq!(no_tcp.judge(&port("", 1)), Ok(()));
        let mut forwarding = all();
        forwarding.stream_local = denied;
        let no_paths = policy(forwarding, |_| {});
        assert_eq!(no_paths.judge_listening(&path), Err(Refusal::Kind));
    }

    #[test]
    fn gateway_ports_says_where_is_listened() {
        let loopback = |addresses: &[&str]| {
            Interfaces::These(addresses.iter().map(|a| a.parse().unwrap()).collect())
        };
        for (word, host, expected) in [
            (GatewayPorts::No, "", loopback(&["::1", "127.0.0.1"])),
            (GatewayPorts::No, "0.0.0.0", loopback(&["::1", "127.0.0.1"])),
            (GatewayPorts::No, "127.0.0.1", loopback(&["127.0.0.1"])),
            (GatewayPorts::Yes, "127.0.0.1", loopback(&["0.0.0.0", "::"])),
            (
                GatewayPorts::ClientSpecified,
                "*",
                loopback(&["0.0.0.0", "::"]),
            ),
            (
                GatewayPorts::ClientSpecified,
                "localhost",
                loopback(&["::1", "127.0.0.1"]),
            ),
            (
                GatewayPorts::ClientSpecified,
                "192.0.2.1",
                Interfaces::Named("192.0.2.1".to_owned()),
            ),
        ] {
            let mut forwarding = all();
            forwarding.gateway_ports = word;
            assert_eq!(
                policy(forwarding, |_| {}).interfaces(host),
                expected,
                "{host}"
            );
        }
    }
}
