//! `internal-sftp` and ChrootDirectory, each call made of our server and, with the same file, of Debian's sshd: the
//! stock client fares the same. What only ours has (its cage, its log from an empty jail) is looked at besides.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use e2e::beside::{Ended, PORTS};
use e2e::server::eventually;
use e2e::{Server, Shared};
use support::UserKey;
use support::users::client_options;

static SERVER: Shared = Shared::new("sftp", "");

/// What each server's file says. Each test has users of its own.
const CONFIGURATION: &str = "\
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
LogLevel VERBOSE
PermitRootLogin yes
Subsystem sftp internal-sftp -l INFO
Match User readonly
    ForceCommand internal-sftp -R
Match User denied
    ForceCommand internal-sftp -P remove,posix-rename,rename -u 027
Match User allowed
    ForceCommand internal-sftp -p open,close,read,write,realpath,stat,lstat,fstat -d /srv/%u
Match User jailed
    ChrootDirectory /srv/jails/%u
    ForceCommand internal-sftp -l INFO
Match User inshell,root
    ChrootDirectory /srv/shell
    ExposeAuthInfo yes
Match User commented
    ForceCommand internal-sftp -d /srv # -R isn't an option here
Match User loose
    ChrootDirectory /srv/jails/loose/below
    ForceCommand internal-sftp
Match User nojail
    ChrootDirectory /srv/none/%U
";

/// A jail with a shell, what that needs, and /proc, to see what it runs with.
const SHELL_JAIL: &str = r#"
mkdir -p -m 1777 /srv/shell/tmp
mkdir -p /srv/shell/bin /srv/shell/dev /srv/shell/proc /srv/shell/home/inshell
for program in /bin/sh /bin/ls /usr/bin/tty /usr/bin/id /bin/sleep; do
    cp --dereference $program /srv/shell/bin/
    ldd $program | grep -o '/[^ ]*' | while read library; do
        mkdir -p /srv/shell$(dirname $library); cp --dereference $library /srv/shell$library
    done
done
mount --bind /proc /srv/shell/proc
mknod -m 666 /srv/shell/dev/null c 1 3
"#;

/// The machine with both servers and everybody's key. The first test that asks makes it.
fn machine() -> Result<&'static Site> {
    static SITE: OnceLock<Result<Site, String>> = OnceLock::new();
    let site = SITE.get_or_init(|| prepare().map_err(|error| format!("{error:#}")));
    site.as_ref().map_err(|error| anyhow!("{error}"))
}

/// See [`machine`].
struct Site {
    server: &'static Server,
    keys: Vec<UserKey>,
}

impl std::ops::Deref for Site {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server
    }
}

const USERS: &[&str] = &[
    "plain",
    "readonly",
    "denied",
    "allowed",
    "jailed",
    "inshell",
    "loose",
    "nojail",
    "keyed",
    "killed",
    "random",
    "soaked",
    "copying",
    "faulty",
    "limited",
    "commented",
];

/// Where the client is started, in a directory named for its user.
const HERE: &str = "/root/here";

fn prepare() -> Result<Site> {
    let server = SERVER.get()?;
    let keys: Result<Vec<UserKey>> = USERS.iter().map(|user| server.add_user(user)).collect();
    server.shell(SHELL_JAIL)?;
    server.shell(
        "mkdir -p /srv/jails/jailed/up /srv/jails/loose/below /srv/allowed /root/.ssh
         mkdir -p /root/here; head -c 300000 /dev/urandom >/root/here/file
         chown jailed: /srv/jails/jailed/up
         chown allowed: /srv/allowed
         chown loose: /srv/jails/loose
         usermod -s /nonexistent jailed; usermod -s /bin/sh inshell; usermod -s /bin/sh root
         cat /home/inshell/.ssh/authorized_keys >>/root/.ssh/authorized_keys
         sed -i 's/^/command=\"internal-sftp -R\" /' /home/keyed/.ssh/authorized_keys",
    )?;
    // Debian's sshd knows no penalties, and what is refused here would earn some.
    let ours = format!("PerSourcePenalties no\n{CONFIGURATION}");
    server.configure_beside([&ours, CONFIGURATION], "-E /root/theirs.log")?;
    Ok(Site {
        server,
        keys: keys?,
    })
}

impl Site {
    /// The client's options, but for the port.
    fn options(&self, user: &str) -> Result<String> {
        let key = self.keys.iter().find(|key| key.user == user);
        let options = client_options(key.context("no such user")?).join(" ");
        // The file of known hosts names no port but 22.
        Ok(format!(
            "{options} -o HostKeyAlias=localhost -o BatchMode=yes"
        ))
    }
}

