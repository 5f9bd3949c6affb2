//! One channel's data: windows, the queue towards its program.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rpc::lane::IdleSeconds;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use wire::tunnel::TunnelMode;

use super::RECEIVE_PACKET;
use super::pace::{Pace, Told};
use super::queue::Queue;

/// Which part of a window has to be consumed to be worth an SSH_MSG_CHANNEL_WINDOW_ADJUST.
const CREDIT_PART: u32 = 8;

/// Largest data packet that we send, in bytes, whatever more a client takes: what a pipe holds.
const SEND_PACKET: u32 = 64 * 1024;

/// The client exceeded what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowViolation;

/// Where data of the client goes.
#[derive(Debug)]
enum Input {
    /// The program is not started yet: wait, bounded by the window.
    Waiting,
    /// To this descriptor.
    Open(Arc<AsyncFd<OwnedFd>>),
    /// Nobody reads it any more: taken and dropped, so that the client does not hang on it.
    Discarded,
    /// The same, and whoever feeds the program does not know yet that it closed its standard input.
    Refused,
}

/// Whether the client has a use for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Wanted,
    /// It has said that it cannot write it anywhere (eow@openssh.com).
    Unwanted,
}

/// What a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// Bytes, of which none is lost.
    Bytes,
    /// Packets, each of which arrives whole or not at all. So they never wait here.
    Packets(TunnelMode),
}

/// Which sides have sent SSH_MSG_CHANNEL_CLOSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    ByUs,
    /// Ours waits for the program's end.
    ByClient,
}

/// The program of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// None yet.
    None,
    /// Whoever started it closes the channel when it has ended.
    Started,
    /// It is no program but a connection: what the client sent before it closed the channel is still written there.
    Connection,
}

/// Whether bytes were carried since somebody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    None,
    Some,
}

/// Whether ChannelTimeout ends the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    Unlimited,
    /// Whoever carries its bytes closes it, for it had none in this time.
    Over(IdleSeconds),
}

/// Whether the other side has closed the channel, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// Not yet.
    Half,
    /// It has: nothing is left of the channel.
    Whole,
}

/// What the other side said when a channel was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    /// The client's number for it.
    pub(super) peer: u32,
    /// Its initial window.
    pub(super) window: u32,
    /// The largest packet that it takes.
    pub(super) packet: u32,
}

/// Data state of a channel that is open.
#[derive(Debug)]
pub(super) struct Channel {
    /// The client's number for it ("recipient channel" of what we send).
    peer: u32,
    send_window: u32,
    send_packet: u32,
    /// With less of a window nothing is sent.
    send_least: u32,
    carried: Carried,
    /// To what the client's window is refilled: it bounds what may wait in the queue.
    window: u32,
    receive_window: u32,
    consumed: u32,
    pace: Pace,
    input: Input,
    output: Output,
    queue: Queue,
    eof: bool,
    closing: Closing,
    program: Program,
    traffic: Traffic,
    lifetime: Lifetime,
    /// Something of this state changed.
    changed: Arc<Notify>,
}

impl Channel {
    /// A channel as SSH_MSG_CHANNEL_OPEN and its confirmation describe it, with the window that the client was given.
    pub(super) fn new(opening: Opening, window: u32) -> Self {
        Self {
            peer: opening.peer,
            send_window: opening.window,
            send_packet: opening.packet.min(SEND_PACKET),
            send_least: 1,
            carried: Carried::Bytes,
            window,
            receive_window: window,
            consumed: 0,
            pace: Pace::default(),
            input: Input::Waiting,
            output: Output::Wanted,
            queue: Queue::default(),
            eof: false,
            closing: Closing::Open,
            program: Program::None,
            traffic: Traffic::None,
            lifetime: Lifetime::Unlimited,
            changed: Arc::new(Notify::new()),
        }
    }

    /// A channel whose other end is a connection that is there.
    pub(super) fn connected(opening: Opening, window: u32, socket: Arc<AsyncFd<OwnedFd>>) -> Self {
        Self {
            input: Input::Open(socket),
            program: Program::Connection,
            ..Self::new(opening, window)
        }
    }

    /// The same, of a tunnel.
    pub(super) fn tunnel(
        opening: Opening,
        window: u32,
        device: Arc<AsyncFd<OwnedFd>>,
        mode: TunnelMode,
    ) -> Self {
        let channel = Self::connected(opening, window, device);
        Self {
            // A packet that does not fit is lost, so the largest one should. A client that refills its window does so
            // before half of it is gone.
            send_least: channel.send_packet.min(opening.window / 2).max(1),
            carried: Carried::Packets(mode),
            ..channel
        }
    }

