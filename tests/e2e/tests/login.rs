//! The login process of sshd(8), beside Debian's sshd on the same machine: what the user is greeted with, what runs
//! before the shell, the environment, and who is said to be logged in. The same script is given to both, and what is
//! printed must be the same.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::beside::PORTS;
use e2e::server::eventually;
use e2e::{Server, Shared};
use support::UserKey;

static SERVER: Shared = Shared::new("login", "");

/// One test at a time: they change the configuration, and look at records of everybody.
static TURN: Mutex<()> = Mutex::new(());

/// What stands before each test's lines: as Debian installs it.
const COMMON: &str = "UsePAM yes\nPrintMotd no\nAcceptEnv LANG LC_* BIG\nKbdInteractiveAuthentication no\n\
                      Subsystem sftp /usr/lib/openssh/sftp-server\nSubsystem say echo subsystem; echo unheard >&2\n";

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine with both servers, with these lines for both.
fn both(lines: &str) -> Result<Option<&'static Server>> {
    let Some(server) = SERVER.ours()? else {
        return Ok(None);
    };
    let file = format!("{lines}\n{COMMON}");
    server.configure_beside([&file, &file], "")?;
    Ok(Some(server))
}

/// `ssh` to the server at this port.
fn ssh(server: &Server, key: &UserKey, port: u16, options: &str) -> Result<String> {
    let config = server.client_config(key, "LogLevel ERROR")?;
    // The same host keys; known by the other port's name.
    Ok(format!(
        "ssh -F {config} -p {port} -o HostKeyAlias=127.0.0.1 {options} server"
    ))
}

/// What a line for the shell prints with each server: `SSH` in it stands for the client with these options. What differs
/// between any two logins is left out.
fn printed(server: &Server, key: &UserKey, options: &str, line: &str) -> Result<[String; 2]> {
    let mut outputs = Vec::new();
    for port in PORTS {
        let line = line.replace("SSH", &ssh(server, key, port, options)?);
        let output = server
            .command(["bash", "-c", &format!("({line}) 2>&1")])
            .deadline(Duration::from_secs(30))
            .run()?
            .text();
        let mut text = String::new();
        for line in output.lines() {
            let own = ["XDG_SESSION_ID=", "SSH_CLIENT=", "SSH_CONNECTION="];
            match own.iter().find(|name| line.starts_with(**name)) {
                Some(name) => text += name,
                None => text += line,
            }
            text.push('\n');
        }
        outputs.push(text);
    }
    outputs
        .try_into()
        .map_err(|_| anyhow::anyhow!("two servers"))
}

/// Both print the same, and this is in it.
fn same(server: &Server, key: &UserKey, options: &str, line: &str, within: &str) -> Result<()> {
    let [ours, theirs] = printed(server, key, options, line)?;
    assert_eq!(ours, theirs, "{line}");
    assert!(ours.contains(within), "{within:?} is not in {ours:?}");
    Ok(())
}

#[test]
fn the_environment_is_sshds() -> Result<()> {
    let _turn = turn();
    let lines = "SetEnv FROM_SERVER=yes LC_TIME=server TERM=server\nPermitUserEnvironment yes";
    let Some(server) = both(lines)? else {
        return Ok(());
    };
    let key = server.add_user("environ")?;
    server.shell("printf 'FROM_FILE=1\\nno variable\\n' >~environ/.ssh/environment")?;
    let complaint = "Bad line 2 in /home/environ/.ssh/environment\n";
    same(server, &key, "", "SSH true", complaint)?;
    // Where there is output, too, which of them comes first is chance.
    server.shell("echo FROM_FILE=1 >~environ/.ssh/environment")?;
    let set = "-o SetEnv='LC_ALL=C LC_TIME=client FOO=bar'";
    same(server, &key, set, "SSH 'env | sort'", "FROM_SERVER=yes\n")?;
    same(server, &key, set, "SSH 'env | sort'", "FROM_FILE=1\n")?;
    let terminal = "TERM=vt100 SSH 'env | sort'";
    same(server, &key, "-tt", terminal, "SSH_TTY=/dev/pts/")?;
    same(server, &key, "-tt", terminal, "TERM=server\n")?;
    let large = "-o SetEnv=BIG=$(head -c 131000 /dev/zero | tr '\\0' x)";
    same(server, &key, large, "SSH 'echo ${#BIG}'", "131000\n")?;
    server.shell("echo LANG=de_DE.UTF-8 >/etc/default/locale")?;
    let lang = "-o SetEnv=LANG=C";
    same(server, &key, lang, "SSH 'env | sort'", "LANG=de_DE.UTF-8\n")?;
    server.shell("echo LANG=C.UTF-8 >/etc/default/locale")?;
    let [ours, theirs] = printed(server, &key, "", "SSH -s say")?;
    assert_eq!(ours, theirs);
    Ok(())
}

