//! Passwords and dialogs: with PAM and its modules, honest and hostile, and with shadow(5) alone.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use e2e::server::eventually;
use e2e::{Server, Shared};
use support::users::KNOWN_HOSTS;

/// With PAM. Debian's configuration has KbdInteractiveAuthentication off. The second file is of its own, so that what the
/// package's says is in no Match block.
static WITH_PAM: Shared = Shared::new(
    "pam",
    "UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication yes\nLoginGraceTime 20\n\
     Include /etc/ssh/users.conf",
);

/// Without.
static WITHOUT_PAM: Shared = Shared::new(
    "shadow",
    "UsePAM no\nPasswordAuthentication yes\nInclude /etc/ssh/users.conf",
);

const USERS: &str = "Match User oath\n\
     AuthenticationMethods publickey,keyboard-interactive\n\
     Match User byplink\n\
     KbdInteractiveAuthentication no\n\
     Match User emptyok\n\
     PermitEmptyPasswords yes\n";

/// The module of the tests of crate `pam`, which does on demand what honest and hostile modules do.
const STUNTS: &str = "/usr/lib/stunts.so";

/// Users for whom authentication is the module's, and what it does.
const PERFORMERS: &[(&str, &str)] = &[
    ("rounds", "inform password token"),
    ("environment", "password environment"),
    ("segfault", "password segfault"),
    ("exit", "password exit"),
    ("hang", "password hang"),
    ("print", "password print"),
    ("fork", "password fork"),
    ("orphan", "password orphan return=7"),
    ("other-user", "password other-user"),
];

/// The machine with PAM, its stack prepared.
fn with_pam() -> Result<&'static Server> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    once(&PREPARED, WITH_PAM.get()?, prepare)
}

/// The machine without.
fn without_pam() -> Result<&'static Server> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    once(&PREPARED, WITHOUT_PAM.get()?, prepare_users)
}

fn once(
    prepared: &'static OnceLock<Result<(), String>>,
    server: &'static Server,
    prepare: fn(&Server) -> Result<()>,
) -> Result<&'static Server> {
    let prepared = prepared.get_or_init(|| prepare(server).map_err(|error| format!("{error:#}")));
    prepared.as_ref().map_err(|error| anyhow!("{error}"))?;
    Ok(server)
}

fn prepare(server: &Server) -> Result<()> {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/pam/tests/modules/stunts.c");
    let module = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stunts.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&module)
        .arg(&source)
        .arg("-lpam")
        .status()
        .context("cc")?;
    ensure!(compiled.success(), "{} does not compile", source.display());
    server.copy_in(&module, STUNTS, 0o644)?;
    let mut auth = String::new();
    for (user, stunts) in PERFORMERS {
        auth.push_str(&format!(
            "auth [success=ignore default=1] pam_succeed_if.so quiet user = {user}\n\
             auth [success=done default=die] {STUNTS} {stunts}\n"
        ));
    }
    auth.push_str(
        "auth [success=ignore default=1] pam_succeed_if.so quiet user = oath\n\
         auth [success=done default=die] pam_oath.so usersfile=/etc/users.oath window=3\n",
    );
    let stack = server.shell("cat /etc/pam.d/sshd")?;
    server.write_file("/etc/pam.d/sshd", (auth + &stack).as_bytes(), 0o644)?;
    prepare_users(server)
}

fn prepare_users(server: &Server) -> Result<()> {
    server.write_file("/etc/ssh/users.conf", USERS.as_bytes(), 0o644)?;
    server.reload()
}

/// Makes an account with this password.
fn add_account(server: &Server, user: &str, password: &str) -> Result<()> {
    server.add_user(user)?;
    set_password(server, user, password)
}

fn set_password(server: &Server, user: &str, password: &str) -> Result<()> {
    server
        .command(["chpasswd"])
        .stdin(format!("{user}:{password}\n").as_bytes())
        .run()?
        .success()?;
    Ok(())
}

/// How a program on a terminal ended, and what it showed.
#[derive(Debug)]
struct Shown {
    code: i32,
    text: String,
}

/// Runs a program on a terminal of its own: waits for each text, and types what is beside it.
fn talk(server: &Server, words: &[String], steps: &[(&str, &str)]) -> Result<Shown> {
    // The literals of Rust are literals of Python, as far as they are used here.
    let program = format!(
        "from terminal import *\n\
         terminal = Terminal({words:?})\n\
         shown = ''\n\
         for text, answer in {steps:?}:\n\
         \x20   shown += terminal.wait_for(text) + text\n\
         \x20   terminal.type(answer + '\\n')\n\
         code = terminal.wait_for_end(30)\n\
         print(code)\n\
         print(shown + terminal.seen.decode(errors='replace'))\n"
    );
    let output = server.run_python(&program)?.text();
    let (code, text) = output.split_once('\n').context("no exit status")?;
    Ok(Shown {
        code: code.parse()?,
        text: text.to_owned(),
    })
}

