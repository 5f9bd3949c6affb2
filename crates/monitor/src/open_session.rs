//! From an authenticated user to a session of their own.
//!
//! ```text
//!            ┌── gRPC stream ──┐
//!  worker ◀──┤                 ├──▶ session        both ends made here, sent through the lanes
//!            └──── lane ───────┘
//!  monitor ◀──────── lane ──────────▶ session      its stdin: what PAM and it are to know is in it before
//! ```
//!
//! PAM's account phase is a part of the unit's start, so a client hears of its login only when the session says that
//! it is up (`Starting` becomes [`Session`]). No copy of what belongs to others stays here: an end that stays open
//! would hide the death of the other.

use std::io;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use config::sshd::SessionProperty;
use rpc::lane::{self, Lane, LaneError, PacketMarks, SessionGrant, ToSession, ToWorker};
use rpc::{ConnectionId, Endpoint, Endpoints, accounting};
use thiserror::Error;
use tracing::warn;

use crate::authenticate::Login;
use crate::channel_timeouts::channel_timeouts;
use crate::key_options::key_options;
use crate::policy::whole_seconds;
use crate::proof::AuthenticatedUser;
use crate::routing_domain::RoutingDomain;
use crate::rules::Rules;
use crate::session_start::session_start;
use crate::systemd::{ServiceManager, SessionRoot, SessionUnit, StartError};

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
    /// Its unit failed before its program ran: PAM refused, or something of the unit.
    #[error("{unit} did not come up: {error}")]
    NeverUp {
        /// The unit.
        unit: String,
        /// What was heard instead.
        error: LaneError,
    },
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
struct Starting {
    unit: String,
    lane: Lane,
    /// What the worker gets of it once it is up.
    rpc: OwnedFd,
    worker_lane: OwnedFd,
}

/// A session that has come up just now.
#[derive(Debug)]
pub struct Opened {
    /// It.
    pub session: Session,
    /// What PAM's account phase said to the user as it started.
    pub said: String,
}

/// A session that is up.
#[derive(Debug)]
pub struct Session {
    /// Login name.
    pub user: String,
    /// Its unit.
    pub unit: String,
    lane: Lane,
}

/// Opens the session of a login, waits until it is up, and hands its descriptors to the worker.
///
/// There is no deadline here: the client's is LoginGraceTime, and systemd has one for the unit.
///
/// # Errors
/// See [`OpenError`]. Whatever was started meets closed descriptors and ends; so it does when this is dropped.
pub async fn open_session<M: ServiceManager>(
    services: &M,
    worker: &Lane,
    origin: Origin,
    login: &Login,
) -> Result<Opened, OpenError> {
    let starting = Starting::begin(services, origin, login).await?;
    starting.up(services, worker, login).await
}

impl Starting {
    async fn begin<M: ServiceManager>(
        services: &M,
        origin: Origin,
        login: &Login,
    ) -> Result<Self, OpenError> {
        let Login {
            user,
            rules,
            host,
            first,
            told: _,
        } = login;
        let (worker_rpc, session_rpc) = lane::stream_pair()?;
        let (worker_lane, session_lane) = lane::pair()?;
        let (own_lane, stdio) = lane::pair()?;
        let own_lane = Lane::new(own_lane)?;

        let start = ToSession::Start {
            start: session_start(rules, origin, first.identifications(), user),
            rpc: session_rpc,
            lane: session_lane,
            accounting: accounting(rules, origin, host, user),
        };
        own_lane.send_auth_info(&user.auth_info()).await?;
        own_lane.send_to_session(&start).await?;
        drop(start);

        let unit = SessionUnit {
            id: origin.id,
            user: user.account().name.clone(),
            remote_host: host.clone(),
            authority: rules.authority(),
            exposes_auth_info: rules.config.expose_auth_info,
            root: match rules.config.chroot_directory {
                Some(_) => SessionRoot::Changed,
                None => SessionRoot::Kept,
            },
            properties: rules.config.session_properties.clone(),
            stdio,
        };
        services.start_session(unit).await?;
        Ok(Self {
            unit: SessionUnit::name(origin.id),
            lane: own_lane,
            rpc: worker_rpc,
            worker_lane,
        })
    }

