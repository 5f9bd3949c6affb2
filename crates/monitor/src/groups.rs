//! Groups for clients that ask for one to exchange keys in (RFC 4419).
//!
//! The worker passes on what a client wants, and gets a group. What was wanted and what was chosen
//! stay here until the exchange is signed: its hash covers both, and is computed from these values.

use std::path::Path;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use config::moduli::{self, Moduli};
use wire::groups::{ChosenGroup, DhGroup, FixedGroup, GroupRequest};

/// What there is to choose from.
#[derive(Debug, Default)]
pub struct Groups(Vec<DhGroup>);

/// How the key exchange that is under way stands to group exchange.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum GroupExchange {
    /// No group was asked for.
    #[default]
    NotAsked,
    /// This one was given out.
    Chosen(ChosenGroup),
    /// One was asked for and there is none. The connection will end.
    NoneFits,
}

impl Groups {
    /// Those of a file, and what the administrator should know of it. Without any the fixed groups
    /// remain, as in OpenSSH.
    pub fn load(path: &Path) -> (Self, Option<String>) {
        let remark = |error: &dyn std::fmt::Display| Some(format!("{}: {error}", path.display()));
        match moduli::load(path) {
            Ok(Moduli { moduli, left_out }) => {
                let groups = moduli.into_iter().map(|modulus| DhGroup {
                    prime: modulus.prime,
                    generator: modulus.generator,
                });
                let remark = left_out.and_then(|left_out| remark(&left_out));
                (Self(groups.collect()), remark)
            }
            Err(error) => (
                Self::default(),
                remark(&format_args!("{error}; using fixed groups")),
            ),
        }
    }

    /// One of the best size, at random, so that nobody can prepare for one group only. The best is
    /// the smallest that is not below what the client prefers, or else the largest.
    pub fn choose(&self, request: GroupRequest) -> GroupExchange {
        let permitted = request.permitted();
        let preferred = request.preferred();
        let sizes = || {
            self.0
                .iter()
                .map(DhGroup::bits)
                .filter(|bits| permitted.contains(bits))
        };
        let best = sizes()
            .filter(|bits| *bits >= preferred)
            .min()
            .or_else(|| sizes().max());
        let candidates: Vec<&DhGroup> = self
            .0
            .iter()
            .filter(|group| Some(group.bits()) == best)
            .collect();
        let drawn = candidates.get(below(candidates.len())).copied().cloned();
        match drawn.or_else(|| fixed(request)) {
            Some(group) => GroupExchange::Chosen(ChosenGroup { request, group }),
            None => GroupExchange::NoneFits,
        }
    }
}

/// The largest fixed group that the client permits.
fn fixed(request: GroupRequest) -> Option<DhGroup> {
    let fits = |fixed: &FixedGroup| request.permitted().contains(&fixed.bits());
    let largest = FixedGroup::ALL.into_iter().rfind(fits)?;
    Some(largest.group())
}

/// A random number below `count`; its bias does not matter, for the choice is public. So it does
/// not matter either which one it is where there is no randomness.
fn below(count: usize) -> usize {
    let mut bytes = [0; 8];
    match (SystemRandom::new().fill(&mut bytes), u64::try_from(count)) {
        (Ok(()), Ok(count)) => u64::from_ne_bytes(bytes)
            .checked_rem(count)
            .and_then(|index| usize::try_from(index).ok())
            .unwrap_or(0),
        (_, _) => 0,
    }
}

#[cfg(test)]
mod tests;
