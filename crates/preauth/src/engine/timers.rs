//! Who has been silent for too long: a client (ClientAliveInterval), a channel (ChannelTimeout), a connection without
//! any (UnusedConnectionTimeout; all of sshd_config(5)).
//!
//! A worker that somebody took over may ignore all of it. They gain time to be idle in, which every client has that
//! sends a byte now and then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rpc::lane::{ChannelType, IdleSeconds, SessionGrant};
use wire::codec::Write as _;
use wire::message::number::GLOBAL_REQUEST;

use super::channels::{Channels, Number};
use super::end::EngineEnd;
use super::mux::Mux;

/// All clocks of a connection.
#[derive(Debug)]
pub(super) struct Timers {
    alive: Option<Alive>,
    unused: Option<Unused>,
    idle: Idle,
    /// The shortest of all times. Who looks as often as this sees every deadline before it is due, whenever it was set.
    step: Option<Duration>,
}

/// ClientAliveInterval and ClientAliveCountMax
#[derive(Debug)]
struct Alive {
    interval: Duration,
    /// 0 is no limit.
    count_max: u32,
    /// When the client was heard last, or asked.
    since: Instant,
    unanswered: u32,
    probe: Probe,
}

/// A request that the client has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    None,
    /// It goes out when a key exchange permits.
    Due,
}

/// UnusedConnectionTimeout
#[derive(Debug)]
struct Unused {
    timeout: Duration,
    /// Since when no channel is open; none while one is.
    since: Option<Instant>,
}

/// ChannelTimeout
#[derive(Debug)]
struct Idle {
    types: HashMap<ChannelType, IdleSeconds>,
    global: Option<IdleSeconds>,
    /// Channels that a program or a connection belongs to.
    watched: HashMap<Number, Watched>,
    /// The last traffic of all.
    traffic: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    timeout: Option<IdleSeconds>,
    traffic: Instant,
}

/// Looks at the clocks until the connection has to end for them.
pub(super) async fn run(mux: &Mux) -> EngineEnd {
    loop {
        match mux.look_at_clocks(Instant::now()) {
            Ok(Some(next)) => tokio::time::sleep_until(next.into()).await,
            Ok(None) => std::future::pending().await,
            Err(end) => return end,
        }
    }
}

impl Timers {
    /// The clocks of a connection that was logged in just now.
    pub(super) fn new(now: Instant, grant: &SessionGrant) -> Self {
        let alive = duration(grant.client_alive_interval).map(|interval| Alive {
            interval,
            count_max: grant.client_alive_count_max,
            since: now,
            unanswered: 0,
            probe: Probe::None,
        });
        let unused = duration(grant.unused_connection_timeout).map(|timeout| Unused {
            timeout,
            since: Some(now),
        });
        let types = grant.channel_timeouts.types.iter();
        let idle = Idle {
            types: types
                .filter(|(_, time)| *time != IdleSeconds::NEVER)
                .cloned()
                .collect(),
            global: Some(grant.channel_timeouts.global).filter(|time| *time != IdleSeconds::NEVER),
            watched: HashMap::new(),
            traffic: now,
        };
        let step = idle
            .types
            .values()
            .chain(&idle.global)
            .map(|time| time.duration())
            .chain(alive.as_ref().map(|alive| alive.interval))
            .chain(unused.as_ref().map(|unused| unused.timeout))
            .min();
        Self {
            alive,
            unused,
            idle,
            step,
        }
    }

