//! What options mean: the constraints under which a key counts, and those under which its session runs.

use super::expiry::{Expiry, LocalTime};
use crate::hosts::HostPatterns;
use crate::sshd::{AddressList, ForwardPort, YesNo};
use std::net::IpAddr;
use thiserror::Error;

use crate::pattern::Verdict;

/// Constraints of a key, or of a certificate. All of them hold together.
///
/// The default is that of a line without options: nothing is constrained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraints {
    /// `from`: the client's host must be in each.
    pub from: Vec<HostPatterns>,
    /// `source-address` of certificates: the client's address must be in each.
    pub source_addresses: Vec<AddressList>,
    /// `expiry-time`: none may be over.
    pub expiry: Vec<Expiry>,
    /// `touch-required`: a signature by a security key must say that somebody touched it.
    pub touch_required: YesNo,
    /// `verify-required`: it must say that the user was verified, by a PIN for example.
    pub verify_required: YesNo,
    /// What the session may do.
    pub session: SessionConstraints,
}

/// What a session may do that was opened with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConstraints {
    /// `command`: what is run whatever the client asks for.
    pub forced_command: Option<String>,
    /// `environment`: names and values, each name once. They count if PermitUserEnvironment permits the name.
    pub environment: Vec<(String, String)>,
    /// `agent-forwarding`
    pub agent_forwarding: YesNo,
    /// `port-forwarding`
    pub port_forwarding: YesNo,
    /// `pty`
    pub pty: YesNo,
    /// `user-rc`: whether `~/.ssh/rc` is run.
    pub user_rc: YesNo,
    /// `X11-forwarding`
    pub x11_forwarding: YesNo,
    /// `permitopen`: where connections may be opened to. Empty is everywhere.
    pub permit_open: Vec<ForwardPort>,
    /// `permitlisten`: where may be listened. Empty is everywhere.
    pub permit_listen: Vec<ForwardPort>,
    /// `tunnel`, or that `restrict` takes tunnels away.
    pub tunnel: Tunnel,
}

/// Which tunnel devices (tun(4)) may be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// Whichever the client asks for.
    Any,
    /// The one with this number, whichever the client asks for.
    Device(u32),
    /// None.
    Refused,
}

/// Who asks, and when.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The client's host: its name if names are looked up (UseDNS), its address otherwise.
    pub host: &'a str,
    /// Its address; none for a client that has none.
    pub address: Option<IpAddr>,
    /// Seconds since 1970.
    pub now: u64,
    /// For times without a zone.
    pub zone: &'a dyn LocalTime,
}

/// A constraint that is not met. `Display` is what OpenSSH says, without file and user.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unmet {
    /// `expiry-time`
    #[error("entry expired at {0}")]
    Expired(Expiry),
    /// `from`
    #[error("not from a permitted host (required={0})")]
    From(String),
    /// `source-address` of a certificate
    #[error("not from a permitted source address (required={0})")]
    SourceAddress(String),
}

/// Constraints that cannot hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MergeError {
    /// Two commands are forced.
    #[error("forced command options do not match")]
    ForcedCommand,
}

impl Default for Constraints {
    fn default() -> Self {
        Self {
            from: Vec::new(),
            source_addresses: Vec::new(),
            expiry: Vec::new(),
            touch_required: YesNo::Yes,
            verify_required: YesNo::No,
            session: SessionConstraints::default(),
        }
    }
}

impl Default for SessionConstraints {
    fn default() -> Self {
        Self {
            forced_command: None,
            environment: Vec::new(),
            agent_forwarding: YesNo::Yes,
            port_forwarding: YesNo::Yes,
            pty: YesNo::Yes,
            user_rc: YesNo::Yes,
            x11_forwarding: YesNo::Yes,
            permit_open: Vec::new(),
            permit_listen: Vec::new(),
            tunnel: Tunnel::Any,
        }
    }
}

