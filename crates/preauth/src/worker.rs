//! The life of a worker: cage, idle, one connection, end.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use journal::{Identity, LevelFilter};
use rpc::lane::{Connection, Lane, LaneError, ToWorker, Welcome};
use rpc::preauth::Monitor;
use sandbox::{Role, Sandboxed};
use tracing::{Instrument, error, info_span};

use crate::client::ClientSocket;
use crate::{engine, handshake, journal_lines, settings};

/// Enters the cage, then serves. Nothing is read before the cage is closed.
pub fn main() -> ExitCode {
    match sandbox::enter(Role::Preauth) {
        Ok(caged) => match serve(caged) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error),
        },
        // There is no way on without the cage.
        Err(error) => complain(&error.into()),
    }
}

fn complain(error: &anyhow::Error) -> ExitCode {
    // Before Welcome there is no journal socket; systemd connects standard error to the journal.
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
    connection: Connection,
    socket: OwnedFd,
}

/// Waits for a client; `None` when the monitor ended first.
async fn idle(lane: Lane) -> anyhow::Result<Option<Client>> {
    let (welcome, monitor, journal) = match lane.receive_to_worker().await {
        Ok(ToWorker::Welcome {
            welcome,
            rpc,
            journal,
        }) => (welcome, rpc, journal),
        Ok(_) => anyhow::bail!("first message of the monitor is no welcome"),
        Err(LaneError::Closed) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    journal::init(
        Some(journal),
        Identity::of(journal::Role::Preauth),
        LevelFilter::INFO,
    )?;
    match lane.receive_to_worker().await {
        Ok(ToWorker::Connection { connection, tcp }) => Ok(Some(Client {
            welcome,
            monitor,
            lane,
            connection,
            socket: tcp,
        })),
        Ok(_) => anyhow::bail!("the monitor sent something else than a client"),
        Err(LaneError::Closed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Client {
    async fn serve(self, _caged: Sandboxed) -> anyhow::Result<()> {
        let endpoints = self.connection.endpoints;
        let span = info_span!(
            "connection",
            conn = %self.connection.id,
            peer = %endpoints.peer.ip(),
            peer_port = endpoints.peer.port(),
        );
        let work = async {
            if let Err(error) = self.run().await {
                error!("worker failed: {error:#}");
            }
        };
        work.instrument(span).await;
        Ok(())
    }

    async fn run(self) -> anyhow::Result<()> {
        let endpoints = self.connection.endpoints;
        let settings = settings::settings(&self.welcome)?;
        let socket = ClientSocket::new(self.socket)?;
        let mut monitor = Monitor::start(rpc::grpc::stream(self.monitor)?).await?;
        match handshake::run(&socket, settings, &mut monitor, &self.lane).await {
            Err(failed) => journal_lines::handshake_failed(endpoints, &failed),
            Ok(login) => {
                let user = login.grant.user.clone();
                let span = info_span!("login", user = %user);
                // The lane stays open: the monitor knows by it that the connection lives.
                let end = engine::run(socket, login, monitor)
                    .instrument(span.clone())
                    .await;
                span.in_scope(|| journal_lines::engine_ended(endpoints, &user, &end));
            }
        }
        Ok(())
    }
}
