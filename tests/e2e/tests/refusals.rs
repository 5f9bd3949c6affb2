//! Who does not get in, what the client learns of it, and what the administrator reads.

use std::time::Duration;

use anyhow::Result;
use e2e::{Peer, Server, Shared};
use support::UserKey;
use support::users::client_options;

static SERVER: Shared = Shared::new("refusals", "");

/// What every client that may not log in is told, whatever the reason.
const DENIED: &str = "Permission denied (publickey";

/// Tries to log in. Nothing may run; returns what the client said.
fn must_be_refused(server: &Server, key: &UserKey, options: &[&str]) -> Result<String> {
    let output = server.ssh(key, options, &["echo I am in"]).run()?;
    assert_eq!(output.code(), Some(255), "{output:?}");
    assert_eq!(output.text(), "", "{output:?}");
    Ok(output.error_text())
}

/// Makes a key that logs in to no account, to be tried at this one.
fn foreign_key(server: &Server, user: &str, name: &str) -> Result<UserKey> {
    Ok(UserKey {
        user: user.to_owned(),
        ..server.make_key(name)?
    })
}

#[test]
fn a_key_that_is_not_authorised() -> Result<()> {
    let server = SERVER.get()?;
    server.add_user("wrongkey")?;
    let key = foreign_key(server, "wrongkey", "foreign")?;
    let since = server.now()?;
    let said = must_be_refused(server, &key, &[])?;
    assert!(said.contains(DENIED), "{said}");
    server.wait_for_entry(
        &since,
        &["Connection closed by authenticating user wrongkey 127.0.0.1 port "],
    )?;
    Ok(())
}

#[test]
fn a_user_that_does_not_exist_learns_nothing_from_it() -> Result<()> {
    let server = SERVER.get()?;
    server.add_user("exists")?;
    let existing = foreign_key(server, "exists", "prober")?;
    let absent = UserKey {
        user: "absent".to_owned(),
        ..existing.clone()
    };
    let since = server.now()?;
    let known = must_be_refused(server, &existing, &[])?;
    let unknown = must_be_refused(server, &absent, &[])?;
    assert_eq!(known.replace("exists", "absent"), unknown);
    server.wait_for_entry(&since, &["Invalid user absent from 127.0.0.1 port "])?;
    server.wait_for_entry(
        &since,
        &["Connection closed by invalid user absent 127.0.0.1 port "],
    )?;
    Ok(())
}

#[test]
fn root_may_log_in_with_a_key_by_default() -> Result<()> {
    let server = SERVER.get()?;
    let key = foreign_key(server, "root", "rootkey")?;
    server.authorize("root", &key.public)?;
    let output = server.ssh(&key, &[], &["id -u"]).run()?.success()?;
    assert_eq!(output.text(), "0\n");
    Ok(())
}

#[test]
fn files_that_others_could_have_written_authorise_nobody() -> Result<()> {
    let server = SERVER.get()?;
    for (user, spoil, named) in [
        (
            "loosefile",
            "chmod o+w .ssh/authorized_keys",
            "file /home/loosefile/.ssh/authorized_keys",
        ),
        (
            "loosedir",
            "chmod o+w .ssh",
            "directory /home/loosedir/.ssh",
        ),
        ("loosehome", "chmod o+w .", "directory /home/loosehome"),
    ] {
        let key = server.add_user(user)?;
        server.must_serve(&key)?;
        server
            .command(["sh", "-euc", spoil])
            .user(user)
            .run()?
            .success()?;
        let since = server.now()?;
        let said = must_be_refused(server, &key, &[])?;
        assert!(said.contains(DENIED), "{said}");
        let line = format!("Authentication refused: bad ownership or modes for {named}");
        server.wait_for_entry(&since, &[&line])?;
    }
    Ok(())
}

#[test]
fn a_file_of_another_owner_authorises_nobody() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("victim")?;
    let thief = server.add_user("thief")?;
    server.shell(&format!(
        "cd /home/victim/.ssh; rm authorized_keys; cp /home/thief/.ssh/authorized_keys {0}; \
         chown thief: {0}; chmod 644 {0}",
        "authorized_keys"
    ))?;
    let since = server.now()?;
    let intruder = UserKey {
        user: key.user,
        ..thief
    };
    must_be_refused(server, &intruder, &[])?;
    server.wait_for_entry(
        &since,
        &["bad ownership or modes for file /home/victim/.ssh/authorized_keys"],
    )?;
    Ok(())
}

#[test]
fn a_link_to_a_file_that_only_root_may_read_does_not_show_it() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("linker")?;
    let other = server.add_user("linkedto")?;
    server
        .command([
            "sh",
            "-euc",
            "ln -sf /home/linkedto/.ssh/authorized_keys .ssh/",
        ])
        .user("linker")
        .run()?
        .success()?;
    let intruder = UserKey {
        user: key.user,
        ..other
    };
    must_be_refused(server, &intruder, &[])?;
    Ok(())
}

#[test]
fn an_account_without_a_usable_shell() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("shellless")?;
    server
        .exec(["usermod", "-s", "/nonexistent/shell", "shellless"])?
        .success()?;
    let since = server.now()?;
    let said = must_be_refused(server, &key, &[])?;
    assert!(said.contains(DENIED), "{said}");
    server.wait_for_entry(
        &since,
        &["User shellless not allowed because shell /nonexistent/shell does not exist"],
    )?;
    Ok(())
}

