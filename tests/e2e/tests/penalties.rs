//! PerSourcePenalties and its kin: what a source is refused for, who else belongs to it, and what ends it. Each step
//! comes from a network of its own, so that one does not disturb the others.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::server::{CONFIGURATION, eventually};
use e2e::{Peer, Server};
use support::UserKey;
use support::product::OWN_SETTINGS;

/// Everything but `noauth` is active at once; a third one of that within 5 s is.
const SETTINGS: &str = "\
UsePAM yes
LoginGraceTime 2
PerSourceNetBlockSize 24:64
PerSourceMaxStartups 3
PerSourcePenalties crash:60 authfail:61 invaliduser:62 grace-exceeded:63 refuseconnection:64 noauth:5 min:10
PerSourcePenaltyExemptList 127.0.200.0/24
Match User forbidden
RefuseConnection yes
";

#[test]
fn a_source_that_misbehaves_is_refused_and_no_other() -> Result<()> {
    // Debian's sshd has no penalties yet.
    if Peer::from_environment()? != Peer::Ours {
        return Ok(());
    }
    let server = Server::up("penalties", "")?;
    let key = server.add_user("honest")?;
    server.write_file(OWN_SETTINGS, b"", 0o644)?;
    server.write_file(CONFIGURATION, SETTINGS.as_bytes(), 0o644)?;
    server.reload()?;
    each_offence_has_its_penalty(&server, &key)?;
    small_offences_add_up_and_a_login_clears_them(&server, &key)?;
    a_source_has_few_connections_at_a_time(&server, &key)?;
    who_is_exempt_may_fail(&server, &key)?;
    an_administrator_lists_clears_and_exempts(&server, &key)?;
    penalties_survive_a_reload(&server, &key)?;
    server.must_serve(&key)
}

fn each_offence_has_its_penalty(server: &Server, key: &UserKey) -> Result<()> {
    let wrong = UserKey {
        user: key.user.clone(),
        ..server.make_key("wrong")?
    };
    let of = |user: &str| UserKey {
        user: user.to_owned(),
        ..wrong.clone()
    };
    let since = server.now()?;
    fails(server, &wrong, "127.0.1.1")?;
    fails(server, &of("nosuchuser"), "127.0.2.1")?;
    fails(server, &of("forbidden"), "127.0.3.1")?;
    outstays_the_grace_time(server, "127.0.4.1")?;
    loses_its_worker(server, "127.0.5.1")?;
    for (network, seconds, reason) in [
        ("127.0.1", "61", "failed authentication"),
        ("127.0.2", "62", "attempted authentication by invalid user"),
        ("127.0.3", "64", "connection prohibited by RefuseConnection"),
        ("127.0.4", "63", "exceeded LoginGraceTime"),
        ("127.0.5", "60", "caused crash"),
    ] {
        let line = format!(
            "ipv4: new {network}.1/24 active penalty of {seconds}.000 seconds for penalty: {reason}"
        );
        let entry = server.wait_for_entry(&since, &["srclimit_penalise: ", &line])?;
        assert_eq!(entry.field("SSHD_SOURCE"), format!("{network}.0/24"));
        // A neighbour in the same block.
        let peer = format!("{network}.77");
        must_be_refused(server, key, &peer)?;
        let dropped = [&format!("from [{peer}]:"), "on [127.0.0.1]:22 penalty: "];
        let entry =
            server.wait_for_entry(&since, &["drop connection #", dropped[0], dropped[1]])?;
        assert_eq!(entry.field("SSHD_REASON"), format!("penalty: {reason}"));
    }
    must_be_served(server, key, "127.0.6.1")
}

fn small_offences_add_up_and_a_login_clears_them(server: &Server, key: &UserKey) -> Result<()> {
    for _ in 0..2 {
        says_nothing(server, "127.0.10.1")?;
    }
    wait_for_state(server, "127.0.10.0/24", "deferred")?;
    must_be_served(server, key, "127.0.10.1")?;
    wait_for_none(server, "127.0.10.0/24")?;

    for _ in 0..3 {
        says_nothing(server, "127.0.11.1")?;
    }
    wait_for_state(server, "127.0.11.0/24", "refused")?;
    must_be_refused(server, key, "127.0.11.1")
}

