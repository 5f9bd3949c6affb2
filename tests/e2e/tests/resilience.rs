//! What may happen to the server's own processes without a user's notice: restarts, reloads, upgrades, a killed monitor,
//! a killed worker, a killed launcher. And what must not stay behind.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::server::eventually;
use e2e::{Peer, Server, Shared};
use support::patience::stretched;
use support::{Running, UserKey};

/// The tests of this file work on the server itself, so they go one after the other on machines of their own, but for
/// those that leave it alone.
static SERVER: Shared = Shared::new("resilience", "MaxStartups 100:30:200\n");

const MONITOR: &str = "sshd-privsep-monitor.service";

/// A session that is open during the test.
struct Session {
    client: Running,
    lines: u32,
}

impl Session {
    fn open(server: &Server, key: &UserKey) -> Result<Self> {
        Self::open_with(server, key, &[])
    }

    fn open_with(server: &Server, key: &UserKey, options: &[&str]) -> Result<Self> {
        let client = server.ssh(key, options, &["echo up; cat"]).spawn()?;
        client.wait_for("up", Duration::from_secs(20))?;
        Ok(Self { client, lines: 0 })
    }

    fn must_work(&mut self) -> Result<()> {
        self.lines += 1;
        let line = format!("line {}\n", self.lines);
        self.client.write(line.as_bytes())?;
        self.client
            .wait_for(&line, Duration::from_secs(10))
            .context("the open session is dead")?;
        Ok(())
    }

    fn must_end_well(mut self) -> Result<()> {
        self.must_work()?;
        self.client.close_stdin();
        self.client.finish(Duration::from_secs(120))?.success()?;
        Ok(())
    }
}

/// How long it takes until a login works again.
fn until_served(server: &Server, key: &UserKey) -> Result<Duration> {
    let began = Instant::now();
    eventually("a login works", Duration::from_secs(20), || {
        let output = server
            .ssh(key, &["-o", "ConnectTimeout=5"], &["true"])
            .run()?;
        Ok(output.status.success())
    })?;
    Ok(began.elapsed())
}

#[test]
fn sessions_outlive_whatever_happens_to_the_monitor_and_logins_return_within_seconds() -> Result<()>
{
    let Some(server) = alone("restarts")? else {
        return Ok(());
    };
    let key = server.add_user("survivor")?;
    let mut session = Session::open(&server, &key)?;
    // Whoever can bring the monitor down must not have closed the port: another could bind it.
    let listening = "systemctl show -p ActiveEnterTimestampMonotonic sshd-privsep.socket \
        sshd-privsep-ctl.socket sshd-privsep-admin.socket";
    let since = server.shell(listening)?;
    for signal in ["KILL", "SEGV"] {
        server.shell(&format!("systemctl kill -s {signal} {MONITOR}"))?;
        until_served(&server, &key)?;
    }
    server.shell(&format!("systemctl restart {MONITOR}"))?;
    until_served(&server, &key)?;
    assert_eq!(server.shell(listening)?, since);
    for (what, act) in [
        ("restart", format!("systemctl restart {MONITOR}")),
        ("daemon-reload", "systemctl daemon-reload".to_owned()),
        ("daemon-reexec", "systemctl daemon-reexec".to_owned()),
        (
            "a killed monitor",
            format!("systemctl kill -s KILL {MONITOR}"),
        ),
        (
            "restart of the socket",
            "systemctl restart sshd-privsep.socket".to_owned(),
        ),
        (
            "an upgrade",
            "apt-get install -y -q --reinstall /var/tmp/package.deb >/dev/null 2>&1".to_owned(),
        ),
    ] {
        server.shell(&act).with_context(|| what.to_owned())?;
        let took = until_served(&server, &key).with_context(|| what.to_owned())?;
        // A second is the goal on an idle machine; this one has other work too.
        ensure!(took < stretched(Duration::from_secs(5)), "{what}: {took:?}");
        session.must_work().with_context(|| what.to_owned())?;
    }
    session.must_end_well()?;
    assert_eq!(server.failed_units()?, "");
    Ok(())
}

