//! Tunnels of packets (`ssh -w`): what they carry, whose devices they end at, and refusals in sshd's words.
//!
//! Each test passes with Debian's sshd, too, but the one of ChannelTimeout. And its DisableForwarding leaves tunnels.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use e2e::{Peer, Server, Shared};
use support::UserKey;

static SERVER: Shared = Shared::new(
    "tunnels",
    "PermitTunnel yes\n\
     Match User untunnelled\n  PermitTunnel no\n\
     Match User unforwarded\n  DisableForwarding yes\n\
     Match User layer3\n  PermitTunnel point-to-point\n\
     Match User silent\n  ChannelTimeout tun-connection=1\n\
     Match all\n",
);

/// Both ends of a tunnel are in this machine: the client's is moved to a network of its own.
const FUNCTIONS: &str = r#"
from sockets import *
import ctypes
import signal


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=20)


def inside(network, work):
    with open(f"/run/netns/{network}") as there, open("/proc/thread-self/ns/net") as here:
        libc = ctypes.CDLL(None)
        assert libc.setns(there.fileno(), 0) == 0
        try:
            return work()
        finally:
            assert libc.setns(here.fileno(), 0) == 0


def connected(theirs, ours, number):
    """Gives both interfaces addresses, and sends bytes through what is between them."""
    network = f"far{number}"
    ip("netns", "add", network)
    ip("link", "set", theirs, "netns", network)
    near, far = f"10.70.{number}.1", f"10.70.{number}.2"
    ip("addr", "add", f"{near}/30", "dev", ours)
    ip("-6", "addr", "add", f"fd70:{number}::1/64", "dev", ours, "nodad")
    ip("link", "set", ours, "up")
    ip("-n", network, "addr", "add", f"{far}/30", "dev", theirs)
    ip("-n", network, "-6", "addr", "add", f"fd70:{number}::2/64", "dev", theirs, "nodad")
    ip("-n", network, "link", "set", theirs, "up")
    exchange(inside(network, lambda: listen((far, 7000))), lambda: connect((far, 7000)))
    listener = inside(network, lambda: socket.create_server((f"fd70:{number}::2", 7001), family=socket.AF_INET6))
    with socket.create_connection((f"fd70:{number}::2", 7001), 20) as client:
        client.sendall(b"six")
        assert accept(listener).recv(3) == b"six"


def refused(config, *options):
    """What ssh says when there is no tunnel."""
    command = ["ssh", "-v", "-F", config, "-oExitOnForwardFailure=yes", *options, "server", "echo in"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    assert ended.returncode == 255 and "in" not in ended.stdout.split(), ended
    return ended.stderr
"#;

/// The device is in a container's `/dev` for root only, or not at all.
fn site() -> Result<&'static Server> {
    static DEVICE: OnceLock<Result<(), String>> = OnceLock::new();
    let server = SERVER.get()?;
    let made = DEVICE.get_or_init(|| {
        let made = server.shell(
            "mkdir -p /dev/net; test -e /dev/net/tun || mknod /dev/net/tun c 10 200; chmod 666 /dev/net/tun",
        );
        made.map(drop).map_err(|error| format!("{error:#}"))
    });
    made.clone().map_err(|error| anyhow!(error))?;
    Ok(server)
}

/// Runs a program of the client's machine as root. `config` is the file of a client for this user.
fn run(server: &Server, key: &UserKey, program: &str) -> Result<()> {
    let config = server.client_config(key, "")?;
    let program = format!("{FUNCTIONS}\nconfig = {config:?}\n{program}");
    server.run_python(&program).map(drop)
}

#[test]
fn packets_and_frames_pass_in_both_directions_and_programs_are_told_of_the_interfaces() -> Result<()>
{
    let server = site()?;
    let key = server.make_key("root")?;
    server.authorize("root", &key.public)?;
    run(
        server,
        &key,
        r#"
for number, words, kind in (1, ["-w60:61"], "tun"), (2, ["-oTunnel=ethernet", "-w62:63"], "tap"):
    with Tunnel(config, *words) as tunnel:
        theirs, ours = words[-1][2:].split(":")
        assert tunnel.session("echo $SSH_TUNNEL") == f"{kind}{ours}\n"
        connected(kind + theirs, kind + ours, number)
    eventually("the interfaces are gone", lambda: not os.path.exists(f"/sys/class/net/{kind}{ours}"))
with Tunnel(config, "-wany:any") as tunnel:
    assert tunnel.session("echo $SSH_TUNNEL").startswith("tun")
"#,
    )
}

