//! Which channels there are, and who answers for them.
//!
//! Sessions are russh's: it opens, closes and answers. What is forwarded is ours: russh has no words of its own choosing
//! for a failed connection, waits in one place for all of them, and knows fewer kinds. Its numbers are counted up from 1
//! by russh, and from [`FIRST_FORWARDED`] by us.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rpc::lane::ChannelType;
use rpc::session::{
    Accepted, Address, Connect, HOST_LIMIT, OpenFailure, OpenFailureReason, OpenTunnel, PATH_LIMIT,
    Port,
};
use tokio::io::unix::AsyncFd;
use transport::link::Link;
use wire::channel::{
    self, ChannelKind, ChannelOpen, ChannelRequest, ChannelRequestKind, HostPort, Offer,
};
use wire::codec::{DecodeError, Reader};
use wire::forwarding::SocketName;
use wire::hostkeys::Reply;
use wire::message::number::{
    CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_FAILURE, CHANNEL_OPEN,
    CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, CHANNEL_SUCCESS,
    CHANNEL_WINDOW_ADJUST,
};
use wire::quirks::{Quirk, Quirks};
use wire::tunnel::{TunnelDevice, TunnelMode};

use super::RECEIVE_PACKET;
use super::budget;
use super::channel::{Carried, Channel, Closed, Opening};
use super::closes::{Closes, MARK};
use super::remarks;

/// Channel numbers are our side's everywhere but in [`Channel::peer`].
pub(super) type Number = u32;

/// Channels that may be open or opening at once, whatever MaxSessions says.
const CHANNEL_LIMIT: usize = 4096;

/// Forwarded channels that may be open or opening at once: each has a descriptor. An opening one is a call to the session,
/// of which there may be 1024 at once, and those of its programs must not wait for them.
const FORWARDED_LIMIT: usize = 896;

/// The first number of a forwarded channel. russh would need as many channels on one connection to come to it, and clients
/// that take numbers for signed ones understand it.
const FIRST_FORWARDED: Number = 1 << 30;

/// As what "break" (RFC 4335) comes to russh. A client that sends a signal of this name gets a break, as it could have had.
pub(super) const BREAK_SIGNAL: &str = "break@rfc4335";

/// Our own words that may wait during a key exchange. An honest client is silent then.
const OUTBOX_LIMIT: usize = 4096;

/// What the client did against RFC 4254.
#[derive(Debug)]
pub(super) struct Misbehaviour(pub(super) &'static str);

impl From<DecodeError> for Misbehaviour {
    fn from(_: DecodeError) -> Self {
        Self("malformed message of the connection protocol")
    }
}

/// A channel that the client wants to be connected to somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedConnection {
    /// Ours.
    pub(super) number: Number,
    pub(super) connect: Connect,
}

/// A channel that the client wants to be the end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WantedTunnel {
    /// Ours.
    pub(super) number: Number,
    pub(super) tunnel: OpenTunnel,
}

/// Why there is no tunnel, in sshd's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTunnel {
    UnknownMode,
    Refused,
    Unavailable,
}

impl NoTunnel {
    fn words(self) -> &'static str {
        match self {
            Self::UnknownMode => "Unsupported tunnel device mode.",
            Self::Refused => "Server has rejected tunnel device forwarding",
            Self::Unavailable => "Failed to open the tunnel device.",
        }
    }
}

/// What has to be done by somebody else.
#[derive(Debug)]
pub(super) enum Task {
    /// The session is to connect.
    Connect(WantedConnection),
    /// The session is to open a device.
    OpenTunnel(WantedTunnel),
    /// The client has taken a connection that it was offered: bytes may flow.
    Carry(Number, Socket, ChannelType),
}

/// The other end of a forwarded channel: a socket, or the device of a tunnel.
pub(super) type Socket = Arc<AsyncFd<OwnedFd>>;

/// A channel that the client is asked to take.
#[derive(Debug)]
struct Offered {
    socket: Socket,
    /// The window that it is given.
    window: u32,
    kind: ChannelType,
}

/// A forwarded channel.
#[derive(Debug)]
enum Forwarded {
    /// It has a number and nothing else: nobody has connected yet.
    Reserved,
    /// The client wants it; the session has not connected yet.
    Wanted(Opening),
    /// The client has not said yet whether it wants it.
    Offered(Offered),
    /// It is open, in one direction at least.
    Open,
}

/// Whether the client may open sessions (no-more-sessions@openssh.com).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MoreSessions {
    Permitted,
    /// It has said that it will not: somebody else speaks through it.
    Renounced,
}

