//! What a user gets after login: terminals, environment, several sessions at once, and orderly ends of all kinds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::server::eventually;
use e2e::{Peer, Server, Shared};
use support::UserKey;

/// Room for twenty clients that log in at the same moment.
static SERVER: Shared = Shared::new("sessions", "MaxStartups 100:30:200\n");

fn site(user: &str) -> Result<(&'static Server, UserKey)> {
    let server = SERVER.get()?;
    Ok((server, server.add_user(user)?))
}

/// How many processes of a user have this command line.
fn processes(server: &Server, user: &str, command: &str) -> Result<usize> {
    let found = server.exec(["pgrep", "-u", user, "-fx", command])?;
    Ok(found.text().lines().count())
}

// ---- terminals

/// Says what its terminal is, then its size whenever that changes.
const WATCH_SIZE: &str = r#"
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
while True:
    columns, rows = os.get_terminal_size(0)
    print(f"size {columns}x{rows} of {os.ttyname(0)} {os.environ.get('TERM')} {os.environ.get('SSH_TTY')}", flush=True)
    signal.sigwait([signal.SIGWINCH])
"#;

#[test]
fn a_terminal_has_the_clients_size_also_after_it_changed() -> Result<()> {
    let (server, key) = site("resize")?;
    let config = server.client_config(&key, "")?;
    server.write_file("/usr/local/bin/watch-size", WATCH_SIZE.as_bytes(), 0o755)?;
    let program = format!(
        r#"
from terminal import *
t = Terminal(["ssh", "-tt", "-F", "{config}", "server", "python3 /usr/local/bin/watch-size"], 93, 31)
t.wait_for("size 93x31 of /dev/pts/")
words = t.wait_for("\n").split()
assert words[1] == "xterm-256color", words
assert words[2] == "/dev/pts/" + words[0], words
for columns, rows in (100, 40), (1, 1), (500, 200):
    t.resize(columns, rows)
    t.wait_for(f"size {{columns}}x{{rows}} of")
t.kill()
"#
    );
    server.run_python(&program)?;
    Ok(())
}

#[test]
fn a_terminal_of_an_odd_kind_is_a_terminal() -> Result<()> {
    let (server, key) = site("oddterm")?;
    let config = server.client_config(&key, "")?;
    let run = |term: &str| {
        let term = format!("TERM={term}");
        let script = "test -t 0 && { printenv TERM || echo none; }";
        let command = ["env", &term, "ssh", "-tt", "-F", &config, "server", script];
        server.command(command).run()?.success()
    };
    // As with sshd. What cannot be in an environment is not.
    for term in ["weird term;x", "", &"x".repeat(500)] {
        let told = run(term)?.text();
        let kept = if term.is_empty() { "none" } else { term };
        assert_eq!(told, format!("{kept}\r\n"));
    }
    assert_eq!(run(&"x".repeat(2000))?.text(), "none\r\n");
    Ok(())
}

#[test]
fn a_terminal_has_the_clients_modes() -> Result<()> {
    let (server, key) = site("modes")?;
    let config = server.client_config(&key, "")?;
    let program = format!(
        r#"
from terminal import *
setup = "stty intr ^E erase ^H -ixany ixoff; exec ssh -tt -F {config} server 'stty -a; echo end'"
t = Terminal(["sh", "-c", setup])
modes = t.wait_for("end")
for mode in "intr = ^E;", "erase = ^H;", " -ixany", " ixoff":
    assert mode in modes, (mode, modes)
"#
    );
    server.run_python(&program)?;
    Ok(())
}

#[test]
fn an_interactive_shell_is_a_login_shell_with_job_control() -> Result<()> {
    let (server, key) = site("inter")?;
    let config = server.client_config(&key, "")?;
    let program = format!(
        r#"
from terminal import *
t = Terminal(["ssh", "-F", "{config}", "server"])
t.wait_for("$ ")
t.type("PS1='ready'; echo I am $0\r")
t.wait_for("I am -bash")
t.wait_for("ready")
t.type("echo o''n; cat; echo cat $?\r")
t.wait_for("on\r\n")
t.type("some words\r")
t.wait_for("some words\r\nsome words")
t.type("\x03")
t.wait_for("ready")
t.type("sh -c 'echo o\"\"n; exec sleep 200'\r")
t.wait_for("on\r\n")
t.type("\x1a")
t.wait_for("Stopped")
t.wait_for("ready")
t.type("kill -KILL %1; sleep 0.5; exit 7\r")
status = t.wait_for_end()
assert status == 7, status
"#
    );
    server.run_python(&program)?;
    Ok(())
}

