//! Streams into readers that stop, of every kind of channel and in both directions: the server's processes hold little
//! meanwhile, and all of it arrives when the readers go on.
//!
//! Tunnels are not among them, for they hold no packet that somebody does not take: see `tunnels.rs`.
//!
//! Each test passes with Debian's sshd, too, but the one of SFTP: its server takes 128 MiB of requests whose answers nobody
//! reads.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Peer, Server, Shared};

static SERVER: Shared = Shared::new(
    "backpressure",
    "MaxStartups 100:30:200
X11Forwarding yes
",
);

/// How much each stream has, in MiB; `cargo xtask soak` sends 3 GiB. It has to be more than all buffers on the way: two TCP
/// connections with up to 10 MiB each, a window of 2 MiB.
const SIZE_VARIABLE: &str = "SSHD_PRIVSEP_STREAM_MIB";
const SIZE: u64 = 32;

/// Most memory that a process ever had, in KiB.
const LIMIT: u64 = 24 << 10;

/// Runs a program with streams as this user, until all have gone through; then looks at the server's processes.
fn run(user: &str, streams: &str) -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user(user)?;
    let size = match std::env::var(SIZE_VARIABLE) {
        Ok(size) => size.parse().context(SIZE_VARIABLE)?,
        Err(_) => SIZE,
    };
    let config = server.client_config(&key, "")?;
    let program =
        format!("from streams import *\nconfig, size = {config:?}, {size} << 20\n{streams}\n");
    let mut running = server.python(&program).spawn()?;
    let deadline = Duration::from_secs(60 + size);
    running.wait_for("through\n", deadline)?;
    let used = memory(server, user)?;
    running.write(b"\n")?;
    running.finish(deadline)?.success()?;
    if server.peer() == Peer::Ours {
        for (process, peak) in used {
            ensure!(peak < LIMIT, "{user}: {process} had {peak} KiB");
        }
    }
    Ok(())
}

/// The most that the worker and the processes of this user had, in KiB.
fn memory(server: &Server, user: &str) -> Result<Vec<(String, u64)>> {
    if server.peer() == Peer::OpenSsh {
        return Ok(Vec::new());
    }
    let mut processes = vec![("preauth".to_owned(), server.worker_of(user)?.pid)];
    let of_user = server.shell(&format!("pgrep -u {user} -x 'session|sftp' -l"))?;
    for line in of_user.lines() {
        let (pid, name) = line.split_once(' ').context("a process")?;
        processes.push((name.to_owned(), pid.to_owned()));
    }
    ensure!(processes.len() > 1, "{user} has no session");
    let mut used = Vec::new();
    for (name, pid) in processes {
        let peak = server.memory(&pid, "VmHWM")?;
        support::progress::line(format_args!("{user}: {name} had {peak} KiB at most"));
        used.push((name, peak));
    }
    Ok(used)
}

#[test]
fn programs() -> Result<()> {
    run(
        "programs",
        r#"
with Tunnel(config) as tunnel:
    streams = [
        from_program(tunnel, "output", size),
        from_errors(tunnel, "errors", size),
        to_program(tunnel, "input", size),
        from_program(tunnel, "terminal", size, "-tt"),
        to_program(tunnel, "keyboard", size, "-tt"),
    ]
    go_through(streams, [master(tunnel)])
"#,
    )
}

/// russh keeps some KiB of each session whose end it is not told in time. 250 of them are more than the worker may grow by.
#[test]
fn many_commands_of_a_connection() -> Result<()> {
    const FEW: usize = 50;
    const MANY: usize = 250;
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("commands")?;
    let config = server.client_config(&key, "")?;
    let client = format!("ssh -F {config} -S /root/commands.control");
    let run = |count: usize| {
        server.shell(&format!(
            "for number in $(seq {count}); do {client} server true </dev/null || exit; done"
        ))
    };
    server.shell(&format!("{client} -fNM server </dev/null >/dev/null 2>&1"))?;
    run(FEW)?;
    let worker = server.worker_of("commands")?.pid;
    let before = server.memory(&worker, "RssAnon")?;
    run(MANY)?;
    let after = server.memory(&worker, "RssAnon")?;
    ensure!(after < before + 500, "{before} KiB, then {after} KiB");
    Ok(())
}

