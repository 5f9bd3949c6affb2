//! The server listens where `sshd_config` says; a change is two commands away, the server names them, and in between and
//! whatever the file looks like nobody is locked out. An administrator's word on the socket unit counts more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::server::{CONFIGURATION, eventually};
use e2e::{Peer, Server};
use support::product::deb_under_test;
use support::{Machine, UserKey};

const SOCKET: &str = "sshd-privsep.socket";
const MONITOR: &str = "sshd-privsep-monitor.service";
const GENERATOR: &str = "/usr/lib/systemd/system-generators/sshd-privsep-generator";
const REMEDY: &str = "systemctl daemon-reload && systemctl restart sshd-privsep.socket";
const OVERRIDE: &str = "/etc/systemd/system/sshd-privsep.socket.d/override.conf";

/// What a generator may cost each boot and each reload of systemd.
const BUDGET: Duration = Duration::from_millis(15);

/// A machine of its own with our server; none when the suite runs against OpenSSH.
fn alone(topic: &str) -> Result<Option<Server>> {
    match Peer::from_environment()? {
        Peer::Ours => Server::up(topic, "").map(Some),
        Peer::OpenSsh => Ok(None),
    }
}

/// The listening sockets of the machine's server, sorted, as ss(8) writes them: `*:22` is both families.
fn listeners(machine: &Machine) -> Result<Vec<String>> {
    let table = machine.shell("ss -Hltn | awk '{print $4}' | sort")?;
    Ok(table.lines().map(str::to_owned).collect())
}

/// Proves that a login at this address works.
fn must_serve_at(server: &Server, key: &UserKey, host: &str, port: u16) -> Result<()> {
    let name = format!("HostName={host}");
    let port = port.to_string();
    let options = ["-o", "HostKeyAlias=127.0.0.1", "-o", &name, "-p", &port];
    eventually("a login works", Duration::from_secs(10), || {
        let output = server.ssh(key, &options, &["echo in"]).run()?;
        Ok(output.text() == "in\n")
    })
    .with_context(|| format!("{host} port {port}"))
}

/// Changes the configuration file and nothing else.
fn write_settings(server: &Server, settings: &str) -> Result<()> {
    let rest = server.shell(&format!(
        "grep -v '^Port\\|^ListenAddress\\|^Prot' {CONFIGURATION}"
    ))?;
    let text = format!("{settings}\n{rest}");
    server.write_file(CONFIGURATION, text.as_bytes(), 0o644)
}

