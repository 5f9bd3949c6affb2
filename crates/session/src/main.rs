//! `session`: see the library's documentation.
//!
//! systemd starts it as the user who logged in, in a transient unit with `Type=notify` and `PAMName=`, without arguments
//! and with the lane as stdin. With arguments it is its own second stage.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use journal::{Destination, Facility, Identity, LevelFilter, Role};
use rpc::ServeEnd;
use rpc::accounting::Records;
use rpc::lane::{Lane, ToSession};
use sandbox::jail::Jail;
use sd_notify::NotifyState;
use session::{
    AuthInfo, Outside, Place, Session, Termination, UnitEnvironment, lane, password, said,
    second_stage, words,
};
use tokio::runtime::Runtime;

/// How long the monitor may take for its one message; it has it ready before the unit is started.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// Threads that look for addresses at the same time. They are started when they are needed.
const RESOLVERS: usize = 4;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let Some(root) = arguments
        .next()
        .and_then(|first| second_stage::Root::of(&first))
    {
        return second_stage::run(root, arguments);
    }
    let told = hear();
    // LogLevel is in what the monitor said; what kept it from being heard is an error at any level.
    match &told {
        Ok(Told {
            start: ToSession::Start { start, .. },
            ..
        }) => log_from(start.log_level, Facility::from_code(start.facility.into())),
        Err(_) => log_from(LevelFilter::ERROR, None),
    }
    match told.and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_from(level: LevelFilter, facility: Option<Facility>) {
    let identity = Identity::of(Role::Session).facility(facility.unwrap_or_default());
    // If that fails there is nobody to tell.
    drop(journal::init(Destination::journal(), identity, level));
}

/// What the monitor had to say, and what there is to go on with.
struct Told {
    runtime: Runtime,
    monitor: Lane,
    start: ToSession,
}

fn hear() -> anyhow::Result<Told> {
    // What PAM is to take from the lane comes first there.
    UnitEnvironment::taken_by_pam()?;
    let descriptor = lane::take_from_stdin().context("lane at stdin")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(RESOLVERS)
        .build()
        .context("runtime")?;
    sd_notify::notify(&[NotifyState::Ready]).context("telling systemd READY=1")?;
    let (monitor, start) = runtime.block_on(async {
        let monitor = Lane::new(descriptor)?;
        let start = tokio::time::timeout(START_DEADLINE, monitor.receive_to_session())
            .await
            .context("monitor sent no start")?
            .context("lane of the monitor")?;
        anyhow::Ok((monitor, start))
    })?;
    Ok(Told {
        runtime,
        monitor,
        start,
    })
}

fn serve(told: Told) -> anyhow::Result<()> {
    let Told {
        runtime,
        monitor,
        start:
            ToSession::Start {
                start,
                rpc,
                lane,
                accounting,
            },
    } = told;
    let login = start.login.clone();
    let password = password(&login);
    let unit = UnitEnvironment::of_this_process().after(login.environment);

    // Entered outside of the runtime: all its tasks run on this thread and so inside of the span.
    let peer = start.endpoints.peer();
    let span = tracing::info_span!(
        "session",
        conn = %start.id,
        user = %start.user,
        peer = %peer.address(),
        peer_port = peer.port(),
    );
    let _entered = span.entered();

    // Before there is another thread, to which the signals would go otherwise.
    let termination = {
        let _reactor = runtime.enter();
        Termination::new().context("signals")?
    };
    let outside = match &start.chroot_directory {
        None => Outside::here(),
        Some(path) => {
            let outside = Outside::of(Jail::open(Path::new(path))?)?;
            tracing::debug!("Changed root directory to \"{path}\"");
            outside
        }
    };
    let place = match start.chroot_directory {
        None => Place::Unit,
        Some(_) => Place::Jail,
    };
    let exposed = login
        .exposed
        .map(|text| AuthInfo::create(start.id, place, &text));
    // Lives as long as the session.
    let (_file, unit) = match exposed {
        Some(Ok(file)) => {
            let unit = unit.exposing(file.path());
            (Some(file), unit)
        }
        // As sshd: the login goes on without.
        Some(Err(error)) => {
            tracing::error!("file for SSH_USER_AUTH: {error}");
            (None, unit)
        }
        None => (None, unit),
    };
    runtime.block_on(async {
        let stream = rpc::grpc::stream(rpc).context("stream of the worker")?;
        let lane = Lane::new(lane).context("lane of the worker")?;
        let records = accounting.map(Records::new).transpose();
        let records = records.context("connection to accounting")?;
        let session = Session::new(start, unit, password, words(), records, lane, outside);
        // The client hears of its login now. There is nothing more to say to the monitor.
        monitor
            .send_ready(&said())
            .await
            .context("telling the monitor")?;
        drop(monitor);
        tokio::select! {
            end = rpc::session::serve(stream, session.clone()) => {
                if let ServeEnd::Violation(violation) = end {
                    tracing::error!("worker broke the contract: {violation}");
                }
            }
            () = termination.requested() => {}
        }
        session.hang_up();
        session.finish().await;
        Ok(())
    })
}