#[test]
fn a_terminal_hangs_up_when_the_client_dies() -> Result<()> {
    let (server, key) = site("hangup")?;
    let config = server.client_config(&key, "")?;
    let program = format!(
        r#"
from terminal import *
t = Terminal(["ssh", "-tt", "-F", "{config}", "server", "echo up; sleep 4242"])
t.wait_for("up")
print("started", flush=True)
sys.stdin.readline()
t.kill()
print("killed", flush=True)
"#
    );
    let mut client = server.python(&program).spawn()?;
    client.wait_for("started", Duration::from_secs(20))?;
    eventually("the program runs", Duration::from_secs(10), || {
        Ok(processes(server, "hangup", "sleep 4242")? == 1)
    })?;
    client.write(b"\n")?;
    client.wait_for("killed", Duration::from_secs(20))?;
    eventually("SIGHUP ends it", Duration::from_secs(10), || {
        Ok(processes(server, "hangup", "sleep 4242")? == 0)
    })
}

#[test]
fn without_a_terminal_output_and_errors_stay_apart_and_whole() -> Result<()> {
    let (server, key) = site("apart")?;
    let command =
        "head -c 3000000 /dev/zero | tr '\\0' o & head -c 2000000 /dev/zero | tr '\\0' e >&2; wait";
    let output = server.ssh(&key, &["-T"], &[command]).run()?.success()?;
    assert_eq!(output.stdout, vec![b'o'; 3_000_000]);
    assert_eq!(output.stderr, vec![b'e'; 2_000_000]);
    Ok(())
}

// ---- environment

#[test]
fn only_accepted_variables_of_the_client_arrive() -> Result<()> {
    let (server, key) = site("sendenv")?;
    let options = ["-o", "SendEnv=LC_* LD_PRELOAD BASH_ENV SECRET"];
    let output = server
        .ssh(
            &key,
            &options,
            &["echo $LC_PAPER,$LC_TIME,$LD_PRELOAD,$BASH_ENV,$SECRET"],
        )
        .env("LC_PAPER", "de_DE.UTF-8")
        .env("LC_TIME", "with blank = and 'quote'")
        .env("LD_PRELOAD", "/nonexistent.so")
        .env("BASH_ENV", "/nonexistent")
        .env("SECRET", "x")
        .run()?
        .success()?;
    assert_eq!(
        output.text(),
        "de_DE.UTF-8,with blank = and 'quote',,,\n",
        "{output:?}"
    );
    Ok(())
}

