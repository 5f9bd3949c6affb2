//! What clients have forwarded: ports, paths, agents, displays; refusals in sshd's words; many connections at once.
//!
//! Each test passes with Debian's sshd, too.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::server::eventually;
use e2e::{Server, Shared};
use support::UserKey;

static SERVER: Shared = Shared::new(
    "forwarding",
    "MaxStartups 100:30:200\n\
     MaxSessions 60\n\
     Match User remoteonly\n  AllowTcpForwarding remote\n\
     Match User localonly\n  AllowTcpForwarding local\n\
     Match User nopaths\n  AllowStreamLocalForwarding no\n\
     Match User nothing\n  DisableForwarding yes\n\
     Match User places\n  PermitOpen 127.0.0.1:7001\n  PermitListen 7002\n\
     Match User gateway\n  GatewayPorts clientspecified\n\
     Match User groupsocket\n  StreamLocalBindMask 0117\n  StreamLocalBindUnlink yes\n\
     Match User noagent\n  AllowAgentForwarding no\n\
     Match all\n",
);

fn site(user: &str) -> Result<(&'static Server, UserKey)> {
    let server = SERVER.get()?;
    Ok((server, server.add_user(user)?))
}

/// Runs a program that forwards as this user. `config` is the client's file.
fn run(user: &str, program: &str) -> Result<String> {
    let (server, key) = site(user)?;
    let config = server.client_config(&key, "")?;
    let program = format!("from sockets import *\nconfig = {config:?}\n{program}");
    Ok(server.run_python(&program)?.text())
}

#[test]
fn each_direction_ends_by_itself_from_the_client() -> Result<()> {
    run(
        "localends",
        r#"
port, path = listen(("127.0.0.1", 7101)), listen("/tmp/localends.server")
with Tunnel(config, "-L7111:127.0.0.1:7101", "-L7112:/tmp/localends.server", "-L/root/localends:127.0.0.1:7101", "-D7113"):
    exchange(port, lambda: connect(("127.0.0.1", 7111)))
    exchange(path, lambda: connect(("127.0.0.1", 7112)))
    exchange(port, lambda: connect("/root/localends"))
    exchange(port, lambda: socks(7113, ("localhost", 7101)))
"#,
    )
    .map(drop)
}

#[test]
fn each_direction_ends_by_itself_to_the_client() -> Result<()> {
    run(
        "remoteends",
        r#"
port, path = listen(("127.0.0.1", 7201)), listen("/root/remoteends.server")
with Tunnel(config, "-R7211:127.0.0.1:7201", "-R/tmp/remoteends:/root/remoteends.server") as tunnel:
    exchange(port, lambda: connect(("127.0.0.1", 7211)))
    exchange(path, lambda: connect("/tmp/remoteends"))
    # Whichever is free.
    chosen = int(tunnel.control("forward", "-R0:127.0.0.1:7201").stdout)
    exchange(port, lambda: connect(("127.0.0.1", chosen)))
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True).stdout
    assert f"127.0.0.1:{chosen} " in listening and f"[::1]:{chosen} " in listening, listening
    assert f"0.0.0.0:{chosen} " not in listening, listening
    for forward in "-R7211:127.0.0.1:7201", "-R/tmp/remoteends:/root/remoteends.server":
        ended = tunnel.control("cancel", forward)
        assert ended.returncode == 0, ended
    def refused(address):
        try:
            connect(address).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return True
    eventually("cancelled", lambda: refused(("127.0.0.1", 7211)) and refused("/tmp/remoteends"))
"#,
    )
    .map(drop)
}

#[test]
fn sockets_have_the_configured_mode() -> Result<()> {
    for (user, unlinks, mode) in [("plainsocket", false, "600"), ("groupsocket", true, "660")] {
        let (server, key) = site(user)?;
        let path = format!("/home/{user}/socket");
        server.shell(&format!("install -o {user} /dev/null {path}"))?;
        let forward = format!("{path}:/nowhere");
        let options = ["-oExitOnForwardFailure=yes", "-R", &forward];
        let show = format!("stat -c '%a %F' {path}");
        let first = server.ssh(&key, &options, &[&show]).run()?;
        if !unlinks {
            ensure!(first.code() == Some(255), "{first:?}");
            let failed = "remote port forwarding failed for listen path";
            ensure!(first.error_text().contains(failed), "{first:?}");
            server.shell(&format!("rm {path}"))?;
        }
        let again = server.ssh(&key, &options, &[&show]).run()?.success()?;
        ensure!(again.text() == format!("{mode} socket\n"), "{again:?}");
    }
    Ok(())
}