/// `ssh` as this user with one method, and a command that shows who got in.
fn ssh(user: &str, method: &str, more: &[&str]) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    for option in [
        &format!("PreferredAuthentications={method}"),
        &format!("UserKnownHostsFile={KNOWN_HOSTS}"),
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
        "IdentityAgent=none",
        "NumberOfPasswordPrompts=1",
    ]
    .into_iter()
    .chain(more.iter().copied())
    {
        words.extend(["-o".to_owned(), option.to_owned()]);
    }
    words.extend([format!("{user}@127.0.0.1"), WHO.to_owned()]);
    words
}

/// `plink` as this user.
fn plink(server: &Server, user: &str) -> Result<Vec<String>> {
    let mut words: Vec<_> = ["plink", "-ssh", "-noagent", "-no-antispoof", "-T"]
        .map(str::to_owned)
        .into();
    let keys =
        server.shell("for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done")?;
    for line in keys.lines() {
        let fingerprint = line.split(' ').nth(1).unwrap_or_default();
        words.extend(["-hostkey".to_owned(), fingerprint.to_owned()]);
    }
    words.extend(["-l", user, "127.0.0.1", WHO].map(str::to_owned));
    Ok(words)
}

const WHO: &str = "echo I am $(id -un)";

/// The user got in.
fn must_be_in(shown: &Shown, user: &str) {
    assert!(
        shown.code == 0 && shown.text.contains(&format!("I am {user}")),
        "{shown:?}"
    );
}

/// The user did not.
fn must_be_out(shown: &Shown) {
    assert!(shown.code != 0 && !shown.text.contains("I am"), "{shown:?}");
}

#[test]
fn a_password_opens_and_a_wrong_one_does_not() -> Result<()> {
    let server = with_pam()?;
    add_account(server, "typist", "hunter2")?;
    let words = ssh("typist", "password", &[]);
    let since = server.now()?;
    must_be_in(
        &talk(server, &words, &[("password: ", "hunter2")])?,
        "typist",
    );
    server.wait_for_entry(
        &since,
        &["Accepted password for typist from 127.0.0.1 port "],
    )?;
    must_be_out(&talk(server, &words, &[("password: ", "hunter3")])?);
    server.wait_for_entry(&since, &["Failed password for typist from 127.0.0.1 port "])?;
    let words = ssh("no-typist", "password", &[]);
    must_be_out(&talk(server, &words, &[("password: ", "hunter2")])?);
    let failed = "Failed password for invalid user no-typist from 127.0.0.1 port ";
    server.wait_for_entry(&since, &[failed])?;
    Ok(())
}

#[test]
fn questions_come_in_rounds_with_what_modules_say() -> Result<()> {
    let server = with_pam()?;
    server.add_user("rounds")?;
    let words = ssh("rounds", "keyboard-interactive", &[]);
    let steps = [("Password: ", "hunter2"), ("Token: ", "42")];
    let shown = talk(server, &words, &steps)?;
    must_be_in(&shown, "rounds");
    for said in ["maintenance at noon", "3 failed attempts"] {
        assert!(shown.text.contains(said), "{shown:?}");
    }
    must_be_out(&talk(
        server,
        &words,
        &[("Password: ", "hunter2"), ("Token: ", "43")],
    )?);
    Ok(())
}

#[test]
fn a_key_and_a_one_time_password_are_both_needed() -> Result<()> {
    let server = with_pam()?;
    let key = server.add_user("oath")?;
    // RFC 4226 appendix D: the secret, and the values of the counters 0 and 1.
    let users = b"HOTP oath - 3132333435363738393031323334353637383930\n";
    server.write_file("/etc/users.oath", users, 0o600)?;
    let identity = format!("IdentityFile={}", key.machine_path);
    let both = "publickey,keyboard-interactive";
    let words = ssh("oath", both, &[&identity]);
    let since = server.now()?;
    must_be_in(&talk(server, &words, &[("`oath': ", "755224")])?, "oath");
    let accepted = "Accepted keyboard-interactive/pam for oath from 127.0.0.1 port ";
    server.wait_for_entry(&since, &[accepted])?;
    // It was for one time.
    must_be_out(&talk(server, &words, &[("`oath': ", "755224")])?);
    must_be_in(&talk(server, &words, &[("`oath': ", "287082")])?, "oath");
    // Without the key nobody is asked.
    must_be_out(&talk(
        server,
        &ssh("oath", "keyboard-interactive", &[]),
        &[],
    )?);
    Ok(())
}