/// What the client gets of a packet of russh.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// All of it.
    AsItIs,
    /// This.
    Instead(Vec<u8>),
    Nothing,
}

/// MaxSessions is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManySessions;

/// All channels of a connection.
#[derive(Debug)]
pub(super) struct Channels {
    open: HashMap<Number, Channel>,
    /// Channels that the client wants to open, by its number.
    opening: HashMap<u32, Opening>,
    /// Channels that count for MaxSessions.
    sessions: HashSet<Number>,
    more_sessions: MoreSessions,
    forwarded: HashMap<Number, Forwarded>,
    next_forwarded: Number,
    /// What we have to say of forwarded channels. It goes out when a key exchange permits.
    outbox: VecDeque<Vec<u8>>,
    closes: Closes,
    quirks: Quirks,
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
            opening: HashMap::new(),
            sessions: HashSet::new(),
            more_sessions: MoreSessions::Permitted,
            forwarded: HashMap::new(),
            next_forwarded: FIRST_FORWARDED,
            outbox: VecDeque::new(),
            closes: Closes::default(),
            quirks: Quirks::default(),
        }
    }
}

impl Channels {
    /// None yet, of a client with these quirks.
    pub(super) fn new(quirks: Quirks) -> Self {
        Self {
            quirks,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, number: Number) -> Option<&Channel> {
        self.open.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Channel> {
        self.open.get_mut(&number)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.open.values_mut()
    }

    /// How much the client may have waiting here in all channels.
    pub(super) fn promised(&self) -> u64 {
        let open = self.open.values().map(Channel::window);
        let offered = self.forwarded.values().filter_map(|state| match state {
            Forwarded::Offered(offered) => Some(offered.window),
            Forwarded::Reserved | Forwarded::Wanted(_) | Forwarded::Open => None,
        });
        open.chain(offered).map(u64::from).sum()
    }

    /// Is there a window to be refilled?
    pub(super) fn any_credit(&self) -> bool {
        self.open.values().any(|channel| channel.credit() > 0)
    }

    /// Is there a channel with a program or a connection?
    pub(super) fn any_in_use(&self) -> bool {
        self.open.values().any(Channel::is_in_use)
    }

    #[cfg(test)]
    pub(super) fn insert(&mut self, number: Number, channel: Channel) {
        self.open.insert(number, channel);
    }

    /// The next payload of ours for the client.
    pub(super) fn next_word(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// Makes a channel one of at most `limit` sessions. It counts until we close it, which we do
    /// when its program has ended, or until the client closes it without a program.
    pub(super) fn count_session(
        &mut self,
        number: Number,
        limit: u32,
    ) -> Result<(), TooManySessions> {
        if self.sessions.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(TooManySessions);
        }
        self.sessions.insert(number);
        Ok(())
    }

    /// The channel's program has closed its standard input: the client need not send more of it.
    pub(super) fn tell_refusal(&mut self, number: Number) {
        let open = self.open.get_mut(&number);
        let Some(channel) = open.filter(|channel| channel.is_open()) else {
            return;
        };
        channel.discard_input();
        // Others may not know it, and disconnect.
        if self.quirks.has(Quirk::OpensshRequests) {
            self.outbox.push_back(channel::end_of_write(channel.peer()));
        }
    }

    /// The channel's program has ended: what it did not read nobody shall, as with sshd. A program that it left behind
    /// is at the end of its input, too.
    pub(super) fn end_program(&mut self, number: Number) {
        if self.open.get(&number).is_some_and(Channel::awaits_input) {
            self.tell_refusal(number);
        }
    }

    // ---- forwarded channels ----

    /// A number for a forwarded channel that is to come; none if there are too many.
    pub(super) fn reserve(&mut self) -> Option<Number> {
        self.number(Forwarded::Reserved)
    }

    fn number(&mut self, state: Forwarded) -> Option<Number> {
        if !self.have_room() {
            return None;
        }
        loop {
            let number = self.next_forwarded;
            let next = number.wrapping_add(1);
            self.next_forwarded = match next >= 2 * FIRST_FORWARDED {
                true => FIRST_FORWARDED,
                false => next,
            };
            if let Entry::Vacant(vacant) = self.forwarded.entry(number) {
                vacant.insert(state);
                return Some(number);
            }
        }
    }

    /// Whether one more channel may be forwarded.
    pub(super) fn have_room(&self) -> bool {
        self.forwarded.len() < FORWARDED_LIMIT
    }

    /// The channel that the client wants has its connection or its device.
    pub(super) fn confirm(&mut self, number: Number, socket: Socket, carried: Carried) {
        let Some(state) = self.forwarded.get_mut(&number) else {
            return;
        };
        let Forwarded::Wanted(opening) = *state else {
            return;
        };
        *state = Forwarded::Open;
        let window = budget::window(self.promised());
        self.opening.remove(&opening.peer);
        self.outbox.push_back(channel::confirmation(
            opening.peer,
            number,
            window,
            RECEIVE_PACKET,
        ));
        let channel = match carried {
            Carried::Bytes => Channel::connected(opening, window, socket),
            Carried::Packets(mode) => Channel::tunnel(opening, window, socket, mode),
        };
        self.open.insert(number, channel);
    }

    /// The channel that the client wants cannot be had.
    pub(super) fn refuse(&mut self, number: Number, failure: &OpenFailure) {
        if let Some(Forwarded::Wanted(opening)) = self.forwarded.remove(&number) {
            self.refuse_opening(opening.peer, failure);
        }
    }

    /// The tunnel that the client wants cannot be had.
    pub(super) fn refuse_tunnel(&mut self, number: Number, why: NoTunnel) {
        if let Some(Forwarded::Wanted(opening)) = self.forwarded.remove(&number) {
            self.refuse_tunnel_of(opening.peer, why);
        }
    }

    fn refuse_tunnel_of(&mut self, peer: u32, why: NoTunnel) {
        self.outbox.push_back(remarks::debug(why.words()));
        let failure = OpenFailure::untold(OpenFailureReason::ConnectFailed);
        self.refuse_opening(peer, &failure);
    }

    fn refuse_opening(&mut self, peer: u32, failure: &OpenFailure) {
        self.opening.remove(&peer);
        self.outbox.push_back(refusal(peer, failure));
    }

    /// Somebody has connected: a channel for them is offered to the client.
    pub(super) fn offer(&mut self, number: Number, accepted: &Accepted, socket: Socket) {
        let offer = match accepted {
            Accepted::Port {
                listening,
                originator,
            } => Offer::ForwardedTcpip {
                listening: host_port(listening),
                originator: host_port(originator),
            },
            Accepted::Path(path) => Offer::ForwardedStreamLocal(path),
            Accepted::Agent => Offer::Agent,
            Accepted::X11 { originator } => Offer::X11(host_port(originator)),
        };
        let window = budget::window(self.promised());
        self.outbox
            .push_back(offer.encode(number, window, RECEIVE_PACKET));
        let kind = match accepted {
            Accepted::Port { .. } => ChannelType::ForwardedTcpip,
            Accepted::Path(_) => ChannelType::ForwardedStreamLocal,
            Accepted::Agent => ChannelType::Agent,
            Accepted::X11 { .. } => ChannelType::X11,
        };
        let offered = Offered {
            socket,
            window,
            kind,
        };
        self.forwarded.insert(number, Forwarded::Offered(offered));
    }

    /// no-more-sessions@openssh.com
    pub(super) fn renounce_sessions(&mut self) {
        self.more_sessions = MoreSessions::Renounced;
    }

    /// The connection has nothing more for the client.
    pub(super) fn end_output(&mut self, number: Number) {
        if let Some(channel) = self.open.get(&number).filter(|channel| channel.is_open()) {
            self.outbox.push_back(channel::eof(channel.peer()));
        }
    }

    /// Both directions of a forwarded channel are at their end.
    pub(super) fn close_forwarded(&mut self, number: Number) {
        if let Some(channel) = self.open.get_mut(&number) {
            self.outbox.push_back(channel::close(channel.peer()));
            if channel.close() == Closed::Whole {
                self.forget(number);
            }
        }
    }

    fn forget(&mut self, number: Number) {
        self.open.remove(&number);
        self.sessions.remove(&number);
        self.forwarded.remove(&number);
    }

    // ---- what passes ----

    /// A packet of the client: data, windows and forwarded channels are handled here, the rest is russh's.
    pub(super) fn dispatch(
        &mut self,
        payload: &[u8],
        link: &mut Link,
    ) -> Result<Option<Task>, Misbehaviour> {
        const EXCEEDED: Misbehaviour = Misbehaviour("channel window or packet size exceeded");
        const UNKNOWN: Misbehaviour = Misbehaviour("data for a channel that is not open");
        if self.outbox.len() >= OUTBOX_LIMIT {
            return Err(Misbehaviour("too many requests during a key exchange"));
        }
        let mut reader = Reader::new(payload);
        match reader.byte()? {
            CHANNEL_DATA => {
                let channel = self.open.get_mut(&reader.uint32()?).ok_or(UNKNOWN)?;
                let data = reader.string(payload.len())?;
                reader.finish()?;
                channel.receive(data).map_err(|_| EXCEEDED)?;
            }
            CHANNEL_EXTENDED_DATA => {
                let channel = self.open.get_mut(&reader.uint32()?).ok_or(UNKNOWN)?;
                reader.uint32()?;
                let data = reader.string(payload.len())?;
                reader.finish()?;
                channel.receive_extended(data).map_err(|_| EXCEEDED)?;
            }
            CHANNEL_WINDOW_ADJUST => {
                let number = reader.uint32()?;
                let count = reader.uint32()?;
                reader.finish()?;
                // A channel that is just gone may still be adjusted; that is no fault.
                if let Some(channel) = self.open.get_mut(&number) {
                    channel.widen(count).map_err(|_| EXCEEDED)?;
                }
            }
            CHANNEL_OPEN => return self.wanted(payload, link),
            CHANNEL_OPEN_CONFIRMATION => {
                let number = reader.uint32()?;
                let opening = Opening {
                    peer: reader.uint32()?,
                    window: reader.uint32()?,
                    packet: reader.uint32()?,
                };
                let Offered {
                    socket,
                    window,
                    kind,
                } = self.answered(number)?;
                self.forwarded.insert(number, Forwarded::Open);
                let channel = Channel::connected(opening, window, Arc::clone(&socket));
                self.open.insert(number, channel);
                return Ok(Some(Task::Carry(number, socket, kind)));
            }
            // With this the socket is closed.
            CHANNEL_OPEN_FAILURE => drop(self.answered(reader.uint32()?)?),
            CHANNEL_CLOSE => {
                let number = reader.uint32()?;
                reader.finish()?;
                let Some(channel) = self.open.get_mut(&number) else {
                    link.push(payload);
                    return Ok(None);
                };
                let (peer, open) = (channel.peer(), channel.is_open());
                // russh would answer at once.
                if channel.close_by_client() == Closed::Half {
                    return Ok(None);
                }
                self.forget(number);
                match open {
                    _ if number >= FIRST_FORWARDED => {}
                    // Nothing runs there, and russh has the answer.
                    true => link.push(payload),
                    false => {
                        self.closes.add(number, peer);
                        self.tell_closes(link);
                    }
                }
            }
            CHANNEL_EOF => {
                let number = reader.uint32()?;
                match self.open.get_mut(&number) {
                    Some(channel) if number >= FIRST_FORWARDED => {
                        reader.finish()?;
                        channel.end_input();
                    }
                    Some(channel) if channel.is_closed_by_us() => {}
                    Some(_) | None => link.push(payload),
                }
            }
            CHANNEL_REQUEST => self.requested(payload, link)?,
            _ => link.push(payload),
        }
        Ok(None)
    }

    fn requested(&mut self, payload: &[u8], link: &mut Link) -> Result<(), Misbehaviour> {
        let ChannelRequest {
            recipient,
            reply,
            kind,
        } = ChannelRequest::decode(payload)?;
        let Some(channel) = self.open.get_mut(&recipient) else {
            link.push(payload);
            return Ok(());
        };
        if recipient >= FIRST_FORWARDED {
            // There is nothing to be asked of a connection.
            if reply == Reply::Wanted && channel.is_open() {
                let refusal = channel::request_failure(channel.peer());
                self.outbox.push_back(refusal);
            }
            return Ok(());
        }
        // russh takes it for open still, see [`super::closes`]. Nothing is started there any more.
        if channel.is_closed_by_us() {
            return Ok(());
        }
        match (kind, reply) {
            (ChannelRequestKind::EndOfWrite, Reply::Unwanted) => channel.end_of_write(),
            // sshd does it, too, and then says that it failed. So does russh, which does not know it.
            (ChannelRequestKind::EndOfWrite, Reply::Wanted) => {
                channel.end_of_write();
                link.push(payload);
            }
            // russh has no word for it but answers in the order of the requests, so it hears of a signal.
            (ChannelRequestKind::Break, reply) => {
                link.push(&channel::signal(recipient, reply, BREAK_SIGNAL));
            }
            (ChannelRequestKind::Other, _) => link.push(payload),
        }
        Ok(())
    }

    /// The client has answered an offer; it is none any more.
    fn answered(&mut self, number: Number) -> Result<Offered, Misbehaviour> {
        match self.forwarded.remove(&number) {
            Some(Forwarded::Offered(offered)) => Ok(offered),
            _ => Err(Misbehaviour("answer to a channel that was not offered")),
        }
    }

    fn wanted(&mut self, payload: &[u8], link: &mut Link) -> Result<Option<Task>, Misbehaviour> {
        let ChannelOpen {
            kind,
            sender,
            window,
            packet,
        } = ChannelOpen::decode(payload)?;
        let opening = Opening {
            peer: sender,
            window,
            packet,
        };
        if self.open.len() + self.opening.len() >= CHANNEL_LIMIT
            || self.opening.insert(sender, opening).is_some()
        {
            return Err(Misbehaviour("too many channels"));
        }
        let connect = match kind {
            ChannelKind::Session if self.more_sessions == MoreSessions::Renounced => {
                return Err(Misbehaviour(
                    "Possible attack: attempt to open a session after additional sessions disabled",
                ));
            }
            ChannelKind::Session => {
                link.push(payload);
                return Ok(None);
            }
            // As by sshd. Not asked of russh: it would answer some of them twice, the second time for whatever has the
            // number by then.
            ChannelKind::Other => {
                let refused = OpenFailure::untold(OpenFailureReason::ConnectFailed);
                self.refuse_opening(sender, &refused);
                return Ok(None);
            }
            ChannelKind::DirectTcpip { target, originator } => port(target)
                .map(Address::Port)
                .and_then(|target| connect(target, originator)),
            ChannelKind::DirectStreamLocal { path, originator } => {
                path_of(path).and_then(|target| connect(target, originator))
            }
            ChannelKind::Tunnel { mode, device } => {
                return Ok(self.wanted_tunnel(opening, mode, device));
            }
        };
        let reason = match connect {
            None => OpenFailureReason::AdministrativelyProhibited,
            Some(connect) => match self.number(Forwarded::Wanted(opening)) {
                Some(number) => {
                    return Ok(Some(Task::Connect(WantedConnection { number, connect })));
                }
                None => OpenFailureReason::ResourceShortage,
            },
        };
        self.refuse_opening(sender, &OpenFailure::untold(reason));
        Ok(None)
    }

    fn wanted_tunnel(&mut self, opening: Opening, mode: u32, device: u32) -> Option<Task> {
        let mode = TunnelMode::from_code(mode).ok_or(NoTunnel::UnknownMode);
        let device = TunnelDevice::from_code(device).ok_or(NoTunnel::Unavailable);
        let tunnel = mode.and_then(|mode| {
            Ok(OpenTunnel {
                mode,
                device: device?,
            })
        });
        let wanted = tunnel.and_then(|tunnel| {
            let number = self.number(Forwarded::Wanted(opening));
            let number = number.ok_or(NoTunnel::Unavailable)?;
            Ok(WantedTunnel { number, tunnel })
        });
        match wanted {
            Ok(wanted) => Some(Task::OpenTunnel(wanted)),
            Err(why) => {
                self.refuse_tunnel_of(opening.peer, why);
                None
            }
        }
    }

    /// Tells russh of channels that are closed. To be called after [`Self::track`].
    pub(super) fn tell_closes(&mut self, link: &mut Link) {
        while let Some(close) = self.closes.next() {
            link.push(&close);
        }
    }

    /// See [`Closes::has`].
    pub(super) fn was_closed_here(&self, number: Number) -> bool {
        self.closes.has(number)
    }

    /// Our CLOSE of a session, which is said now.
    fn close_session(&mut self, peer: u32) -> Said {
        let Some((number, channel)) = self.session(peer) else {
            return Said::Nothing;
        };
        let closed = channel.close();
        self.sessions.remove(&number);
        if closed == Closed::Whole {
            self.forget(number);
            self.closes.add(number, peer);
        }
        Said::Instead(channel::close(peer))
    }

    /// A packet of russh on its way to the client: which channels exist. russh gives all sessions the same window,
    /// whatever is promised already, and refuses in other words than sshd.
    pub(super) fn track(&mut self, payload: &[u8]) -> Said {
        let mut reader = Reader::new(payload);
        let (Ok(message), Ok(peer)) = (reader.byte(), reader.uint32()) else {
            return Said::AsItIs;
        };
        match message {
            CHANNEL_OPEN_CONFIRMATION => {
                if let (Some(opening), Ok(number)) = (self.opening.remove(&peer), reader.uint32()) {
                    let window = budget::window(self.promised());
                    self.open.insert(number, Channel::new(opening, window));
                    let confirmed = channel::confirmation(peer, number, window, RECEIVE_PACKET);
                    return Said::Instead(confirmed);
                }
            }
            // Of one session more than MaxSessions; nothing else is asked of russh.
            CHANNEL_OPEN_FAILURE => {
                self.opening.remove(&peer);
                let refused = OpenFailure::untold(OpenFailureReason::ConnectFailed);
                return Said::Instead(refusal(peer, &refused));
            }
            CHANNEL_CLOSE if self.closes.answered(peer) => return Said::Nothing,
            CHANNEL_CLOSE | CHANNEL_EOF | CHANNEL_REQUEST | CHANNEL_SUCCESS | CHANNEL_FAILURE
                if self.is_over(peer) =>
            {
                return Said::Nothing;
            }
            CHANNEL_REQUEST if reader.string(payload.len()).ok() == Some(MARK) => {
                return self.close_session(peer);
            }
            _ => {}
        }
        Said::AsItIs
    }

    /// Was our CLOSE of the session that has this number at the client sent already?
    fn is_over(&mut self, peer: u32) -> bool {
        match self.session(peer) {
            Some((_, channel)) => channel.is_closed_by_us(),
            None => self.closes.awaits(peer),
        }
    }

    /// The session that has this number at the client.
    fn session(&mut self, peer: u32) -> Option<(Number, &mut Channel)> {
        let mut open = self
            .open
            .iter_mut()
            .map(|(number, channel)| (*number, channel));
        open.find(|(number, channel)| *number < FIRST_FORWARDED && channel.peer() == peer)
    }
}

/// What is said to the client whose channel of this number cannot be opened.
fn refusal(peer: u32, failure: &OpenFailure) -> Vec<u8> {
    channel::failure(peer, failure.reason.code(), &failure.description)
}

fn connect(target: Address, originator: HostPort<'_>) -> Option<Connect> {
    let originator = port(originator)?;
    Some(Connect { target, originator })
}

/// A port that there can be, of a host that can have a name.
fn port(HostPort { host, port }: HostPort<'_>) -> Option<Port> {
    let host = str::from_utf8(host).ok()?;
    let fits = host.len() <= HOST_LIMIT && !host.contains('\0');
    let port = u16::try_from(port).ok()?;
    fits.then(|| Port {
        host: host.to_owned(),
        port,
    })
}

/// Where the client wants to be listened on; none if there can be no such place.
pub(super) fn address(name: SocketName<'_>) -> Option<Address> {
    match name {
        SocketName::Port(name) => port(name).map(Address::Port),
        SocketName::Path(path) => path_of(path),
    }
}

fn host_port(port: &Port) -> HostPort<'_> {
    HostPort {
        host: port.host.as_bytes(),
        port: port.port.into(),
    }
}

fn path_of(path: &[u8]) -> Option<Address> {
    let fits = path.len() <= PATH_LIMIT && !path.contains(&0);
    fits.then(|| Address::Path(path.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::RECEIVE_WINDOW;
    use tokio::io::Interest;
    use wire::codec::Write as _;

    const EXTENDED_DATA_STDERR: u32 = 1;

    /// What becomes of a payload when the client has opened nothing.
    fn without_channels(payload: &[u8]) -> (Result<(), Misbehaviour>, usize) {
        let mut link = Link::new();
        let before = link.unread();
        let result = Channels::default().dispatch(payload, &mut link);
        (result.map(drop), link.unread() - before)
    }

    fn message(number: u8, fields: &[u32], data: &[u8]) -> Vec<u8> {
        let mut payload = vec![number];
        for field in fields {
            payload.put_uint32(*field);
        }
        payload.put_string(data);
        payload
    }

    /// russh: handlers were called for channels that nobody had opened; GHSA-47hw-gvq5-r2gm is the
    /// same on the client's side.
    #[test]
    fn cve_2026_68930_russh_data_for_a_channel_that_is_not_open_ends_the_connection() {
        for number in [0, 1, FIRST_FORWARDED, u32::MAX] {
            for payload in [
                message(CHANNEL_DATA, &[number], b"data"),
                message(
                    CHANNEL_EXTENDED_DATA,
                    &[number, EXTENDED_DATA_STDERR],
                    b"data",
                ),
            ] {
                let (result, for_russh) = without_channels(&payload);
                assert!(result.is_err());
                assert_eq!(for_russh, 0, "russh must not hear of it");
            }
        }
    }

    /// A window may be meant for a channel that has just gone: it changes nothing, whatever it says.
    #[test]
    fn ghsa_47hw_gvq5_r2gm_russh_a_window_for_a_channel_that_is_not_open_changes_nothing() {
        let mut payload = vec![CHANNEL_WINDOW_ADJUST];
        payload.put_uint32(7);
        payload.put_uint32(u32::MAX);
        let (result, for_russh) = without_channels(&payload);
        assert!(result.is_ok());
        assert_eq!(for_russh, 0, "russh must not hear of it");
    }

    /// What was promised to stopped programs was once more than the unit may have, with as many of them as MaxSessions
    /// can be set to.
    #[test]
    fn sessions_share_what_may_be_promised() {
        let (mut channels, mut link) = (Channels::default(), Link::new());
        for number in 0..100 {
            let told = open_session(&mut channels, &mut link, number, number);
            let window = channels.get_mut(number).unwrap().window();
            let expected = channel::confirmation(number, number, window, RECEIVE_PACKET);
            assert_eq!(told, Said::Instead(expected));
            assert!(window == RECEIVE_WINDOW || number > 2);
        }
        assert!(channels.promised() < 16 << 20, "{}", channels.promised());
    }

    /// What the client is told of a session that it opens.
    fn open_session(channels: &mut Channels, link: &mut Link, number: Number, peer: u32) -> Said {
        let mut payload = vec![CHANNEL_OPEN];
        payload.put_string(b"session");
        for field in [peer, 1000, 300] {
            payload.put_uint32(field);
        }
        channels.dispatch(&payload, link).unwrap();
        let of_russh = channel::confirmation(peer, number, RECEIVE_WINDOW, RECEIVE_PACKET);
        channels.track(&of_russh)
    }

    fn request(recipient: u32, kind: &[u8]) -> Vec<u8> {
        let mut payload = vec![CHANNEL_REQUEST];
        payload.put_uint32(recipient);
        payload.put_string(kind);
        payload.put_boolean(false);
        payload
    }

    /// russh has to hear of the client's CLOSE before it says its own, or it keeps the channel for ever.
    #[tokio::test]
    async fn a_session_is_closed_once_for_the_client_and_once_for_russh() {
        let (mut channels, mut link) = (Channels::default(), Link::new());
        let close = channel::close;
        for (number, first) in [(1, "ours"), (2, "the client's")] {
            open_session(&mut channels, &mut link, number, 7);
            let channel = channels.get_mut(number).unwrap();
            let (_, input) = std::io::pipe().unwrap();
            let input = rpc::reactor::watch(input.into(), Interest::WRITABLE).unwrap();
            channel.open_input(Arc::new(input));
            let before = link.unread();
            if first == "the client's" {
                channels.dispatch(&close(number), &mut link).unwrap();
            }
            assert_eq!(channels.track(&request(7, b"exit-status")), Said::AsItIs);
            let mark = request(7, MARK);
            assert_eq!(channels.track(&mark), Said::Instead(close(7)), "{first}");
            channels.tell_closes(&mut link);
            if first == "ours" {
                // Too late, all of it.
                channels
                    .dispatch(&request(number, b"exec"), &mut link)
                    .unwrap();
                for late in [mark, request(7, b"exit-status"), channel::eof(7)] {
                    assert_eq!(channels.track(&late), Said::Nothing);
                }
                assert_eq!(link.unread(), before, "russh heard of it");
                channels.dispatch(&close(number), &mut link).unwrap();
            }
            assert!(link.unread() > before, "russh did not hear of it");
            assert!(channels.get(number).is_none() && channels.was_closed_here(number));
            assert_eq!(channels.track(&request(7, b"exit-status")), Said::Nothing);
            // The number is another channel's when russh answers.
            assert_eq!(channels.track(&close(7)), Said::Nothing);
            assert!(!channels.was_closed_here(number));
        }
        // Nothing ran: russh answers for itself.
        open_session(&mut channels, &mut link, 3, 7);
        channels.dispatch(&close(3), &mut link).unwrap();
        assert_eq!(channels.track(&close(7)), Said::AsItIs);
    }

    fn direct(sender: u32, host: &str, port: u32) -> Vec<u8> {
        let mut payload = vec![CHANNEL_OPEN];
        payload.put_string(b"direct-tcpip");
        for field in [sender, 1000, 300] {
            payload.put_uint32(field);
        }
        payload.put_string(host.as_bytes());
        payload.put_uint32(port);
        payload.put_string(b"127.0.0.1");
        payload.put_uint32(40_000);
        payload
    }

    #[test]
    fn a_connection_that_failed_is_answered_in_the_words_of_the_session() {
        let (mut channels, mut link) = (Channels::default(), Link::new());
        let before = link.unread();
        let wanted = |task: Result<Option<Task>, Misbehaviour>| match task {
            Ok(Some(Task::Connect(wanted))) => wanted,
            other => panic!("no connection is wanted: {other:?}"),
        };
        let first = wanted(channels.dispatch(&direct(7, "db", 5432), &mut link));
        assert_eq!(link.unread(), before, "russh must not hear of it");
        assert_eq!(
            first.connect.target,
            Address::Port(Port {
                host: "db".to_owned(),
                port: 5432
            })
        );
        let failure = OpenFailure {
            reason: OpenFailureReason::ConnectFailed,
            description: "Connection refused".to_owned(),
        };
        channels.refuse(first.number, &failure);
        let words = channel::failure(7, 2, "Connection refused");
        assert_eq!(channels.next_word(), Some(words));
        // The client's number is free again.
        let again = wanted(channels.dispatch(&direct(7, "db", 5432), &mut link));
        assert_ne!(again.number, first.number);
    }

    #[test]
    fn a_port_or_name_that_cannot_be_is_refused_at_once() {
        let (mut channels, mut link) = (Channels::default(), Link::new());
        for (host, port) in [("db", 65_536), ("d\0b", 80), (&*"x".repeat(1026), 80)] {
            let wanted = channels.dispatch(&direct(7, host, port), &mut link);
            assert!(wanted.unwrap().is_none());
            let words = channel::failure(7, 1, "open failed");
            assert_eq!(channels.next_word(), Some(words), "{host} {port}");
        }
    }

    #[test]
    fn forwarded_channels_are_bounded_and_what_is_beyond_is_refused() {
        let (mut channels, mut link) = (Channels::default(), Link::new());
        let limit = u32::try_from(FORWARDED_LIMIT).unwrap();
        for sender in 0..limit {
            let wanted = channels.dispatch(&direct(sender, "db", 80), &mut link);
            assert!(wanted.unwrap().is_some());
        }
        let beyond = channels.dispatch(&direct(limit, "db", 80), &mut link);
        assert!(beyond.unwrap().is_none());
        let words = channel::failure(limit, 4, "open failed");
        assert_eq!(channels.next_word(), Some(words));
    }

    #[test]
    fn what_was_not_offered_cannot_be_taken_or_refused() {
        let (mut channels, mut link) = (Channels::default(), Link::new());
        let reserved = channels.reserve().unwrap();
        for number in [0, 1, reserved, reserved + 1] {
            for payload in [
                channel::confirmation(number, 7, 1000, 300),
                channel::failure(number, 1, "no"),
            ] {
                assert!(channels.dispatch(&payload, &mut link).is_err(), "{number}");
            }
        }
    }

    #[test]
    fn a_tunnel_that_cannot_be_is_refused_in_the_words_of_sshd() {
        const ANY: u32 = 0x7fff_ffff;
        let (mut channels, mut link) = (Channels::default(), Link::new());
        let tunnel = |mode: u32, device: u32| {
            let mut payload = vec![CHANNEL_OPEN];
            payload.put_string(b"tun@openssh.com");
            for field in [7, 1000, 300, mode, device] {
                payload.put_uint32(field);
            }
            payload
        };
        let refused = |channels: &mut Channels, words: &str| {
            assert_eq!(channels.next_word(), Some(remarks::debug(words)));
            let failure = channel::failure(7, 2, "open failed");
            assert_eq!(channels.next_word(), Some(failure));
        };
        for (mode, device, words) in [
            (3, ANY, "Unsupported tunnel device mode."),
            (0, 0, "Unsupported tunnel device mode."),
            (1, ANY - 1, "Failed to open the tunnel device."),
            (1, u32::MAX, "Failed to open the tunnel device."),
        ] {
            let task = channels.dispatch(&tunnel(mode, device), &mut link);
            assert!(task.unwrap().is_none());
            refused(&mut channels, words);
        }
        let wanted = match channels.dispatch(&tunnel(2, 5), &mut link) {
            Ok(Some(Task::OpenTunnel(wanted))) => wanted,
            other => panic!("no tunnel is wanted: {other:?}"),
        };
        let device = TunnelDevice::Number(5);
        let mode = TunnelMode::Ethernet;
        assert_eq!(wanted.tunnel, OpenTunnel { mode, device });
        channels.refuse_tunnel(wanted.number, NoTunnel::Refused);
        let words = "Server has rejected tunnel device forwarding";
        refused(&mut channels, words);
    }

    #[test]
    fn who_renounced_sessions_opens_none() {
        let mut session = vec![CHANNEL_OPEN];
        session.put_string(b"session");
        for field in [7, 1000, 300] {
            session.put_uint32(field);
        }
        let (mut channels, mut link) = (Channels::default(), Link::new());
        channels.renounce_sessions();
        assert!(channels.dispatch(&session, &mut link).is_err());
        let forwarded = channels.dispatch(&direct(8, "db", 80), &mut link);
        assert!(matches!(forwarded, Ok(Some(Task::Connect(_)))));
    }
}