fn a_source_has_few_connections_at_a_time(server: &Server, key: &UserKey) -> Result<()> {
    let since = server.now()?;
    let program = "
import socket, sys
held = []
for last in range(1, 4):
    held.append(socket.create_connection(('127.0.0.1', 22), source_address=(f'127.0.20.{last}', 0)))
    assert held[-1].recv(4) == b'SSH-'
one_more = socket.create_connection(('127.0.0.1', 22), source_address=('127.0.20.9', 0))
assert one_more.recv(100) == b'Not allowed at this time\\r\\n'
other = socket.create_connection(('127.0.0.1', 22), source_address=('127.0.21.1', 0))
assert other.recv(4) == b'SSH-'
";
    server.run_python(program)?;
    let said = ["drop connection #", "[127.0.20.9]:", "past Maxstartups"];
    let entry = server.wait_for_entry(&since, &said)?;
    assert_eq!(entry.field("SSHD_REASON"), "PerSourceMaxStartups");
    server.wait_for_entry(&since, &["beginning MaxStartups throttling"])?;
    // They said nothing, which has its own price; their places are free again.
    wait_for_state(server, "127.0.20.0/24", "refused")?;
    server.shell("sshd-privsepctl penalties clear 127.0.20.1")?;
    must_be_served(server, key, "127.0.20.1")
}

fn who_is_exempt_may_fail(server: &Server, key: &UserKey) -> Result<()> {
    let wrong = UserKey {
        user: "nosuchuser".to_owned(),
        ..key.clone()
    };
    for _ in 0..3 {
        fails(server, &wrong, "127.0.200.1")?;
    }
    must_be_served(server, key, "127.0.200.1")
}

fn an_administrator_lists_clears_and_exempts(server: &Server, key: &UserKey) -> Result<()> {
    let since = server.now()?;
    let list = server.shell("sshd-privsepctl penalties")?;
    for words in ["failed authentication", "exceeded LoginGraceTime", "s.\n"] {
        assert!(list.contains(words), "{list}");
    }
    server.shell("sshd-privsepctl penalties clear 127.0.1.77 127.0.2.0/24")?;
    must_be_served(server, key, "127.0.1.77")?;
    must_be_served(server, key, "127.0.2.1")?;
    must_be_refused(server, key, "127.0.3.1")?;
    let none = server.exec(["sshd-privsepctl", "penalties", "clear", "127.0.1.77"])?;
    assert_eq!(none.code(), Some(1), "{none:?}");

    server.shell("sshd-privsepctl penalties exempt 127.0.3.0/24")?;
    must_be_served(server, key, "127.0.3.1")?;
    let exempt = state(server, "127.0.3.0/24 ")?;
    assert!(exempt.is_some(), "{exempt:?}");
    for done in [
        "127.0.2.0/24 cleared by root",
        "127.0.3.0/24 exempted from penalties by root",
    ] {
        server.wait_for_entry(&since, &[done])?;
    }
    let stranger = server
        .command(["sshd-privsepctl", "penalties"])
        .user(&key.user)
        .run()?;
    assert_eq!(stranger.code(), Some(4), "{stranger:?}");
    Ok(())
}

fn penalties_survive_a_reload(server: &Server, key: &UserKey) -> Result<()> {
    server.reload()?;
    must_be_refused(server, key, "127.0.4.1")?;
    must_be_served(server, key, "127.0.3.1")?;
    let said = server.shell("sshd-privsepctl penalties clear all")?;
    assert!(said.contains("penalties cleared."), "{said}");
    must_be_served(server, key, "127.0.4.1")
}

