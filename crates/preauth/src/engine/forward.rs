//! Forwarded connections: from the client's wish to the session's socket, and the bytes between.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rpc::lane::FromSession;
use rpc::session::{Channel as SessionChannel, Opened, Session};
use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::channel::Feed;
use super::channels::{Number, WantedConnection};
use super::deliveries::Deliveries;
use super::end::EngineEnd;
use super::mux::{Mux, Stream};
use super::pump::{self, Program};
use super::requests::RequestError;

/// What forwarding needs of its connection. Clones are the same.
#[derive(Clone)]
pub(super) struct Forwarding {
    pub(super) mux: Arc<Mux>,
    pub(super) session: Session,
    pub(super) deliveries: Deliveries,
}

impl Forwarding {
    /// Has the session connect, beside whatever else goes on, and answers the client.
    pub(super) fn connect(&self, wanted: WantedConnection) {
        let this = self.clone();
        tokio::spawn(async move {
            let mux = Arc::clone(&this.mux);
            if let Err(error) = this.connected(wanted).await {
                mux.end(EngineEnd::Session(error.to_string()));
            }
        });
    }

    async fn connected(mut self, wanted: WantedConnection) -> Result<(), RequestError> {
        let WantedConnection { number, connect } = wanted;
        let delivery = self.deliveries.expect(number);
        match self
            .session
            .connect(SessionChannel(number), connect)
            .await?
        {
            Opened::Done => {
                let socket = socket(delivery.take().await?)?;
                self.mux.confirm(number, Arc::clone(&socket));
                carry(self.mux, number, socket).await;
            }
            Opened::Failed(failure) => self.mux.refuse(number, &failure),
        }
        Ok(())
    }
}

fn socket(message: FromSession) -> Result<Arc<AsyncFd<OwnedFd>>, RequestError> {
    let FromSession::Forwarded { socket, .. } = message else {
        return Err(RequestError::OtherDescriptors);
    };
    rustix::io::ioctl_fionbio(&socket, true).map_err(std::io::Error::from)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    Ok(Arc::new(rpc::reactor::watch(socket, interest)?))
}

/// Carries bytes until both directions have ended, each by itself.
async fn carry(mux: Arc<Mux>, number: Number, socket: Arc<AsyncFd<OwnedFd>>) {
    // A connection has no program that could end before its output does.
    let (_running, program) = watch::channel(Program::Runs);
    let to_client = async {
        let (mux, socket) = (Arc::clone(&mux), Arc::clone(&socket));
        pump::run(Arc::clone(&mux), number, Stream::Output, socket, program).await;
        mux.end_output(number);
    };
    let from_client = async {
        write_out(&mux, number, &socket).await;
        mux.discard_input(number);
        // The other side may have gone already.
        rustix::net::shutdown(socket.as_fd(), Shutdown::Write).unwrap_or_default();
    };
    tokio::join!(to_client, from_client);
    mux.close_forwarded(number);
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
            Feed::Finished => return,
        }
    }
}
