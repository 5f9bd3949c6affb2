//! What an administrator does to a running server: reloads, under load and with errors; and what `sshd-privsepctl` shows
//! and does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::server::{CONFIGURATION, eventually};
use e2e::{Peer, Server};
use support::progress;

const MONITOR: &str = "sshd-privsep-monitor.service";

/// How many clients log in at the same time, and each of them how often.
const CLIENTS: usize = 4;
const LOGINS: usize = 250;

const RELOADS: usize = 20;

/// Each says something else about what workers are told before they have a client, and about the pool.
const CONFIGURATIONS: [&str; 2] = [
    "HostKey /etc/ssh/ssh_host_ed25519_key\nCiphers aes128-gcm@openssh.com\nWorkerPoolIdle 2\n",
    "HostKey /etc/ssh/ssh_host_rsa_key\nKexAlgorithms curve25519-sha256\nWorkerPoolIdle 6\n",
];

#[test]
fn a_thousand_logins_while_the_configuration_changes_twenty_times() -> Result<()> {
    let Some(server) = alone("load")? else {
        return Ok(());
    };
    let key = server.add_user("busy")?;
    let change = |number: usize| -> Result<Duration> {
        let [even, odd] = CONFIGURATIONS;
        let settings = if number.is_multiple_of(2) { even } else { odd };
        let text = format!("WorkerStartRate 100\n{settings}UsePAM yes\n");
        server.write_file(CONFIGURATION, text.as_bytes(), 0o644)?;
        let began = Instant::now();
        server.exec(["systemctl", "reload", MONITOR])?.success()?;
        Ok(began.elapsed())
    };
    change(1)?;
    let config = server.client_config(&key, "")?;
    let script = format!(
        "logins() {{
             for i in $(seq {LOGINS}); do
                 begun=${{EPOCHREALTIME/./}}
                 said=$(ssh -F {config} server echo in 2>&1)
                 echo $(( ${{EPOCHREALTIME/./}} - begun )) $said
             done
         }}
         for client in $(seq {CLIENTS}); do logins & done
         wait"
    );
    let load = server.command(["bash", "-c", &script]).spawn()?;
    let done = || load.stdout_so_far().split(|byte| *byte == b'\n').count() - 1;
    let (mut reloads, all) = (Vec::new(), CLIENTS * LOGINS);
    while reloads.len() < RELOADS {
        // One for each twentieth part of the logins, the last one well before the end.
        let due = (reloads.len() + 1) * all / (RELOADS + 2);
        eventually("enough logins", Duration::from_secs(60), || {
            Ok(done() >= due)
        })?;
        reloads.push(change(reloads.len())?);
    }
    assert!(done() < all, "the reloads came too late");
    let output = load.finish(Duration::from_secs(180))?.success()?.text();

    let failed: Vec<&str> = output.lines().filter(|l| !l.ends_with(" in")).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let times = output.lines().filter_map(|line| line.split(' ').next());
    let mut times: Vec<u64> = times.map(str::parse).collect::<Result<_, _>>()?;
    assert_eq!(times.len(), all);
    times.sort_unstable();
    reloads.sort_unstable();
    progress::line(format_args!(
        "logins: half of them within {} ms, 99 % within {} ms, all within {} ms; reloads: half of them within {:?}, all within {:?}",
        times[all / 2] / 1000,
        times[all * 99 / 100] / 1000,
        times[all - 1] / 1000,
        reloads[RELOADS / 2],
        reloads[RELOADS - 1],
    ));
    assert_eq!(server.failed_units()?, "");
    Ok(())
}