#[test]
fn the_environment_is_sshds_without_pam_and_for_root() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("UsePAM no")? else {
        return Ok(());
    };
    let key = server.add_user("bare")?;
    server.shell("usermod -p '*' bare")?;
    let root = server.make_key("root")?;
    server.authorize("root", &root.public)?;
    // A session of ours is one of PAM's in either case, and logind's.
    let of_pam = "grep -v -e ^XDG_ -e ^LANG= -e ^MOTD_SHOWN=";
    let masked = format!("SSH 'env | sort' | {of_pam}");
    same(server, &key, "", &masked, "MAIL=/var/mail/bare\n")?;
    let lang = "-o SetEnv=LANG=client";
    same(server, &key, lang, "SSH 'echo $LANG'", "client\n")?;
    same(server, &root, "", &masked, "USER=root\n")?;
    both("")?;
    same(server, &root, "", "SSH 'env | sort'", "USER=root\n")?;
    same(
        server,
        &root,
        "-tt",
        "SSH 'env | sort'",
        "SSH_TTY=/dev/pts/",
    )
}

#[test]
fn the_time_zone_of_the_server_is_the_users() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("")? else {
        return Ok(());
    };
    let key = server.add_user("zone")?;
    // Whose environment it is: sshd's own, and with us that of the unit in which the session runs.
    let unit = "/run/systemd/system/sshd-privsep-session-.service.d";
    let dropin = format!("{unit}/zone.conf");
    server.write_file(&dropin, b"[Service]\nEnvironment=TZ=Asia/Tokyo\n", 0o644)?;
    server.stop_theirs()?;
    server.shell(&format!(
        "systemctl daemon-reload
         TZ=Asia/Tokyo /usr/sbin/sshd -f /root/theirs.conf -p {} -o PidFile=/run/theirs.pid",
        PORTS[1]
    ))?;
    let result = same(server, &key, "", "SSH 'echo $TZ'", "Asia/Tokyo\n");
    server.shell(&format!("rm {dropin}; systemctl daemon-reload"))?;
    result
}

#[test]
fn the_words_of_a_greeting_and_their_order_are_sshds() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("")? else {
        return Ok(());
    };
    let key = server.add_user("words")?;
    // A shell that neither prompts nor reads: what it says has its place after the greeting.
    server.write_file("/usr/local/bin/says", b"#!/bin/sh\necho started\n", 0o755)?;
    server.shell("usermod -p '*' -s /usr/local/bin/says words")?;
    // There is a last login from now on.
    printed(server, &key, "-tt", "SSH </dev/null")?;
    let shown = "SSH </dev/null | sed -E 's/^(Last login:).*( from )/\\1 then\\2/' | cat -A";
    let records = records(server)?;
    let told = match records {
        Records::Files => "Last login: then from 127.0.0.1^M^M$\n",
        // In the words of a module, after which there is more.
        Records::Databases => "Last login: then from 127.0.0.1",
    };
    same(server, &key, "-tt", shown, told)?;
    both("PrintLastLog no")?;
    same(server, &key, "-tt", shown, "WARRANTY")?;
    both("UsePAM no\nPrintMotd yes")?;
    let last = match records {
        Records::Files => told,
        // Modules alone know it.
        Records::Databases => "WARRANTY",
    };
    same(server, &key, "-tt", shown, last)?;
    same(server, &key, "-tt", shown, "WARRANTY")?;
    same(server, &key, "-T", shown, "started$\n")
}

