//! PerSourcePenalties: a source that misbehaved is refused for a while.
//!
//! As srclimit.c of OpenSSH 10: each offence adds its time to what the source has left, up to `max`;
//! from `min` on, and until the time is over, its connections are refused. The tables of IPv4 and
//! IPv6 sources have a bound each; what happens to more of them is the administrator's choice.
//!
//! Unlike there, a login clears what its source has (see [`Admission`](super::Admission)), and the
//! tables survive a reload. Sources are told apart by the block size that was configured when they
//! were penalised: after it was changed, what they have is not found any more, and runs out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use config::sshd::{self, Overflow};
use rpc::Network;
use tokio::time::Instant;

use super::Limits;

/// What a connection without a login can end with, as far as its source is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// The worker crashed, or broke the contract: somebody may be inside.
    Crash,
    /// Authentication was tried in vain.
    AuthFail,
    /// Authentication was not tried.
    NoAuth,
    /// It was for a user who does not exist or may not log in.
    InvalidUser,
    /// LoginGraceTime.
    GraceExceeded,
    /// RefuseConnection.
    RefuseConnection,
}

impl Offence {
    /// OpenSSH's words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Crash => "penalty: caused crash",
            Self::AuthFail => "penalty: failed authentication",
            Self::NoAuth => "penalty: connections without attempting authentication",
            Self::InvalidUser => "penalty: attempted authentication by invalid user",
            Self::GraceExceeded => "penalty: exceeded LoginGraceTime",
            Self::RefuseConnection => "penalty: connection prohibited by RefuseConnection",
        }
    }

    pub(super) fn configured(self) -> sshd::Offence {
        match self {
            Self::Crash => sshd::Offence::Crash,
            Self::AuthFail => sshd::Offence::AuthFail,
            Self::NoAuth => sshd::Offence::NoAuth,
            Self::InvalidUser => sshd::Offence::InvalidUser,
            Self::GraceExceeded => sshd::Offence::GraceExceeded,
            Self::RefuseConnection => sshd::Offence::RefuseConnection,
        }
    }
}

/// Whether a penalty has reached `min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Its source is refused.
    Active,
    /// Not yet.
    Deferred,
}

/// What a penalty did to the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A source has one that had none.
    New(Force),
    /// The source had one, and is refused from now on; it has so much left.
    Activated(Duration),
    /// The source had one, which is longer now.
    Prolonged(Force, Duration),
    /// There is no room, and `overflow` is `deny-all`.
    NoRoom,
}

/// Why a source is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// For what it did last.
    For(Offence),
    /// For what others did: there are `max-sources` of them, and `overflow` is `deny-all`.
    TooManySources,
}

/// A penalty, for administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Whose.
    pub source: Network,
    /// What for.
    pub offence: Offence,
    /// Whether it counts.
    pub force: Force,
    /// How long it still lasts.
    pub left: Duration,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Penalties {
    v4: Table,
    v6: Table,
}

/// Those of one family of addresses.
#[derive(Debug, Default)]
struct Table {
    by_source: BTreeMap<Network, Penalty>,
    /// The same, those that run out first at the beginning.
    by_expiry: BTreeSet<(Instant, Network)>,
}

#[derive(Debug, Clone, Copy)]
struct Penalty {
    expiry: Instant,
    offence: Offence,
    force: Force,
}

/// The settings of one family of addresses.
struct Bounds {
    sources: usize,
    overflow: Overflow,
}

impl Penalties {
    /// Whether an address must be refused.
    pub(super) fn check(
        &mut self,
        address: IpAddr,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), Refused> {
        if !limits.penalties.enabled() {
            return Ok(());
        }
        let source = limits.source(address);
        let table = self.table(source);
        table.expire(now);
        let bounds = Bounds::of(source, limits);
        if bounds.overflow == Overflow::DenyAll && table.by_source.len() >= bounds.sources {
            return Err(Refused::TooManySources);
        }
        match table.by_source.get(&source) {
            Some(Penalty {
                force: Force::Active,
                offence,
                ..
            }) => Err(Refused::For(*offence)),
            Some(Penalty {
                force: Force::Deferred,
                ..
            })
            | None => Ok(()),
        }
    }

