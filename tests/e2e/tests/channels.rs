//! What clients see of channels, from their opening to their end, beside Debian's sshd: exit codes and signals, modes of
//! the sockets that are made, who ends which direction, hang-ups. The same scripts are given to both, and what is printed
//! must be the same. What is not has a reason, in [`DIFFERENCES`].

use std::fmt::Write as _;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::beside::{Ended, PORTS};
use e2e::{Server, Shared};

static SERVER: Shared = Shared::new("channels", "");

const CONFIGURATION: &str = "\
UsePAM yes
PrintMotd no
PrintLastLog no
MaxStartups 100
AcceptEnv LC_ACCEPTED
Subsystem sftp internal-sftp
Match User forcedhere
    ForceCommand echo forced; cat
Match User mask117
    StreamLocalBindMask 0117
    StreamLocalBindUnlink yes
Match User mask000
    StreamLocalBindMask 0000
    StreamLocalBindUnlink yes
Match User mask777
    StreamLocalBindMask 0777
    StreamLocalBindUnlink yes
Match User mask022
    StreamLocalBindMask 0022
";

/// What sshd does otherwise: the scene, ours, theirs.
const DIFFERENCES: &[[&str; 3]] = &[
    // RFC 4254 section 6.10 has no name for it. What sshd says tells nobody which signal it was, and `ssh` makes 255 of
    // it; this is what a shell makes of it, and `ssh` returns it.
    [
        "ulimit -c 0; kill -XCPU $$",
        "close, eof, exit-status 152, b'', b''",
        "close, eof, exit-signal SIG@openssh.com, b'', b''",
    ],
    [
        "ulimit -c 0; kill -BUS $$",
        "close, eof, exit-status 135, b'', b''",
        "close, eof, exit-signal SIG@openssh.com, b'', b''",
    ],
    [
        "ulimit -c 0; kill -34 $$",
        "close, eof, exit-status 162, b'', b''",
        "close, eof, exit-signal SIG@openssh.com, b'', b''",
    ],
    // All signals of RFC 4254 section 6.9 can be sent; sshd knows seven of them.
    [
        "signal ABRT",
        "success, close, eof, exit-signal ABRT, b'', b''",
        UNKNOWN,
    ],
    [
        "signal ALRM",
        "success, close, eof, exit-signal ALRM, b'', b''",
        UNKNOWN,
    ],
    [
        "signal FPE",
        "success, close, eof, exit-signal FPE, b'', b''",
        UNKNOWN,
    ],
    [
        "signal ILL",
        "success, close, eof, exit-signal ILL, b'', b''",
        UNKNOWN,
    ],
    [
        "signal PIPE",
        "success, close, eof, exit-signal PIPE, b'', b''",
        UNKNOWN,
    ],
    [
        "signal SEGV",
        "success, close, eof, exit-signal SEGV, b'', b''",
        UNKNOWN,
    ],
    // Its EOF says that this is the end, whether or not somebody wanted more.
    [
        "a client that wants no output",
        "close, eof, exit-signal PIPE",
        "close, exit-signal PIPE",
    ],
    // Who has no terminal has no size of it. No client asks for this answer (RFC 4254 section 6.7).
    ["after the start: window-change", "failure", "success"],
    ["before the start: window-change", "failure", "success"],
];

/// The signal was refused, and the program ended with its input.
const UNKNOWN: &str = "failure, close, eof, exit-status 0, b'', b''";