    /// A packet of the client has come. Any is a sign of life.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(alive) = &mut self.alive {
            alive.since = now;
            alive.unanswered = 0;
            alive.probe = Probe::None;
        }
    }

    /// The request that is due, if one is. Every client has to answer it, most with a failure (RFC 4254 section 4).
    pub(super) fn next_probe(&mut self) -> Option<Vec<u8>> {
        let alive = self.alive.as_mut()?;
        if std::mem::replace(&mut alive.probe, Probe::None) == Probe::None {
            return None;
        }
        let mut payload = vec![GLOBAL_REQUEST];
        payload.put_string(b"keepalive@openssh.com");
        payload.put_boolean(true);
        Some(payload)
    }

    /// The channel has its program or its connection now. Before, it has no timeout, as with sshd.
    pub(super) fn watch(&mut self, now: Instant, number: Number, channel: &ChannelType) {
        let timeout = self.idle.types.get(channel).copied();
        if timeout.is_some() || self.idle.global.is_some() {
            let traffic = now;
            self.idle.traffic = now;
            self.idle
                .watched
                .insert(number, Watched { timeout, traffic });
        }
    }

    /// Takes notice of what was carried and closed since the last time.
    pub(super) fn observe(&mut self, channels: &mut Channels) {
        if self.unused.is_none() && self.idle.watched.is_empty() {
            return;
        }
        let now = Instant::now();
        if let Some(unused) = &mut self.unused {
            unused.since = match channels.any_in_use() {
                true => None,
                false => unused.since.or(Some(now)),
            };
        }
        let Idle {
            watched, traffic, ..
        } = &mut self.idle;
        watched.retain(|number, watched| {
            let Some(channel) = channels.get_mut(*number) else {
                return false;
            };
            if channel.take_traffic() {
                watched.traffic = now;
                *traffic = now;
            }
            true
        });
    }

    /// What is due now: a probe, the end of channels, the end of the connection. Returns when to look again.
    ///
    /// # Errors
    /// The connection has to end.
    pub(super) fn look(
        &mut self,
        now: Instant,
        channels: &mut Channels,
    ) -> Result<Option<Instant>, EngineEnd> {
        let mut next = self.step.map(|step| now + step);
        let mut later = |deadline: Instant| next = next.map(|next| next.min(deadline));
        if let Some(alive) = &mut self.alive {
            if now >= alive.since + alive.interval {
                alive.ask(now)?;
            }
            later(alive.since + alive.interval);
        }
        if let Some(Unused {
            timeout,
            since: Some(since),
        }) = self.unused
        {
            if now >= since + timeout {
                return Err(EngineEnd::Unused);
            }
            later(since + timeout);
        }
        let Idle {
            watched,
            global,
            traffic,
            ..
        } = &mut self.idle;
        let deadline = |since: Instant, time: IdleSeconds| (since + time.duration(), time);
        let global = global.map(|time| deadline(*traffic, time));
        watched.retain(|number, watched| {
            let own = watched.timeout.map(|time| deadline(watched.traffic, time));
            let all = own.into_iter().chain(global);
            let Some((deadline, time)) = all.min_by_key(|(deadline, _)| *deadline) else {
                return false;
            };
            if now < deadline {
                later(deadline);
                return true;
            }
            if let Some(channel) = channels.get_mut(*number) {
                channel.expire(time);
            }
            false
        });
        Ok(next)
    }
}

impl Alive {
    /// Asks the client once more, unless it has left too many questions open.
    fn ask(&mut self, now: Instant) -> Result<(), EngineEnd> {
        self.unanswered = self.unanswered.saturating_add(1);
        if self.count_max != 0 && self.unanswered > self.count_max {
            return Err(EngineEnd::Unresponsive);
        }
        self.since = now;
        self.probe = Probe::Due;
        Ok(())
    }
}

