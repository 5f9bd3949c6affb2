//! `cargo xtask bench`: what logins, transfers, tunnels, keys and idle sessions cost, side by side with Debian's OpenSSH.
//!
//! ```text
//!  machine ┌──────────────────────────────────────────┐
//!          │  ours :22     ssh.service :2200          │  the machine's cgroup: server CPU
//!          └────▲──────────────▲──────────────────────┘
//!               └── driver.py ─┴─ stock ssh, in turn      the host's cgroup: client CPU
//! ```
//!
//! Both servers run in one machine, with the same host keys, user, key, client and work. They take turns, so whatever
//! else the host does disturbs both. [`driver.py`](../bench/driver.py) measures, [`samples`] holds what it measured,
//! [`report`] compares and sets the goals beside it. A missed goal is shown and is no failure: a loaded host misses
//! goals too.

mod load;
mod packets;
mod report;
mod samples;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use support::product::{DEB_VARIABLE, deb_under_test};
use support::progress::Step;
use support::users::client_options;
use support::{Machine, UserKey};

use self::load::Load;
use self::report::Report;
use self::samples::{Samples, Server};
use crate::deb::{self, Profile};

const HELP: &str = "\
cargo xtask bench [--quick] [--only login|bulk|sftp|terminal|forward|held] [--control] [--json FILE]
cargo xtask bench --packets

  --quick        fewer rounds, smaller transfers: two minutes, and more noise
  --only WHAT    logins, transfers, sftp, terminals (echo, memory of idle sessions), forwarding, or how many sessions
                 there can be, alone
  --control      OpenSSH against itself: how far from 1.00 its ratios are is the noise of this host
  --json FILE    writes the table's numbers and every single measurement there
  --packets      instead: every cipher, MAC and key exchange alone, their time and their instructions

SSHD_PRIVSEP_DEB names the package to measure; without it the package is built.
";

const MACHINE: &str = "bench";
const OUR_PORT: u16 = 22;
const OPENSSH_PORT: u16 = 2200;

/// The key exchange that the goals are set for: both servers have it, and its cost is the same small one on both.
const KEY_EXCHANGE: &str = "curve25519-sha256";

/// Ciphers of the transfers. The last one has no authentication of its own and goes with hmac-sha2-256-etm.
const CIPHERS: &[&str] = &[
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
];

/// The cipher of transfers by `sftp` and through tunnels.
const FILES_CIPHER: &str = "aes256-gcm@openssh.com";

/// OpenSSH as Debian starts it, with the configuration that Debian installs (`UsePAM yes` in it), on the instance's
/// port. Not ssh.service itself: /etc/ssh/sshd_config is shared with our server, and may be ours.
const OPENSSH_UNIT: &str = "\
[Service]
Type=notify
ExecStart=/usr/sbin/sshd -D -p %i -f /usr/share/openssh/sshd_config
RuntimeDirectory=sshd
KillMode=process
";
const OPENSSH_UNIT_PATH: &str = "/run/systemd/system/bench-openssh@.service";

/// The driver in the machine, its last line, and how long all of its work may take.
const DRIVER: &str = include_str!("bench/driver.py");
const DRIVER_PATH: &str = "/root/bench-driver.py";
const DRIVER_DONE: &str = "done\n";
const DRIVER_DEADLINE: Duration = Duration::from_secs(3600);

/// What is measured, and how often.
#[derive(Debug, Clone, Copy)]
struct Plan {
    logins: u32,
    transfers: u32,
    sftp: u32,
    transfer_bytes: u64,
    /// Typed on a terminal.
    keys: u32,
    /// Idle at the same time.
    sessions: u32,
    /// As many as should be there at the same time.
    held: u32,
    /// Connections through a tunnel.
    connections: u32,
    /// Transfers through one.
    forwards: u32,
}