/// What is done as whom with a stock client. `SSH` stands for it, on a connection that is there already; `OWN` is one with
/// a connection of its own. `FILE` is a path in `/tmp` that nobody else has. Each prints what is last, and more.
const CALLS: &[(&str, &str, &str)] = &[
    ("plain", "SSH 'exit 42'; echo $?", "42"),
    ("plain", "SSH 'kill -SEGV $$'; echo $?", "255"),
    ("plain", "SSH nosuchcommand; echo $?", "command not found"),
    (
        "plain",
        "OWN -s nonesuch; echo $?",
        "subsystem request failed",
    ),
    (
        "plain",
        "OWN -v 'kill -TERM $$' 2>&1 | grep -e 'rtype exit' -e 'Exit status'",
        "rtype exit-signal",
    ),
    (
        "plain",
        "OWN -v -tt 'exit 3' 2>&1 | grep -e 'rtype exit' -e 'Exit status'",
        "Exit status 3",
    ),
    // Input and terminals.
    ("plain", "echo words | SSH cat; echo $?", "words\n0"),
    ("plain", "echo words | SSH -n cat; echo $?", "0\n"),
    (
        "plain",
        "echo words | SSH -T 'cat; tty'; echo $?",
        "words\nnot a tty",
    ),
    (
        "plain",
        "printf 'echo $0\\nexit 5\\n' | SSH -T 2>/dev/null | tail -n 1",
        "-bash\n",
    ),
    (
        "plain",
        "printf 'words\\n\\004' | OWN -tt 'cat; tty | tr 0-9 N; exit 6'; echo $?",
        "words\r\nwords\r\n/dev/pts/N",
    ),
    (
        "plain",
        "TERM=vt220 OWN -tt 'echo $TERM; stty -a' </dev/null; echo $?",
        "vt220\r\nspeed",
    ),
    // The client may say first that it goes to the background.
    (
        "plain",
        "{ OWN -f 'echo up; sleep 0.5; echo late; exit 7'; echo $?; } | sort",
        "late",
    ),
    // Half-closed, and streams that nobody reads.
    (
        "plain",
        "head -c 3000000 /dev/zero | SSH 'wc -c; sleep 0.2; echo after'; echo $?",
        "3000000\nafter\n0",
    ),
    (
        "plain",
        "head -c 5000000 /dev/zero | SSH 'exec <&-; sleep 0.2; echo done'; echo $?",
        "done\n0",
    ),
    (
        "plain",
        "head -c 5000000 /dev/zero | SSH 'head -c 1 | wc -c'; echo $?",
        "1\n0",
    ),
    (
        "plain",
        "SSH 'head -c 5000000 /dev/urandom | tee FILE; exit 9' >FILE.out; echo $?; cmp FILE FILE.out && echo same",
        "9\nsame",
    ),
    (
        "plain",
        "SSH -tt 'yes | head -n 300000; exit 9' | md5sum",
        "  -",
    ),
    (
        "plain",
        "SSH '(sleep 0.5; echo late; echo later >&2) & echo hi; exit 3'; echo $?",
        "late\n3\nlater",
    ),
    (
        "plain",
        "SSH 'setsid sleep 60 >/dev/null 2>&1 </dev/null & echo hi; exit 3'; echo $?",
        "hi\n3",
    ),
    // A client that is gone: what its programs see.
    (
        "plain",
        "OWN -tt 'trap \"echo hung up >FILE; exit\" HUP; echo up; while :; do sleep 0.05; done' </dev/null GONE",
        "hung up",
    ),
    (
        "plain",
        "sleep 60 | OWN 'echo up; cat; echo ended >FILE' GONE",
        "ended",
    ),
    (
        "plain",
        "OWN 'trap \"\" PIPE; echo up; while echo on; do sleep 0.05; done 2>/dev/null; echo ended >FILE' GONE",
        "ended",
    ),
    // The agent's socket, and that it is gone with the connection. With sshd its group's bits are those of the umask that
    // PAM has set (775 on Debian 13); here they are always the same, and nobody else comes through the directory anyway.
    (
        "plain",
        "ssh-agent OWN -o IdentityAgent=SSH_AUTH_SOCK -A 'dirname $SSH_AUTH_SOCK >FILE; cd $(cat FILE); \
         stat -c \"%a %U %G %F\" . *; ls -A | tr 0-9 N; dirname $PWD' | sed 's/NN*/N/; s/^775/755/'; \
         for wait in $(seq 200); do test -e $(cat FILE) || break; sleep 0.02; done; ls -d $(cat FILE) 2>&1 | sed 's/.*: //'",
        "700 plain plain directory\n755 plain plain socket",
    ),
    ("plain", PATHS, "600 plain plain socket FILE.nothing\n"),
    ("mask117", PATHS, "660 mask117 mask117 socket FILE.link\n"),
    ("mask000", PATHS, "777 mask000 mask000 socket FILE.file\n"),
    ("mask777", PATHS, "0 mask777 mask777 socket FILE.dangling\n"),
    (
        "mask022",
        PATHS,
        "755 mask022 mask022 socket FILE.nothing\n",
    ),
    // A path that the client takes back. (Its file is then gone with ours only.)
    (
        "plain",
        "OWN -fNM -oExitOnForwardFailure=yes -S FILE.control -R FILE:/nowhere && stat -c '%a %F' FILE; \
         ssh -S FILE.control server -O cancel -R FILE:/nowhere; \
         for wait in $(seq 200); do nc -U FILE </dev/null >/dev/null 2>&1 || break; sleep 0.02; done; \
         nc -U FILE </dev/null >/dev/null 2>&1 || echo refused; ssh -S FILE.control server -O exit",
        "600 socket\nrefused\n",
    ),
];

