//! The call for a tunnel of packets (OpenSSH PROTOCOL section 2.3).

pub use wire::tunnel::{TunnelDevice, TunnelMode};

use super::{Channel, Session};
use crate::grpc::{self, CALL_DEADLINE, CallError, Violation};
use crate::proto::session::v1 as pb;

/// The end of a tunnel that the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTunnel {
    /// What goes through it.
    pub mode: TunnelMode,
    /// Where it ends.
    pub device: TunnelDevice,
}

/// Answer to a request for a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelOpened {
    /// Its device is in the lane.
    Done,
    /// Tunnels of this kind are not permitted.
    Refused,
    /// This device is not permitted, or cannot be opened.
    Unavailable,
}

impl Session {
    /// See [`SessionFace::open_tunnel`](super::SessionFace::open_tunnel).
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn open_tunnel(
        &mut self,
        channel: Channel,
        wanted: OpenTunnel,
    ) -> Result<TunnelOpened, CallError> {
        let request = wanted_to_proto(channel, wanted);
        opened_from_proto(grpc::within(CALL_DEADLINE, self.client.open_tunnel(request)).await?)
    }
}

fn wanted_to_proto(channel: Channel, wanted: OpenTunnel) -> pb::OpenTunnelRequest {
    pb::OpenTunnelRequest {
        channel: channel.0,
        mode: match wanted.mode {
            TunnelMode::PointToPoint => pb::TunnelMode::PointToPoint,
            TunnelMode::Ethernet => pb::TunnelMode::Ethernet,
        }
        .into(),
        device: match wanted.device {
            TunnelDevice::Any => None,
            TunnelDevice::Number(number) => Some(number),
        },
    }
}

pub(super) fn wanted_from_proto(
    request: pb::OpenTunnelRequest,
) -> Result<(Channel, OpenTunnel), Violation> {
    let mode = match request.mode() {
        pb::TunnelMode::Unspecified => return Err(Violation::new("mode: missing")),
        pb::TunnelMode::PointToPoint => TunnelMode::PointToPoint,
        pb::TunnelMode::Ethernet => TunnelMode::Ethernet,
    };
    let device = match request.device {
        None => TunnelDevice::Any,
        Some(number @ 0..=TunnelDevice::LIMIT) => TunnelDevice::Number(number),
        Some(_) => return Err(Violation::new("device: too large")),
    };
    Ok((Channel(request.channel), OpenTunnel { mode, device }))
}

pub(super) fn opened_to_proto(opened: TunnelOpened) -> pb::OpenTunnelReply {
    use pb::open_tunnel_reply::Outcome;
    let outcome = match opened {
        TunnelOpened::Done => Outcome::Done(pb::Done {}),
        TunnelOpened::Refused => Outcome::Refused(pb::Refused {}),
        TunnelOpened::Unavailable => Outcome::Unavailable(pb::Unavailable {}),
    };
    pb::OpenTunnelReply {
        outcome: Some(outcome),
    }
}

fn opened_from_proto(reply: pb::OpenTunnelReply) -> Result<TunnelOpened, CallError> {
    use pb::open_tunnel_reply::Outcome;
    match reply.outcome {
        Some(Outcome::Done(pb::Done {})) => Ok(TunnelOpened::Done),
        Some(Outcome::Refused(pb::Refused {})) => Ok(TunnelOpened::Refused),
        Some(Outcome::Unavailable(pb::Unavailable {})) => Ok(TunnelOpened::Unavailable),
        None => Err(CallError::Malformed("outcome is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_arrives_and_a_device_that_cannot_be_is_a_violation() {
        for mode in [TunnelMode::PointToPoint, TunnelMode::Ethernet] {
            for device in [
                TunnelDevice::Any,
                TunnelDevice::Number(0),
                TunnelDevice::Number(TunnelDevice::LIMIT),
            ] {
                let wanted = OpenTunnel { mode, device };
                let request = wanted_to_proto(Channel(7), wanted);
                assert_eq!(wanted_from_proto(request).unwrap(), (Channel(7), wanted));
            }
        }
        let request = pb::OpenTunnelRequest {
            mode: pb::TunnelMode::Ethernet.into(),
            device: Some(TunnelDevice::LIMIT + 1),
            ..pb::OpenTunnelRequest::default()
        };
        assert!(wanted_from_proto(request).is_err());
        assert!(wanted_from_proto(pb::OpenTunnelRequest::default()).is_err());
    }
}
