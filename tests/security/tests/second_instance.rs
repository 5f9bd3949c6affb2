//! A second instance runs outside of the units that the package installs for the service, and is restricted all the same.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use security::status::Status;
use security::worker::{SECOND_WORKERS, WORKERS, processes, units, wait_for_processes};
use support::{Machine, Running};

const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

/// Starts one and waits until it has workers.
fn second_instance(machine: &Machine) -> Result<Running> {
    let launcher = machine
        .command(["sshd-privsep", "-D", "-p", "2222", "-o", "PidFile none"])
        .spawn()?;
    wait_for_processes(machine, SECOND_WORKERS)?;
    Ok(launcher)
}

/// What systemd knows of a unit, but for the properties that say which one it is and since when.
fn policy(machine: &Machine, unit: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    const OWN: &[&str] = &[
        "CPUUsageNSec",
        "ControlGroup",
        "ControlGroupId",
        "DropInPaths",
        "ExecMainPID",
        "FragmentPath",
        "Id",
        "InvocationID",
        "MainPID",
        "MemoryAvailable",
        "MemoryCurrent",
        "MemoryPeak",
        "Names",
        "TasksCurrent",
        "Transient",
        "UnitFilePreset",
        "UnitFileState",
    ];
    let shown = machine.exec(["systemctl", "show", unit])?.success()?.text();
    let properties = shown.lines().filter_map(|line| line.split_once('='));
    let time = |name: &str| name.ends_with("Timestamp") || name.ends_with("TimestampMonotonic");
    Ok(properties
        .filter(|(name, _)| !OWN.contains(name) && !time(name))
        .map(|(name, value)| {
            // Commands are shown with what became of them.
            let value = value.split(" ; start_time=").next().unwrap_or_default();
            let words = value.split_whitespace().map(str::to_owned).collect();
            (name.to_owned(), words)
        })
        .collect())
}

#[test]
fn its_workers_are_restricted_as_those_of_the_service() -> Result<()> {
    let machine = Machine::with_server("test-security-transient")?;
    let _launcher = second_instance(&machine)?;
    let one = |pattern| -> Result<String> {
        let units = units(&machine, pattern)?;
        units.into_iter().next().context("no unit")
    };
    let (service, second) = (one(WORKERS)?, one(SECOND_WORKERS)?);
    let (expected, found) = (policy(&machine, &service)?, policy(&machine, &second)?);
    assert!(expected.len() > 200, "{expected:?}");
    for (name, value) in &expected {
        assert_eq!(found.get(name), Some(value), "{name}");
    }
    assert_eq!(expected.len(), found.len());

    // What the kernel makes of it.
    let status = |pattern| -> Result<Vec<Status>> {
        let pids = processes(&machine, pattern)?;
        pids.into_iter()
            .map(|pid| Status::of(&machine, pid))
            .collect()
    };
    let (expected, found) = (status(WORKERS)?, status(SECOND_WORKERS)?);
    let expected = expected.first().context("no worker")?;
    assert!(found.iter().all(|worker| worker == expected), "{found:?}");
    machine.down()
}

#[test]
fn its_monitor_has_the_privileges_of_the_service_without_its_unit() -> Result<()> {
    let machine = Machine::with_server("test-security-second")?;
    let _launcher = second_instance(&machine)?;
    let unit = units(&machine, SECOND_WORKERS)?.swap_remove(0);
    let mut numbers = unit.trim_start_matches("sshd-privsep-preauth-").split('-');
    let monitor = numbers.next().context("no process id")?.parse()?;
    let status = Status::of(&machine, monitor)?;
    let kept = CAP_DAC_READ_SEARCH | CAP_SETGID | CAP_SETUID;
    assert_eq!((status.uid, status.gid), (vec![0; 4], vec![0; 4]));
    assert_eq!(
        (status.permitted, status.effective, status.bounding),
        (kept, kept, kept)
    );
    assert_eq!((status.inheritable, status.ambient), (0, 0));
    assert_eq!((status.no_new_privileges, status.seccomp), (1, 2));
    machine.down()
}
