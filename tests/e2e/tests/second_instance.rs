//! `sshd-privsep` as sshd is run by hand: beside the service, in the foreground, in the background, for one connection.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::beside::THEIRS;
use e2e::server::eventually;
use e2e::{Server, Shared};
use support::{Exec, Output, Running, UserKey};

static SERVER: Shared = Shared::new("second", "");

const MONITOR: &str = "sshd-privsep-monitor.service";

/// A second instance's place on the machine: a test has a port, and a file for the process id.
struct Place<'a> {
    server: &'a Server,
    port: u16,
    pid_file: String,
    config: String,
}

impl<'a> Place<'a> {
    fn new(server: &'a Server, port: u16) -> Result<Self> {
        let place = Self {
            server,
            port,
            pid_file: format!("/run/second-{port}.pid"),
            config: format!("/root/second-{port}.conf"),
        };
        place.configure("")?;
        Ok(place)
    }

    fn configure(&self, settings: &str) -> Result<()> {
        let text = format!(
            "Port {}\nPidFile {}\nUsePAM yes\n{settings}",
            self.port, self.pid_file
        );
        self.server.write_file(&self.config, text.as_bytes(), 0o644)
    }

    fn launcher(&self, flags: &[&str]) -> Exec<'a> {
        self.server
            .command(["sshd-privsep", "-f", &self.config])
            .args(flags.iter().copied())
    }

    /// Starts it in the foreground, and waits until it serves.
    fn foreground(&self) -> Result<Running> {
        self.foreground_with(&[])
    }

    /// With more flags.
    fn foreground_with(&self, flags: &[&str]) -> Result<Running> {
        let log = self.log();
        let flags = [&["-D", "-E", &log], flags].concat();
        let mut launcher = self.launcher(&flags).spawn()?;
        eventually("there is a pid file", Duration::from_secs(20), || {
            ensure!(launcher.is_running()?, "the launcher has ended");
            Ok(self.server.exec(["test", "-s", &self.pid_file])?.code() == Some(0))
        })?;
        Ok(launcher)
    }

    fn log(&self) -> String {
        format!("/root/second-{}.log", self.port)
    }

    fn wait_for_log(&self, text: &str) -> Result<()> {
        eventually(text, Duration::from_secs(10), || {
            let found = self.server.exec(["grep", "-qF", text, &self.log()])?;
            Ok(found.code() == Some(0))
        })
    }

    fn ssh(&self, key: &UserKey, options: &[&str], remote: &[&str]) -> Exec<'a> {
        let port = self.port.to_string();
        let options = [&["-p", &port, "-o", "HostKeyAlias=127.0.0.1"], options].concat();
        self.server.ssh(key, &options, remote)
    }

    fn must_serve(&self, key: &UserKey) -> Result<Output> {
        let output = self.ssh(key, &[], &["echo here"]).run()?.success()?;
        ensure!(output.text() == "here\n", "{output:?}");
        Ok(output)
    }

    fn signal(&self, name: &str) -> Result<()> {
        let script = format!("kill -{name} $(cat {})", self.pid_file);
        self.server.shell(&script).map(drop)
    }

    fn is_open(&self) -> Result<bool> {
        let port = self.port.to_string();
        Ok(self.server.exec(["nc", "-z", "127.0.0.1", &port])?.code() == Some(0))
    }

    fn must_be_gone(&self) -> Result<()> {
        let left = self.server.shell(&format!(
            "set +e; ls {} 2>/dev/null; for d in $(find /run -maxdepth 1 -name 'sshd-privsep-[0-9]*'); do p=${{d##*-}}; \
             grep -qs -- {} /proc/$p/cmdline || [ -d /proc/$p ] || echo $d; done",
            self.pid_file, self.config
        ))?;
        ensure!(left.is_empty(), "left behind: {left}");
        eventually("nobody listens", Duration::from_secs(5), || {
            Ok(!self.is_open()?)
        })
    }
}

