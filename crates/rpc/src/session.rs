//! The border between a worker and the session of its user (`proto/session.proto`).

mod forwarding;
mod tunnel;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::net::UnixStream;

use crate::convert;
use crate::grpc::{self, CALL_DEADLINE, CallError, Caller, ServeEnd, Tripwire, Violation};
use crate::lane::IdleSeconds;
use crate::proto::session::v1 as pb;

pub use forwarding::{
    ACCEPT_LIMIT, Accepted, Address, CONNECT_DEADLINE, Connect, Connections, HOST_LIMIT,
    LISTEN_DEADLINE, Listening, OpenFailure, OpenFailureReason, Opened, PATH_LIMIT, Port, Remark,
    Remarked, X11Request, is_xauth_word,
};
pub use tunnel::{OpenTunnel, TunnelDevice, TunnelMode, TunnelOpened};

/// Most modes that one "pty-req" may carry: RFC 4254 defines 57 opcodes, all below 160.
pub const TERMINAL_MODE_LIMIT: usize = 160;

/// Longest value of TERM in bytes; longer ones are as none.
const TERM_LIMIT: usize = 1024;

/// Longest command line in bytes: the longest argument that execve(2) takes (MAX_ARG_STRLEN of Linux, which counts the NUL
/// at the end).
pub const COMMAND_LIMIT: usize = 128 * 1024 - 1;

/// Longest name and value of an environment variable in bytes, which execve(2) takes as one string with a `=` between.
pub const ENVIRONMENT_LIMIT: usize = 128 * 1024 - 2;

/// Largest message of this border in bytes: a command line and what stands around it, or a name and a value as long as one
/// packet of a client can carry, 256 KiB.
const MESSAGE_LIMIT: usize = 264 * 1024;

/// The worker's name for an SSH channel; the session only compares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(pub u32);

/// Answer to a request that can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// SSH_MSG_CHANNEL_SUCCESS
    Done,
    /// SSH_MSG_CHANNEL_FAILURE
    Refused,
}

/// Terminal size; values above 65,535 are cut to that, as the kernel's `struct winsize` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSize {
    /// Width in characters.
    pub columns: u16,
    /// Height in characters.
    pub rows: u16,
    /// Width in pixels.
    pub width_pixels: u16,
    /// Height in pixels.
    pub height_pixels: u16,
}

impl WindowSize {
    /// From the uint32 fields of a request, in the order of RFC 4254 section 6.2.
    pub fn from_fields(columns: u32, rows: u32, width_pixels: u32, height_pixels: u32) -> Self {
        let cut = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        Self {
            columns: cut(columns),
            rows: cut(rows),
            width_pixels: cut(width_pixels),
            height_pixels: cut(height_pixels),
        }
    }
}

/// Whether that can be the value of TERM: what an environment can hold (environ(7)), up to a length that none has.
#[must_use]
pub fn is_term(value: &str) -> bool {
    value.len() <= TERM_LIMIT && !value.contains('\0')
}

/// "pty-req" (RFC 4254 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PtyRequest {
    /// Value of TERM: see [`is_term`]. Empty: the client did not say, or what cannot be said.
    pub term: String,
    /// Size at the start.
    pub size: WindowSize,
    /// Opcode and argument, in the order of the request (RFC 4254 section 8).
    pub modes: Vec<(u8, u32)>,
}

/// What a channel runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// "shell": the user's login shell.
    Shell,
    /// "exec": a command line for the user's shell, without NUL.
    Command(Vec<u8>),
    /// "subsystem": a name of sshd_config(5).
    Subsystem(String),
}

/// How a channel's program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramEnd {
    /// "exit-status"
    Exited(u32),
    /// "exit-signal"
    Signaled {
        /// The signal.
        signal: Signal,
        /// "core dumped"
        core_dumped: bool,
    },
    /// The channel was closed before, or is not known.
    Gone,
}

/// Signals with a name in RFC 4254 section 6.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the signal of its name")]
pub enum Signal {
    Abrt,
    Alrm,
    Fpe,
    Hup,
    Ill,
    Int,
    Kill,
    Pipe,
    Quit,
    Segv,
    Term,
    Usr1,
    Usr2,
}

impl Signal {
    const NAMES: [(Self, &'static str); 13] = [
        (Self::Abrt, "ABRT"),
        (Self::Alrm, "ALRM"),
        (Self::Fpe, "FPE"),
        (Self::Hup, "HUP"),
        (Self::Ill, "ILL"),
        (Self::Int, "INT"),
        (Self::Kill, "KILL"),
        (Self::Pipe, "PIPE"),
        (Self::Quit, "QUIT"),
        (Self::Segv, "SEGV"),
        (Self::Term, "TERM"),
        (Self::Usr1, "USR1"),
        (Self::Usr2, "USR2"),
    ];

    /// The name without SIG.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(signal, _)| *signal == self)
            .map_or("", |(_, name)| name)
    }

