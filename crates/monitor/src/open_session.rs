//! From an authenticated user to a session of their own.
//!
//! ```text
//!            ┌── gRPC stream ──┐
//!  worker ◀──┤                 ├──▶ session        both ends made here, sent through the lanes
//!            └──── lane ───────┘
//!  monitor ◀──────── lane ──────────▶ session      its stdin: Start is in it before systemd is asked
//! ```
//!
//! The session is started while the worker already tells the client of its success. No copy of what
//! belongs to others stays here: an end that stays open would hide the death of the other.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rpc::lane::{self, Lane, LaneError, SessionGrant, SessionStart, ToSession, ToWorker};
use rpc::reactor::watch;
use rpc::{ConnectionId, Endpoints};
use rustix::io::Errno;
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::policy::whole_seconds;
use crate::proof::AuthenticatedUser;
use crate::routing_domain::RoutingDomain;
use crate::rules::{self, Rules};
use crate::systemd::{ServiceManager, SessionUnit, StartError};

/// Why a session could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The service manager did not start it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A lane broke: for the worker's, the connection is over anyway.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// No descriptors left.
    #[error("session's descriptors: {0}")]
    Io(#[from] io::Error),
}

/// The connection that a session is opened for.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Its name.
    pub id: ConnectionId,
    /// Its addresses.
    pub endpoints: Endpoints,
    /// Its routing domain. What has no address is in none, as in sshd.
    pub rdomain: Option<RoutingDomain>,
}

/// A session that systemd was told to start.
#[derive(Debug)]
pub struct Session {
    /// Login name.
    pub user: String,
    /// Its unit.
    pub unit: String,
    lane: AsyncFd<OwnedFd>,
}

/// How a session came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// It ran and ended.
    Ended,
    /// Its program never read what it was told: systemd could not start it, or PAM refused.
    NeverRan,
}

/// Opens the session of `user` and hands its descriptors to the worker.
///
/// # Errors
/// See [`OpenError`]. Whatever was started meets closed descriptors and ends.
pub async fn open_session<M: ServiceManager>(
    services: &M,
    worker: &Lane,
    rules: &Rules,
    origin: Origin,
    user: AuthenticatedUser,
) -> Result<Session, OpenError> {
    let (worker_rpc, session_rpc) = lane::stream_pair()?;
    let (worker_lane, session_lane) = lane::pair()?;
    let (own_lane, stdio) = lane::pair()?;
    let account = user.account();

    let start = ToSession::Start {
        start: start(rules, origin, &user),
        rpc: session_rpc,
        lane: session_lane,
    };
    let announce = Lane::new(own_lane.try_clone()?)?;
    announce.send_to_session(&start).await?;
    drop((announce, start));

    let name = account.name.clone();
    let unit = SessionUnit {
        id: origin.id,
        user: name.clone(),
        remote_host: origin.endpoints.peer().address(),
        properties: rules.config.session_properties.clone(),
        stdio,
    };
    services.start_session(unit).await?;

    let session = ToWorker::Session {
        grant: grant(rules, &user),
        rpc: worker_rpc,
        lane: worker_lane,
    };
    worker.send_to_worker(&session).await?;
    Ok(Session {
        user: name,
        unit: SessionUnit::name(origin.id),
        lane: watch(own_lane, Interest::READABLE)?,
    })
}
impl Session {
    #[cfg(test)]
    pub(crate) fn for_test(user: &str, lane: OwnedFd) -> Self {
        Self {
            user: user.to_owned(),
            unit: SessionUnit::name(ConnectionId::from_bytes([0; 8])),
            lane: watch(lane, Interest::READABLE).unwrap(),
        }
    }

    /// Waits until the session's end of the lane is closed by all who hold it.
    pub async fn ended(&self) -> SessionEnd {
        // The session has nothing to say here: whatever makes the lane readable is its end.
        drop(self.lane.readable().await);
        // A socket that is closed with something unread in it resets its peer (unix(7)); what lies
        // unread here can only be Start.
        match rustix::net::sockopt::socket_error(self.lane.get_ref().as_fd()) {
            Ok(Err(Errno::CONNRESET)) => SessionEnd::NeverRan,
            Ok(_) | Err(_) => SessionEnd::Ended,
        }
    }
}

fn start(rules: &Rules, origin: Origin, user: &AuthenticatedUser) -> SessionStart {
    let (config, account) = (&rules.config, user.account());
    let subsystems = config.subsystems.iter();
    SessionStart {
        id: origin.id,
        endpoints: origin.endpoints,
        log_level: rules::log_level(config),
        user: account.name.clone(),
        home: account.home.display().to_string(),
        shell: account.shell.display().to_string(),
        accept_env: config.accept_env.iter().map(ToString::to_string).collect(),
        permit_tty: config.permit_tty == config::sshd::YesNo::Yes,
        subsystems: subsystems
            .map(|subsystem| (subsystem.name.clone(), subsystem.command.clone()))
            .collect(),
        max_sessions: config.max_sessions,
        forced_command: config.force_command.clone(),
    }
}

fn grant(rules: &Rules, user: &AuthenticatedUser) -> SessionGrant {
    let config = &rules.config;
    SessionGrant {
        user: user.account().name.clone(),
        max_sessions: config.max_sessions,
        client_alive_interval: config.client_alive_interval.map_or(0, whole_seconds),
        client_alive_count_max: config.client_alive_count_max,
        rekey_bytes: config.rekey_limit.bytes.unwrap_or(0),
        rekey_seconds: config.rekey_limit.time.map_or(0, whole_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_that_read_its_start_has_ended() {
        let (ours, theirs) = lane::pair().unwrap();
        rustix::io::write(&ours, b"start").unwrap();
        rustix::io::read(&theirs, &mut [0; 16]).unwrap();
        drop(theirs);
        assert_eq!(
            Session::for_test("alice", ours).ended().await,
            SessionEnd::Ended
        );
    }

    #[tokio::test]
    async fn a_session_that_did_not_read_its_start_never_ran() {
        let (ours, theirs) = lane::pair().unwrap();
        rustix::io::write(&ours, b"start").unwrap();
        drop(theirs);
        assert_eq!(
            Session::for_test("alice", ours).ended().await,
            SessionEnd::NeverRan
        );
    }
}