#[test]
fn a_connection_is_the_users() -> Result<()> {
    run(
        "credentials",
        r#"
import pwd, shutil
def listen_for(group):
    path = f"/tmp/credentials.{group}"
    one = listen(path)
    shutil.chown(path, "root", group)
    os.chmod(path, 0o660)
    return one
subprocess.run("groupadd further; usermod -a -G further credentials", shell=True, check=True)
path = listen("/tmp/credentials.server")
further, root = listen_for("further"), listen_for("root")
with Tunnel(config, "-L7301:/tmp/credentials.server", "-L7302:/tmp/credentials.further", "-L7303:/tmp/credentials.root"):
    client = connect(("127.0.0.1", 7301))
    seen = accept(path).getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, gid = struct.unpack("3i", seen)
    user = pwd.getpwnam("credentials")
    assert (uid, gid) == (user.pw_uid, user.pw_gid), (uid, gid)
    member = connect(("127.0.0.1", 7302))
    accept(further)
    assert connect(("127.0.0.1", 7303)).recv(1) == b""
"#,
    )
    .map(drop)
}

#[test]
fn what_is_not_permitted_is_refused_in_sshds_words() -> Result<()> {
    let prohibited = "open failed: administratively prohibited: open failed";
    let failed = "open failed: connect failed: ";
    let off = "refused local port forward: originator";
    let elsewhere = "to connect to host 127.0.0.1 port 7003, but the request was denied.";
    let places = site("places")?.1;
    let table = [
        (site("remoteonly")?.1, "127.0.0.1:7001", prohibited, off),
        (site("nothing")?.1, "127.0.0.1:7001", prohibited, off),
        (places.clone(), "127.0.0.1:7003", prohibited, elsewhere),
        (
            places.clone(),
            "127.0.0.1:7001",
            "open failed: connect failed: Connection refused",
            "connect_to 127.0.0.1 port 7001: failed.",
        ),
        (
            site("unknownhost")?.1,
            "nowhere.invalid:80",
            failed,
            "connect_to nowhere.invalid: unknown host (",
        ),
    ];
    let server = SERVER.get()?;
    for (key, target, words, logged) in table {
        let since = server.now()?;
        let ended = server.ssh(&key, &["-W", target], &[]).run()?;
        let error = ended.error_text();
        ensure!(error.contains(words), "{} {target}: {error}", key.user);
        eventually(logged, Duration::from_secs(5), || {
            let lines = server.journal(&["--since", &since, "-o", "cat"])?;
            Ok(lines.contains(logged))
        })?;
    }

    let exit = "-oExitOnForwardFailure=yes";
    let (local, nothing) = (site("localonly")?.1, site("nopaths")?.1);
    for (key, forward, permitted) in [
        (&local, "7002:127.0.0.1:1", false),
        (&nothing, "/tmp/nopaths:/nowhere", false),
        (&nothing, "7003:127.0.0.1:1", true),
        (&places, "7002:127.0.0.1:1", true),
        (&places, "7004:127.0.0.1:1", false),
        // A port for root.
        (&nothing, "80:127.0.0.1:1", false),
    ] {
        let ended = server.ssh(key, &[exit, "-R", forward], &["true"]).run()?;
        let expected = if permitted { 0 } else { 255 };
        ensure!(
            ended.code() == Some(expected),
            "{} {forward}: {ended:?}",
            key.user
        );
    }
    Ok(())
}

#[test]
fn root_listens_where_only_root_may() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.make_key("root")?;
    server.authorize("root", &key.public)?;
    let forward = ["-oExitOnForwardFailure=yes", "-R", "1023:127.0.0.1:1"];
    let listening = server.ssh(&key, &forward, &["ss -Hltn sport = 1023"]);
    let listening = listening.run()?.success()?.text();
    ensure!(listening.contains("127.0.0.1:1023 "), "{listening}");
    Ok(())
}

