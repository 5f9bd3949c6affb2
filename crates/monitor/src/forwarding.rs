//! What `sshd_config` says of forwarding, for a session.

use config::sshd::{Forwarding as Word, PermitForward, SshdConfig, YesNo};
use rpc::lane::{Directions, Forwarding, Permission, Places};

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
        let all = Forwarding {
            tcp: Directions::BOTH,
            stream_local: Directions::BOTH,
            permit_open: Places::Any,
            permit_listen: Places::Any,
        };
        assert_eq!(of(""), all);
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
        assert_eq!(
            of("PermitListen 8080").permit_listen,
            listed("*", Some(8080))
        );
    }

    #[test]
    fn disable_forwarding_leaves_nothing() {
        let lines = "AllowTcpForwarding yes\nPermitOpen any\nDisableForwarding yes";
        assert_eq!(of(lines), Forwarding::NONE);
    }
}
