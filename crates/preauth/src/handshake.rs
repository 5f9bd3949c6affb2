//! From the first byte to the login: one loop of read, handle, ask, write.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use rpc::CallError;
use rpc::lane::{Lane, LaneError, SessionGrant, ToWorker};
use rpc::preauth::{AuthReply, Monitor};
use thiserror::Error;
use transport::{Event, HostKey, Settings, Transport};
use wire::userauth::AuthOutcome;
use zeroize::Zeroize as _;

use crate::client::ClientSocket;
use crate::settings::{self, UnknownName};
use transport::SystemRandom;

/// Bytes that may wait unparsed: one packet before login and the start of the next
/// (RFC 4253 section 6.1).
const INPUT_LIMIT: usize = 64 * 1024;

/// A connection whose user is logged in.
pub struct LoggedIn {
    /// All public host keys of this server, without certificates.
    pub host_keys: Vec<Vec<u8>>,
    /// Keys and counters of the connection.
    pub transport: Transport,
    /// Bytes that were read and not parsed yet.
    pub input: Vec<u8>,
    /// Who and what.
    pub grant: SessionGrant,
    /// Stream of `session.proto`.
    pub session: std::os::fd::OwnedFd,
    /// Lane of the session.
    pub lane: std::os::fd::OwnedFd,
}