    pub(super) fn peer(&self) -> u32 {
        self.peer
    }

    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// May data flow, or has a side closed the channel?
    pub(super) fn is_open(&self) -> bool {
        self.closing == Closing::Open
    }

    /// eow@openssh.com has come.
    pub(super) fn end_of_write(&mut self) {
        self.output = Output::Unwanted;
        self.changed.notify_waiters();
    }

    /// May data be sent, now or later? Not so errors: for those eow@openssh.com is nothing.
    pub(super) fn wants_output(&self) -> bool {
        self.is_open() && self.output == Output::Wanted
    }

    /// Bytes that may be sent now in one packet.
    pub(super) fn sendable(&self) -> u32 {
        match self.closing {
            Closing::Open if self.send_window >= self.send_least => {
                self.send_window.min(self.send_packet)
            }
            Closing::Open | Closing::ByUs | Closing::ByClient => 0,
        }
    }

    /// These bytes were sent.
    pub(super) fn sent(&mut self, count: u32) {
        self.traffic = Traffic::Some;
        self.send_window = self.send_window.saturating_sub(count);
    }

    /// SSH_MSG_CHANNEL_WINDOW_ADJUST; the sum must fit (RFC 4254 section 5.2).
    pub(super) fn widen(&mut self, count: u32) -> Result<(), WindowViolation> {
        let sum = self.send_window.checked_add(count);
        self.send_window = match self.carried {
            Carried::Bytes => sum.ok_or(WindowViolation)?,
            // OpenSSH gives back four bytes more for each packet than it was sent.
            Carried::Packets(_) => sum.unwrap_or(u32::MAX),
        };
        self.changed.notify_waiters();
        Ok(())
    }

    /// SSH_MSG_CHANNEL_DATA.
    pub(super) fn receive(&mut self, data: &[u8]) -> Result<(), WindowViolation> {
        let count = self.count(data)?;
        if !self.is_open() {
            return Ok(());
        }
        let Input::Open(descriptor) = &self.input else {
            if matches!(self.input, Input::Discarded | Input::Refused) {
                self.consumed = self.consumed.saturating_add(count);
            } else {
                self.queue.push(data);
            }
            return Ok(());
        };
        if let Carried::Packets(mode) = self.carried {
            // What the device does not take now, or not at all, is lost, as on any way that packets take. Nor does an
            // interface that is down end anything: it may come up.
            if let Some(packet) = mode.packet(data) {
                rustix::io::write(descriptor.as_fd(), packet).unwrap_or_default();
            }
            self.consume(data.len());
            return Ok(());
        }
        // Straight from where it was opened to the program, if the program keeps up.
        let written = if self.queue.is_empty() && !data.is_empty() {
            match rustix::io::write(descriptor.as_fd(), data) {
                Ok(written) => written,
                Err(Errno::AGAIN | Errno::INTR) => 0,
                // The program closed its standard input: sshd goes on to take data, too.
                Err(_) => {
                    self.refuse_input();
                    data.len()
                }
            }
        } else {
            0
        };
        self.consume(written);
        let rest = data.get(written..).unwrap_or_default();
        if !rest.is_empty() {
            self.queue.push(rest);
            self.changed.notify_waiters();
        }
        Ok(())
    }

    /// SSH_MSG_CHANNEL_EXTENDED_DATA: a server has no use for it, but it counts.
    pub(super) fn receive_extended(&mut self, data: &[u8]) -> Result<(), WindowViolation> {
        let count = self.count(data)?;
        self.consumed = self.consumed.saturating_add(count);
        Ok(())
    }

    fn count(&mut self, data: &[u8]) -> Result<u32, WindowViolation> {
        let count = u32::try_from(data.len()).map_err(|_| WindowViolation)?;
        if count > RECEIVE_PACKET {
            return Err(WindowViolation);
        }
        self.receive_window = self
            .receive_window
            .checked_sub(count)
            .ok_or(WindowViolation)?;
        if self.pace.received(count) == Told::Something {
            self.pace.measured(Instant::now());
        }
        Ok(count)
    }

    /// Were bytes taken from the program or given to it since the last call?
    pub(super) fn take_traffic(&mut self) -> bool {
        std::mem::replace(&mut self.traffic, Traffic::None) == Traffic::Some
    }

