//! A transport, and what must hold whatever is done to it.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use transport::{Error, Event, Failure, PACKET_LIMIT, Phase, RekeyLimit, Transport};
use wire::exchange::ExchangeValues;
use wire::groups::GroupRequest;
use wire::userauth::{AuthOutcome, AuthRequest, Responses};

use crate::memory::Account;
use crate::monitor::{Counter, Monitor};

/// From here on the transport takes no more input.
const OUTPUT_MARK: usize = 1024 * 1024;

/// One more step may add an answer as long as a packet.
const OUTPUT_LIMIT: usize = OUTPUT_MARK + PACKET_LIMIT + 8 * 1024;

/// What one transport may hold, or need for a moment: twice its longest queue of output, and room
/// for one request and its copy.
const MEMORY_LIMIT: usize = 4 * 1024 * 1024;

/// The start of simulated time.
pub(crate) static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The same for all inputs: its host key takes a while to make.
pub(crate) static MONITOR: LazyLock<Monitor> = LazyLock::new(Monitor::new);

/// What a step came to.
pub(crate) enum Outcome {
    /// Nothing to do with the input.
    Waiting,
    /// Something was consumed.
    Went,
    /// The question for a signature.
    Sign(ExchangeValues),
    /// The question for a login.
    Authenticate(Attempt),
    /// A message of the connection protocol.
    Packet(Vec<u8>),
    /// The connection is over.
    Ended,
}

/// What a client brings for a login.
pub(crate) enum Attempt {
    Request(AuthRequest),
    Responses(Responses),
}

/// Whether somebody was let in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
    Outstanding,
    Accepted,
}

/// A transport whose every call is checked. Panics on what must not be.
pub(crate) struct Watched {
    transport: Transport,
    account: Account,
    login: Login,
    phase: Phase,
    session_identifier: Option<Vec<u8>>,
    error: Option<Error>,
}

impl Watched {
    /// A new connection.
    pub(crate) fn new(rekey: RekeyLimit) -> Self {
        let settings = Arc::new(MONITOR.settings(rekey));
        let mut account = Account::new(MEMORY_LIMIT);
        let transport = account
            .charge(|| Transport::new(settings, Box::new(Counter::default())))
            .unwrap();
        Self {
            transport,
            account,
            login: Login::Outstanding,
            phase: Phase::Handshake,
            session_identifier: None,
            error: None,
        }
    }

    /// Why the connection has ended, if not by the client's own word.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// How far the connection has come.
    pub(crate) fn phase(&self) -> Phase {
        self.transport.phase()
    }

    /// Whether a message of the connection protocol can be sent.
    pub(crate) fn can_send(&self) -> bool {
        self.transport.can_send()
    }

    /// Bytes that wait for the client.
    pub(crate) fn output_pending(&self) -> usize {
        self.transport.output_pending()
    }

    /// Takes one step, and what it consumed off the front of `input`.
    pub(crate) fn step(&mut self, now: Instant, input: &mut Vec<u8>) -> Outcome {
        let asked = self.transport.question_open();
        let full = self.transport.output_pending() >= OUTPUT_MARK;
        let closed = self.phase() == Phase::Closed;
        let length = input.len();

        let transport = &mut self.transport;
        match self.account.charge(|| transport.handle_input(now, input)) {
            Ok(step) => {
                let consumed = step.consumed;
                let outcome = match step.event {
                    None if consumed == 0 => Outcome::Waiting,
                    None => Outcome::Went,
                    Some(Event::ChooseGroup(request)) => self.choose(request),
                    Some(Event::SignExchange(values)) => Outcome::Sign(values),
                    Some(Event::Authenticate(request)) => {
                        Outcome::Authenticate(Attempt::Request(request))
                    }
                    Some(Event::Answer(responses)) => {
                        Outcome::Authenticate(Attempt::Responses(responses))
                    }
                    Some(Event::Packet(payload)) => Outcome::Packet(payload.to_vec()),
                    Some(Event::Disconnected { description, .. }) => {
                        self.account.charge(|| drop(description));
                        Outcome::Ended
                    }
                };
                assert!(consumed <= length);
                assert!(!closed, "a closed connection took input");
                assert_eq!(consumed == 0, matches!(outcome, Outcome::Waiting));
                if consumed == 0 {
                    // Whoever has sent as much as a whole packet is not left without an answer.
                    assert!(asked || full || length < PACKET_LIMIT, "no side can go on");
                } else {
                    assert!(!asked && !full, "input was taken while it must wait");
                }
                match &outcome {
                    Outcome::Sign(_) | Outcome::Authenticate(_) => {
                        assert!(self.transport.question_open());
                    }
                    Outcome::Packet(payload) => {
                        assert!(self.login == Login::Accepted, "a packet before login");
                        assert!((80..=127).contains(&payload[0]));
                    }
                    Outcome::Ended => assert_eq!(self.phase(), Phase::Closed),
                    Outcome::Waiting | Outcome::Went => {}
                }
                input.drain(..consumed);
                self.check();
                outcome
            }
            Err(error) => {
                assert_eq!(self.phase(), Phase::Closed, "went on after {error}");
                match &error {
                    Error::Internal(Failure::Closed) => assert!(closed),
                    Error::Internal(failure) => panic!("a client made this side fail: {failure}"),
                    Error::Misbehaved(_) | Error::Incompatible(_) => {
                        assert!(!closed);
                        self.error = Some(error);
                    }
                }
                self.check();
                Outcome::Ended
            }
        }
    }

