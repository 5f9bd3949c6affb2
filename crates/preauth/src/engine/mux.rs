//! The one state of a logged-in connection, and who waits for what in it.
//!
//! One thread runs all tasks; the mutex is never contended and never held across a wait.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Instant;

use rpc::lane::{ChannelType, IdleSeconds};
use rpc::preauth::KeyProofs;
use rpc::session::{Accepted, Address, OpenFailure};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use transport::link::Link;
use transport::{DisconnectReason, Transport};
use wire::codec::Write as _;
use wire::exchange::ExchangeValues;
use wire::forwarding::{self, ForwardingRequest, SocketName};
use wire::groups::GroupRequest;
use wire::hostkeys::{self, GlobalRequest, GlobalRequestKind, Reply};
use wire::message::number::{
    CHANNEL_DATA, CHANNEL_EXTENDED_DATA, CHANNEL_WINDOW_ADJUST, DEBUG, GLOBAL_REQUEST,
    REQUEST_FAILURE, REQUEST_SUCCESS,
};
use wire::quirks::Quirk;
use wire::tunnel::TunnelMode;

use super::budget;
use super::channel::{Carried, Channel, Feed};
use super::channels::{
    Channels, Misbehaviour, NoTunnel, Number, Said, Socket, Task, TooManySessions, address,
};
use super::end::EngineEnd;
use super::marks::Terminals;
use super::remarks;
use super::replies::Replies;
use super::timers::Timers;

/// Sealed bytes that may wait for the client's socket before data is held back.
const OUTPUT_HIGH: usize = 512 * 1024;

/// Below this, data flows again.
const OUTPUT_LOW: usize = 128 * 1024;

/// Bytes that may wait for russh before the client is not read any more.
const LINK_HIGH: usize = 128 * 1024;

/// Header of a data packet: number, channel, length.
const DATA_HEADER: usize = 9;

/// "data type" of extended data.
const DATA_TYPE: usize = 4;

/// Which stream of the program data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// SSH_MSG_CHANNEL_DATA
    Output,
    /// SSH_MSG_CHANNEL_EXTENDED_DATA with SSH_EXTENDED_DATA_STDERR
    Error,
    /// SSH_MSG_CHANNEL_DATA, each with one packet.
    Packets(TunnelMode),
}

impl Stream {
    /// Can the channel take it, now or later?
    fn may_flow(self, channel: &Channel) -> bool {
        match self {
            Self::Output | Self::Packets(_) => channel.wants_output(),
            Self::Error => channel.is_open(),
        }
    }
}

/// What copying from a descriptor came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// As many bytes as there was room for were sealed.
    Full,
    /// Fewer bytes than there was room for were sealed.
    Short,
    /// The descriptor has nothing now.
    Nothing,
    /// No window, no room or a key exchange: wait for the mux. A packet that did not fit is lost.
    Held,
    /// End of the stream, or the channel is gone.
    End,
}

/// Shared by all tasks of the connection.
pub(super) struct Mux {
    state: Mutex<State>,
    /// There is output for the client's socket.
    pub(super) output: Notify,
    /// Data may flow again: room in the output, or a key exchange is over.
    pub(super) room: Notify,
    /// The reader may go on: russh took what was queued for it, or the client took its answers.
    pub(super) input: Notify,
    /// There is room for one more forwarded channel.
    forwarded: Notify,
    /// The connection is over.
    over: Notify,
    pub(super) terminals: Terminals,
}

struct State {
    transport: Transport,
    link: Link,
    channels: Channels,
    /// What the client waits for.
    replies: Replies,
    /// Our host keys, which the client may have proved.
    host_keys: Vec<Vec<u8>>,
    timers: Timers,
    engine_reads: Option<Waker>,
    engine_writes: Option<Waker>,
    held_back: bool,
    end: Option<EngineEnd>,
}