/// Runs `sftp` with these commands on both, ours first.
fn sftp(server: &Site, user: &str, commands: &str) -> Result<[Ended; 2]> {
    let options = server.options(user)?;
    let batch = format!("/root/batch-{user}");
    // Tests run side by side: each user has files of its own here.
    server.shell(&format!(
        "mkdir -p {HERE}/{user}; cp {HERE}/file {HERE}/{user}/file"
    ))?;
    server.write_file(&batch, commands.as_bytes(), 0o600)?;
    call(server, |port| {
        format!("cd {HERE}/{user} && sftp {options} -P {port} -b {batch} {user}@127.0.0.1")
    })
}

/// Runs a command with `ssh` on both.
fn ssh(server: &Site, user: &str, key: &str, words: &str) -> Result<[Ended; 2]> {
    let options = server.options(key)?;
    call(server, |port| {
        format!("ssh {options} -p {port} {user}@127.0.0.1 {words}")
    })
}

fn call(server: &Server, line: impl Fn(u16) -> String) -> Result<[Ended; 2]> {
    // What is called is in files whose names are always the same.
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    server.shell("mkdir -p /root/calls")?;
    let ended = server.call_beside(&[PORTS.map(line)], 1)?;
    ended.into_iter().next().context("no call")
}

/// Both calls ended alike; what that was.
fn alike([ours, theirs]: [Ended; 2]) -> Result<Ended> {
    ensure!(
        (&ours.code, &ours.out, &ours.err) == (&theirs.code, &theirs.out, &theirs.err),
        "ours: {ours:#?}\ntheirs: {theirs:#?}"
    );
    Ok(ours)
}

#[test]
fn the_stock_client_moves_lists_and_changes_files_as_with_sshd() -> Result<()> {
    let server = machine()?;
    let commands = "pwd\nmkdir d\ncd d\nput file\nls -l file\nchmod 640 file\nls -ln file\nrename file other\n\
                    ln other hard\nln -s other soft\nls -1\nget soft back\nls -l soft\n-reput file other\n\
                    copy other copy\nget copy back2\n-rmdir .\n-rm none\n-mkdir /etc/x\n-get /etc/shadow\n\
                    -rename other hard\nrename other copy2\nrm copy2\nrm hard\nrm soft\nrm copy\ncd ..\n\
                    rmdir d\nls -a .ssh\n";
    let ended = alike(sftp(server, "plain", commands)?)?;
    ensure!(ended.code == "0", "{ended:?}");
    server.shell("cd /root/here; cmp file plain/back; cmp file plain/back2")?;
    Ok(())
}

#[test]
fn restrictions_of_the_command_line_hold() -> Result<()> {
    let server = machine()?;
    server.shell("echo text >/home/readonly/a; echo text >/home/keyed/a; echo text >/home/denied/a; chown denied: /home/denied/a")?;
    for user in ["readonly", "keyed"] {
        let ended = alike(sftp(
            server,
            user,
            "get a got\n-put file a\n-rm a\n-mkdir d\n-rename a b\n-chmod 777 a\n-symlink a s\nls a\n",
        )?)?;
        ensure!(
            ended.err.matches("ermission denied").count() >= 5,
            "{ended:?}"
        );
        server.shell(&format!(
            "test \"$(cat /home/{user}/a)\" = text; test \"$(ls /home/{user})\" = a"
        ))?;
    }
    let ended = alike(sftp(
        server,
        "denied",
        "-rm a\n-rename a b\nput file c\nls -l a\n",
    )?)?;
    ensure!(
        ended.err.matches("ermission denied").count() == 2,
        "{ended:?}"
    );
    ensure!(server.shell("stat -c %a /home/denied/c")? == "640\n");
    let ended = alike(sftp(server, "allowed", "pwd\nput file c\n-ls\n-rm c\n")?)?;
    ensure!(ended.out.contains("/srv/allowed"), "{ended:?}");
    Ok(())
}