    /// Does it have a program or a connection?
    pub(super) fn is_in_use(&self) -> bool {
        self.program != Program::None
    }

    /// ChannelTimeout is over.
    pub(super) fn expire(&mut self, time: IdleSeconds) {
        self.lifetime = Lifetime::Over(time);
        self.changed.notify_waiters();
    }

    /// The ChannelTimeout that has run out, if one has.
    pub(super) fn expired(&self) -> Option<IdleSeconds> {
        match self.lifetime {
            Lifetime::Unlimited => None,
            Lifetime::Over(time) => Some(time),
        }
    }

    /// The program is there: its standard input.
    pub(super) fn open_input(&mut self, descriptor: Arc<AsyncFd<OwnedFd>>) {
        self.program = Program::Started;
        self.input = Input::Open(descriptor);
        self.changed.notify_waiters();
    }

    /// Nobody reads the input any more.
    pub(super) fn discard_input(&mut self) {
        self.drop_input(Input::Discarded);
    }

    /// Is there, or may there come, something for the program?
    pub(super) fn awaits_input(&self) -> bool {
        matches!(self.input, Input::Open(_)) && !(self.eof && self.queue.is_empty())
    }

    /// The program has closed its standard input.
    fn refuse_input(&mut self) {
        self.drop_input(Input::Refused);
    }

    fn drop_input(&mut self, input: Input) {
        self.input = input;
        self.consume(self.queue.len());
        self.queue = Queue::default();
        self.changed.notify_waiters();
    }

    /// SSH_MSG_CHANNEL_EOF: the input ends after what is queued.
    pub(super) fn end_input(&mut self) {
        self.eof = true;
        self.changed.notify_waiters();
    }

    /// Writes queued data to the program.
    pub(super) fn feed(&mut self) -> Feed {
        let descriptor = match &self.input {
            Input::Open(descriptor) => descriptor,
            Input::Waiting | Input::Discarded => return Feed::Finished,
            Input::Refused => return Feed::Refused,
        };
        if self.queue.is_empty() {
            return if self.eof {
                Feed::Finished
            } else {
                Feed::Empty
            };
        }
        let descriptor = descriptor.as_fd();
        match self
            .queue
            .write_to(|slices| rustix::io::writev(descriptor, slices))
        {
            Ok(written) => {
                self.consume(written);
                Feed::Progress
            }
            Err(Errno::INTR) => Feed::Progress,
            Err(Errno::AGAIN) => Feed::Blocked,
            Err(_) => {
                self.refuse_input();
                Feed::Refused
            }
        }
    }

    fn consume(&mut self, count: usize) {
        if count > 0 {
            self.traffic = Traffic::Some;
        }
        self.consumed = self
            .consumed
            .saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Bytes to give back to the client now; 0 if it is not worth a packet yet.
    pub(super) fn credit(&self) -> u32 {
        match self.closing {
            Closing::Open if self.consumed >= self.window / CREDIT_PART => self.consumed,
            Closing::Open | Closing::ByUs | Closing::ByClient => 0,
        }
    }

    /// These bytes were given back, and the window is `wider` by so much.
    pub(super) fn credited(&mut self, count: u32, wider: u32) {
        self.pace.credited(Instant::now(), self.receive_window);
        self.consumed = self.consumed.saturating_sub(count);
        self.window = self.window.saturating_add(wider);
        self.receive_window = self
            .receive_window
            .saturating_add(count)
            .saturating_add(wider);
    }

    /// How much of a window the client would make use of.
    pub(super) fn useful_window(&self) -> u32 {
        self.pace.wanted()
    }

    /// How much the client may have waiting here.
    pub(super) fn window(&self) -> u32 {
        match self.input {
            Input::Waiting | Input::Open(_) => self.window,
            Input::Discarded | Input::Refused => 0,
        }
    }

    /// Has our SSH_MSG_CHANNEL_CLOSE been sent?
    pub(super) fn is_closed_by_us(&self) -> bool {
        self.closing == Closing::ByUs
    }

    /// SSH_MSG_CHANNEL_CLOSE was sent: no data any more in either direction. The client may have
    /// data on the way until it answers.
    pub(super) fn close(&mut self) -> Closed {
        let closed = match self.closing {
            Closing::Open | Closing::ByUs => Closed::Half,
            Closing::ByClient => Closed::Whole,
        };
        self.end_data(Closing::ByUs);
        closed
    }

    /// SSH_MSG_CHANNEL_CLOSE has come. While a program lives whose end the client has not heard of,
    /// ours waits for it: what is said of a channel after its close is not heard. With a connection ours waits until
    /// all is written that came before, as with OpenSSH.
    pub(super) fn close_by_client(&mut self) -> Closed {
        let closed = match (self.closing, self.program) {
            (Closing::Open | Closing::ByClient, Program::Connection) => {
                self.closing = Closing::ByClient;
                self.end_input();
                return Closed::Half;
            }
            (Closing::Open | Closing::ByClient, Program::Started) => Closed::Half,
            (Closing::Open | Closing::ByClient, Program::None) | (Closing::ByUs, _) => {
                Closed::Whole
            }
        };
        self.end_data(Closing::ByClient);
        closed
    }

    fn end_data(&mut self, closing: Closing) {
        self.closing = closing;
        self.input = Input::Discarded;
        self.queue = Queue::default();
        self.changed.notify_waiters();
    }
}

/// What feeding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    /// Some bytes went out; try again.
    Progress,
    /// The program does not read now.
    Blocked,
    /// Nothing is queued.
    Empty,
    /// Nothing more will come.
    Finished,
    /// Nobody reads it.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::RECEIVE_WINDOW;

