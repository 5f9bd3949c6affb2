//! ChannelTimeout to bytes and back.

use super::super::{ChannelTimeouts, ChannelType, IdleSeconds, LaneError};
use crate::proto::lane::v1 as pb;

pub(super) fn to_proto(timeouts: &ChannelTimeouts) -> pb::ChannelTimeouts {
    let timeout = |(channel, IdleSeconds(seconds)): &(ChannelType, IdleSeconds)| {
        let (channel, seconds) = (channel.name(), *seconds);
        pb::ChannelTimeout { channel, seconds }
    };
    pb::ChannelTimeouts {
        types: timeouts.types.iter().map(timeout).collect(),
        global: timeouts.global.0,
    }
}

pub(super) fn from_proto(
    message: Option<pb::ChannelTimeouts>,
) -> Result<ChannelTimeouts, LaneError> {
    const MISSING: LaneError = LaneError::Malformed("timeouts of channels are missing");
    const UNKNOWN: LaneError = LaneError::Malformed("unknown type of channel");
    let message = message.ok_or(MISSING)?;
    let timeout = |timeout: pb::ChannelTimeout| {
        let channel = ChannelType::from_name(&timeout.channel).ok_or(UNKNOWN)?;
        Ok((channel, IdleSeconds(timeout.seconds)))
    };
    Ok(ChannelTimeouts {
        types: message
            .types
            .into_iter()
            .map(timeout)
            .collect::<Result<_, LaneError>>()?,
        global: IdleSeconds(message.global),
    })
}
