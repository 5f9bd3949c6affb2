//! What may be forwarded: what `sshd_config` permits and the key or certificate of the login, too.

use rpc::lane::{Directions, ForwardPort, Permission, Permissions, Places, SessionStart};
use rpc::session::Target;

/// Every restriction on forwarding. It is never in the worker.
#[derive(Debug, Clone)]
pub(crate) struct ForwardPolicy {
    tcp: Directions,
    stream_local: Directions,
    permit_open: Places,
    permissions: Permissions,
}

/// Why a connection is refused. sshd has another sentence for each in its log.
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
        let forwarding = start.forwarding.clone();
        Self {
            tcp: forwarding.tcp,
            stream_local: forwarding.stream_local,
            permit_open: forwarding.permit_open,
            permissions: start.permissions.clone(),
        }
    }

    /// Whether a connection may be made.
    pub(crate) fn judge(&self, target: &Target) -> Result<(), Refusal> {
        let kind = match target {
            Target::Port(_) => self.tcp.local,
            Target::Path(_) => self.stream_local.local,
        };
        if both(kind, self.permissions.port_forwarding) == Permission::Denied {
            return Err(Refusal::Kind);
        }
        // As in OpenSSH: without AllowTcpForwarding no place is permitted, sockets with a path included.
        let permitted = self.tcp.local == Permission::Granted
            && (self.permissions.permit_open.is_empty()
                || is_among(&self.permissions.permit_open, target))
            && match &self.permit_open {
                Places::Any => true,
                Places::Listed(places) => is_among(places, target),
            };
        permitted.then_some(()).ok_or(Refusal::Place)
    }
}

fn both(one: Permission, other: Permission) -> Permission {
    match (one, other) {
        (Permission::Granted, Permission::Granted) => Permission::Granted,
        (Permission::Denied, _) | (_, Permission::Denied) => Permission::Denied,
    }
}

/// PermitOpen and permitopen: hosts are compared as they are written. A path is a host without a port, so that only a
/// place with every port can permit it.
fn is_among(places: &[ForwardPort], target: &Target) -> bool {
    let (host, port) = match target {
        Target::Port(target) => (target.host.as_bytes(), Some(target.port)),
        Target::Path(path) => (path.as_slice(), None),
    };
    places.iter().any(|place| {
        let permitted = place.port.is_none() || place.port == port;
        permitted && (place.host == "*" || place.host.as_bytes() == host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::start;
    use rpc::lane::Forwarding;
    use rpc::session::Port;

    fn port(host: &str, port: u16) -> Target {
        Target::Port(Port {
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
        let path = Target::Path(b"/run/x".to_vec());
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
        let path = Target::Path(b"/run/x".to_vec());
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
}