impl Mux {
    /// Begins with telling the client all `host_keys` (hostkeys-00@openssh.com), unless it is one
    /// that would disconnect for it.
    pub(super) fn new(transport: Transport, host_keys: Vec<Vec<u8>>, timers: Timers) -> Arc<Self> {
        let replies = match transport.quirks().has(Quirk::NoHostKeyUpdates) {
            true => Replies::default(),
            false => {
                let keys = host_keys.iter().map(Vec::as_slice);
                Replies::beginning_with(hostkeys::announcement(keys))
            }
        };
        let channels = Channels::new(transport.quirks());
        let state = State {
            transport,
            link: Link::new(),
            channels,
            replies,
            host_keys,
            timers,
            engine_reads: None,
            engine_writes: None,
            held_back: false,
            end: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            output: Notify::new(),
            room: Notify::new(),
            input: Notify::new(),
            forwarded: Notify::new(),
            over: Notify::new(),
            terminals: Terminals::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process (profile), so a poisoned state is never seen.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Works on the transport, then wakes whom the work concerns.
    pub(super) fn with_transport<T>(&self, work: impl FnOnce(&mut Transport) -> T) -> T {
        let mut state = self.lock();
        let result = work(&mut state.transport);
        self.settle(&mut state);
        result
    }

    /// Waits on `notify` until `check` has a value. The wait begins before the check, so that nothing
    /// that happens in between is missed.
    pub(super) async fn wait<T>(notify: &Notify, mut check: impl FnMut() -> Option<T>) -> T {
        loop {
            let notified = notify.notified();
            if let Some(value) = check() {
                return value;
            }
            notified.await;
        }
    }

    /// Ends the connection for this reason, unless it has ended already.
    pub(super) fn end(&self, end: EngineEnd) {
        self.lock().end.get_or_insert(end);
        self.over.notify_waiters();
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> EngineEnd {
        Self::wait(&self.over, || self.lock().end.clone()).await
    }

    /// Last words to the client, where the reason has some.
    pub(super) fn finish(&self, end: &EngineEnd) {
        let mut state = self.lock();
        let (reason, text) = match end {
            EngineEnd::Protocol(text) | EngineEnd::Engine(text) => {
                (DisconnectReason::ProtocolError, text.as_str())
            }
            EngineEnd::Monitor(_) | EngineEnd::Session(_) => (
                DisconnectReason::ByApplication,
                "connection closed by server",
            ),
            // To the last two sshd says nothing either.
            EngineEnd::Closed
            | EngineEnd::Disconnected { .. }
            | EngineEnd::Socket(_)
            | EngineEnd::Unresponsive
            | EngineEnd::Unused => return,
        };
        state.transport.disconnect(reason, text);
    }

    // ---- the client's packets ----

    /// May a packet be taken from the client? Not while russh is behind, or the client does not
    /// read the answers that it causes (the transport stops at the same mark), or many of its
    /// requests wait for answers that can be sent.
    pub(super) fn input_allowed(&self) -> Option<()> {
        let state = self.lock();
        let answers_fit = state.transport.output_pending() < 2 * OUTPUT_HIGH;
        let answers_wait = state.replies.are_many() && state.transport.can_send();
        (answers_fit && !answers_wait && state.link.unread() < LINK_HIGH).then_some(())
    }

    /// Takes one step of the client's input: how much was consumed, and what is asked.
    ///
    /// # Errors
    /// The client broke the protocol.
    pub(super) fn handle_input(&self, input: &mut [u8]) -> Result<Input, EngineEnd> {
        let mut state = self.lock();
        let State {
            transport,
            link,
            channels,
            replies,
            host_keys,
            timers,
            ..
        } = &mut *state;
        let now = Instant::now();
        let protocol = |error: transport::Error| EngineEnd::Protocol(error.to_string());
        let step = transport.handle_input(now, input).map_err(protocol)?;
        let consumed = step.consumed;
        if consumed > 0 {
            timers.heard(now);
        }
        let question = match step.event {
            None => None,
            Some(transport::Event::Packet(payload)) => {
                let asked = match payload.first() {
                    // Nobody but `timers` asks the client for such an answer, and it is content with any packet.
                    Some(&(REQUEST_SUCCESS | REQUEST_FAILURE)) => Ok(None),
                    Some(&GLOBAL_REQUEST) => {
                        global_request(payload, link, channels, replies, host_keys)
                    }
                    _ => channels
                        .dispatch(payload, link)
                        .map(|task| task.map(Question::Task)),
                };
                asked.map_err(|error| EngineEnd::Protocol(error.0.to_owned()))?
            }
            Some(transport::Event::ChooseGroup(request)) => Some(Question::ChooseGroup(request)),
            Some(transport::Event::SignExchange(values)) => Some(Question::SignExchange(values)),
            Some(transport::Event::Disconnected {
                reason,
                description,
            }) => {
                return Err(EngineEnd::Disconnected {
                    reason,
                    description,
                });
            }
            Some(transport::Event::Authenticate(_) | transport::Event::Answer(_)) => {
                return Err(EngineEnd::Protocol("authentication after login".to_owned()));
            }
        };
        self.settle(&mut state);
        Ok(Input { consumed, question })
    }

    /// The monitor's answer to [`Question::ProveHostKeys`].
    pub(super) fn answer_proofs(&self, proofs: &KeyProofs) {
        let mut state = self.lock();
        state.replies.push(match proofs {
            KeyProofs::Proved(signatures) => hostkeys::proofs(signatures),
            KeyProofs::Refused => hostkeys::no_proofs(),
        });
        self.settle(&mut state);
    }

    // ---- russh's side of the link ----

    /// Moves bytes to russh; `None` when there are none: `waker` is called when there are.
    pub(super) fn engine_read(&self, out: &mut [u8], waker: &Waker) -> Option<usize> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Some(0);
        }
        let count = state.link.read(out);
        if count == 0 {
            state.engine_reads = Some(waker.clone());
            return None;
        }
        self.input.notify_waiters();
        Some(count)
    }

    /// Takes bytes from russh; `None` when the way to the client is full.
    pub(super) fn engine_write(&self, bytes: &[u8], waker: &Waker) -> Option<usize> {
        let mut state = self.lock();
        if state.end.is_none()
            && (state.transport.output_pending() >= OUTPUT_HIGH
                || state.link.untaken() >= LINK_HIGH)
        {
            state.engine_writes = Some(waker.clone());
            state.held_back = true;
            return None;
        }
        state.link.write(bytes);
        self.settle(&mut state);
        Some(bytes.len())
    }

    // ---- programs ----

    /// See [`Channels::count_session`].
    pub(super) fn count_session(&self, number: Number, limit: u32) -> Result<(), TooManySessions> {
        self.lock().channels.count_session(number, limit)
    }

    /// See [`Channels::was_closed_here`].
    pub(super) fn was_closed_here(&self, number: Number) -> bool {
        self.lock().channels.was_closed_here(number)
    }

    /// Connects the standard input of a channel's program.
    pub(super) fn open_input(&self, number: Number, descriptor: Arc<AsyncFd<OwnedFd>>) {
        if let Some(channel) = self.lock().channels.get_mut(number) {
            channel.open_input(descriptor);
        }
    }

    /// Nobody reads the channel's input any more.
    pub(super) fn discard_input(&self, number: Number) {
        let mut state = self.lock();
        if let Some(channel) = state.channels.get_mut(number) {
            channel.discard_input();
        }
        self.settle(&mut state);
    }

    /// The channel's program has closed its standard input.
    pub(super) fn tell_refusal(&self, number: Number) {
        self.with_channels(|channels| channels.tell_refusal(number));
    }

    /// See [`Channels::end_program`].
    pub(super) fn end_program(&self, number: Number) {
        self.with_channels(|channels| channels.end_program(number));
    }

    /// The client said that it sends no more.
    pub(super) fn end_input(&self, number: Number) {
        if let Some(channel) = self.lock().channels.get_mut(number) {
            channel.end_input();
        }
    }

    /// Signals changes of a channel; `None` when a side has closed it.
    pub(super) fn changes(&self, number: Number) -> Option<Arc<Notify>> {
        let state = self.lock();
        let channel = state.channels.get(number)?;
        channel.is_open().then(|| channel.changed())
    }

    /// Waits until a side has closed the channel.
    pub(super) async fn closed(&self, number: Number) {
        if let Some(changed) = self.changes(number) {
            Self::wait(&changed, || self.changes(number).is_none().then_some(())).await;
        }
    }

    /// Waits until a side has closed the channel, or the client has no use for this stream of it.
    pub(super) async fn unwanted(&self, number: Number, stream: Stream) {
        if let Some(changed) = self.changes(number) {
            let unwanted = || {
                let state = self.lock();
                let wanted = state
                    .channels
                    .get(number)
                    .is_some_and(|c| stream.may_flow(c));
                (!wanted).then_some(())
            };
            Self::wait(&changed, unwanted).await;
        }
    }

    /// Writes queued data of the client to the program.
    pub(super) fn feed(&self, number: Number) -> Feed {
        let mut state = self.lock();
        let Some(channel) = state.channels.get_mut(number) else {
            return Feed::Finished;
        };
        let feed = channel.feed();
        self.settle(&mut state);
        feed
    }

    /// Signals changes of a channel, also after the client has closed it.
    pub(super) fn changed(&self, number: Number) -> Option<Arc<Notify>> {
        Some(self.lock().channels.get(number)?.changed())
    }

    // ---- forwarded channels ----

    /// See [`Channels::confirm`].
    pub(super) fn confirm(&self, number: Number, socket: Socket, carried: Carried) {
        self.with_channels(|channels| channels.confirm(number, socket, carried));
    }

    /// See [`Channels::refuse`].
    pub(super) fn refuse(&self, number: Number, failure: &OpenFailure) {
        self.with_channels(|channels| channels.refuse(number, failure));
    }

    /// See [`Channels::refuse_tunnel`].
    pub(super) fn refuse_tunnel(&self, number: Number, why: NoTunnel) {
        self.with_channels(|channels| channels.refuse_tunnel(number, why));
    }

    /// See [`Channels::end_output`].
    pub(super) fn end_output(&self, number: Number) {
        self.with_channels(|channels| channels.end_output(number));
    }

    /// See [`Channels::close_forwarded`].
    pub(super) fn close_forwarded(&self, number: Number) {
        self.with_channels(|channels| channels.close_forwarded(number));
    }

    /// Numbers for channels that are to be offered to the client, at most so many. Waits until there is room for one more.
    pub(super) async fn reserve(&self, most: usize) -> Vec<Number> {
        let reserve = || {
            let mut state = self.lock();
            let free = std::iter::from_fn(|| state.channels.reserve());
            let numbers: Vec<Number> = free.take(most).collect();
            (!numbers.is_empty()).then_some(numbers)
        };
        Self::wait(&self.forwarded, reserve).await
    }

    /// See [`Channels::offer`].
    pub(super) fn offer(&self, number: Number, accepted: &Accepted, socket: Socket) {
        self.with_channels(|channels| channels.offer(number, accepted, socket));
    }

    /// Answers a [`Question::Listen`], if an answer is wanted.
    pub(super) fn reply(&self, reply: Reply, payload: Vec<u8>) {
        let mut state = self.lock();
        if reply == Reply::Wanted {
            state.replies.push(payload);
        }
        self.settle(&mut state);
    }

    /// Tells the user something, before what the client is answered from now on. See [`Replies::remark`].
    pub(super) fn remark(&self, text: &str) {
        let mut state = self.lock();
        state.replies.remark(remarks::debug(text));
        self.settle(&mut state);
    }

    fn with_channels(&self, work: impl FnOnce(&mut Channels)) {
        let mut state = self.lock();
        work(&mut state.channels);
        self.settle(&mut state);
    }

    // ---- time ----

    /// See [`Timers::watch`].
    pub(super) fn watch(&self, number: Number, channel: &ChannelType) {
        self.lock().timers.watch(Instant::now(), number, channel);
    }

    /// Waits until the channel has been without traffic for too long, which is so long. It has to be closed then.
    pub(super) async fn expired(&self, number: Number) -> IdleSeconds {
        let expired = || {
            let state = self.lock();
            state.channels.get(number)?.expired()
        };
        match self.changed(number) {
            Some(changed) => Self::wait(&changed, expired).await,
            None => std::future::pending().await,
        }
    }

    /// See [`Timers::look`].
    pub(super) fn look_at_clocks(&self, now: Instant) -> Result<Option<Instant>, EngineEnd> {
        let mut state = self.lock();
        let State {
            timers, channels, ..
        } = &mut *state;
        let next = timers.look(now, channels);
        self.settle(&mut state);
        next
    }

    // ---- data ----

    /// Can data of this channel be sent? `None`: not now, wait for room or a change of the channel.
    pub(super) fn copy_allowed(&self, number: Number, stream: Stream) -> Option<Flow> {
        let mut state = self.lock();
        let Some(channel) = state.channels.get(number).filter(|c| stream.may_flow(c)) else {
            return Some(Flow::Gone);
        };
        if channel.sendable() > 0
            && state.transport.can_send()
            && state.transport.output_pending() < OUTPUT_HIGH
        {
            return Some(Flow::Open);
        }
        state.held_back = true;
        None
    }

    /// Reads from a program's descriptor into the place where the packet is sealed, and seals it.
    pub(super) fn copy(&self, number: Number, stream: Stream, descriptor: &OwnedFd) -> Copied {
        let mut state = self.lock();
        let copied = state.copy(number, stream, descriptor);
        if copied == Copied::Held {
            state.held_back = true;
        }
        self.settle(&mut state);
        copied
    }

    /// After any work: what russh has queued goes out, windows are credited, waiters are woken.
    fn settle(&self, state: &mut State) {
        if let Err(end) = state.flush_link() {
            state.end.get_or_insert(end);
            self.over.notify_waiters();
        }
        state.credit_windows();
        state.timers.observe(&mut state.channels);
        if state.link.unread() > 0
            && let Some(waker) = state.engine_reads.take()
        {
            waker.wake();
        }
        if state.channels.have_room() {
            self.forwarded.notify_waiters();
        }
        if state.transport.output_pending() > 0 {
            self.output.notify_one();
        }
        // The reader may wait for answers that the client did not read to leave.
        if state.transport.output_pending() <= OUTPUT_LOW {
            self.input.notify_waiters();
        }
        if state.held_back
            && state.transport.output_pending() <= OUTPUT_LOW
            && state.transport.can_send()
        {
            state.held_back = false;
            self.room.notify_waiters();
            if let Some(waker) = state.engine_writes.take() {
                waker.wake();
            }
        }
    }
}

/// May a channel's data flow?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Now.
    Open,
    /// Never again: the channel is closed, or the client does not want it.
    Gone,
}

