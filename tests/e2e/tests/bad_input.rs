//! Clients that break the protocol: each is turned away with a line in the journal, and nobody else notices.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::server::eventually;
use e2e::{Peer, Server, Shared};

/// Many half-open connections at once must not be dropped for their number here.
static SERVER: Shared = Shared::new("bad-input", "MaxStartups 200:30:300\nLoginGraceTime 8\n");

/// One way to break the protocol.
struct Case {
    name: &'static str,
    /// Python with `packets`. It prints the client's port and succeeds when the server has ended the connection.
    client: &'static str,
    /// What the line of the journal about this client holds.
    said: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "words of another protocol",
        client: "c = Client(b'GET / HTTP/1.1\\r\\n'); c.must_be_closed()",
        said: "banner exchange",
    },
    Case {
        name: "an old protocol version",
        client: "c = Client(b'SSH-1.5-old\\r\\n'); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "bytes that are no text",
        client: "c = Client(None); c.send(os.urandom(4000) + b'\\n'); c.must_be_closed()",
        said: "banner exchange",
    },
    Case {
        name: "an identification without an end",
        client: "c = Client(None); c.send(b'SSH-2.0-' + b'a' * 100000); c.must_be_closed()",
        said: "banner exchange",
    },
    Case {
        name: "control characters in the identification",
        client: "c = Client(b'SSH-2.0-\\x1b[31mred\\x07\\r\\n'); c.say(b'\\x63'); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a packet of four gigabytes",
        client: "c = Client(); c.send(b'\\xff' * 64); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a packet that is longer than any may be",
        client: "c = Client(); c.send(struct.pack('>I', 1 << 20) + bytes(65536)); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a packet of length zero",
        client: "c = Client(); c.send(bytes(64)); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "padding that is longer than its packet",
        client: "c = Client(); c.send(struct.pack('>IB', 12, 200) + bytes(11)); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "an empty payload",
        client: "c = Client(); c.send(struct.pack('>IB', 12, 11) + bytes(11)); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a KEXINIT that is cut short",
        client: "c = Client(); c.say(kexinit()[:40]); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a list that claims more bytes than there are",
        client: "c = Client(); c.say(kexinit()[:17] + b'\\xff\\xff\\xff\\xff' + kexinit()[21:]); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "no common key exchange method",
        client: "c = Client(); c.say(kexinit(kex=b'none-of-yours')); c.must_be_closed()",
        said: "Unable to negotiate with 127.0.0.1 port ",
    },
    Case {
        name: "authentication before the key exchange",
        client: "c = Client(); c.say(userauth_request()); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "authentication amid the key exchange",
        client: "c = Client(); c.exchange_up_to_reply(); c.say(service_request(), userauth_request()); \
                 assert 52 not in c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a channel before authentication (CVE-2025-32433)",
        client: "c = Client(); c.exchange_up_to_reply(); c.say(channel_open()); \
                 assert 91 not in c.must_be_closed()",
        said: "",
    },
    Case {
        name: "the server's own word for success (CVE-2018-10933)",
        client: "c = Client(); c.exchange_up_to_reply(); c.say(bytes([USERAUTH_SUCCESS])); \
                 assert 91 not in c.must_be_closed()",
        said: "",
    },
    Case {
        name: "new keys before there are any",
        client: "c = Client(); c.exchange_up_to_reply(); c.say(bytes([NEWKEYS])); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "two KEXINITs",
        client: "c = Client(); c.exchange_up_to_reply(); c.say(kexinit()); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "an all-zero public key",
        client: "c = Client(); c.exchange_up_to_reply(); c.say(ecdh_init(bytes(32))); \
                 assert KEX_ECDH_REPLY not in c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a public key of the wrong length",
        client: "c = Client(); c.exchange_up_to_reply(); c.say(ecdh_init(bytes(31))); \
                 assert KEX_ECDH_REPLY not in c.must_be_closed()",
        said: "",
    },
    Case {
        name: "plain text after the keys are there",
        client: "c = Client(); c.exchange_up_to_reply(); \
                 c.say(ecdh_init(bytes([9]) + bytes(31)), bytes([NEWKEYS]), service_request()); \
                 c.send(bytes(4096)); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "an end amid a packet",
        client: "c = Client(); c.send(packet(kexinit())[:100]); c.socket.shutdown(socket.SHUT_WR); c.must_be_closed()",
        said: "",
    },
    Case {
        name: "a reset amid the key exchange",
        client: "c = Client(); c.exchange_up_to_reply(); c.reset()",
        said: "",
    },
    Case {
        name: "a disconnect with control characters in its text",
        client: "c = Client(); \
                 c.say(bytes([DISCONNECT]) + struct.pack('>I', 2) + string(b'\\x1b]0;evil\\x07\\nsshd: forged') + string(b'')); \
                 c.must_be_closed()",
        said: "Received disconnect from 127.0.0.1 port ",
    },
];