/// Paths that the client takes connections of: nothing, a file, a directory, links, and a file of somebody else are in
/// their way, and one is in a directory of somebody else.
const PATHS: &str = "install -o USER /dev/null FILE.file; install -d -o USER FILE.directory; install /dev/null FILE.other; \
    ln -s /etc/passwd FILE.link; ln -s FILE.nowhere FILE.dangling; chown -h USER FILE.link FILE.dangling; \
    OWN -R FILE.nothing:/nowhere -R FILE.file:/nowhere -R FILE.directory:/nowhere -R FILE.other:/nowhere -R FILE.link:/nowhere \
        -R FILE.dangling:/nowhere -R /etc/nobodys:/nowhere 'stat -c \"%a %U %G %F %n\" FILE.*'; ls /etc/nobodys /etc/passwd";

/// Kills the client once its program is up, and shows what that has written then.
const GONE: &str = ">FILE.out & for wait in $(seq 400); do grep -qs up FILE.out && break; sleep 0.02; done; kill -KILL $!; \
    for wait in $(seq 400); do test -s FILE && break; sleep 0.02; done; cat FILE";

/// One call for each server.
fn call(number: usize, user: &str, text: &str) -> [String; 2] {
    PORTS.map(|port| {
        let client = client(user, port);
        let shared = format!("{client} -S {}", shared(port));
        text.replace("GONE", GONE)
            .replace("SSH ", &format!("{shared} server "))
            .replace("OWN ", &format!("{client} server "))
            .replace("FILE", &file(number, port))
            .replace("USER", user)
    })
}

fn client(user: &str, port: u16) -> String {
    format!("ssh -F /root/ssh_config.{user} -p {port} -o HostKeyAlias=127.0.0.1")
}

/// Where the client is that has a connection already.
fn shared(port: u16) -> String {
    format!("/root/channels.{port}")
}

fn file(number: usize, port: u16) -> String {
    format!("/tmp/channels.{number}.{port}")
}

/// The machine with both servers, configured, and the users.
fn both() -> Result<Option<&'static Server>> {
    if SERVER.ours()?.is_none() {
        return Ok(None);
    }
    SERVER.prepared(prepare).map(Some)
}

fn prepare(server: &Server) -> Result<()> {
    for user in [
        "plain",
        "many",
        "ends",
        "forcedkey",
        "forcedhere",
        "mask117",
        "mask000",
        "mask777",
        "mask022",
    ] {
        let key = server.add_user(user)?;
        server.client_config(&key, "LogLevel ERROR")?;
    }
    server.shell(
        "sed -i 's/^/command=\"echo forced; cat\" /' /home/forcedkey/.ssh/authorized_keys",
    )?;
    for (name, program) in [
        ("programs", include_str!("channels/programs.py")),
        ("connections", include_str!("channels/connections.py")),
    ] {
        let path = format!("/root/{name}.py");
        server.write_file(&path, program.as_bytes(), 0o644)?;
    }
    let ours = format!("PerSourcePenalties no\n{CONFIGURATION}");
    server.configure_beside([&ours, CONFIGURATION], "")?;
    server.shell("mkdir -p /root/calls")?;
    for port in PORTS {
        let (client, shared) = (client("plain", port), shared(port));
        server.shell(&format!(
            "{client} -fNM -S {shared} server </dev/null >/dev/null 2>&1"
        ))?;
    }
    Ok(())
}

