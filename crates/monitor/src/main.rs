//! The monitor's process: everything is opened here, then the cage closes, then it serves.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use journal::message_id::CONFIGURATION_ERROR;
use journal::{Identity, LevelFilter};
use monitor::options::{Mode, Options};
use monitor::policy::{Loaded, Policy, PolicyError};
use monitor::server::{self, Prepared};
use monitor::systemd::Systemd;
use monitor::{rules, signals, sockets};
use tracing::{error, warn};

fn main() -> ExitCode {
    let outcome = Options::parse(std::env::args_os().skip(1))
        .map_err(anyhow::Error::from)
        .and_then(|options| match options.mode {
            Mode::Test => test(&options),
            Mode::Serve => serve(options),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            exit_code(&error)
        }
    }
}

/// As sshd: 255 for a configuration that cannot be used, 1 for everything else.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(PolicyError::Configuration(_)) => ExitCode::from(255),
        Some(PolicyError::HostKeys(_)) | None => ExitCode::FAILURE,
    }
}

/// `-t`
fn test(options: &Options) -> anyhow::Result<()> {
    let Loaded { remarks, .. } = Policy::load(&options.file)?;
    remarks.iter().for_each(|remark| say(remark));
    Ok(())
}

fn serve(options: Options) -> anyhow::Result<()> {
    // The environment is changed here, and signals are blocked: no thread may exist yet.
    let sockets = sockets::take();
    let signals = signals::Blocked::new().context("signals")?;
    let loaded = Policy::load(&options.file);

    let level = match &loaded {
        Ok(loaded) => rules::log_level(&loaded.policy.config),
        Err(_) => LevelFilter::INFO,
    };
    // Without a journal, standard error has to do.
    journal::init(
        journal::connect().ok(),
        Identity::of(journal::Role::Monitor),
        level,
    )?;
    let Loaded { policy, remarks } =
        loaded.inspect_err(|error| error!(message_id = CONFIGURATION_ERROR, "{error}"))?;
    remarks.iter().for_each(|remark| warn!("{remark}"));
    let prepared = Prepared {
        sockets: sockets.inspect_err(|error| error!("{error}"))?,
        signals,
        file: options.file,
        policy,
    };

    let cage = sandbox::enter(sandbox::Role::Monitor)
        .inspect_err(|error| error!("the cage cannot be built: {error}"))?;
    server::run(cage, prepared, Systemd::default()).inspect_err(|error| error!("{error}"))?;
    Ok(())
}

fn say(text: &str) {
    // Nobody may be listening at standard error; there is nowhere else to say so.
    drop(writeln!(std::io::stderr(), "{text}"));
}
