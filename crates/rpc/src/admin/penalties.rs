//! Penalties: protobuf types to domain types and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Exempt, Force, Penalties, Penalty};
use crate::grpc::{CallError, Violation};
use crate::network::Network;
use crate::proto::admin::v1 as pb;

/// Penalties in one answer: as many as there are by default, which is less than half of what an
/// answer may have.
const PENALTY_LIMIT: usize = 65_536;

pub(super) fn to_proto(list: Penalties) -> pb::PenaltiesReply {
    let penalties = list.penalties.into_iter().take(PENALTY_LIMIT);
    pb::PenaltiesReply {
        penalties: penalties.map(penalty_to_proto).collect(),
        count: list.count,
        exempt: list.exempt.into_iter().map(network_to_proto).collect(),
    }
}

pub(super) fn from_proto(reply: pb::PenaltiesReply) -> Result<Penalties, CallError> {
    let networks = reply.exempt.into_iter().map(network_from_proto);
    let penalties = reply.penalties.into_iter().map(penalty_from_proto);
    Ok(Penalties {
        penalties: penalties.collect::<Option<_>>().ok_or(MALFORMED)?,
        count: reply.count,
        exempt: networks.collect::<Option<_>>().ok_or(MALFORMED)?,
    })
}

const MALFORMED: CallError = CallError::Malformed("penalty");

fn penalty_to_proto(penalty: Penalty) -> pb::Penalty {
    let force = match penalty.force {
        Force::Active => pb::Force::Active,
        Force::Deferred => pb::Force::Deferred,
    };
    pb::Penalty {
        source: Some(network_to_proto(penalty.source)),
        reason: penalty.reason,
        force: force.into(),
        left_seconds: penalty.left.as_secs(),
    }
}

fn penalty_from_proto(penalty: pb::Penalty) -> Option<Penalty> {
    let force = match pb::Force::try_from(penalty.force) {
        Ok(pb::Force::Active) => Force::Active,
        Ok(pb::Force::Deferred) => Force::Deferred,
        Ok(pb::Force::Unspecified) | Err(_) => return None,
    };
    Some(Penalty {
        source: network_from_proto(penalty.source?)?,
        reason: penalty.reason,
        force,
        left: Duration::from_secs(penalty.left_seconds),
    })
}

pub(super) fn clear_to_request(network: Option<Network>) -> pb::ClearPenaltiesRequest {
    pb::ClearPenaltiesRequest {
        network: network.map(network_to_proto),
    }
}

pub(super) fn network_to_clear(
    request: pb::ClearPenaltiesRequest,
) -> Result<Option<Network>, Violation> {
    request.network.map(network_of_request).transpose()
}

pub(super) fn exempt_to_request(network: Network) -> pb::ExemptRequest {
    pb::ExemptRequest {
        network: Some(network_to_proto(network)),
    }
}

pub(super) fn network_to_exempt(request: pb::ExemptRequest) -> Result<Network, Violation> {
    let network = request
        .network
        .ok_or_else(|| Violation::new("network is missing"))?;
    network_of_request(network)
}

pub(super) fn exempt_to_proto(exempt: Exempt) -> pb::ExemptReply {
    use pb::exempt_reply::Outcome;
    let outcome = match exempt {
        Exempt::Exempted => Outcome::Exempted(pb::Exempted {}),
        Exempt::TooMany => Outcome::TooMany(pb::TooMany {}),
    };
    pb::ExemptReply {
        outcome: Some(outcome),
    }
}

pub(super) fn exempt_from_proto(reply: pb::ExemptReply) -> Option<Exempt> {
    use pb::exempt_reply::Outcome;
    Some(match reply.outcome? {
        Outcome::Exempted(pb::Exempted {}) => Exempt::Exempted,
        Outcome::TooMany(pb::TooMany {}) => Exempt::TooMany,
    })
}

fn network_of_request(network: pb::Network) -> Result<Network, Violation> {
    network_from_proto(network).ok_or_else(|| Violation::new("network is malformed"))
}

fn network_to_proto(network: Network) -> pb::Network {
    pb::Network {
        address: match network.address() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        },
        prefix: network.prefix().into(),
    }
}

/// `None`: it is not in the one form that [`network_to_proto`] makes.
fn network_from_proto(network: pb::Network) -> Option<Network> {
    let address = match *network.address.as_slice() {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(
            <[u8; 16]>::try_from(network.address.as_slice()).ok()?,
        )),
    };
    let prefix = u8::try_from(network.prefix).ok()?;
    let same = Network::around(address, prefix);
    (same.address() == address && same.prefix() == prefix).then_some(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_one_form_on_the_wire() {
        for text in [
            "192.0.2.0/24",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
            "::1/128",
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network_from_proto(network_to_proto(network)), Some(network));
        }
        let wire = |address: &[u8], prefix| {
            let address = address.to_vec();
            network_from_proto(pb::Network { address, prefix })
        };
        let mapped = "::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets();
        assert_eq!(wire(&[], 0), None);
        assert_eq!(wire(&[1, 2, 3], 8), None);
        assert_eq!(wire(&[10, 0, 0, 1], 8), None);
        assert_eq!(wire(&[10, 0, 0, 0], 33), None);
        assert_eq!(wire(&[10, 0, 0, 0], 264), None);
        assert_eq!(wire(&mapped, 128), None);
        assert_eq!(wire(&[0; 17], 0), None);
    }
}
