//! The border between a worker and the monitor (`proto/preauth.proto`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use wire::exchange::ExchangeValues;
use wire::groups::{DhGroup, GroupRequest};
use wire::message::BANNER_LIMIT;
use wire::userauth::{AuthOutcome, AuthRequest, Responses};

use crate::convert;
use crate::grpc::{
    self, CALL_DEADLINE, CallError, Caller, MESSAGE_LIMIT, ServeEnd, Tripwire, Violation,
};
use crate::proto::preauth::v1 as pb;

/// How long an authentication may take. LoginGraceTime ends the connection earlier; this is for
/// servers that set it to 0.
const AUTHENTICATE_DEADLINE: Duration = Duration::from_secs(600);

/// How long a worker that ends waits for its last line to be taken down.
const REPORT_DEADLINE: Duration = Duration::from_secs(5);

/// What the monitor does for one worker. A `Violation` ends the connection without an answer.
pub trait MonitorFace: Send + Sync + 'static {
    /// Chooses a group for the key exchange that is under way, and remembers it for the hash;
    /// `None` if there is none of a size that the client permits.
    fn choose_group(
        &self,
        request: GroupRequest,
    ) -> impl Future<Output = Result<Option<DhGroup>, Violation>> + Send;

    /// Computes the exchange hash from these values and signs it; the signature blob of RFC 4253
    /// section 6.6.
    fn sign_exchange(
        &self,
        values: ExchangeValues,
    ) -> impl Future<Output = Result<Vec<u8>, Violation>> + Send;

    /// Decides one authentication request. Before `Accepted` is returned, the session's
    /// descriptors must have been sent through the lane.
    fn authenticate(
        &self,
        request: AuthRequest,
    ) -> impl Future<Output = Result<AuthReply, Violation>> + Send;

    /// Goes on with the request that was replied to with a question.
    fn answer(
        &self,
        responses: Responses,
    ) -> impl Future<Output = Result<AuthReply, Violation>> + Send;

    /// Proves that these host keys are this server's.
    fn prove_host_keys(
        &self,
        host_keys: Vec<Vec<u8>>,
    ) -> impl Future<Output = Result<KeyProofs, Violation>> + Send;

    /// Takes down how the connection ended.
    fn report(&self, end: ConnectionEnd) -> impl Future<Output = Result<(), Violation>> + Send;
}

/// The answer to hostkeys-prove-00@openssh.com.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyProofs {
    /// Signature blobs in the order of the keys.
    Proved(Vec<Vec<u8>>),
    /// One of the keys is not this server's or occurs twice, or it was asked too often.
    Refused,
}

/// The reply to an authentication request or to responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthReply {
    /// What the user is to see before it (RFC 4252 section 5.4), each at most
    /// [`BANNER_LIMIT`] bytes; beyond [`BANNERS_LIMIT`] altogether they
    /// are not sent.
    pub banners: Vec<Vec<u8>>,
    /// Signature algorithms of this user for publickey; none if they are those of the welcome.
    pub pubkey_algorithms: Vec<String>,
    /// The decision.
    pub outcome: AuthOutcome,
}

/// Most bytes of all banners of one reply.
pub const BANNERS_LIMIT: usize = 2 * BANNER_LIMIT;

impl From<AuthOutcome> for AuthReply {
    fn from(outcome: AuthOutcome) -> Self {
        Self {
            banners: Vec::new(),
            pubkey_algorithms: Vec::new(),
            outcome,
        }
    }
}

/// How a connection ended, in the worker's words: text of the client is not escaped yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The client closed it.
    Closed,
    /// Its socket failed.
    Socket(String),
    /// The client sent SSH_MSG_DISCONNECT.
    Disconnected {
        /// Reason code of RFC 4253 section 11.1.
        reason: u32,
        /// "description"
        description: String,
    },
    /// We disconnected after too many failed attempts.
    TooManyFailures,
    /// We disconnected because there was no method to try.
    NoMethods,
    /// We closed it because the account was denied.
    Denied,
    /// The first line was no identification string.
    NotSsh(String),
    /// Nothing in common: algorithms or service.
    Incompatible(String),
    /// The client broke the protocol.
    Misbehaved(String),
    /// The worker could not go on.
    Failed(String),
    /// The client answered nothing for ClientAliveCountMax times ClientAliveInterval.
    Unresponsive,
    /// No channel was open for UnusedConnectionTimeout.
    Unused,
}

/// Serves one worker until it goes or breaks the contract.
pub async fn serve(stream: UnixStream, face: impl MonitorFace) -> ServeEnd {
    let wire = Tripwire::default();
    let adapter = Adapter {
        face: Arc::new(face),
        wire: wire.clone(),
    };
    let service = pb::preauth_server::PreauthServer::new(adapter)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    grpc::serve(stream, service, grpc::MONITOR_STREAMS, wire).await
}

/// The worker's end: the monitor as it may be asked.
#[derive(Clone)]
pub struct Monitor(pb::preauth_client::PreauthClient<Caller>);

impl Monitor {
    /// Starts the border on a stream that came through the lane.
    ///
    /// # Errors
    /// The stream is closed.
    pub async fn start(stream: UnixStream) -> Result<Self, CallError> {
        let client = pb::preauth_client::PreauthClient::with_origin(
            Caller::start(stream).await?,
            grpc::origin(),
        )
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
        Ok(Self(client))
    }

    /// Asks for a group to exchange keys in; `None` if there is none of a size that the client
    /// permits.
    ///
    /// # Errors
    /// The monitor is gone, refuses to go on, or is too slow.
    pub async fn choose_group(
        &mut self,
        request: GroupRequest,
    ) -> Result<Option<DhGroup>, CallError> {
        let request = convert::group_request_to_proto(request);
        let reply = grpc::within(CALL_DEADLINE, self.0.choose_group(request)).await?;
        Ok(convert::group_from_proto(reply))
    }

