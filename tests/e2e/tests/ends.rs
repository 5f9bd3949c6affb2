//! How sessions end, and what stays behind: a terminal, a program, one that was started to outlive the login, an agent, a
//! display, a port and a path are all open when it happens. Beside Debian's sshd, where that can end the same way.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::beside::PORTS;
use e2e::network::CLIENT_HOST;
use e2e::server::eventually;
use e2e::{Peer, Server, Shared};

static SERVER: Shared = Shared::new("ends", "");

/// For both servers. Clients that are cut off are found within three seconds.
const CONFIGURATION: &str = "UsePAM yes\nX11Forwarding yes\nPrintMotd no\nMaxStartups 100\n\
                             ClientAliveInterval 1\nClientAliveCountMax 2\n";

/// What is left of a user named $1 whose port was $2. Since Debian 13 last(1) is of wtmpdb(8), where a session of ours may
/// have begun before its terminal, and logind's list has the user's manager, too.
const LEFT: &str = r#"
lines() { echo "$1: $(sed '/^$/d' | wc -l)"; }
who | grep "^$1 " | lines who
find /dev/pts -user $1 | lines terminals
ps -o args= -U $1 | grep -vE '^((/usr)?/lib/systemd|\(sd-pam|.*dbus)' | lines processes
find /tmp -user $1 2>/dev/null | lines files
xauth -i -f /home/$1/.Xauthority list 2>/dev/null | lines cookies
ss -Hltn "sport = :$2" | lines ports
loginctl list-sessions --no-legend | grep -w $1 | grep -vw manager | lines sessions
last -w $1 | grep '^[^ ]* .*pts/.* - [0-9]' | lines ended
"#;

/// A session in which all of that is open.
struct Session<'server> {
    server: &'server Server,
    user: String,
    forwarded: u16,
    /// The unit of its worker, if it is ours.
    worker: Option<String>,
}

/// How the user's client reaches the servers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Loopback,
    Network,
}

impl<'server> Session<'server> {
    /// Logs in to the server at this port, ours or theirs. Each `number` is used once.
    fn open(server: &'server Server, name: &str, port: u16, number: u16, way: Way) -> Result<Self> {
        let user = format!("{name}{port}");
        let key = server.add_user(&user)?;
        let config = server.client_config(&key, "LogLevel ERROR")?;
        let forwarded = port + 7300 + number;
        let (enter, host) = match way {
            Way::Loopback => ("", "127.0.0.1"),
            Way::Network => ("ip netns exec client", "192.0.2.1"),
        };
        server.shell(&format!(
            "ssh-agent -a /run/agent.{user} >/dev/null
             DISPLAY=:77 setsid {enter} ssh -F {config} -p {port} -o HostName={host} -o HostKeyAlias=127.0.0.1 -tt -Y \
                 -A -o IdentityAgent=/run/agent.{user} -R {forwarded}:127.0.0.1:1 -R /tmp/{user}.path:/nowhere server \
                 'nohup sleep 9100 >/dev/null 2>&1 & test -n \"$DISPLAY\" && exec sleep 9000' \
                 </dev/null >/run/client.{user}.log 2>&1 & echo $! >/run/client.{user}"
        ))?;
        let mut session = Self {
            server,
            user,
            forwarded,
            worker: None,
        };
        session
            .must_leave(
                "who: 1\nterminals: 1\nprocesses: 3\nfiles: 3\ncookies: 1\nports: 2\nsessions: 1\nended: 0\n",
            )
            .with_context(|| {
                server
                    .shell(&format!("cat /run/client.{}.log", session.user))
                    .unwrap_or_default()
            })?;
        if port == PORTS[0] {
            ensure!(session.units()? == 1, "no unit of {}", session.user);
            session.worker = Some(server.worker_of(&session.user)?.unit);
        }
        Ok(session)
    }

    /// Waits until this is left.
    fn must_leave(&self, expected: &str) -> Result<()> {
        let script = format!("set -- {} {}\n{LEFT}", self.user, self.forwarded);
        let mut left = String::new();
        eventually(expected, Duration::from_secs(20), || {
            left = self.server.command(["sh", "-c", &script]).run()?.text();
            Ok(left == expected)
        })
        .with_context(|| format!("{}: {left}", self.user))?;
        if let Some(worker) = &self.worker {
            eventually("units are gone", Duration::from_secs(10), || {
                let states = format!("systemctl is-active {worker} || true");
                let worker = self.server.shell(&states)?;
                Ok(worker == "inactive\n" && self.units()? == 0)
            })?;
        }
        Ok(())
    }

