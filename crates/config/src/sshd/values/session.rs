//! SessionProperties: what a session may use of the machine, in systemd's words.

use super::numbers::{self, within};
use crate::sshd::lexer::Malformed;
use crate::sshd::lexer::Word;
use crate::sshd::report::{closest, did_you_mean};
use crate::sshd::setting::{Arguments, Kind, joined, or_none};
use std::fmt;
use std::time::Duration;

/// SessionProperties; none is an empty list. The first line counts as a whole, as of most keywords.
pub(crate) const PROPERTIES: Kind<Vec<SessionProperty>> = Kind::new(properties, |properties| {
    or_none(joined(properties.iter().map(ToString::to_string)))
});

/// One of the properties of a session's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionProperty {
    /// MemoryMax=, in bytes: systemd.resource-control(5).
    MemoryMax(Bound),
    /// TasksMax=, in processes and threads: systemd.resource-control(5). Never a percentage: none reached a
    /// session's scope when it was tried (systemd 252).
    TasksMax(Bound),
    /// CPUWeight=, 1 to 10000: systemd.resource-control(5).
    CpuWeight(u32),
    /// CPUQuota=, in percent of one processor, 1 to 100000: systemd.resource-control(5).
    CpuQuota(u32),
    /// IOWeight=, 1 to 10000: systemd.resource-control(5).
    IoWeight(u32),
    /// RuntimeMaxSec=, whole seconds and not zero: systemd.scope(5).
    RuntimeMaxSec(Duration),
}

/// How much of something there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// So much; not zero.
    Absolute(u64),
    /// So much of what the machine has, 1 to 100.
    Percent(u32),
    /// No bound, also if the system's default is one.
    Infinity,
}

/// The names, and what is expected after each.
const KNOWN: [(&str, &str); 6] = [
    (
        "MemoryMax",
        "a size as in MemoryMax=512M, MemoryMax=10% or MemoryMax=infinity",
    ),
    (
        "TasksMax",
        "a number as in TasksMax=100, or TasksMax=infinity",
    ),
    ("CPUWeight", "a weight from CPUWeight=1 to CPUWeight=10000"),
    (
        "CPUQuota",
        "a share of one processor as in CPUQuota=20% or CPUQuota=150%",
    ),
    ("IOWeight", "a weight from IOWeight=1 to IOWeight=10000"),
    (
        "RuntimeMaxSec",
        "a time as in RuntimeMaxSec=90 or RuntimeMaxSec=1h30m",
    ),
];