    /// Asks for the signature over this exchange.
    ///
    /// # Errors
    /// The monitor is gone, refuses to go on, or is too slow.
    pub async fn sign_exchange(&mut self, values: ExchangeValues) -> Result<Vec<u8>, CallError> {
        let request = convert::exchange_to_proto(values);
        Ok(grpc::within(CALL_DEADLINE, self.0.sign_exchange(request))
            .await?
            .signature)
    }

    /// Asks for a decision.
    ///
    /// # Errors
    /// The monitor is gone, refuses to go on, or is too slow.
    pub async fn authenticate(&mut self, request: AuthRequest) -> Result<AuthReply, CallError> {
        let request = convert::auth_to_proto(request);
        let reply = grpc::within(AUTHENTICATE_DEADLINE, self.0.authenticate(request)).await?;
        convert::auth_reply_from_proto(reply).ok_or(CallError::Malformed("outcome or banner"))
    }

    /// Answers the question of the last reply.
    ///
    /// # Errors
    /// The monitor is gone, refuses to go on, or is too slow.
    pub async fn answer(&mut self, responses: Responses) -> Result<AuthReply, CallError> {
        let request = convert::responses_to_proto(responses);
        let reply = grpc::within(AUTHENTICATE_DEADLINE, self.0.answer(request)).await?;
        convert::auth_reply_from_proto(reply).ok_or(CallError::Malformed("outcome or banner"))
    }

    /// Asks for proofs of host keys, at most [`PROOF_LIMIT`](wire::hostkeys::PROOF_LIMIT) of them.
    ///
    /// # Errors
    /// The monitor is gone, refuses to go on, or is too slow.
    pub async fn prove_host_keys(
        &mut self,
        host_keys: Vec<Vec<u8>>,
    ) -> Result<KeyProofs, CallError> {
        let request = pb::ProveHostKeysRequest { host_keys };
        let reply = grpc::within(CALL_DEADLINE, self.0.prove_host_keys(request)).await?;
        convert::proofs_from_proto(reply).ok_or(CallError::Malformed("outcome is missing"))
    }

    /// Says how the connection ended.
    ///
    /// # Errors
    /// The monitor is gone.
    pub async fn report(&mut self, end: ConnectionEnd) -> Result<(), CallError> {
        let request = convert::end_to_report(end);
        grpc::within(REPORT_DEADLINE, self.0.report(request)).await?;
        Ok(())
    }
}

struct Adapter<F> {
    face: Arc<F>,
    wire: Tripwire,
}

#[tonic::async_trait]
impl<F: MonitorFace> pb::preauth_server::Preauth for Adapter<F> {
    async fn choose_group(
        &self,
        request: tonic::Request<pb::ChooseGroupRequest>,
    ) -> Result<tonic::Response<pb::ChooseGroupReply>, tonic::Status> {
        let request = match convert::group_request_from_proto(request.into_inner()) {
            Ok(request) => request,
            Err(violation) => return self.wire.trip(violation).await,
        };
        let result = self.face.choose_group(request).await;
        self.wire.reply(result, convert::group_to_proto).await
    }

    async fn sign_exchange(
        &self,
        request: tonic::Request<pb::SignExchangeRequest>,
    ) -> Result<tonic::Response<pb::SignExchangeReply>, tonic::Status> {
        let values = match convert::exchange_from_proto(request.into_inner()) {
            Ok(values) => values,
            Err(violation) => return self.wire.trip(violation).await,
        };
        let result = self.face.sign_exchange(values).await;
        self.wire
            .reply(result, |signature| pb::SignExchangeReply { signature })
            .await
    }

    async fn authenticate(
        &self,
        request: tonic::Request<pb::AuthenticateRequest>,
    ) -> Result<tonic::Response<pb::AuthenticateReply>, tonic::Status> {
        let request = match convert::auth_from_proto(request.into_inner()) {
            Ok(request) => request,
            Err(violation) => return self.wire.trip(violation).await,
        };
        let result = self.face.authenticate(request).await;
        self.wire.reply(result, convert::auth_reply_to_proto).await
    }

    async fn answer(
        &self,
        request: tonic::Request<pb::AnswerRequest>,
    ) -> Result<tonic::Response<pb::AuthenticateReply>, tonic::Status> {
        let responses = match convert::responses_from_proto(request.into_inner()) {
            Ok(responses) => responses,
            Err(violation) => return self.wire.trip(violation).await,
        };
        let result = self.face.answer(responses).await;
        self.wire.reply(result, convert::auth_reply_to_proto).await
    }

    async fn prove_host_keys(
        &self,
        request: tonic::Request<pb::ProveHostKeysRequest>,
    ) -> Result<tonic::Response<pb::ProveHostKeysReply>, tonic::Status> {
        let host_keys = match convert::host_keys_from_proto(request.into_inner()) {
            Ok(host_keys) => host_keys,
            Err(violation) => return self.wire.trip(violation).await,
        };
        let result = self.face.prove_host_keys(host_keys).await;
        self.wire.reply(result, convert::proofs_to_proto).await
    }

    async fn report(
        &self,
        request: tonic::Request<pb::ReportRequest>,
    ) -> Result<tonic::Response<pb::ReportReply>, tonic::Status> {
        let result = match convert::end_from_report(request.into_inner()) {
            Ok(end) => self.face.report(end).await,
            Err(violation) => Err(violation),
        };
        self.wire.reply(result, |()| pb::ReportReply {}).await
    }
}
