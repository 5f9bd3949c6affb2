//! The test machine itself: what every other suite takes for granted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use support::{Machine, machine};

/// Set for a copy of this test program that owns a machine and is killed.
const OWNER_VARIABLE: &str = "MACHINE_TEST_OWNER";

/// Everything of a machine that the host can see.
fn traces(name: &str) -> Result<Vec<String>> {
    let mut traces = Vec::new();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let directory = format!("/var/lib/sshd-privsep-machines/{name}/");
    traces.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&directory))
            .map(str::to_owned),
    );
    for hierarchy in ["", "unified", "systemd"] {
        let cgroup = Path::new("/sys/fs/cgroup")
            .join(hierarchy)
            .join(format!("sshd-privsep-machine-{name}"));
        if cgroup.exists() {
            traces.push(cgroup.display().to_string());
        }
    }
    if Path::new(&directory).exists() {
        traces.push(directory.clone());
    }
    for process in std::fs::read_dir("/proc")?.flatten() {
        let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if command.contains(&directory) {
            traces.push(command.replace('\0', " "));
        }
    }
    Ok(traces)
}

#[test]
fn comes_up_running_and_down_without_a_trace() -> Result<()> {
    let machine = Machine::builder("test-machine-life").up()?;
    let state = machine
        .exec(["systemctl", "is-system-running"])?
        .success()?;
    assert_eq!(state.text().trim(), "running");
    let leader = machine.leader_pid();
    assert!(!traces("test-machine-life")?.is_empty());
    machine.down()?;
    assert_eq!(traces("test-machine-life")?, Vec::<String>::new());
    // A zombie that the host's init has yet to reap has no command line any more.
    let command = std::fs::read_to_string(format!("/proc/{leader}/cmdline")).unwrap_or_default();
    assert!(!command.contains("systemd"), "{command:?} is alive");
    Ok(())
}

#[test]
fn two_machines_side_by_side_do_not_share_units_files_or_network() -> Result<()> {
    let one = Machine::builder("test-machine-one").up()?;
    let two = Machine::builder("test-machine-two").up()?;
    one.shell("systemd-run --unit=guest sleep infinity; touch /etc/only-one")?;
    assert_ne!(
        two.exec(["systemctl", "is-active", "guest"])?.code(),
        Some(0)
    );
    assert_ne!(two.exec(["test", "-e", "/etc/only-one"])?.code(), Some(0));
    let network = |machine: &Machine| machine.shell("readlink /proc/self/ns/net");
    assert_ne!(network(&one)?, network(&two)?);
    assert_ne!(
        network(&one)?.trim(),
        std::fs::read_link("/proc/self/ns/net")?.to_string_lossy()
    );
    // Ending one must not end units of the other: they would share cgroups if both were started in the caller's.
    two.shell("systemd-run --unit=survivor sleep infinity")?;
    one.down()?;
    assert_eq!(two.shell("systemctl is-active survivor")?.trim(), "active");
    two.down()
}

#[test]
fn a_dropped_machine_is_gone() -> Result<()> {
    drop(Machine::builder("test-machine-drop").up()?);
    assert_eq!(traces("test-machine-drop")?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_machine_goes_when_its_owner_is_killed() -> Result<()> {
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--exact", "owns_a_machine_until_killed", "--ignored"])
        .env(OWNER_VARIABLE, "test-machine-orphan")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let up = || -> Result<bool> {
        let is_up = |listing: &machine::Listing| {
            listing.name == "test-machine-orphan" && listing.leader_pid.is_some()
        };
        Ok(machine::list()?.iter().any(is_up))
    };
    while !up()? {
        ensure!(
            Instant::now() < deadline,
            "the owner's machine did not come up"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    owner.kill()?;
    owner.wait()?;
    while !traces("test-machine-orphan")?.is_empty() {
        ensure!(
            Instant::now() < deadline,
            "left behind: {:?}",
            traces("test-machine-orphan")?
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
#[ignore = "no test: the owner for a_machine_goes_when_its_owner_is_killed"]
fn owns_a_machine_until_killed() -> Result<()> {
    let name = std::env::var(OWNER_VARIABLE).context("run by another test only")?;
    let _machine = Machine::builder(&name).up()?;
    std::thread::sleep(Duration::from_secs(120));
    Ok(())
}

#[test]
fn commands_have_input_output_status_user_and_deadline() -> Result<()> {
    let machine = Machine::builder("test-machine-exec").up()?;
    let alice = machine.add_user("alice")?;
    assert_eq!(alice.user, "alice");

    let output = machine
        .command(["sh", "-c", "cat; echo problem >&2; exit 3"])
        .stdin(b"hello")
        .run()?;
    assert_eq!(output.code(), Some(3));
    assert_eq!(output.text(), "hello");
    assert_eq!(output.error_text(), "problem\n");
    assert!(output.success().is_err());

    let whoami = machine
        .command(["sh", "-c", "id -un; pwd; echo $HOME $GREETING"])
        .user("alice")
        .env("GREETING", "hi")
        .run()?
        .success()?;
    assert_eq!(whoami.text(), "alice\n/home/alice\n/home/alice hi\n");

    let began = Instant::now();
    let late = machine
        .command(["sh", "-c", "sleep 1234 & sleep 1234"])
        .deadline(Duration::from_millis(300))
        .run();
    assert!(late.is_err());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_ne!(machine.exec(["pgrep", "-f", "sleep 1234"])?.code(), Some(0));

    machine
        .exec(["logger", "-t", "witness", "a line to be found"])?
        .success()?;
    let journal = machine.journal(&["-t", "witness", "-o", "cat"])?;
    assert_eq!(journal, "a line to be found\n");

    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    machine.write_file("/tmp/deep/file", &content, 0o640)?;
    assert_eq!(machine.shell("stat -c %a /tmp/deep/file")?, "640\n");
    let copy = machine.directory().join("copy");
    machine.copy_out("/tmp/deep/file", &copy)?;
    assert_eq!(std::fs::read(copy)?, content);
    machine.down()
}