    const WINDOW: usize = 2 * 1024 * 1024;
    const PACKET: usize = 32 * 1024;

    fn channel() -> Channel {
        opened(1000, 300)
    }

    fn opened(window: u32, packet: u32) -> Channel {
        let opening = Opening {
            peer: 7,
            window,
            packet,
        };
        Channel::new(opening, RECEIVE_WINDOW)
    }

    #[test]
    fn sends_no_more_than_the_window_and_one_packet() {
        let mut channel = channel();
        assert_eq!(channel.sendable(), 300);
        channel.sent(900);
        assert_eq!(channel.sendable(), 100);
        channel.sent(100);
        assert_eq!(channel.sendable(), 0);
        channel.widen(50).unwrap();
        assert_eq!(channel.sendable(), 50);
    }

    #[test]
    fn a_client_that_takes_huge_packets_gets_ordinary_ones() {
        let channel = opened(u32::MAX, u32::MAX);
        assert_eq!(channel.sendable(), SEND_PACKET);
    }

    /// russh: the sum overflowed.
    #[test]
    fn cve_2025_54804_russh_a_window_above_its_type_is_a_violation() {
        let mut channel = opened(u32::MAX, 300);
        assert_eq!(channel.widen(1), Err(WindowViolation));
    }

    #[test]
    fn data_beyond_the_window_is_a_violation() {
        let mut channel = channel();
        for _ in 0..WINDOW / PACKET {
            channel.receive(&[0; PACKET]).unwrap();
        }
        assert_eq!(channel.receive(&[0]), Err(WindowViolation));
        assert_eq!(channel.receive_extended(&[0]), Err(WindowViolation));
    }

    #[test]
    fn a_packet_above_its_size_is_a_violation() {
        assert_eq!(channel().receive(&[0; PACKET + 1]), Err(WindowViolation));
    }

    #[test]
    fn nothing_is_credited_before_the_program_took_it() {
        let mut channel = channel();
        for _ in 0..WINDOW / PACKET {
            channel.receive(&[0; PACKET]).unwrap();
        }
        assert_eq!(channel.credit(), 0);
        channel.discard_input();
        assert_eq!(channel.credit(), RECEIVE_WINDOW);
        channel.credited(RECEIVE_WINDOW, 0);
        channel.receive(&[0; PACKET]).unwrap();
    }

    #[test]
    fn after_our_close_data_on_the_way_is_dropped_and_not_credited() {
        let mut channel = channel();
        channel.receive(b"waiting").unwrap();
        channel.close();
        assert_eq!(channel.sendable(), 0);
        for _ in 0..(WINDOW - 7) / PACKET {
            channel.receive(&[0; PACKET]).unwrap();
        }
        assert_eq!(channel.credit(), 0);
        assert_eq!(channel.feed(), Feed::Finished);
        assert_eq!(channel.close_by_client(), Closed::Whole);
    }

