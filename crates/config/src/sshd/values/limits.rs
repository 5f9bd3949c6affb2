//! How much and how long: connections, sources that misbehave, channels, keys.

use super::numbers::{self, fractional_time, within};
use crate::pattern::Pattern;
use crate::sshd::address::AddressList;
use crate::sshd::lexer::{self, Malformed};
use crate::sshd::setting::{Arguments, Effect, Kind, joined, or_none};
use std::collections::BTreeMap;
use std::time::Duration;

/// MaxStartups.
pub(crate) const MAX_STARTUPS: Kind<MaxStartups> = Kind::new(
    |arguments| {
        const EXPECTED: &str =
            "a number, or start:rate:full with 1 <= start <= full and a rate from 1 to 100";
        arguments.value(EXPECTED, max_startups)
    },
    |startups| {
        vec![format!(
            "{}:{}:{}",
            startups.start, startups.rate, startups.full
        )]
    },
);

/// PerSourceNetBlockSize.
pub(crate) const NET_BLOCK: Kind<PerSourceNetBlockSize> = Kind::new(
    |arguments| {
        arguments.value("a prefix length for IPv4, or two as 32:128", |word| {
            let (v4, v6) = word.split_once(':').unwrap_or((word, "128"));
            Some(PerSourceNetBlockSize {
                v4: u8::try_from(within(v4, 0..=32)?).ok()?,
                v6: u8::try_from(within(v6, 0..=128)?).ok()?,
            })
        })
    },
    |size| vec![format!("{}:{}", size.v4, size.v6)],
);

/// PerSourcePenaltyExemptList; none is an empty list.
pub(crate) const EXEMPT: Kind<Option<AddressList>> = Kind::new(
    |arguments| {
        let word = arguments.word("addresses and networks, separated by commas")?;
        if word.text.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        AddressList::parse(&word.text)
            .map(Some)
            .map_err(|error| arguments.bad(word, format!("a list of addresses: {error}")))
    },
    |list| or_none(list.as_ref().map(|list| lexer::quoted(list.as_str()))),
);

/// PerSourcePenalties: each line adds what is not decided yet.
pub(crate) const PENALTIES: Kind<PerSourcePenalties> = Kind {
    again: |place, more| {
        let before = place.clone();
        place.complete(more);
        if *place == before {
            Effect::Dropped
        } else {
            Effect::Counts
        }
    },
    ..Kind::new(penalties, |penalties| vec![penalties.shown()])
};

/// ChannelTimeout.
pub(crate) const CHANNEL_TIMEOUTS: Kind<Vec<ChannelTimeout>> = Kind::new(
    |arguments| {
        const EXPECTED: &str = "a type of channel and a time, such as session=5m";
        let words = arguments.words_or("none", EXPECTED)?;
        let timeout = |word: &lexer::Word| {
            let (kind, after) = word.text.split_once('=')?;
            let after = numbers::time(after).map(numbers::some_if_not_zero)?;
            let (channel, text) = (Pattern::new(kind), word.text.clone());
            (!kind.is_empty()).then_some(ChannelTimeout {
                channel,
                after,
                text,
            })
        };
        let read = |word| timeout(word).ok_or_else(|| arguments.bad(word, EXPECTED));
        words.into_iter().map(read).collect()
    },
    |timeouts| {
        let words = timeouts.iter().map(|timeout| lexer::quoted(&timeout.text));
        or_none(joined(words))
    },
);

/// RekeyLimit. A line without a time leaves the time to the next one.
pub(crate) const REKEY: Kind<RekeyLimit> = Kind {
    again: |place, more| match (place.time, more.time) {
        (None, Some(_)) => {
            place.time = more.time;
            Effect::Counts
        }
        _ => Effect::Dropped,
    },
    merge: Some(|place, matched| {
        *place = RekeyLimit {
            bytes: matched.bytes,
            time: matched.time.or(place.time),
        }
    }),
    ..Kind::new(rekey_limit, |limit| {
        let seconds = limit.time.map_or(0, |time| time.as_secs());
        vec![format!("{} {seconds}", limit.bytes.unwrap_or(0))]
    })
};

/// MaxStartups: random early drop of connections that have not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxStartups {
    /// From this many unauthenticated connections on, new ones are dropped at random.
    pub start: u32,
    /// In percent, how many are dropped at `start`; the share grows linearly up to `full`.
    pub rate: u32,
    /// From this many on, all new ones are dropped.
    pub full: u32,
}

/// Reads `start:rate:full`, or one number for a plain limit.
fn max_startups(text: &str) -> Option<MaxStartups> {
    let parts: Vec<u32> = text
        .split(':')
        .map(|part| within(part, 1..=0x7fff_ffff))
        .collect::<Option<_>>()?;
    let (start, rate, full) = match *parts.as_slice() {
        // With start = full there is no room for chance; OpenSSH shows its default rate.
        [full] => (full, 30, full),
        [start, rate, full] if start <= full && rate <= 100 => (start, rate, full),
        _ => return None,
    };
    Some(MaxStartups { start, rate, full })
}

