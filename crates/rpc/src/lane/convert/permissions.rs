//! What a login permits its session.

use pb::permissions::Tunnel as Device;

use crate::lane::{ForwardPort, LaneError, Permission, Permissions, Tunnel};
use crate::proto::lane::v1 as pb;

pub(super) fn to_proto(permissions: &Permissions) -> pb::Permissions {
    let granted = |permission| permission == Permission::Granted;
    pb::Permissions {
        agent_forwarding: granted(permissions.agent_forwarding),
        port_forwarding: granted(permissions.port_forwarding),
        x11_forwarding: granted(permissions.x11_forwarding),
        user_rc: granted(permissions.user_rc),
        permit_open: permissions.permit_open.iter().map(port_to_proto).collect(),
        permit_listen: permissions
            .permit_listen
            .iter()
            .map(port_to_proto)
            .collect(),
        tunnel: match permissions.tunnel {
            Tunnel::Any => Some(Device::AnyTunnel(pb::AnyTunnel {})),
            Tunnel::Device(number) => Some(Device::TunnelDevice(number)),
            Tunnel::Refused => None,
        },
    }
}

pub(super) fn from_proto(body: Option<pb::Permissions>) -> Result<Permissions, LaneError> {
    let body = body.ok_or(LaneError::Malformed("permissions"))?;
    let ports = |ports: Vec<pb::ForwardPort>| -> Result<Vec<_>, LaneError> {
        ports.into_iter().map(port_from_proto).collect()
    };
    Ok(Permissions {
        agent_forwarding: permission(body.agent_forwarding),
        port_forwarding: permission(body.port_forwarding),
        x11_forwarding: permission(body.x11_forwarding),
        user_rc: permission(body.user_rc),
        permit_open: ports(body.permit_open)?,
        permit_listen: ports(body.permit_listen)?,
        tunnel: match body.tunnel {
            Some(Device::AnyTunnel(pb::AnyTunnel {})) => Tunnel::Any,
            Some(Device::TunnelDevice(number)) => Tunnel::Device(number),
            None => Tunnel::Refused,
        },
    })
}

pub(super) fn permission(granted: bool) -> Permission {
    match granted {
        true => Permission::Granted,
        false => Permission::Denied,
    }
}

pub(super) fn port_to_proto(place: &ForwardPort) -> pb::ForwardPort {
    pb::ForwardPort {
        host: place.host.clone(),
        port: place.port.map(u32::from),
    }
}

pub(super) fn port_from_proto(body: pb::ForwardPort) -> Result<ForwardPort, LaneError> {
    let port = body.port.map(u16::try_from).transpose();
    Ok(ForwardPort {
        host: body.host,
        port: port.map_err(|_| LaneError::Malformed("port"))?,
    })
}