    /// The signal of this name without SIG.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(signal, _)| *signal)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a session does for the worker of its connection. A `Violation` ends the connection.
pub trait SessionFace: Send + Sync + 'static {
    /// "env"
    fn set_environment(
        &self,
        channel: Channel,
        name: String,
        value: String,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "pty-req"
    fn allocate_pty(
        &self,
        channel: Channel,
        request: PtyRequest,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "shell", "exec", "subsystem". Before `Done` is returned the channel's descriptors must have
    /// been sent through the lane.
    fn start(
        &self,
        channel: Channel,
        program: Program,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "window-change"
    fn resize(
        &self,
        channel: Channel,
        size: WindowSize,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "signal"
    fn signal(
        &self,
        channel: Channel,
        signal: Signal,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "break"
    fn send_break(
        &self,
        channel: Channel,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// Answers when the channel's program has ended.
    fn wait(&self, channel: Channel) -> impl Future<Output = Result<ProgramEnd, Violation>> + Send;

    /// The channel is closed.
    fn close(&self, channel: Channel) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// The channel is closed since it was without traffic for so long (ChannelTimeout).
    fn report_idle(
        &self,
        channel: Channel,
        time: IdleSeconds,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "direct-tcpip", "direct-streamlocal@openssh.com". Before [`Opened::Done`] is returned the socket must have been
    /// sent through the lane.
    fn connect(
        &self,
        channel: Channel,
        connect: Connect,
    ) -> impl Future<Output = Result<Opened, Violation>> + Send;

    /// "tun@openssh.com". Before [`TunnelOpened::Done`] is returned the device must have been sent through the lane.
    fn open_tunnel(
        &self,
        channel: Channel,
        wanted: OpenTunnel,
    ) -> impl Future<Output = Result<TunnelOpened, Violation>> + Send;

    /// "tcpip-forward", "streamlocal-forward@openssh.com"
    fn listen(
        &self,
        address: Address,
    ) -> impl Future<Output = Result<Remarked<Listening>, Violation>> + Send;

    /// "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com"
    fn cancel_listen(
        &self,
        address: Address,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "auth-agent-req@openssh.com"
    fn forward_agent(
        &self,
        channel: Channel,
    ) -> impl Future<Output = Result<Outcome, Violation>> + Send;

    /// "x11-req"
    fn forward_x11(
        &self,
        channel: Channel,
        request: X11Request,
    ) -> impl Future<Output = Result<Remarked<Outcome>, Violation>> + Send;

    /// Sends everybody who connects to what is listened on through the lane, each for the next of these channels. Answers
    /// when they have all been used.
    fn accept(&self, channels: Vec<Channel>) -> impl Future<Output = Result<(), Violation>> + Send;
}

/// Serves the worker until it goes or breaks the contract.
pub async fn serve(stream: UnixStream, face: impl SessionFace) -> ServeEnd {
    let wire = Tripwire::default();
    let adapter = Adapter {
        face: Arc::new(face),
        wire: wire.clone(),
    };
    let service = pb::session_server::SessionServer::new(adapter)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    grpc::serve(stream, service, grpc::SESSION_STREAMS, wire).await
}

/// The worker's end: the session as it may be asked.
#[derive(Clone)]
pub struct Session {
    client: pb::session_client::SessionClient<Caller>,
    caller: Caller,
}

impl Session {
    /// Starts the border on a stream that came through the lane. The session may still be
    /// starting: calls wait for it.
    ///
    /// # Errors
    /// The stream is closed.
    pub async fn start(stream: UnixStream) -> Result<Self, CallError> {
        let caller = Caller::start(stream).await?;
        let client = pb::session_client::SessionClient::with_origin(caller.clone(), grpc::origin())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Ok(Self { client, caller })
    }

    /// Waits until the session is gone: it was ended, or could not be started.
    pub fn gone(&self) -> impl Future<Output = ()> + use<> {
        self.caller.gone()
    }

    /// See [`SessionFace::set_environment`].
    ///
    /// # Errors
    /// The session is gone or too slow. The same holds for the other calls.
    pub async fn set_environment(
        &mut self,
        channel: Channel,
        name: &str,
        value: &str,
    ) -> Result<Outcome, CallError> {
        let request = pb::SetEnvironmentRequest {
            channel: channel.0,
            name: name.to_owned(),
            value: value.to_owned(),
        };
        outcome(grpc::within(CALL_DEADLINE, self.client.set_environment(request)).await?)
    }

    /// See [`SessionFace::allocate_pty`].
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn allocate_pty(
        &mut self,
        channel: Channel,
        request: PtyRequest,
    ) -> Result<Outcome, CallError> {
        let request = convert::pty_to_proto(channel, request);
        outcome(grpc::within(CALL_DEADLINE, self.client.allocate_pty(request)).await?)
    }

    /// See [`SessionFace::start`].
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn start_program(
        &mut self,
        channel: Channel,
        program: Program,
    ) -> Result<Outcome, CallError> {
        let request = convert::program_to_proto(channel, program);
        outcome(grpc::within(CALL_DEADLINE, self.client.start(request)).await?)
    }

    /// See [`SessionFace::resize`].
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn resize(
        &mut self,
        channel: Channel,
        size: WindowSize,
    ) -> Result<Outcome, CallError> {
        let request = pb::ResizeRequest {
            channel: channel.0,
            size: Some(convert::size_to_proto(size)),
        };
        outcome(grpc::within(CALL_DEADLINE, self.client.resize(request)).await?)
    }

    /// See [`SessionFace::signal`].
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn signal(&mut self, channel: Channel, signal: Signal) -> Result<Outcome, CallError> {
        let request = pb::SignalRequest {
            channel: channel.0,
            name: signal.name().to_owned(),
        };
        outcome(grpc::within(CALL_DEADLINE, self.client.signal(request)).await?)
    }

    /// See [`SessionFace::send_break`].
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn send_break(&mut self, channel: Channel) -> Result<Outcome, CallError> {
        let request = pb::ChannelRequest { channel: channel.0 };
        outcome(grpc::within(CALL_DEADLINE, self.client.r#break(request)).await?)
    }

    /// See [`SessionFace::wait`]. Has no deadline: a program runs as long as it likes.
    ///
    /// # Errors
    /// The session is gone.
    pub async fn wait(&mut self, channel: Channel) -> Result<ProgramEnd, CallError> {
        let request = pb::ChannelRequest { channel: channel.0 };
        let reply = self
            .client
            .wait(request)
            .await
            .map_err(|status| CallError::Ended(status.message().to_owned()))?;
        convert::end_from_proto(reply.into_inner()).ok_or(CallError::Malformed("end is missing"))
    }

    /// See [`SessionFace::close`].
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn close(&mut self, channel: Channel) -> Result<Outcome, CallError> {
        let request = pb::ChannelRequest { channel: channel.0 };
        outcome(grpc::within(CALL_DEADLINE, self.client.close(request)).await?)
    }

    /// See [`SessionFace::report_idle`].
    ///
    /// # Errors
    /// As [`Self::set_environment`].
    pub async fn report_idle(
        &mut self,
        channel: Channel,
        time: IdleSeconds,
    ) -> Result<Outcome, CallError> {
        let request = pb::IdleChannel {
            channel: channel.0,
            seconds: time.0,
        };
        outcome(grpc::within(CALL_DEADLINE, self.client.report_idle(request)).await?)
    }
}

fn outcome_to_proto(outcome: Outcome) -> pb::Outcome {
    let outcome = match outcome {
        Outcome::Done => pb::outcome::Outcome::Done(pb::Done {}),
        Outcome::Refused => pb::outcome::Outcome::Refused(pb::Refused {}),
    };
    pb::Outcome {
        outcome: Some(outcome),
    }
}

fn outcome(reply: pb::Outcome) -> Result<Outcome, CallError> {
    match reply.outcome {
        Some(pb::outcome::Outcome::Done(_)) => Ok(Outcome::Done),
        Some(pb::outcome::Outcome::Refused(_)) => Ok(Outcome::Refused),
        None => Err(CallError::Malformed("outcome is missing")),
    }
}

struct Adapter<F> {
    face: Arc<F>,
    wire: Tripwire,
}

impl<F: SessionFace> Adapter<F> {
    async fn answer(
        &self,
        result: Result<Outcome, Violation>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        self.wire.reply(result, outcome_to_proto).await
    }
}

#[tonic::async_trait]
impl<F: SessionFace> pb::session_server::Session for Adapter<F> {
    async fn set_environment(
        &self,
        request: tonic::Request<pb::SetEnvironmentRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let result = match convert::environment_from_proto(request.into_inner()) {
            Ok((channel, name, value)) => self.face.set_environment(channel, name, value).await,
            Err(violation) => Err(violation),
        };
        self.answer(result).await
    }

    async fn allocate_pty(
        &self,
        request: tonic::Request<pb::AllocatePtyRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let result = match convert::pty_from_proto(request.into_inner()) {
            Ok((channel, pty)) => self.face.allocate_pty(channel, pty).await,
            Err(violation) => Err(violation),
        };
        self.answer(result).await
    }

    async fn start(
        &self,
        request: tonic::Request<pb::StartRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let result = match convert::program_from_proto(request.into_inner()) {
            Ok((channel, program)) => self.face.start(channel, program).await,
            Err(violation) => Err(violation),
        };
        self.answer(result).await
    }

    async fn resize(
        &self,
        request: tonic::Request<pb::ResizeRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let request = request.into_inner();
        let size = convert::size_from_proto(request.size.unwrap_or_default());
        let result = self.face.resize(Channel(request.channel), size).await;
        self.answer(result).await
    }

    async fn signal(
        &self,
        request: tonic::Request<pb::SignalRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let request = request.into_inner();
        let result = match Signal::from_name(&request.name) {
            Some(signal) => self.face.signal(Channel(request.channel), signal).await,
            None => Err(Violation::new("signal has no name of RFC 4254")),
        };
        self.answer(result).await
    }

    async fn r#break(
        &self,
        request: tonic::Request<pb::ChannelRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let result = self
            .face
            .send_break(Channel(request.into_inner().channel))
            .await;
        self.answer(result).await
    }

    async fn wait(
        &self,
        request: tonic::Request<pb::ChannelRequest>,
    ) -> Result<tonic::Response<pb::WaitReply>, tonic::Status> {
        let channel = Channel(request.into_inner().channel);
        let result = self.face.wait(channel).await;
        self.wire.reply(result, convert::end_to_proto).await
    }

    async fn close(
        &self,
        request: tonic::Request<pb::ChannelRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let result = self.face.close(Channel(request.into_inner().channel)).await;
        self.answer(result).await
    }

    async fn report_idle(
        &self,
        request: tonic::Request<pb::IdleChannel>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let pb::IdleChannel { channel, seconds } = request.into_inner();
        let time = IdleSeconds(seconds);
        let result = self.face.report_idle(Channel(channel), time).await;
        self.answer(result).await
    }

    async fn connect(
        &self,
        request: tonic::Request<pb::ConnectRequest>,
    ) -> Result<tonic::Response<pb::OpenReply>, tonic::Status> {
        let result = match convert::forwarding::connect_from_proto(request.into_inner()) {
            Ok((channel, connect)) => self.face.connect(channel, connect).await,
            Err(violation) => Err(violation),
        };
        self.wire
            .reply(result, convert::forwarding::opened_to_proto)
            .await
    }

    async fn open_tunnel(
        &self,
        request: tonic::Request<pb::OpenTunnelRequest>,
    ) -> Result<tonic::Response<pb::OpenTunnelReply>, tonic::Status> {
        let result = match tunnel::wanted_from_proto(request.into_inner()) {
            Ok((channel, wanted)) => self.face.open_tunnel(channel, wanted).await,
            Err(violation) => Err(violation),
        };
        self.wire.reply(result, tunnel::opened_to_proto).await
    }

    async fn listen(
        &self,
        request: tonic::Request<pb::Address>,
    ) -> Result<tonic::Response<pb::ListenReply>, tonic::Status> {
        let result = match convert::forwarding::address_from_proto(request.into_inner()) {
            Ok(address) => self.face.listen(address).await,
            Err(violation) => Err(violation),
        };
        self.wire
            .reply(result, convert::forwarding::listening_to_proto)
            .await
    }

    async fn cancel_listen(
        &self,
        request: tonic::Request<pb::Address>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let result = match convert::forwarding::address_from_proto(request.into_inner()) {
            Ok(address) => self.face.cancel_listen(address).await,
            Err(violation) => Err(violation),
        };
        self.answer(result).await
    }

    async fn forward_agent(
        &self,
        request: tonic::Request<pb::ChannelRequest>,
    ) -> Result<tonic::Response<pb::Outcome>, tonic::Status> {
        let channel = Channel(request.into_inner().channel);
        let result = self.face.forward_agent(channel).await;
        self.answer(result).await
    }

    async fn forward_x11(
        &self,
        request: tonic::Request<pb::ForwardX11Request>,
    ) -> Result<tonic::Response<pb::ForwardX11Reply>, tonic::Status> {
        let result = match convert::forwarding::x11_from_proto(request.into_inner()) {
            Ok((channel, x11)) => self.face.forward_x11(channel, x11).await,
            Err(violation) => Err(violation),
        };
        self.wire
            .reply(result, |forwarded| pb::ForwardX11Reply {
                outcome: Some(outcome_to_proto(forwarded.answer)),
                remark: convert::forwarding::remark_to_proto(forwarded.remark).into(),
            })
            .await
    }

    async fn accept(
        &self,
        request: tonic::Request<pb::AcceptRequest>,
    ) -> Result<tonic::Response<pb::Done>, tonic::Status> {
        let result = match convert::forwarding::accept_from_proto(request.into_inner()) {
            Ok(channels) => self.face.accept(channels).await,
            Err(violation) => Err(violation),
        };
        self.wire.reply(result, |()| pb::Done {}).await
    }
}