#[test]
fn the_environment_is_a_login_and_nothing_of_the_server() -> Result<()> {
    let (server, key) = site("environ")?;
    let port_of_client = "[0-9]+";
    let output = server.ssh(&key, &[], &["env"]).run()?.success()?.text();
    let value = |name: &str| {
        output
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    for (name, expected) in [
        ("USER", "environ"),
        ("LOGNAME", "environ"),
        ("HOME", "/home/environ"),
        ("SHELL", "/bin/bash"),
        ("PWD", "/home/environ"),
    ] {
        assert_eq!(value(name), Some(expected), "{name} in\n{output}");
    }
    let client = value("SSH_CLIENT").context("SSH_CLIENT")?;
    let connection = value("SSH_CONNECTION").context("SSH_CONNECTION")?;
    assert!(
        client.starts_with("127.0.0.1 ") && client.ends_with(" 22"),
        "{client} {port_of_client}"
    );
    assert!(connection.starts_with("127.0.0.1 ") && connection.ends_with(" 127.0.0.1 22"));
    let id = server.shell("id -u environ")?;
    assert_eq!(
        value("XDG_RUNTIME_DIR"),
        Some(format!("/run/user/{}", id.trim()).as_str())
    );
    let known = [
        "USER",
        "LOGNAME",
        "HOME",
        "SHELL",
        "PWD",
        "PATH",
        "LANG",
        "MAIL",
        "SHLVL",
        "_",
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "TERM",
        "TZ",
        "MOTD_SHOWN",
    ];
    for name in output.lines().filter_map(|line| line.split('=').next()) {
        ensure!(
            known.contains(&name) || name.starts_with("XDG_") || name == "DBUS_SESSION_BUS_ADDRESS",
            "{name} has no business in a session:\n{output}"
        );
    }
    Ok(())
}

#[test]
fn a_program_starts_with_a_clean_process_state() -> Result<()> {
    let (server, key) = site("clean")?;
    // Signals above 31 are the machine's own business: it inherits them from whoever booted it.
    let command = "grep -E '^(SigBlk|NoNewPrivs|CapEff|CapInh|CapAmb):' /proc/self/status | tr -d '\\t'; \
                   echo ignores $((0x$(grep SigIgn /proc/self/status | cut -f2) & 0x7fffffff)); \
                   ls /proc/self/fd | tr '\\n' ' '; echo; cat /proc/self/oom_score_adj; umask; pwd; \
                   test $(ps -o sid= -p $$) = $$ && echo leads its session";
    let output = server.ssh(&key, &[], &[command]).run()?.success()?.text();
    // What no server has a say in, and differs between Debian 12 and 13: systemd passes inheritable capabilities on, which
    // a container's PID 1 has, and pam_umask sees to the mask.
    let told = "grep CapInh /proc/self/status | tr -d '\\t'; umask";
    let properties = ["--property=User=clean", "--property=PAMName=login"];
    let systemds = server
        .command(["systemd-run", "--quiet", "--pipe"])
        .args(properties)
        .args(["sh", "-c", told])
        .run()?
        .success()?
        .text();
    let expected = format!(
        "SigBlk:0000000000000000\n\
         ignores 0\n\
         {systemds}\
         CapEff:0000000000000000\n\
         CapAmb:0000000000000000\n\
         NoNewPrivs:0\n\
         0 1 2 3 \n\
         0\n\
         /home/clean\n\
         leads its session\n"
    );
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&output), sorted(&expected), "{output}");
    let groups = server.ssh(&key, &[], &["id"]).run()?.success()?.text();
    assert_eq!(groups, server.shell("id clean")?);
    Ok(())
}

#[test]
fn logind_knows_a_remote_session_of_the_right_user() -> Result<()> {
    let (server, key) = site("seat")?;
    let command = "loginctl show-session $XDG_SESSION_ID -p Name -p Remote -p RemoteHost -p Service -p Type -p Class \
                   -p State; cat /proc/self/loginuid /proc/self/cgroup";
    let output = server.ssh(&key, &[], &[command]).run()?.success()?.text();
    let service = match server.peer() {
        Peer::Ours => "Service=sshd-privsep",
        Peer::OpenSsh => "Service=sshd",
    };
    let id = server.shell("id -u seat")?;
    for line in [
        "Name=seat",
        "Remote=yes",
        "RemoteHost=127.0.0.1",
        service,
        "Type=tty",
        "Class=user",
        "State=active",
    ] {
        assert!(
            output.lines().any(|found| found == line),
            "no {line} in\n{output}"
        );
    }
    let slice = format!("/user.slice/user-{}.slice/session-", id.trim());
    assert!(output.contains(&slice), "{output}");
    eventually("logind forgets it", Duration::from_secs(15), || {
        let left = server.shell("loginctl list-sessions --no-legend")?;
        Ok(!left.contains(" seat "))
    })
}

// ---- commands and how they end

#[test]
fn odd_words_of_a_command_arrive_as_they_are() -> Result<()> {
    let (server, key) = site("words")?;
    let command = "printf '%s|' 'a  b' \"c'd\" 'ü$x' '-- \\ *' \"$#\"";
    let output = server.ssh(&key, &[], &[command]).run()?.success()?;
    assert_eq!(output.text(), "a  b|c'd|ü$x|-- \\ *|0|");
    // As long as one argument of execve(2) may be, near enough.
    let command = format!("x={}; echo ${{#x}}", "x".repeat(131_000));
    let output = server.ssh(&key, &[], &[&command]).run()?.success()?;
    assert_eq!(output.text(), "131000\n");
    Ok(())
}

