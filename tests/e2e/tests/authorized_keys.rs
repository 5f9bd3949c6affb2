//! What a line of authorized_keys permits and refuses, from a file, from AuthorizedKeysCommand, and of a user whom only
//! systemd's userdb knows.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::server::{CONFIGURATION, eventually};
use e2e::{Server, Shared};
use support::UserKey;
use support::users::client_options;

static SERVER: Shared = Shared::new(
    "authorized-keys",
    "PermitUserEnvironment GREETING*,!GREETING_NOT\n",
);

/// Commands that are asked for keys: `/etc/keys/USER` has those of each account. All of them are root's.
const COMMANDS: &[(&str, &str)] = &[
    (
        "answers",
        "printf '%s\\n' \"$@\" >/run/asked/arguments; { id -un; id -Gn; echo \"$PATH\"; env; } >/run/asked/who\n\
         echo '# a comment'; exec cat /etc/keys/\"$1\"",
    ),
    ("fails", "cat /etc/keys/\"$1\"; exit 3"),
    ("dies", "cat /etc/keys/\"$1\"; kill -9 $$"),
    (
        "hangs",
        "cat /etc/keys/\"$1\"; sleep 1000 & exec sleep 1000",
    ),
    (
        "garbage",
        "head -c 100000 /dev/urandom; echo; cat /etc/keys/\"$1\"",
    ),
    ("endless", "cat /etc/keys/\"$1\"; exec yes no"),
];

/// The server with its commands, and the accounts that they are for.
fn server() -> Result<&'static Server> {
    SERVER.prepared(prepare)
}

fn prepare(server: &Server) -> Result<()> {
    server.shell(
        "groupadd askers; useradd --system --groups askers asker; mkdir -m 755 /etc/keys; \
         install -d -m 755 -o asker /run/asked",
    )?;
    let mut blocks = String::new();
    for (name, script) in COMMANDS {
        let path = format!("/usr/local/bin/{name}");
        server.write_file(&path, format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755)?;
        blocks += &format!(
            "Match User by-{name}\n AuthorizedKeysCommand {path} %u \"%t %k\" '$HOME' %f %h%%\n"
        );
        blocks += " AuthorizedKeysCommandUser asker\n";
    }
    server.write_file(
        "/usr/local/bin/loose",
        b"#!/bin/sh\ncat /etc/keys/$1\n",
        0o775,
    )?;
    blocks += "Match User by-loose\n AuthorizedKeysCommand /usr/local/bin/loose\n AuthorizedKeysCommandUser asker\n";
    blocks += "Match User by-missing\n AuthorizedKeysCommand /nonexistent\n AuthorizedKeysCommandUser asker\n";
    blocks += "Match User by-stranger\n AuthorizedKeysCommand /usr/local/bin/answers\n AuthorizedKeysCommandUser x%u\n";
    blocks += "Match User dropin,no-dropin\n AuthorizedKeysCommand /usr/bin/userdbctl ssh-authorized-keys %u\n";
    blocks += " AuthorizedKeysCommandUser root\n";
    let configuration = server.shell(&format!("cat {CONFIGURATION}"))?;
    server.write_file(
        CONFIGURATION,
        format!("{configuration}\n{blocks}").as_bytes(),
        0o644,
    )?;
    server.reload()
}

/// Lets a key in by one line with these options, and by nothing else.
fn restrict(server: &Server, key: &UserKey, options: &str) -> Result<()> {
    let path = format!("/home/{}/.ssh/authorized_keys", key.user);
    let line = format!("{options} {}\n", key.public.trim_end());
    server.write_file(&path, line.as_bytes(), 0o644)
}

/// An account whose keys are where its command finds them.
fn asked_for(server: &Server, name: &str) -> Result<UserKey> {
    let key = server.add_user(name)?;
    server.shell(&format!(
        "mv /home/{name}/.ssh/authorized_keys /etc/keys/{name}; chmod 644 /etc/keys/{name}"
    ))?;
    Ok(key)
}

/// What `ssh` to this address says, from this address.
fn login(server: &Server, key: &UserKey, from: &str, to: &str) -> Result<String> {
    let mut ssh = server.command(["ssh"]).args(client_options(key));
    ssh = ssh.args(["-b", from, "-o", "HostKeyAlias=127.0.0.1"]);
    let output = ssh.args([&format!("{}@{to}", key.user), "echo in"]).run()?;
    Ok(output.text() + &output.error_text())
}

