//! A connection on standard input and output, which need not be an IP socket: how it is served and what is said of it,
//! next to Debian's `sshd -i` on the same machine.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::journal::SERVERS;
use e2e::{Server, Shared};
use support::UserKey;

static SERVER: Shared = Shared::new("inetd", "");

/// What each server is started with beside `-i`.
const OPTIONS: &str = "-o LogLevel=VERBOSE";

/// Runs its arguments on one end of a Unix socketpair, as socat's EXEC does, and connects the other end to its own
/// standard input and output.
const ON_A_SOCKET: &str = r#"
import os, socket, subprocess, sys, threading
ours, theirs = socket.socketpair()
server = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs)
theirs.close()

def up():
    while data := os.read(0, 65536):
        ours.sendall(data)
    ours.shutdown(socket.SHUT_WR)

threading.Thread(target=up, daemon=True).start()
while data := ours.recv(65536):
    while data:
        data = data[os.write(1, data):]
"#;

/// What a program of the session knows of its client.
const ASK: &str =
    "echo $SSH_CLIENT / $SSH_CONNECTION; loginctl show-session $XDG_SESSION_ID -P RemoteHost";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Socket,
    Pipes,
}

/// One test at a time: in the journal, the lines of one login cannot be told from those of another.
static TURN: Mutex<()> = Mutex::new(());

/// The lines of the journal about one login, and what its program printed.
struct Told {
    program: String,
    journal: Vec<String>,
}

/// The machine, where both servers can run.
fn server() -> Result<Option<&'static Server>> {
    let server = SERVER.ours()?;
    if let Some(server) = server {
        // ssh.service would make it.
        server.shell("mkdir -p /run/sshd")?;
        server.write_file("/root/on_a_socket.py", ON_A_SOCKET.as_bytes(), 0o644)?;
    }
    Ok(server)
}

/// Logs in through `binary -i`.
fn log_in(server: &Server, key: &UserKey, binary: &str, kind: Kind) -> Result<Told> {
    let proxy = match kind {
        Kind::Socket => format!("ProxyCommand=python3 /root/on_a_socket.py {binary} -i {OPTIONS}"),
        // ssh itself makes pipes.
        Kind::Pipes => format!("ProxyCommand={binary} -i {OPTIONS}"),
    };
    let since = server.now()?;
    let output = server
        .ssh(key, &["-o", &proxy], &[ASK])
        .deadline(Duration::from_secs(30))
        .run()?
        .success()
        .with_context(|| server.journal(&["--since", &since]).unwrap_or_default())?;
    server.wait_for_entry(&since, &["Starting session"])?;
    let entries = server.entries(&[&["--since", &since], SERVERS].concat())?;
    Ok(Told {
        program: output.text(),
        journal: entries
            .iter()
            .map(|entry| entry.message().to_owned())
            .collect(),
    })
}

#[test]
fn a_client_without_an_address_is_shown_as_by_sshd() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(server) = server()? else {
        return Ok(());
    };
    let key = server.add_user("nowhere")?;
    for kind in [Kind::Pipes, Kind::Socket] {
        let theirs = log_in(server, &key, "/usr/sbin/sshd", kind)?;
        let ours = log_in(server, &key, "/usr/sbin/sshd-privsep", kind)?;
        // The path of a Unix socket, here an empty one, is no address for us.
        let nameless = |text: &str| match kind {
            Kind::Pipes => text.to_owned(),
            Kind::Socket => text
                .replace(" on  port ", " on UNKNOWN port ")
                .replace("/ UNKNOWN 65535 65535\n", "/ UNKNOWN 65535 UNKNOWN 65535\n"),
        };
        // OpenSSH 10 does not tell PAM.
        let told = nameless(&theirs.program).replace(" 65535\n\n", " 65535\nUNKNOWN\n");
        assert_eq!(ours.program, told);
        assert!(
            ours.program
                .starts_with("UNKNOWN 65535 65535 / UNKNOWN 65535 UNKNOWN 65535\nUNKNOWN\n"),
            "{}",
            ours.program
        );
        for sentence in [
            "Connection from ",
            "Accepted publickey ",
            "Starting session: ",
        ] {
            let line = |told: &Told| {
                let mut lines = told.journal.iter();
                let line = lines.find(|line| line.starts_with(sentence));
                line.map(|line| nameless(line))
            };
            assert!(line(&ours).is_some(), "{sentence}: {:#?}", ours.journal);
            assert_eq!(line(&ours), line(&theirs));
        }
    }
    Ok(())
}

#[test]
fn a_client_without_an_address_is_in_no_list_of_addresses() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(server) = server()? else {
        return Ok(());
    };
    let file = "/root/match_config";
    let text = "UsePAM yes\nMatch Address 0.0.0.0/0,::/0\nForceCommand echo address\nMatch LocalAddress 0.0.0.0/0,::/0\n\
                ForceCommand echo local address\nMatch Host UNKNOWN LocalPort 65535\nForceCommand echo host\n";
    server.write_file(file, text.as_bytes(), 0o644)?;
    let key = server.add_user("matched")?;
    for binary in ["/usr/sbin/sshd", "/usr/sbin/sshd-privsep"] {
        let proxy = format!("ProxyCommand={binary} -i -f {file}");
        let output = server.ssh(&key, &["-o", &proxy], &["true"]).run()?;
        assert_eq!(output.success()?.text(), "host\n", "{binary}");
    }
    Ok(())
}
