//! Forwarded connections: from the client's wish to the session's socket, or from the session's to the client, and the
//! bytes between. Tunnels, too.

use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use rpc::CallError;
use rpc::lane::{ChannelType, FromSession, IdleSeconds};
use rpc::session::{
    ACCEPT_LIMIT, Address, Channel as SessionChannel, Listening, Opened, Outcome, Session,
    TunnelOpened,
};
use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use wire::forwarding;
use wire::hostkeys::Reply;
use wire::tunnel::TunnelMode;

use super::channel::{Carried, Feed};
use super::channels::{NoTunnel, Number, Socket, Task, WantedConnection, WantedTunnel};
use super::deliveries::{Deliveries, Delivery, soon};
use super::end::EngineEnd;
use super::mux::{Listen, Mux, Stream};
use super::pump::{self, Afterwards, Program};
use super::remarks;
use super::requests::RequestError;

/// What forwarding needs of its connection. Clones are the same.
#[derive(Clone)]
pub(super) struct Forwarding {
    mux: Arc<Mux>,
    session: Session,
    deliveries: Deliveries,
    /// Set when somebody waits for those who connect.
    accepting: Arc<OnceLock<()>>,
}

impl Forwarding {
    pub(super) fn new(mux: Arc<Mux>, session: Session, deliveries: Deliveries) -> Self {
        Self {
            mux,
            session,
            deliveries,
            accepting: Arc::new(OnceLock::new()),
        }
    }

    /// Does what has to be done, beside whatever else goes on.
    pub(super) fn start(&self, task: Task) {
        let this = self.clone();
        match task {
            Task::Connect(wanted) => self.spawn(this.connect(wanted)),
            Task::OpenTunnel(wanted) => self.spawn(this.open_tunnel(wanted)),
            Task::Carry(number, socket, kind) => {
                self.mux.watch(number, &kind);
                tokio::spawn(carry(this.mux, this.session, number, socket));
            }
        }
    }

    /// Has the session listen somewhere, or no longer, and answers the client.
    ///
    /// # Errors
    /// The session is gone or too slow.
    pub(super) async fn answer(
        &self,
        listen: Listen,
        address: Address,
        reply: Reply,
    ) -> Result<(), CallError> {
        let mut session = self.session.clone();
        let chooses = matches!(&address, Address::Port(port) if port.port == 0);
        let answer = match listen {
            Listen::Begin => {
                let listening = session.listen(address.clone()).await?;
                if let Some(remark) = listening.remark {
                    self.mux.remark(&remarks::of_listening(remark, &address));
                }
                match listening.answer {
                    Listening::On(port) => {
                        self.accept();
                        forwarding::success(chooses.then_some(port))
                    }
                    Listening::Refused => forwarding::failure(),
                }
            }
            Listen::End => match session.cancel_listen(address).await? {
                Outcome::Done => forwarding::success(None),
                Outcome::Refused => forwarding::failure(),
            },
        };
        self.mux.reply(reply, answer);
        Ok(())
    }

    /// From now on, offers everybody who connects to the client.
    pub(super) fn accept(&self) {
        if self.accepting.set(()).is_ok() {
            self.spawn(self.clone().accept_all());
        }
    }

    fn spawn(&self, work: impl Future<Output = Result<(), RequestError>> + Send + 'static) {
        let mux = Arc::clone(&self.mux);
        tokio::spawn(async move {
            if let Err(error) = work.await {
                mux.end(EngineEnd::Session(error.to_string()));
            }
        });
    }

    async fn connect(mut self, wanted: WantedConnection) -> Result<(), RequestError> {
        let WantedConnection { number, connect } = wanted;
        let delivery = self.deliveries.expect(number);
        let kind = match connect.target {
            Address::Port(_) => ChannelType::DirectTcpip,
            Address::Path(_) => ChannelType::DirectStreamLocal,
        };
        match self
            .session
            .connect(SessionChannel(number), connect)
            .await?
        {
            Opened::Done => {
                let socket = socket(delivery.take().await?)?;
                let carried = Carried::Bytes;
                self.mux.confirm(number, Arc::clone(&socket), carried);
                self.mux.watch(number, &kind);
                carry(self.mux, self.session, number, socket).await;
            }
            Opened::Failed(failure) => self.mux.refuse(number, &failure),
        }
        Ok(())
    }

    async fn open_tunnel(mut self, wanted: WantedTunnel) -> Result<(), RequestError> {
        let WantedTunnel { number, tunnel } = wanted;
        let delivery = self.deliveries.expect(number);
        match self
            .session
            .open_tunnel(SessionChannel(number), tunnel)
            .await?
        {
            TunnelOpened::Done => {
                let device = device(delivery.take().await?)?;
                let carried = Carried::Packets(tunnel.mode);
                self.mux.confirm(number, Arc::clone(&device), carried);
                self.mux.watch(number, &ChannelType::Tunnel);
                carry_packets(self.mux, self.session, number, device, tunnel.mode).await;
            }
            TunnelOpened::Refused => self.mux.refuse_tunnel(number, NoTunnel::Refused),
            TunnelOpened::Unavailable => self.mux.refuse_tunnel(number, NoTunnel::Unavailable),
        }
        Ok(())
    }

