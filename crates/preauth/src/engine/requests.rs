//! What the client asks for, as typed calls to the session.
//!
//! russh has decoded the requests; every restriction is the session's to keep.

use std::sync::Arc;

use rpc::CallError;
use rpc::lane::{ChannelType, FromSession, LaneError};
use rpc::session::{
    Channel as SessionChannel, Connections, Outcome, Program, PtyRequest, Session, Signal,
    WindowSize, X11Request, is_term, is_xauth_word,
};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use thiserror::Error;

use super::channels::{BREAK_SIGNAL, Number, TooManySessions};
use super::deliveries::Deliveries;
use super::forward::Forwarding;
use super::mux::Mux;
use super::program::{Errors, Running};
use super::remarks;

/// Longest name of a subsystem that is passed on; the session's limit.
const SUBSYSTEM_LIMIT: usize = 64;

/// Why the engine stops.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    /// The client broke RFC 4254.
    #[error(transparent)]
    Protocol(#[from] russh::Error),
    /// The session is gone.
    #[error("session: {0}")]
    Session(#[from] CallError),
    /// The session did not send what it promised.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The session sent something else than it promised.
    #[error("session: descriptors of another kind")]
    OtherDescriptors,
    /// A descriptor of the session is of no use.
    #[error("session: {0}")]
    Descriptor(#[from] std::io::Error),
}

/// The handler of one connection.
pub(super) struct Requests {
    mux: Arc<Mux>,
    session: Session,
    deliveries: Deliveries,
    forwarding: Forwarding,
    max_sessions: u32,
}

impl Requests {
    pub(super) fn new(
        mux: Arc<Mux>,
        session: Session,
        deliveries: Deliveries,
        forwarding: Forwarding,
        max_sessions: u32,
    ) -> Self {
        Self {
            mux,
            session,
            deliveries,
            forwarding,
            max_sessions,
        }
    }

    /// Starts the channel's program and connects it.
    async fn start(
        &mut self,
        channel: ChannelId,
        program: Program,
        session: &mut russh::server::Session,
    ) -> Result<(), RequestError> {
        let number = SessionChannel(Number::from(channel));
        let delivery = self.deliveries.expect(number.0);
        let (kind, errors) = match &program {
            Program::Shell => (ChannelType::Shell, Errors::Told),
            Program::Command(_) => (ChannelType::Command, Errors::Told),
            Program::Subsystem(name) => (ChannelType::Subsystem(name.clone()), Errors::Dropped),
        };
        match self.session.start_program(number, program).await? {
            Outcome::Done => {
                let FromSession::Descriptors { descriptors, .. } = delivery.take().await? else {
                    return Err(RequestError::OtherDescriptors);
                };
                // The success goes out when this returns, before any data: the tasks that are
                // started here run later.
                session.channel_success(channel)?;
                let running = Running {
                    mux: Arc::clone(&self.mux),
                    session: self.session.clone(),
                    handle: session.handle(),
                    channel,
                    errors,
                };
                running.start(descriptors)?;
                self.mux.watch(number.0, &kind);
            }
            Outcome::Refused => session.channel_failure(channel)?,
        }
        Ok(())
    }
}

fn answer(
    outcome: Outcome,
    channel: ChannelId,
    session: &mut russh::server::Session,
) -> Result<(), RequestError> {
    match outcome {
        Outcome::Done => session.channel_success(channel)?,
        Outcome::Refused => session.channel_failure(channel)?,
    }
    Ok(())
}

impl Handler for Requests {
    type Error = RequestError;

    /// The link's own login: the client of the network was authenticated by the monitor before the
    /// engine was started.
    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        #[cfg(feature = "cage-probe")]
        sandbox::probe::reached(sandbox::probe::Phase::Session);
        let number = Number::from(channel.id());
        match self.mux.count_session(number, self.max_sessions) {
            Ok(()) => reply.accept().await,
            Err(TooManySessions) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        self.mux.end_input(channel.into());
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        // Who closed it told the session already.
        if !self.mux.was_closed_here(channel.into()) {
            self.session.close(SessionChannel(channel.into())).await?;
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width_pixels: u32,
        height_pixels: u32,
        modes: &[(Pty, u32)],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        // A terminal of no known kind serves as well as with sshd, which takes whatever the client says.
        let term = if is_term(term) { term } else { "" };
        let request = PtyRequest {
            term: term.to_owned(),
            size: WindowSize::from_fields(columns, rows, width_pixels, height_pixels),
            modes: modes
                .iter()
                .map(|(mode, argument)| (opcode(*mode), *argument))
                .collect(),
        };
        let outcome = self
            .session
            .allocate_pty(SessionChannel(channel.into()), request)
            .await?;
        answer(outcome, channel, session)
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        _session: &mut russh::server::Session,
    ) -> Result<bool, Self::Error> {
        let channel = SessionChannel(channel.into());
        let outcome = self.session.forward_agent(channel).await?;
        if outcome == Outcome::Done {
            self.forwarding.accept();
        }
        // The answer is made of it.
        Ok(outcome == Outcome::Done)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        single_connection: bool,
        protocol: &str,
        cookie: &str,
        screen: u32,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        if !is_xauth_word(protocol) || !is_xauth_word(cookie) {
            return answer(Outcome::Refused, channel, session);
        }
        let request = X11Request {
            connections: match single_connection {
                true => Connections::One,
                false => Connections::Any,
            },
            protocol: protocol.to_owned(),
            cookie: cookie.to_owned(),
            screen,
        };
        let forwarded = self
            .session
            .forward_x11(SessionChannel(channel.into()), request)
            .await?;
        if let Some(remark) = forwarded.remark {
            self.mux.remark(remarks::of(remark));
        }
        if forwarded.answer == Outcome::Done {
            self.forwarding.accept();
        }
        answer(forwarded.answer, channel, session)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        // Limits of the border; longer ones or other characters cannot be variables (environ(7)).
        let fits =
            |text: &str| text.len() <= rpc::session::ENVIRONMENT_LIMIT && !text.contains('\0');
        let outcome = if !name.is_empty() && !name.contains('=') && fits(name) && fits(value) {
            self.session
                .set_environment(SessionChannel(channel.into()), name, value)
                .await?
        } else {
            Outcome::Refused
        };
        answer(outcome, channel, session)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Program::Shell, session).await
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        if command.len() > rpc::session::COMMAND_LIMIT || command.contains(&0) {
            self.mux.remark(remarks::UNFIT_COMMAND);
            return answer(Outcome::Refused, channel, session);
        }
        self.start(channel, Program::Command(command.to_vec()), session)
            .await
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        if name.len() > SUBSYSTEM_LIMIT {
            return answer(Outcome::Refused, channel, session);
        }
        self.start(channel, Program::Subsystem(name.to_owned()), session)
            .await
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width_pixels: u32,
        height_pixels: u32,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let size = WindowSize::from_fields(columns, rows, width_pixels, height_pixels);
        let outcome = self
            .session
            .resize(SessionChannel(channel.into()), size)
            .await?;
        answer(outcome, channel, session)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: russh::Sig,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let number = SessionChannel(channel.into());
        let outcome = match (session_signal(&signal), signal) {
            (Some(signal), _) => self.session.signal(number, signal).await?,
            (None, russh::Sig::Custom(name)) if name == BREAK_SIGNAL => {
                self.session.send_break(number).await?
            }
            (None, _) => Outcome::Refused,
        };
        answer(outcome, channel, session)
    }
}

/// The opcode of RFC 4254 section 8.
fn opcode(mode: Pty) -> u8 {
    #[expect(
        clippy::as_conversions,
        reason = "a fieldless enum of u8 has no other way to its number"
    )]
    let opcode = mode as u8;
    opcode
}

fn session_signal(signal: &russh::Sig) -> Option<Signal> {
    let name = match signal {
        russh::Sig::ABRT => "ABRT",
        russh::Sig::ALRM => "ALRM",
        russh::Sig::FPE => "FPE",
        russh::Sig::HUP => "HUP",
        russh::Sig::ILL => "ILL",
        russh::Sig::INT => "INT",
        russh::Sig::KILL => "KILL",
        russh::Sig::PIPE => "PIPE",
        russh::Sig::QUIT => "QUIT",
        russh::Sig::SEGV => "SEGV",
        russh::Sig::TERM => "TERM",
        russh::Sig::USR1 => "USR1",
        russh::Sig::Custom(name) => name,
    };
    Signal::from_name(name)
}