impl Constraints {
    /// Whether the key counts for who asks. What the session may do is for others to keep.
    ///
    /// # Errors
    ///
    /// The first constraint that is not met.
    pub fn met_by(&self, situation: Situation<'_>) -> Result<(), Unmet> {
        let Situation {
            host,
            address,
            now,
            zone,
        } = situation;
        if let Some(over) = self.expiry.iter().find(|expiry| expiry.is_over(now, zone)) {
            return Err(Unmet::Expired(*over));
        }
        let elsewhere = |patterns: &&HostPatterns| !patterns.matches(host, address);
        if let Some(patterns) = self.from.iter().find(elsewhere) {
            return Err(Unmet::From(patterns.as_str().to_owned()));
        }
        let elsewhere = |list: &&AddressList| {
            address.is_none_or(|address| list.verdict(address) != Verdict::Included)
        };
        if let Some(list) = self.source_addresses.iter().find(elsewhere) {
            return Err(Unmet::SourceAddress(list.as_str().to_owned()));
        }
        Ok(())
    }

    /// These and others together, as sshauthopt_merge() of OpenSSH: what both permit is permitted, what one requires is
    /// required. Lists of `environment`, `permitopen`, `permitlisten` and a `tunnel` are taken from `self` if it has any;
    /// certificates have none.
    ///
    /// # Errors
    ///
    /// Both force a command, and not the same.
    pub fn merge(mut self, other: Self) -> Result<Self, MergeError> {
        self.from.extend(other.from);
        self.source_addresses.extend(other.source_addresses);
        self.expiry.extend(other.expiry);
        Ok(Self {
            touch_required: either(self.touch_required, other.touch_required),
            verify_required: either(self.verify_required, other.verify_required),
            session: self.session.merge(other.session)?,
            ..self
        })
    }

    /// The options that say something about the signature or the session and are not the default, as sshd(8) names them.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let session = &self.session;
        let named = [
            (session.forced_command.is_some(), "command"),
            (!session.environment.is_empty(), "environment"),
            (session.agent_forwarding == YesNo::No, "no-agent-forwarding"),
            (session.port_forwarding == YesNo::No, "no-port-forwarding"),
            (session.pty == YesNo::No, "no-pty"),
            (session.user_rc == YesNo::No, "no-user-rc"),
            (session.x11_forwarding == YesNo::No, "no-X11-forwarding"),
            (!session.permit_listen.is_empty(), "permitlisten"),
            (!session.permit_open.is_empty(), "permitopen"),
            (session.tunnel == Tunnel::Refused, "restrict"),
            (matches!(session.tunnel, Tunnel::Device(_)), "tunnel"),
            (self.touch_required == YesNo::No, "no-touch-required"),
            (self.verify_required == YesNo::Yes, "verify-required"),
        ];
        let given = named.into_iter().filter(|(given, _)| *given);
        given.map(|(_, name)| name).collect()
    }
}

impl SessionConstraints {
    fn merge(self, other: Self) -> Result<Self, MergeError> {
        let forced_command = match (self.forced_command, other.forced_command) {
            (Some(own), Some(other)) if own != other => return Err(MergeError::ForcedCommand),
            (own, other) => own.or(other),
        };
        Ok(Self {
            forced_command,
            environment: own_or_other(self.environment, other.environment),
            agent_forwarding: both(self.agent_forwarding, other.agent_forwarding),
            port_forwarding: both(self.port_forwarding, other.port_forwarding),
            pty: both(self.pty, other.pty),
            user_rc: both(self.user_rc, other.user_rc),
            x11_forwarding: both(self.x11_forwarding, other.x11_forwarding),
            permit_open: own_or_other(self.permit_open, other.permit_open),
            permit_listen: own_or_other(self.permit_listen, other.permit_listen),
            tunnel: match (self.tunnel, other.tunnel) {
                (Tunnel::Refused, _) | (_, Tunnel::Refused) => Tunnel::Refused,
                (Tunnel::Any, other) => other,
                (own, _) => own,
            },
        })
    }
}

fn both(one: YesNo, other: YesNo) -> YesNo {
    match (one, other) {
        (YesNo::Yes, YesNo::Yes) => YesNo::Yes,
        _ => YesNo::No,
    }
}

fn either(one: YesNo, other: YesNo) -> YesNo {
    match (one, other) {
        (YesNo::No, YesNo::No) => YesNo::No,
        _ => YesNo::Yes,
    }
}

fn own_or_other<T>(own: Vec<T>, other: Vec<T>) -> Vec<T> {
    if own.is_empty() { other } else { own }
}

#[cfg(test)]
mod tests;