/// PerSourceNetBlockSize: how many leading bits of an address tell sources apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerSourceNetBlockSize {
    /// For IPv4.
    pub v4: u8,
    /// For IPv6.
    pub v6: u8,
}

/// What a source can be penalised for, and the bounds of penalties; in the order of `sshd -T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// crash: the process of the connection crashed.
    Crash,
    /// authfail: authentication was tried in vain.
    AuthFail,
    /// noauth: authentication was not tried.
    NoAuth,
    /// invaliduser: with the name of nobody.
    InvalidUser,
    /// grace-exceeded: not done within LoginGraceTime.
    GraceExceeded,
    /// refuseconnection: refused by RefuseConnection.
    RefuseConnection,
    /// max: no penalty grows longer.
    Max,
    /// min: no penalty is enforced before it is this long.
    Min,
}

impl Offence {
    /// The word in the file, and the default.
    const TABLE: &'static [(&'static str, Self, Duration)] = &[
        ("crash", Self::Crash, Duration::from_secs(90)),
        ("authfail", Self::AuthFail, Duration::from_secs(5)),
        ("noauth", Self::NoAuth, Duration::from_secs(1)),
        ("invaliduser", Self::InvalidUser, Duration::from_secs(5)),
        (
            "grace-exceeded",
            Self::GraceExceeded,
            Duration::from_secs(10),
        ),
        (
            "refuseconnection",
            Self::RefuseConnection,
            Duration::from_secs(10),
        ),
        ("max", Self::Max, Duration::from_secs(600)),
        ("min", Self::Min, Duration::from_secs(15)),
    ];
}

/// What happens to new sources when the table of penalised ones is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// All are refused.
    DenyAll,
    /// Old penalties are forgotten.
    Permissive,
}

/// PerSourcePenalties: what is configured; the methods fill in the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PerSourcePenalties {
    enabled: Option<bool>,
    times: BTreeMap<Offence, Duration>,
    sources: [Option<u32>; 2],
    overflow: [Option<Overflow>; 2],
}

impl PerSourcePenalties {
    /// Whether there are any.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// For how long an offence is penalised, or the bound.
    #[must_use]
    pub fn time(&self, offence: Offence) -> Duration {
        let default = Offence::TABLE
            .iter()
            .find(|(_, known, _)| *known == offence);
        let default = default.map_or(Duration::ZERO, |(_, _, default)| *default);
        self.times.get(&offence).copied().unwrap_or(default)
    }

    /// How many sources are remembered: IPv4, IPv6.
    #[must_use]
    pub fn max_sources(&self) -> [u32; 2] {
        self.sources.map(|sources| sources.unwrap_or(65536))
    }

    /// What happens if there are more: IPv4, IPv6.
    #[must_use]
    pub fn overflow(&self) -> [Overflow; 2] {
        let [v4, v6] = self.overflow;
        let v4 = v4.unwrap_or(Overflow::Permissive);
        [v4, v6.unwrap_or(v4)]
    }

    /// With the defaults for what is not configured.
    pub(crate) fn filled_in(&self) -> Self {
        let offences = Offence::TABLE.iter().map(|(_, offence, _)| *offence);
        Self {
            enabled: Some(self.enabled()),
            times: offences
                .map(|offence| (offence, self.time(offence)))
                .collect(),
            sources: self.max_sources().map(Some),
            overflow: self.overflow().map(Some),
        }
    }

    /// Adds what a later line says.
    fn complete(&mut self, later: Self) {
        let says_more = later
            .times
            .keys()
            .any(|offence| !self.times.contains_key(offence))
            || later
                .sources
                .iter()
                .zip(self.sources)
                .any(|(more, had)| had.is_none() && more.is_some())
            || later
                .overflow
                .iter()
                .zip(self.overflow)
                .any(|(more, had)| had.is_none() && more.is_some());
        // A setting turns them on, also after a `no`.
        self.enabled = if says_more {
            Some(true)
        } else {
            self.enabled.or(later.enabled)
        };
        for (offence, time) in later.times {
            self.times.entry(offence).or_insert(time);
        }
        for (had, more) in self.sources.iter_mut().zip(later.sources) {
            *had = had.or(more);
        }
        for (had, more) in self.overflow.iter_mut().zip(later.overflow) {
            *had = had.or(more);
        }
    }

    fn shown(&self) -> String {
        if !self.enabled() {
            return "no".to_owned();
        }
        let mut words: Vec<String> = Vec::new();
        for (name, offence, _) in Offence::TABLE {
            words.push(format!("{name}:{:.6}", self.time(*offence).as_secs_f64()));
        }
        let [sources4, sources6] = self.max_sources();
        words.push(format!("max-sources4:{sources4} max-sources6:{sources6}"));
        let name = |overflow| match overflow {
            Overflow::DenyAll => "deny-all",
            Overflow::Permissive => "permissive",
        };
        let [overflow4, overflow6] = self.overflow().map(name);
        words.push(format!("overflow:{overflow4} overflow6:{overflow6}"));
        words.join(" ")
    }