#[test]
fn stopping_the_socket_closes_the_port_and_no_session() -> Result<()> {
    let Some(server) = alone("stopped")? else {
        return Ok(());
    };
    let key = server.add_user("stays")?;
    let mut session = Session::open(&server, &key)?;
    server.shell("systemctl stop sshd-privsep.socket")?;
    assert_ne!(
        server.exec(["nc", "-z", "127.0.0.1", "22"])?.code(),
        Some(0)
    );
    session.must_work()?;
    // Nothing starts it again behind the administrator's back.
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(
        server.exec(["nc", "-z", "127.0.0.1", "22"])?.code(),
        Some(0)
    );
    assert_eq!(server.running_units(MONITOR)?, Vec::<String>::new());
    session.must_work()?;
    server.shell("systemctl start sshd-privsep.socket")?;
    server.must_serve(&key)?;
    session.must_end_well()
}

#[test]
fn a_launcher_that_is_killed_takes_its_port_along_and_no_session() -> Result<()> {
    const PORT: &str = "2322";
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("orphan")?;
    let flags = ["-D", "-p", PORT, "-o", "PidFile none"];
    let _launcher = server.command(["sshd-privsep"]).args(flags).spawn()?;
    let is_open = || Ok(server.exec(["nc", "-z", "127.0.0.1", PORT])?.code() == Some(0));
    eventually("it listens", Duration::from_secs(20), is_open)?;
    // Its host keys are those of port 22.
    let options = ["-p", PORT, "-o", "HostKeyAlias=127.0.0.1"];
    let session = Session::open_with(server, &key, &options)?;
    server.shell("pkill -KILL -x sshd-privsep")?;
    eventually("the port is closed", Duration::from_secs(10), || {
        Ok(!is_open()?)
    })?;
    session.must_end_well()?;
    eventually("its monitor has ended", Duration::from_secs(10), || {
        let workers = server.running_units("sshd-privsep-preauth-*")?;
        let monitors = server.shell("pgrep -c -x monitor")?;
        Ok(workers.is_empty() && monitors.trim() == "1")
    })
}

#[test]
fn a_killed_worker_takes_its_own_connection_only() -> Result<()> {
    let Some(server) = alone("killed")? else {
        return Ok(());
    };
    let key = server.add_user("neighbour")?;
    let victim = server.add_user("victim")?;
    let mut session = Session::open(&server, &key)?;
    let client = server
        .ssh(&victim, &["-tt"], &["echo up; sleep 5151"])
        .spawn()?;
    client.wait_for("up", Duration::from_secs(20))?;
    let since = server.now()?;
    let unit = server.worker_of("victim")?.unit;
    server.shell(&format!("systemctl kill -s KILL {unit}"))?;
    let output = client.finish(Duration::from_secs(60))?;
    assert_eq!(output.code(), Some(255), "{output:?}");
    eventually(
        "the victim's program is gone",
        Duration::from_secs(10),
        || {
            Ok(server
                .exec(["pgrep", "-u", "victim", "-fx", "sleep 5151"])?
                .code()
                == Some(1))
        },
    )?;
    eventually("its session unit is gone", Duration::from_secs(15), || {
        Ok(server.running_units("sshd-privsep-session-*")?.len() == 1)
    })?;
    server.wait_for_entry(&since, &[&unit, "without saying why"])?;
    session.must_work()?;
    server.must_serve(&key)?;
    session.must_end_well()
}

/// How many logins must leave nothing behind, in a multiple of 8.
const LOGINS_VARIABLE: &str = "SSHD_PRIVSEP_SOAK_LOGINS";

