//! fail2ban with Debian's own filter for sshd finds in our journal what it finds in OpenSSH's, for the same attempts.

use anyhow::{Result, ensure};
use e2e::Server;
use e2e::beside::THEIRS;
use e2e::server::CONFIGURATION;
use support::UserKey;
use support::users::client_options;

/// Where Debian's sshd listens.
const THEIR_PORT: u16 = 2222;

/// Where its lines are: the journal cannot tell the unit of a process that has ended when it looks, as sshd's have after
/// their last line, but the facility is in the line itself. PAM's modules log with another.
const THEIR_MATCH: &str = "SYSLOG_FACILITY=17 + _SYSTEMD_UNIT=theirs.service";

/// For both servers.
const SETTINGS: &str = "UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n\
                        PermitRootLogin no\nMaxAuthTries 3\nDenyUsers denied\n";

/// Types a wrong password for ssh.
const ASK: &str = "/root/ask";

/// The jail of the manual page, as it is installed for administrators to copy.
const JAIL: &str = "/usr/share/doc/sshd-privsep/examples/fail2ban.conf";

#[test]
fn debians_filter_finds_the_same_in_both_journals() -> Result<()> {
    let server = Server::up_as("fail2ban", "", e2e::Peer::Ours)?;
    let key = server.add_user("honest")?;
    server.add_user("denied")?;
    server.write_file(ASK, b"#!/bin/sh\necho wrong\n", 0o755)?;
    // pam_unix(8) would have each wrong password wait for two seconds, with either server.
    server.shell(
        "printf '%s\\n' honest:right denied:right root:right | chpasswd
         sed -i 's/pam_unix.so nullok$/& nodelay/' /etc/pam.d/common-auth
         grep -q nodelay /etc/pam.d/common-auth",
    )?;
    server.write_file(CONFIGURATION, SETTINGS.as_bytes(), 0o644)?;
    server.reload()?;
    server.shell(&format!(
        "cp {CONFIGURATION} /root/theirs.conf; mkdir -p /run/sshd
         systemd-run -q --unit=theirs {THEIRS} -D -f /root/theirs.conf -p {THEIR_PORT} \
            -o SyslogFacility=LOCAL1
         until ss -Hltn 'sport = {THEIR_PORT}' | grep -q .; do sleep 0.1; done"
    ))?;
    let since = server.now()?;
    for port in [22, THEIR_PORT] {
        attempts(&server, &key, port)?;
    }
    // The last line of all: the connections have ended.
    server.wait_for_entry(&since, &["Accepted publickey for honest"])?;
    let ours = found(&server, &match_of(&server)?)?;
    let theirs = found(&server, THEIR_MATCH)?;
    assert_eq!(ours, theirs);
    // Of each culprit something, of who logged in nothing.
    for (_, culprit) in BY_KEY.iter().chain(&BY_PASSWORD) {
        let hit = theirs.iter().any(|line| line.starts_with(culprit));
        ensure!(hit, "{culprit}: {theirs:?}");
    }
    ensure!(
        !theirs.iter().any(|line| line.starts_with("127.0.5.1")),
        "{theirs:?}"
    );
    Ok(())
}

/// Who tries keys that are not theirs, and from where; one of them does so again.
const BY_KEY: [(&str, &str); 5] = [
    ("nosuchuser", "127.0.1.1"),
    ("honest", "127.0.2.1"),
    ("denied", "127.0.3.1"),
    ("root", "127.0.4.1"),
    ("nosuchuser", "127.0.1.1"),
];

/// Who tries passwords, three times in one connection.
const BY_PASSWORD: [(&str, &str); 4] = [
    ("nosuchuser", "127.0.6.1"),
    ("honest", "127.0.7.1"),
    ("denied", "127.0.8.1"),
    ("root", "127.0.9.1"),
];

/// The same with each server: each culprit comes from an address of their own, and they take turns.
fn attempts(server: &Server, key: &UserKey, port: u16) -> Result<()> {
    let mut wrong = Vec::new();
    for number in 0..3 {
        let key = server.make_key(&format!("wrong{port}-{number}"))?;
        wrong.extend(["-i".to_owned(), key.machine_path]);
    }
    let options = client_options(key);
    let options = [
        options.as_slice(),
        &["-o", "HostKeyAlias=localhost"].map(str::to_owned),
    ]
    .concat();
    let stranger: Vec<String> = options
        .iter()
        .scan(false, |skip, word| {
            let was = std::mem::replace(skip, word == "-i");
            Some((!was && word != "-i").then(|| word.clone()))
        })
        .flatten()
        .chain(wrong)
        .collect();
    let passwords = [
        "BatchMode=no",
        "PreferredAuthentications=password",
        "NumberOfPasswordPrompts=3",
    ]
    .iter()
    .flat_map(|option| ["-o", option])
    .map(str::to_owned)
    .chain(options.iter().cloned())
    .collect::<Vec<_>>();
    let ssh = |options: &[String], user: &str, peer: &str| {
        server
            .command([
                "env",
                &format!("SSH_ASKPASS={ASK}"),
                "SSH_ASKPASS_REQUIRE=force",
            ])
            .args(["ssh", "-p", &port.to_string(), "-b", peer])
            .args(options.iter().cloned())
            .args([&format!("{user}@127.0.0.1"), "true"])
            .run()
    };
    let by_key = BY_KEY.iter().map(|who| (&stranger, who));
    let by_password = BY_PASSWORD.iter().map(|who| (&passwords, who));
    for (culprit, (user, peer)) in by_key.chain(by_password) {
        let output = ssh(culprit, user, peer)?;
        ensure!(output.code() == Some(255), "{output:?}");
        // In between an honest user: what others did is not held against them.
        ssh(&options, "honest", "127.0.5.1")?.success()?;
    }
    Ok(())
}

/// What the packaged jail says the journal is searched for, as fail2ban understands it.
fn match_of(server: &Server) -> Result<String> {
    let dump = server.shell(&format!(
        "install -m 644 {JAIL} /etc/fail2ban/jail.d/; fail2ban-client -d | grep addjournalmatch"
    ))?;
    ensure!(dump.contains("'sshd'"), "{dump}");
    ensure!(dump.contains("sshd-privsep-monitor.service"), "{dump}");
    Ok("_SYSTEMD_UNIT=sshd-privsep-monitor.service".to_owned())
}

/// Whom the filter blames, and as which user, once for each failure that it counts.
fn found(server: &Server, journal_match: &str) -> Result<Vec<String>> {
    let output = server
        .command([
            "fail2ban-regex",
            "-m",
            journal_match,
            "-o",
            "<ip> <F-USER>",
            "systemd-journal",
            "sshd",
        ])
        .run()?
        .success()?
        .text();
    let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}