#[test]
fn whoever_has_sftp_only_gets_nothing_else() -> Result<()> {
    let server = machine()?;
    for words in ["", "id", "internal-sftp", "/usr/lib/openssh/sftp-server"] {
        for user in ["readonly", "keyed", "jailed"] {
            let ended = alike(ssh(server, user, user, words)?)?;
            ensure!(
                (ended.code.as_str(), ended.out.as_str())
                    == ("1", "This service allows sftp connections only.\n"),
                "{user}: {ended:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn an_empty_jail_serves_files_and_logs() -> Result<()> {
    let server = machine()?;
    let since = server.now()?;
    let ended = alike(sftp(
        server,
        "jailed",
        "pwd\nls -a\nput file up/file\nget up/file got\n-ls ..\n-get /etc/passwd\nrm up/file\n",
    )?)?;
    ensure!(
        ended.out.contains("Remote working directory: /\n"),
        "{ended:?}"
    );
    ensure!(ended.code == "0", "{ended:?}");
    server.shell("cd /root/here; cmp file jailed/got; test -z \"$(ls /srv/jails/jailed/up)\"")?;
    for sentence in [
        "session opened for local user jailed from [127.0.0.1]",
        "close \"/up/file\" bytes read 0 written 300000",
        "close \"/up/file\" bytes read 300000 written 0",
        "remove name \"/up/file\"",
        "session closed for local user jailed from [127.0.0.1]",
    ] {
        let entry = server.wait_for_entry(&since, &[sentence])?;
        ensure!(
            entry.field("SYSLOG_IDENTIFIER") == "internal-sftp",
            "{sentence}"
        );
        ensure!(!entry.field("SSHD_CONN").is_empty(), "{sentence}");
    }
    Ok(())
}

#[test]
fn a_shell_in_a_jail_sees_the_jail_and_has_no_capability() -> Result<()> {
    let server = machine()?;
    for user in ["inshell", "root"] {
        // Of root's the servers have as many as they were started with.
        let shown = if user == "root" {
            "Uid:"
        } else {
            "Cap[IPEA]*|NoNewPrivs:|Uid:"
        };
        let script = format!(
            "'pwd; ls / /home; while read -r name value; do case $name in {shown}) \
                      echo $name $value;; esac; done </proc/self/status; ls /srv'"
        );
        let ended = alike(ssh(server, user, "inshell", &script)?)?;
        ensure!(!ended.out.contains("jails"), "{ended:?}");
        if user == "inshell" {
            ensure!(
                ended.out.contains("CapEff: 0000000000000000\n"),
                "{ended:?}"
            );
            ensure!(
                ended.out.contains("CapAmb: 0000000000000000\n"),
                "{ended:?}"
            );
        }
    }
    // The terminal is one of outside. The file that tells how the user was authenticated is in the jail.
    let script = "-tt 'tty; test -t 0 && echo terminal; while read -r line; do echo told ${line%% *}; done <$SSH_USER_AUTH; \
                  case ${SSH_USER_AUTH%.*} in /tmp/sshauth) echo there;; esac; case $SSH_TTY in /dev/pts/*) echo pts;; esac'";
    let ended = alike(ssh(server, "inshell", "inshell", script)?)?;
    ensure!(
        ended
            .out
            .ends_with("terminal\r\ntold publickey\r\nthere\r\npts\r\n"),
        "{ended:?}"
    );
    let missing = alike(ssh(server, "nojail", "nojail", "id")?.map(|ended| Ended {
        err: String::new(),
        ..ended
    }))?;
    ensure!(missing.code == "255", "{missing:?}");
    Ok(())
}

#[test]
fn only_a_thread_that_starts_programs_keeps_the_capability() -> Result<()> {
    let server = machine()?;
    let options = server.options("inshell")?;
    let mut client = server
        .command([
            "sh",
            "-c",
            &format!("exec ssh {options} inshell@127.0.0.1 'echo in; sleep 20'"),
        ])
        .spawn()?;
    client.wait_for("in\n", Duration::from_secs(20))?;
    let of_session = server.shell(
        "for pid in $(pgrep -u inshell -x session); do \
            for task in /proc/$pid/task/*; do echo $(cat $task/comm) $(sed -n 's/^CapPrm:.//p' $task/status) $(readlink $task/root); done; \
         done",
    )?;
    client.kill()?;
    let mut lines: Vec<&str> = of_session.lines().collect();
    lines.sort_unstable();
    ensure!(
        lines
            == [
                "outside 0000000000040000 /",
                "session 0000000000000000 /srv/shell"
            ],
        "{of_session}"
    );
    Ok(())
}

#[test]
fn a_jail_that_others_could_change_is_none() -> Result<()> {
    let server = machine()?;
    let since = server.now()?;
    let [ours, theirs] = sftp(server, "loose", "pwd\n")?;
    ensure!(
        (ours.code.as_str(), theirs.code.as_str()) == ("255", "255"),
        "{ours:?} {theirs:?}"
    );
    let sentence = "bad ownership or modes for chroot directory component \"/srv/jails/loose/\"";
    server.wait_for_entry(&since, &[sentence])?;
    ensure!(server.shell("cat /root/theirs.log")?.contains(sentence));
    Ok(())
}

#[test]
fn the_server_is_in_its_cage_and_gone_with_its_client() -> Result<()> {
    let server = machine()?;
    server.shell("truncate -s 20G /home/killed/sparse; chown killed: /home/killed/sparse")?;
    let options = server.options("killed")?;
    for _ in 0..3 {
        let mut client = server
            .command([
                "sh",
                "-c",
                &format!("echo get sparse /dev/null | exec sftp {options} killed@127.0.0.1"),
            ])
            .spawn()?;
        eventually("the server runs", Duration::from_secs(20), || {
            Ok(server.exec(["pgrep", "-u", "killed", "-x", "sftp"])?.code() == Some(0))
        })?;
        let status = server.shell("cat /proc/$(pgrep -u killed -x sftp | head -1)/status")?;
        for line in [
            "Seccomp:\t2\n",
            "NoNewPrivs:\t1\n",
            "CapEff:\t0000000000000000\n",
            "Threads:\t1\n",
        ] {
            ensure!(status.contains(line), "{status}");
        }
        server.shell(
            "for pid in $(pgrep -u root -x sftp); do \
                 if grep -q killed@ /proc/$pid/cmdline; then pkill -9 -P $pid; fi; \
             done",
        )?;
        client.kill()?;
        eventually("nothing is left", Duration::from_secs(20), || {
            Ok(server
                .exec(["pgrep", "-u", "killed", "-x", "sftp|session"])?
                .code()
                == Some(1))
        })?;
    }
    Ok(())
}

#[test]
fn words_that_are_no_options_end_the_options_and_are_told_in_the_log() -> Result<()> {
    let server = machine()?;
    let since = server.now()?;
    let commands = "pwd\nput file /home/commented/file\n";
    let ended = alike(sftp(server, "commented", commands)?)?;
    ensure!(ended.code == "0", "{ended:?}");
    ensure!(ended.out.contains(" /srv\n"), "{ended:?}");
    let told = "no options, ignored: \"# -R isn't an option here\"";
    let entry = server.wait_for_entry(&since, &[told])?;
    ensure!(entry.field("PRIORITY") == "4", "{entry:?}");
    ensure!(entry.field("SSHD_USER") == "commented", "{entry:?}");
    Ok(())
}

#[test]
fn a_limit_of_the_user_fails_one_request() -> Result<()> {
    let server = machine()?;
    let limits = b"limited hard fsize 100\n";
    server.write_file("/etc/security/limits.d/limited.conf", limits, 0o644)?;
    let ended = alike(sftp(server, "limited", "-put file\nls -l file\n")?)?;
    ensure!(ended.code == "0", "{ended:?}");
    ensure!(ended.err.contains("Failure"), "{ended:?}");
    ensure!(ended.out.contains(" 102400 "), "{ended:?}");
    Ok(())
}

#[test]
fn the_log_tells_of_a_server_that_a_signal_has_ended() -> Result<()> {
    let server = machine()?;
    let since = server.now()?;
    let options = server.options("faulty")?;
    let script = format!("sleep 300 | exec sftp {options} faulty@127.0.0.1");
    let mut client = server.command(["sh", "-c", &script]).spawn()?;
    eventually("the server is ended", Duration::from_secs(20), || {
        let ended = ["pkill", "-KILL", "-u", "faulty", "-x", "sftp"];
        Ok(server.exec(ended)?.code() == Some(0))
    })?;
    let entry = server.wait_for_entry(&since, &["internal-sftp was ended by signal 9"])?;
    ensure!(entry.field("SSHD_USER") == "faulty", "{}", entry.message());
    client.kill()
}

/// How many clients are killed; `cargo xtask soak` kills more.
const KILLS_VARIABLE: &str = "SSHD_PRIVSEP_SFTP_KILLS";
const KILLS: usize = 60;

/// Clients on one connection, and some with their own, that are killed at any moment.
const KILLER: &str = r#"
import random, signal, threading
from sockets import *
files = "/root/here/random"
os.makedirs(f"{files}/many", exist_ok=True)
for number in range(100):
    with open(f"{files}/many/{number}", "w") as file:
        file.write("content" * number)
commands = "put -r many\nget -r many back\nput file\nget sparse /dev/null\n"

def client(words):
    words = ["sftp", "-q", *words, "-b", "-", "server"]
    null = subprocess.DEVNULL
    one = subprocess.Popen(words, cwd=files, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True)
    one.stdin.write(commands.encode())
    one.stdin.close()
    return one

def kill(seed):
    chance = random.Random(seed)
    # Every tenth logs in by itself.
    alone = ["-F", config] if seed % 10 == 0 else ["-F", config, "-oControlPath=" + tunnel.base[-1]]
    one = client(alone)
    time.sleep(chance.uniform(0, 0.5))
    # And the ssh that it has started.
    os.killpg(one.pid, signal.SIGKILL)
    one.wait()

def work(seeds):
    for seed in seeds:
        kill(seed)

def say(word):
    print(word, flush=True)
    sys.stdin.readline()

with Tunnel(config) as tunnel:
    say("ready")
    workers = [threading.Thread(target=work, args=(range(first, count, 4),)) for first in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    say("killed")
"#;

#[test]
fn a_client_killed_at_any_moment_leaves_no_descriptor() -> Result<()> {
    let server = machine()?;
    let kills = match std::env::var(KILLS_VARIABLE) {
        Ok(kills) => kills.parse()?,
        Err(_) => KILLS,
    };
    server.shell("truncate -s 20G /home/random/sparse; mkdir -p /root/here/random/back; cp /root/here/file /root/here/random/")?;
    let key = server.keys.iter().find(|key| key.user == "random");
    let config = server.client_config(key.context("no such user")?, "")?;
    let program = format!("config, count = {config:?}, {kills}\n{KILLER}");
    let mut running = server.python(&program).spawn()?;
    running.wait_for("ready", Duration::from_secs(30))?;
    let worker = server.worker_of("random")?;
    let session = server.shell("pgrep -u random -x session")?;
    let held = || {
        server.shell(&format!(
            "for pid in {} {}; do ls /proc/$pid/fd | wc -l; done; \
             pgrep -u random -x 'session|sftp' | wc -l",
            worker.pid,
            session.trim()
        ))
    };
    let before = held()?;
    let since = server.now()?;
    running.write(b"\n")?;
    let deadline = Duration::from_secs(60) + Duration::from_secs(1) * u32::try_from(kills)?;
    running.wait_for("killed", deadline)?;
    let mut after = String::new();
    eventually("nothing is left of them", Duration::from_secs(30), || {
        after = held()?;
        Ok(after == before)
    })
    .with_context(|| format!("descriptors and processes: {before:?} became {after:?}"))?;
    running.write(b"\n")?;
    running.finish(2 * deadline)?.success()?;
    let served = "session opened for local user random";
    let served = server.journal(&["--since", &since, "-g", served])?;
    ensure!(served.lines().count() > kills / 4, "most came to nothing");
    eventually("nothing is left at all", Duration::from_secs(20), || {
        let left = server.shell(&format!(
            "pgrep -u random -x 'session|sftp' || true; systemctl is-active {} | grep -vx inactive || true; \
             systemctl show -p User --value 'sshd-privsep-session-*' | grep -x random || true",
            worker.unit
        ))?;
        Ok(left.is_empty())
    })
}

/// A copy without end on a connection that stays, and on its own. The handles are closed, and more is written until
/// nobody takes it: the server hears of the first only when the copy has ended, and of the client's end by nothing that it
/// reads.
const COPIER: &str = r#"
import signal
from sockets import *

def text(value):
    return struct.pack(">I", len(value)) + value

def send(one, kind, *fields):
    one.stdin.write(text(bytes([kind]) + b"".join(fields)))
    one.stdin.flush()

def answer(one):
    length, = struct.unpack(">I", one.stdout.read(4))
    return one.stdout.read(length)

def opened(one, path, flags):
    send(one, 3, bytes(4), text(path), struct.pack(">II", flags, 0))
    said = answer(one)
    assert said[0] == 102, said
    return said[5:]

def servers():
    return subprocess.run(["pgrep", "-u", "copying", "-x", "sftp"], capture_output=True, text=True).stdout.split()

def field(pid, file, name):
    with open(f"/proc/{pid}/{file}") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

def nothing(pipe):
    pass

def fill(pipe):
    os.set_blocking(pipe, False)
    full = 0
    while full < 5:
        try:
            os.write(pipe, bytes(1 << 16))
            full = 0
        except BlockingIOError:
            full += 1
            time.sleep(0.1)

def copy(words, more, woken):
    one = subprocess.Popen(words + ["-s", "server", "sftp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    send(one, 1, struct.pack(">I", 3))
    answer(one)
    source, target = opened(one, b"/dev/zero", 1), opened(one, b"/dev/null", 2)
    all_of_it = struct.pack(">QQ", 0, 0)
    send(one, 200, bytes(4), text(b"copy-data"), source, all_of_it, target, struct.pack(">Q", 0))
    send(one, 4, bytes(4), source)
    send(one, 4, bytes(4), target)
    pid, = servers()
    eventually("it copies", lambda: field(pid, "io", "rchar:") > 1 << 26)
    more(one.stdin.fileno())
    assert field(pid, "status", "VmHWM:") < 16 << 10
    assert field(pid, "status", "Threads:") == 1
    os.killpg(one.pid, signal.SIGKILL)
    one.wait()
    woken()
    eventually("the copy ends", lambda: not servers())

with Tunnel(config) as tunnel:
    # The client behind the connection says that this one has gone when something else wakes it.
    for more in nothing, fill:
        copy(tunnel.base, more, lambda: tunnel.session("true"))
    assert tunnel.session("echo here") == "here\n"
copy(["ssh", "-F", config], fill, lambda: None)
"#;

#[test]
fn a_copy_ends_with_its_client_also_when_the_connection_stays() -> Result<()> {
    let server = machine()?;
    let key = server.keys.iter().find(|key| key.user == "copying");
    let config = server.client_config(key.context("no such user")?, "")?;
    server.run_python(&format!("config = {config:?}\n{COPIER}"))?;
    Ok(())
}

/// How many files there are and how large the sparse one is; `cargo xtask soak` has them in earnest.
const FILES_VARIABLE: &str = "SSHD_PRIVSEP_SFTP_FILES";
const FILES: u32 = 2_000;
const SPARSE_VARIABLE: &str = "SSHD_PRIVSEP_SFTP_SPARSE";
const SPARSE: &str = "512M";

#[test]
fn many_files_and_a_sparse_one_come_and_go_whole() -> Result<()> {
    let server = machine()?;
    let files = match std::env::var(FILES_VARIABLE) {
        Ok(files) => files.parse()?,
        Err(_) => FILES,
    };
    let sparse = std::env::var(SPARSE_VARIABLE).unwrap_or_else(|_| SPARSE.to_owned());
    let options = server.options("soaked")?;
    let key = server.keys.iter().find(|key| key.user == "soaked");
    let key = &key.context("no such user")?.machine_path;
    let script = format!(
        "mkdir -p /root/soak/many /root/soak/back; cd /root/soak
         # Each has a content of its own.
         (cd many; awk 'BEGIN {{ for (n = 1; n <= {files}; n++) {{ print n * n >n; close(n) }} }}')
         echo content >many/first
         # Sparse on both sides, each time with an end that only one side has: a disk need not hold it.
         truncate -s {sparse} sparse back-sparse /home/soaked/sparse
         truncate -s 60M whole; printf middle >>whole; truncate -s 120M whole; printf end >>whole
         printf end >>sparse; cp --sparse=always sparse /home/soaked/down; chown soaked: /home/soaked/*
         printf '%s\\n' 'mkdir many' 'put -r many/. many' 'get -r many/. back' \
             'reput sparse' 'reget down back-sparse' 'put whole' 'get whole back-whole' |
             sftp -q {options} -b - soaked@127.0.0.1 >/dev/null
         diff -r many back
         diff -r many /home/soaked/many
         cmp sparse back-sparse
         cmp sparse /home/soaked/sparse
         cmp whole back-whole
         cmp whole /home/soaked/whole
         # All of it, and none of it on the disk.
         ssh-keygen -y -f {key} >key.pub
         curl -sSk --key {key} --pubkey key.pub -u soaked: sftp://127.0.0.1/home/soaked/down | cmp - sparse
         ls /home/soaked/many | wc -l
         cd /; rm -r /root/soak /home/soaked/many /home/soaked/sparse /home/soaked/down /home/soaked/whole"
    );
    let ended = server
        .command(["sh", "-euc", &script])
        .deadline(Duration::from_secs(3600))
        .run()?
        .success()?;
    ensure!(ended.text() == format!("{}\n", files + 1), "{ended:?}");
    Ok(())
}