impl Plan {
    const FULL: Self = Self {
        logins: 40,
        transfers: 5,
        sftp: 5,
        transfer_bytes: 1 << 30,
        keys: 2000,
        sessions: 20,
        held: 500,
        connections: 200,
        forwards: 5,
    };

    const QUICK: Self = Self {
        logins: 10,
        transfers: 3,
        sftp: 3,
        transfer_bytes: 1 << 28,
        keys: 300,
        sessions: 8,
        held: 50,
        connections: 50,
        forwards: 3,
    };
}

/// Who stands where our server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidate {
    /// Our package.
    Product,
    /// A second OpenSSH.
    Control,
}

/// Runs `bench` with the words after it.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    if words == ["--packets"] {
        return packets::run();
    }
    let mut plan = Plan::FULL;
    let mut only = None;
    let mut candidate = Candidate::Product;
    let mut json = None;
    let mut rest = words;
    loop {
        rest = match rest {
            [] => break,
            ["--quick", rest @ ..] => {
                plan = Plan::QUICK;
                rest
            }
            ["--control", rest @ ..] => {
                candidate = Candidate::Control;
                rest
            }
            [
                "--only",
                what @ ("login" | "bulk" | "sftp" | "terminal" | "forward" | "held"),
                rest @ ..,
            ] => {
                only = Some(*what);
                rest
            }
            ["--json", file, rest @ ..] => {
                json = Some(PathBuf::from(file));
                rest
            }
            _ => bail!("{HELP}"),
        };
    }
    if let Some(only) = only {
        let whole = plan;
        (plan.logins, plan.transfers, plan.sftp) = (0, 0, 0);
        (plan.keys, plan.sessions, plan.held) = (0, 0, 0);
        (plan.connections, plan.forwards) = (0, 0);
        match only {
            "login" => plan.logins = whole.logins,
            "bulk" => plan.transfers = whole.transfers,
            "sftp" => plan.sftp = whole.sftp,
            "forward" => {
                (plan.connections, plan.forwards) = (whole.connections, whole.forwards);
            }
            "held" => plan.held = whole.held,
            _ => (plan.keys, plan.sessions) = (whole.keys, whole.sessions),
        }
    }
    let report = measure(plan, candidate)?;
    print!("{report}");
    if let Some(file) = json {
        fs::write(&file, report.json()).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn measure(plan: Plan, candidate: Candidate) -> Result<Report> {
    let deb = match candidate {
        Candidate::Control => None,
        Candidate::Product if std::env::var_os(DEB_VARIABLE).is_some() => Some(deb_under_test()?),
        Candidate::Product => Some(deb::build(Profile::Release)?),
    };
    let machine = Machine::builder(MACHINE).up()?;
    let key = prepare(&machine, deb.as_deref())?;
    let (load, used_before) = (Load::begin()?, machine.cpu_time()?);
    let samples = drive(&machine, &key, plan)?;
    let used = machine.cpu_time()? - used_before + samples.client_cpu();
    let others = load.of_others(used)?;
    let titles = match candidate {
        Candidate::Product => ["sshd-privsep", "OpenSSH"],
        Candidate::Control => ["OpenSSH (22)", "OpenSSH (2200)"],
    };
    let about = about(&machine, others)?;
    machine.down()?;
    Ok(Report::new(titles, about, plan.transfer_bytes, samples))
}

/// Brings both servers up with the same host keys, and makes a user who may log in to both.
fn prepare(machine: &Machine, deb: Option<&Path>) -> Result<UserKey> {
    let step = Step::begin("starting both servers");
    if let Some(deb) = deb {
        machine.install_deb(deb)?;
        // Ours may read the file that Debian's package has left.
        machine.shell(
            "sed -i 's/^Subsystem.*sftp.*/Subsystem sftp internal-sftp/' /etc/ssh/sshd_config; \
             grep -q '^Subsystem sftp internal-sftp' /etc/ssh/sshd_config",
        )?;
        machine.start_server()?;
    } else {
        machine.shell("ssh-keygen -A")?;
    }
    machine.write_file(OPENSSH_UNIT_PATH, OPENSSH_UNIT.as_bytes(), 0o644)?;
    machine.shell("systemctl daemon-reload")?;
    if deb.is_none() {
        machine.shell(&format!("systemctl start bench-openssh@{OUR_PORT}"))?;
    }
    machine.shell(&format!("systemctl start bench-openssh@{OPENSSH_PORT}"))?;
    machine.trust_host_keys(OUR_PORT)?;
    let key = machine.add_user("bench")?;
    // Otherwise every login would start and stop the user's own service manager: the same 100 ms of CPU on both sides,
    // which would bury the difference, and which no server can do anything about.
    machine.shell("loginctl enable-linger bench; systemctl start user@$(id -u bench).service")?;
    step.done();
    Ok(key)
}

fn drive(machine: &Machine, key: &UserKey, plan: Plan) -> Result<Samples> {
    let mut step = Step::begin("measuring");
    machine.write_file(DRIVER_PATH, DRIVER.as_bytes(), 0o644)?;
    let mut words = vec!["python3".to_owned(), DRIVER_PATH.to_owned()];
    for (server, port) in [(Server::Ours, OUR_PORT), (Server::OpenSsh, OPENSSH_PORT)] {
        words.push(format!("--server={server}={port}"));
    }
    words.push(format!("--kex={KEY_EXCHANGE}"));
    words.push(format!("--logins={}", plan.logins));
    words.push(format!("--transfers={}", plan.transfers));
    words.push(format!("--bytes={}", plan.transfer_bytes));
    words.push(format!("--keys={}", plan.keys));
    words.push(format!("--sessions={}", plan.sessions));
    words.push(format!("--held={}", plan.held));
    words.push(format!("--connections={}", plan.connections));
    words.push(format!("--forwards={}", plan.forwards));
    words.push(format!("--sftp={}", plan.sftp));
    words.push(format!("--cipher-of-files={FILES_CIPHER}"));
    if plan.transfers > 0 {
        words.extend(CIPHERS.iter().map(|cipher| format!("--cipher={cipher}")));
    }
    words.extend(["--", "ssh"].map(str::to_owned));
    words.extend(client_options(key));
    // The file of known hosts names no port but 22.
    words.extend(["-o", "HostKeyAlias=localhost"].map(str::to_owned));
    words.push(format!("{}@127.0.0.1", key.user));

    let mut driver = machine.command(words).spawn()?;
    let said = loop {
        // Asked before the wait: if it has ended by then, the wait sees all that it will ever say.
        let was_running = driver.is_running()?;
        match driver.wait_for(DRIVER_DONE, Duration::from_secs(1)) {
            Ok(said) => break said,
            Err(error) if !was_running || step.elapsed() > DRIVER_DEADLINE => return Err(error),
            Err(_) => step.pulse(last_line(&driver.stdout_so_far())),
        }
    };
    step.done();
    Samples::parse(said.trim_end_matches(DRIVER_DONE))
}

/// The last whole line of what the driver said, for whoever waits.
fn last_line(said: &[u8]) -> &str {
    let text = str::from_utf8(said).unwrap_or("");
    let whole = text.rfind('\n').and_then(|end| text.get(..end));
    whole
        .and_then(|text| text.lines().last())
        .unwrap_or("warming up")
}

/// What the numbers depend on besides the servers.
fn about(machine: &Machine, load_of_others: f64) -> Result<String> {
    let script = r#"
        ssh -V 2>&1
        systemctl --version | sed 's/ (.*//; q'
        echo "Linux $(uname -r)"
        sed -n 's/^model name[^:]*: //p; T; q' /proc/cpuinfo
        echo "$(nproc) cores"
    "#;
    let said = machine.shell(script)?.trim().replace('\n', "; ");
    let others = 100.0 * load_of_others;
    Ok(format!(
        "{said}, {others:.0} % of them busy with other things"
    ))
}