impl SessionProperty {
    /// Its name, as systemd spells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let [memory, tasks, cpu, quota, io, runtime] = KNOWN.map(|(name, _)| name);
        match self {
            Self::MemoryMax(_) => memory,
            Self::TasksMax(_) => tasks,
            Self::CpuWeight(_) => cpu,
            Self::CpuQuota(_) => quota,
            Self::IoWeight(_) => io,
            Self::RuntimeMaxSec(_) => runtime,
        }
    }

    /// Its value in a form that both this file and systemd read: digits, `N%` or `infinity`.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::MemoryMax(bound) | Self::TasksMax(bound) => bound.to_string(),
            Self::CpuWeight(weight) | Self::IoWeight(weight) => weight.to_string(),
            Self::CpuQuota(percent) => format!("{percent}%"),
            Self::RuntimeMaxSec(time) => time.as_secs().to_string(),
        }
    }

    fn read(name: &str, value: &str) -> Option<Self> {
        let weight = || within(value, 1..=10_000);
        Some(match name {
            "MemoryMax" => Self::MemoryMax(Bound::read(value, numbers::size)?),
            "TasksMax" if !value.ends_with('%') => Self::TasksMax(Bound::read(value, |value| {
                within(value, 1..=0x7fff_ffff).map(u64::from)
            })?),
            "CPUWeight" => Self::CpuWeight(weight()?),
            "CPUQuota" => Self::CpuQuota(within(value.strip_suffix('%')?, 1..=100_000)?),
            "IOWeight" => Self::IoWeight(weight()?),
            "RuntimeMaxSec" => {
                Self::RuntimeMaxSec(numbers::time(value).and_then(numbers::some_if_not_zero)?)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for SessionProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name(), self.value())
    }
}

impl Bound {
    /// Nothing can run with none of it, so zero is a mistake.
    fn read(text: &str, absolute: impl FnOnce(&str) -> Option<u64>) -> Option<Self> {
        if text == "infinity" {
            return Some(Self::Infinity);
        }
        match text.strip_suffix('%') {
            Some(percent) => within(percent, 1..=100).map(Self::Percent),
            None => absolute(text)
                .filter(|amount| *amount > 0)
                .map(Self::Absolute),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(amount) => write!(f, "{amount}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Infinity => f.write_str("infinity"),
        }
    }
}

fn properties(arguments: &mut Arguments<'_>) -> Result<Vec<SessionProperty>, Malformed> {
    let words = arguments.words_or("none", "none, or properties such as MemoryMax=512M")?;
    let mut properties: Vec<SessionProperty> = Vec::new();
    for word in words {
        let property = property(word).map_err(|expected| arguments.bad(word, expected))?;
        if properties
            .iter()
            .any(|known| known.name() == property.name())
        {
            return Err(arguments.bad(word, "a property that the line does not have yet"));
        }
        properties.push(property);
    }
    Ok(properties)
}

/// Reads NAME=VALUE, or says what was expected.
fn property(word: &Word) -> Result<SessionProperty, String> {
    let (name, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
    match KNOWN.iter().find(|(known, _)| *known == name) {
        Some((name, expected)) => {
            SessionProperty::read(name, value).ok_or_else(|| (*expected).to_owned())
        }
        None => {
            let names = KNOWN.map(|(name, _)| name);
            let suggestion = did_you_mean(closest(name, names.into_iter()));
            Err(format!(
                "one of {} with a value{suggestion}",
                names.join("=, ") + "="
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_systemd_reads() {
        for (name, value, shown) in [
            ("MemoryMax", "100M", "104857600"),
            ("MemoryMax", "2k", "2048"),
            ("MemoryMax", "1T", "1099511627776"),
            ("MemoryMax", "50%", "50%"),
            ("MemoryMax", "infinity", "infinity"),
            ("TasksMax", "50", "50"),
            ("TasksMax", "infinity", "infinity"),
            ("CPUWeight", "1", "1"),
            ("CPUQuota", "150%", "150%"),
            ("IOWeight", "10000", "10000"),
            ("RuntimeMaxSec", "1h30m", "5400"),
        ] {
            let property = SessionProperty::read(name, value).unwrap();
            assert_eq!(property.to_string(), format!("{name}={shown}"));
            assert_eq!(SessionProperty::read(name, shown), Some(property));
        }
    }

    #[test]
    fn values_that_let_nothing_run_or_mean_nothing_are_refused() {
        for (name, value) in [
            ("MemoryMax", ""),
            ("MemoryMax", "0"),
            ("MemoryMax", "-1"),
            ("MemoryMax", "0%"),
            ("MemoryMax", "101%"),
            ("MemoryMax", "M"),
            ("MemoryMax", "Infinity"),
            ("TasksMax", "0"),
            ("TasksMax", "5K"),
            ("TasksMax", "10%"),
            ("TasksMax", "99999999999"),
            ("CPUWeight", "0"),
            ("CPUWeight", "10001"),
            ("CPUWeight", "idle"),
            ("CPUQuota", "0%"),
            ("CPUQuota", "50"),
            ("CPUQuota", "infinity"),
            ("IOWeight", "50%"),
            ("RuntimeMaxSec", "0"),
            ("RuntimeMaxSec", "5y"),
            ("memorymax", "1M"),
            ("Delegate", "1"),
        ] {
            assert_eq!(SessionProperty::read(name, value), None, "{name}={value}");
        }
    }
}