#[test]
fn gateways_listen_where_the_client_says() -> Result<()> {
    run(
        "gateway",
        r#"
for host, expected in ("*", "0.0.0.0:7601"), ("127.0.0.2", "127.0.0.2:7601"), ("localhost", "127.0.0.1:7601"):
    with Tunnel(config, f"-R{host}:7601:127.0.0.1:1"):
        listening = subprocess.run(["ss", "-Hltn", "sport = 7601"], capture_output=True, text=True).stdout
        assert expected in listening, (host, listening)
"#,
    )
    .map(drop)
}

#[test]
fn a_jump_through_the_server_and_sessions_behind_it() -> Result<()> {
    let (server, key) = site("jump")?;
    let config = server.client_config(&key, "")?;
    let line = format!(
        "ssh -F {config} -o ProxyCommand='ssh -F {config} -W 127.0.0.1:22 server' server 'echo $SSH_CONNECTION'"
    );
    let text = server.shell(&line)?;
    ensure!(text.starts_with("127.0.0.1 "), "{text}");
    Ok(())
}

#[test]
fn the_clients_agent_is_asked_from_inside() -> Result<()> {
    let (server, key) = site("agent")?;
    let config = server.client_config(&key, "ForwardAgent yes")?;
    let inside = "ssh-add -l; stat -c '%a %U' $(dirname $SSH_AUTH_SOCK); stat -c '%a %U %F' $SSH_AUTH_SOCK; echo $SSH_AUTH_SOCK";
    let script = format!(
        "eval $(ssh-agent) >/dev/null; ssh-keygen -qt ed25519 -N '' -C inside -f /root/inside; ssh-add -q /root/inside; \
         ssh -F {config} -oIdentityAgent=SSH_AUTH_SOCK server \"{}\"; kill $SSH_AGENT_PID",
        inside.replace('$', "\\$")
    );
    let text = server.shell(&script)?;
    let lines: Vec<&str> = text.lines().collect();
    let [listed, directory, socket, path] = lines[..] else {
        anyhow::bail!("{text}");
    };
    ensure!(listed.contains(" inside (ED25519)"), "{text}");
    ensure!(
        directory == "700 agent" && socket == "755 agent socket",
        "{text}"
    );
    eventually("the directory is gone", Duration::from_secs(5), || {
        Ok(server
            .shell(&format!("ls -d $(dirname {path}) || true"))?
            .is_empty())
    })?;

    let (_, key) = site("noagent")?;
    let config = server.client_config(&key, "ForwardAgent yes")?;
    let script = format!(
        "eval $(ssh-agent) >/dev/null; ssh -F {config} -oIdentityAgent=SSH_AUTH_SOCK server 'echo none: $SSH_AUTH_SOCK'; kill $SSH_AGENT_PID"
    );
    ensure!(server.shell(&script)? == "none:\n");
    Ok(())
}

#[test]
fn two_hundred_connections_to_the_client_at_once() -> Result<()> {
    run(
        "parallel",
        r#"
server = listen(("127.0.0.1", 7801))
with Tunnel(config, "-R7811:127.0.0.1:7801"):
    clients = [connect(("127.0.0.1", 7811)) for _ in range(200)]
    ends = [accept(server) for _ in clients]
    for number, one in enumerate(clients):
        say(one, f"{number}".encode())
    heard = sorted(int(read_all(one)) for one in ends)
    assert heard == list(range(200)), heard
"#,
    )
    .map(drop)
}

#[test]
fn fifty_sessions_share_a_connection() -> Result<()> {
    run(
        "fifty",
        r#"
results = {}
def session(tunnel, number):
    results[number] = tunnel.session(f"echo {number}; sleep 1; echo $SSH_CONNECTION")
with Tunnel(config) as tunnel:
    threads = [threading.Thread(target=session, args=(tunnel, number)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
assert len({text.split()[2] for text in results.values()}) == 1, results
assert all(text.startswith(f"{number}\n") for number, text in results.items()), results
"#,
    )
    .map(drop)
}
