//! A real worker that turns against us, in every phase of a connection: it tries, and each attempt is refused by name.
//!
//! The worker is a test build of `preauth` (feature `cage-probe`), put over the installed one; unit, user, cage and all
//! else are those of the package. `SSHD_PRIVSEP_CAGE_PROBE` names the program; `cargo xtask test` builds it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sandbox::Role;
use sandbox::probe::{Attempt, Expected, PLAN_VARIABLE, Phase, attempts};
use security::worker::{WORKERS, wait_for_processes};
use support::patience::stretched;
use support::{Machine, UserKey};

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Killed,
    Refused(i32),
    Worked,
}

/// A machine whose workers are of the test build.
struct Traitor {
    machine: Machine,
    alice: UserKey,
}

impl Traitor {
    fn new(name: &str) -> Result<Self> {
        let program = std::env::var_os("SSHD_PRIVSEP_CAGE_PROBE")
            .map(PathBuf::from)
            .context("SSHD_PRIVSEP_CAGE_PROBE names no worker: run `cargo xtask test`")?;
        let machine = Machine::with_server(name)?;
        let alice = machine.add_user("alice")?;
        machine.copy_in(&program, "/usr/libexec/sshd-privsep/preauth.probe", 0o755)?;
        // Renamed into place: the file of the running workers stays what it is.
        machine.shell(
            "mv /usr/libexec/sshd-privsep/preauth.probe /usr/libexec/sshd-privsep/preauth",
        )?;
        let directory = "/run/systemd/system/sshd-privsep-preauth@.service.d";
        machine.shell(&format!("mkdir -p {directory}"))?;
        // The rate limit is for strangers; here a missing line would look like a death.
        let drop_in = format!(
            "[Service]\nEnvironmentFile=-{PLAN}\nLogRateLimitIntervalSec=0\nLogLevelMax=debug\n"
        );
        machine.write_file(
            &format!("{directory}/probe.conf"),
            drop_in.as_bytes(),
            0o644,
        )?;
        machine.shell("systemctl daemon-reload")?;
        Ok(Self { machine, alice })
    }

    /// Makes the attempts in `phase`, all in one worker, and tells what the journal says of them.
    fn try_in(&self, phase: Phase, names: &[&str]) -> Result<BTreeMap<String, Seen>> {
        let plan = format!("{PLAN_VARIABLE}={phase}:{}\n", names.join(","));
        self.machine.write_file(PLAN, plan.as_bytes(), 0o644)?;
        let since = self.machine.shell(
            "journalctl --sync; journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'",
        )?;
        // The warm pool was started with the plan before this one.
        self.machine.shell(&format!("systemctl stop '{WORKERS}'"))?;
        if phase != Phase::Caged {
            wait_for_processes(&self.machine, WORKERS)?;
            // It may live or die of what the worker does to it; only the journal counts.
            self.machine
                .ssh(&self.alice, &[], &["true"])
                .deadline(Duration::from_secs(20))
                .run()?;
        }
        let last = names.last().context("no attempt")?;
        let began = Instant::now();
        loop {
            let journal = self
                .machine
                .journal(&["-o", "cat", "--after-cursor", since.trim()])?;
            let seen: BTreeMap<_, _> = names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), seen(&journal, phase, name)?)))
                .collect();
            if seen.contains_key(*last) {
                return Ok(seen);
            }
            ensure!(
                began.elapsed() < stretched(Duration::from_secs(10)),
                "{phase}: nothing about {last} in the journal:\n{journal}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes the attempts and compares: those that a worker survives in one go, each deadly one in a worker of its own.
    fn expect(&self, phase: Phase, wanted: impl Iterator<Item = &'static Attempt>) -> Result<()> {
        let (deadly, survived): (Vec<&Attempt>, Vec<&Attempt>) =
            wanted.partition(|attempt| attempt.expected(Role::Preauth) == Expected::Killed);
        let names: Vec<_> = survived.iter().map(|attempt| attempt.name).collect();
        let seen = self.try_in(phase, &names)?;
        for attempt in survived {
            let expected = match attempt.expected(Role::Preauth) {
                Expected::Refused(errno) => Seen::Refused(errno),
                _ => continue,
            };
            assert_eq!(
                seen.get(attempt.name),
                Some(&expected),
                "{phase}: {}",
                attempt.name
            );
        }
        for attempt in deadly {
            let seen = self.try_in(phase, &[attempt.name])?;
            assert_eq!(
                seen.get(attempt.name),
                Some(&Seen::Killed),
                "{phase}: {}",
                attempt.name
            );
        }
        Ok(())
    }
}

/// Where the plan lies on the machine.
const PLAN: &str = "/run/sshd-privsep-probe.env";

/// What the journal says about one attempt; `None`: nothing yet.
fn seen(journal: &str, phase: Phase, name: &str) -> Option<Seen> {
    let mark = format!("probe {phase} {name}: ");
    let mut words = journal
        .lines()
        .filter_map(|line| line.strip_prefix(mark.as_str()));
    // The line before the attempt; without it nothing was tried.
    words.find(|word| *word == "tries")?;
    match words.next() {
        Some("worked") => Some(Seen::Worked),
        Some(word) if word != "tries" => word
            .strip_prefix("refused ")?
            .parse()
            .ok()
            .map(Seen::Refused),
        // Systemd's word on the end of the worker. 31 is SIGSYS.
        _ => journal
            .contains("code=killed, status=31/SYS")
            .then_some(Seen::Killed),
    }
}

#[test]
fn every_attempt_is_refused_in_a_worker_that_waits() -> Result<()> {
    let traitor = Traitor::new("test-security-caged")?;
    traitor.expect(Phase::Caged, attempts())?;
    traitor.machine.down()
}

/// The attempts that are made in every phase: files, sockets, programs, and other processes.
const EVERYWHERE: [&str; 14] = [
    "open-file",
    "stat-path",
    "others-memory",
    "others-environment",
    "socket-inet",
    "socket-unix",
    "connect",
    "send-descriptor",
    "execute",
    "fork",
    "thread",
    "trace-other",
    "signal-other",
    "read-other",
];

fn everywhere() -> impl Iterator<Item = &'static Attempt> {
    attempts().filter(|attempt| EVERYWHERE.contains(&attempt.name))
}

#[test]
fn attempts_are_refused_during_key_exchange() -> Result<()> {
    let traitor = Traitor::new("test-security-key-exchange")?;
    traitor.expect(Phase::KeyExchange, everywhere())?;
    traitor.machine.down()
}

#[test]
fn attempts_are_refused_before_authentication() -> Result<()> {
    let traitor = Traitor::new("test-security-authentication")?;
    traitor.expect(Phase::Authentication, everywhere())?;
    traitor.machine.down()
}

#[test]
fn attempts_are_refused_after_login() -> Result<()> {
    let traitor = Traitor::new("test-security-session")?;
    traitor.expect(Phase::Session, everywhere())?;
    traitor.machine.down()
}

#[test]
fn every_attempt_of_the_list_exists() {
    assert_eq!(everywhere().count(), EVERYWHERE.len());
}