#[test]
fn in_the_foreground_it_serves_beside_the_service_and_goes_without_its_sessions() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let service = server.main_pid(MONITOR)?;
    let key = server.add_user("second")?;
    let place = Place::new(server, 2301)?;
    let launcher = place.foreground()?;
    place.must_serve(&key)?;
    server.must_serve(&key)?;

    // New connections have the new configuration; a broken one changes nothing.
    place.configure("Banner /root/banner\n")?;
    server.write_file("/root/banner", b"read again\n", 0o644)?;
    place.signal("HUP")?;
    eventually("the banner is shown", Duration::from_secs(10), || {
        Ok(place.must_serve(&key)?.error_text().contains("read again"))
    })?;
    place.configure("Banner\n")?;
    place.signal("HUP")?;
    place.wait_for_log("stays in force")?;
    ensure!(place.must_serve(&key)?.error_text().contains("read again"));

    // A session lives on without listener and launcher, new keys included.
    let mut session = place
        .ssh(
            &key,
            &["-v", "-o", "RekeyLimit=1M"],
            &["echo up; cat | tail -c 9"],
        )
        .spawn()?;
    session.wait_for("up", Duration::from_secs(20))?;
    place.signal("TERM")?;
    let ended = launcher.finish(Duration::from_secs(10))?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    place.must_be_gone()?;
    let data = vec![b'x'; 4 << 20];
    if session.write(&data).is_err() {
        let output = session.finish(Duration::from_secs(60))?;
        let log = server.shell(&format!("cat {}", place.log()))?;
        bail!("the session is over: {}\n{log}", output.error_text());
    }
    session.write(b"the end.\n")?;
    session.close_stdin();
    let output = session.finish(Duration::from_secs(60))?.success()?;
    ensure!(output.text().ends_with("the end.\n"), "{output:?}");
    let rekeys = output
        .error_text()
        .matches("SSH2_MSG_NEWKEYS received")
        .count();
    ensure!(rekeys > 2, "{rekeys} key exchanges");
    eventually("its monitor is gone", Duration::from_secs(10), || {
        let monitors = server.exec(["pgrep", "-f", &place.config])?;
        Ok(monitors.code() == Some(1))
    })?;
    assert_eq!(server.main_pid(MONITOR)?, service);
    server.must_serve(&key)
}

#[test]
fn other_ports_in_the_file_move_it_and_sessions_stay() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("mover")?;
    let place = Place::new(server, 2302)?;
    let moved = Place::new(server, 2303)?;
    let launcher = place.foreground()?;
    let mut session = place.ssh(&key, &[], &["echo up; cat"]).spawn()?;
    session.wait_for("up", Duration::from_secs(20))?;
    place.configure("ListenAddress 127.0.0.1:2303\n")?;
    place.signal("HUP")?;
    eventually("it serves elsewhere", Duration::from_secs(20), || {
        moved.is_open()
    })?;
    moved.must_serve(&key)?;
    eventually("the old port is closed", Duration::from_secs(5), || {
        Ok(!place.is_open()?)
    })?;
    session.write(b"still there\n")?;
    session.wait_for("still there", Duration::from_secs(10))?;
    session.close_stdin();
    session.finish(Duration::from_secs(20))?.success()?;
    place.signal("TERM")?;
    launcher.finish(Duration::from_secs(10))?.success()?;
    Ok(())
}

#[test]
fn in_the_background_it_returns_when_it_serves() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("background")?;
    let place = Place::new(server, 2304)?;
    // What a terminal would show: with anybody else's hand on it this would not end.
    let output = place
        .launcher(&[])
        .deadline(Duration::from_secs(30))
        .run()?
        .success()?;
    ensure!(place.is_open()?, "{output:?}");
    place.must_serve(&key)?;
    let process = server.shell(&format!(
        "p=$(cat {}); readlink /proc/$p/fd/0 /proc/$p/fd/1 /proc/$p/fd/2 /proc/$p/cwd; ps -o sid=,tty=,comm= -p $p",
        place.pid_file
    ))?;
    let pid = server.shell(&format!("cat {}", place.pid_file))?;
    let expected = format!(
        "/dev/null\n/dev/null\n/dev/null\n/\n{} ? sshd-privsep",
        pid.trim()
    );
    let words: Vec<&str> = process.split_whitespace().collect();
    assert_eq!(words, expected.split_whitespace().collect::<Vec<_>>());
    place.signal("TERM")?;
    eventually("it is gone", Duration::from_secs(10), || {
        Ok(server.exec(["test", "-e", &place.pid_file])?.code() == Some(1))
    })?;
    place.must_be_gone()
}