    async fn accept_all(mut self) -> Result<(), RequestError> {
        loop {
            // The session accepts nobody before it is asked to, and is not before there is room.
            let numbers = self.mux.reserve(ACCEPT_LIMIT).await;
            let expect = |number: &Number| (*number, self.deliveries.expect(*number));
            let deliveries: Vec<_> = numbers.iter().map(expect).collect();
            let mut offered = pin!(offer_all(&self.mux, deliveries));
            let channels: Vec<_> = numbers.into_iter().map(SessionChannel).collect();
            let mut asked = pin!(self.session.accept(&channels));
            tokio::select! {
                offered = &mut offered => {
                    offered?;
                    asked.await?;
                }
                answered = &mut asked => {
                    answered?;
                    soon(offered).await??;
                }
            }
        }
    }
}

/// Offers whoever comes to the client. The session uses the channels in their order.
async fn offer_all(mux: &Mux, deliveries: Vec<(Number, Delivery)>) -> Result<(), RequestError> {
    for (number, delivery) in deliveries {
        let FromSession::Accepted {
            accepted, socket, ..
        } = delivery.arrival().await?
        else {
            return Err(RequestError::OtherDescriptors);
        };
        mux.offer(number, &accepted, polled(socket)?);
    }
    Ok(())
}

fn socket(message: FromSession) -> Result<Socket, RequestError> {
    let FromSession::Forwarded { socket, .. } = message else {
        return Err(RequestError::OtherDescriptors);
    };
    polled(socket)
}

fn device(message: FromSession) -> Result<Socket, RequestError> {
    match message {
        FromSession::Tunnel { device, .. } => polled(device),
        FromSession::Descriptors { .. }
        | FromSession::Forwarded { .. }
        | FromSession::Accepted { .. } => Err(RequestError::OtherDescriptors),
    }
}

fn polled(socket: OwnedFd) -> Result<Socket, RequestError> {
    rustix::io::ioctl_fionbio(&socket, true).map_err(std::io::Error::from)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    Ok(Arc::new(rpc::reactor::watch(socket, interest)?))
}

/// Carries bytes until both directions have ended, each by itself.
async fn carry(mux: Arc<Mux>, session: Session, number: Number, socket: Socket) {
    // A connection has no program that could end before its output does.
    let (_running, program) = watch::channel(Program::Runs);
    // A task of its own: each packet wakes it, and nobody else.
    let to_client = {
        let (mux, socket) = (Arc::clone(&mux), Arc::clone(&socket));
        let (stream, afterwards) = (Stream::Output, Afterwards::ToTheEnd);
        tokio::spawn(async move {
            pump::run(
                Arc::clone(&mux),
                number,
                stream,
                socket,
                afterwards,
                program,
            )
            .await;
            mux.end_output(number);
        })
    };
    let from_client = async {
        write_out(&mux, number, &socket).await;
        mux.discard_input(number);
        // The other side may have gone already.
        rustix::net::shutdown(socket.as_fd(), Shutdown::Write).unwrap_or_default();
    };
    tokio::select! {
        _ = async { tokio::join!(to_client, from_client) } => {}
        time = mux.expired(number) => {
            report_idle(session, number, time).await;
            mux.end_output(number);
        }
    }
    mux.close_forwarded(number);
}

/// Carries packets until the device is gone or the client sends no more: a tunnel has no halves.
async fn carry_packets(
    mux: Arc<Mux>,
    session: Session,
    number: Number,
    device: Socket,
    mode: TunnelMode,
) {
    let (_running, program) = watch::channel(Program::Runs);
    let to_client = pump::run(
        Arc::clone(&mux),
        number,
        Stream::Packets(mode),
        Arc::clone(&device),
        Afterwards::ToTheEnd,
        program,
    );
    tokio::select! {
        () = to_client => {}
        () = write_out(&mux, number, &device) => {}
        time = mux.expired(number) => report_idle(session, number, time).await,
    }
    mux.end_output(number);
    mux.close_forwarded(number);
}

/// Tells the log that a channel will be closed for ChannelTimeout. With its last channel a client goes, and the worker with
/// it, so this has to be done before.
pub(super) async fn report_idle(mut session: Session, number: Number, time: IdleSeconds) {
    // Without a session the connection ends anyway.
    drop(session.report_idle(SessionChannel(number), time).await);
}

/// Writes what the client sends, also what it sent before it closed the channel, until nothing more comes or the other
/// side takes no more.
async fn write_out(mux: &Mux, number: Number, socket: &AsyncFd<OwnedFd>) {
    let Some(changed) = mux.changed(number) else {
        return;
    };
    loop {
        let feed = Mux::wait(&changed, || match mux.feed(number) {
            Feed::Empty => None,
            other => Some(other),
        });
        match feed.await {
            Feed::Progress | Feed::Empty => {}
            Feed::Blocked => match socket.writable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return,
            },
            Feed::Finished | Feed::Refused => return,
        }
    }
}