fn must_be_refused(server: &Server, key: &UserKey) -> Result<()> {
    let output = server.ssh(key, &[], &["echo in"]).run()?;
    assert_eq!(output.code(), Some(255), "{}: {output:?}", key.user);
    assert!(
        output.error_text().contains("Permission denied (publickey"),
        "{output:?}"
    );
    Ok(())
}

/// Waits until nothing of a command is left.
fn no_command_is_left(server: &Server) -> Result<()> {
    eventually("commands are gone", Duration::from_secs(10), || {
        let units = server
            .shell("systemctl list-units --all --plain --no-legend 'sshd-privsep-command-*'")?;
        Ok(units.is_empty())
    })
}

#[test]
fn a_key_counts_from_where_it_may() -> Result<()> {
    let server = server()?;
    let key = server.add_user("from")?;
    for (list, four, two, six) in [
        ("127.0.0.1", true, false, false),
        ("127.0.0.0/8", true, true, false),
        ("127.0.0.0/8,!127.0.0.2", true, false, false),
        ("!127.0.0.1,*", false, true, true),
        ("::1", false, false, true),
        ("::/64,127.0.0.2/32", false, true, true),
        ("192.0.2.0/24", false, false, false),
    ] {
        restrict(server, &key, &format!("from=\"{list}\""))?;
        for (from, to, permitted) in [
            ("127.0.0.1", "127.0.0.1", four),
            ("127.0.0.2", "127.0.0.1", two),
            ("::1", "::1", six),
        ] {
            let said = login(server, &key, from, to)?;
            assert_eq!(
                said.starts_with("in\n"),
                permitted,
                "{list} from {from}: {said}"
            );
        }
    }
    let since = server.now()?;
    restrict(server, &key, "from=\"192.0.2.1\"")?;
    must_be_refused(server, &key)?;
    server.wait_for_entry(
        &since,
        &["Authentication tried for from with correct key but not from a permitted host (host=127.0.0.1, ip=127.0.0.1"],
    )?;
    Ok(())
}

#[test]
fn a_key_counts_until_it_expires() -> Result<()> {
    let server = server()?;
    let key = server.add_user("expiry")?;
    for (option, permitted) in [
        ("expiry-time=\"20991231\"", true),
        ("expiry-time=\"209912312359Z\"", true),
        ("expiry-time=\"20200101\"", false),
        ("expiry-time=\"20200101000000Z\"", false),
    ] {
        restrict(server, &key, option)?;
        if permitted {
            server.must_serve(&key)?;
        } else {
            let since = server.now()?;
            must_be_refused(server, &key)?;
            server.wait_for_entry(
                &since,
                &["/home/expiry/.ssh/authorized_keys:1: entry expired at 2020-01-01T"],
            )?;
        }
    }
    Ok(())
}

#[test]
fn a_keys_command_runs_whatever_is_asked_for() -> Result<()> {
    let server = server()?;
    let key = server.add_user("forced")?;
    restrict(
        server,
        &key,
        "command=\"echo \\\"forced: $SSH_ORIGINAL_COMMAND\\\"\"",
    )?;
    let said = server.ssh(&key, &[], &["echo in"]).run()?.success()?.text();
    assert_eq!(said, "forced: echo in\n");
    let said = server.ssh(&key, &[], &[]).run()?.success()?.text();
    assert_eq!(said, "forced: \n");
    let said = server
        .ssh(&key, &["-s"], &["sftp"])
        .run()?
        .success()?
        .text();
    // What the configuration starts for the subsystem: Debian's names a program, ours the server's own.
    let started = said.strip_prefix("forced: ").map(str::trim_end);
    let known = ["internal-sftp", "/usr/lib/openssh/sftp-server"];
    assert!(started.is_some_and(|it| known.contains(&it)), "{said}");
    Ok(())
}

#[test]
fn a_key_sets_the_variables_that_it_may() -> Result<()> {
    let server = server()?;
    let key = server.add_user("variables")?;
    restrict(
        server,
        &key,
        "environment=\"GREETING=hello\",environment=\"GREETING_NOT=x\",environment=\"LD_PRELOAD=x\"",
    )?;
    server.write_file(
        "/home/variables/.ssh/environment",
        b"# mine\nGREETING_TOO=world\nLD_PRELOAD=x\n",
        0o644,
    )?;
    let script = "echo \"$GREETING $GREETING_TOO [$GREETING_NOT$LD_PRELOAD]\"";
    let said = server.ssh(&key, &[], &[script]).run()?.success()?.text();
    assert_eq!(said, "hello world []\n");
    Ok(())
}