    /// How many units of sessions of ours the user has.
    fn units(&self) -> Result<usize> {
        let users = self
            .server
            .shell("systemctl show -p User --value 'sshd-privsep-session-*' | sed '/^$/d'")?;
        Ok(users.lines().filter(|user| *user == self.user).count())
    }
}

/// The machine with both servers for ends that concern one session only.
fn shared() -> Result<Option<&'static Server>> {
    if SERVER.ours()?.is_none() {
        return Ok(None);
    }
    SERVER.prepared(prepare).map(Some)
}

fn prepare(server: &Server) -> Result<()> {
    server.shell(CLIENT_HOST)?;
    server.configure_beside([CONFIGURATION; 2], "")
}

/// What is left of a session. Its login is over in any case, and its terminal closed.
#[derive(Clone, Copy)]
struct Left {
    processes: u32,
    files: u32,
    /// Of the display, in the user's file.
    cookies: u32,
}

const NOTHING: Left = Left {
    processes: 0,
    files: 0,
    cookies: 0,
};

/// What was started to stay does (KillUserProcesses=no, as Debian has it), and logind's session waits for its end.
const ONE_PROCESS: Left = Left {
    processes: 1,
    ..NOTHING
};

/// The path of -R, which sshd never removes.
const PATH: u32 = 1;

/// And the agent's directory and socket, if systemd kills sshd.
const AGENT: u32 = 2;

impl Left {
    /// The same with these files, and with the cookie, which sshd always leaves.
    fn and(self, files: u32) -> Self {
        Self {
            files,
            cookies: 1,
            ..self
        }
    }
}

/// Ends a session of this name with each server, ours first; `end` is a line for the shell in which USER stands for the
/// user.
fn each_leaves(name: &str, number: u16, way: Way, end: &str, left: [Left; 2]) -> Result<()> {
    match shared()? {
        Some(server) => each_leaves_on(server, name, number, way, end, &left),
        None => Ok(()),
    }
}

/// As [`each_leaves`]; with one expectation it is for ours only.
fn each_leaves_on(
    server: &Server,
    name: &str,
    number: u16,
    way: Way,
    end: &str,
    left: &[Left],
) -> Result<()> {
    for (port, left) in PORTS.into_iter().zip(left) {
        let Left {
            processes,
            files,
            cookies,
        } = left;
        if way == Way::Network {
            server.shell("ip link set server up")?;
        }
        let session = Session::open(server, name, port, number, way)?;
        server.shell(&end.replace("USER", &session.user))?;
        session.must_leave(&format!(
            "who: 0\nterminals: 0\nprocesses: {processes}\nfiles: {files}\ncookies: {cookies}\nports: 0\nsessions: {processes}\nended: 1\n"
        ))?;
        server.shell(&format!("pkill -KILL -u {} || true", session.user))?;
    }
    Ok(())
}

#[test]
fn a_client_that_is_killed() -> Result<()> {
    each_leaves(
        "killed",
        0,
        Way::Loopback,
        "kill -KILL $(cat /run/client.USER)",
        [ONE_PROCESS, ONE_PROCESS.and(PATH)],
    )
}

#[test]
fn a_client_whose_network_is_gone() -> Result<()> {
    each_leaves(
        "cut",
        1,
        Way::Network,
        "ip link set server down",
        [ONE_PROCESS, ONE_PROCESS.and(PATH)],
    )
}

#[test]
fn a_session_that_logind_ends() -> Result<()> {
    let end = "loginctl terminate-session $(loginctl list-sessions --no-legend | grep -w USER | grep -vw manager | awk '{print $1}')";
    let theirs = NOTHING.and(PATH + AGENT);
    each_leaves("session", 2, Way::Loopback, end, [NOTHING, theirs])
}

#[test]
fn a_user_whom_logind_ends() -> Result<()> {
    let theirs = NOTHING.and(PATH + AGENT);
    each_leaves(
        "user",
        3,
        Way::Loopback,
        "loginctl terminate-user USER",
        [NOTHING, theirs],
    )
}

#[test]
fn a_session_whose_process_is_killed() -> Result<()> {
    // Nobody else removes what it has made.
    let left = ONE_PROCESS.and(PATH + AGENT);
    let end = "pkill -KILL -u USER -x 'session|sshd|sshd-session'";
    each_leaves("crashed", 5, Way::Loopback, end, [left, left])
}

