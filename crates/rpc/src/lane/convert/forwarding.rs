//! What `sshd_config` says of forwarding.

use pb::places::Places as Kind;

use super::permissions::{permission, port_from_proto, port_to_proto};
use crate::lane::{Directions, Forwarding, LaneError, Permission, Places};
use crate::proto::lane::v1 as pb;

pub(super) fn to_proto(forwarding: &Forwarding) -> pb::Forwarding {
    pb::Forwarding {
        tcp: Some(directions_to_proto(forwarding.tcp)),
        stream_local: Some(directions_to_proto(forwarding.stream_local)),
        permit_open: Some(places_to_proto(&forwarding.permit_open)),
        permit_listen: Some(places_to_proto(&forwarding.permit_listen)),
    }
}

pub(super) fn from_proto(body: Option<pb::Forwarding>) -> Result<Forwarding, LaneError> {
    let body = body.ok_or(LaneError::Malformed("forwarding"))?;
    Ok(Forwarding {
        tcp: directions_from_proto(body.tcp)?,
        stream_local: directions_from_proto(body.stream_local)?,
        permit_open: places_from_proto(body.permit_open)?,
        permit_listen: places_from_proto(body.permit_listen)?,
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
