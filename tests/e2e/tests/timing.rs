//! What the time of a refusal tells: nothing about whether the user exists or may log in.
//!
//! Passwords are tried many times in one connection for each kind of user; public keys once in each connection, for a
//! name of its own: the delay of such a refusal has a part that is constant for a name, so that the same name twice would
//! be one value twice. Kinds take turns, so that whatever else happens on the machine happens to all of them.
//!
//! That the test can see a difference between passwords is shown each time, by programs built for it: a monitor that does
//! not wait (feature `without-delays`), and then a PAM process that hashes nothing for who has no password (feature
//! `without-dummy-work`), too. The first also shows that the packaged PAM process does hash, and no refusal of the packaged
//! monitor comes before its first possible time: neither was built with its feature. For keys there is no such control.
//!
//! `cargo xtask timing` makes 500 attempts for each kind. In a plain run there are few: it finds that the delays or the
//! dummy work are missing, and not a difference that is small beside how much the times vary.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::server::CONFIGURATION;
use e2e::statistics::kolmogorov_smirnov;
use e2e::{Peer, Server};
use support::product::OWN_SETTINGS;
use support::progress;

/// How many attempts for each kind of user.
const ATTEMPTS_VARIABLE: &str = "SSHD_PRIVSEP_TIMING_ATTEMPTS";
const FEW: usize = 30;

/// The directory of the programs that are expected to tell who exists.
const CONTROL_VARIABLE: &str = "SSHD_PRIVSEP_TIMING_CONTROL";

/// How many attempts with those. The difference is large.
const CONTROL_ATTEMPTS: usize = 20;

/// Below this a difference is believed.
const SIGNIFICANT: f64 = 0.01;

/// No refusal of a password is answered earlier, in milliseconds.
const LEAST_FOR_PASSWORD: f64 = 125.0;

/// Who is compared with a user who exists and has a password: who does not exist, is denied by name, or has a locked
/// password. All names are of one length.
const OTHERS: [&str; 3] = ["absent", "denied", "locked"];

const SETTINGS: &str = "UsePAM yes\nDenyUsers denied*\nMaxStartups 100\nMaxAuthTries 1000\nLoginGraceTime 0\n\
                        PerSourcePenalties no\n";

/// Two seconds and a random part, which pam_unix(8) asks for unless it is told not to, would hide everything.
const PAM_STACK: &str = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n\
                         password required pam_deny.so\nsession required pam_deny.so\n";

/// Attempts, in turns, by four clients at a time; prints the kind and the seconds of each.
const PROGRAM: &str = "
import logging, random, socket, sys, threading, time
import paramiko
from paramiko.common import cMSG_USERAUTH_REQUEST
logging.getLogger('paramiko').addHandler(logging.NullHandler())
key = paramiko.ECDSAKey.generate()
method, first, last, kinds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].split(',')
CLIENTS = 4
times = []

def connect():
    transport = paramiko.Transport(socket.create_connection(('127.0.0.1', 22), timeout=30))
    transport.start_client(timeout=30)
    return transport

def refused(ask):
    began = time.perf_counter()
    try:
        ask()
    except paramiko.AuthenticationException:
        return time.perf_counter() - began
    raise SystemExit('logged in')

def public_keys(client):
    for number in range(first + client, last, CLIENTS):
        for kind in random.sample(kinds, len(kinds)):
            transport = connect()
            times.append((kind, refused(lambda: transport.auth_publickey(f'{kind}{number:04}', key))))
            transport.close()

class Passwords:
    def __init__(self, user):
        self.user, self.transport = user, connect()
        refused(lambda: self.transport.auth_password(user, 'wrong', fallback=False))

    # Not auth_password again: it asks for the service each time.
    def attempt(self):
        message = paramiko.Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        for text in (self.user, 'ssh-connection', 'password'):
            message.add_string(text)
        message.add_boolean(False)
        message.add_string('wrong')
        handler = self.transport.auth_handler
        handler.auth_event = answered = threading.Event()
        began = time.perf_counter()
        self.transport._send_message(message)
        assert answered.wait(60) and self.transport.is_active()
        return time.perf_counter() - began

def passwords(client):
    connections = {kind: Passwords(f'{kind}{client:04}') for kind in kinds}
    for number in range(first + client, last, CLIENTS):
        for kind in random.sample(kinds, len(kinds)):
            times.append((kind, connections[kind].attempt()))
    for connection in connections.values():
        connection.transport.close()

work = {'password': passwords, 'publickey': public_keys}[method]
clients = [threading.Thread(target=work, args=(client,)) for client in range(CLIENTS)]
for client in clients: client.start()
for client in clients: client.join()
for kind, seconds in times: print(kind, seconds)
";