/// One step of the client's input.
pub(super) struct Input {
    /// Bytes taken off the front; 0: more is needed.
    pub(super) consumed: usize,
    /// What somebody else has to answer.
    pub(super) question: Option<Question>,
}

/// A question to the monitor, which has to be answered before the next step, or to the session.
pub(super) enum Question {
    /// A rekey in a group of ours.
    ChooseGroup(GroupRequest),
    /// A rekey.
    SignExchange(ExchangeValues),
    /// The client wants these host keys of ours proved; answered with [`Mux::answer_proofs`].
    ProveHostKeys(Vec<Vec<u8>>),
    /// The client wants connections to here, or no more of them; answered with [`Mux::reply`].
    Listen(Listen, Address, Reply),
    /// Nothing waits for it.
    Task(Task),
}

/// What is asked about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listen {
    /// To listen there.
    Begin,
    /// To do so no longer.
    End,
}

impl State {
    fn copy(&mut self, number: Number, stream: Stream, descriptor: &OwnedFd) -> Copied {
        let Some(channel) = self.channels.get_mut(number) else {
            return Copied::End;
        };
        let Ok(sendable) = usize::try_from(channel.sendable()) else {
            return Copied::End;
        };
        if sendable == 0 || self.transport.output_pending() >= OUTPUT_HIGH {
            return Copied::Held;
        }
        // Of a packet that is longer than what is read of it the rest is gone, and nobody says so: one byte more tells.
        let (header, room, spare) = match stream {
            Stream::Output => (DATA_HEADER, sendable, 0),
            Stream::Error => (DATA_HEADER + DATA_TYPE, sendable, 0),
            Stream::Packets(mode) => {
                let own = mode.header_length();
                (DATA_HEADER + own, sendable.saturating_sub(own), 1)
            }
        };
        let Some(slot) = self.transport.payload_slot(header + room + spare) else {
            return Copied::Held;
        };
        let Some((head, data)) = slot.split_at_mut_checked(header) else {
            return Copied::Held;
        };
        let count = match rustix::io::read(descriptor.as_fd(), &mut *data) {
            // EIO: the last one closed the other side of the pseudo-terminal.
            Ok(0) | Err(Errno::IO) => return Copied::End,
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Copied::Nothing,
            Err(_) => return Copied::End,
        };
        if count > room {
            return Copied::Held;
        }
        let mut fields = SliceWriter(head);
        let own = match stream {
            Stream::Output | Stream::Packets(_) => {
                fields.put_byte(CHANNEL_DATA);
                fields.put_uint32(channel.peer());
                header - DATA_HEADER
            }
            Stream::Error => {
                fields.put_byte(CHANNEL_EXTENDED_DATA);
                fields.put_uint32(channel.peer());
                fields.put_uint32(EXTENDED_DATA_STDERR);
                0
            }
        };
        let Ok(length) = u32::try_from(own + count) else {
            return Copied::End;
        };
        fields.put_uint32(length);
        if let Stream::Packets(mode) = stream
            && let Some(family) = mode.header(data)
        {
            fields.put_uint32(family);
        }
        if self.transport.seal_payload(header + count).is_err() {
            return Copied::End;
        }
        channel.sent(length);
        match count < sendable {
            true => Copied::Short,
            false => Copied::Full,
        }
    }