/// Makes an account whose password must be changed.
fn add_expired(server: &Server, user: &str) -> Result<()> {
    add_account(server, user, "hunter2")?;
    server.exec(["chage", "-d", "0", user])?.success()?;
    Ok(())
}

fn must_have_new_password(server: &Server, user: &str) -> Result<()> {
    let words = ssh(user, "password", &[]);
    must_be_out(&talk(server, &words, &[("password: ", "hunter2")])?);
    must_be_in(
        &talk(server, &words, &[("password: ", NEW_PASSWORD)])?,
        user,
    );
    Ok(())
}

const NEW_PASSWORD: &str = "Horse-battery7";

#[test]
fn an_expired_password_is_changed_in_the_dialog() -> Result<()> {
    let Some(_) = WITH_PAM.ours()? else {
        return Ok(());
    };
    let server = with_pam()?;
    add_expired(server, "forgetful")?;
    let words = ssh("forgetful", "keyboard-interactive", &[]);
    let steps = [
        ("Password: ", "hunter2"),
        ("Current password: ", "hunter2"),
        ("New password: ", NEW_PASSWORD),
        ("Retype new password: ", NEW_PASSWORD),
    ];
    let shown = talk(server, &words, &steps)?;
    must_be_in(&shown, "forgetful");
    assert!(shown.text.contains("required to change"), "{shown:?}");
    must_have_new_password(server, "forgetful")
}

#[test]
fn an_expired_password_is_changed_by_the_message_for_it() -> Result<()> {
    let Some(_) = WITH_PAM.ours()? else {
        return Ok(());
    };
    let server = with_pam()?;
    add_expired(server, "byssh")?;
    let steps = [
        ("password: ", "hunter2"),
        ("old password: ", "hunter2"),
        ("new password: ", NEW_PASSWORD),
        ("new password: ", NEW_PASSWORD),
    ];
    let words = ssh("byssh", "password", &[]);
    must_be_in(&talk(server, &words, &steps)?, "byssh");
    must_have_new_password(server, "byssh")?;

    add_expired(server, "byplink")?;
    let steps = [
        ("password: ", "hunter2"),
        (
            "Current password (blank for previously entered password): ",
            "",
        ),
        ("Enter new password: ", NEW_PASSWORD),
        ("Confirm new password: ", NEW_PASSWORD),
    ];
    must_be_in(
        &talk(server, &plink(server, "byplink")?, &steps)?,
        "byplink",
    );
    must_have_new_password(server, "byplink")
}

#[test]
fn an_expired_account_stays_out_whatever_the_method() -> Result<()> {
    let server = with_pam()?;
    add_account(server, "retired", "hunter2")?;
    let key = server.add_user("retired-too")?;
    for user in ["retired", "retired-too"] {
        server.exec(["chage", "-E", "1", user])?.success()?;
    }
    let since = server.now()?;
    let words = ssh("retired", "password", &[]);
    must_be_out(&talk(server, &words, &[("password: ", "hunter2")])?);
    let denied = "Access denied for user retired by PAM account configuration [preauth]";
    server.wait_for_entry(&since, &[denied])?;
    let words = ssh("retired", "keyboard-interactive", &[]);
    must_be_out(&talk(server, &words, &[("Password: ", "hunter2")])?);
    let identity = format!("IdentityFile={}", key.machine_path);
    let words = ssh("retired-too", "publickey", &[&identity]);
    must_be_out(&talk(server, &words, &[])?);
    Ok(())
}

#[test]
fn the_environment_of_pam_is_the_sessions() -> Result<()> {
    let server = with_pam()?;
    server.add_user("environment")?;
    let mut words = ssh("environment", "password", &[]);
    words.push("with $KRB5CCNAME".to_owned());
    let shown = talk(server, &words, &[("password: ", "hunter2")])?;
    must_be_in(&shown, "environment");
    assert!(shown.text.contains("with FILE:/tmp/a=b"), "{shown:?}");
    Ok(())
}

