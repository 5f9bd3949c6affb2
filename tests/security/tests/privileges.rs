//! What the kernel says about each process in each phase: the table of the README, read from /proc.

use std::time::Duration;

use anyhow::{Context, Result};
use security::status::Status;
use security::worker::{MONITOR, SESSIONS, WORKERS, processes, wait_for_processes};
use support::Machine;

const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

fn id(machine: &Machine, option: &str, user: &str) -> Result<u32> {
    machine
        .exec(["id", option, user])?
        .success()?
        .text()
        .trim()
        .parse()
        .context("id")
}

/// A worker is the same nobody in every phase.
fn assert_caged(machine: &Machine, phase: &str) -> Result<usize> {
    let (user, group) = (
        id(machine, "-u", "sshd-privsep")?,
        id(machine, "-g", "sshd-privsep")?,
    );
    let workers = wait_for_processes(machine, WORKERS)?;
    for pid in &workers {
        let status = Status::of(machine, *pid)?;
        let expected = Status {
            uid: vec![user; 4],
            gid: vec![group; 4],
            // The group's own number may be repeated here, and nothing else.
            groups: status
                .groups
                .iter()
                .copied()
                .filter(|other| *other == group)
                .collect(),
            inheritable: 0,
            permitted: 0,
            effective: 0,
            bounding: 0,
            ambient: 0,
            no_new_privileges: 1,
            seccomp: 2,
            threads: 1,
        };
        assert_eq!(status, expected, "{phase}: worker {pid}");
    }
    Ok(workers.len())
}

fn assert_monitor(machine: &Machine) -> Result<()> {
    let monitors = processes(machine, MONITOR)?;
    assert_eq!(monitors.len(), 1);
    for pid in monitors {
        let status = Status::of(machine, pid)?;
        let kept = CAP_DAC_READ_SEARCH | CAP_SETGID | CAP_SETUID;
        assert_eq!(status.uid, [0; 4]);
        assert_eq!(status.gid, [0; 4]);
        assert_eq!(
            (status.permitted, status.effective, status.bounding),
            (kept, kept, kept)
        );
        assert_eq!((status.inheritable, status.ambient), (0, 0));
        assert_eq!((status.no_new_privileges, status.seccomp), (1, 2));
    }
    Ok(())
}

/// A session is its user: nothing more, and (for a full account, where sudo must work) nothing less.
fn assert_session(machine: &Machine, user: &str) -> Result<()> {
    let (uid, gid) = (id(machine, "-u", user)?, id(machine, "-g", user)?);
    let sessions = wait_for_processes(machine, SESSIONS)?;
    assert_eq!(sessions.len(), 1);
    for pid in sessions {
        let status = Status::of(machine, pid)?;
        assert_eq!(status.uid, vec![uid; 4]);
        assert_eq!(status.gid, vec![gid; 4]);
        assert!(!status.groups.contains(&0), "{:?}", status.groups);
        assert_eq!(
            (status.permitted, status.effective, status.ambient),
            (0, 0, 0)
        );
        assert_eq!(status.inheritable, inheritable(machine, user)?);
        assert_eq!(status.no_new_privileges, 0);
    }
    Ok(())
}

/// What writes the database of logins, where there is one: since Debian 13. It is root in nothing but its number.
fn assert_wtmpdb(machine: &Machine) -> Result<()> {
    let unit = "sshd-privsep-wtmpdb.service";
    let is_there = machine.exec(["test", "-d", "/var/lib/wtmpdb"])?.code() == Some(0);
    if !is_there {
        return Ok(());
    }
    machine.exec(["systemctl", "start", unit])?.success()?;
    let pids = processes(machine, unit)?;
    assert_eq!(pids.len(), 1);
    for pid in pids {
        let status = Status::of(machine, pid)?;
        assert_eq!(status.uid, [0; 4]);
        assert_eq!(
            (status.permitted, status.bounding, status.ambient),
            (0, 0, 0)
        );
        assert_eq!((status.no_new_privileges, status.seccomp), (1, 2));
        let seen = machine.shell(&format!(
            "cd /proc/{pid}/root; echo *; find run usr/libexec -type f -o -type s; touch lib/x 2>&1 || true"
        ))?;
        assert_eq!(
            seen,
            "dev lib lib64 proc run sys usr var\n\
             usr/libexec/sshd-privsep/wtmpdb\n\
             touch: cannot touch 'lib/x': Read-only file system\n"
        );
    }
    Ok(())
}

