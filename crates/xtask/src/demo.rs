//! `cargo xtask run`: from nothing to a login, before the developer's eyes.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use support::progress::{self, Step};
use support::{Machine, Network, UserKey, host};

use crate::deb::{self, Profile};
use crate::{fuzz, suites, workspace};

const HELP: &str = "\
cargo xtask run [--once] [--dev] [--port N]

Installs what it needs, builds the package, boots a machine that shares the host's network, installs the package there,
starts the server on 127.0.0.1, logs in with stock ssh, shows the journal of that login, and stays up until Ctrl-C.

  --once     ends after the proof, with status 0 if it succeeded
  --dev      builds quickly and unoptimised
  --port N   listens on this port instead of the first free one from 2222 up
";

/// The account that is made for the demonstration.
const USER: &str = "demo";

/// The first port to try: not 22, which may be the host's own.
const FIRST_PORT: u16 = 2222;

/// What the demonstration runs by ssh. Shows on whose behalf, from where, and in which session.
const PROOF: &str = "id; echo \"from ${SSH_CONNECTION:-nowhere}\"; \
    loginctl show-session \"$XDG_SESSION_ID\" -p Name -p Remote -p RemoteHost -p Service -p Scope";

/// When the demonstration ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    UntilInterrupted,
    Once,
}

/// Runs `run` with the words after it.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (mut stay, mut profile, mut port) = (Stay::UntilInterrupted, Profile::Release, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--once" => stay = Stay::Once,
            "--dev" => profile = Profile::Dev,
            "--port" => {
                let value = words.next().context(HELP)?;
                port = Some(value.parse().with_context(|| format!("--port {value}"))?);
            }
            _ => bail!("{HELP}"),
        }
    }
    host::require_root()?;
    host::ensure_packages(host::MACHINE_PACKAGES)?;
    let deb = deb::build(profile)?;
    let port = match port {
        Some(port) => port,
        None => free_port()?,
    };

    let machine = Machine::builder(&format!("run-{port}"))
        .network(Network::HostLoopback)
        .up()?;
    // The machine shares the host's network: the port must be ours before anything could listen on 22.
    let address = format!("[Socket]\nListenStream=\nListenStream=127.0.0.1:{port}\n");
    machine.write_file(
        "/etc/systemd/system/sshd-privsep.socket.d/port.conf",
        address.as_bytes(),
        0o644,
    )?;
    let step = Step::begin("installing the package on the machine");
    machine.install_deb(&deb)?;
    step.done();
    let step = Step::begin("systemctl start sshd-privsep.socket");
    machine.start_server()?;
    step.done();
    let key = machine.add_user(USER)?;
    let known_hosts = machine.directory().join("known_hosts");
    std::fs::write(&known_hosts, machine.trust_host_keys(port)?)?;

    let line = ssh_line(&key, port, &known_hosts.display().to_string());
    println!(
        "\nThe server listens on 127.0.0.1:{port}. To log in:\n\n    {}\n",
        line.join(" ")
    );
    if let Err(error) = prove(&line) {
        let journal = machine.journal(&["-b", "-n", "60", "-u", "sshd-privsep*"])?;
        bail!("{error:#}\n{journal}");
    }
    show_journal(&machine)?;
    match stay {
        Stay::Once => machine.down(),
        Stay::UntilInterrupted => stay_up(machine, &line),
    }
}

/// The exact words with which stock ssh logs in.
fn ssh_line(key: &UserKey, port: u16, known_hosts: &str) -> Vec<String> {
    vec![
        "ssh".to_owned(),
        "-i".to_owned(),
        key.host_path.display().to_string(),
        "-p".to_owned(),
        port.to_string(),
        "-o".to_owned(),
        format!("UserKnownHostsFile={known_hosts}"),
        format!("{}@127.0.0.1", key.user),
    ]
}

fn prove(line: &[String]) -> Result<()> {
    let step = Step::begin("logging in with stock ssh");
    let (program, arguments) = line.split_first().context("no command")?;
    // The options in front are for a proof without a human: no question, and an end in any case.
    let output = Command::new("timeout")
        .args([
            "30",
            program,
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ])
        .args(arguments)
        .arg(PROOF)
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "the login failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    step.done();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

fn show_journal(machine: &Machine) -> Result<()> {
    let id = machine
        .last_connection()?
        .context("no line of the journal has a connection id")?;
    println!("\nThe journal of that login, by journalctl SSHD_CONN={id}:\n");
    print!("{}", machine.journal(&[&format!("SSHD_CONN={id}")])?);
    Ok(())
}

fn stay_up(machine: Machine, line: &[String]) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Only from here on: before, a signal ends us, and the machine's watchdog does the rest.
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    println!(
        "\nThe machine stays up until Ctrl-C. Meanwhile:\n\n    {}\n    cargo xtask machine exec {} bash\n",
        line.join(" "),
        machine.name()
    );
    while !interrupted.load(Ordering::Relaxed) {
        ensure!(machine.is_alive(), "the machine has died");
        std::thread::sleep(Duration::from_millis(100));
    }
    progress::line(format_args!("taking machine {} down", machine.name()));
    machine.down()
}

fn free_port() -> Result<u16> {
    (FIRST_PORT..FIRST_PORT + 200)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port on 127.0.0.1")
}

/// Installs everything that any command needs from Debian.
pub(crate) fn install_needs() -> Result<()> {
    host::ensure_packages(host::MACHINE_PACKAGES)?;
    host::ensure_packages(deb::BUILD_PACKAGES)?;
    host::ensure_packages(fuzz::PACKAGES)?;
    host::ensure_packages(suites::UNIT_PACKAGES)?;
    progress::line(format_args!(
        "{} can be built and tested here",
        workspace::root()?.display()
    ));
    Ok(())
}