#[test]
fn a_terminal_is_given_to_whom_key_and_configuration_permit_one() -> Result<()> {
    let server = server()?;
    let key = server.add_user("terminal")?;
    for (options, permitted) in [
        ("pty", true),
        ("no-pty", false),
        ("restrict", false),
        ("restrict,pty", true),
        (
            "no-agent-forwarding,no-X11-forwarding,no-port-forwarding,no-user-rc",
            true,
        ),
    ] {
        restrict(server, &key, options)?;
        let output = server
            .ssh(&key, &["-tt"], &["test -t 0 && echo yes || echo no"])
            .run()?;
        // A client that insists on a terminal runs nothing without.
        let expected = if permitted { "yes\r\n" } else { "" };
        assert_eq!(output.text(), expected, "{options}: {output:?}");
        let refused = output
            .error_text()
            .contains("PTY allocation request failed");
        assert_eq!(refused, !permitted, "{options}: {output:?}");
    }
    Ok(())
}

#[test]
fn options_about_forwarding_do_not_keep_a_key_from_logging_in() -> Result<()> {
    let server = server()?;
    let key = server.add_user("forwarding")?;
    for options in [
        "permitopen=\"192.0.2.1:80\",permitopen=\"[2001:db8::1]:*\"",
        "permitlisten=\"8080\"",
        "tunnel=\"0\"",
        "restrict,port-forwarding,permitopen=\"localhost:22\"",
        "no-touch-required",
    ] {
        restrict(server, &key, options)?;
        server.must_serve(&key)?;
    }
    // And what is no option, or one that is not for a key, does.
    for options in [
        "no-such-option",
        "principals=\"a\"",
        "cert-authority",
        "tunnel=\"x\"",
    ] {
        restrict(server, &key, options)?;
        must_be_refused(server, &key)?;
    }
    Ok(())
}

#[test]
fn a_command_is_asked_for_keys_as_its_own_user() -> Result<()> {
    let server = server()?;
    let key = asked_for(server, "by-answers")?;
    server.must_serve(&key)?;
    let arguments = server.shell("cat /run/asked/arguments")?;
    let public = key
        .public
        .trim_end()
        .rsplit_once(' ')
        .map_or("", |(key, _comment)| key);
    let fingerprint = server.key_fingerprint(&key)?;
    let expected = format!("by-answers\n{public}\n$HOME\n{fingerprint}\n/home/by-answers%\n");
    assert_eq!(arguments, expected);
    let who = server.shell("cat /run/asked/who")?;
    let mut lines = who.lines();
    assert_eq!(lines.next(), Some("asker"));
    assert_eq!(lines.next(), Some("asker askers"));
    assert_eq!(lines.next(), Some("/usr/bin:/bin:/usr/sbin:/sbin"));
    assert!(!who.contains("SSHD_"), "{who}");
    // A key that it does not print.
    let other = UserKey {
        user: key.user.clone(),
        ..server.make_key("by-answers-not")?
    };
    must_be_refused(server, &other)?;
    // Its lines are as good as a file's.
    let line = format!("command=\"echo forced\" {}\n", key.public.trim_end());
    server.write_file("/etc/keys/by-answers", line.as_bytes(), 0o644)?;
    let said = server.ssh(&key, &[], &["echo in"]).run()?.success()?.text();
    assert_eq!(said, "forced\n");
    // It is not asked for a key that a file has.
    server.shell("rm /run/asked/arguments")?;
    server.authorize("by-answers", &key.public)?;
    server.must_serve(&key)?;
    server.shell("test ! -e /run/asked/arguments")?;
    Ok(())
}