#[test]
fn a_reload_says_how_it_went_and_a_session_keeps_what_it_began_with() -> Result<()> {
    let Some(server) = alone("reload-broken")? else {
        return Ok(());
    };
    let key = server.add_user("keeper")?;
    let systemctl_reload = || server.exec(["systemctl", "reload", "sshd-privsep"]);
    let write = |text: &str| server.write_file(CONFIGURATION, text.as_bytes(), 0o644);
    let good = server.shell(&format!("cat {CONFIGURATION}"))?;

    server.configure("AcceptEnv EARLY\n")?;
    let config = server.client_config(
        &key,
        "SendEnv EARLY LATE\nControlMaster auto\nControlPath /root/control\nControlPersist 60",
    )?;
    let environment = || -> Result<String> {
        let asked = server
            .command(["ssh", "-F", &config, "server", "echo $EARLY$LATE"])
            .env("EARLY", "early")
            .env("LATE", "late");
        Ok(asked.run()?.success()?.text())
    };
    // The connection stays, and each command is a new session on it.
    assert_eq!(environment()?, "early\n");

    let since = server.now()?;
    write(&format!("MaxAuthTries many\nMaxSesions 3\n{good}"))?;
    let refused = systemctl_reload()?;
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    let journal = ["--since", &since, "-u", MONITOR, "-o", "cat"];
    for part in [
        "sshd_config:1:14: ",
        "sshd_config:2:1: ",
        "did you mean MaxSessions?",
        "stays in force",
    ] {
        server.wait_for_journal(&journal, part, Duration::from_secs(10))?;
    }
    // Said once, by the monitor, though systemd adds its own line.
    let all = server.journal(&journal)?;
    assert_eq!(all.matches("sshd_config:1:14: ").count(), 1, "{all}");
    let told = server.exec(["sshd-privsepctl", "reload"])?;
    assert_eq!(told.code(), Some(1));
    let said = told.error_text();
    assert!(said.contains("sshd_config:2:1: "), "{said}");
    let status = server
        .exec(["sshd-privsepctl", "status"])?
        .success()?
        .text();
    assert!(status.contains("Trouble: "), "{status}");
    assert!(status.contains("sshd_config:2:1: "), "{status}");
    assert_eq!(
        server.shell(&format!("systemctl is-active {MONITOR}"))?,
        "active\n"
    );
    server.must_serve(&key)?;

    write(&format!("AcceptEnv LATE\n{good}"))?;
    systemctl_reload()?.success()?;
    let status = server
        .exec(["sshd-privsepctl", "status"])?
        .success()?
        .text();
    assert!(!status.contains("Trouble: "), "{status}");
    // No time for settling was given: a reload that has ended counts.
    let output = server
        .ssh(&key, &["-o", "SendEnv=EARLY LATE"], &["echo $EARLY$LATE"])
        .env("EARLY", "early")
        .env("LATE", "late")
        .run()?
        .success()?;
    assert_eq!(output.text(), "late\n");
    assert_eq!(environment()?, "early\n");

    // SIGHUP still does.
    let since = server.now()?;
    server.shell(&format!("systemctl kill -s HUP {MONITOR}"))?;
    server.wait_for_entry(&since, &["Received SIGHUP"])?;

    // One that hangs makes nobody wait for ever.
    server.shell(&format!("systemctl kill -s STOP {MONITOR}"))?;
    let began = Instant::now();
    let waited = systemctl_reload()?;
    server.shell(&format!("systemctl kill -s CONT {MONITOR}"))?;
    assert_eq!(waited.code(), Some(1), "{waited:?}");
    ensure!(began.elapsed() < Duration::from_secs(40), "{waited:?}");
    server.must_serve(&key)
}

