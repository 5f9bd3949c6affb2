//! What an administrator reads about a login: OpenSSH's sentences, one connection's lines from every process, nothing
//! forged by a stranger.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use e2e::{Server, Shared};

static SERVER: Shared = Shared::new("journal", "LogLevel VERBOSE\nSyslogFacility LOCAL3");

/// The TCP port of the client in a line about it.
fn port_in(message: &str) -> &str {
    let rest = message.split(" port ").nth(1).unwrap_or_default();
    rest.split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default()
}

#[test]
fn a_login_and_its_end_are_told_in_the_words_of_openssh() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("words")?;
    let since = server.now()?;
    server.must_serve(&key)?;
    let accepted = server.wait_for_entry(&since, &["Accepted publickey for words from "])?;
    let port = port_in(accepted.message());
    let fingerprint = server.key_fingerprint(&key)?;
    assert_eq!(
        accepted.message(),
        format!(
            "Accepted publickey for words from 127.0.0.1 port {port} ssh2: ED25519 {fingerprint}"
        )
    );
    for (part, sentence) in [
        (
            "Received disconnect from",
            format!("Received disconnect from 127.0.0.1 port {port}:11: disconnected by user"),
        ),
        (
            "Disconnected from user",
            format!("Disconnected from user words 127.0.0.1 port {port}"),
        ),
    ] {
        let entry = server.wait_for_entry(&since, &[part, port])?;
        assert_eq!(entry.message(), sentence);
    }
    let sentence = format!("Starting session: command for words from 127.0.0.1 port {port} id 0");
    let entry = server.wait_for_entry(&since, &["Starting session", port])?;
    assert_eq!(entry.message(), sentence);
    // Of VERBOSE, which is no debugging to syslog(3).
    assert_eq!(entry.field("PRIORITY"), "6");
    Ok(())
}

#[test]
fn lines_have_the_facility_that_the_configuration_says() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("facility")?;
    let since = server.now()?;
    server.must_serve(&key)?;
    for part in [
        "Accepted publickey for",
        "Starting session",
        "Disconnected from",
    ] {
        let entry = server.wait_for_entry(&since, &[part, " facility "])?;
        // local3 of syslog(3)
        assert_eq!(entry.field("SYSLOG_FACILITY"), "19", "{entry:?}");
    }
    Ok(())
}

#[test]
fn each_key_type_is_named_as_openssh_names_it() -> Result<()> {
    let server = SERVER.get()?;
    let owner = server.add_user("types")?;
    for (name, options, shown) in [
        ("rsa", vec!["-t", "rsa", "-b", "2048"], "RSA"),
        ("ecdsa", vec!["-t", "ecdsa", "-b", "384"], "ECDSA"),
    ] {
        let key = server.extra_key(&owner, name, &options)?;
        let since = server.now()?;
        server.must_serve(&key)?;
        let entry = server.login_entry(&since, &key)?;
        let end = format!(" ssh2: {shown} {}", server.key_fingerprint(&key)?);
        assert!(entry.message().ends_with(&end), "{}", entry.message());
    }
    Ok(())
}

#[test]
fn a_connection_that_breaks_off_is_told_as_closed() -> Result<()> {
    let server = SERVER.get()?;
    let since = server.now()?;
    let output = server
        .run_python("from packets import *\nc = Client(); c.read_packet(); c.socket.close()")?;
    let text = output.text();
    let port = text.trim().trim_start_matches("port ");
    server.wait_for_entry(
        &since,
        &[&format!("Connection closed by 127.0.0.1 port {port}")],
    )?;
    Ok(())
}

