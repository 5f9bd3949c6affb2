//! The monitor's process: everything is opened here, then the cage closes, then it serves.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use journal::message_id::CONFIGURATION_ERROR;
use journal::{Destination, Facility, Identity, LevelFilter};
use monitor::connection::Outcome;
use monitor::options::{Log, Mode, Options};
use monitor::policy::{Loaded, Policy, PolicyError};
use monitor::server::{self, Ended, Owner, Prepared};
use monitor::sockets::SocketsError;
use monitor::systemd::Systemd;
use monitor::{listening, rules, signals, sockets};
use tracing::{error, warn};

/// As sshd's: a configuration that cannot be used, and a client of `--one` that did not log in.
const FAILED: u8 = 255;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            say(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let (mode, log) = (options.mode, options.log);
    let outcome = match mode {
        Mode::Test => test(&options).map(|()| ExitCode::SUCCESS),
        Mode::Serve => serve(options),
    };
    outcome.unwrap_or_else(|error| {
        // What the log has said to standard error need not be said there twice.
        if (mode, log) != (Mode::Serve, Log::StandardError) {
            say(&format!("{error:#}"));
        }
        exit_code(&error)
    })
}

/// As sshd: 255 for a configuration that cannot be used, 1 for everything else.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(PolicyError::Configuration(_)) => ExitCode::from(FAILED),
        Some(PolicyError::HostKeys(_)) | None => ExitCode::FAILURE,
    }
}

/// `-t`
fn test(options: &Options) -> anyhow::Result<()> {
    let Loaded { remarks, .. } = Policy::load(&options.source)?;
    remarks.iter().for_each(|remark| say(remark));
    Ok(())
}

fn serve(options: Options) -> anyhow::Result<ExitCode> {
    // The environment is changed here, and signals are blocked: no thread may exist yet.
    let sockets = sockets::take();
    let signals = signals::Blocked::new();
    let loaded = Policy::load(&options.source);

    let (level, facility) = match &loaded {
        Ok(Loaded { policy, .. }) => {
            let config = &policy.config;
            (rules::log_level(config), rules::facility(config))
        }
        Err(_) => (LevelFilter::INFO, Facility::default()),
    };
    let destination = match options.log {
        Log::Journal => Destination::journal(),
        Log::StandardError => Destination::Terminal,
    };
    let identity = Identity::of(journal::Role::Monitor).facility(facility);
    let threshold = journal::init(destination, identity, level)?;
    let Loaded { policy, remarks } =
        loaded.inspect_err(|error| error!(message_id = CONFIGURATION_ERROR, "{error}"))?;
    remarks.iter().for_each(|remark| warn!("{remark}"));
    let run = || {
        let sockets = sockets.inspect_err(|error| {
            if matches!(error, SocketsError::Lost) {
                reopen();
            }
        })?;
        let owner = match &sockets.control {
            Some(_) => Owner::ServiceManager,
            None => Owner::Launcher(signals::bind_to_parent().context("parent's end")?),
        };
        let prepared = Prepared {
            sockets,
            signals: signals.context("signals")?,
            owner,
            clients: options.clients,
            source: options.source,
            policy,
            threshold,
        };
        let cage = sandbox::enter(sandbox::Role::Monitor).context("the cage cannot be built")?;
        Ok(server::run(cage, prepared, Systemd::default())?)
    };
    let ended: anyhow::Result<Ended> = run();
    Ok(match ended.inspect_err(|error| error!("{error:#}"))? {
        Ended::Stopped | Ended::Served(Outcome::LoggedIn) => ExitCode::SUCCESS,
        Ended::Served(Outcome::NotLoggedIn) => ExitCode::from(FAILED),
    })
}

/// systemd has lost the listening sockets, and will give none to the next monitor either.
fn reopen() {
    match listening::reopen() {
        Ok(()) => warn!("sshd-privsep.socket is restarted to listen where sshd_config says."),
        Err(error) => error!("sshd-privsep.socket cannot be restarted: {error}"),
    }
}

fn say(text: &str) {
    // Nobody may be listening at standard error; there is nowhere else to say so.
    drop(writeln!(std::io::stderr(), "{text}"));
}
