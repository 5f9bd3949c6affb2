//! The processes of the server on a machine, found by their units.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use support::Machine;
use support::patience::stretched;

/// Unit names of all workers.
pub const WORKERS: &str = "sshd-privsep-preauth@*.service";

/// Unit names of all workers of second instances.
pub const SECOND_WORKERS: &str = "sshd-privsep-preauth-*.service";

/// Unit names of all sessions.
pub const SESSIONS: &str = "sshd-privsep-session-*.service";

/// The monitor's unit.
pub const MONITOR: &str = "sshd-privsep-monitor.service";

/// The running units whose names match.
///
/// # Errors
/// systemctl(1) fails.
pub fn units(machine: &Machine, pattern: &str) -> Result<Vec<String>> {
    let list = [
        "systemctl",
        "list-units",
        "--plain",
        "--no-legend",
        "--state=active",
        pattern,
    ];
    let list = machine.exec(list)?.success()?.text();
    let names = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// Main processes of the running units whose names match.
///
/// # Errors
/// systemctl(1) fails.
pub fn processes(machine: &Machine, pattern: &str) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for unit in units(machine, pattern)? {
        let shown = machine
            .exec(["systemctl", "show", "--value", "--property=MainPID", &unit])?
            .success()?
            .text();
        let pid: u32 = shown
            .trim()
            .parse()
            .with_context(|| format!("MainPID of {unit}: {shown:?}"))?;
        // 0: it ended between the two questions.
        if pid != 0 {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The same, once there is at least one.
///
/// # Errors
/// There is none after ten seconds.
pub fn wait_for_processes(machine: &Machine, units: &str) -> Result<Vec<u32>> {
    let began = Instant::now();
    loop {
        let found = processes(machine, units)?;
        if !found.is_empty() {
            return Ok(found);
        }
        ensure!(
            began.elapsed() < stretched(Duration::from_secs(10)),
            "no process of {units} after ten seconds"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