#[test]
fn ports() -> Result<()> {
    run(
        "ports",
        r#"
local, remote = listen(("127.0.0.1", 7101)), listen(("127.0.0.1", 7102))
with Tunnel(config, "-L7111:127.0.0.1:7101", "-R7112:127.0.0.1:7102") as tunnel:
    streams = [
        *both_ways("local", size, lambda: connect(("127.0.0.1", 7111)), lambda: accept(local)),
        *both_ways("remote", size, lambda: connect(("127.0.0.1", 7112)), lambda: accept(remote)),
    ]
    go_through(streams, [master(tunnel)])
"#,
    )
}

#[test]
fn paths() -> Result<()> {
    run(
        "paths",
        r#"
local, remote = listen("/tmp/paths.local"), listen("/root/paths.remote")
with Tunnel(config, "-L/root/paths:/tmp/paths.local", "-R/tmp/paths:/root/paths.remote") as tunnel:
    streams = [
        *both_ways("local", size, lambda: connect("/root/paths"), lambda: accept(local)),
        *both_ways("remote", size, lambda: connect("/tmp/paths"), lambda: accept(remote)),
    ]
    go_through(streams, [master(tunnel)])
"#,
    )
}

/// As many as MaxSessions permits.
#[test]
fn many_programs() -> Result<()> {
    run(
        "inputs",
        r#"
with Tunnel(config) as tunnel:
    streams = [to_program(tunnel, f"inputs.{number}", size // 4) for number in range(10)]
    go_through(streams, [master(tunnel)])
"#,
    )
}

/// More than one connection may promise at once: its windows share a budget.
#[test]
fn many_ports() -> Result<()> {
    run(
        "many",
        r#"
local = listen(("127.0.0.1", 7201))
with Tunnel(config, "-L7211:127.0.0.1:7201") as tunnel:
    streams = []
    for number in range(12):
        writer = connect(("127.0.0.1", 7211))
        streams.append(Stream(f"local {number}", writer, accept(local), size))
    go_through(streams, [master(tunnel)])
"#,
    )
}

#[test]
fn agents_and_displays() -> Result<()> {
    run(
        "inside",
        r#"
os.environ["DISPLAY"] = ":77"
options = ["-Y", "-oForwardAgent=/root/agent"]
agents, displays = agent("/root/agent"), display(77)
with Tunnel(config, *options) as tunnel:
    program = session(tunnel, *options, "server", "echo $SSH_AUTH_SOCK; exec cat")
    path = said(program)
    streams = [
        *both_ways("agent", size, lambda: connect(path), agents),
        *both_ways("display", size, x_client(tunnel, *options), displays),
    ]
    go_through(streams, [master(tunnel)])
"#,
    )
}

#[test]
fn files() -> Result<()> {
    if SERVER.ours()?.is_none() {
        return Ok(());
    }
    run(
        "files",
        r#"
home = "/home/files"
os.truncate(os.open(f"{home}/large", os.O_CREAT | os.O_WRONLY, 0o644), BATCH)
with Tunnel(config) as tunnel:
    # Here it is the server that stops: answers to writes are too short to fill anything.
    streams = [put(tunnel, "put", size, "/dev/null")]
    server = int(subprocess.run(["pgrep", "-u", "files", "-x", "sftp|sftp-server"], capture_output=True).stdout)
    os.kill(server, signal.SIGSTOP)
    streams.append(get(tunnel, "get", size, f"{home}/large"))
    go_through(streams, [server, master(tunnel)])
"#,
    )
}

/// With windows that are larger than what TCP holds, so that nothing but TCP makes the server wait.
#[test]
fn a_client_that_promises_more_than_it_takes() -> Result<()> {
    run(
        "promises",
        r#"
path, end = fifo("promises")
program = r"""
import os, paramiko, sys
options = dict(line.split(None, 1) for line in open(sys.argv[1]).read().splitlines() if line)
transport = paramiko.Transport(("127.0.0.1", 22), default_window_size=1 << 27)
transport.start_client()
transport.auth_publickey("promises", paramiko.Ed25519Key.from_private_key_file(options["IdentityFile"]))
channel = transport.open_session()
channel.exec_command(f"exec cat {sys.argv[2]}")
while part := channel.recv(1 << 16):
    sys.stdout.buffer.write(part)
"""
client = subprocess.Popen(["python3", "-c", program, config, path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
eventually("a session", lambda: subprocess.run(["pgrep", "-u", "promises", "-x", "cat"]).returncode == 0)
os.kill(client.pid, signal.SIGSTOP)
stream = Stream("output", end, client.stdout, size)
go_through([stream], [client.pid])
"#,
    )
}