/// What systemd has every unit of a user inherit: nothing up to Debian 12, since then what its own process did. In a
/// container that is something, and worth nothing without the other sets.
fn inheritable(machine: &Machine, user: &str) -> Result<u64> {
    let set = machine
        .command(["systemd-run", "--quiet", "--pipe"])
        .arg(format!("--property=User={user}"))
        .args(["sed", "-n", "s/^CapInh:\t//p", "/proc/self/status"])
        .run()?
        .success()?;
    Ok(u64::from_str_radix(set.text().trim(), 16)?)
}

#[test]
fn every_process_has_the_privileges_of_the_readme_in_every_phase() -> Result<()> {
    let machine = Machine::with_server("test-security-privileges")?;
    let alice = machine.add_user("alice")?;
    assert_caged(&machine, "idle")?;
    assert_monitor(&machine)?;

    // A client that has said nothing yet, and goes on saying nothing.
    let silent = machine
        .command([
            "bash",
            "-c",
            "exec 3<>/dev/tcp/127.0.0.1/22; head -n 1 <&3; sleep 60",
        ])
        .spawn()?;
    silent.wait_for("SSH-2.0-", Duration::from_secs(10))?;
    assert_caged(&machine, "before login")?;
    assert_monitor(&machine)?;

    let login = machine
        .ssh(&alice, &[], &["echo ready; sleep 60"])
        .spawn()?;
    login.wait_for("ready", Duration::from_secs(20))?;
    assert_caged(&machine, "after login")?;
    assert_monitor(&machine)?;
    assert_session(&machine, "alice")?;
    assert_wtmpdb(&machine)?;
    machine.down()
}

#[test]
fn nobody_of_the_same_user_sees_into_a_worker() -> Result<()> {
    let machine = Machine::with_server("test-security-siblings")?;
    for pid in wait_for_processes(&machine, WORKERS)? {
        for file in ["environ", "mem", "maps", "fd", "stack"] {
            let path = format!("/proc/{pid}/{file}");
            let looked = [
                "setpriv",
                "--reuid=sshd-privsep",
                "--regid=sshd-privsep",
                "--clear-groups",
                "ls",
                "-d",
            ];
            let inside = machine.exec(looked.into_iter().chain([path.as_str()]))?;
            assert_eq!(inside.code(), Some(0), "{path} is not there");
            let read = [
                "setpriv",
                "--reuid=sshd-privsep",
                "--regid=sshd-privsep",
                "--clear-groups",
                "sh",
                "-c",
            ];
            let script = format!("exec ls {path}/ 2>/dev/null || exec 3<{path}");
            let read = machine.exec(read.into_iter().chain([script.as_str()]))?;
            assert_ne!(
                read.code(),
                Some(0),
                "{path} can be opened by another process of the same user"
            );
        }
    }
    machine.down()
}

#[test]
fn nobody_of_the_same_user_finds_the_servers_own_sockets() -> Result<()> {
    let machine = Machine::with_server("test-security-sockets")?;
    for socket in ["ctl.sock", "admin.sock"] {
        let path = format!("/run/sshd-privsep/{socket}");
        let is_there = machine.exec(["test", "-S", &path])?;
        assert_eq!(is_there.code(), Some(0), "{path} is not there");
        let mode = machine.exec(["stat", "-c", "%a %U", &path])?.success()?;
        assert_eq!(mode.text(), "600 root\n", "{path}");
        let worker = machine.exec([
            "setpriv",
            "--reuid=sshd-privsep",
            "--regid=sshd-privsep",
            "--clear-groups",
            "test",
            "-e",
            &path,
        ])?;
        assert_eq!(worker.code(), Some(1), "{path} is in a worker's sight");
    }
    machine.down()
}