    /// Adds to what an address's source has. `None`: the offence has no penalty.
    pub(super) fn add(
        &mut self,
        address: IpAddr,
        offence: Offence,
        limits: &Limits,
        now: Instant,
    ) -> Option<Effect> {
        let time = limits.time(offence);
        if !limits.penalties.enabled() || time.is_zero() {
            return None;
        }
        let bound = |bound| limits.penalties.time(bound);
        let (min, max) = (bound(sshd::Offence::Min), bound(sshd::Offence::Max));
        let source = limits.source(address);
        let bounds = Bounds::of(source, limits);
        let table = self.table(source);
        table.expire(now);
        if bounds.overflow == Overflow::DenyAll && table.by_source.len() >= bounds.sources {
            return Some(Effect::NoRoom);
        }
        let (left, effect) = match table.remove(source) {
            None if time > min => (time, Effect::New(Force::Active)),
            None => (time, Effect::New(Force::Deferred)),
            Some(had) => {
                let left = had.expiry.saturating_duration_since(now);
                let left = left.saturating_add(time).min(max);
                let effect = match had.force {
                    Force::Deferred if left > min => Effect::Activated(left),
                    force => Effect::Prolonged(force, left),
                };
                (left, effect)
            }
        };
        table.insert(
            source,
            Penalty {
                // A time that no clock reaches is none that anybody configures.
                expiry: now.checked_add(left).unwrap_or(now),
                offence,
                force: effect.force(),
            },
        );
        while table.by_source.len() > bounds.sources {
            table.remove_first();
        }
        Some(effect)
    }

    /// Takes away what a source has.
    pub(super) fn pardon(&mut self, source: Network) {
        self.table(source).remove(source);
    }

    /// Takes away what the sources of these addresses have, or all; how many had something.
    pub(super) fn clear(&mut self, which: Option<Network>, now: Instant) -> usize {
        let meant = |source: &Network| which.is_none_or(|network| network.overlaps(*source));
        let mut count = 0_usize;
        for table in [&mut self.v4, &mut self.v6] {
            table.expire(now);
            let sources: Vec<Network> = table.by_source.keys().copied().filter(meant).collect();
            for source in sources {
                table.remove(source);
                count = count.saturating_add(1);
            }
        }
        count
    }

    /// Those that there are, in the order of their sources.
    pub(super) fn list(&mut self, now: Instant) -> Vec<Listed> {
        [&mut self.v4, &mut self.v6]
            .into_iter()
            .flat_map(|table| {
                table.expire(now);
                table.by_source.iter()
            })
            .map(|(source, penalty)| Listed {
                source: *source,
                offence: penalty.offence,
                force: penalty.force,
                left: penalty.expiry.saturating_duration_since(now),
            })
            .collect()
    }

    fn table(&mut self, source: Network) -> &mut Table {
        match source.address() {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

impl Table {
    fn insert(&mut self, source: Network, penalty: Penalty) {
        self.remove(source);
        self.by_expiry.insert((penalty.expiry, source));
        self.by_source.insert(source, penalty);
    }

    fn remove(&mut self, source: Network) -> Option<Penalty> {
        let penalty = self.by_source.remove(&source)?;
        self.by_expiry.remove(&(penalty.expiry, source));
        Some(penalty)
    }

    fn remove_first(&mut self) {
        if let Some((_, source)) = self.by_expiry.pop_first() {
            self.by_source.remove(&source);
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.by_expiry.first().is_some_and(|(at, _)| *at < now) {
            self.remove_first();
        }
    }
}

impl Bounds {
    fn of(source: Network, limits: &Limits) -> Self {
        let [sources4, sources6] = limits.penalties.max_sources();
        let [overflow4, overflow6] = limits.penalties.overflow();
        let (sources, overflow) = match source.address() {
            IpAddr::V4(_) => (sources4, overflow4),
            IpAddr::V6(_) => (sources6, overflow6),
        };
        Self {
            sources: usize::try_from(sources).unwrap_or(usize::MAX),
            overflow,
        }
    }
}

impl Effect {
    fn force(self) -> Force {
        match self {
            Self::New(force) | Self::Prolonged(force, _) => force,
            Self::Activated(_) => Force::Active,
            Self::NoRoom => Force::Deferred,
        }
    }
}

impl Refused {
    /// OpenSSH's words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::For(offence) => offence.reason(),
            Self::TooManySources => "too many penalised addresses",
        }
    }
}

#[cfg(test)]
mod tests;