#[test]
fn a_shell_greets_as_sshds_does_and_once() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("")? else {
        return Ok(());
    };
    let key = server.add_user("greeted")?;
    printed(server, &key, "-T", "SSH true")?;
    let shell = "(echo 'exit 3' | SSH; echo $?) | sed -E 's/^(Last login:).*( from )/\\1 then\\2/'";
    same(server, &key, "-T", shell, "ABSOLUTELY NO WARRANTY")?;
    // Files know only who was on a terminal before, which nobody was, and PrintLastLog is about them.
    let from_files = match records(server)? {
        Records::Files => "1\n",
        Records::Databases => "2\n",
    };
    let words = "echo 'exit 3' | SSH | grep -E -c 'WARRANTY|Last login: .* from 127.0.0.1'";
    let first = printed(server, &key, "-tt", words)?;
    assert_eq!(first, [from_files, "2\n"]);
    same(server, &key, "-tt", words, "2\n")?;
    same(server, &key, "-tt", "SSH 'echo command'", "command\n")?;
    // Both servers print /etc/motd, and so does PAM: we say it once.
    both("PrintMotd yes")?;
    let times = "echo 'exit 3' | SSH | grep -c 'NO WARRANTY'";
    assert_eq!(printed(server, &key, "-tt", times)?, ["1\n", "2\n"]);
    let lines = "echo 'exit 3' | SSH | grep -E -c 'WARRANTY|Last login'";
    both("PrintLastLog no")?;
    same(server, &key, "-tt", lines, from_files)?;
    server.shell("usermod -p '*' greeted")?;
    both("PrintMotd yes\nUsePAM no")?;
    same(server, &key, "-tt", times, "1\n")?;
    both("")?;
    server.shell("touch ~greeted/.hushlogin")?;
    same(server, &key, "-tt", lines, "0\n")
}

#[test]
fn files_run_before_programs_as_with_sshd() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("")? else {
        return Ok(());
    };
    let key = server.add_user("rc")?;
    server.write_file("/etc/ssh/sshrc", b"echo system file $0 $#\n", 0o644)?;
    same(server, &key, "", "SSH 'echo program'", "system file")?;
    same(server, &key, "", "SSH -s say", "system file")?;
    server.shell("echo 'read x; echo user file \"$x\" in $(pwd); exit 5' >~rc/.ssh/rc")?;
    same(
        server,
        &key,
        "",
        "SSH 'echo program; exit 2'; echo $?",
        "user file  in",
    )?;
    same(server, &key, "-tt", "SSH 'echo program'", "user file  in")?;
    same(server, &key, "", "SSH -s say", "system file")?;
    both("PermitUserRC no")?;
    same(server, &key, "", "SSH 'echo program'", "system file")?;
    both("ForceCommand echo forced")?;
    same(server, &key, "", "SSH 'echo program'", "system file")?;
    both("")?;
    server.shell("rm /etc/ssh/sshrc; sed -i 's/^/no-user-rc /' ~rc/.ssh/authorized_keys")?;
    let [ours, theirs] = printed(server, &key, "", "SSH 'echo program'")?;
    assert_eq!([&*ours, &*theirs], ["program\n", "program\n"]);
    Ok(())
}

#[test]
fn a_display_is_told_to_the_file_that_runs_or_else_to_xauth() -> Result<()> {
    let _turn = turn();
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    // Not the same display: when the session ends, ours is forgotten.
    let [ours, theirs] =
        [30, 40].map(|first| format!("X11Forwarding yes\nX11DisplayOffset {first}\n{COMMON}"));
    server.configure_beside([&ours, &theirs], "")?;
    let key = server.add_user("display")?;
    // Else xauth(1) says that it makes one.
    server.shell("install -o display -m 600 /dev/null ~display/.Xauthority")?;
    let file = "read protocol cookie; echo $0 $protocol ${#cookie} ${DISPLAY%:*}";
    let known = "xauth list unix:${DISPLAY#*:} 2>/dev/null | sed -E \"s/.*unix:[34]0/unix:N/; s/[0-9a-f]{32}/cookie/\"";
    let line = format!("DISPLAY=:7 SSH '{known}'");
    let told = |file: &str| format!("{file} MIT-MAGIC-COOKIE-1 32 localhost\n");
    same(
        server,
        &key,
        "-Y",
        &line,
        "unix:N  MIT-MAGIC-COOKIE-1  cookie\n",
    )?;
    // Theirs is still there.
    server.shell("rm ~display/.Xauthority")?;
    server.write_file("/etc/ssh/sshrc", file.as_bytes(), 0o644)?;
    same(server, &key, "-Y", &line, &told("/etc/ssh/sshrc"))?;
    server.shell(&format!("echo '{file}' >~display/.ssh/rc"))?;
    let result = same(server, &key, "-Y", &line, &told(".ssh/rc"));
    server.shell("rm /etc/ssh/sshrc")?;
    result
}

