//! Whole connections: a client that keeps to the protocol exchanges keys and logs in, and between
//! its own messages come others, sealed as well, of any kind and in any order; keys are replaced by
//! either side, the network delivers in pieces, the monitor takes its time.
//!
//! Besides what `Watched` knows: channel messages of both sides arrive once and in order, and when
//! everything has been delivered and answered, nobody waits for the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use transport::{Phase, RekeyLimit};
use wire::exchange::ExchangeValues;
use wire::message::{Ping, number};
use wire::names::{CipherAlgorithm, KexAlgorithm, MacAlgorithm};
use wire::userauth::AuthOutcome;

use crate::client::{Client, Offer, data, service_request};
use crate::message::{Message, pick};
use crate::monitor::{
    asking_for, outcome, outcome_of_responses, question, refused, request, signed,
};
use crate::watched::{Attempt, MONITOR, Outcome, START, Watched};

/// Most acts of an input that are played.
const ACTS: usize = 200;

/// Key exchange methods that take about a millisecond with both sides; the rest has the same steps.
const KEX: &[KexAlgorithm] = &[
    KexAlgorithm::Curve25519Sha256,
    KexAlgorithm::EcdhSha2Nistp256,
    KexAlgorithm::Mlkem768X25519Sha256,
];

/// Most messages of all floods of an input: enough to fill the output, and still quick.
const FLOOD: u32 = 60;

/// Most rounds until nobody has anything to do; a rekey takes about five.
const ROUNDS: usize = 10_000;

/// What an input says first.
#[derive(Debug, Arbitrary)]
struct Opening {
    kex: u8,
    cipher: u8,
    mac: u8,
    pseudo: Pseudo,
    compression: Compression,
    start: Start,
    rekey_bytes: Option<u16>,
    rekey_minutes: Option<u8>,
}

/// Pseudo-algorithms of the client.
#[derive(Debug, Arbitrary)]
enum Pseudo {
    StrictAndExtInfo,
    Strict,
    ExtInfo,
    Nothing,
}

/// What the client wants for both directions.
#[derive(Debug, Arbitrary)]
enum Compression {
    None,
    Zlib,
}

/// How far the client has come when the acts begin.
#[derive(Debug, Arbitrary, PartialEq, Eq)]
enum Start {
    LoggedIn,
    Service,
    Keys,
    Nowhere,
}

/// One thing that happens.
#[derive(Debug, Arbitrary)]
enum Act {
    /// The client sends a channel message, if it is not exchanging keys.
    ClientData(Size),
    /// The server does, if it can.
    ServerData(Size),
    /// Bytes come through to the server.
    ToServer(u16),
    /// Bytes come through to the client.
    ToClient(Size),
    /// The client asks for new keys.
    ClientRekeys,
    /// The server does.
    ServerRekeys,
    /// The client sends this, whatever it is, sealed like anything else.
    Send(Box<Message>),
    /// The client sends this as what its compression would have made of something.
    SendCompressed(Vec<u8>),
    /// The client sends this again and again, gets each question answered, and reads nothing.
    Flood(Flood, u8),
    /// The monitor answers.
    Answer(Answer),
    /// Time passes.
    Wait(u8),
    /// Everything is delivered and answered.
    Settle,
    /// The network changes a byte.
    Tamper { at: u16, by: u8 },
}

/// What a client can send again and again for an answer.
#[derive(Debug, Arbitrary)]
enum Flood {
    /// About 30 KiB, with an answer as long.
    AskForKey,
    /// The same after login.
    Ping,
    Unknown,
    Any(Box<Message>),
}

impl Flood {
    fn payload(&self) -> Vec<u8> {
        match self {
            Self::AskForKey => request("alice", asking_for(vec![0; 30_000])),
            Self::Ping => {
                let mut out = Vec::new();
                Ping { data: &[0; 30_000] }.encode(&mut out);
                out
            }
            Self::Unknown => vec![u8::MAX],
            Self::Any(message) => message.payload(),
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Size {
    Small(u8),
    Middle(u16),
    Large(u8),
}

impl Size {
    fn bytes(&self) -> usize {
        match self {
            Self::Small(size) => usize::from(*size),
            Self::Middle(size) => usize::from(*size) / 2,
            // Up to the longest payload, number and index included.
            Self::Large(size) => (usize::from(*size) + 1) * 1024 - 5,
        }
    }
}

/// What the monitor says to a request; a signature is always what it is asked for.
#[derive(Debug, Arbitrary)]
enum Answer {
    Honest,
    Accepted,
    KeyAcceptable,
    Refused,
    TooManyFailures,
    NoMethods,
    Asked,
    PasswordChange,
}

/// Runs one input.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(opening) = Opening::arbitrary(&mut input) else {
        return;
    };
    let mut session = Session::new(&opening);
    session.start(&opening.start);
    for _ in 0..ACTS {
        if input.is_empty() || session.ended {
            break;
        }
        let Ok(act) = Act::arbitrary(&mut input) else {
            break;
        };
        session.play(&act);
    }
    session.finish();
}

/// A question to the monitor.
enum Question {
    Signature(ExchangeValues),
    Login(Attempt),
}

/// Whether the client still follows the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Follows,
    /// Its own key exchange was disturbed, so that it may not understand the answers.
    Lost,
}

