//! The state machine of one connection.

mod key_exchange;
mod services;

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use wire::codec::Write;
use wire::groups::DhGroup;
use wire::message::{Disconnect, DisconnectReason, Unimplemented, number};
use wire::names::SignatureAlgorithm;
use wire::quirks::{Quirk, Quirks};
use wire::userauth::AuthOutcome;

use self::key_exchange::{exchange_stage, request_exchange, strictness};
use crate::admission::{self, Expected, Stage, Verdict};
use crate::error::{Error, Failure, Misbehaviour};
use crate::event::{Event, Phase, Step};
use crate::exchange::{Exchange, Requested};
use crate::extensions::SecondExtInfo;
use crate::identification;
use crate::inbound::{self, Inbound, Opened};
use crate::kexinit::{Negotiated, Round, StrictKex};
use crate::keys::ExchangeHash;
use crate::outbound::{INPUT_HIGH_WATER, Outbound, PAYLOAD_HIGH_WATER, PAYLOAD_LIMIT};
use crate::peer_text::printable;
use crate::ping::{self, Pongs};
use crate::random::Random;
use crate::rekey::KeyLimits;
use crate::settings::{RekeyLimit, Settings};
use crate::userauth::{Authentication, Pending};

/// The server's side of one SSH connection, from the first byte on.
///
/// The driver owns the socket and the clock. It hands received bytes to
/// [`handle_input`](Self::handle_input) until that consumes nothing, answers the questions among
/// the events, writes what [`poll_output`](Self::poll_output) shows, and calls
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) says so. After
/// each of these the others may have something new. An error of which
/// [`disconnect_reason`](Error::disconnect_reason) tells a reason has ended the connection: what is
/// left of the output, with an SSH_MSG_DISCONNECT at its end, should still be written.
///
/// Memory is bounded by what is *not* taken: no input while a question is open or while much output
/// waits, no payload while output waits or keys are exchanged.
pub struct Transport {
    settings: Arc<Settings>,
    user: UserSettings,
    random: Box<dyn Random + Send>,
    inbound: Inbound,
    outbound: Outbound,
    allowance: Allowance,
    /// None before the client's line is here.
    quirks: Quirks,
    pongs: Pongs,
    /// The payload that was decompressed last; empty until one was.
    inflated: Vec<u8>,
    state: State,
}

/// What may differ from the settings of all connections once the user is known.
struct UserSettings {
    pubkey_algorithms: Vec<SignatureAlgorithm>,
    rekey: RekeyLimit,
}

/// Where the connection is.
enum State {
    /// Our identification string and SSH_MSG_KEXINIT are out, the client's line is not here.
    Identification(Requested),
    /// No keys yet.
    FirstExchange(FirstExchange),
    /// There are keys, and services run under them.
    Established(Established),
    /// Over.
    Closed,
}

/// What one packet was.
enum Found<'p> {
    /// Nothing that the outside has to know.
    Nothing,
    /// Something that owns all that it tells.
    Event(Event<'static>),
    /// A message of the connection protocol, where it was opened.
    Packet(&'p [u8]),
    /// The same after decompression: so many bytes of `Transport::inflated`.
    Inflated(usize),
}

struct FirstExchange {
    client_identification: Vec<u8>,
    exchange: Exchange,
}

struct Established {
    client_identification: Vec<u8>,
    session_identifier: ExchangeHash,
    negotiated: Negotiated,
    limits: KeyLimits,
    rekey: Rekey,
    second_ext_info: SecondExtInfo,
    service: Service,
}

/// Runs beside the service: keys may be replaced at any time.
enum Rekey {
    Idle,
    Running(Exchange),
}

/// What the outside was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Group,
    Signature,
    Authentication,
}

enum Service {
    /// No packet has come under the first keys.
    FirstUnderKeys,
    /// `ssh-userauth` was not requested.
    Unrequested,
    /// `ssh-userauth` waits for a request.
    Authentication(Authentication),
    /// `ssh-userauth` has asked the outside.
    Deciding(Pending),
    /// `ssh-connection`
    Connection,
}

/// What a stranger may send before login. A login takes a dozen packets and 10 KiB; a client with
/// many keys takes two packets for each.
struct Allowance {
    packets: u32,
    bytes: usize,
}

const ALLOWANCE: Allowance = Allowance {
    packets: 1024,
    bytes: 4 * 1024 * 1024,
};

/// Longest description that is sent or kept, in bytes.
const DESCRIPTION_LIMIT: usize = 512;

