//! `cargo xtask machine`: test machines for a developer's hands.

use std::os::unix::process::ExitStatusExt;

use anyhow::{Result, bail};
use support::machine::{Listing, list, remove, sweep};
use support::{Lifetime, Machine, Network};

const HELP: &str = "\
cargo xtask machine up [--host-loopback] [NAME]   boots a machine that stays up
cargo xtask machine exec NAME COMMAND...          runs a command in it as root, on this terminal
cargo xtask machine down NAME | --all             ends it and removes every trace
cargo xtask machine list                          shows what is up

NAME is `dev` unless given.
";

const DEFAULT_NAME: &str = "dev";

/// Runs `machine` with the words after it.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    match words {
        ["up", rest @ ..] => {
            let (network, name) = match rest {
                ["--host-loopback", name @ ..] => (Network::HostLoopback, name),
                name => (Network::Private, name),
            };
            up(single_name(name)?, network)
        }
        ["exec", name, command @ ..] if !command.is_empty() => exec(name, command),
        ["down", "--all"] => down_all(),
        ["down", name @ ..] => remove(single_name(name)?),
        ["list"] => show_list(),
        _ => bail!("{HELP}"),
    }
}

fn single_name<'a>(words: &[&'a str]) -> Result<&'a str> {
    match words {
        [] => Ok(DEFAULT_NAME),
        [name] if !name.starts_with('-') => Ok(name),
        _ => bail!("{HELP}"),
    }
}

fn up(name: &str, network: Network) -> Result<()> {
    let machine = Machine::builder(name)
        .network(network)
        .lifetime(Lifetime::Kept)
        .up()?;
    println!(
        "machine {name} is up, PID 1 is {}: `cargo xtask machine exec {name} bash`",
        machine.leader_pid()
    );
    Ok(())
}

#[expect(
    clippy::exit,
    reason = "the command's own exit status is this command's result"
)]
fn exec(name: &str, command: &[&str]) -> Result<()> {
    let machine = Machine::attach(name)?;
    let status = machine.command(command.iter().copied()).interactive()?;
    // As a shell does: a death by signal shows as 128 and its number.
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    std::process::exit(code.unwrap_or(1))
}

fn down_all() -> Result<()> {
    sweep()?;
    for Listing { name, .. } in list()? {
        remove(&name)?;
        println!("machine {name} is down");
    }
    Ok(())
}

fn show_list() -> Result<()> {
    for listing in list()? {
        let state = match listing.leader_pid {
            Some(pid) => format!("up, PID 1 is {pid}"),
            None => "dead; `machine down` removes it".to_owned(),
        };
        let network = match listing.network {
            Some(Network::Private) => "network of its own",
            Some(Network::HostLoopback) => "host's network",
            None => "unknown network",
        };
        println!("{:<20} {state} ({network})", listing.name);
    }
    Ok(())
}