#[test]
fn a_home_that_is_not_there_is_reported_as_by_sshd() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("AuthorizedKeysFile /etc/ssh/keys/%u")? else {
        return Ok(());
    };
    let key = server.add_user("homeless")?;
    server.shell(
        "mkdir -p /etc/ssh/keys; mv ~homeless/.ssh/authorized_keys /etc/ssh/keys/homeless
         chown root: /etc/ssh/keys/homeless; chmod 644 /etc/ssh/keys/homeless; rm -r ~homeless",
    )?;
    let missing = "Could not chdir to home directory /home/homeless: No such file or directory";
    // On two pipes: which comes first is chance.
    same(server, &key, "", "SSH pwd 2>&1 | sort", missing)
}

/// Who is said to be logged in, by all who tell.
///
/// Since Debian 13 who(1) asks logind and shows the PAM service, too.
const WHO: &str = "who | sed -E \"s/ sshd(-privsep)?//; s/ +/ /g\" | cut -c1-22; w -h | cut -c1-26; \
                   loginctl --no-pager show-session $XDG_SESSION_ID -p TTY -p Type -p Remote -p RemoteHost \
                   -p Class -p State";

#[test]
fn a_terminal_is_recorded_until_it_is_closed() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("")? else {
        return Ok(());
    };
    let key = server.add_user("recorded")?;
    let command = format!("SSH '{WHO}'");
    let records = records(server)?;
    let known = match records {
        Records::Files => "TTY=pts/",
        // logind has it from utmp.
        Records::Databases => "recorded pts/",
    };
    same(server, &key, "-tt", &command, known)?;
    let [ours, theirs] = printed(server, &key, "-T", &format!("SSH '{WHO}'"))?;
    assert_eq!(ours, theirs);
    assert!(ours.contains("TTY=\n"), "{ours}");
    let [first, second] = printed(server, &key, "", "sleep 1; who | grep -c recorded")?;
    assert_eq!([&*first, &*second], ["0\n", "0\n"]);
    if records == Records::Files {
        let ended = "last -w recorded | grep -v -e 'still' -e begins | cut -c1-30; \
                     lastlog -u recorded | tail -n 1 | cut -c1-40";
        let [first, second] = printed(server, &key, "", ended)?;
        assert_eq!(first, second);
        assert!(first.starts_with("recorded pts/"), "{first}");
        assert!(first.contains("127.0.0.1"), "{first}");
    }
    Ok(())
}

/// Where a machine keeps who was logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Records {
    /// wtmp and lastlog, written by servers.
    Files,
    /// The databases of pam_wtmpdb(8) and pam_lastlog2(8): Debian since 13.
    Databases,
}

fn records(server: &Server) -> Result<Records> {
    let made = server.exec(["test", "-e", "/usr/bin/wtmpdb"])?;
    Ok(match made.code() {
        Some(0) => Records::Databases,
        _ => Records::Files,
    })
}

#[test]
fn a_module_that_records_logins_sees_each_once_as_with_sshd() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("")? else {
        return Ok(());
    };
    let key = server.add_user("pamtold")?;
    match records(server)? {
        Records::Files => a_stand_in_for_such_a_module(server, &key),
        Records::Databases => the_databases_of_logins(server, &key),
    }
}