    /// Sends what russh has queued, and our words between its own, as far as a key exchange lets it.
    fn flush_link(&mut self) -> Result<(), EngineEnd> {
        while self.transport.can_send() {
            if let Some(word) = self.channels.next_word() {
                self.say(&word)?;
                continue;
            }
            if let Some(reply) = self.replies.next() {
                self.say(&reply)?;
                continue;
            }
            if let Some(probe) = self.timers.next_probe() {
                self.say(&probe)?;
                continue;
            }
            let engine = |error: transport::link::LinkError| EngineEnd::Engine(error.to_string());
            let Some(payload) = self.link.next_packet().map_err(engine)? else {
                break;
            };
            if let Some(&(REQUEST_SUCCESS | REQUEST_FAILURE)) = payload.first() {
                self.replies.engine_answered();
            }
            let said = self.channels.track(payload);
            let said = match &said {
                Said::AsItIs => Some(payload),
                Said::Instead(payload) => Some(payload.as_slice()),
                Said::Nothing => None,
            };
            if let Some(payload) = said {
                self.transport
                    .send_packet(payload)
                    .map_err(|error| EngineEnd::Protocol(error.to_string()))?;
            }
            self.channels.tell_closes(&mut self.link);
        }
        Ok(())
    }

    /// Sends a payload of ours, unless it is a remark to a client that understands none.
    fn say(&mut self, payload: &[u8]) -> Result<(), EngineEnd> {
        if payload.first() == Some(&DEBUG) && self.transport.quirks().has(Quirk::NoDebug) {
            return Ok(());
        }
        self.transport
            .send_packet(payload)
            .map_err(|error| EngineEnd::Protocol(error.to_string()))
    }