#[test]
fn a_refusal_takes_no_other_time_for_who_is_nobody_or_may_not_log_in() -> Result<()> {
    if Peer::from_environment()? != Peer::Ours {
        return Ok(());
    }
    let attempts = match std::env::var(ATTEMPTS_VARIABLE) {
        Ok(number) => number.parse().context(ATTEMPTS_VARIABLE)?,
        Err(_) => FEW,
    };
    let control = std::env::var_os(CONTROL_VARIABLE)
        .map(PathBuf::from)
        .context("SSHD_PRIVSEP_TIMING_CONTROL names no programs: run `cargo xtask test`")?;
    let server = Server::up("timing", "")?;
    server.write_file(OWN_SETTINGS, b"", 0o644)?;
    server.write_file(CONFIGURATION, SETTINGS.as_bytes(), 0o644)?;
    server.write_file("/etc/pam.d/sshd", PAM_STACK.as_bytes(), 0o644)?;
    server.reload()?;
    add_accounts(&server, attempts * 2)?;

    for method in ["password", "publickey"] {
        must_be_equal(&server, method, attempts)?;
    }

    replace(&server, &control, "monitor")?;
    let hashed = Times::measure(&server, "password", 0, CONTROL_ATTEMPTS, &OTHERS)?;
    for kind in OTHERS {
        hashed.compare(kind)?;
        ensure!(
            hashed.median(kind)? > hashed.median("exists")? / 2.0,
            "the packaged PAM process does no dummy work for {kind}"
        );
    }
    replace(&server, &control, "pam")?;
    let idle = Times::measure(&server, "password", 0, CONTROL_ATTEMPTS, &OTHERS)?;
    // Who is denied has a password, which is hashed by PAM itself.
    for kind in ["absent", "locked"] {
        ensure!(
            idle.compare(kind)? < SIGNIFICANT,
            "without delays and dummy work {kind} is not told apart: this test sees nothing"
        );
    }
    Ok(())
}

fn must_be_equal(server: &Server, method: &str, attempts: usize) -> Result<()> {
    let mut suspects = OTHERS.to_vec();
    // One sample in a hundred differs by chance. One pair of them in ten thousand does.
    for round in 0..2 {
        let times = Times::measure(server, method, round * attempts, attempts, &suspects)?;
        let mut differ = Vec::new();
        for kind in suspects {
            if times.compare(kind)? < SIGNIFICANT {
                differ.push(kind);
            }
        }
        if method == "password" {
            let least = times.least();
            ensure!(
                least >= LEAST_FOR_PASSWORD,
                "a refusal is not held back: {least} ms"
            );
        }
        if differ.is_empty() {
            return Ok(());
        }
        suspects = differ;
    }
    anyhow::bail!("{method}: refusals take another time for {suspects:?}");
}

/// Accounts, written at once: a thousand calls of useradd(8) take minutes.
fn add_accounts(server: &Server, count: usize) -> Result<()> {
    server.shell(&format!(
        "uid=20000
         hash=$(perl -e 'print crypt(\"right\", q($y$j9T$saltstring1$))')
         case $hash in '$y$'*) ;; *) exit 1;; esac
         for kind in exists denied locked; do for number in $(seq -f %04g 0 {}); do
             uid=$((uid + 1))
             echo \"$kind$number:x:$uid:100::/home/$kind$number:/bin/sh\" >&3
             case $kind in locked) field=!$hash;; *) field=$hash;; esac
             echo \"$kind$number:$field:19000:0:99999:7:::\" >&4
         done; done 3>>/etc/passwd 4>>/etc/shadow",
        count - 1
    ))?;
    Ok(())
}

/// Puts the control's program in the place of the packaged one.
fn replace(server: &Server, control: &std::path::Path, program: &str) -> Result<()> {
    let path = format!("/usr/libexec/sshd-privsep/{program}");
    server.copy_in(&control.join(program), &format!("{path}.control"), 0o755)?;
    // Renamed into place: the file of a running process stays what it is.
    server.shell(&format!(
        "mv {path}.control {path}; systemctl restart sshd-privsep-monitor.service"
    ))?;
    Ok(())
}

/// What attempts took, in milliseconds, each with the kind of its user.
struct Times(Vec<(String, f64)>);

impl Times {
    /// Measures users who exist, and these others.
    fn measure(
        server: &Server,
        method: &str,
        first: usize,
        count: usize,
        others: &[&str],
    ) -> Result<Self> {
        let kinds = [["exists"].as_slice(), others].concat();
        let output = server
            .python(PROGRAM)
            .args([
                method.to_owned(),
                first.to_string(),
                (first + count).to_string(),
                kinds.join(","),
            ])
            .deadline(Duration::from_secs(1200))
            .run()?
            .success()?
            .text();
        let mut times = Vec::new();
        for line in output.lines() {
            let (kind, seconds) = line.split_once(' ').context("a line of the program")?;
            times.push((kind.to_owned(), seconds.parse::<f64>()? * 1000.0));
        }
        ensure!(times.len() == count * kinds.len(), "{output}");
        let times = Self(times);
        progress::line(format_args!(
            "{method}, exists, {count}: median {:.2} ms",
            times.median("exists")?
        ));
        Ok(times)
    }

    fn of(&self, kind: &str) -> Vec<f64> {
        let of = self.0.iter().filter(|(of, _)| of == kind);
        of.map(|(_, time)| *time).collect()
    }

    fn median(&self, kind: &str) -> Result<f64> {
        let mut times = self.of(kind);
        times.sort_by(f64::total_cmp);
        times
            .get(times.len() / 2)
            .copied()
            .context("nothing was measured")
    }

    fn least(&self) -> f64 {
        self.0
            .iter()
            .map(|(_, time)| *time)
            .fold(f64::INFINITY, f64::min)
    }

    /// How likely it is that who exists and who is of this kind differ as much by chance.
    fn compare(&self, kind: &str) -> Result<f64> {
        let result = kolmogorov_smirnov(&self.of("exists"), &self.of(kind));
        progress::line(format_args!(
            "  {kind}: median {:.2} ms, D = {:.3}, p = {:.2e}",
            self.median(kind)?,
            result.distance,
            result.p
        ));
        Ok(result.p)
    }
}
