//! AuthenticationMethods: which methods a connection has still to complete.
//!
//! As sshd: a list is done in its order, a completed method is taken from the front of every list
//! that begins with it, and the first list that is empty is enough. Lists with a method that is
//! switched off are never begun; if that leaves none, the connection is [hopeless](Prospect). Methods
//! that no list begins with are refused unheard.

use std::collections::VecDeque;
use std::fmt;

use accounts::Method;
use config::authorized_keys::{Constraints, MergeError};
use config::sshd::AuthenticationMethods;

use crate::client_key::ClientKey;
use crate::proof::MethodProof;

/// What was proved, and what is wanted still.
#[derive(Debug)]
pub struct Progress {
    wanted: Wanted,
    proofs: Vec<MethodProof>,
    /// Those of all proofs.
    constraints: Box<Constraints>,
}

/// All methods of one list. Made by [`Progress::take`] only.
#[derive(Debug)]
pub struct CompletedMethods {
    proofs: Vec<MethodProof>,
    constraints: Box<Constraints>,
}

/// What a completed method comes to.
#[derive(Debug)]
pub enum Advance {
    /// A list is complete.
    Complete(CompletedMethods),
    /// Further methods are wanted: "partial success" of RFC 4252 section 5.1.
    Partial(Progress),
    /// No list wants this proof now.
    Unwanted(Progress),
    /// What it restricts the session to is against what an earlier one does.
    Inconsistent(Progress, MergeError),
}

/// Whether a login can come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// There is a method to try.
    Open,
    /// Each list names a method that is switched off.
    Hopeless,
}

/// A list that is never begun, for the journal: sshd's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The first of its methods that is switched off.
    method: String,
    list: String,
}

impl Skipped {
    /// As sshd_config(5) has it.
    pub fn list(&self) -> &str {
        &self.list
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, list } = self;
        write!(
            f,
            "Disabled method \"{method}\" in AuthenticationMethods list \"{list}\""
        )
    }
}

#[derive(Debug)]
enum Wanted {
    /// `any`
    AnyOne,
    /// What is left of each list; none is empty.
    OneOf(Vec<VecDeque<Item>>),
}

/// What a completed method means to the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Unwanted,
    Partial,
    Complete,
}

/// `keyboard-interactive:pam`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    method: Method,
    submethod: Option<String>,
}

impl Item {
    /// The name of a method that is switched off instead, or that this server does not have: GSSAPI.
    fn parse(text: &str, enabled: &impl Fn(Method) -> bool) -> Result<Self, String> {
        let (name, submethod) = match text.split_once(':') {
            Some((name, submethod)) => (name, Some(submethod.to_owned())),
            None => (text, None),
        };
        let mut known = Method::ALL.into_iter();
        match known.find(|method| method.name() == name && enabled(*method)) {
            Some(method) => Ok(Self { method, submethod }),
            None => Err(name.to_owned()),
        }
    }

    /// Whether a method that was completed by this submethod is what is wanted. One without
    /// submethods is never one of them.
    fn is(&self, method: Method, submethod: Option<&str>) -> bool {
        self.method == method
            && (self.submethod.is_none() || self.submethod.as_deref() == submethod)
    }
}

impl Wanted {
    fn begins_with(&self, wanted: impl Fn(&Item) -> bool) -> bool {
        match self {
            Self::AnyOne => true,
            Self::OneOf(lists) => lists.iter().any(|list| list.front().is_some_and(&wanted)),
        }
    }

    /// Takes a method from the front of each list that begins with it.
    fn advance(&mut self, method: Method, submethod: Option<&str>) -> Step {
        let lists = match self {
            Self::AnyOne => return Step::Complete,
            Self::OneOf(lists) => lists,
        };
        let is_it = |item: &Item| item.is(method, submethod);
        let mut step = Step::Unwanted;
        for list in lists {
            if list.pop_front_if(|item| is_it(item)).is_some() {
                step = match (step, list.is_empty()) {
                    (Step::Complete, _) | (_, true) => Step::Complete,
                    (Step::Unwanted | Step::Partial, false) => Step::Partial,
                };
            }
        }
        step
    }
}