    fn credit_windows(&mut self) {
        // Mostly there is nothing to be given back.
        if !self.channels.any_credit() {
            return;
        }
        let mut promised = self.channels.promised();
        for channel in self.channels.iter_mut() {
            let credit = channel.credit();
            if credit == 0 || !self.transport.can_send() {
                continue;
            }
            let wider = budget::wider(promised, channel.window(), channel.useful_window());
            let mut payload = Vec::with_capacity(9);
            payload.put_byte(CHANNEL_WINDOW_ADJUST);
            payload.put_uint32(channel.peer());
            payload.put_uint32(credit.saturating_add(wider));
            if self.transport.send_packet(&payload).is_ok() {
                channel.credited(credit, wider);
                promised += u64::from(wider);
            }
        }
    }
}

/// Writes a header of known length in place.
struct SliceWriter<'a>(&'a mut [u8]);

impl wire::codec::Write for SliceWriter<'_> {
    fn put_bytes(&mut self, bytes: &[u8]) {
        if let Some((field, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            field.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

/// SSH_MSG_GLOBAL_REQUEST: russh's, except for what it knows nothing of.
///
/// A request for keys that are not ours is refused here already; that each is asked for once only is
/// the monitor's to see to, whose signatures they cost.
fn global_request(
    payload: &[u8],
    link: &mut Link,
    channels: &mut Channels,
    replies: &mut Replies,
    ours: &[Vec<u8>],
) -> Result<Option<Question>, Misbehaviour> {
    if replies.are_too_many() {
        return Err(Misbehaviour("too many requests wait for replies"));
    }
    let GlobalRequest { reply, kind } = GlobalRequest::decode(payload)?;
    match (kind, reply) {
        (GlobalRequestKind::Other, reply) => {
            if let Some(request) = ForwardingRequest::decode(payload)? {
                return Ok(forwarding_request(request, reply, channels, replies));
            }
            if reply == Reply::Wanted {
                replies.expect_engine();
            }
            link.push(payload);
            Ok(None)
        }
        // Nobody would see the proofs.
        (GlobalRequestKind::ProveHostKeys(_), Reply::Unwanted) => Ok(None),
        (GlobalRequestKind::ProveHostKeys(wanted), Reply::Wanted) => {
            let wanted = wanted.filter(|keys| keys.iter().all(|key| ours.contains(key)));
            if wanted.is_none() {
                replies.push(hostkeys::no_proofs());
            }
            Ok(wanted.map(Question::ProveHostKeys))
        }
    }
}

fn forwarding_request(
    request: ForwardingRequest<'_>,
    reply: Reply,
    channels: &mut Channels,
    replies: &mut Replies,
) -> Option<Question> {
    let (listen, name) = match request {
        ForwardingRequest::NoMoreSessions => {
            channels.renounce_sessions();
            if reply == Reply::Wanted {
                replies.push(forwarding::success(None));
            }
            return None;
        }
        ForwardingRequest::Listen(name) => (Listen::Begin, name),
        ForwardingRequest::Cancel(name) => (Listen::End, name),
    };
    // Who does not want to know which port it is has no use for one.
    let unheard = matches!(name, SocketName::Port(port) if port.port == 0)
        && listen == Listen::Begin
        && reply == Reply::Unwanted;
    match address(name).filter(|_| !unheard) {
        Some(address) => Some(Question::Listen(listen, address, reply)),
        None => {
            if reply == Reply::Wanted {
                replies.push(forwarding::failure());
            }
            None
        }
    }
}

const EXTENDED_DATA_STDERR: u32 = 1;
