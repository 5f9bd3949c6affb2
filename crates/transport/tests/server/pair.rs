//! Transport and client, connected without a network, on a simulated clock; the pair itself plays
//! the driver and the monitor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use transport::{Error, Event, Phase, RekeyLimit, Transport};
use wire::exchange::ExchangeValues;
use wire::groups::GroupRequest;
use wire::message::{Disconnect, number};
use wire::userauth::{AuthRequest, Responses};

use crate::client::{Client, Offer, service_request};
use crate::monitor::{Counter, Monitor, outcome, outcome_of_responses};
pub(crate) use crate::monitor::{asking, interactive, refused, request, response, signed};

/// In which portions one side gets the other's bytes.
#[derive(Clone, Copy)]
pub(crate) enum Portions {
    All,
    /// Two, with the border at this position of the stream.
    SplitAt(usize),
    Single,
}

impl Portions {
    /// How many bytes come through now.
    fn next(self, delivered: usize, available: usize) -> usize {
        match self {
            Self::All => available,
            Self::Single => available.min(1),
            Self::SplitAt(border) => match border.saturating_sub(delivered) {
                0 => available,
                left => available.min(left),
            },
        }
    }
}

/// Whether the pair answers a question by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Signs; accepts signed requests, approves keys, refuses the rest.
    Monitor,
    /// The test answers authentication.
    SignOnly,
    /// The test answers everything.
    None,
}

pub(crate) struct Pair {
    pub(crate) transport: Transport,
    pub(crate) client: Client,
    pub(crate) now: Instant,
    /// Of the client's bytes.
    pub(crate) portions: Portions,
    /// Of the server's.
    pub(crate) portions_back: Portions,
    pub(crate) answers: Answers,
    monitor: Monitor,
    /// Arrived at the server and not consumed.
    arrived: Vec<u8>,
    pub(crate) delivered: usize,
    pub(crate) delivered_back: usize,
    /// Connection protocol payloads at the server.
    pub(crate) received: Vec<Vec<u8>>,
    pub(crate) questions: Vec<AuthRequest>,
    pub(crate) responses: Vec<Responses>,
    pub(crate) unsigned: Vec<ExchangeValues>,
    pub(crate) unchosen: Vec<GroupRequest>,
    pub(crate) disconnected: Option<(u32, String)>,
    pub(crate) error: Option<Error>,
}

impl Pair {
    pub(crate) fn new(client: Client, rekey: RekeyLimit) -> Self {
        let monitor = Monitor::new();
        let settings = Arc::new(monitor.settings(rekey));
        #[expect(clippy::disallowed_methods, reason = "some instant to start from")]
        let now = Instant::now();
        Self {
            transport: Transport::new(settings, Box::new(Counter::default())).unwrap(),
            client,
            now,
            portions: Portions::All,
            portions_back: Portions::All,
            answers: Answers::Monitor,
            monitor,
            arrived: Vec::new(),
            delivered: 0,
            delivered_back: 0,
            received: Vec::new(),
            questions: Vec::new(),
            responses: Vec::new(),
            unsigned: Vec::new(),
            unchosen: Vec::new(),
            disconnected: None,
            error: None,
        }
    }

    pub(crate) fn with_offer(offer: Offer) -> Self {
        Self::new(Client::new(offer), RekeyLimit::default())
    }

    /// The first keys are in use, no service was requested.
    pub(crate) fn under_keys() -> Self {
        let mut pair = Self::with_offer(Offer::default());
        pair.run();
        pair
    }

    /// `ssh-userauth` waits for a request.
    pub(crate) fn authenticating() -> Self {
        let mut pair = Self::under_keys();
        pair.client.send(&service_request("ssh-userauth"));
        pair.run();
        pair
    }

    /// Alice was asked something.
    pub(crate) fn asked() -> Self {
        let mut pair = Self::authenticating();
        pair.client.send(&request("alice", interactive()));
        pair.run();
        pair
    }

    /// A pair in which alice has logged in.
    pub(crate) fn logged_in(offer: Offer, rekey: RekeyLimit) -> Self {
        let mut pair = Self::new(Client::new(offer), rekey);
        pair.log_in();
        pair
    }

    pub(crate) fn log_in(&mut self) {
        self.client.send(&service_request("ssh-userauth"));
        self.client.send(&request("alice", signed()));
        self.run();
        assert_eq!(self.error, None);
        assert_eq!(self.transport.phase(), Phase::Connection);
    }