impl Progress {
    /// Nothing is proved. `enabled` says which methods are switched on. Also yields the lists that have others.
    pub fn new(
        methods: &AuthenticationMethods,
        enabled: impl Fn(Method) -> bool,
    ) -> (Self, Vec<Skipped>) {
        let (mut left, mut skipped) = (Vec::new(), Vec::new());
        for list in methods.lists() {
            match list
                .iter()
                .map(|item| Item::parse(item, &enabled))
                .collect()
            {
                Ok(items) => left.push(items),
                Err(method) => skipped.push(Skipped {
                    method,
                    list: list.join(","),
                }),
            }
        }
        let this = Self {
            wanted: match methods.lists() {
                [] => Wanted::AnyOne,
                _ => Wanted::OneOf(left),
            },
            proofs: Vec::new(),
            constraints: Box::default(),
        };
        (this, skipped)
    }

    /// Whether a login can come of it.
    pub fn prospect(&self) -> Prospect {
        match &self.wanted {
            Wanted::OneOf(lists) if lists.is_empty() => Prospect::Hopeless,
            Wanted::AnyOne | Wanted::OneOf(_) => Prospect::Open,
        }
    }

    /// What later proofs depend on, for tests.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        let proofs = self
            .proofs
            .iter()
            .map(|proof| (proof.method(), proof.key()));
        format!("{:?} {:?}", self.wanted, proofs.collect::<Vec<_>>())
    }

    /// What was completed, as ExposeAuthInfo and PAM modules are told: a line for each method, in
    /// sshd's form.
    pub fn auth_info(&self) -> String {
        self.proofs.iter().map(MethodProof::auth_info).collect()
    }

    /// Whether a method can be tried now, as far as its name tells.
    pub fn wants(&self, method: Method) -> bool {
        self.wanted.begins_with(|item| item.method == method)
    }

    /// Whether a method can be tried now by one of its submethods.
    pub fn wants_submethod(&self, method: Method, submethod: &str) -> bool {
        let wanted = |item: &Item| item.is(method, Some(submethod));
        self.wanted.begins_with(wanted)
    }

    /// Whether this key was part of a proof already: a list with two keys wants two different ones.
    /// A certificate for a key is no other key than itself.
    pub fn has_used(&self, key: &ClientKey) -> bool {
        let mut used = self.proofs.iter().filter_map(MethodProof::key);
        used.any(|used| used.is_same_key(key))
    }

    /// Takes a proof. One with a key that was used already is not wanted.
    pub fn take(mut self, proof: MethodProof) -> Advance {
        if proof.key().is_some_and(|key| self.has_used(key)) {
            return Advance::Unwanted(self);
        }
        let added = proof.constraints().cloned().unwrap_or_default();
        let constraints = match (*self.constraints).clone().merge(added) {
            Ok(constraints) => constraints,
            Err(why) => return Advance::Inconsistent(self, why),
        };
        let step = self.wanted.advance(proof.method(), proof.submethod());
        if step == Step::Unwanted {
            return Advance::Unwanted(self);
        }
        self.proofs.push(proof);
        *self.constraints = constraints;
        match step {
            Step::Unwanted | Step::Partial => Advance::Partial(self),
            Step::Complete => Advance::Complete(CompletedMethods {
                proofs: self.proofs,
                constraints: self.constraints,
            }),
        }
    }
}

impl CompletedMethods {
    /// The proofs in the order in which they were given; at least one.
    pub fn proofs(&self) -> &[MethodProof] {
        &self.proofs
    }

    /// What all of them together restrict the session to.
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }
}

#[cfg(test)]
mod tests;