    async fn up<M: ServiceManager>(
        self,
        services: &M,
        worker: &Lane,
        login: &Login,
    ) -> Result<Opened, OpenError> {
        let Self {
            unit,
            lane,
            rpc,
            worker_lane,
        } = self;
        let said = match lane.receive_ready().await {
            Ok(said) => said,
            Err(error) => return Err(OpenError::NeverUp { unit, error }),
        };
        for property in &login.rules.config.session_properties {
            if let SessionProperty::CpuQuota(percent) = property {
                services.limit_session(&unit, *percent).await?;
            }
        }
        let session = ToWorker::Session {
            grant: grant(login),
            rpc,
            lane: worker_lane,
        };
        worker.send_to_worker(&session).await?;
        let session = Session {
            user: login.user.account().name.clone(),
            unit,
            lane,
        };
        Ok(Opened { session, said })
    }
}

/// The session's connection to the process that records it. Where no terminal is permitted, too: its end has to be
/// recorded (pam_wtmpdb(8)). A login does not depend on it.
fn accounting(
    rules: &Rules,
    origin: Origin,
    remote_host: &str,
    user: &AuthenticatedUser,
) -> Option<OwnedFd> {
    let account = user.account();
    let origin = accounting::Origin {
        user: account.name.clone(),
        uid: account.uid,
        host: rules
            .name_limit
            .shown(remote_host, origin.endpoints.peer().address()),
        address: match origin.endpoints.peer() {
            Endpoint::Inet(address) => Some(address.ip()),
            Endpoint::Unknown => None,
        },
        began: SystemTime::now(),
    };
    let connection = accounting::connect(&origin);
    connection
        .inspect_err(|error| warn!("this session's terminals are not recorded: {error}"))
        .ok()
}

impl Session {
    #[cfg(test)]
    pub(crate) fn for_test(user: &str, lane: OwnedFd) -> Self {
        Self {
            user: user.to_owned(),
            unit: SessionUnit::name(ConnectionId::from_bytes([0; 8])),
            lane: Lane::new(lane).unwrap(),
        }
    }

    /// Waits until the session's end of the lane is closed by all who hold it. A session has nothing more to say: if it
    /// speaks, that is taken for its end.
    pub async fn ended(&self) {
        drop(self.lane.closed().await);
    }
}

fn grant(login: &Login) -> SessionGrant {
    let Login {
        user, rules, told, ..
    } = login;
    let config = &rules.config;
    let mut remarks = told.lines().to_vec();
    remarks.extend(key_options(config, user));
    SessionGrant {
        user: user.account().name.clone(),
        max_sessions: config.max_sessions,
        client_alive_interval: config.client_alive_interval.map_or(0, whole_seconds),
        client_alive_count_max: config.client_alive_count_max,
        rekey_bytes: config.rekey_limit.bytes.unwrap_or(0),
        rekey_seconds: config.rekey_limit.time.map_or(0, whole_seconds),
        unused_connection_timeout: config.unused_connection_timeout.map_or(0, whole_seconds),
        channel_timeouts: channel_timeouts(config),
        packet_marks: PacketMarks {
            interactive: config.ip_qos.interactive.0,
            bulk: config.ip_qos.bulk.0,
        },
        remarks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_ends_when_its_lane_is_closed() {
        let (ours, theirs) = lane::pair().unwrap();
        drop(theirs);
        Session::for_test("alice", ours).ended().await;
    }

    #[tokio::test]
    async fn a_session_that_speaks_has_ended() {
        let (ours, theirs) = lane::pair().unwrap();
        rustix::io::write(&theirs, b"more").unwrap();
        Session::for_test("alice", ours).ended().await;
    }
}
