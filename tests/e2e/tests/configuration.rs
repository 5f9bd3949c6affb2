//! A configuration with errors is turned down with its places, the one before stays in force; a good one counts for new
//! connections.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::Shared;
use e2e::server::CONFIGURATION;

static SERVER: Shared = Shared::new("configuration", "");

const MONITOR: &str = "/usr/libexec/sshd-privsep/monitor";

#[test]
fn the_packaged_configuration_is_in_order() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let output = server.exec([MONITOR, "-t"])?.success()?;
    let said = output.error_text();
    // The one remark: ssh-keygen -A has made a key that is not offered by default.
    assert!(
        said.lines().count() == 1 && said.starts_with("/etc/ssh/ssh_host_ecdsa_key is not offered"),
        "{said}"
    );
    // Without the others it is used, and there is nothing to remark on.
    let output = server.shell(&format!(
        "cp -a /etc/ssh /root/aside; rm /root/aside/ssh_host_ed25519_key /root/aside/ssh_host_rsa_key
         unshare --mount sh -c 'mount --bind /root/aside /etc/ssh; {MONITOR} -t 2>&1; echo $?'"
    ))?;
    assert_eq!(output, "0\n");
    Ok(())
}

/// OpenSSH's sshd stops at keywords that it does not know: ours can stand beside the file that both servers read.
#[test]
fn the_own_file_belongs_to_the_default_configuration_only() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let output = server.shell(&format!(
        "cp -a /etc/ssh /root/own; echo WorkerPoolIdle many >/root/own/sshd-privsep.conf
         unshare --mount sh -c 'mount --bind /root/own /etc/ssh; {MONITOR} -t 2>&1; echo $?
             {MONITOR} -t -f /root/own/sshd_config >/dev/null 2>&1; echo $?'"
    ))?;
    assert!(
        output.contains("/etc/ssh/sshd-privsep.conf:1:16: WorkerPoolIdle"),
        "{output}"
    );
    assert!(output.ends_with("\n255\n0\n"), "{output}");
    Ok(())
}

#[test]
fn errors_are_shown_with_file_line_column_and_suggestion() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let cases: &[(&str, &[&str])] = &[
        (
            "LoginGraceTime 10\n  PermitRootLogn yes\n",
            &[
                ":2:3: ",
                "\"PermitRootLogn\"",
                "did you mean PermitRootLogin?",
                "\n      ^^^^",
            ],
        ),
        ("MaxAuthTries many\n", &[":1:14: ", "\"many\"", "number"]),
        (
            "Ciphers aes256-gmc@openssh.com\n",
            &[":1:9: ", "did you mean aes256-gcm@openssh.com?"],
        ),
        (
            "MaxStartups 1:2\nLoginGraceTime soon\n",
            &[":1:13: ", ":2:16: "],
        ),
        ("Subsystem sftp\n", &[":1:"]),
        ("Banner \"unfinished\n", &[":1:8: "]),
        // What would permit more than its words say is not ignored.
        ("\nRDomain x\n", &[":2:1: ", "cannot be ignored"]),
        ("HostKey /etc/ssh/nonesuch\n", &["/etc/ssh/nonesuch"]),
    ];
    for (number, (text, parts)) in cases.iter().enumerate() {
        let file = format!("/root/bad-{number}.conf");
        server.write_file(&file, text.as_bytes(), 0o644)?;
        let output = server.exec([MONITOR, "-t", "-f", &file])?;
        assert_ne!(output.code(), Some(0), "{text:?} is accepted");
        let said = output.error_text();
        for part in *parts {
            let part = match part.strip_prefix(':') {
                Some(place) => format!("{file}:{place}"),
                None => (*part).to_owned(),
            };
            assert_eq!(said.matches(&part).count(), 1, "{part:?} in\n{said}");
        }
    }
    Ok(())
}