#[test]
fn a_broken_module_costs_one_login_and_leaves_nothing_behind() -> Result<()> {
    let Some(_) = WITH_PAM.ours()? else {
        return Ok(());
    };
    let server = with_pam()?;
    add_account(server, "neighbour", "hunter2")?;
    let monitor = server.main_pid("sshd-privsep-monitor.service")?;
    for user in ["segfault", "exit", "print", "fork", "orphan", "other-user"] {
        server.add_user(user)?;
        let since = server.now()?;
        let words = ssh(user, "password", &[]);
        let shown = talk(server, &words, &[("password: ", "hunter2")])?;
        must_be_out(&shown);
        let failed = format!("Failed password for {user} from 127.0.0.1 port ");
        let entry = server.wait_for_entry(&since, &[&failed])?;
        must_leave_nothing(server, entry.field("SSHD_CONN"))?;
        let words = ssh("neighbour", "password", &[]);
        must_be_in(
            &talk(server, &words, &[("password: ", "hunter2")])?,
            "neighbour",
        );
    }
    assert_eq!(server.main_pid("sshd-privsep-monitor.service")?, monitor);
    Ok(())
}

#[test]
fn a_module_that_sleeps_is_stopped_with_the_time_for_logins() -> Result<()> {
    let Some(_) = WITH_PAM.ours()? else {
        return Ok(());
    };
    let server = with_pam()?;
    server.add_user("hang")?;
    let since = server.now()?;
    let words = ssh("hang", "keyboard-interactive", &[]);
    must_be_out(&talk(server, &words, &[("Password: ", "hunter2")])?);
    let entry = server.wait_for_entry(&since, &["Timeout before authentication"])?;
    must_leave_nothing(server, entry.field("SSHD_CONN"))
}

/// No unit of a connection's dialogs with PAM, and no process in one.
fn must_leave_nothing(server: &Server, connection: &str) -> Result<()> {
    ensure!(!connection.is_empty(), "no connection");
    let look = format!(
        "systemctl list-units --all --plain --no-legend 'sshd-privsep-pam-{connection}-*'; \
         find /sys/fs/cgroup -name 'sshd-privsep-pam-{connection}-*'"
    );
    eventually("units of PAM are gone", Duration::from_secs(15), || {
        Ok(server.shell(&look)?.is_empty())
    })
}

#[test]
fn an_empty_password_opens_where_it_is_permitted() -> Result<()> {
    for server in [with_pam()?, without_pam()?] {
        for user in ["emptyok", "emptyno"] {
            server.add_user(user)?;
            server.exec(["passwd", "-d", user])?.success()?;
        }
        // What asks for nothing is `none`: nobody is prompted.
        let words = ssh("emptyok", "none,password", &[]);
        must_be_in(&talk(server, &words, &[])?, "emptyok");
        let words = ssh("emptyno", "none,password", &[]);
        must_be_out(&talk(server, &words, &[("password: ", "")])?);
    }
    Ok(())
}

#[test]
fn shadow_passwords_of_every_scheme_open_without_pam() -> Result<()> {
    let server = without_pam()?;
    for (user, setting) in [
        ("yescrypt", "$y$j9T$saltstring1$"),
        ("sha512", "$6$saltstring$"),
    ] {
        server.add_user(user)?;
        let crypt = "print crypt('hunter2', $ARGV[0])";
        let hash = server
            .exec(["perl", "-e", crypt, setting])?
            .success()?
            .text();
        server
            .exec(["usermod", "-p", hash.trim(), user])?
            .success()?;
        let words = ssh(user, "password", &[]);
        must_be_in(&talk(server, &words, &[("password: ", "hunter2")])?, user);
        must_be_out(&talk(server, &words, &[("password: ", "hunter3")])?);
    }
    server.exec(["usermod", "-L", "sha512"])?.success()?;
    let words = ssh("sha512", "password", &[]);
    must_be_out(&talk(server, &words, &[("password: ", "hunter2")])?);
    // Nobody asks questions: there are no modules.
    let words = ssh("yescrypt", "keyboard-interactive", &[]);
    must_be_out(&talk(server, &words, &[])?);
    Ok(())
}

#[test]
fn an_expired_password_without_pam_is_for_passwd_only() -> Result<()> {
    let server = without_pam()?;
    add_expired(server, "outdated")?;
    let mut words = ssh("outdated", "password", &["RequestTTY=force"]);
    words.retain(|word| word != WHO);
    let steps = [
        ("password: ", "hunter2"),
        ("Current password: ", "hunter2"),
        ("New password: ", NEW_PASSWORD),
        ("Retype new password: ", NEW_PASSWORD),
    ];
    let shown = talk(server, &words, &steps)?;
    assert!(shown.text.contains("password updated"), "{shown:?}");
    must_have_new_password(server, "outdated")
}