    pub(crate) fn sign(&self, values: &ExchangeValues) -> Vec<u8> {
        self.monitor.sign(values)
    }

    /// Answers a question for a group.
    pub(crate) fn choose(&mut self, request: GroupRequest) {
        let group = self.monitor.choose(request);
        self.transport.handle_group(group).unwrap();
    }

    /// Goes on until neither side can.
    pub(crate) fn run(&mut self) {
        while self.transfer() {}
    }

    /// One round of both directions; whether anything moved.
    pub(crate) fn transfer(&mut self) -> bool {
        let to_server = self.client_to_server();
        let to_client = self.server_to_client();
        to_server || to_client
    }

    /// Server to client, in portions.
    pub(crate) fn server_to_client(&mut self) -> bool {
        let waiting = self.transport.poll_output();
        let count = self.portions_back.next(self.delivered_back, waiting.len());
        let output = waiting[..count].to_vec();
        let left = waiting.len() - count;
        self.delivered_back += count;
        self.transport.output_sent(count);
        assert_eq!(self.transport.output_pending(), left);
        // What follows a refused identification string is clear text and no packet.
        if self
            .error
            .as_ref()
            .is_none_or(|error| error.disconnect_reason().is_some())
        {
            self.client.receive(&output);
        }
        !output.is_empty()
    }

    /// Client to server, in portions.
    pub(crate) fn client_to_server(&mut self) -> bool {
        let count = self.portions.next(self.delivered, self.client.output.len());
        self.arrived.extend(self.client.output.drain(..count));
        self.delivered += count;
        self.feed() || count > 0
    }

    /// Hands what has arrived to the transport, as a driver does.
    pub(crate) fn feed(&mut self) -> bool {
        let mut moved = false;
        let mut arrived = std::mem::take(&mut self.arrived);
        while self.error.is_none() && self.disconnected.is_none() {
            let (consumed, event) = match self.transport.handle_input(self.now, &mut arrived) {
                Ok(step) => (step.consumed, step.event),
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            };
            if consumed == 0 && event.is_none() {
                break;
            }
            moved = true;
            match event {
                Some(Event::ChooseGroup(request)) => {
                    assert!(self.transport.question_open());
                    match self.answers {
                        Answers::None => self.unchosen.push(request),
                        Answers::Monitor | Answers::SignOnly => self.choose(request),
                    }
                }
                Some(Event::SignExchange(values)) => {
                    assert!(self.transport.question_open());
                    match self.answers {
                        Answers::None => self.unsigned.push(values),
                        Answers::Monitor | Answers::SignOnly => {
                            let signature = self.sign(&values);
                            self.transport.handle_signature(signature).unwrap();
                        }
                    }
                }
                Some(Event::Authenticate(request)) => {
                    assert!(self.transport.question_open());
                    if self.answers == Answers::Monitor {
                        self.transport
                            .handle_auth_outcome(outcome(&request))
                            .unwrap();
                    }
                    self.questions.push(request);
                }
                Some(Event::Answer(responses)) => {
                    assert!(self.transport.question_open());
                    if self.answers == Answers::Monitor {
                        let outcome = outcome_of_responses(&responses);
                        self.transport.handle_auth_outcome(outcome).unwrap();
                    }
                    self.responses.push(responses);
                }
                Some(Event::Packet(payload)) => self.received.push(payload.to_vec()),
                Some(Event::Disconnected {
                    reason,
                    description,
                }) => {
                    self.disconnected = Some((reason, description));
                }
                None => {}
            }
            arrived.drain(..consumed);
        }
        self.arrived = arrived;
        moved
    }

    /// Advances the clock and calls the timeout if it is due.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        if self
            .transport
            .poll_timeout()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.transport.handle_timeout(self.now).unwrap();
        }
    }

    /// Runs, and expects the server to have ended the connection and told the reason.
    pub(crate) fn expect_disconnect(&mut self) -> Error {
        self.run();
        let error = self.error.clone().expect("the server goes on");
        assert_eq!(self.transport.phase(), Phase::Closed);
        let last = self.client.received.pop_back().expect("nothing was told");
        assert_eq!(last[0], number::DISCONNECT, "{last:?}");
        let told = Disconnect::decode(&last).unwrap();
        assert_eq!(
            Some(told.reason),
            error.disconnect_reason().map(|reason| reason.code())
        );
        error
    }
}