#[test]
fn a_reload_with_errors_changes_nothing_and_says_so() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("unmoved")?;
    let good = server.shell(&format!("cat {CONFIGURATION}"))?;
    let since = server.now()?;
    // It also asks for what nobody could log in with.
    let bad = format!("PubkeyAuthentication no\nMaxSesions 3\n{good}");
    server.write_file(CONFIGURATION, bad.as_bytes(), 0o644)?;
    ensure!(server.reload().is_err(), "it was taken for a success");
    let journal = server.wait_for_journal(
        &["--since", &since, "-t", "sshd", "-o", "cat"],
        "sshd_config:2:1: ",
        Duration::from_secs(10),
    )?;
    assert!(journal.contains("did you mean MaxSessions?"), "{journal}");
    let status = server.shell("systemctl show -P StatusText sshd-privsep-monitor.service")?;
    assert!(status.contains("configuration has errors"), "{status}");
    server.must_serve(&key)?;
    server.write_file(CONFIGURATION, good.as_bytes(), 0o644)?;
    server.reload()?;
    let status = server.shell("systemctl show -P StatusText sshd-privsep-monitor.service")?;
    assert!(!status.contains("errors"), "{status}");
    server.must_serve(&key)
}

#[test]
fn a_reload_counts_for_new_connections_and_leaves_sessions_alone() -> Result<()> {
    // Its own machine: while it lasts, nobody can log in to this one with a common cipher.
    let server = e2e::Server::up("reload", "")?;
    let key = server.add_user("reloads")?;
    let mut before = server.ssh(&key, &[], &["echo up; cat"]).spawn()?;
    before.wait_for("up", Duration::from_secs(20))?;
    let since = server.now()?;
    server.configure("Ciphers aes128-gcm@openssh.com\nAcceptEnv ONLYNOW\nLogLevel VERBOSE\n")?;
    let output = server
        .ssh(
            &key,
            &["-v", "-o", "SendEnv=ONLYNOW"],
            &["echo got $ONLYNOW"],
        )
        .env("ONLYNOW", "it")
        .run()?
        .success()?;
    assert_eq!(output.text(), "got it\n");
    let log = output.error_text();
    assert!(log.contains("cipher: aes128-gcm@openssh.com"), "{log}");
    // A line that only VERBOSE has.
    server.wait_for_journal(
        &["--since", &since, "-t", "sshd", "-o", "cat"],
        "Connection from 127.0.0.1",
        Duration::from_secs(10),
    )?;
    let refused = server
        .ssh(&key, &["-c", "aes256-gcm@openssh.com"], &["true"])
        .run()?;
    assert_eq!(refused.code(), Some(255));
    before.write(b"still the same\n")?;
    before.wait_for("still the same", Duration::from_secs(20))?;
    server.configure("")?;
    server
        .ssh(&key, &["-c", "aes256-gcm@openssh.com"], &["true"])
        .run()?
        .success()?;
    Ok(())
}

#[test]
fn a_server_that_cannot_start_says_why_and_starts_when_mended() -> Result<()> {
    let server = e2e::Server::up("unmended", "")?;
    if server.peer() != e2e::Peer::Ours {
        return Ok(());
    }
    let key = server.add_user("mender")?;
    let good = server.shell(&format!("cat {CONFIGURATION}"))?;
    let since = server.now()?;
    server.write_file(CONFIGURATION, b"Prot 22\n", 0o644)?;
    let restarted = server.exec(["systemctl", "restart", "sshd-privsep-monitor.service"])?;
    ensure!(!restarted.status.success(), "{restarted:?}");
    server.wait_for_journal(
        &["--since", &since, "-o", "cat"],
        "sshd_config:1:1: ",
        Duration::from_secs(10),
    )?;
    server.write_file(CONFIGURATION, good.as_bytes(), 0o644)?;
    // No human restarts it: systemd does, for ever.
    server.wait_for_journal(
        &["--since", &since, "-t", "sshd", "-o", "cat"],
        "Server listening on",
        Duration::from_secs(20),
    )?;
    server.must_serve(&key)
}