#[test]
fn a_user_has_the_devices_that_were_made_for_them_and_no_others() -> Result<()> {
    let server = site()?;
    let key = server.add_user("owner")?;
    run(
        server,
        &key,
        r#"
ip("tuntap", "add", "dev", "tun71", "mode", "tun", "user", "owner")
ip("tuntap", "add", "dev", "tap73", "mode", "tap", "user", "owner")
for number, words, kind in (3, ["-w70:71"], "tun"), (4, ["-oTunnel=ethernet", "-w72:73"], "tap"):
    with Tunnel(config, *words):
        theirs, ours = words[-1][2:].split(":")
        connected(kind + theirs, kind + ours, number)
for device in "74", "any":
    said = refused(config, f"-wany:{device}")
    assert "debug1: Remote: Failed to open the tunnel device." in said, said
    assert "open failed: connect failed: open failed" in said, said
"#,
    )
}

#[test]
fn a_tunnel_that_is_not_permitted_is_refused() -> Result<()> {
    let server = site()?;
    for (user, option) in [
        ("untunnelled", "-oTunnel=point-to-point"),
        ("layer3", "-oTunnel=ethernet"),
        ("unforwarded", "-oTunnel=point-to-point"),
    ] {
        if user == "unforwarded" && server.peer() == Peer::OpenSsh {
            continue;
        }
        let key = server.add_user(user)?;
        let program = format!(
            r#"
said = refused(config, "{option}", "-wany:any")
assert "debug1: Remote: Server has rejected tunnel device forwarding" in said, said
assert "open failed: connect failed: open failed" in said, said
"#
        );
        run(server, &key, &program)?;
    }
    Ok(())
}

#[test]
fn a_key_names_the_device() -> Result<()> {
    let server = site()?;
    let key = server.add_user("named")?;
    let line = format!("tunnel=\"81\" {}", key.public);
    server.write_file("/home/named/.ssh/authorized_keys", line.as_bytes(), 0o644)?;
    run(
        server,
        &key,
        r#"
for device in 81, 82:
    ip("tuntap", "add", "dev", f"tun{device}", "mode", "tun", "user", "named")
for asked in "any", "81":
    with Tunnel(config, f"-wany:{asked}") as tunnel:
        assert tunnel.session("echo $SSH_TUNNEL") == "tun81\n"
said = refused(config, "-wany:82")
assert "debug1: Remote: Failed to open the tunnel device." in said, said
"#,
    )
}

/// A tunnel drops what nobody takes, as any interface does, and goes on when somebody does.
#[test]
fn a_flooded_tunnel_holds_little_while_its_client_is_stopped() -> Result<()> {
    const LIMIT: u64 = 24 << 10;
    let server = site()?;
    let key = server.add_user("flooded")?;
    let config = server.client_config(&key, "")?;
    let program = format!(
        r#"{FUNCTIONS}
import sys, threading
ip("tuntap", "add", "dev", "tun95", "mode", "tun", "user", "flooded")
with Tunnel({config:?}, "-w94:95") as tunnel:
    connected("tun94", "tun95", 5)
    client = int("".join(filter(str.isdigit, tunnel.control("check").stderr)))
    over = threading.Event()

    def flood(sender, target):
        while not over.is_set():
            try:
                sender.sendto(bytes(1400), target)
            except OSError:
                time.sleep(0.001)

    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far = inside("far5", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    floods = [(near, ("10.70.5.2", 9)), (far, ("10.70.5.1", 9))]
    threads = [threading.Thread(target=flood, args=words) for words in floods]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    os.kill(client, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(client, signal.SIGCONT)
    over.set()
    for thread in threads:
        thread.join()
    listener = inside("far5", lambda: listen(("10.70.5.2", 7002)))
    exchange(listener, lambda: connect(("10.70.5.2", 7002)))
    print("flooded", flush=True)
    sys.stdin.readline()
"#
    );
    let mut running = server.python(&program).spawn()?;
    let deadline = Duration::from_secs(60);
    running.wait_for("flooded\n", deadline)?;
    if server.peer() == Peer::Ours {
        let worker = server.worker_of("flooded")?.pid;
        let peak = server.memory(&worker, "VmHWM")?;
        ensure!(peak < LIMIT, "the worker had {peak} KiB");
    }
    running.write(b"\n")?;
    running.finish(deadline)?.success()?;
    Ok(())
}

#[test]
fn a_tunnel_without_packets_is_closed_and_nothing_else() -> Result<()> {
    let server = site()?;
    if server.peer() == Peer::OpenSsh {
        // Its server calls the channel "tun", and does not find it by the name that sshd_config(5) gives it.
        return Ok(());
    }
    let key = server.add_user("silent")?;
    // Both interfaces stay down: nobody sends anything.
    run(
        server,
        &key,
        r#"
ip("tuntap", "add", "dev", "tun91", "mode", "tun", "user", "silent")
with Tunnel(config, "-w90:91") as tunnel:
    assert tunnel.session("echo $SSH_TUNNEL") == "tun91\n"
    eventually("the client has no interface", lambda: not os.path.exists("/sys/class/net/tun90"))
    assert tunnel.session("echo still here") == "still here\n"
"#,
    )
}