#[test]
fn a_shell_without_a_terminal_reads_its_commands_from_the_client() -> Result<()> {
    let (server, key) = site("script")?;
    let output = server
        .ssh(&key, &["-T"], &[])
        .stdin(b"echo one\ncd /; pwd\nexit 3\n")
        .run()?;
    assert_eq!(output.code(), Some(3), "{output:?}");
    // OpenSSH says the message of the day before.
    assert!(output.text().ends_with("one\n/\n"), "{output:?}");
    Ok(())
}

#[test]
fn death_by_signal_is_told_as_such() -> Result<()> {
    let (server, key) = site("signal")?;
    for signal in ["TERM", "KILL", "SEGV", "USR1"] {
        let command = format!("ulimit -c 0; kill -{signal} $$");
        let output = server.ssh(&key, &["-v"], &[&command]).run()?;
        assert_eq!(output.code(), Some(255), "{signal}: {output:?}");
        let log = output.error_text();
        assert!(log.contains("rtype exit-signal"), "{signal}: {log}");
    }
    Ok(())
}

#[test]
fn the_exit_status_arrives_also_when_output_ended_before() -> Result<()> {
    let (server, key) = site("status")?;
    for pause in ["0", "0.05", "1"] {
        let command = format!("echo out; exec >&- 2>&-; sleep {pause}; exit 5");
        let output = server.ssh(&key, &[], &[&command]).run()?;
        assert_eq!(output.code(), Some(5), "{pause} s: {output:?}");
        assert_eq!(output.text(), "out\n");
    }
    Ok(())
}

#[test]
fn the_end_of_input_reaches_the_program_and_its_later_output_the_client() -> Result<()> {
    let (server, key) = site("halfopen")?;
    let output = server
        .ssh(&key, &[], &["wc -c; sleep 0.5; echo after the end"])
        .stdin(&vec![b'x'; 1_000_000])
        .run()?
        .success()?;
    assert_eq!(output.text(), "1000000\nafter the end\n");
    Ok(())
}

#[test]
fn a_program_that_stops_reading_or_writing_does_not_hang_the_client() -> Result<()> {
    let (server, key) = site("closers")?;
    for command in [
        "exec <&-; sleep 0.2; echo done",
        "head -c 1 >/dev/null; echo done",
        "echo done; exec >&- 2>&-; sleep 0.2",
    ] {
        let output = server
            .ssh(&key, &[], &[command])
            .stdin(&vec![b'x'; 5_000_000])
            .deadline(Duration::from_secs(20))
            .run()
            .context(command)?
            .success()?;
        assert_eq!(output.text(), "done\n", "{command}");
    }
    Ok(())
}

#[test]
fn a_background_child_has_the_last_word() -> Result<()> {
    let (server, key) = site("backgr")?;
    let command = "(sleep 1; echo late; echo later >&2) & echo hi; exit 3";
    let output = server.ssh(&key, &[], &[command]).run()?;
    assert_eq!(output.code(), Some(3));
    assert_eq!(
        (&*output.text(), &*output.error_text()),
        ("hi\nlate\n", "later\n")
    );
    // A terminal is taken from it.
    let output = server.ssh(&key, &["-tt"], &[command]).run()?;
    assert_eq!(output.code(), Some(3));
    assert!(!output.text().contains("late"), "{output:?}");
    Ok(())
}

#[test]
fn a_child_that_ignores_hang_ups_survives_the_session() -> Result<()> {
    let (server, key) = site("nohup")?;
    server
        .ssh(&key, &[], &["nohup sleep 777 >/dev/null 2>&1 </dev/null &"])
        .run()?
        .success()?;
    // Longer than the end of a session takes.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(processes(server, "nohup", "sleep 777")?, 1);
    Ok(())
}