#[test]
fn an_administrator_sees_connections_and_ends_them() -> Result<()> {
    let Some(server) = alone("ctl")? else {
        return Ok(());
    };
    let ctl = |words: &[&str]| {
        server
            .command(["sshd-privsepctl"])
            .args(words.iter().copied())
    };
    // The monitor may not have been asked for anything yet.
    ctl(&["status"]).run()?.success()?;
    let key = server.add_user("watched")?;
    let neighbour = server.add_user("neighbour")?;
    let client = server
        .ssh(&key, &["-tt"], &["echo up; sleep 7171"])
        .spawn()?;
    client.wait_for("up", Duration::from_secs(20))?;
    let other = server.ssh(&neighbour, &[], &["echo up; cat"]).spawn()?;
    other.wait_for("up", Duration::from_secs(20))?;

    let list = ctl(&["list", "--no-legend"]).run()?.success()?.text();
    let line = list.lines().find(|line| line.contains(" watched "));
    let line = line.with_context(|| list.clone())?;
    assert!(line.contains(" 127.0.0.1:"), "{line}");
    assert!(line.contains(" logged in "), "{line}");
    let id = line.split(' ').next().unwrap_or_default();
    let shown = ctl(&["show", &id[..8]]).run()?.success()?.text();
    let session = format!("sshd-privsep-session-{id}.service");
    assert!(shown.contains(&format!("Session: {session}\n")), "{shown}");
    assert_eq!(server.running_units(&session)?.len(), 1);
    let worker = server.worker_of("watched")?.unit;
    assert!(shown.contains(&format!("Worker: {worker}\n")), "{shown}");
    let status = ctl(&["status"]).run()?.success()?.text();
    assert!(
        status.contains("Connections: 2 (0 not logged in)"),
        "{status}"
    );

    for (words, code, said) in [
        (&["list"][..], 4, "only root"),
        (&["kill", id], 4, "only root"),
        (&["show"], 2, "show ID..."),
    ] {
        let output = ctl(words).user("watched").run()?;
        assert_eq!(output.code(), Some(code), "{output:?}");
        assert!(output.error_text().contains(said), "{output:?}");
    }
    let none = ctl(&["show", "ffff"]).run()?;
    assert_eq!(none.code(), Some(1), "{none:?}");

    let since = server.now()?;
    ctl(&["kill", id]).run()?.success()?;
    let output = client.finish(Duration::from_secs(60))?;
    assert_eq!(output.code(), Some(255), "{output:?}");
    server.wait_for_entry(&since, &["watched", "ended by root"])?;
    eventually("the session has ended", Duration::from_secs(15), || {
        Ok(server.running_units(&session)?.is_empty()
            && server
                .exec(["pgrep", "-u", "watched", "-fx", "sleep 7171"])?
                .code()
                == Some(1))
    })?;
    let list = ctl(&["list", "--no-legend"]).run()?.success()?.text();
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(list.contains(" neighbour "), "{list}");
    drop(other);

    server.shell(&format!("systemctl stop sshd-privsep.socket {MONITOR}"))?;
    let output = ctl(&["status"]).run()?;
    assert_eq!(output.code(), Some(3), "{output:?}");
    assert!(
        output.error_text().contains("systemctl start"),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn an_upgrade_from_a_package_without_the_admin_socket_has_it() -> Result<()> {
    let Some(server) = alone("ctl-upgrade")? else {
        return Ok(());
    };
    // The unit of a version that knew nothing of it, and a monitor that was started by that.
    server.shell(
        "cd /usr/lib/systemd/system
         sed -i 's/ sshd-privsep-admin.socket//' sshd-privsep-monitor.service
         systemctl stop sshd-privsep-admin.socket
         rm sshd-privsep-admin.socket
         systemctl daemon-reload
         systemctl restart sshd-privsep-monitor.service
         test ! -e /run/sshd-privsep/admin.sock
         apt-get install -y -q --reinstall /var/tmp/package.deb >/dev/null 2>&1
         sshd-privsepctl status",
    )?;
    Ok(())
}

#[test]
fn explain_names_the_line_of_each_value() -> Result<()> {
    let Some(server) = alone("explain")? else {
        return Ok(());
    };
    server.shell("useradd --create-home alice; groupadd staffers; usermod -aG staffers alice")?;
    let text = "MaxAuthTries 4
Match Group staffers
    MaxAuthTries 2
    X11Forwarding no
Match Address 192.0.2.0/24
    MaxSessions 1
Match Invalid-User
    MaxSessions 7
";
    server.write_file("/etc/ssh/explained.conf", text.as_bytes(), 0o644)?;
    let explained = |who: &str| -> Result<Vec<Vec<String>>> {
        let output = server
            .command([
                "sshd-privsepctl",
                "explain",
                who,
                "-f",
                "/etc/ssh/explained.conf",
                "-oLoginGraceTime=7",
            ])
            .user("alice")
            .run()?
            .success()?;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        Ok(output.text().lines().map(words).collect())
    };
    let holds = |lines: &[Vec<String>], row: &str| {
        let row: Vec<&str> = row.split(' ').collect();
        assert!(
            lines.iter().any(|line| *line == row),
            "{row:?} in {lines:?}"
        );
    };
    let alice = explained("alice@192.0.2.7")?;
    holds(&alice, "MaxAuthTries /etc/ssh/explained.conf:3 2");
    holds(&alice, "MaxSessions /etc/ssh/explained.conf:6 1");
    holds(&alice, "LoginGraceTime command-line:1 7");
    holds(&alice, "PermitTTY default yes");
    let elsewhere = explained("alice@198.51.100.7")?;
    holds(&elsewhere, "MaxSessions default 10");
    let nobody = explained("nobody-there@198.51.100.7")?;
    holds(&nobody, "MaxAuthTries /etc/ssh/explained.conf:1 4");
    holds(&nobody, "MaxSessions /etc/ssh/explained.conf:8 7");
    Ok(())
}

/// A machine of its own with our server; none when the suite runs against OpenSSH.
fn alone(topic: &str) -> Result<Option<Server>> {
    match Peer::from_environment()? {
        Peer::Ours => Server::up(topic, "").map(Some),
        Peer::OpenSsh => Ok(None),
    }
}
