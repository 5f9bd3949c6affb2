//! The border between an administrator's command and the monitor (`proto/admin.proto`).

mod convert;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;

use crate::grpc::{self, CallError, Caller, ServeEnd, Tripwire, Violation};
use crate::identity::{ConnectionId, Endpoints};
use crate::proto::admin::v1 as pb;

/// How long the administrator's end waits for an answer: a monitor that hangs must not make
/// `systemctl reload` hang with it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Largest request in bytes; each is a connection's name at most.
const REQUEST_LIMIT: usize = 1024;

/// Largest answer in bytes: every connection with the longest names that there can be.
const REPLY_LIMIT: usize = 8 * 1024 * 1024;

/// Calls of one administrator's connection that may be open at once.
const STREAMS: u32 = 1;

/// What the monitor does for an administrator. A `Violation` ends the connection without an answer.
pub trait AdminFace: Send + Sync + 'static {
    /// Reads the configuration again.
    fn reload(&self) -> impl Future<Output = Result<Reload, Violation>> + Send;

    /// Says what the server does now.
    fn status(&self) -> impl Future<Output = Result<Status, Violation>> + Send;

    /// Ends a connection.
    fn kill(&self, id: ConnectionId) -> impl Future<Output = Result<Kill, Violation>> + Send;
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// The new configuration counts for every connection that is accepted from now on.
    InForce {
        /// Remarks on what has no effect, one each.
        warnings: Vec<String>,
    },
    /// The one before stays in force.
    Refused {
        /// All that is wrong, with file, line and column.
        errors: String,
    },
}

/// What became of a wish to end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// It ends.
    Ending,
    /// There is none of this name.
    NoSuchConnection,
}

/// What the server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Addresses and ports.
    pub listeners: Vec<String>,
    /// With which configuration.
    pub configuration: Configuration,
    /// The pool.
    pub workers: Workers,
    /// Connections without a login.
    pub unauthenticated: u32,
    /// Those that live, the oldest first.
    pub connections: Vec<Connection>,
}

/// The configuration that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The file that it begins with.
    pub file: String,
    /// For how long it has been.
    pub age: Duration,
    /// Why a later one is not.
    pub errors: Option<String>,
}

/// Workers by what they do, and clients that wait for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Workers {
    /// Started, not heard of yet.
    pub starting: u32,
    /// Waiting for a client.
    pub idle: u32,
    /// Serving a client.
    pub busy: u32,
    /// Clients that wait for a worker.
    pub waiting: u32,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its name.
    pub id: ConnectionId,
    /// Its addresses.
    pub endpoints: Endpoints,
    /// How far it has come.
    pub phase: Phase,
    /// Since when it is there.
    pub age: Duration,
    /// The name that the client gave, escaped.
    pub user: Option<String>,
    /// Who carries it.
    pub worker_unit: Option<String>,
    /// Its user's session.
    pub session_unit: Option<String>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waits for a worker.
    Waiting,
    /// Has no keys yet.
    KeyExchange,
    /// Has no login yet.
    Authenticating,
    /// Has no attempt left.
    Exhausted,
    /// A user is logged in.
    Open,
    /// Ends.
    Over,
}

/// Serves one administrator until they go or break the contract.
pub async fn serve(stream: UnixStream, face: impl AdminFace) -> ServeEnd {
    let wire = Tripwire::default();
    let adapter = Adapter {
        face: Arc::new(face),
        wire: wire.clone(),
    };
    let service = pb::admin_server::AdminServer::new(adapter)
        .max_decoding_message_size(REQUEST_LIMIT)
        .max_encoding_message_size(REPLY_LIMIT);
    grpc::serve(stream, service, STREAMS, wire).await
}

/// The administrator's end: the monitor as it may be asked.
#[derive(Clone)]
pub struct Monitor(pb::admin_client::AdminClient<Caller>);

impl Monitor {
    /// Starts the border on a stream that is connected to the monitor's socket.
    ///
    /// # Errors
    /// The stream is closed.
    pub async fn start(stream: UnixStream) -> Result<Self, CallError> {
        let client = pb::admin_client::AdminClient::with_origin(
            Caller::start(stream).await?,
            grpc::origin(),
        )
        .max_decoding_message_size(REPLY_LIMIT)
        .max_encoding_message_size(REQUEST_LIMIT);
        Ok(Self(client))
    }

    /// Asks for a reload; returns when it is over.
    ///
    /// # Errors
    /// The monitor is gone or too slow. What became of the reload is not known then.
    pub async fn reload(&mut self) -> Result<Reload, CallError> {
        let reply = grpc::within(DEADLINE, self.0.reload(pb::ReloadRequest {})).await?;
        convert::reload_from_proto(reply).ok_or(CallError::Malformed("outcome is missing"))
    }

    /// Asks what the server does.
    ///
    /// # Errors
    /// The monitor is gone or too slow.
    pub async fn status(&mut self) -> Result<Status, CallError> {
        let reply = grpc::within(DEADLINE, self.0.status(pb::StatusRequest {})).await?;
        convert::status_from_proto(reply)
    }

    /// Asks for the end of a connection.
    ///
    /// # Errors
    /// The monitor is gone or too slow.
    pub async fn kill(&mut self, id: ConnectionId) -> Result<Kill, CallError> {
        let request = convert::kill_to_request(id);
        let reply = grpc::within(DEADLINE, self.0.kill(request)).await?;
        convert::kill_from_proto(reply).ok_or(CallError::Malformed("outcome is missing"))
    }
}

struct Adapter<F> {
    face: Arc<F>,
    wire: Tripwire,
}

#[tonic::async_trait]
impl<F: AdminFace> pb::admin_server::Admin for Adapter<F> {
    async fn reload(
        &self,
        _request: tonic::Request<pb::ReloadRequest>,
    ) -> Result<tonic::Response<pb::ReloadReply>, tonic::Status> {
        match self.face.reload().await {
            Ok(reload) => Ok(tonic::Response::new(convert::reload_to_proto(reload))),
            Err(violation) => self.wire.trip(violation).await,
        }
    }

    async fn status(
        &self,
        _request: tonic::Request<pb::StatusRequest>,
    ) -> Result<tonic::Response<pb::StatusReply>, tonic::Status> {
        match self.face.status().await {
            Ok(status) => Ok(tonic::Response::new(convert::status_to_proto(status))),
            Err(violation) => self.wire.trip(violation).await,
        }
    }

    async fn kill(
        &self,
        request: tonic::Request<pb::KillRequest>,
    ) -> Result<tonic::Response<pb::KillReply>, tonic::Status> {
        let killed = match convert::id_from_request(request.into_inner()) {
            Ok(id) => self.face.kill(id).await,
            Err(violation) => Err(violation),
        };
        match killed {
            Ok(kill) => Ok(tonic::Response::new(convert::kill_to_proto(kill))),
            Err(violation) => self.wire.trip(violation).await,
        }
    }
}
