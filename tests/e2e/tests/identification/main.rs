//! What clients make of the server's name, beside Debian's sshd, which is called OpenSSH, and of other names.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use e2e::beside::PORTS;
use e2e::{Server, Shared};
use support::UserKey;
use support::users::client_options;

static SERVER: Shared = Shared::new("identification", "");

const CONFIGURATION: &str = "UsePAM yes\nSubsystem sftp internal-sftp\n";

/// The name is the server's, so one test at a time gives it one.
static TURN: Mutex<()> = Mutex::new(());

/// Runs each line with both servers and says what was on standard error, ours first. `SSH` in it becomes the client with
/// the server's name, `OPEN` standard input that neither ends nor has anything.
fn both(server: &Server, key: &UserKey, lines: &[&str]) -> Result<Vec<[String; 2]>> {
    let options = client_options(key).join(" ");
    let line = |line: &str, port: u16| {
        let user = &key.user;
        let client = format!(
            "timeout 30 ssh {options} -o HostKeyAlias=localhost -p {port} {user}@127.0.0.1"
        );
        line.replace("SSH", &client).replace("OPEN", "<>/root/open")
    };
    server.shell("test -p /root/open || mkfifo /root/open")?;
    let calls: Vec<[String; 2]> = lines
        .iter()
        .map(|text| PORTS.map(|port| line(text, port)))
        .collect();
    let ended = server.call_beside(&calls, 4)?;
    Ok(ended
        .into_iter()
        .map(|both| both.map(|one| one.err))
        .collect())
}

/// OpenSSH's client tells that it has no use for more output (eow@openssh.com, PROTOCOL section 2.1) if the server has
/// its name, and is told that a program reads no more.
#[test]
fn who_stops_to_read_is_heard_as_by_sshd() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("reader")?;
    server.configure_beside([CONFIGURATION; 2], "")?;
    let told = |line: &str| format!("{line} 2>&1 | grep -o 'rtype e[a-z@.-]*' | sort >&2");
    let lines = [
        // The reader is gone.
        "{ SSH '(exec cat /dev/zero); exit $?'; echo $? >&2; } | false",
        "{ SSH 'exec cat /dev/zero'; echo $? >&2; } | head -c 1 >/dev/null",
        "{ SSH 'while sleep 0.2; do echo; done'; echo $? >&2; } | head -n 1 >/dev/null",
        // What a program leaves behind has no input any more.
        "SSH '{ cat; echo over >&2; } <&0 & exit 5' OPEN; echo $? >&2",
        // The program is gone, or its input.
        &told("SSH -v true OPEN"),
        &told("SSH -v -tt true OPEN"),
        &told("yes | SSH -v true"),
        &told("yes | SSH -v 'exec <&-; sleep 1'"),
        // Nobody else gets a session of this connection.
        "SSH -v true 2>&1 | grep -o 'no-more-sessions@[a-z.]*' >&2",
    ];
    let expected = [
        "141\n",
        "255\n",
        "255\n",
        "over\n5\n",
        "rtype eow@openssh.com\nrtype exit-status\n",
        "rtype eow@openssh.com\nrtype exit-status\n",
        "rtype eow@openssh.com\nrtype exit-status\n",
        "rtype eow@openssh.com\nrtype exit-status\n",
        "no-more-sessions@openssh.com\n",
    ];
    let mut different = String::new();
    for ((said, line), expected) in both(server, &key, &lines)?.iter().zip(lines).zip(expected) {
        for (said, whose) in said.iter().zip(["ours", "theirs"]) {
            if said != expected {
                writeln!(different, "{whose}, {line}: {said:?}")?;
            }
        }
    }
    ensure!(different.is_empty(), "{different}");
    Ok(())
}

#[test]
fn a_symbolic_link_is_made_under_each_name() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("linked")?;
    // The last one is a release to libssh.
    for name in ["none", "sshd_privsep_0.1.0", "OpenSSH_9.9"] {
        server.configure(&format!("SoftwareVersion {name}"))?;
        let program = include_str!("symlinks.py");
        server
            .command([
                "python3",
                "-W",
                "ignore",
                "-c",
                program,
                &key.user,
                &key.machine_path,
            ])
            .run()?
            .success()?;
    }
    Ok(())
}