/// What a program in Python prints with each server, but for [`DIFFERENCES`]: `arguments` for a port.
fn compare_scenes(
    server: &Server,
    name: &str,
    least: usize,
    arguments: impl Fn(u16) -> Vec<String>,
) -> Result<()> {
    let mut running = Vec::new();
    for port in PORTS {
        let program = format!(
            "import runpy, sys\nsys.argv[1:] = {:?}\nrunpy.run_path('/root/{name}.py')",
            arguments(port)
        );
        running.push(server.python(&program).deadline(DEADLINE).spawn()?);
    }
    let mut told = Vec::new();
    for program in running {
        told.push(program.finish(DEADLINE)?.success()?.text());
    }
    let [ours, theirs] = told.try_into().map_err(|_| anyhow::anyhow!("two"))?;
    ensure!(ours.lines().count() >= least, "{ours}");
    ensure!(
        ours.lines().count() == theirs.lines().count(),
        "{ours}\n--\n{theirs}"
    );
    let mut unexpected = String::new();
    for (our, their) in ours.lines().zip(theirs.lines()) {
        let known = DIFFERENCES.iter().any(|[scene, ours, theirs]| {
            our == format!("{scene}: {ours}") && their == format!("{scene}: {theirs}")
        });
        let listed = DIFFERENCES
            .iter()
            .any(|[scene, ..]| our.starts_with(&format!("{scene}: ")));
        if known != listed || (!known && our != their) {
            writeln!(unexpected, "{our}\n-- sshd:\n{their}")?;
        }
    }
    ensure!(unexpected.is_empty(), "{unexpected}");
    Ok(())
}

const DEADLINE: Duration = Duration::from_secs(120);

fn compare_programs(user: &str, least: usize) -> Result<()> {
    let Some(server) = both()? else {
        return Ok(());
    };
    compare_scenes(server, "programs", least, |port| {
        vec![
            port.to_string(),
            user.to_owned(),
            format!("/root/keys/{user}"),
        ]
    })
}

#[test]
fn programs_end_and_are_signalled_as_with_sshd() -> Result<()> {
    compare_programs("many", 90)
}

#[test]
fn a_forced_command_of_a_key_gets_no_signal_as_with_sshd() -> Result<()> {
    compare_programs("forcedkey", 3)
}

#[test]
fn a_forced_command_of_the_server_gets_no_signal_as_with_sshd() -> Result<()> {
    compare_programs("forcedhere", 3)
}

#[test]
fn connections_end_as_with_sshd() -> Result<()> {
    let Some(server) = both()? else {
        return Ok(());
    };
    compare_scenes(server, "connections", 38, |port| {
        vec![
            port.to_string(),
            "ends".to_owned(),
            "/root/ssh_config.ends".to_owned(),
        ]
    })
}

#[test]
fn stock_clients_see_the_same_as_with_sshd() -> Result<()> {
    let Some(server) = both()? else {
        return Ok(());
    };
    let calls: Vec<[String; 2]> = CALLS
        .iter()
        .enumerate()
        .map(|(number, (user, text, _))| call(number, user, text))
        .collect();
    let ended = server.call_beside(&calls, 4)?;
    let mut different = String::new();
    for (number, ((user, text, within), ended)) in CALLS.iter().zip(ended).enumerate() {
        let mut shown = Vec::new();
        for (port, Ended { out, err, .. }) in PORTS.into_iter().zip(ended) {
            shown.push(format!("{out}{err}").replace(&file(number, port), "FILE"));
        }
        let [ours, theirs] = shown.try_into().map_err(|_| anyhow::anyhow!("two"))?;
        if ours != theirs || !ours.contains(within) {
            writeln!(different, "{user}: {text}\n{ours}-- sshd:\n{theirs}")?;
        }
    }
    ensure!(different.is_empty(), "{different}");
    Ok(())
}