impl Transport {
    /// Starts a connection: our identification string and SSH_MSG_KEXINIT are in the output at once.
    ///
    /// Fails if there is no randomness, or if the settings cannot be offered.
    pub fn new(settings: Arc<Settings>, mut random: Box<dyn Random + Send>) -> Result<Self, Error> {
        let mut outbound = Outbound::new();
        let mut line = identification::server(&settings.software_version);
        line.put_bytes(b"\r\n");
        outbound.push_clear(&line);
        let requested = request_exchange(&settings, &mut *random, &mut outbound, Round::First)?;
        Ok(Self {
            user: UserSettings {
                pubkey_algorithms: settings.pubkey_algorithms.clone(),
                rekey: settings.rekey,
            },
            settings,
            random,
            inbound: Inbound::new(),
            outbound,
            allowance: ALLOWANCE,
            quirks: Quirks::default(),
            pongs: Pongs::default(),
            inflated: Vec::new(),
            state: State::Identification(requested),
        })
    }

    /// Takes at most one step, the identification string or one packet, from the front of `input`,
    /// which it opens in place. Bytes that were not consumed must be passed again.
    ///
    /// If nothing is consumed and there is no event, then more input, the answer to the open
    /// question, or progress of the output is needed first.
    pub fn handle_input<'b>(
        &'b mut self,
        now: Instant,
        input: &'b mut [u8],
    ) -> Result<Step<'b>, Error> {
        let (consumed, found) = match self.step(now, input) {
            Ok(step) => step,
            Err(error) => {
                self.fail(&error);
                return Err(error);
            }
        };
        let event = match found {
            Found::Nothing => None,
            Found::Event(event) => Some(event),
            Found::Packet(payload) => Some(Event::Packet(payload)),
            Found::Inflated(length) => self.inflated.get(..length).map(Event::Packet),
        };
        Ok(Step { consumed, event })
    }

    /// Whether a question waits for its answer.
    pub fn question_open(&self) -> bool {
        self.question().is_some()
    }

    /// The open question. There is one at most: while it is open no input is taken.
    fn question(&self) -> Option<Question> {
        let exchange = match &self.state {
            State::FirstExchange(first) => &first.exchange,
            State::Established(Established {
                service: Service::Deciding(_),
                ..
            }) => return Some(Question::Authentication),
            State::Established(Established {
                rekey: Rekey::Running(exchange),
                ..
            }) => exchange,
            State::Identification(_) | State::Established(_) | State::Closed => return None,
        };
        match exchange {
            Exchange::Choosing(_) => Some(Question::Group),
            Exchange::Signing(_) => Some(Question::Signature),
            Exchange::Requested(_)
            | Exchange::Agreed(_)
            | Exchange::Offered(_)
            | Exchange::AwaitingNewKeys(_) => None,
        }
    }

    /// Answers [`Event::ChooseGroup`]: sends the group. `None` ends the connection, for there is no
    /// group of a size that the client permits.
    pub fn handle_group(&mut self, group: Option<DhGroup>) -> Result<(), Error> {
        let result = self.answer_group(group);
        self.note(result)
    }

    /// Answers [`Event::SignExchange`] with the signature blob (RFC 4253 section 6.6): sends it, and
    /// takes our new key into use.
    pub fn handle_signature(&mut self, signature: Vec<u8>) -> Result<(), Error> {
        let result = self.answer_signature(&signature);
        self.note(result)
    }

    /// Answers [`Event::Authenticate`] and [`Event::Answer`]. After [`AuthOutcome::Accepted`] the connection protocol
    /// runs; after [`AuthOutcome::TooManyFailures`] and [`AuthOutcome::NoMethods`] the connection is [`Phase::Closed`].
    pub fn handle_auth_outcome(&mut self, outcome: AuthOutcome) -> Result<(), Error> {
        let result = self.answer_authentication(outcome);
        self.note(result)
    }

    /// What holds for the user instead of [`Settings::pubkey_algorithms`]: told to a client that wants
    /// to hear of it (ext-info-in-auth@openssh.com) before the answer to its first request.
    pub fn set_pubkey_algorithms(&mut self, algorithms: Vec<SignatureAlgorithm>) {
        self.user.pubkey_algorithms = algorithms;
    }

    /// What holds for the user instead of [`Settings::rekey`]: for the keys in use, whose age counts
    /// from `now`, and for all that follow.
    pub fn set_rekey_limit(&mut self, now: Instant, limit: RekeyLimit) {
        self.user.rekey = limit;
        let State::Established(established) = &mut self.state else {
            return;
        };
        if !self.quirks.has(Quirk::NoRekey) {
            let negotiated = &established.negotiated;
            established.limits = KeyLimits::new(
                limit,
                negotiated.client_to_server.cipher,
                negotiated.server_to_client.cipher,
                now,
            );
        }
    }

    /// Shows a text to the user before the login (RFC 4252 section 5.4): as long as
    /// [`Phase::Authentication`] lasts and a user was named, at best before the answer to that. At
    /// most [`BANNER_LIMIT`](wire::message::BANNER_LIMIT) bytes, sent as they are; of an empty text
    /// nothing is sent.
    ///
    /// [`Failure::Busy`] at any other time.
    pub fn send_banner(&mut self, text: &[u8]) -> Result<(), Error> {
        let result = self.push_banner(text);
        self.note(result)
    }

    /// Bytes for the socket.
    pub fn poll_output(&self) -> &[u8] {
        self.outbound.waiting()
    }

    /// The socket took the first `count` bytes of the output.
    pub fn output_sent(&mut self, count: usize) {
        self.outbound.sent(count);
    }

    /// How many bytes wait for the socket.
    pub fn output_pending(&self) -> usize {
        self.outbound.waiting().len()
    }

    /// Whether a message of the connection protocol can be sent now: the user has logged in, we are
    /// not between our SSH_MSG_KEXINIT and SSH_MSG_NEWKEYS (RFC 4253 section 7.1), and not too much
    /// output waits.
    pub fn can_send(&self) -> bool {
        match &self.state {
            State::Established(Established {
                service: Service::Connection,
                rekey: Rekey::Idle | Rekey::Running(Exchange::AwaitingNewKeys(_)),
                ..
            }) => self.output_pending() < PAYLOAD_HIGH_WATER,
            State::Identification(_)
            | State::FirstExchange(_)
            | State::Established(_)
            | State::Closed => false,
        }
    }

    /// Sends a message of the connection protocol; [`Failure::Busy`] if that
    /// [cannot be](Self::can_send) now.
    pub fn send_packet(&mut self, payload: &[u8]) -> Result<(), Error> {
        if payload.len() > PAYLOAD_LIMIT {
            return Err(Failure::PayloadTooLong(payload.len()).into());
        }
        self.payload_slot(payload.len())
            .ok_or(Failure::Busy)?
            .copy_from_slice(payload);
        self.seal_payload(payload.len())
    }

    /// Room for a payload of up to `max` bytes ([`PAYLOAD_LIMIT`] at most), in the place where it
    /// will be sealed; its contents are arbitrary. `None` if nothing [can be sent](Self::can_send)
    /// now. A slot that is not sealed before something else happens leaves nothing behind.
    pub fn payload_slot(&mut self, max: usize) -> Option<&mut [u8]> {
        (max <= PAYLOAD_LIMIT && self.can_send()).then(|| self.outbound.slot(max))
    }

    /// Makes one packet of the first `len` bytes of the slot that [`payload_slot`](Self::payload_slot)
    /// has just given.
    pub fn seal_payload(&mut self, len: usize) -> Result<(), Error> {
        let result = self
            .outbound
            .seal(len, &mut *self.random)
            .and_then(|()| self.rekey_if_used());
        self.note(result)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Established(Established {
                service: Service::Connection,
                rekey: Rekey::Idle,
                limits,
                ..
            }) => limits.deadline(self.inbound.traffic(), self.outbound.traffic()),
            State::Identification(_)
            | State::FirstExchange(_)
            | State::Established(_)
            | State::Closed => None,
        }
    }

    /// Asks for new keys if those in use are too old.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let result = self.rekey_if_old(now);
        self.note(result)
    }

    /// Asks for new keys now; nothing happens before login or while keys are exchanged.
    pub fn rekey(&mut self) -> Result<(), Error> {
        let result = self.start_rekey();
        self.note(result)
    }

    /// Ends the connection with an SSH_MSG_DISCONNECT at the end of the output. Does nothing if it
    /// has ended already.
    pub fn disconnect(&mut self, reason: DisconnectReason, description: &str) {
        match mem::replace(&mut self.state, State::Closed) {
            State::Closed => {}
            State::Identification(_) | State::FirstExchange(_) | State::Established(_) => {
                self.push_disconnect(reason, description);
            }
        }
    }

    /// V_C: the client's identification string, once it is here.
    pub fn client_identification(&self) -> Option<&[u8]> {
        match &self.state {
            State::FirstExchange(first) => Some(&first.client_identification),
            State::Established(established) => Some(&established.client_identification),
            State::Identification(_) | State::Closed => None,
        }
    }

    /// What the client does differently; nothing before its line is here.
    pub fn quirks(&self) -> Quirks {
        self.quirks
    }

    /// The algorithms in use; during the first key exchange, those that will be.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match &self.state {
            State::FirstExchange(first) => first.exchange.negotiated(),
            State::Established(established) => Some(&established.negotiated),
            State::Identification(_) | State::Closed => None,
        }
    }

    /// The session identifier: the hash of the first exchange, once that is complete.
    pub fn session_identifier(&self) -> Option<&[u8]> {
        match &self.state {
            State::Established(established) => Some(established.session_identifier.as_bytes()),
            State::Identification(_) | State::FirstExchange(_) | State::Closed => None,
        }
    }

    /// How far the connection has come.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Identification(_) | State::FirstExchange(_) => Phase::Handshake,
            State::Established(Established {
                service: Service::Connection,
                ..
            }) => Phase::Connection,
            State::Established(_) => Phase::Authentication,
            State::Closed => Phase::Closed,
        }
    }

    /// One step: how many bytes of the input it took, and what they were.
    fn step<'i>(&mut self, now: Instant, input: &'i mut [u8]) -> Result<(usize, Found<'i>), Error> {
        if self.question_open() || self.output_pending() >= INPUT_HIGH_WATER {
            return Ok((0, Found::Nothing));
        }
        let cap = match self.phase() {
            Phase::Closed => return Err(Failure::Closed.into()),
            Phase::Connection => inbound::AFTER_LOGIN,
            Phase::Authentication => inbound::BEFORE_LOGIN,
            Phase::Handshake if matches!(self.state, State::Identification(_)) => {
                return Ok((self.read_identification(input)?, Found::Nothing));
            }
            Phase::Handshake => inbound::BEFORE_LOGIN,
        };
        let Some(opened) = self.inbound.open(input, cap)? else {
            return Ok((0, Found::Nothing));
        };
        self.charge(&opened)?;
        let Opened {
            payload,
            message,
            sequence,
            consumed,
        } = opened;
        let mut room = mem::take(&mut self.inflated);
        let found = match self.inbound.inflate(payload, &mut room) {
            None => self.dispatch(now, payload, message, sequence)?,
            Some(payload) => {
                let payload = payload?;
                let message = *payload.first().ok_or(Misbehaviour::CompressedPayload)?;
                match self.dispatch(now, payload, message, sequence)? {
                    Found::Packet(payload) => Found::Inflated(payload.len()),
                    Found::Inflated(length) => Found::Inflated(length),
                    Found::Event(event) => Found::Event(event),
                    Found::Nothing => Found::Nothing,
                }
            }
        };
        self.inflated = room;
        self.rekey_if_used()?;
        self.rekey_if_old(now)?;
        Ok((consumed, found))
    }

    /// How many bytes of the input were the client's identification string.
    fn read_identification(&mut self, input: &[u8]) -> Result<usize, Error> {
        let Some(line) = identification::read(input)? else {
            return Ok(0);
        };
        self.quirks = Quirks::of(&line.identification);
        self.state = match self.take_state() {
            State::Identification(requested) => State::FirstExchange(FirstExchange {
                client_identification: line.identification,
                exchange: Exchange::Requested(requested),
            }),
            state @ (State::FirstExchange(_) | State::Established(_) | State::Closed) => state,
        };
        Ok(line.consumed)
    }

    /// Takes a packet off the allowance of a stranger.
    fn charge(&mut self, opened: &Opened<'_>) -> Result<(), Error> {
        if self.phase() == Phase::Connection {
            return Ok(());
        }
        let Allowance { packets, bytes } = &mut self.allowance;
        match (packets.checked_sub(1), bytes.checked_sub(opened.consumed)) {
            (Some(packets_left), Some(bytes_left)) => {
                (*packets, *bytes) = (packets_left, bytes_left);
                Ok(())
            }
            (None, _) | (_, None) => Err(Misbehaviour::TooMuchBeforeLogin.into()),
        }
    }

    /// One message, by the admission table.
    fn dispatch<'p>(
        &mut self,
        now: Instant,
        payload: &'p [u8],
        message: u8,
        sequence: u32,
    ) -> Result<Found<'p>, Error> {
        let stage = self.stage();
        if let State::Established(established) = &mut self.state
            && matches!(established.service, Service::FirstUnderKeys)
        {
            established.service = Service::Unrequested;
        }
        match admission::verdict(stage, message) {
            Verdict::Handle => {}
            Verdict::Ignore => return Ok(Found::Nothing),
            Verdict::Unimplemented => {
                let mut answer = Vec::new();
                Unimplemented {
                    sequence_number: sequence,
                }
                .encode(&mut answer);
                self.push(&answer)?;
                return Ok(Found::Nothing);
            }
            Verdict::Refuse => return Err(admission::refusal(stage, message, sequence)),
        }
        match (message, stage) {
            (number::CONNECTION_FIRST..=number::CONNECTION_LAST, _) => {
                return Ok(Found::Packet(payload));
            }
            (number::DISCONNECT, _) => return self.handle_disconnect(payload).map(Found::Event),
            (number::KEXINIT, _) => self.handle_kexinit(payload, sequence)?,
            (number::NEWKEYS, _) => self.handle_new_keys(now, payload)?,
            (_, Stage::KeyExchange(_, Expected::WrongGuess)) => self.skip_guess()?,
            (number::KEX_METHOD_FIRST..=number::KEX_METHOD_LAST, _) => {
                return self.handle_kex_message(payload).map(Found::Event);
            }
            (number::EXT_INFO, _) => self.handle_ext_info(payload)?,
            (number::PING, _) => self.handle_ping(payload)?,
            (number::SERVICE_REQUEST, _) => self.handle_service_request(payload)?,
            (number::USERAUTH_REQUEST, _) => {
                return self.handle_userauth_request(payload).map(Found::Event);
            }
            (number::USERAUTH_INFO_RESPONSE, _) => {
                return self.handle_info_response(payload).map(Found::Event);
            }
            _ => return Err(admission::refusal(stage, message, sequence)),
        }
        Ok(Found::Nothing)
    }

    fn stage(&self) -> Stage {
        match &self.state {
            State::Identification(_) | State::Closed => Stage::Opening,
            State::FirstExchange(first) => {
                exchange_stage(&first.exchange, strictness(&first.exchange))
                    .unwrap_or(Stage::Opening)
            }
            State::Established(established) => {
                let service = match &established.service {
                    Service::FirstUnderKeys => Stage::FirstUnderKeys,
                    Service::Unrequested => Stage::Service,
                    Service::Authentication(Authentication::Asked(_)) => Stage::Asked,
                    Service::Authentication(_) | Service::Deciding(_) => Stage::Authentication,
                    Service::Connection => Stage::Connection,
                };
                match &established.rekey {
                    Rekey::Idle => service,
                    // What strict key exchange forbids, it forbids in the first exchange only.
                    Rekey::Running(exchange) => {
                        exchange_stage(exchange, StrictKex::Off).unwrap_or(service)
                    }
                }
            }
        }
    }

    /// SSH2_MSG_PING
    fn handle_ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let answer = ping::answer(payload)?;
        match &self.state {
            State::Established(Established {
                rekey: Rekey::Running(_),
                ..
            }) => {
                self.pongs.hold(answer);
                Ok(())
            }
            State::Identification(_)
            | State::FirstExchange(_)
            | State::Established(_)
            | State::Closed => self.push(&answer),
        }
    }

    fn handle_disconnect(&mut self, payload: &[u8]) -> Result<Event<'static>, Error> {
        let message = Disconnect::decode(payload).map_err(Error::malformed(Disconnect::NUMBER))?;
        self.state = State::Closed;
        Ok(Event::Disconnected {
            reason: message.reason,
            description: printable(message.description, DESCRIPTION_LIMIT),
        })
    }

    fn push(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.outbound.push(payload, &mut *self.random)
    }

    fn push_disconnect(&mut self, reason: DisconnectReason, description: &str) {
        let description = printable(description.as_bytes(), DESCRIPTION_LIMIT);
        let mut payload = Vec::new();
        Disconnect {
            reason: reason.code(),
            description: description.as_bytes(),
            language: b"",
        }
        .encode(&mut payload);
        // The connection is over either way: a goodbye that cannot be sealed is left out.
        self.push(&payload).unwrap_or_default();
    }

    /// For a transition: what fails on its way leaves the connection closed.
    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Closed)
    }

    fn note(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    /// Ends the connection if the error is one of the connection and not of its user.
    fn fail(&mut self, error: &Error) {
        if let Some(text) = error.clear_text() {
            self.outbound.push_clear(text.as_bytes());
            self.state = State::Closed;
        } else if let Some(reason) = error.disconnect_reason() {
            self.state = State::Closed;
            self.push_disconnect(reason, &error.to_string());
        }
    }
}