#[test]
fn the_sftp_subsystem_answers_and_an_unknown_one_is_refused() -> Result<()> {
    let (server, key) = site("subsys")?;
    // SSH_FXP_INIT, version 3: the answer is SSH_FXP_VERSION (draft-ietf-secsh-filexfer-02 section 4).
    let mut client = server.ssh(&key, &["-s"], &["sftp"]).spawn()?;
    client.write(&[0, 0, 0, 5, 1, 0, 0, 0, 3])?;
    client.wait_for("\u{2}\0\0\0\u{3}", Duration::from_secs(20))?;
    client.close_stdin();
    client.finish(Duration::from_secs(30))?.success()?;
    let since = server.now()?;
    let output = server.ssh(&key, &["-s"], &["nonesuch"]).run()?;
    assert_ne!(output.code(), Some(0));
    let said = output.error_text();
    assert!(said.contains("subsystem request failed"), "{said}");
    let entry = server.wait_for_entry(
        &since,
        &["subsystem request for nonesuch by user subsys failed, subsystem not found"],
    )?;
    assert_eq!(entry.field("PRIORITY"), "6");
    Ok(())
}

// ---- many at once

#[test]
fn twenty_clients_at_once_are_served() -> Result<()> {
    let (server, key) = site("twenty")?;
    let config = server.client_config(&key, "")?;
    let script =
        format!("for i in $(seq 20); do ssh -F {config} server \"sleep 1; echo $i\" & done; wait");
    let mut numbers: Vec<u32> = server
        .shell(&script)?
        .lines()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    Ok(())
}

/// A client that shares its connection with others through a socket.
fn share(server: &Server, key: &UserKey) -> Result<String> {
    let config = server.client_config(key, &format!("ControlPath /root/{0}.socket\n", key.user))?;
    server.shell(&format!(
        "ssh -F {config} -M -N -f server </dev/null >/dev/null 2>&1"
    ))?;
    Ok(config)
}

#[test]
fn ten_sessions_share_a_connection_and_an_eleventh_is_refused() -> Result<()> {
    let (server, key) = site("shared")?;
    let config = share(server, &key)?;
    let mut sleepers = Vec::new();
    for _ in 0..10 {
        let client = server
            .command([
                "ssh",
                "-F",
                &config,
                "server",
                "echo up; read line; echo $line $PPID",
            ])
            .spawn()?;
        client.wait_for("up", Duration::from_secs(20))?;
        sleepers.push(client);
    }
    let refused = server
        .command([
            "ssh",
            "-F",
            &config,
            "-o",
            "ControlMaster=no",
            "server",
            "echo in",
        ])
        .run()?;
    // The client then tries a connection of its own, which may work: what counts is that the shared one said no.
    assert!(
        refused.error_text().contains("open refused by peer"),
        "{refused:?}"
    );
    for mut client in sleepers {
        client.write(b"bye\n")?;
        let output = client.finish(Duration::from_secs(60))?.success()?;
        assert!(output.text().starts_with("up\nbye "), "{output:?}");
    }
    server.shell(&format!("ssh -F {config} -O exit server"))?;
    Ok(())
}

#[test]
fn a_stalled_session_does_not_block_its_neighbours_on_the_connection() -> Result<()> {
    let (server, key) = site("stalled")?;
    let config = share(server, &key)?;
    // Neither the one that is not read from nor the one that does not read.
    let _flood = server
        .command([
            "sh",
            "-c",
            &format!("ssh -F {config} server 'cat /dev/zero' | sleep 1000"),
        ])
        .spawn()?;
    let _deaf = server
        .command([
            "sh",
            "-c",
            &format!("ssh -F {config} server 'sleep 1000' </dev/zero"),
        ])
        .spawn()?;
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    for _ in 0..8 {
        let output = server
            .command([
                "ssh",
                "-F",
                &config,
                "server",
                "head -c 1000000 /dev/zero | wc -c; head -c 200000 /dev/zero",
            ])
            .deadline(Duration::from_secs(20))
            .run()?
            .success()?;
        assert_eq!(output.stdout.len(), "1000000\n".len() + 200_000);
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    if server.peer() == Peer::Ours {
        // What the flood and the deaf hold up waits in their pipes and not in the worker.
        let most = server.memory(&server.worker_of("stalled")?.pid, "VmHWM")?;
        assert!(most < 48 * 1024, "{most} kB");
    }
    server.shell(&format!("ssh -F {config} -O exit server"))?;
    Ok(())
}