struct Session {
    client: Client,
    hearing: Hearing,
    transport: Watched,
    now: Instant,
    /// At the server, not consumed.
    arrived: Vec<u8>,
    question: Option<Question>,
    ended: bool,
    /// Messages of the connection protocol on their way to the server; `None` once nobody knows what
    /// they decompress to.
    to_server: Option<VecDeque<Vec<u8>>>,
    /// And to the client.
    to_client: VecDeque<Vec<u8>>,
    /// Makes channel messages differ.
    index: u32,
    /// Messages that floods may still have.
    floods_left: u32,
}

impl Session {
    fn new(opening: &Opening) -> Self {
        let rekey = RekeyLimit {
            bytes: opening.rekey_bytes.map(|bytes| u64::from(bytes) * 16),
            interval: opening
                .rekey_minutes
                .map(|minutes| Duration::from_secs(60 * u64::from(minutes))),
        };
        Self {
            client: Client::new(offer(opening)),
            hearing: Hearing::Follows,
            transport: Watched::new(rekey),
            now: *START,
            arrived: Vec::new(),
            question: None,
            ended: false,
            to_server: Some(VecDeque::new()),
            to_client: VecDeque::new(),
            index: 0,
            floods_left: FLOOD,
        }
    }

    fn start(&mut self, start: &Start) {
        match start {
            Start::Nowhere => return,
            Start::Keys => {}
            Start::Service => self.client.send(&service_request("ssh-userauth")),
            Start::LoggedIn => {
                self.client.send(&service_request("ssh-userauth"));
                self.client.send(&request("alice", signed()));
            }
        }
        self.settle();
        assert!(!self.ended, "{:?}", self.transport.error());
        let phase = match start {
            Start::LoggedIn => Phase::Connection,
            Start::Service | Start::Keys | Start::Nowhere => Phase::Authentication,
        };
        assert_eq!(self.transport.phase(), phase);
    }

    fn play(&mut self, act: &Act) {
        match act {
            Act::ClientData(size) => {
                if self.client.may_send() {
                    let payload = self.data(size);
                    self.send(&payload);
                }
            }
            Act::ServerData(size) => {
                let payload = self.data(size);
                if self.transport.send(&payload) {
                    self.to_client.push_back(payload);
                }
            }
            Act::ToServer(count) => self.deliver_to_server(usize::from(*count)),
            Act::ToClient(size) => self.deliver_to_client(size.bytes()),
            Act::ClientRekeys => {
                if self.client.may_send() {
                    self.client.request_exchange();
                }
            }
            Act::ServerRekeys => self.transport.rekey(),
            Act::Send(message) => self.send_any(&message.payload()),
            Act::SendCompressed(payload) => {
                self.to_server = None;
                self.hearing = Hearing::Lost;
                self.client.send_sealed(payload);
            }
            Act::Flood(flood, times) => {
                let payload = flood.payload();
                let times = u32::from(*times).min(self.floods_left);
                self.floods_left -= times;
                for _ in 0..times {
                    self.send_any(&payload);
                    self.deliver_to_server(usize::MAX);
                    self.answer(&Answer::Honest);
                }
            }
            Act::Answer(answer) => self.answer(answer),
            Act::Wait(minutes) => {
                self.now += Duration::from_secs(60 * u64::from(*minutes));
                self.transport.timeout(self.now);
            }
            Act::Settle => self.settle(),
            Act::Tamper { at, by } => {
                if let Some(byte) = self.client.output.get_mut(usize::from(*at)) {
                    *byte ^= by;
                    self.hearing = Hearing::Lost;
                }
            }
        }
    }

    /// A channel message that no other one equals.
    fn data(&mut self, size: &Size) -> Vec<u8> {
        self.index += 1;
        data(self.index, size.bytes())
    }

    /// The client sends what it may not understand itself.
    fn send_any(&mut self, payload: &[u8]) {
        if matches!(payload[0], number::KEXINIT..=number::KEX_METHOD_LAST) {
            self.hearing = Hearing::Lost;
        }
        self.send(payload);
    }

