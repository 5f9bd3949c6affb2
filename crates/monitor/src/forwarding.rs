//! What `sshd_config` says of forwarding, for a session.

use std::path::PathBuf;

use config::sshd::{
    self, AddressFamily as Family, Forwarding as Word, PermitForward, SshdConfig, Tunnel, YesNo,
};
use rpc::lane::{
    Directions, Forwarding, GatewayPorts, IpFamily, Permission, Places, Tunnels, X11Addresses,
    X11Forwarding,
};

use crate::session_start::place;

/// All keywords about forwarding. DisableForwarding is stronger than each of them.
pub(crate) fn forwarding(config: &SshdConfig) -> Forwarding {
    if config.disable_forwarding == YesNo::Yes {
        return Forwarding::NONE;
    }
    Forwarding {
        tcp: directions(config.allow_tcp_forwarding),
        stream_local: directions(config.allow_stream_local_forwarding),
        permit_open: places(&config.permit_open),
        permit_listen: places(&config.permit_listen),
        gateway_ports: match config.gateway_ports {
            sshd::GatewayPorts::No => GatewayPorts::No,
            sshd::GatewayPorts::Yes => GatewayPorts::Yes,
            sshd::GatewayPorts::ClientSpecified => GatewayPorts::ClientSpecified,
        },
        stream_local_bind_mask: config.stream_local_bind_mask,
        stream_local_bind_unlink: permission(config.stream_local_bind_unlink),
        agent: permission(config.allow_agent_forwarding),
        x11: x11(config),
        address_family: match config.address_family {
            Family::Any => IpFamily::Any,
            Family::Inet => IpFamily::Inet,
            Family::Inet6 => IpFamily::Inet6,
        },
        tunnels: tunnels(config.permit_tunnel),
    }
}

fn tunnels(word: Tunnel) -> Tunnels {
    match word {
        Tunnel::No => Tunnels::NONE,
        Tunnel::PointToPoint => Tunnels {
            ethernet: Permission::Denied,
            ..Tunnels::BOTH
        },
        Tunnel::Ethernet => Tunnels {
            point_to_point: Permission::Denied,
            ..Tunnels::BOTH
        },
        Tunnel::Yes => Tunnels::BOTH,
    }
}

fn permission(word: YesNo) -> Permission {
    match word {
        YesNo::Yes => Permission::Granted,
        YesNo::No => Permission::Denied,
    }
}

fn x11(config: &SshdConfig) -> Option<X11Forwarding> {
    let addresses = match config.x11_use_localhost {
        YesNo::Yes => X11Addresses::Loopback,
        YesNo::No => X11Addresses::All,
    };
    let forwarding = |xauth: &PathBuf| X11Forwarding {
        display_offset: config.x11_display_offset,
        addresses,
        xauth: xauth.display().to_string(),
    };
    match config.x11_forwarding {
        // As sshd: no display without a program that tells of its cookie.
        YesNo::Yes => config.xauth_location.as_ref().map(forwarding),
        YesNo::No => None,
    }
}

fn directions(word: Word) -> Directions {
    match word {
        Word::Yes => Directions::BOTH,
        Word::No => Directions::NONE,
        Word::Local => Directions {
            remote: Permission::Denied,
            ..Directions::BOTH
        },
        Word::Remote => Directions {
            local: Permission::Denied,
            ..Directions::BOTH
        },
    }
}

fn places(permitted: &PermitForward) -> Places {
    match permitted {
        PermitForward::Any => Places::Any,
        PermitForward::None => Places::Listed(Vec::new()),
        PermitForward::Only(ports) => Places::Listed(ports.iter().map(place).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::lane::ForwardPort;

    fn of(lines: &str) -> Forwarding {
        forwarding(&crate::testing::Machine::new(&[], lines).policy.config)
    }

    #[test]
    fn each_keyword_has_its_part() {
        assert_eq!(of(""), Forwarding::DEFAULT);
        let local = Directions {
            remote: Permission::Denied,
            ..Directions::BOTH
        };
        let remote = Directions {
            local: Permission::Denied,
            ..Directions::BOTH
        };
        assert_eq!(of("AllowTcpForwarding local").tcp, local);
        assert_eq!(of("AllowTcpForwarding remote").tcp, remote);
        assert_eq!(of("AllowTcpForwarding no").tcp, Directions::NONE);
        assert_eq!(of("AllowStreamLocalForwarding local").stream_local, local);
        let listed = |host: &str, port| {
            Places::Listed(vec![ForwardPort {
                host: host.to_owned(),
                port,
            }])
        };
        assert_eq!(of("PermitOpen db:1").permit_open, listed("db", Some(1)));
        assert_eq!(
            of("PermitOpen none").permit_open,
            Places::Listed(Vec::new())
        );
        assert_eq!(of("AddressFamily inet6").address_family, IpFamily::Inet6);
        assert_eq!(
            of("PermitListen 8080").permit_listen,
            listed("*", Some(8080))
        );
        assert_eq!(of("PermitTunnel yes").tunnels, Tunnels::BOTH);
        let layer_3 = of("PermitTunnel point-to-point").tunnels;
        assert_eq!(layer_3.point_to_point, Permission::Granted);
        assert_eq!(layer_3.ethernet, Permission::Denied);
        let layer_2 = of("PermitTunnel ethernet").tunnels;
        assert_eq!(layer_2.point_to_point, Permission::Denied);
        assert_eq!(layer_2.ethernet, Permission::Granted);
    }

    #[test]
    fn a_display_is_forwarded_where_there_is_an_xauth() {
        assert_eq!(of("").x11, None);
        let lines = "X11Forwarding yes\nX11DisplayOffset 20\nX11UseLocalhost no";
        let x11 = X11Forwarding {
            display_offset: 20,
            addresses: X11Addresses::All,
            xauth: "/usr/bin/xauth".to_owned(),
        };
        assert_eq!(of(lines).x11, Some(x11));
        assert_eq!(of("X11Forwarding yes\nXAuthLocation none").x11, None);
    }

    #[test]
    fn disable_forwarding_leaves_nothing() {
        let lines =
            "AllowTcpForwarding yes\nPermitOpen any\nPermitTunnel yes\nDisableForwarding yes";
        assert_eq!(of(lines), Forwarding::NONE);
    }
}
