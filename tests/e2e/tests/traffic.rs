//! Time and traffic: clients that do not answer, connections without a channel and channels without traffic are closed;
//! packets are marked.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::server::eventually;
use e2e::{Server, Shared};
use support::UserKey;

static SERVER: Shared = Shared::new(
    "traffic",
    "Match User frozen\n ClientAliveInterval 1\n ClientAliveCountMax 1\n\
     Match User unused\n UnusedConnectionTimeout 2\n\
     Match User idle\n ChannelTimeout session:command=2\n LogLevel VERBOSE\n\
     Match User marked\n IPQoS af21 cs1\n\
     Match all\n",
);

/// Everything in these tests is over after some seconds.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a script as root with `$SSH` for a client of this user.
fn run(server: &Server, key: &UserKey, script: &str) -> Result<(Option<i32>, String)> {
    let config = server.client_config(key, "LogLevel ERROR")?;
    let output = server
        .command(["sh", "-c", script])
        .env("SSH", &format!("ssh -F {config}"))
        .deadline(DEADLINE)
        .run()?;
    Ok((output.code(), output.text()))
}

fn must_be_gone(server: &Server, user: &str) -> Result<()> {
    eventually("no process of the user", DEADLINE, || {
        Ok(server
            .shell(&format!("pgrep -u {user} sleep || true"))?
            .is_empty())
    })
}

#[test]
fn a_stopped_client_is_given_up_and_a_silent_one_is_kept() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("frozen")?;
    let (code, said) = run(server, &key, "$SSH server 'sleep 4; echo still here'")?;
    ensure!((code, said.as_str()) == (Some(0), "still here\n"), "{said}");
    let since = server.now()?;
    let script = "$SSH server 'sleep 600' & client=$!; \
                  until pgrep -u frozen sleep >/dev/null; do sleep 0.1; done; \
                  kill -STOP $client; sleep 4; kill -KILL $client";
    run(server, &key, script)?;
    let words = "Timeout, client not responding from user frozen 127.0.0.1 port ";
    server.wait_for_entry(&since, &[words])?;
    // As with an idle command, below.
    server.shell("pkill -u frozen sleep || true")?;
    must_be_gone(server, "frozen")
}

#[test]
fn a_connection_without_channels_ends_and_one_with_a_program_does_not() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("unused")?;
    let (code, said) = run(server, &key, "$SSH server 'sleep 4; echo still here'")?;
    ensure!((code, said.as_str()) == (Some(0), "still here\n"), "{said}");
    let since = server.now()?;
    let (code, said) = run(server, &key, "$SSH -N server")?;
    ensure!(code == Some(255), "{code:?}: {said}");
    let words = "terminating inactive connection from user unused 127.0.0.1 port ";
    server.wait_for_entry(&since, &[words])?;
    Ok(())
}

#[test]
fn an_idle_command_is_closed_and_one_with_output_is_not() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("idle")?;
    let (code, said) = run(
        server,
        &key,
        "$SSH server 'for i in 1 2 3 4; do sleep 1; echo $i; done'",
    )?;
    ensure!((code, said.as_str()) == (Some(0), "1\n2\n3\n4\n"), "{said}");
    let since = server.now()?;
    let (code, said) = run(server, &key, "$SSH server 'echo begun; exec sleep 600'")?;
    ensure!(
        (code, said.as_str()) == (Some(255), "begun\n"),
        "{code:?}: {said}"
    );
    // sshd's words, as it has them at LogLevel VERBOSE.
    let words = "closing after 2 seconds of inactivity";
    server.wait_for_entry(&since, &["channel ", words])?;
    // What runs without a terminal may run on, as sshd_config(5) says.
    server.shell("pkill -u idle sleep")?;
    must_be_gone(server, "idle")
}

#[test]
fn packets_are_marked_by_whether_a_terminal_is_open() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("marked")?;
    // What the server's end of the connection has, by what its client knows of it.
    let seen =
        "set -- $SSH_CONNECTION; ss -Htno --tos state established src \"$3:$4\" dst \"$1:$2\"";
    let (_, without) = run(server, &key, &format!("$SSH server '{seen}'"))?;
    ensure!(without.contains("tos:0x20"), "{without}");
    let (_, with) = run(server, &key, &format!("$SSH -tt server '{seen}'"))?;
    ensure!(with.contains("tos:0x48"), "{with}");
    // TCPKeepAlive
    ensure!(with.contains("timer:(keepalive"), "{with}");
    Ok(())
}