    /// Reads one word such as `crash:90`. Of a word that occurs twice the first counts.
    fn add(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once(':')?;
        let sources = |value| within(value, 0..=0x7fff_ffff);
        let overflow = |value| match value {
            "deny-all" => Some(Overflow::DenyAll),
            "permissive" => Some(Overflow::Permissive),
            _ => None,
        };
        let [sources4, sources6] = &mut self.sources;
        let [overflow4, overflow6] = &mut self.overflow;
        match name {
            "max-sources4" => keep(sources4, sources(value)?),
            "max-sources6" => keep(sources6, sources(value)?),
            "overflow" => keep(overflow4, overflow(value)?),
            "overflow6" => keep(overflow6, overflow(value)?),
            name => {
                let (_, offence, _) = Offence::TABLE.iter().find(|(known, ..)| *known == name)?;
                let time = fractional_time(value)?;
                self.times.entry(*offence).or_insert(time);
            }
        }
        self.enabled = Some(true);
        Some(())
    }
}

fn keep<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

fn penalties(arguments: &mut Arguments<'_>) -> Result<PerSourcePenalties, Malformed> {
    const EXPECTED: &str = "yes, no, or a setting such as crash:90s or max-sources4:65536";
    let words = arguments.words(EXPECTED)?;
    let mut penalties = PerSourcePenalties::default();
    for word in &words {
        let switch = ["no", "yes"]
            .iter()
            .position(|switch| word.text.eq_ignore_ascii_case(switch));
        match switch {
            Some(switch) if words.len() == 1 => penalties.enabled = Some(switch == 1),
            Some(_) => {
                return Err(
                    arguments.bad(word, format!("{EXPECTED}; \"yes\" and \"no\" stand alone"))
                );
            }
            None => penalties
                .add(&word.text)
                .ok_or_else(|| arguments.bad(word, EXPECTED))?,
        }
    }
    Ok(penalties)
}

/// ChannelTimeout: after which time without traffic channels of a type are closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTimeout {
    /// Pattern of the type, such as `session:*` or `global`.
    pub channel: Pattern,
    /// None is never.
    pub after: Option<Duration>,
    text: String,
}

/// RekeyLimit: when the server asks for a new key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyLimit {
    /// After this many bytes in one direction; none leaves it to the cipher (RFC 4344 section 3.2).
    pub bytes: Option<u64>,
    /// After this time; none is never.
    pub time: Option<Duration>,
}

fn rekey_limit(arguments: &mut Arguments<'_>) -> Result<RekeyLimit, Malformed> {
    // OpenSSH refuses limits below 16 bytes too: a key exchange alone sends more.
    const EXPECTED: &str = "\"default\" or a number of bytes, at least 16, such as 1G";
    let bytes = arguments.value(EXPECTED, |word| match word {
        "default" => Some(None),
        word => match numbers::size(word)? {
            0 => Some(None),
            1..16 => None,
            bytes => Some(Some(bytes)),
        },
    })?;
    let time = match arguments.optional() {
        None => None,
        Some(word) if word.text == "none" => None,
        Some(word) => Some(
            numbers::time(&word.text)
                .ok_or_else(|| arguments.bad(word, "\"none\" or a time such as 1h30m"))?,
        ),
    };
    // A time of zero is kept: it says `never`, where no time says nothing.
    Ok(RekeyLimit { bytes, time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startups() {
        let startups = |start, rate, full| Some(MaxStartups { start, rate, full });
        assert_eq!(max_startups("10:30:100"), startups(10, 30, 100));
        assert_eq!(max_startups("7"), startups(7, 30, 7));
        for text in [
            "",
            "0",
            "1:2",
            "10:0:100",
            "10:101:100",
            "10:30:9",
            "0:30:100",
            "a:b:c",
            "1:2:3:4",
            "-1",
        ] {
            assert_eq!(max_startups(text), None, "{text}");
        }
    }

    #[test]
    fn penalties_are_completed_by_later_lines_and_turned_on_by_settings() {
        let read = |words: &[&str]| {
            let mut penalties = PerSourcePenalties::default();
            words.iter().for_each(|word| penalties.add(word).unwrap());
            penalties
        };
        let mut penalties = read(&["crash:1m", "overflow:deny-all"]);
        penalties.complete(read(&["crash:2", "noauth:1.5", "max-sources6:7"]));
        assert_eq!(penalties.time(Offence::Crash), Duration::from_secs(60));
        assert_eq!(penalties.time(Offence::NoAuth), Duration::from_millis(1500));
        assert_eq!(penalties.time(Offence::Max), Duration::from_secs(600));
        assert_eq!(penalties.max_sources(), [65536, 7]);
        assert_eq!(penalties.overflow(), [Overflow::DenyAll; 2]);

        let mut off = PerSourcePenalties {
            enabled: Some(false),
            ..PerSourcePenalties::default()
        };
        assert!(!off.enabled());
        off.complete(read(&["crash:1"]));
        assert!(off.enabled());
        for word in [
            "crash",
            "crash:",
            "crash:-1",
            "boredom:5",
            "overflow:maybe",
            "max-sources4:x",
        ] {
            assert_eq!(PerSourcePenalties::default().add(word), None, "{word}");
        }
    }
}
