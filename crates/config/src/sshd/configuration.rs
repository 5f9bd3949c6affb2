//! A configuration file as a whole: what holds for every connection, and what Match blocks say.

use super::config::{HostKeys, SshdConfig};
use super::keywords::{Keyword, Scope};
use super::matching::{Condition, Criteria};
use super::report::{Error, Location, Warning};
use super::setting::{Effect, Overlay, Put, Turn};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The conditions around a line, outermost first: those of the Match before an Include hold for what is included.
pub(crate) type Conditions = Arc<[Arc<Condition>]>;

/// A configuration, read. Evaluating it for a connection reads nothing more.
pub struct Configuration {
    /// What holds outside of Match.
    global: Effective,
    /// The lines of Match blocks, in their order.
    matched: Vec<Directive>,
    /// A configuration to be filled.
    blank: SshdConfig,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) refused: Vec<Error>,
}

/// A configuration for one connection.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The values.
    pub config: SshdConfig,
    /// The lines that set them, by the keyword's proper name. What is not in it has its default.
    pub set_by: BTreeMap<&'static str, Vec<Arc<Location>>>,
}

/// A line with a value.
pub(crate) struct Directive {
    pub(crate) keyword: &'static Keyword,
    pub(crate) put: Put,
    pub(crate) conditions: Conditions,
    pub(crate) location: Arc<Location>,
}

impl Configuration {
    pub(crate) fn new(blank: SshdConfig, directives: Vec<Directive>) -> Self {
        let mut global = Effective {
            config: blank.clone(),
            set_by: BTreeMap::new(),
        };
        // As sshd at its start: with no connection, only `Match all` and its like hold.
        let holds = |directive: &&Directive| directive.conditions.iter().all(|c| c.always());
        global.overlay(&blank, directives.iter().filter(holds));
        if global.set_by.contains_key("HostKey") {
            global.config.host_keys_origin = HostKeys::Configured;
        }
        let matched = directives.into_iter().filter(|directive| {
            !directive.conditions.is_empty() && directive.keyword.scope == Scope::Match
        });
        Self {
            global,
            matched: matched.collect(),
            blank,
            warnings: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// What holds for a connection. What a Match block sets stands above everything outside of them.
    #[must_use]
    pub fn effective(&self, connection: &Criteria) -> Effective {
        let mut effective = self.global.clone();
        // The lines of a block share its conditions, which are asked once.
        let mut block: Option<(&Conditions, bool)> = None;
        let directives = self.matched.iter().filter(|directive| {
            let conditions = &directive.conditions;
            let (_, holds) = *match &mut block {
                Some(known) if Arc::ptr_eq(known.0, conditions) => known,
                other => other.insert((conditions, conditions.iter().all(|c| c.holds(connection)))),
            };
            holds
        });
        effective.overlay(&self.blank, directives);
        effective.config.fill_in();
        effective
    }

    /// What holds outside of Match, as the server itself sees it.
    #[must_use]
    pub fn global(&self) -> Effective {
        let mut global = self.global.clone();
        global.config.fill_in();
        global
    }

    /// Whether the names of a user's groups can make a difference to [`effective`](Self::effective) or to who may log in.
    /// To look them up costs a question to the name service each.
    #[must_use]
    pub fn asks_for_groups(&self) -> bool {
        let listed =
            |config: &SshdConfig| !config.allow_groups.is_empty() || !config.deny_groups.is_empty();
        listed(&self.global.config)
            || self.matched.iter().any(|directive| {
                matches!(directive.keyword.name, "AllowGroups" | "DenyGroups")
                    || directive.conditions.iter().any(|c| c.asks_for_groups())
            })
    }

    /// Remarks on what has no effect.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What this version does not enforce and must not ignore. With any of it there is no serving.
    #[must_use]
    pub fn refused(&self) -> &[Error] {
        &self.refused
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configuration")
            .field("global", &self.global)
            .finish_non_exhaustive()
    }
}

impl Effective {
    /// Puts lines of one layer together and brings them over what there is.
    fn overlay<'a>(&mut self, blank: &SshdConfig, directives: impl Iterator<Item = &'a Directive>) {
        let mut layer: BTreeMap<&'static str, (&'static Keyword, Vec<Arc<Location>>)> =
            BTreeMap::new();
        let mut values = blank.clone();
        for directive in directives {
            let (_, lines) = layer
                .entry(directive.keyword.name)
                .or_insert_with(|| (directive.keyword, Vec::new()));
            let turn = if lines.is_empty() {
                Turn::First
            } else {
                Turn::Later
            };
            if (directive.put)(&mut values, turn) == Effect::Counts {
                lines.push(Arc::clone(&directive.location));
            }
        }
        for (name, (keyword, lines)) in layer {
            let overlay = keyword
                .setting
                .map(|setting| setting.overlay(&mut self.config, &values));
            match overlay {
                Some(Overlay::Merged) => self.set_by.entry(name).or_default().extend(lines),
                _ => drop(self.set_by.insert(name, lines)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