#[test]
fn a_command_that_does_not_succeed_has_said_nothing() -> Result<()> {
    let server = server()?;
    for (name, sentence) in [
        (
            "fails",
            "AuthorizedKeysCommand /usr/local/bin/fails by-fails ",
        ),
        ("dies", "AuthorizedKeysCommand /usr/local/bin/dies by-dies "),
        ("endless", "wrote more than 1048576 bytes"),
        (
            "loose",
            "Unsafe AuthorizedKeysCommand \"/usr/local/bin/loose\": bad ownership or modes for file /usr/local/bin/loose",
        ),
        (
            "missing",
            "Could not stat AuthorizedKeysCommand \"/nonexistent\": No such file or directory",
        ),
        (
            "stranger",
            "Invalid AuthorizedKeysCommandUser \"xby-stranger\"",
        ),
    ] {
        let user = format!("by-{name}");
        let key = asked_for(server, &user)?;
        let since = server.now()?;
        must_be_refused(server, &key)?;
        let entry = server.wait_for_entry(&since, &[sentence])?;
        match name {
            "fails" => assert!(entry.message().ends_with("failed, status 3"), "{entry:?}"),
            "dies" => assert!(entry.message().ends_with("exited on signal 9"), "{entry:?}"),
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn garbage_before_a_key_is_passed_over() -> Result<()> {
    let server = server()?;
    let key = asked_for(server, "by-garbage")?;
    server.must_serve(&key)?;
    Ok(())
}

#[test]
fn a_command_that_hangs_is_stopped_with_all_that_it_started() -> Result<()> {
    let server = server()?;
    let key = asked_for(server, "by-hangs")?;
    let begun = Instant::now();
    must_be_refused(server, &key)?;
    let took = begun.elapsed();
    // Ten seconds, and what makes refusals alike: at most as much again.
    ensure!((9..25).contains(&took.as_secs()), "{took:?}");
    no_command_is_left(server)?;
    server.shell("! pgrep -u asker sleep")?;
    Ok(())
}

#[test]
fn a_user_whom_only_userdb_knows_logs_in_with_the_key_of_the_record() -> Result<()> {
    let server = server()?;
    let key = server.make_key("dropin")?;
    let record = "{\"userName\":\"dropin\",\"uid\":4242,\"gid\":4242,\"disposition\":\"regular\",\
                  \"homeDirectory\":\"/home/dropin\",\"shell\":\"/bin/bash\"}";
    let privileged = format!(
        "{{\"userName\":\"dropin\",\"privileged\":{{\"sshAuthorizedKeys\":[\"{}\"]}}}}",
        key.public.trim_end()
    );
    server.shell("mkdir -p /etc/userdb")?;
    server.write_file("/etc/userdb/dropin.user", record.as_bytes(), 0o644)?;
    server.write_file(
        "/etc/userdb/dropin.user-privileged",
        privileged.as_bytes(),
        0o600,
    )?;
    server.write_file(
        "/etc/userdb/dropin.group",
        b"{\"groupName\":\"dropin\",\"gid\":4242}",
        0o644,
    )?;
    server.shell(
        "cd /etc/userdb; ln -s dropin.user 4242.user; ln -s dropin.group 4242.group; \
         ln -s dropin.user-privileged 4242.user-privileged; install -d -o 4242 -g 4242 /home/dropin; \
         ! grep dropin /etc/passwd",
    )?;
    let output = server.ssh(&key, &[], &["id -un; pwd"]).run()?.success()?;
    assert_eq!(output.text(), "dropin\n/home/dropin\n");
    let other = UserKey {
        user: key.user.clone(),
        ..server.make_key("dropin-not")?
    };
    must_be_refused(server, &other)?;
    Ok(())
}

#[test]
fn root_needs_a_command_where_only_forced_ones_are_permitted() -> Result<()> {
    let server = server()?;
    let configuration = server.shell(&format!("cat {CONFIGURATION}"))?;
    ensure!(!configuration.contains("forced-commands-only"));
    let key = UserKey {
        user: "root".to_owned(),
        ..server.make_key("forcedroot")?
    };
    server.shell("install -d -m 700 /root/.ssh")?;
    let block = "Match User root\n PermitRootLogin forced-commands-only\n";
    server.write_file(
        CONFIGURATION,
        format!("{configuration}\n{block}").as_bytes(),
        0o644,
    )?;
    server.reload()?;
    server.write_file("/root/.ssh/authorized_keys", key.public.as_bytes(), 0o600)?;
    let since = server.now()?;
    must_be_refused(server, &key)?;
    server.wait_for_entry(&since, &["ROOT LOGIN REFUSED FROM 127.0.0.1 port "])?;
    let line = format!("command=\"echo forced\" {}", key.public);
    server.write_file("/root/.ssh/authorized_keys", line.as_bytes(), 0o600)?;
    let output = server.ssh(&key, &[], &["echo in"]).run()?.success()?;
    assert_eq!(output.text(), "forced\n");
    Ok(())
}
