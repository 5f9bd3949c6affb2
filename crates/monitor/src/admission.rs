//! Whether a client gets a worker, decided before one is spent: MaxStartups, PerSourceMaxStartups,
//! PerSourcePenalties.
//!
//! The address is what getpeername(2) says, and the reason for a penalty is what the monitor itself saw
//! of a connection: nothing of it is a worker's word. Who has no IP address belongs to no source.
//!
//! A [`Ticket`] stands for one unauthenticated connection. It is given back by dropping it, at login
//! or when the connection ends, whatever way it ends.

mod penalties;
mod throttling;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use config::pattern::Verdict as ListVerdict;
use config::sshd::{
    AddressList, MaxStartups, PerSourceNetBlockSize, PerSourcePenalties, SshdConfig,
};
use rpc::Network;
use tokio::time::Instant;

pub use self::penalties::{Effect, Force, Listed, Offence, Refused};
pub use self::throttling::{Flood, Remark};

use self::penalties::Penalties;
use self::throttling::Throttling;

/// Exemptions that administrators may add while the monitor runs. For more of them there is
/// PerSourcePenaltyExemptList.
const EXEMPTIONS: usize = 1024;

/// The settings.
#[derive(Debug, Clone)]
pub struct Limits {
    /// MaxStartups.
    pub max_startups: MaxStartups,
    /// PerSourceMaxStartups.
    pub per_source: Option<u32>,
    /// PerSourceNetBlockSize.
    pub block: PerSourceNetBlockSize,
    /// PerSourcePenalties.
    pub penalties: PerSourcePenalties,
    /// PerSourcePenaltyExemptList.
    pub exempt: Option<AddressList>,
}

/// Who has a connection without a login, and who misbehaved. Clones are the same.
#[derive(Debug, Default, Clone)]
pub struct Admission(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    unauthenticated: u32,
    /// The same by source. No source stands here with nothing.
    by_source: BTreeMap<Network, u32>,
    throttling: Throttling,
    penalties: Penalties,
    exempt: Vec<Network>,
}

/// One unauthenticated connection.
#[derive(Debug)]
pub struct Ticket {
    admission: Admission,
    source: Option<Network>,
}

/// What becomes of a new connection.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on.
    Admitted(Ticket),
    /// It is dropped; so many were unauthenticated already.
    Dropped {
        /// "#N" of the log line.
        number: u32,
        /// Why.
        reason: Reason,
    },
}

/// Why a connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// MaxStartups.
    MaxStartups,
    /// PerSourceMaxStartups.
    PerSourceMaxStartups,
    /// PerSourcePenalties.
    Penalty(Refused),
}

/// What became of a wish to exempt a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// It is, until the monitor ends.
    Added,
    /// There are too many already.
    TooMany,
}

impl Limits {
    /// What a configuration says outside of Match: nobody has a name yet.
    pub fn of(config: &SshdConfig) -> Self {
        Self {
            max_startups: config.max_startups,
            per_source: config.per_source_max_startups,
            block: config.per_source_net_block_size,
            penalties: config.per_source_penalties.clone(),
            exempt: config.per_source_penalty_exempt.clone(),
        }
    }

    /// For how long an offence is penalised.
    pub fn time(&self, offence: Offence) -> Duration {
        self.penalties.time(offence.configured())
    }

    /// The source that an address belongs to.
    pub fn source(&self, address: IpAddr) -> Network {
        let prefix = match address.to_canonical() {
            IpAddr::V4(_) => self.block.v4,
            IpAddr::V6(_) => self.block.v6,
        };
        Network::around(address, prefix)
    }
}

impl Admission {
    /// Decides about one new connection, and what is to be said about all of them. `roll` is a random
    /// number below 100.
    pub fn decide(
        &self,
        peer: Option<IpAddr>,
        limits: &Limits,
        roll: u32,
        now: Instant,
    ) -> (Verdict, Option<Remark>) {
        let mut books = self.books();
        let number = books.unauthenticated;
        let dropped = |reason| Verdict::Dropped { number, reason };
        if let Err(refused) = books.check_penalty(peer, limits, now) {
            return (dropped(Reason::Penalty(refused)), None);
        }
        let source = peer.map(|peer| limits.source(peer));
        let of_source = source.map_or(0, |source| books.of_source(source));
        let max_startups = limits.max_startups;
        let full = if roll < drop_percentage(max_startups, number) {
            Some(Reason::MaxStartups)
        } else if source.is_some() && limits.per_source.is_some_and(|most| of_source >= most) {
            Some(Reason::PerSourceMaxStartups)
        } else {
            None
        };
        if let Some(reason) = full {
            let remark = books.throttling.drop_one(now);
            return (dropped(reason), remark);
        }
        let remark = match number.saturating_add(1) < max_startups.start {
            true => books.throttling.relax(now),
            false => None,
        };
        drop(books);
        (Verdict::Admitted(self.admit(peer, limits)), remark)
    }