#[test]
fn what_keeps_it_from_starting_is_said_and_nothing_stays_behind() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let place = Place::new(server, 2305)?;
    server.shell("echo rubbish > /root/no-key; chmod 600 /root/no-key")?;
    for foreground in [&["-D"][..], &[]] {
        for (flags, code, said) in [
            (
                &["-p", "22"][..],
                255,
                "Bind to port 22 on :: failed: Address already in use.",
            ),
            (&["-p", "22"], 255, "Cannot bind any address."),
            (
                &["-o", "MaxAuthTries=x"],
                255,
                "command-line:1:14: MaxAuthTries",
            ),
            (
                &["-o", "ListenAddress=host.invalid"],
                255,
                "bad addr or host: host.invalid (",
            ),
            (
                &["-f", "none", "-p2305", "-h", "/root/no-key"],
                1,
                "/root/no-key",
            ),
            (
                &["-E", "/nonexistent/log"],
                1,
                "Couldn't open logfile /nonexistent/log: No such file",
            ),
        ] {
            let output = place.launcher(&[foreground, flags].concat()).run()?;
            assert_eq!(
                output.code(),
                Some(code),
                "{foreground:?} {flags:?}: {output:?}"
            );
            ensure!(output.error_text().contains(said), "{flags:?}: {output:?}");
        }
    }
    place.must_be_gone()
}

#[test]
fn a_monitor_that_dies_is_replaced() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("replaced")?;
    let place = Place::new(server, 2306)?;
    let launcher = place.foreground()?;
    server.shell(&format!("pkill -KILL -P $(cat {})", place.pid_file))?;
    place.must_serve(&key)?;
    place.signal("TERM")?;
    launcher.finish(Duration::from_secs(10))?.success()?;
    place.wait_for_log("ended unexpectedly")?;
    place.must_be_gone()
}

#[test]
fn with_d_it_serves_one_connection_and_says_more() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("debugger")?;
    let place = Place::new(server, 2307)?;
    let launcher = place.launcher(&["-d"]).spawn()?;
    eventually("it listens", Duration::from_secs(20), || {
        let listening = server.shell("ss -tlnH '( sport = :2307 )'")?;
        Ok(!listening.is_empty())
    })?;
    assert_eq!(
        server.exec(["test", "-e", &place.pid_file])?.code(),
        Some(1)
    );
    place.must_serve(&key)?;
    let output = launcher
        .finish(Duration::from_secs(20))
        .context("it goes on")?;
    assert_eq!(output.code(), Some(0), "{output:?}");
    ensure!(
        output
            .error_text()
            .contains("Accepted publickey for debugger"),
        "{output:?}"
    );
    place.must_be_gone()
}

#[test]
fn with_i_it_serves_a_tcp_socket_a_socket_pair_and_two_pipes() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("inetd")?;
    let place = Place::new(server, 2308)?;
    let inetd = format!("sshd-privsep -i -f {}", place.config);
    let listen = "TCP-LISTEN:2308,reuseaddr,fork";
    let mut socat = server
        .command(["socat", listen, &format!("EXEC:{inetd},nofork")])
        .spawn()?;
    eventually("socat listens", Duration::from_secs(10), || {
        ensure!(socat.is_running()?, "no socat");
        Ok(!server.shell("ss -tlnH '( sport = :2308 )'")?.is_empty())
    })?;
    place.must_serve(&key)?;
    socat.kill()?;
    for proxy in [format!("socat - 'EXEC:{inetd}'"), inetd] {
        let option = format!("ProxyCommand={proxy}");
        let output = place
            .ssh(&key, &["-o", &option], &["echo here; echo $SSH_CONNECTION"])
            .run()?
            .success()
            .with_context(|| proxy.clone())?;
        assert_eq!(
            output.text(),
            "here\nUNKNOWN 65535 UNKNOWN 65535\n",
            "{proxy}"
        );
    }
    place.must_be_gone()
}

