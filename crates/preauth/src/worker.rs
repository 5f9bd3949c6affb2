//! The life of a worker: cage, idle, one connection, end.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rpc::lane::{Lane, LaneError, ToWorker, Welcome};
use rpc::preauth::Monitor;
use sandbox::{Role, Sandboxed};

use crate::client::ClientSocket;
use crate::{engine, handshake, settings};

/// Enters the cage, then serves. Nothing is read before the cage is closed.
pub fn main() -> ExitCode {
    match sandbox::enter(Role::Preauth) {
        Ok(caged) => {
            #[cfg(feature = "cage-probe")]
            sandbox::probe::reached(sandbox::probe::Phase::Caged);
            match serve(caged) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error),
            }
        }
        // There is no way on without the cage.
        Err(error) => complain(&error.into()),
    }
}

fn complain(error: &anyhow::Error) -> ExitCode {
    // systemd connects standard error to the journal.
    #[expect(clippy::print_stderr, reason = "the only place there is to say it")]
    {
        eprintln!("<3>preauth: {error:#}");
    }
    ExitCode::FAILURE
}

fn serve(caged: Sandboxed) -> anyhow::Result<()> {
    let lane = match rpc::lane::receive_bootstrap(std::io::stdin()) {
        Ok(lane) => lane,
        // The monitor ended before it had work for this worker.
        Err(LaneError::Closed) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        match idle(Lane::new(lane)?).await? {
            Some(client) => client.serve(caged).await,
            None => Ok(()),
        }
    })
}

/// A client and all that its connection needs.
struct Client {
    welcome: Welcome,
    monitor: OwnedFd,
    lane: Lane,
    socket: OwnedFd,
}

/// Waits for a client; `None` when the monitor ended first.
async fn idle(lane: Lane) -> anyhow::Result<Option<Client>> {
    let (welcome, monitor) = match lane.receive_to_worker().await {
        Ok(ToWorker::Welcome { welcome, rpc }) => (welcome, rpc),
        Ok(_) => anyhow::bail!("first message of the monitor is no welcome"),
        Err(LaneError::Closed) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match lane.receive_to_worker().await {
        Ok(ToWorker::Connection { socket, .. }) => Ok(Some(Client {
            welcome,
            monitor,
            lane,
            socket,
        })),
        Ok(_) => anyhow::bail!("the monitor sent something else than a client"),
        Err(LaneError::Closed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Client {
    async fn serve(self, _caged: Sandboxed) -> anyhow::Result<()> {
        let settings = settings::settings(&self.welcome)?;
        let socket = ClientSocket::new(self.socket)?;
        let mut monitor = Monitor::start(rpc::grpc::stream(self.monitor)?).await?;
        let end = match handshake::run(&socket, settings, &mut monitor, &self.lane).await {
            Ok(login) => engine::run(socket, login, monitor.clone()).await.into(),
            Err(end) => end.into(),
        };
        // The lane stays open until here: the monitor knows by it that the connection lives. A
        // monitor that is gone takes no report; then the connection's last line is missing.
        drop(monitor.report(end).await);
        Ok(())
    }
}
