//! The border between an administrator's command and the monitor (`proto/admin.proto`).

mod convert;
mod penalties;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;

use crate::grpc::{self, CallError, Caller, ServeEnd, Tripwire, Violation};
use crate::identity::{ConnectionId, Endpoints};
use crate::network::Network;
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

    /// Says which sources are penalised.
    fn penalties(&self) -> impl Future<Output = Result<Penalties, Violation>> + Send;

    /// Takes away the penalties of the sources that have an address in common with a network, or
    /// those of all; says how many there were.
    fn clear_penalties(
        &self,
        network: Option<Network>,
    ) -> impl Future<Output = Result<u64, Violation>> + Send;

    /// No penalties for a network from now on.
    fn exempt(&self, network: Network) -> impl Future<Output = Result<Exempt, Violation>> + Send;
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

/// Which sources are penalised, and which cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Penalties {
    /// In the order of their sources; not all of them, if there are very many.
    pub penalties: Vec<Penalty>,
    /// How many there are.
    pub count: u64,
    /// What administrators exempted since the monitor started.
    pub exempt: Vec<Network>,
}

/// One penalty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Penalty {
    /// Whose.
    pub source: Network,
    /// What for, in sshd's words.
    pub reason: String,
    /// Whether it counts.
    pub force: Force,
    /// How long it still lasts.
    pub left: Duration,
}

/// Whether a penalty counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Its source is refused.
    Active,
    /// It is too short yet.
    Deferred,
}

/// What became of a wish to exempt a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exempt {
    /// It is, until the monitor ends.
    Exempted,
    /// There are too many already.
    TooMany,
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

    /// Asks which sources are penalised.
    ///
    /// # Errors
    /// The monitor is gone or too slow.
    pub async fn penalties(&mut self) -> Result<Penalties, CallError> {
        let reply = grpc::within(DEADLINE, self.0.penalties(pb::PenaltiesRequest {})).await?;
        penalties::from_proto(reply)
    }

    /// Asks for the end of penalties: of the sources that have an address in common with a network,
    /// or of all. Says how many there were.
    ///
    /// # Errors
    /// The monitor is gone or too slow.
    pub async fn clear_penalties(&mut self, network: Option<Network>) -> Result<u64, CallError> {
        let request = penalties::clear_to_request(network);
        let reply = grpc::within(DEADLINE, self.0.clear_penalties(request)).await?;
        Ok(reply.count)
    }

    /// Asks for no more penalties for a network.
    ///
    /// # Errors
    /// The monitor is gone or too slow.
    pub async fn exempt(&mut self, network: Network) -> Result<Exempt, CallError> {
        let request = penalties::exempt_to_request(network);
        let reply = grpc::within(DEADLINE, self.0.exempt(request)).await?;
        penalties::exempt_from_proto(reply).ok_or(CallError::Malformed("outcome is missing"))
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
        let result = self.face.reload().await;
        self.wire.reply(result, convert::reload_to_proto).await
    }

    async fn status(
        &self,
        _request: tonic::Request<pb::StatusRequest>,
    ) -> Result<tonic::Response<pb::StatusReply>, tonic::Status> {
        let result = self.face.status().await;
        self.wire.reply(result, convert::status_to_proto).await
    }

    async fn kill(
        &self,
        request: tonic::Request<pb::KillRequest>,
    ) -> Result<tonic::Response<pb::KillReply>, tonic::Status> {
        let killed = match convert::id_from_request(request.into_inner()) {
            Ok(id) => self.face.kill(id).await,
            Err(violation) => Err(violation),
        };
        self.wire.reply(killed, convert::kill_to_proto).await
    }

    async fn penalties(
        &self,
        _request: tonic::Request<pb::PenaltiesRequest>,
    ) -> Result<tonic::Response<pb::PenaltiesReply>, tonic::Status> {
        let result = self.face.penalties().await;
        self.wire.reply(result, penalties::to_proto).await
    }

    async fn clear_penalties(
        &self,
        request: tonic::Request<pb::ClearPenaltiesRequest>,
    ) -> Result<tonic::Response<pb::ClearPenaltiesReply>, tonic::Status> {
        let cleared = match penalties::network_to_clear(request.into_inner()) {
            Ok(network) => self.face.clear_penalties(network).await,
            Err(violation) => Err(violation),
        };
        self.wire
            .reply(cleared, |count| pb::ClearPenaltiesReply { count })
            .await
    }

    async fn exempt(
        &self,
        request: tonic::Request<pb::ExemptRequest>,
    ) -> Result<tonic::Response<pb::ExemptReply>, tonic::Status> {
        let exempted = match penalties::network_to_exempt(request.into_inner()) {
            Ok(network) => self.face.exempt(network).await,
            Err(violation) => Err(violation),
        };
        self.wire.reply(exempted, penalties::exempt_to_proto).await
    }
}