#[test]
fn an_account_that_has_expired() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("expired")?;
    server.exec(["chage", "-E", "1", "expired"])?.success()?;
    must_be_refused(server, &key, &[])?;
    Ok(())
}

#[test]
fn too_many_keys_end_the_connection() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("manykeys")?;
    let mut options = Vec::new();
    for number in 0..7 {
        let wrong = server.make_key(&format!("many{number}"))?;
        options.extend(["-i".to_owned(), wrong.machine_path]);
    }
    // The right one comes last, after what MaxAuthTries permits.
    options.extend(client_options(&key));
    let since = server.now()?;
    let output = server
        .command(["ssh"])
        .args(options)
        .args(["manykeys@127.0.0.1", "echo in"])
        .run()?;
    assert_eq!(output.code(), Some(255), "{output:?}");
    let said = output.error_text();
    assert!(said.contains("Too many authentication failures"), "{said}");
    server.wait_for_entry(
        &since,
        &[
            "Disconnecting authenticating user manykeys 127.0.0.1 port ",
            ": Too many authentication failures",
        ],
    )?;
    Ok(())
}

#[test]
fn passwords_are_not_offered() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("password")?;
    let options = [
        "-o",
        "PreferredAuthentications=password,keyboard-interactive",
    ];
    let said = must_be_refused(server, &key, &options)?;
    assert!(said.contains("Permission denied (publickey)."), "{said}");
    Ok(())
}

// ---- limits, on a machine of their own: they would hit every other test

#[test]
fn limits_on_strangers_hold() -> Result<()> {
    let server = Server::up(
        "limits",
        "LoginGraceTime 3\nMaxStartups 4:100:4\nPermitRootLogin no\n",
    )?;
    let key = server.add_user("patient")?;
    grace_time_ends_a_connection_that_says_nothing(&server)?;
    grace_time_ends_a_connection_that_only_keeps_talking(&server)?;
    connections_beyond_max_startups_are_dropped(&server, &key)?;
    root_is_refused_when_the_administrator_says_so(&server)?;
    nobody_but_root_logs_in_while_nologin_exists(&server, &key)
}

fn grace_time_ends_a_connection_that_says_nothing(server: &Server) -> Result<()> {
    let since = server.now()?;
    let program = "
from packets import *
client = Client(identification=None)
began = time.monotonic()
client.socket.settimeout(20)
while client.socket.recv(1000):
    pass
took = time.monotonic() - began
assert 2 < took < 8, took
";
    server.run_python(program)?;
    if server.peer() == Peer::Ours {
        // Debian's sshd cannot say it: it has no logging from a signal handler.
        server.wait_for_entry(&since, &["Timeout before authentication"])?;
    }
    Ok(())
}

fn grace_time_ends_a_connection_that_only_keeps_talking(server: &Server) -> Result<()> {
    let program = "
from packets import *
client = Client()
client.socket.settimeout(0.1)
began = time.monotonic()
ended = False
while not ended:
    assert time.monotonic() - began < 8
    client.say(bytes([IGNORE]) + string(b'still here'))
    try:
        ended = client.socket.recv(1000) == b''
    except TimeoutError:
        pass
    except ConnectionResetError:
        ended = True
";
    server.run_python(program)?;
    Ok(())
}

fn connections_beyond_max_startups_are_dropped(server: &Server, key: &UserKey) -> Result<()> {
    let since = server.now()?;
    let program = "
from packets import *
idle = [Client() for _ in range(4)]
try:
    dropped = Client()
    answer = dropped.socket.recv(1000)
except (EOFError, ConnectionResetError):
    answer = b''
assert not answer.startswith(b'SSH-'), answer
print('full', flush=True)
import sys
sys.stdin.readline()
";
    let mut strangers = server.python(program).spawn()?;
    strangers.wait_for("full", Duration::from_secs(20))?;
    server
        .wait_for_entry(&since, &["drop connection #", "axStartups"])
        .or_else(|_| server.wait_for_entry(&since, &["drop connection #", "Maxstartups"]))?;
    strangers.close_stdin();
    strangers.finish(Duration::from_secs(20))?.success()?;
    // The places of those who left are free at once.
    server.must_serve(key)
}

fn root_is_refused_when_the_administrator_says_so(server: &Server) -> Result<()> {
    let key = foreign_key(server, "root", "rootkey")?;
    server.authorize("root", &key.public)?;
    let since = server.now()?;
    must_be_refused(server, &key, &[])?;
    server.wait_for_entry(&since, &["ROOT LOGIN REFUSED FROM 127.0.0.1 port "])?;
    Ok(())
}

fn nobody_but_root_logs_in_while_nologin_exists(server: &Server, key: &UserKey) -> Result<()> {
    server.write_file("/run/nologin", b"going down\n", 0o644)?;
    must_be_refused(server, key, &[])?;
    server.shell("rm /run/nologin")?;
    if server.peer() == Peer::Ours {
        assert_eq!(server.failed_units()?, "");
    }
    server.must_serve(key)
}
