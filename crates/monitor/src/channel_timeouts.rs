//! ChannelTimeout: its patterns, tried on every type of channel that there can be.
//!
//! Done here, so that the worker compares nothing with a pattern and holds no more than a number for each type.

use config::pattern::Pattern;
use config::sshd::{self, SshdConfig};
use rpc::lane::{ChannelTimeouts, ChannelType, IdleSeconds};

use crate::policy::whole_seconds;

/// Not a type: all channels taken together. No wildcard stands for it (sshd_config(5) of OpenSSH 9.7).
const GLOBAL: &str = "global";

/// What the worker is told.
pub(crate) fn channel_timeouts(config: &SshdConfig) -> ChannelTimeouts {
    let timeouts = &config.channel_timeouts;
    let subsystems = config.subsystems.iter();
    let subsystems = subsystems.map(|subsystem| ChannelType::Subsystem(subsystem.name.clone()));
    let types = ChannelType::FIXED.into_iter().chain(subsystems);
    let limited = types.filter_map(|channel| {
        let name = channel.name();
        // The first that fits counts, as with sshd.
        let first = timeouts
            .iter()
            .find(|timeout| timeout.channel.matches(&name))?;
        let seconds = seconds(first);
        (seconds != IdleSeconds::default()).then_some((channel, seconds))
    });
    let is_global = |timeout: &&sshd::ChannelTimeout| timeout.channel == Pattern::new(GLOBAL);
    let global = timeouts.iter().rfind(is_global);
    ChannelTimeouts {
        types: limited.collect(),
        global: global.map_or_else(IdleSeconds::default, seconds),
    }
}

fn seconds(timeout: &sshd::ChannelTimeout) -> IdleSeconds {
    IdleSeconds(timeout.after.map_or(0, whole_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &str) -> Vec<String> {
        let offers = sshd::Offers::ours();
        let read = sshd::read_text(lines, "f", &[], &sshd::NoFiles, &offers.offered());
        let ChannelTimeouts { types, global } = channel_timeouts(&read.unwrap().global().config);
        let types = types
            .iter()
            .map(|(channel, seconds)| format!("{}={}", channel.name(), seconds.0));
        types.chain([format!("global={}", global.0)]).collect()
    }

    #[test]
    fn the_first_pattern_that_fits_a_type_counts() {
        assert_eq!(
            told(
                "Subsystem sftp /x\nChannelTimeout session:shell=1m session:subsystem:*=0 session:*=5m *-tcpip=2h"
            ),
            [
                "session:shell=60",
                "session:command=300",
                "direct-tcpip=7200",
                "forwarded-tcpip=7200",
                "global=0"
            ]
        );
        // sshd calls a session by what runs in it.
        assert_eq!(told("ChannelTimeout session=5m"), ["global=0"]);
    }

    #[test]
    fn all_channels_together_are_named_without_wildcards() {
        assert_eq!(told("ChannelTimeout global=1h"), ["global=3600"]);
        assert_eq!(told("ChannelTimeout g*=1h"), ["global=0"]);
    }
}