/// What `-t` says about sockets.
fn remarks(server: &Server) -> Result<String> {
    let said = server.exec(["sshd-privsep", "-t"])?.success()?.error_text();
    let about_sockets = said
        .lines()
        .filter(|line| line.contains("sshd_config says"));
    Ok(about_sockets.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_port_is_changed_by_the_file_and_the_commands_that_the_server_names() -> Result<()> {
    let Some(server) = alone("ports")? else {
        return Ok(());
    };
    let key = server.add_user("mover")?;
    assert_eq!(listeners(&server)?, ["*:22"]);
    assert_eq!(remarks(&server)?, "");
    let session = server.ssh(&key, &[], &["echo up; cat"]).spawn()?;
    let mut session = session;
    session.wait_for("up", Duration::from_secs(20))?;

    // The file alone changes nothing, and both say so.
    write_settings(&server, "Port 2222")?;
    let warning = format!("sshd_config says port 2222, {SOCKET} listens on port 22. ");
    let said = remarks(&server)?;
    ensure!(
        said.starts_with(&warning) && said.ends_with(REMEDY),
        "{said}"
    );
    let since = server.now()?;
    server.reload()?;
    let entry = server.wait_for_entry(&since, &[&warning])?;
    assert_eq!(entry.message(), said);
    must_serve_at(&server, &key, "127.0.0.1", 22)?;

    // A daemon-reload takes the socket from systemd; the server has it still.
    server.shell("systemctl daemon-reload")?;
    let said = remarks(&server)?;
    ensure!(
        said.contains(&format!("{SOCKET} listens on nothing. ")),
        "{said}"
    );
    must_serve_at(&server, &key, "127.0.0.1", 22)?;

    // What the warning names, literally.
    let (_, remedy) = entry.message().rsplit_once(": ").context("no remedy")?;
    server.shell(remedy)?;
    must_serve_at(&server, &key, "127.0.0.1", 2222)?;
    assert_eq!(listeners(&server)?, ["*:2222"]);
    assert_eq!(remarks(&server)?, "");
    server.check_units()?;
    session.write(b"still the same\n")?;
    session.wait_for("still the same", Duration::from_secs(10))?;

    // The same without an administrator: an upgrade, or a crash, after somebody's daemon-reload.
    write_settings(&server, "Port 2200")?;
    let since = server.now()?;
    server.shell(&format!(
        "systemctl daemon-reload; systemctl kill -s KILL {MONITOR}"
    ))?;
    must_serve_at(&server, &key, "127.0.0.1", 2200)?;
    server.wait_for_entry(&since, &["is restarted to listen where sshd_config says"])?;
    assert_eq!(listeners(&server)?, ["*:2200"]);
    session.write(b"and again\n")?;
    session.wait_for("and again", Duration::from_secs(10))?;
    assert_eq!(server.failed_units()?, "");
    Ok(())
}

#[test]
fn addresses_of_the_file_are_listened_on_unless_an_administrator_says_otherwise() -> Result<()> {
    let Some(server) = alone("addresses")? else {
        return Ok(());
    };
    let key = server.add_user("caller")?;
    // The last address is not the machine's: it may become so later.
    let settings = "Port 22\nPort 2222\nListenAddress 127.0.0.1\nListenAddress ::1\nListenAddress 127.0.0.1:22\n\
                    ListenAddress 192.0.2.7:2200";
    write_settings(&server, settings)?;
    server.shell(REMEDY)?;
    assert_eq!(
        listeners(&server)?,
        [
            "127.0.0.1:22",
            "127.0.0.1:2222",
            "192.0.2.7:2200",
            "[::1]:22",
            "[::1]:2222"
        ]
    );
    for (host, port) in [("127.0.0.1", 22), ("127.0.0.1", 2222), ("::1", 2222)] {
        must_serve_at(&server, &key, host, port)?;
    }
    server.shell("ip address add 192.0.2.7/32 dev lo")?;
    must_serve_at(&server, &key, "192.0.2.7", 2200)?;
    assert_eq!(remarks(&server)?, "");
    server.check_units()?;

    // As `systemctl edit` leaves it.
    server.write_file(
        OVERRIDE,
        b"[Socket]\nListenStream=\nListenStream=2022\n",
        0o644,
    )?;
    let since = server.now()?;
    server.shell(REMEDY)?;
    assert_eq!(listeners(&server)?, ["*:2022"]);
    must_serve_at(&server, &key, "::1", 2022)?;
    let said = remarks(&server)?;
    ensure!(said.ends_with(&format!("as {OVERRIDE} wants it")), "{said}");
    server.wait_for_entry(&since, &[&said])?;

    // Without the empty line it adds.
    write_settings(&server, "")?;
    server.write_file(OVERRIDE, b"[Socket]\nListenStream=2022\n", 0o644)?;
    server.shell(REMEDY)?;
    assert_eq!(listeners(&server)?, ["*:2022", "*:22"]);
    assert_eq!(remarks(&server)?, "");

    // A unit of the administrator's own is not touched.
    write_settings(&server, "Port 2222")?;
    let copy = format!(
        "rm {OVERRIDE}; sed s/^ListenStream=.*/ListenStream=2002/ /usr/lib/systemd/system/{SOCKET} >/etc/systemd/system/{SOCKET}"
    );
    server.shell(&format!("{copy}; {REMEDY}"))?;
    assert_eq!(listeners(&server)?, ["*:2002"]);
    let said = remarks(&server)?;
    ensure!(
        said.ends_with(&format!("as /etc/systemd/system/{SOCKET} wants it")),
        "{said}"
    );
    Ok(())
}

#[test]
fn no_file_leaves_the_machine_without_a_listener() -> Result<()> {
    if Peer::from_environment()? != Peer::Ours {
        return Ok(());
    }
    // Configured before it is installed.
    let machine = Machine::builder(&format!("e2e-listener-{}", std::process::id())).up()?;
    let good = "Port 2222\nPubkeyAuthentication yes\nUsePAM yes\n";
    machine.write_file(CONFIGURATION, good.as_bytes(), 0o644)?;
    machine.install_deb(&deb_under_test()?)?;
    machine.start_server()?;
    assert_eq!(listeners(&machine)?, ["*:2222"]);

    // As at a boot: the generator, then the socket.
    let boot = "systemctl stop 'sshd-privsep*'; systemctl daemon-reload; systemctl start sshd-privsep.socket";
    for (text, expected) in [
        (
            "Prot 1\nPort 2222\nMatch Usr x\nBanner \"\nInclude [\n",
            "*:2222",
        ),
        ("Port 99999\nPort 2222x\n", "*:22"),
        ("ListenAddress nowhere.example:2222\n", "*:2222"),
        ("ListenAddress 127.0.0.1:2222 rdomain no/device\n", "*:2222"),
        ("", "*:22"),
    ] {
        machine.write_file(CONFIGURATION, text.as_bytes(), 0o644)?;
        machine.shell("systemctl daemon-reload")?;
        machine.shell(boot)?;
        assert_eq!(listeners(&machine)?, [expected], "{text}");
    }
    machine.shell(&format!("rm {CONFIGURATION}; {boot}"))?;
    assert_eq!(listeners(&machine)?, ["*:22"]);

    // It says why, to who runs it by hand.
    machine.write_file(
        CONFIGURATION,
        b"ListenAddress nowhere.example\nPrt 1\n",
        0o644,
    )?;
    let said = machine.shell(&format!(
        "{GENERATOR} /tmp/normal /tmp/early /tmp/late 2>&1"
    ))?;
    for part in [
        "nowhere.example:22 is left out",
        "listening on every address",
        "did you mean Port?",
    ] {
        ensure!(said.contains(part), "no {part:?} in\n{said}");
    }

    // It costs a boot next to nothing. The best of many: the machine has other work.
    machine.write_file(CONFIGURATION, good.as_bytes(), 0o644)?;
    let times = machine.shell(&format!(
        "for i in $(seq 20); do a=$(date +%s%N); {GENERATOR} /tmp/normal; b=$(date +%s%N); echo $((b - a)); done | sort -n"
    ))?;
    let best = times.lines().next().context("no time")?.parse()?;
    let best = Duration::from_nanos(best);
    ensure!(best < BUDGET, "{best:?}");

    // Nothing of it stays behind.
    machine.shell(boot)?;
    assert_eq!(listeners(&machine)?, ["*:2222"]);
    machine
        .exec(["apt-get", "remove", "-y", "sshd-privsep"])?
        .success()?;
    assert_eq!(listeners(&machine)?, Vec::<String>::new());
    machine.shell("! ls -d /run/systemd/generator*/sshd-privsep*")?;
    machine.down()
}