/// Where pam_wtmpdb(8) and pam_lastlog2(8) record logins, the files of old are not there, and none is made. Debian 12 has
/// neither module: another one writes down what these would see. systemd has no privilege left when it closes a session:
/// the file is everybody's.
fn a_stand_in_for_such_a_module(server: &Server, key: &UserKey) -> Result<()> {
    server.shell(
        "printf '#!/bin/sh\necho $PAM_TYPE $PAM_USER $PAM_TTY $PAM_RHOST >>/run/recorded\n' >/usr/local/bin/record
         chmod 755 /usr/local/bin/record
         for service in sshd sshd-privsep; do
             cp /etc/pam.d/$service /root/$service.pam
             echo 'session required pam_exec.so /usr/local/bin/record' >>/etc/pam.d/$service
         done
         mkdir /root/books; mv /var/log/wtmp /var/log/lastlog /root/books",
    )?;
    let line = "rm -f /run/recorded; install -m 666 /dev/null /run/recorded; SSH 'echo ran' </dev/null; \
                for wait in $(seq 100); do grep -q close_session /run/recorded && break; sleep 0.1; done; \
                cat /run/recorded; ls /var/log/wtmp /var/log/lastlog";
    let told = "open_session pamtold ssh 127.0.0.1\nclose_session pamtold ssh 127.0.0.1\n";
    let compared = same(server, key, "-tt", line, told);
    server.shell(
        "mv /root/books/* /var/log/
         for service in sshd sshd-privsep; do mv /root/$service.pam /etc/pam.d/$service; done",
    )?;
    compared
}

/// Debian's sshd writes to wtmpdb by itself, terminals only, and its pam_wtmpdb(8) is told to leave sshd alone. With ours
/// the module sees every session, unless it is told to leave us alone, too: then the database is as with sshd.
fn the_databases_of_logins(server: &Server, key: &UserKey) -> Result<()> {
    let line = "SSH 'echo ran' </dev/null; lastlog2 -u pamtold | tail -n 1 | cut -c1-40";
    let last = "pamtold          ssh      127.0.0.1";
    same(server, key, "-T", line, last)?;
    same(server, key, "-tt", line, last)?;
    // The last one, when there is nobody there any more.
    let ended = "SSH 'echo ran' </dev/null; \
                 for wait in $(seq 300); do last -w pamtold | grep -q still || break; sleep 0.1; done; \
                 last -w -n 1 pamtold | head -n 1 | sed -E 's/pts.[0-9]+ +/pts /; s/(127.0.0.1 ).*( - )..:../\\1then\\2then/'";
    let told = "pamtold  pts 127.0.0.1 then - then  (00:00)";
    same(server, key, "-tt", ended, told)?;
    let module = |service: &str| {
        let expression = format!("s/skip_if=[^ ]*/skip_if={service}/");
        server.shell(&format!("sed -i '{expression}' /etc/pam.d/common-session"))
    };
    module("sshd,sshd-privsep")?;
    same(server, key, "-tt", ended, told)?;
    same(server, key, "-T", ended, told)?;
    module("sshd")?;
    let known = "import sqlite3
base = sqlite3.connect('file:/var/lib/wtmpdb/wtmp.db?mode=ro', uri=True)
for row in base.execute(\"select Type, substr(TTY, 1, 4), RemoteHost, Service, Logout >= Login from wtmp where User = 'pamtold' order by ID\"):
    print(*row)";
    let ours = |terminal: &str| format!("3 {terminal} 127.0.0.1 sshd-privsep 1\n");
    let theirs = "3 pts/ 127.0.0.1 None 1\n";
    let expected = [
        ours("ssh"),
        ours("pts/") + theirs,
        ours("pts/") + theirs,
        theirs.repeat(2),
    ];
    let mut found = String::new();
    eventually("each has ended", Duration::from_secs(20), || {
        found = server.run_python(known)?.text();
        Ok(found == expected.concat())
    })
    .context(found)
}

#[test]
fn a_user_cannot_record_a_terminal_of_somebody_else() -> Result<()> {
    let _turn = turn();
    let Some(server) = both("")? else {
        return Ok(());
    };
    let mallory = server.add_user("mallory")?;
    let line = format!(
        "{} 'python3 -c \"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(\\\"/run/sshd-privsep/accounting.sock\\\")\"; \
         test -w /run/utmp -o -w /var/log/wtmp -o -w /var/log/lastlog && echo can write; true' 2>&1",
        ssh(server, &mallory, PORTS[0], "")?
    );
    let output = server.shell(&line)?;
    assert!(output.contains("PermissionError"), "{output}");
    assert!(!output.contains("can write"), "{output}");
    Ok(())
}
