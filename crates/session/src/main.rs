//! `session`: see the library's documentation.
//!
//! systemd starts it as the user who logged in, in a transient unit with `Type=notify` and `PAMName=`, without arguments
//! and with the lane as stdin. With arguments it is its own second stage.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use journal::{Identity, LevelFilter, Role};
use rpc::ServeEnd;
use rpc::lane::{Lane, ToSession};
use sd_notify::NotifyState;
use session::{Session, UnitEnvironment, lane, second_stage};

/// How long the monitor may take for its one message; it has it ready before the unit is started.
const START_DEADLINE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == second_stage::ARGUMENT)
    {
        return second_stage::run(arguments);
    }
    // Without a journal, lines go to stderr; if that fails there is nobody to tell.
    let journal = journal::connect().ok();
    drop(journal::init(
        journal,
        Identity::of(Role::Session),
        LevelFilter::INFO,
    ));
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> anyhow::Result<()> {
    let descriptor = lane::take_from_stdin().context("lane at stdin")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("runtime")?;
    let unit = UnitEnvironment::of_this_process();
    sd_notify::notify(&[NotifyState::Ready]).context("telling systemd READY=1")?;
    let ToSession::Start { start, rpc, lane } = runtime.block_on(async {
        tokio::time::timeout(START_DEADLINE, Lane::new(descriptor)?.receive_to_session())
            .await
            .context("monitor sent no start")?
            .context("lane of the monitor")
    })?;

    // Entered outside of the runtime: all its tasks run on this thread and so inside of the span.
    let span = tracing::info_span!(
        "session",
        conn = %start.id,
        user = %start.user,
        peer = %start.endpoints.peer.ip(),
        peer_port = start.endpoints.peer.port(),
    );
    let _entered = span.entered();
    runtime.block_on(async {
        let stream = rpc::grpc::stream(rpc).context("stream of the worker")?;
        let lane = Lane::new(lane).context("lane of the worker")?;
        let session = Session::new(start, unit, lane);
        if let ServeEnd::Violation(violation) = rpc::session::serve(stream, session.clone()).await {
            tracing::error!("worker broke the contract: {violation}");
        }
        session.hang_up();
        Ok(())
    })
}