    /// Lets a connection in that somebody else has accepted and answers for.
    pub fn admit(&self, peer: Option<IpAddr>, limits: &Limits) -> Ticket {
        let source = peer.map(|peer| limits.source(peer));
        let mut books = self.books();
        books.unauthenticated = books.unauthenticated.saturating_add(1);
        if let Some(source) = source {
            let count = books.by_source.entry(source).or_default();
            *count = count.saturating_add(1);
        }
        drop(books);
        Ticket {
            admission: self.clone(),
            source,
        }
    }

    /// How many connections have not authenticated.
    pub fn unauthenticated(&self) -> u32 {
        self.books().unauthenticated
    }

    /// A connection from this address ended without a login. `None`: that has no penalty.
    pub fn penalise(
        &self,
        peer: IpAddr,
        offence: Offence,
        limits: &Limits,
        now: Instant,
    ) -> Option<Effect> {
        let mut books = self.books();
        if books.is_exempt(peer, limits) == Exempt::Yes {
            return None;
        }
        books.penalties.add(peer, offence, limits, now)
    }

    /// Somebody logged in from this address: there is an honest user behind it.
    pub fn pardon(&self, peer: IpAddr, limits: &Limits) {
        self.books().penalties.pardon(limits.source(peer));
    }

    /// Takes away the penalties of these addresses, or all of them; how many there were.
    pub fn clear(&self, which: Option<Network>, now: Instant) -> usize {
        self.books().penalties.clear(which, now)
    }

    /// No penalty for these addresses, until the monitor ends.
    pub fn exempt(&self, network: Network) -> Exemption {
        let mut books = self.books();
        if books.exempt.contains(&network) {
            return Exemption::Added;
        }
        if books.exempt.len() >= EXEMPTIONS {
            return Exemption::TooMany;
        }
        books.exempt.push(network);
        Exemption::Added
    }

    /// The penalties that there are, and what administrators exempted.
    pub fn list(&self, now: Instant) -> (Vec<Listed>, Vec<Network>) {
        let mut books = self.books();
        (books.penalties.list(now), books.exempt.clone())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing in here panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether penalties are for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exempt {
    Yes,
    No,
}

impl Books {
    fn check_penalty(
        &mut self,
        peer: Option<IpAddr>,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), Refused> {
        match peer {
            Some(peer) if self.is_exempt(peer, limits) == Exempt::No => {
                self.penalties.check(peer, limits, now)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_exempt(&self, peer: IpAddr, limits: &Limits) -> Exempt {
        let listed = |list: &AddressList| list.verdict(peer) == ListVerdict::Included;
        let exempt = limits.exempt.as_ref().is_some_and(listed)
            || self.exempt.iter().any(|network| network.contains(peer));
        match exempt {
            true => Exempt::Yes,
            false => Exempt::No,
        }
    }

    fn of_source(&self, source: Network) -> u32 {
        self.by_source.get(&source).copied().unwrap_or(0)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut books = self.admission.books();
        books.unauthenticated = books.unauthenticated.saturating_sub(1);
        if let Some(source) = self.source {
            match books.of_source(source).saturating_sub(1) {
                0 => books.by_source.remove(&source),
                left => books.by_source.insert(source, left),
            };
        }
    }
}

/// The chance in percent that a connection is dropped while `number` are unauthenticated
/// (sshd_config(5), MaxStartups): nothing below `start`, from `rate` at `start` linearly to all at
/// `full`. Integer arithmetic as in sshd, so that the numbers are the same.
fn drop_percentage(limits: MaxStartups, number: u32) -> u32 {
    let MaxStartups { start, rate, full } = limits;
    if number < start {
        return 0;
    }
    if number >= full || rate >= 100 {
        return 100;
    }
    let (above, span) = (u64::from(number - start), u64::from(full - start));
    let share = u64::from(100 - rate) * above / span.max(1);
    rate.saturating_add(u32::try_from(share).unwrap_or(100))
}

impl Reason {
    /// OpenSSH's words.
    pub fn words(self) -> &'static str {
        match self {
            Self::MaxStartups | Self::PerSourceMaxStartups => "past Maxstartups",
            Self::Penalty(refused) => refused.reason(),
        }
    }

    /// The same for programs, where the words do not tell two settings apart.
    pub fn cause(self) -> &'static str {
        match self {
            Self::MaxStartups => "MaxStartups",
            Self::PerSourceMaxStartups => "PerSourceMaxStartups",
            Self::Penalty(refused) => refused.reason(),
        }
    }
}

#[cfg(test)]
mod tests;