#[test]
fn many_logins_leave_nothing_behind() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let rounds = match std::env::var(LOGINS_VARIABLE) {
        Ok(logins) => logins.parse::<u32>().context(LOGINS_VARIABLE)? / 8,
        Err(_) => 25,
    };
    let key = server.add_user("often")?;
    server.must_serve(&key)?;
    let monitor = server.main_pid(MONITOR)?;
    let settled = || -> Result<()> {
        eventually(
            "sessions and workers have ended",
            Duration::from_secs(30),
            || {
                let sessions = server.running_units("sshd-privsep-session-*")?;
                let workers = server.running_units("sshd-privsep-preauth@*")?;
                Ok(sessions.is_empty() && workers.len() <= 8)
            },
        )
    };
    let accounting = server.main_pid("sshd-privsep-accounting.service")?;
    let left = "(who; find /dev/pts -user often; find /tmp -user often -newer /root/began; \
                pgrep -u often -x session) | wc -l";
    server.shell("touch /root/began")?;
    let held = || -> Result<(usize, u64, usize)> {
        let descriptors = server.shell(&format!(
            "ls /proc/{monitor}/fd /proc/{accounting}/fd | wc -l"
        ))?;
        let memory = server.memory(&monitor, "VmRSS")?;
        let units = server.shell(
            "systemctl list-units --all --plain --no-legend 'sshd-privsep-session-*' | wc -l",
        )?;
        Ok((descriptors.trim().parse()?, memory, units.trim().parse()?))
    };
    settled()?;
    let (descriptors, memory, _) = held()?;
    let config = server.client_config(&key, "")?;
    let script = format!(
        "for round in $(seq {rounds}); do for i in $(seq 4); do \
         ssh -F {config} server 'echo in' & ssh -tt -F {config} server 'echo in' 2>/dev/null & done; wait; done | wc -l"
    );
    let logins = server
        .command(["sh", "-euc", &script])
        .deadline(Duration::from_secs(1200))
        .run()?
        .success()?
        .text();
    assert_eq!(logins.trim(), (rounds * 8).to_string());
    settled()?;
    let (descriptors_after, memory_after, units) = held()?;
    // The pool may be fuller than it was.
    assert!(
        descriptors_after <= descriptors + 16,
        "{descriptors} descriptors became {descriptors_after}"
    );
    assert!(
        memory_after < memory + 8192,
        "{memory} kB became {memory_after} kB"
    );
    assert_eq!(units, 0);
    assert_eq!(server.shell(left)?.trim(), "0");
    // Since Debian 13 last(1) is of wtmpdb(8), which reads wtmp only to copy it.
    let recorded = server.shell(
        "sleep 1; test ! -e /usr/bin/wtmpdb || wtmpdb import -f /root/wtmp.db /var/log/wtmp >&2
         last $(test ! -e /root/wtmp.db || echo -f /root/wtmp.db) -w often | grep -c '^often .* - [0-9]'",
    )?;
    assert_eq!(recorded.trim(), (rounds * 4).to_string());
    assert_eq!(server.failed_units()?, "");
    assert_eq!(server.main_pid(MONITOR)?, monitor);
    eventually("logind has forgotten them", Duration::from_secs(20), || {
        let sessions = server.shell("loginctl list-sessions --no-legend | wc -l")?;
        Ok(sessions.trim() == "0")
    })
}

#[test]
fn a_session_that_is_stopped_by_the_administrator_ends_the_connection() -> Result<()> {
    let Some(server) = alone("kicked")? else {
        return Ok(());
    };
    let key = server.add_user("kicked")?;
    let client = server
        .ssh(&key, &["-tt"], &["echo up; sleep 6161"])
        .spawn()?;
    client.wait_for("up", Duration::from_secs(20))?;
    server.shell("loginctl terminate-user kicked")?;
    let output = client.finish(Duration::from_secs(60))?;
    assert_eq!(output.code(), Some(255), "{output:?}");
    assert_eq!(
        server
            .exec(["pgrep", "-u", "kicked", "-fx", "sleep 6161"])?
            .code(),
        Some(1)
    );
    server.must_serve(&key)
}

/// A machine of its own with our server; none when the suite runs against OpenSSH.
fn alone(topic: &str) -> Result<Option<Server>> {
    match Peer::from_environment()? {
        Peer::Ours => Server::up(topic, "").map(Some),
        Peer::OpenSsh => Ok(None),
    }
}