/// How a connection ended before login.
#[derive(Debug, Error)]
pub enum HandshakeEnd {
    /// The client closed the connection.
    #[error("closed")]
    Closed,
    /// The client sent SSH_MSG_DISCONNECT.
    #[error("disconnect {reason}: {description}")]
    Disconnected {
        /// Reason code of RFC 4253 section 11.1.
        reason: u32,
        /// Sanitised text.
        description: String,
    },
    /// The protocol was broken, or nothing in common was found.
    #[error(transparent)]
    Protocol(#[from] transport::Error),
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// The monitor went away or ended the connection.
    #[error("monitor: {0}")]
    Monitor(#[from] CallError),
    /// The lane did not bring the session.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The monitor named an algorithm that this worker does not have.
    #[error(transparent)]
    Algorithm(#[from] UnknownName),
    /// Too many failed attempts.
    #[error("too many authentication failures")]
    TooManyFailures,
    /// There is no method to try.
    #[error("no authentication methods enabled")]
    NoMethods,
    /// The account may not be used.
    #[error("account is denied")]
    Denied,
}

/// Runs the connection up to its login.
///
/// # Errors
/// How it ended otherwise; what had to be said to the client has been said.
pub async fn run(
    client: &ClientSocket,
    settings: Arc<Settings>,
    monitor: &mut Monitor,
    lane: &Lane,
) -> Result<LoggedIn, HandshakeEnd> {
    let host_keys = plain_host_keys(&settings);
    let transport = Transport::new(settings, Box::new(SystemRandom::default()))?;
    let mut handshake = Handshake {
        client,
        transport,
        input: Vec::with_capacity(INPUT_LIMIT),
    };
    match handshake.drive(monitor, lane).await {
        Ok((grant, session, lane)) => {
            let Handshake {
                transport, input, ..
            } = handshake;
            Ok(LoggedIn {
                host_keys,
                transport,
                input,
                grant,
                session,
                lane,
            })
        }
        Err(end) => {
            // The transport has queued what there is to say to a client that may be gone.
            drop(handshake.flush().await);
            Err(end)
        }
    }
}

/// Those that are told after login. Certificates come with their authority's word; there is nothing
/// to learn about them.
fn plain_host_keys(settings: &Settings) -> Vec<Vec<u8>> {
    let is_plain = |key: &&HostKey| key.algorithms.iter().all(|a| !a.is_certificate());
    let keys = settings.host_keys.iter().filter(is_plain);
    keys.map(|key| key.public_key.clone()).collect()
}

struct Handshake<'a> {
    client: &'a ClientSocket,
    transport: Transport,
    input: Vec<u8>,
}

type Grant = (SessionGrant, std::os::fd::OwnedFd, std::os::fd::OwnedFd);

impl Handshake<'_> {
    async fn drive(&mut self, monitor: &mut Monitor, lane: &Lane) -> Result<Grant, HandshakeEnd> {
        loop {
            self.flush().await?;
            let step = self
                .transport
                .handle_input(Instant::now(), &mut self.input)?;
            let (consumed, question) = match step.event {
                None => (step.consumed, None),
                Some(Event::ChooseGroup(request)) => {
                    (step.consumed, Some(Question::Group(request)))
                }
                Some(Event::SignExchange(values)) => (step.consumed, Some(Question::Sign(values))),
                Some(Event::Authenticate(request)) => {
                    (step.consumed, Some(Question::Authenticate(request)))
                }
                Some(Event::Answer(responses)) => {
                    (step.consumed, Some(Question::Answer(responses)))
                }
                Some(Event::Disconnected {
                    reason,
                    description,
                }) => {
                    return Err(HandshakeEnd::Disconnected {
                        reason,
                        description,
                    });
                }
                // Before login the transport has no such event.
                Some(Event::Packet(_)) => (step.consumed, None),
            };
            self.consume(consumed);
            // While a question is open nothing is read. A client that goes meanwhile is noticed with the answer, as by
            // sshd: what it tried is judged, counted and logged whatever it does, and LoginGraceTime bounds the wait.
            match question {
                Some(Question::Group(request)) => {
                    let group = monitor.choose_group(request).await?;
                    self.transport.handle_group(group)?;
                }
                Some(Question::Sign(values)) => {
                    #[cfg(feature = "cage-probe")]
                    sandbox::probe::reached(sandbox::probe::Phase::KeyExchange);
                    let signature = monitor.sign_exchange(values).await?;
                    self.transport.handle_signature(signature)?;
                }
                Some(Question::Authenticate(request)) => {
                    #[cfg(feature = "cage-probe")]
                    sandbox::probe::reached(sandbox::probe::Phase::Authentication);
                    let reply = monitor.authenticate(request).await?;
                    if let Some(grant) = self.conclude(reply, lane).await? {
                        return Ok(grant);
                    }
                }
                Some(Question::Answer(responses)) => {
                    let reply = monitor.answer(responses).await?;
                    if let Some(grant) = self.conclude(reply, lane).await? {
                        return Ok(grant);
                    }
                }
                None if consumed == 0 => self.read().await?,
                None => {}
            }
        }
    }

    /// Tells the client what the monitor has decided; the session, if that is a login.
    async fn conclude(
        &mut self,
        reply: AuthReply,
        lane: &Lane,
    ) -> Result<Option<Grant>, HandshakeEnd> {
        let AuthReply {
            banners,
            pubkey_algorithms,
            outcome,
        } = reply;
        if !pubkey_algorithms.is_empty() {
            let algorithms = settings::pubkey_algorithms(&pubkey_algorithms)?;
            self.transport.set_pubkey_algorithms(algorithms);
        }
        for text in banners {
            self.transport.send_banner(&text)?;
        }
        match &outcome {
            AuthOutcome::Accepted => {
                let grant = receive_grant(lane).await?;
                self.transport.handle_auth_outcome(outcome)?;
                let (
                    SessionGrant {
                        rekey_bytes,
                        rekey_seconds,
                        ..
                    },
                    ..,
                ) = &grant;
                let limit = settings::rekey_limit(*rekey_bytes, *rekey_seconds);
                self.transport.set_rekey_limit(Instant::now(), limit);
                Ok(Some(grant))
            }
            AuthOutcome::TooManyFailures => {
                self.transport.handle_auth_outcome(outcome)?;
                Err(HandshakeEnd::TooManyFailures)
            }
            AuthOutcome::NoMethods => {
                self.transport.handle_auth_outcome(outcome)?;
                Err(HandshakeEnd::NoMethods)
            }
            // What there is to say to the user was in the banners.
            AuthOutcome::Denied => Err(HandshakeEnd::Denied),
            AuthOutcome::KeyAcceptable
            | AuthOutcome::InfoRequest(_)
            | AuthOutcome::PasswordChange { .. }
            | AuthOutcome::Refused { .. } => {
                self.transport.handle_auth_outcome(outcome)?;
                Ok(None)
            }
        }
    }

    /// Drops bytes of the input that were opened in place: a password may be among them.
    fn consume(&mut self, count: usize) {
        self.input.get_mut(..count).unwrap_or_default().zeroize();
        self.input.drain(..count);
    }

    async fn read(&mut self) -> Result<(), HandshakeEnd> {
        let start = self.input.len();
        if start >= INPUT_LIMIT {
            // The transport refuses a packet over its limit long before this.
            return Err(HandshakeEnd::Closed);
        }
        self.input.resize(INPUT_LIMIT, 0);
        self.client.acknowledge_quickly();
        let space = self.input.get_mut(start..).unwrap_or_default();
        let read = self.client.read(space).await;
        self.input
            .truncate(start + read.as_ref().copied().unwrap_or(0));
        match read? {
            0 => Err(HandshakeEnd::Closed),
            _ => Ok(()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.client.write_all(self.transport.poll_output()).await?;
        let sent = self.transport.output_pending();
        self.transport.output_sent(sent);
        Ok(())
    }
}

enum Question {
    Group(wire::groups::GroupRequest),
    Sign(wire::exchange::ExchangeValues),
    Authenticate(wire::userauth::AuthRequest),
    Answer(wire::userauth::Responses),
}

/// The monitor has put the session's descriptors into the lane before it answered.
async fn receive_grant(lane: &Lane) -> Result<Grant, LaneError> {
    match lane.receive_to_worker().await? {
        ToWorker::Session { grant, rpc, lane } => Ok((grant, rpc, lane)),
        ToWorker::Welcome { .. } | ToWorker::Connection { .. } => {
            Err(LaneError::Malformed("not the session of the login"))
        }
    }
}