/// The texts of the entries about the client with this port.
fn about(server: &Server, since: &str, port: &str) -> Result<Vec<String>> {
    let entries = server.entries(&["--since", since, "-t", "sshd"])?;
    let named = format!(" port {port}");
    Ok(entries
        .iter()
        .filter(|entry| {
            entry
                .message()
                .split(&named)
                .skip(1)
                .any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(|entry| entry.message().to_owned())
        .collect())
}

fn port_of(output: &str) -> Result<&str> {
    output
        .lines()
        .find_map(|line| line.strip_prefix("port "))
        .context("the client printed no port")
}

/// A session that is there before and must be there, and work, after.
struct Bystander {
    client: support::Running,
    lines: u32,
}

impl Bystander {
    fn new(server: &Server, name: &str) -> Result<Self> {
        let key = server.add_user(name)?;
        let client = server.ssh(&key, &[], &["echo up; cat"]).spawn()?;
        client.wait_for("up", Duration::from_secs(20))?;
        Ok(Self { client, lines: 0 })
    }

    fn must_work(&mut self) -> Result<()> {
        self.lines += 1;
        let line = format!("line {}\n", self.lines);
        self.client.write(line.as_bytes())?;
        self.client.wait_for(&line, Duration::from_secs(20))?;
        Ok(())
    }
}

#[test]
fn each_breach_of_the_protocol_ends_that_connection_only() -> Result<()> {
    let server = SERVER.get()?;
    let mut bystander = Bystander::new(server, "bystander")?;
    for Case { name, client, said } in CASES {
        let since = server.now()?;
        let output = server
            .run_python(&format!("from packets import *\n{client}"))
            .with_context(|| (*name).to_owned())?
            .text();
        let port = port_of(&output)?;
        let mut lines = Vec::new();
        eventually(name, Duration::from_secs(10), || {
            lines = about(server, &since, port)?;
            // Some breaches OpenSSH answers with UNIMPLEMENTED, and its grace time then ends without a word.
            let silent = server.peer() == Peer::OpenSsh && said.is_empty();
            Ok(silent || lines.iter().any(|line| line.contains(said)))
        })
        .with_context(|| format!("the journal says {lines:?}, wanted is {said:?}"))?;
        for line in &lines {
            ensure!(
                !line.contains(char::is_control) && line.len() < 1000,
                "{name}: {line:?}"
            );
            ensure!(
                server.peer() == Peer::OpenSsh || !line.contains("Timeout"),
                "{name}: {line:?}"
            );
        }
        bystander.must_work().with_context(|| (*name).to_owned())?;
    }
    nothing_is_left_broken(server)
}

#[test]
fn many_half_open_connections_leave_room_for_a_login() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("amidst")?;
    let mut bystander = Bystander::new(server, "bystander2")?;
    let program = "
from packets import *
import sys
stages = [
    lambda: Client(None),
    lambda: Client(),
    lambda: Client(None),
]
idle = []
for number in range(60):
    client = stages[number % 3]()
    if number % 3 == 2:
        client.send(b'SSH-2.0-half')
    idle.append(client)
print('all open', flush=True)
sys.stdin.readline()
for number, client in enumerate(idle):
    client.reset() if number % 2 else client.socket.close()
";
    let mut strangers = server.python(program).spawn()?;
    strangers.wait_for("all open", Duration::from_secs(60))?;
    server.must_serve(&key)?;
    bystander.must_work()?;
    strangers.close_stdin();
    strangers.finish(Duration::from_secs(90))?.success()?;
    server.must_serve(&key)?;
    bystander.must_work()?;
    nothing_is_left_broken(server)
}

#[test]
fn a_client_that_says_its_name_byte_by_byte_is_served() -> Result<()> {
    let server = SERVER.get()?;
    let program = "
from packets import *
client = Client(None)
for byte in IDENTIFICATION + packet(kexinit()):
    client.send(bytes([byte]))
    time.sleep(0.001)
assert client.read_line().startswith(b'SSH-2.0-')
assert client.read_packet()[0] == KEXINIT
client.say(ecdh_init(bytes([9]) + bytes(31)))
assert client.read_packet()[0] == KEX_ECDH_REPLY
";
    server.run_python(program)?;
    Ok(())
}

#[test]
fn a_client_that_never_reads_is_not_answered_without_end() -> Result<()> {
    // CVE-2025-26466: answers queued for a client that does not read. These ones have no answer, or a small one.
    let server = SERVER.get()?;
    let key = server.add_user("besides")?;
    let program = "
from packets import *
client = Client()
client.socket.settimeout(3)
flood = b''.join(packet(bytes([192]) + string(b'x' * 1000)) + packet(bytes([IGNORE]) + string(b'')) for _ in range(1000))
try:
    for _ in range(64):
        client.socket.sendall(flood)
except (TimeoutError, ConnectionResetError, BrokenPipeError):
    pass
print('flooded', flush=True)
";
    server.run_python(program)?;
    server.must_serve(&key)?;
    nothing_is_left_broken(server)
}

fn nothing_is_left_broken(server: &Server) -> Result<()> {
    ensure!(
        server.failed_units()?.is_empty(),
        "{}",
        server.failed_units()?
    );
    let signs = "dumped core|SIGSEGV|SIGABRT|SIGSYS|panicked";
    // Its exit status is 1 when there are none.
    let crashes = server
        .exec(["journalctl", "--no-pager", "-q", "-b", "-g", signs])?
        .text();
    ensure!(crashes.is_empty(), "{crashes}");
    if server.peer() == Peer::Ours {
        let restarts = server.shell("systemctl show -P NRestarts sshd-privsep-monitor.service")?;
        ensure!(
            restarts.trim() == "0",
            "the monitor was restarted: {restarts}"
        );
    }
    Ok(())
}
