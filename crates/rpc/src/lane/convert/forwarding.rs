//! What `sshd_config` says of forwarding.

use pb::places::Places as Kind;

use super::permissions::{permission, port_from_proto, port_to_proto};
use crate::lane::{
    Directions, Forwarding, GatewayPorts, IpFamily, LaneError, Permission, Places, Tunnels,
    X11Addresses, X11Forwarding,
};
use crate::proto::lane::v1 as pb;

pub(super) fn to_proto(forwarding: &Forwarding) -> pb::Forwarding {
    pb::Forwarding {
        tcp: Some(directions_to_proto(forwarding.tcp)),
        stream_local: Some(directions_to_proto(forwarding.stream_local)),
        permit_open: Some(places_to_proto(&forwarding.permit_open)),
        permit_listen: Some(places_to_proto(&forwarding.permit_listen)),
        gateway_ports: match forwarding.gateway_ports {
            GatewayPorts::No => pb::GatewayPorts::No,
            GatewayPorts::Yes => pb::GatewayPorts::Yes,
            GatewayPorts::ClientSpecified => pb::GatewayPorts::ClientSpecified,
        }
        .into(),
        stream_local_bind_mask: forwarding.stream_local_bind_mask,
        stream_local_bind_unlink: forwarding.stream_local_bind_unlink == Permission::Granted,
        agent: forwarding.agent == Permission::Granted,
        x11: forwarding.x11.as_ref().map(x11_to_proto),
        point_to_point_tunnel: forwarding.tunnels.point_to_point == Permission::Granted,
        ethernet_tunnel: forwarding.tunnels.ethernet == Permission::Granted,
        address_family: match forwarding.address_family {
            IpFamily::Any => pb::AddressFamily::Any,
            IpFamily::Inet => pb::AddressFamily::Inet,
            IpFamily::Inet6 => pb::AddressFamily::Inet6,
        }
        .into(),
    }
}

pub(super) fn from_proto(body: Option<pb::Forwarding>) -> Result<Forwarding, LaneError> {
    let body = body.ok_or(LaneError::Malformed("forwarding"))?;
    let gateway_ports = match body.gateway_ports() {
        pb::GatewayPorts::Unspecified => return Err(LaneError::Malformed("gateway ports")),
        pb::GatewayPorts::No => GatewayPorts::No,
        pb::GatewayPorts::Yes => GatewayPorts::Yes,
        pb::GatewayPorts::ClientSpecified => GatewayPorts::ClientSpecified,
    };
    let address_family = match body.address_family() {
        pb::AddressFamily::Unspecified => return Err(LaneError::Malformed("address family")),
        pb::AddressFamily::Any => IpFamily::Any,
        pb::AddressFamily::Inet => IpFamily::Inet,
        pb::AddressFamily::Inet6 => IpFamily::Inet6,
    };
    Ok(Forwarding {
        tcp: directions_from_proto(body.tcp)?,
        stream_local: directions_from_proto(body.stream_local)?,
        permit_open: places_from_proto(body.permit_open)?,
        permit_listen: places_from_proto(body.permit_listen)?,
        gateway_ports,
        stream_local_bind_mask: body.stream_local_bind_mask,
        stream_local_bind_unlink: permission(body.stream_local_bind_unlink),
        agent: permission(body.agent),
        x11: body.x11.map(x11_from_proto).transpose()?,
        tunnels: Tunnels {
            point_to_point: permission(body.point_to_point_tunnel),
            ethernet: permission(body.ethernet_tunnel),
        },
        address_family,
    })
}

fn x11_to_proto(x11: &X11Forwarding) -> pb::X11Forwarding {
    pb::X11Forwarding {
        display_offset: x11.display_offset,
        addresses: match x11.addresses {
            X11Addresses::Loopback => pb::X11Addresses::Loopback,
            X11Addresses::All => pb::X11Addresses::All,
        }
        .into(),
        xauth: x11.xauth.clone(),
    }
}

fn x11_from_proto(body: pb::X11Forwarding) -> Result<X11Forwarding, LaneError> {
    Ok(X11Forwarding {
        display_offset: body.display_offset,
        addresses: match body.addresses() {
            pb::X11Addresses::Unspecified => return Err(LaneError::Malformed("addresses")),
            pb::X11Addresses::Loopback => X11Addresses::Loopback,
            pb::X11Addresses::All => X11Addresses::All,
        },
        xauth: body.xauth,
    })
}

fn directions_to_proto(directions: Directions) -> pb::Directions {
    pb::Directions {
        local: directions.local == Permission::Granted,
        remote: directions.remote == Permission::Granted,
    }
}

fn directions_from_proto(body: Option<pb::Directions>) -> Result<Directions, LaneError> {
    let body = body.ok_or(LaneError::Malformed("directions"))?;
    Ok(Directions {
        local: permission(body.local),
        remote: permission(body.remote),
    })
}

fn places_to_proto(places: &Places) -> pb::Places {
    let kind = match places {
        Places::Any => Kind::Any(pb::AnyPlace {}),
        Places::Listed(places) => Kind::Listed(pb::ListedPlaces {
            place: places.iter().map(port_to_proto).collect(),
        }),
    };
    pb::Places { places: Some(kind) }
}

fn places_from_proto(body: Option<pb::Places>) -> Result<Places, LaneError> {
    match body.and_then(|body| body.places) {
        Some(Kind::Any(pb::AnyPlace {})) => Ok(Places::Any),
        Some(Kind::Listed(pb::ListedPlaces { place })) => place
            .into_iter()
            .map(port_from_proto)
            .collect::<Result<_, _>>()
            .map(Places::Listed),
        None => Err(LaneError::Malformed("places")),
    }
}