    #[tokio::test]
    async fn a_reader_that_is_always_behind_costs_no_more_than_a_window() {
        let (reader, writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut channel = channel();
        let writer = rpc::reactor::watch(writer.into(), tokio::io::Interest::WRITABLE).unwrap();
        channel.open_input(Arc::new(writer));
        let mut buffer = vec![0; PACKET];
        for _ in 0..100 * 1024 * 1024 / PACKET {
            channel.receive(&[0; PACKET]).unwrap();
            // As much as comes is read, but what came first is never waited for.
            while channel.queue.len() > WINDOW / 2 {
                rustix::io::read(&reader, &mut buffer[..]).unwrap();
                channel.feed();
            }
            channel.credited(channel.credit(), 0);
            assert!(channel.queue.capacity() <= 2 * WINDOW);
        }
        assert!(!channel.queue.is_empty());
    }

    /// A tunnel of layer 3 whose device keeps packets apart, and the device's other side.
    fn tunnel(window: u32) -> (Channel, OwnedFd) {
        let (device, network) = rpc::lane::pair().unwrap();
        rustix::io::ioctl_fionbio(&network, true).unwrap();
        let device = rpc::reactor::watch(device, tokio::io::Interest::WRITABLE).unwrap();
        let opening = Opening {
            peer: 7,
            window,
            packet: 1 << 15,
        };
        let mode = TunnelMode::PointToPoint;
        let channel = Channel::tunnel(opening, RECEIVE_WINDOW, device.into(), mode);
        (channel, network)
    }

    #[tokio::test]
    async fn packets_arrive_apart_and_what_is_none_is_lost_but_not_its_window() {
        let (mut channel, network) = tunnel(1 << 21);
        for data in [
            &[0, 0, 0, 2, 0x45, 1][..],
            &[],
            &[0, 0, 0],
            &[0, 0, 0, 24],
            &[0, 0, 0, 24, 0x60, 2, 3],
        ] {
            channel.receive(data).unwrap();
        }
        let mut buffer = [0; 16];
        let mut arrived = || match rustix::io::read(&network, &mut buffer[..]) {
            Ok(count) => buffer[..count].to_vec(),
            Err(_) => Vec::new(),
        };
        assert_eq!(arrived(), [0x45, 1]);
        assert_eq!(arrived(), [0x60, 2, 3]);
        assert_eq!(arrived(), []);
        assert_eq!(channel.consumed, 6 + 3 + 4 + 7);
        assert_eq!(channel.receive(&[0; PACKET + 1]), Err(WindowViolation));
    }

    #[tokio::test]
    async fn a_device_that_takes_nothing_costs_no_memory() {
        let (mut channel, network) = tunnel(1 << 21);
        for _ in 0..100 * 1024 * 1024 / PACKET {
            channel.receive(&[0; PACKET]).unwrap();
            channel.credited(channel.credit(), 0);
        }
        assert!(channel.queue.is_empty());
        drop(network);
        channel.receive(&[0; PACKET]).unwrap();
        assert_eq!(
            channel.feed(),
            Feed::Empty,
            "a packet that is lost ends nothing"
        );
    }

    #[tokio::test]
    async fn packets_wait_for_room_that_the_client_will_give() {
        let (mut channel, _network) = tunnel(1 << 21);
        assert_eq!(channel.sendable(), 1 << 15);
        channel.sent((1 << 21) - 1000);
        assert_eq!(channel.sendable(), 0);
        channel.widen(1 << 15).unwrap();
        assert_eq!(channel.sendable(), 1 << 15);
        // OpenSSH counts the length of a packet among its bytes when it takes one, and not when it sends one.
        channel.widen(u32::MAX).unwrap();
        let (channel, _network) = tunnel(4000);
        assert_eq!(channel.sendable(), 4000);
    }

    #[test]
    fn a_small_window_is_refilled_in_small_parts() {
        let mut channel = channel();
        channel.window = RECEIVE_PACKET;
        channel.receive_window = RECEIVE_PACKET;
        channel.receive(&[0; PACKET]).unwrap();
        assert_eq!(channel.receive(&[0]), Err(WindowViolation));
        channel.discard_input();
        assert_eq!(channel.credit(), RECEIVE_PACKET);
        channel.credited(RECEIVE_PACKET, 1);
        channel.receive(&[0; PACKET]).unwrap();
        channel.receive(&[0]).unwrap();
        assert_eq!(channel.receive(&[0]), Err(WindowViolation));
    }

    #[test]
    fn a_channel_without_a_program_is_gone_when_the_client_closes_it() {
        assert_eq!(channel().close_by_client(), Closed::Whole);
    }
}