#[test]
fn a_session_that_an_administrator_ends() -> Result<()> {
    let Some(server) = shared()? else {
        return Ok(());
    };
    let end =
        "sshd-privsepctl kill $(sshd-privsepctl list --no-legend | grep -w USER | cut -d' ' -f1)";
    each_leaves_on(server, "kicked", 4, Way::Loopback, end, &[ONE_PROCESS])
}

/// A machine of its own, for what concerns all sessions.
#[test]
fn a_server_that_is_stopped_and_records_that_lose_their_keeper() -> Result<()> {
    if Peer::from_environment()? == Peer::OpenSsh {
        return Ok(());
    }
    let server = &Server::up("ends-alone", "")?;
    prepare(server)?;
    let gone = "kill -KILL $(cat /run/client.USER)";

    // The keeper is back by itself, and goes on with the sessions that are there. With one that ends at the same time, too.
    let end = format!("systemctl kill -s KILL {ACCOUNTING}; {gone}");
    each_leaves_on(server, "kept", 0, Way::Loopback, &end, &[ONE_PROCESS])?;
    let config = server.client_config(&server.add_user("further")?, "LogLevel ERROR")?;
    server.shell(&format!(
        "ssh -F {config} -M -S /run/further -fN server </dev/null >/dev/null 2>&1
         ssh -F {config} -S /run/further -tt server true </dev/null
         systemctl kill -s KILL {ACCOUNTING}
         ssh -F {config} -S /run/further -tt server true </dev/null
         ssh -F {config} -S /run/further -O exit server"
    ))?;
    eventually("both terminals", Duration::from_secs(20), || {
        let ended = "last -w further | grep -c 'pts/.* - [0-9]' || true";
        Ok(server.shell(ended)? == "2\n")
    })?;
    // Asked to end, it stays until the last session has ended.
    let end = format!("systemctl stop --no-block {ACCOUNTING}; sleep 0.5; {gone}");
    each_leaves_on(server, "stays", 1, Way::Loopback, &end, &[ONE_PROCESS])?;

    // A unit may end, and be no more, after systemctl has seen it; and a client may be quicker than a part of it.
    let stop = "systemctl stop 'sshd-privsep*' 2>&1 | grep -v -e 'not loaded' -e 'Job for .* canceled' || true";
    let end = format!(
        "touch /run/clients
         for i in 1 2; do while test -e /run/clients; do nc -z 127.0.0.1 22 || true; done & done >/dev/null 2>&1
         {stop}"
    );
    each_leaves_on(server, "stopped", 2, Way::Loopback, &end, &[ONE_PROCESS])?;
    let nothing_runs = || {
        let mut running = String::new();
        eventually("nothing runs", Duration::from_secs(10), || {
            running = server.shell(
                "systemctl list-units --plain --no-legend --state=active,activating,reloading 'sshd-privsep*'",
            )?;
            Ok(running.is_empty())
        })
        .context(running)
    };
    for round in 0..4 {
        server.shell("sleep 0.5")?;
        nothing_runs().with_context(|| format!("in round {round}"))?;
        let said = server.shell(&format!(
            "systemctl start sshd-privsep.socket; sleep 0.{round}; {stop}"
        ))?;
        ensure!(said.is_empty(), "in round {round}: {said}");
    }
    // The order that leaves most: a client comes between the stop of one socket and that of the other. So many starts in a
    // row are above systemd's limit.
    server.shell(
        "systemctl start sshd-privsep.socket
         systemctl reset-failed 'sshd-privsep*'
         systemctl stop sshd-privsep-accounting.socket sshd-privsep-wtmpdb.socket
         systemctl stop sshd-privsep-monitor.service
         timeout 20 sh -c 'until systemctl -q is-active sshd-privsep-accounting.socket; do sleep 0.1; done'
         systemctl stop sshd-privsep.socket",
    )?;
    nothing_runs()?;
    server.shell("systemctl start sshd-privsep.socket")?;
    server.shell("rm /run/clients")?;

    server.shell(
        "mkdir -p /etc/systemd/logind.conf.d
         printf '[Login]\\nKillUserProcesses=yes\\n' >/etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind",
    )?;
    let theirs = NOTHING.and(PATH);
    each_leaves_on(
        server,
        "nothing",
        3,
        Way::Loopback,
        gone,
        &[NOTHING, theirs],
    )
}

const ACCOUNTING: &str = "sshd-privsep-accounting.service";
