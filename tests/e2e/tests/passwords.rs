//! Stock clients other than OpenSSH's log in with passwords and by dialog, and do not with wrong ones.

use anyhow::{Context, Result, ensure};
use e2e::clients::plain_known_hosts;
use e2e::{Server, Shared};
use support::Output;

/// MaxAuthTries ends clients that send the same again and again. The second file is of its own, so that what the package's
/// says is in no Match block.
static SERVER: Shared = Shared::new(
    "passwords",
    "UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication yes\nMaxAuthTries 2\n\
     Include /etc/ssh/users.conf",
);

/// Each user has one method.
const METHODS: &str = "Match User typist\nAuthenticationMethods password\n\
     Match User talker\nAuthenticationMethods keyboard-interactive\n";

const PASSWORD: &str = "hunter2";
const WHO: &str = "echo I am $(id -un)";

/// A program that logs a user in with a password and runs [`WHO`].
type Client = fn(&Server, &str, &str) -> Result<Output>;

/// Users, and how the journal calls their method.
const USERS: [(&str, &str); 2] = [
    ("typist", "password"),
    ("talker", "keyboard-interactive/pam"),
];

const CLIENTS: [(&str, Client); 3] = [
    ("dbclient", dbclient),
    ("plink", plink),
    ("paramiko", paramiko),
];

/// It asks on a terminal, again and again.
fn dbclient(server: &Server, user: &str, password: &str) -> Result<Output> {
    let home = "/root/passwords.dropbear";
    plain_known_hosts(server, &format!("{home}/.ssh/known_hosts"))?;
    let (home, destination) = (format!("HOME={home}"), format!("{user}@127.0.0.1"));
    let words = ["env", &home, "dbclient", &destination, WHO];
    server.run_python(&format!(
        "from terminal import *\n\
         terminal = Terminal({words:?})\n\
         terminal.wait_for('assword: ')\n\
         terminal.read(0.2)\n\
         terminal.type('{password}\\n')\n\
         terminal.seen = b''\n\
         ends = (b'I am {user}', b'assword: ')\n\
         while not any(end in terminal.seen for end in ends) and terminal.read(15):\n\
         \x20   pass\n\
         terminal.kill()\n\
         if ends[0] in terminal.seen:\n\
         \x20   print('I am {user}')\n"
    ))
}

fn plink(server: &Server, user: &str, password: &str) -> Result<Output> {
    let keys =
        server.shell("for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done")?;
    let mut words = vec!["plink", "-batch", "-noagent", "-pw", password];
    for line in keys.lines() {
        words.extend(["-hostkey", line.split(' ').nth(1).unwrap_or_default()]);
    }
    words.extend(["-l", user, "127.0.0.1", WHO]);
    server.command(words).run()
}

fn paramiko(server: &Server, user: &str, password: &str) -> Result<Output> {
    let script = include_str!("passwords/paramiko.py");
    let words = ["python3", "-c", script, user, password, WHO];
    server.command(words).run()
}

#[test]
fn each_client_logs_in_with_the_right_password_and_not_with_a_wrong_one() -> Result<()> {
    let server = SERVER.get()?;
    server.write_file("/etc/ssh/users.conf", METHODS.as_bytes(), 0o644)?;
    server.reload()?;
    // pam_unix(8) would have each wrong password wait for two seconds.
    server.shell("sed -i 's/pam_unix.so nullok$/& nodelay/' /etc/pam.d/common-auth")?;
    for (user, method) in USERS {
        server.add_user(user)?;
        server.shell(&format!("echo {user}:{PASSWORD} | chpasswd"))?;
        for (name, client) in CLIENTS {
            let since = server.now()?;
            let output = client(server, user, PASSWORD)?;
            ensure!(
                output.text() == format!("I am {user}\n"),
                "{name}, {method}: {output:?}"
            );
            let said = format!("Accepted {method} for {user} from 127.0.0.1 port ");
            server.wait_for_entry(&since, &[&said])?;

            let output = client(server, user, "hunter3")?;
            ensure!(output.text().is_empty(), "{name}, {method}: {output:?}");
            let from = format!("for {user} from 127.0.0.1");
            let said = match user {
                "typist" => format!("Failed password {from} port "),
                _ => format!("PAM: Authentication failure {from}"),
            };
            server
                .wait_for_entry(&since, &[&said])
                .with_context(|| name.to_owned())?;
        }
    }
    Ok(())
}