#[test]
fn a_unit_of_type_notify_hears_of_it() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("unit")?;
    let place = Place::new(server, 2309)?;
    let unit = format!(
        "[Service]\nType=notify\nKillMode=process\nExecStart=/usr/sbin/sshd-privsep -D -f {}\nExecReload=/bin/kill -HUP $MAINPID\n",
        place.config
    );
    server.write_file("/run/systemd/system/second.service", unit.as_bytes(), 0o644)?;
    server.shell("systemctl daemon-reload; systemctl start second.service")?;
    place.must_serve(&key)?;
    assert_eq!(
        server.main_pid("second.service")?,
        server.shell(&format!("cat {}", place.pid_file))?.trim()
    );
    let status = server.shell("systemctl show -P StatusText second.service")?;
    ensure!(status.contains("listening on"), "{status}");
    server.shell("systemctl reload second.service")?;
    place.must_serve(&key)?;
    server.shell("systemctl stop second.service")?;
    assert_eq!(
        server.shell("systemctl show -P Result second.service")?,
        "success\n"
    );
    place.must_be_gone()
}

/// What records say of the user who asks, and logind of the session.
const RECORDED: &str = r#"#!/usr/bin/python3
import os, pwd, struct, subprocess
name = pwd.getpwuid(os.getuid()).pw_name.encode()
if os.path.exists("/run/utmp"):
    records = struct.iter_unpack("=hxxi32s4s32s256s52x", open("/run/utmp", "rb").read())
    hosts = [host for kind, _, _, _, user, host in records if kind == 7 and user.rstrip(b"\0") == name]
    print("utmp", hosts[-1].rstrip(b"\0").decode() if hosts else "-", flush=True)
session = os.environ["XDG_SESSION_ID"]
subprocess.run(["loginctl", "--no-pager", "show-session", session, "-p", "RemoteHost"])
"#;

#[test]
fn names_of_hosts_are_recorded_up_to_the_length_of_u_as_by_sshd() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("named")?;
    server.write_file("/usr/local/bin/recorded", RECORDED.as_bytes(), 0o755)?;
    server.shell(
        "printf '127.0.0.51 tiny.example\n127.0.0.52 longer.example\n' >>/etc/hosts; mkdir -p /run/sshd",
    )?;
    let (ours, theirs) = (Place::new(server, 2309)?, Place::new(server, 2310)?);
    for place in [&ours, &theirs] {
        place.configure("UseDNS yes\n")?;
    }
    let launcher = ours.foreground_with(&["-u", "12"])?;
    let config = &theirs.config;
    server.shell(&format!("{THEIRS} -u 12 -f {config}"))?;
    for (address, name, shown) in [
        ("127.0.0.51", "tiny.example", "tiny.example"),
        ("127.0.0.52", "longer.example", "127.0.0.52"),
    ] {
        let [ours, theirs] = [&ours, &theirs].map(|place| {
            let output = place.ssh(&key, &["-tt", "-b", address], &["recorded"]);
            anyhow::Ok(output.run()?.success()?.text())
        });
        let (ours, theirs) = (ours?, theirs?);
        ensure!(ours == theirs, "{address}\n{ours}-- sshd:\n{theirs}");
        // The limit is the records' own.
        ensure!(ours.contains(&format!("RemoteHost={name}\r\n")), "{ours}");
        // There is none since Debian 13.
        let recorded = ours.contains(&format!("utmp {shown}\r\n")) || !ours.contains("utmp");
        ensure!(recorded, "{ours}");
    }
    theirs.signal("TERM")?;
    ours.signal("TERM")?;
    launcher.finish(Duration::from_secs(10))?;
    Ok(())
}
