//! gRPC over one connected Unix stream: limits, serving, calling.
//!
//! Both ends come as connected descriptors, so nothing here connects or listens. The limits stand
//! here, once, for all borders between processes of the server.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};
use tonic::body::Body;

/// Largest message of a border to the monitor in bytes. The largest honest one carries two KEXINIT payloads or a public key
/// with its signature; the packet limit before login is 35,000 bytes (RFC 4253 section 6.1).
pub(crate) const MESSAGE_LIMIT: usize = 128 * 1024;

/// Largest block of HTTP/2 headers in bytes.
const HEADER_LIMIT: u32 = 4096;

/// Calls of a worker to the monitor that may be open at once. One exchange, one authentication.
pub(crate) const MONITOR_STREAMS: u32 = 4;

/// Calls of a worker to a session that may be open at once: one Wait per channel and some more.
pub(crate) const SESSION_STREAMS: u32 = 1024;

/// How long a call may take that a process answers from its own memory.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// The peer of a border broke its contract. The connection ends; the call is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Violation(pub String);

impl Violation {
    /// A violation with this description (for the journal of the side that found it).
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Why a call had no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// The other process is gone or ended the connection.
    #[error("border connection ended: {0}")]
    Ended(String),
    /// No answer in time.
    #[error("no answer in time")]
    Deadline,
    /// The answer does not convert to its domain type.
    #[error("answer is malformed: {0}")]
    Malformed(&'static str),
}

/// How serving one border connection ended.
#[derive(Debug)]
pub enum ServeEnd {
    /// The peer closed the stream or died.
    PeerClosed,
    /// The peer broke the contract.
    Violation(Violation),
}

/// Where a service reports a violation; the serving loop ends at the first.
#[derive(Clone, Default)]
pub(crate) struct Tripwire(Arc<TripwireState>);

#[derive(Default)]
struct TripwireState {
    violation: std::sync::Mutex<Option<Violation>>,
    notify: Notify,
}

impl Tripwire {
    /// Reports `violation` and never returns: the caller's call stays unanswered.
    pub(crate) async fn trip<T>(&self, violation: Violation) -> T {
        if let Ok(mut slot) = self.0.violation.lock() {
            slot.get_or_insert(violation);
        }
        self.0.notify.notify_one();
        std::future::pending().await
    }

    /// The reply to a call, or the end of the connection.
    pub(crate) async fn reply<T, M>(
        &self,
        result: Result<T, Violation>,
        to_proto: impl FnOnce(T) -> M,
    ) -> Result<tonic::Response<M>, tonic::Status> {
        match result {
            Ok(value) => Ok(tonic::Response::new(to_proto(value))),
            Err(violation) => self.trip(violation).await,
        }
    }

    async fn tripped(&self) -> Violation {
        loop {
            self.0.notify.notified().await;
            if let Ok(mut slot) = self.0.violation.lock()
                && let Some(violation) = slot.take()
            {
                return violation;
            }
        }
    }
}

/// Serves `service` on `stream` until the peer closes it or trips the wire.
pub(crate) async fn serve<S>(
    stream: UnixStream,
    service: S,
    streams: u32,
    wire: Tripwire,
) -> ServeEnd
where
    S: tower::Service<
            http::Request<hyper::body::Incoming>,
            Response = http::Response<Body>,
            Error = std::convert::Infallible,
        > + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::select! {
        // An HTTP/2 error is the peer's death or its fault; either way there is nobody to answer.
        _ended = connection => ServeEnd::PeerClosed,
        violation = wire.tripped() => ServeEnd::Violation(violation),
    }
}

/// Calling side of one connected stream.
#[derive(Clone)]
pub(crate) struct Caller {
    sender: hyper::client::conn::http2::SendRequest<Body>,
    alive: watch::Receiver<()>,
}

impl Caller {
    /// Starts HTTP/2 on `stream`; its driver runs as a task of the current runtime.
    pub(crate) async fn start(stream: UnixStream) -> Result<Self, CallError> {
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(HEADER_LIMIT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| CallError::Ended(error.to_string()))?;
        let (driver, alive) = watch::channel(());
        tokio::spawn(async move {
            // Its end shows in every later call.
            drop(connection.await);
            drop(driver);
        });
        Ok(Self { sender, alive })
    }

    /// Waits until the other process is gone or has ended the border.
    pub(crate) fn gone(&self) -> impl Future<Output = ()> + use<> {
        let mut alive = self.alive.clone();
        async move { while alive.changed().await.is_ok() {} }
    }
}

impl tower::Service<http::Request<Body>> for Caller {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// The origin that HTTP/2 wants; it names nothing.
pub(crate) fn origin() -> http::Uri {
    http::Uri::from_static("http://localhost")
}

/// Waits for `call` until `deadline`.
pub(crate) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Err(_elapsed) => Err(CallError::Deadline),
        Ok(Err(status)) => Err(CallError::Ended(status.message().to_owned())),
        Ok(Ok(response)) => Ok(response.into_inner()),
    }
}

/// Makes the runtime's stream from a descriptor that came through a lane.
///
/// # Errors
/// Not a stream socket, or no reactor.
pub fn stream(descriptor: OwnedFd) -> std::io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