    /// The client seals a message now.
    fn send(&mut self, payload: &[u8]) {
        if let Some(to_server) = &mut self.to_server
            && is_of_connection(payload)
        {
            to_server.push_back(payload.to_vec());
        }
        self.client.send_now(payload);
    }

    fn deliver_to_server(&mut self, count: usize) {
        let count = count.min(self.client.output.len());
        self.arrived.extend(self.client.output.drain(..count));
        while !self.ended {
            match self.transport.step(self.now, &mut self.arrived) {
                Outcome::Waiting => break,
                Outcome::Went => {}
                Outcome::Sign(values) => self.question = Some(Question::Signature(values)),
                Outcome::Authenticate(attempt) => self.question = Some(Question::Login(attempt)),
                Outcome::Packet(payload) => {
                    // What was changed on the way was refused by its tag.
                    if let Some(to_server) = &mut self.to_server {
                        assert!(Some(payload) == to_server.pop_front());
                    }
                }
                Outcome::Ended => self.ended = true,
            }
        }
    }

    fn deliver_to_client(&mut self, count: usize) {
        let bytes = self.transport.drain(count);
        if self.hearing == Hearing::Lost {
            return;
        }
        self.client.receive(&bytes);
        for payload in self.client.received.drain(..) {
            if is_of_connection(&payload) {
                // The payloads may be long: they are not shown.
                assert!(Some(payload) == self.to_client.pop_front());
            }
        }
    }

    fn answer(&mut self, answer: &Answer) {
        match self.question.take() {
            None => {}
            Some(Question::Signature(values)) => {
                let signature = MONITOR.sign(&values);
                self.transport.sign(values, signature);
            }
            Some(Question::Login(attempt)) => {
                let outcome = match answer {
                    Answer::Honest => match &attempt {
                        Attempt::Request(request) => outcome(request),
                        Attempt::Responses(responses) => outcome_of_responses(responses),
                    },
                    Answer::Accepted => AuthOutcome::Accepted,
                    Answer::KeyAcceptable => AuthOutcome::KeyAcceptable,
                    Answer::Refused => refused(),
                    Answer::TooManyFailures => AuthOutcome::TooManyFailures,
                    Answer::NoMethods => AuthOutcome::NoMethods,
                    Answer::Asked => AuthOutcome::InfoRequest(question()),
                    Answer::PasswordChange => AuthOutcome::PasswordChange {
                        prompt: String::new(),
                    },
                };
                let unanswered = self.transport.authenticate(attempt, outcome);
                self.question = unanswered.map(Question::Login);
                self.ended |= self.transport.phase() == Phase::Closed;
            }
        }
    }

    /// Delivers and answers until there is nothing left to deliver or to answer.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let before = (self.is_quiet(), self.arrived.len());
            self.answer(&Answer::Honest);
            self.deliver_to_server(usize::MAX);
            self.deliver_to_client(usize::MAX);
            if self.ended || before == (true, self.arrived.len()) && self.is_quiet() {
                return;
            }
        }
        panic!("both sides go on for ever");
    }

    /// Nothing is on its way and nothing is asked.
    fn is_quiet(&self) -> bool {
        self.client.output.is_empty()
            && self.question.is_none()
            && self.transport.output_pending() == 0
    }

    fn finish(mut self) {
        self.settle();
        if self.hearing == Hearing::Lost || self.ended {
            return;
        }
        assert!(self.arrived.is_empty(), "something waits at the server");
        assert!(self.client.may_send(), "the client waits for keys");
        if self.transport.phase() == Phase::Connection {
            assert!(self.transport.can_send(), "the server waits for keys");
            let lost = self.to_server.is_none_or(|messages| !messages.is_empty());
            assert!(!lost, "messages to the server are lost");
        }
        assert!(self.to_client.is_empty(), "messages to the client are lost");
    }
}

fn is_of_connection(payload: &[u8]) -> bool {
    matches!(
        payload.first(),
        Some(number::CONNECTION_FIRST..=number::CONNECTION_LAST)
    )
}

fn offer(opening: &Opening) -> Offer {
    Offer {
        compression: match opening.compression {
            Compression::None => "none",
            Compression::Zlib => "zlib@openssh.com,none",
        },
        mac: pick(MacAlgorithm::ALL, opening.mac),
        kex_after: match opening.pseudo {
            Pseudo::StrictAndExtInfo => ",ext-info-c,kex-strict-c-v00@openssh.com",
            Pseudo::Strict => ",kex-strict-c-v00@openssh.com",
            Pseudo::ExtInfo => ",ext-info-c",
            Pseudo::Nothing => "",
        },
        ..Offer::new(
            pick(KEX, opening.kex),
            pick(CipherAlgorithm::ALL, opening.cipher),
        )
    }
}