    /// Answers the question for a group.
    fn choose(&mut self, request: GroupRequest) -> Outcome {
        let group = MONITOR.choose(request);
        let fits = group.is_some();
        let transport = &mut self.transport;
        match self.account.charge(|| transport.handle_group(group)) {
            Ok(()) => {
                assert!(fits && !self.transport.question_open());
                Outcome::Went
            }
            Err(error) => {
                assert!(!fits, "{error}");
                self.error = Some(error);
                Outcome::Ended
            }
        }
    }

    /// Answers the question for a signature.
    pub(crate) fn sign(&mut self, values: ExchangeValues, signature: Vec<u8>) {
        let transport = &mut self.transport;
        self.account.charge(|| {
            drop(values);
            // An answer to another question changes nothing.
            assert_eq!(
                transport.handle_auth_outcome(AuthOutcome::Accepted),
                Err(Failure::NoQuestion.into())
            );
            assert_eq!(
                transport.handle_group(None),
                Err(Failure::NoQuestion.into())
            );
            assert!(transport.question_open());
            transport.handle_signature(signature).unwrap();
            assert!(!transport.question_open());
        });
        self.check();
    }

    /// Answers the question for a login. Gives it back if the answer does not fit.
    pub(crate) fn authenticate(
        &mut self,
        attempt: Attempt,
        outcome: AuthOutcome,
    ) -> Option<Attempt> {
        let accepts = outcome == AuthOutcome::Accepted;
        let transport = &mut self.transport;
        let (result, unanswered) = self.account.charge(|| {
            // An answer to another question changes nothing.
            assert_eq!(
                transport.handle_signature(Vec::new()),
                Err(Failure::NoQuestion.into())
            );
            assert!(transport.question_open());
            let result = transport.handle_auth_outcome(outcome);
            let unanswered = result.is_err().then_some(attempt);
            (result, unanswered)
        });
        assert_eq!(self.transport.question_open(), unanswered.is_some());
        match result {
            Ok(()) if accepts => self.login = Login::Accepted,
            Ok(()) => {}
            Err(error) => assert_eq!(error, Failure::UnfitAnswer.into()),
        }
        self.check();
        unanswered
    }

    /// Sends a message of the connection protocol; whether it was taken.
    pub(crate) fn send(&mut self, payload: &[u8]) -> bool {
        let possible = self.transport.can_send();
        let transport = &mut self.transport;
        match self.account.charge(|| transport.send_packet(payload)) {
            Ok(()) => assert!(possible),
            Err(error) => {
                assert_eq!(error, Failure::Busy.into());
                assert!(!possible);
            }
        }
        self.check();
        possible
    }

    /// Asks for new keys.
    pub(crate) fn rekey(&mut self) {
        let transport = &mut self.transport;
        self.account.charge(|| transport.rekey()).unwrap();
        self.check();
    }

    /// Tells the time.
    pub(crate) fn timeout(&mut self, now: Instant) {
        let transport = &mut self.transport;
        self.account
            .charge(|| transport.handle_timeout(now))
            .unwrap();
        if let Some(deadline) = self.transport.poll_timeout() {
            assert!(deadline > now, "a timeout that does not go away");
        }
        self.check();
    }

    /// Takes up to `count` bytes of the output.
    pub(crate) fn drain(&mut self, count: usize) -> Vec<u8> {
        let output = self.transport.poll_output();
        let taken = output[..count.min(output.len())].to_vec();
        let left = output.len() - taken.len();
        self.transport.output_sent(taken.len());
        assert_eq!(self.transport.output_pending(), left);
        taken
    }

    fn check(&mut self) {
        let phase = self.phase();
        assert!(
            rank(phase) >= rank(self.phase),
            "from {:?} to {phase:?}",
            self.phase
        );
        self.phase = phase;
        assert!(self.transport.output_pending() <= OUTPUT_LIMIT);
        assert!(phase != Phase::Connection || self.login == Login::Accepted);
        if phase != Phase::Connection {
            assert!(!self.transport.can_send());
            assert_eq!(self.transport.poll_timeout(), None);
        }
        if phase == Phase::Closed {
            assert!(!self.transport.question_open());
        } else {
            let now = self.transport.session_identifier();
            if self.session_identifier.is_some() {
                assert_eq!(now, self.session_identifier.as_deref());
            } else {
                self.session_identifier = now.map(<[u8]>::to_vec);
            }
        }
    }
}

impl Drop for Watched {
    /// Whatever came before, a closed connection stays closed and says nothing more.
    fn drop(&mut self) {
        if std::thread::panicking() || self.phase() != Phase::Closed {
            return;
        }
        let pending = self.output_pending();
        let mut more = vec![0; 64];
        assert!(matches!(self.step(*START, &mut more), Outcome::Ended));
        assert!(!self.send(&[94]));
        self.rekey();
        self.timeout(*START);
        assert_eq!(self.output_pending(), pending);
    }
}

fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Handshake => 0,
        Phase::Authentication => 1,
        Phase::Connection => 2,
        Phase::Closed => 3,
    }
}