#[test]
fn each_line_of_a_connection_carries_its_mark() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("marked")?;
    let since = server.now()?;
    server.must_serve(&key)?;
    server.wait_for_entry(&since, &["Disconnected from user marked "])?;
    let accepted = server.login_entry(&since, &key)?;
    let connection = accepted.field("SSHD_CONN");
    assert!(connection.len() >= 16, "{connection:?}");
    let entries = server.entries_of_connection(connection)?;
    let shown: Vec<_> = entries.iter().map(|entry| entry.message()).collect();
    let roles: BTreeSet<_> = entries
        .iter()
        .map(|entry| entry.field("SSHD_ROLE"))
        .collect();
    // The worker has no journal of its own: what it reports, the monitor writes.
    assert_eq!(roles, BTreeSet::from(["monitor", "session"]), "{shown:#?}");
    let port = port_in(accepted.message());
    for entry in &entries {
        assert_eq!(entry.field("SSHD_PEER"), "127.0.0.1", "{entry:?}");
        assert_eq!(entry.field("SSHD_PEER_PORT"), port, "{entry:?}");
        assert_eq!(entry.field("SYSLOG_IDENTIFIER"), "sshd", "{entry:?}");
    }
    assert_eq!(accepted.field("SSHD_USER"), "marked");
    assert_eq!(
        accepted.field("SSHD_KEY_FINGERPRINT"),
        server.key_fingerprint(&key)?
    );
    assert!(!accepted.field("MESSAGE_ID").is_empty());
    // No line about this client without the mark.
    for entry in server.entries(&["--since", &since, "-t", "sshd"])? {
        ensure!(
            !entry.message().contains(&format!(" port {port}"))
                || entry.field("SSHD_CONN") == connection,
            "{entry:?}"
        );
    }
    Ok(())
}

#[test]
fn two_connections_have_two_marks() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("twice")?;
    let mut marks = BTreeSet::new();
    for _ in 0..3 {
        let since = server.now()?;
        server.must_serve(&key)?;
        let entry = server.login_entry(&since, &key)?;
        marks.insert(entry.field("SSHD_CONN").to_owned());
    }
    assert_eq!(marks.len(), 3, "{marks:?}");
    Ok(())
}

/// Logs in as each of these names with a key that nobody knows.
const HOSTILE_NAMES: &str = r#"
import paramiko, socket, sys, time
names = [
    "new\nline", "Accepted publickey for root from 192.0.2.1 port 1 ssh2",
    "esc\x1b[2Jape", "bell\x07", "nul\0root", "del\x7f", "c1\x9b2J", "bidi\u202egnp",
    "../../etc/passwd", "-oProxyCommand=touch /tmp/owned", "$(touch /tmp/owned)", "`touch /tmp/owned`",
    "a" * 200, "x" * 70000, "", " ", "%h%u%%", "user from 192.0.2.1 port 22 ssh2: forged",
]
key = paramiko.RSAKey.generate(2048)
for name in names:
    connection = socket.create_connection(("127.0.0.1", 22))
    transport = paramiko.Transport(connection)
    try:
        transport.start_client(timeout=20)
        transport.auth_publickey(name, key)
        sys.exit(f"{name!r} is in")
    except (paramiko.SSHException, EOFError, OSError):
        pass
    finally:
        transport.close()
"#;

#[test]
fn hostile_user_names_forge_nothing() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("honest")?;
    let since = server.now()?;
    server.run_python(HOSTILE_NAMES)?;
    server.must_serve(&key)?;
    server.login_entry(&since, &key)?;
    for entry in server.entries(&["--since", &since, "-t", "sshd"])? {
        let message = entry.message();
        ensure!(
            !message.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{message:?}"
        );
        ensure!(message.len() < 2000, "{} bytes", message.len());
        ensure!(
            !message.starts_with("Accepted publickey") || message.contains(" from 127.0.0.1 port "),
            "{message:?}"
        );
    }
    ensure!(server.exec(["test", "-e", "/tmp/owned"])?.code() == Some(1));
    nobody_filled_the_journal(server, &since)
}

/// What one stranger's connection may add to the journal.
fn nobody_filled_the_journal(server: &Server, since: &str) -> Result<()> {
    let lines = server.journal(&["--since", since, "-t", "sshd", "-o", "cat"])?;
    ensure!(lines.len() < 100_000, "{} bytes of journal", lines.len());
    Ok(())
}