fn duration(seconds: u32) -> Option<Duration> {
    (seconds != 0).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use rpc::lane::ChannelTimeouts;

    use super::super::channel::{Channel, Opening};
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn channels(numbers: &[Number]) -> Channels {
        let mut channels = Channels::default();
        for number in numbers {
            let opening = Opening {
                peer: *number,
                window: 1000,
                packet: 1000,
            };
            channels.insert(*number, Channel::new(opening, 1000));
        }
        channels
    }

    fn alive(start: Instant, count_max: u32) -> Timers {
        let grant = SessionGrant {
            client_alive_interval: 15,
            client_alive_count_max: count_max,
            ..SessionGrant::default()
        };
        Timers::new(start, &grant)
    }

    #[test]
    fn a_silent_client_is_asked_and_then_given_up() {
        let (start, mut none) = (Instant::now(), Channels::default());
        let mut timers = alive(start, 3);
        assert_eq!(timers.look(start, &mut none), Ok(Some(after(start, 15))));
        assert_eq!(timers.next_probe(), None);
        for at in [15, 30, 45] {
            let next = timers.look(after(start, at), &mut none);
            assert_eq!(next, Ok(Some(after(start, at + 15))));
            assert!(timers.next_probe().is_some_and(|probe| {
                probe.first() == Some(&GLOBAL_REQUEST) && probe.last() == Some(&1)
            }));
            assert_eq!(timers.next_probe(), None, "asked once");
        }
        let end = timers.look(after(start, 60), &mut none);
        assert_eq!(end, Err(EngineEnd::Unresponsive));
    }

    #[test]
    fn any_packet_is_a_sign_of_life() {
        let (start, mut none) = (Instant::now(), Channels::default());
        let mut timers = alive(start, 1);
        timers.look(after(start, 15), &mut none).unwrap();
        timers.heard(after(start, 29));
        assert_eq!(timers.next_probe(), None, "not asked any more");
        let next = timers.look(after(start, 30), &mut none);
        assert_eq!(next, Ok(Some(after(start, 44))));
        timers.look(after(start, 44), &mut none).unwrap();
        let end = timers.look(after(start, 59), &mut none);
        assert_eq!(end, Err(EngineEnd::Unresponsive));
    }

    #[test]
    fn without_a_limit_a_client_is_asked_forever() {
        let (start, mut none) = (Instant::now(), Channels::default());
        let mut timers = alive(start, 0);
        for question in 1..1000 {
            let now = after(start, 15 * question);
            assert!(timers.look(now, &mut none).is_ok());
        }
    }

    #[tokio::test]
    async fn a_connection_without_channels_ends() {
        let (start, mut none) = (Instant::now(), Channels::default());
        let grant = SessionGrant {
            unused_connection_timeout: 60,
            ..SessionGrant::default()
        };
        let mut timers = Timers::new(start, &grant);
        let next = timers.look(after(start, 59), &mut none);
        assert_eq!(next, Ok(Some(after(start, 60))));
        let end = timers.look(after(start, 60), &mut none);
        assert_eq!(end, Err(EngineEnd::Unused));
        // One without a program is none, one with a program is.
        let mut timers = Timers::new(start, &grant);
        let mut some = channels(&[1]);
        timers.observe(&mut some);
        assert_eq!(timers.unused.as_ref().unwrap().since, Some(start));
        let (stdin, _program) = rpc::lane::stream_pair().unwrap();
        let stdin = rpc::reactor::watch(stdin, tokio::io::Interest::WRITABLE).unwrap();
        some.get_mut(1).unwrap().open_input(stdin.into());
        timers.observe(&mut some);
        assert!(timers.look(after(start, 1000), &mut some).is_ok());
    }

    fn idle(start: Instant, seconds: u32, global: u32) -> Timers {
        let channel_timeouts = ChannelTimeouts {
            types: vec![(ChannelType::Shell, IdleSeconds(seconds))],
            global: IdleSeconds(global),
        };
        let grant = SessionGrant {
            channel_timeouts,
            ..SessionGrant::default()
        };
        let mut timers = Timers::new(start, &grant);
        timers.watch(start, 1, &ChannelType::Shell);
        timers.watch(start, 2, &ChannelType::Command);
        timers
    }

    fn expired(channels: &mut Channels) -> Vec<Number> {
        let is = |number: &Number| {
            channels
                .get(*number)
                .is_some_and(|channel| channel.expired().is_some())
        };
        [1, 2].into_iter().filter(is).collect()
    }

    #[test]
    fn a_channel_without_traffic_expires_and_others_do_not() {
        let start = Instant::now();
        let (mut timers, mut some) = (idle(start, 60, 0), channels(&[1, 2]));
        let next = timers.look(after(start, 59), &mut some);
        assert_eq!(next, Ok(Some(after(start, 60))));
        assert_eq!(expired(&mut some), [0; 0]);
        timers.look(after(start, 60), &mut some).unwrap();
        assert_eq!(expired(&mut some), [1]);
    }

    #[test]
    fn traffic_in_either_direction_keeps_a_channel() {
        let start = Instant::now();
        for direction in ["to the client", "to the program"] {
            let (mut timers, mut some) = (idle(start, 60, 0), channels(&[1, 2]));
            let channel = some.get_mut(1).unwrap();
            match direction {
                "to the client" => channel.sent(1),
                _ => {
                    channel.receive(b"x").unwrap();
                    channel.discard_input();
                }
            }
            timers.observe(&mut some);
            timers.look(after(start, 60), &mut some).unwrap();
            assert_eq!(expired(&mut some), [0; 0], "{direction}");
            timers.observe(&mut some);
            timers.look(after(start, 61), &mut some).unwrap();
            assert_eq!(expired(&mut some), [1], "{direction}: it was only once");
        }
    }

    #[test]
    fn traffic_on_one_channel_keeps_all_of_a_global_timeout() {
        let start = Instant::now();
        let (mut timers, mut some) = (idle(start, 0, 60), channels(&[1, 2]));
        some.get_mut(2).unwrap().sent(1);
        timers.observe(&mut some);
        timers.look(after(start, 60), &mut some).unwrap();
        assert_eq!(expired(&mut some), [0; 0]);
        timers.look(after(start, 61), &mut some).unwrap();
        assert_eq!(expired(&mut some), [1, 2]);
    }
}