/// What `ssh` comes to from an address.
fn ssh_from(server: &Server, key: &UserKey, peer: &str) -> Result<(Option<i32>, String)> {
    let output = server.ssh(key, &["-b", peer], &["echo in"]).run()?;
    Ok((output.code(), output.text() + &output.error_text()))
}

fn must_be_served(server: &Server, key: &UserKey, peer: &str) -> Result<()> {
    let (code, said) = ssh_from(server, key, peer)?;
    ensure!(code == Some(0) && said == "in\n", "{peer}: {said}");
    Ok(())
}

/// Tries in vain to log in.
fn fails(server: &Server, key: &UserKey, peer: &str) -> Result<()> {
    let (code, said) = ssh_from(server, key, peer)?;
    ensure!(code == Some(255), "{peer}: {said}");
    ensure!(!said.contains("kex_exchange_identification"), "{said}");
    Ok(())
}

/// Is not even greeted.
fn must_be_refused(server: &Server, key: &UserKey, peer: &str) -> Result<()> {
    let (code, said) = ssh_from(server, key, peer)?;
    // Which of these ssh says depends on its age and on whether it had written before. After a greeting it would be let in,
    // or be told that it is not.
    let told =
        said.contains("kex_exchange_identification") || said.starts_with("Connection closed by");
    let refused = code == Some(255) && told;
    ensure!(refused, "{peer}: {said}");
    Ok(())
}

fn says_nothing(server: &Server, peer: &str) -> Result<()> {
    talk(server, peer, "")
}

fn outstays_the_grace_time(server: &Server, peer: &str) -> Result<()> {
    talk(server, peer, "while client.recv(1000): pass")
}

/// Opens a connection and does something with it.
fn talk(server: &Server, peer: &str, act: &str) -> Result<()> {
    server.run_python(&format!(
        "
import socket
client = socket.create_connection(('127.0.0.1', 22), source_address=('{peer}', 0), timeout=20)
assert client.recv(4) == b'SSH-'
{act}
"
    ))?;
    Ok(())
}

/// Has its worker killed as a crash would.
fn loses_its_worker(server: &Server, peer: &str) -> Result<()> {
    let program = format!(
        "
import socket
client = socket.create_connection(('127.0.0.1', 22), source_address=('{peer}', 0), timeout=20)
print('open', flush=True)
try:
    while client.recv(1000): pass
except ConnectionResetError:
    pass
"
    );
    let client = server.python(&program).spawn()?;
    client.wait_for("open", Duration::from_secs(10))?;
    let unit = "sshd-privsepctl list --no-legend | grep -F ' %:' | cut -d' ' -f1 \
                | xargs sshd-privsepctl show | sed -n 's/ *Worker: //p'";
    let mut worker = String::new();
    eventually("a worker", Duration::from_secs(5), || {
        worker = server.shell(&unit.replace('%', peer)).unwrap_or_default();
        Ok(!worker.trim().is_empty())
    })?;
    // Not SEGV: Rust's handler returns from one that nothing in the program has caused.
    server.exec(["systemctl", "kill", "-s", "ABRT", worker.trim()])?;
    client.finish(Duration::from_secs(10))?.success()?;
    Ok(())
}

fn state(server: &Server, source: &str) -> Result<Option<String>> {
    let list = server.shell("sshd-privsepctl penalties --no-legend")?;
    let line = list.lines().find(|line| line.starts_with(source));
    Ok(line.and_then(|line| Some(line.split_whitespace().nth(1)?.to_owned())))
}

fn wait_for_state(server: &Server, source: &str, wanted: &str) -> Result<()> {
    let mut found = None;
    eventually(wanted, Duration::from_secs(4), || {
        found = state(server, source)?;
        Ok(found.as_deref() == Some(wanted))
    })
    .with_context(|| format!("{source}: {found:?}"))
}

fn wait_for_none(server: &Server, source: &str) -> Result<()> {
    eventually("no penalty", Duration::from_secs(4), || {
        Ok(state(server, source)?.is_none())
    })
}
