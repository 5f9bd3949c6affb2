//! A machine's end: by its owner, behind a killed owner, by name.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};

use super::Network;
use super::place::{MACHINES, cgroups, check_name, directory};
use crate::host;
use crate::progress;
use crate::record::Record;

/// Ends a machine; the same text is run by [`Machine::down`](super::Machine::down), by `Drop`, by the sweep and by the watchdog.
const TEARDOWN: &str = include_str!("teardown.sh");

/// Waits until its standard input ends, which is when the owner is gone, however it went. Then ends the machine, if
/// it still is the one that it was set to watch. Arguments: lock, instance, teardown script and its arguments.
const WATCHDOG: &str = r#"
cat >/dev/null
lock=$1 instance=$2 teardown=$3
shift 3
exec 9>"$lock"
flock 9
grep -qx "instance=$instance" "$1/record" && sh -c "$teardown" teardown "$@"
"#;
/// One machine in [`list`].
#[derive(Debug, Clone)]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// PID 1 of the machine on the host, if it is alive.
    pub leader_pid: Option<u32>,
    /// Its network, if its record is readable.
    pub network: Option<Network>,
}

/// All machines that have a directory, alive or not.
pub fn list() -> Result<Vec<Listing>> {
    let mut listings = Vec::new();
    let Ok(entries) = fs::read_dir(MACHINES) else {
        return Ok(listings);
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if check_name(&name).is_err() {
            continue;
        }
        let record = Record::read(&entry.path());
        listings.push(Listing {
            name,
            leader_pid: record
                .as_ref()
                .and_then(|record| record.leader.filter(|leader| leader.alive()))
                .map(|leader| leader.pid),
            network: record.map(|record| record.network),
        });
    }
    listings.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(listings)
}

/// Takes down the machine of this name, alive, dead or half-made, whoever owns it.
pub fn remove(name: &str) -> Result<()> {
    host::require_root()?;
    check_name(name)?;
    let lock = lock()?;
    ensure!(directory(name).exists(), "no machine named {name}");
    teardown(name)?;
    drop(lock);
    Ok(())
}

/// Removes what killed owners and dead machines left behind.
pub fn sweep() -> Result<()> {
    let lock = lock()?;
    for Listing { name, .. } in list()? {
        let record = Record::read(&directory(&name));
        if record.is_none_or(|record| record.is_stale()) {
            progress::line(format_args!("machine {name} was left behind: removing it"));
            teardown(&name)?;
        }
    }
    drop(lock);
    Ok(())
}

/// Runs the teardown. The caller holds the lock.
pub(super) fn teardown(name: &str) -> Result<()> {
    let output = Command::new("sh")
        .args(["-c", TEARDOWN, "teardown"])
        .arg(directory(name))
        .args(cgroups(name)?)
        .stdin(Stdio::null())
        .output()
        .context("teardown")?;
    ensure!(
        output.status.success(),
        "teardown of machine {name} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

pub(super) fn watchdog(name: &str, instance: &str) -> Result<Child> {
    Command::new("setsid")
        .args(["sh", "-c", WATCHDOG, "watchdog"])
        .arg(Path::new(MACHINES).join(".lock"))
        .args([instance, TEARDOWN])
        .arg(directory(name))
        .args(cgroups(name)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("watchdog")
}
/// Serialises making and ending machines among all processes of the host.
pub(super) fn lock() -> Result<File> {
    fs::create_dir_all(MACHINES).with_context(|| format!("{MACHINES}: cannot create"))?;
    let file = File::create(Path::new(MACHINES).join(".lock"))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}
