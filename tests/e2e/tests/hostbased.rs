//! `hostbased` between two hosts: the machine, and a network namespace in it with a host key, an `ssh_config` and a
//! name of its own, from which the stock client speaks with the help of ssh-keysign(8).

use anyhow::{Result, ensure};
use e2e::network::CLIENT_HOST;
use e2e::{Server, Shared};
use support::Output;

/// The server finds the client's name in `/etc/hosts`, by UseDNS.
static SERVER: Shared = Shared::new(
    "hostbased",
    "HostbasedAuthentication yes\n\
     UseDNS yes\n\
     IgnoreRhosts no\n\
     Match User ignored\n\
     IgnoreRhosts yes\n\
     Match User packet\n\
     HostbasedUsesNameFromPacketOnly yes\n\
     Match Host client.example\n\
     ForceCommand echo $USER from client.example\n\
     Match all",
);

/// Gives the other host a name and an account: `client.example`, carol.
const CLIENT: &str = "
useradd --create-home carol
echo '192.0.2.2 client.example' >>/etc/hosts
mkdir -p /etc/netns/client/ssh
cd /etc/netns/client
echo '192.0.2.2 client.example' >hosts
ssh-keygen -q -t ed25519 -N '' -f ssh/ssh_host_ed25519_key
printf '%s\\n' 'EnableSSHKeysign yes' 'HostbasedAuthentication yes' 'PreferredAuthentications hostbased' \\
    'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' 'BatchMode yes' 'LogLevel ERROR' >ssh/ssh_config
cut -d ' ' -f 1,2 ssh/ssh_host_ed25519_key.pub
";

/// The server with its other host, and that one's public key.
fn hosts() -> Result<(&'static Server, String)> {
    let server = SERVER.get()?;
    server.shell(CLIENT_HOST)?;
    let key = server.shell(CLIENT)?;
    Ok((server, key.trim_end().to_owned()))
}

/// What carol of the other host gets when she logs in as this user.
fn log_in(server: &Server, user: &str) -> Result<Output> {
    let destination = format!("{user}@192.0.2.1");
    let words = [
        "ip", "netns", "exec", "client", "runuser", "-u", "carol", "--",
    ];
    let ssh = ["ssh", &destination, "true"];
    server.command(words).args(ssh).run()
}

#[test]
fn a_host_is_believed_if_it_is_listed_and_its_key_is_known() -> Result<()> {
    let (server, key) = hosts()?;
    let name = "client.example";
    let carol = "client.example carol";
    let known = format!("{name} {key}");
    let hashed = "ssh-keygen -q -H -f .ssh/known_hosts; rm .ssh/known_hosts.old";
    let fingerprint = server
        .shell("ssh-keygen -lf /etc/netns/client/ssh/ssh_host_ed25519_key.pub | cut -d ' ' -f 2")?;

    for (user, shosts, known_hosts, more) in [
        ("plain", carol, known.clone(), ""),
        ("hashed", carol, known.clone(), hashed),
        ("wildcard", carol, format!("*.EXAMPLE {key}"), ""),
        ("packet", carol, known.clone(), ""),
        (
            "carol2",
            "+client.example +carol",
            known.clone(),
            "mv .shosts .rhosts",
        ),
    ] {
        make(server, user, shosts, &known_hosts, more)?;
        let since = server.now()?;
        let output = log_in(server, user)?.success()?;
        ensure!(
            output.text() == format!("{user} from {name}\n"),
            "{output:?}"
        );
        let entry = server.wait_for_entry(
            &since,
            &[&format!(
                "Accepted hostbased for {user} from 192.0.2.2 port "
            )],
        )?;
        let end = format!(
            " ssh2: ED25519 {}, client user \"carol\", client host \"{name}\"",
            fingerprint.trim_end()
        );
        ensure!(entry.message().ends_with(&end), "{entry:?}");
    }

    let revoked = format!("{known}\n@revoked * {key}");
    for (user, shosts, known_hosts, more, said) in [
        ("ignored", carol, known.clone(), "", ""),
        ("stranger", "client.example mallory", known.clone(), "", ""),
        ("unlisted", "other.example carol", known.clone(), "", ""),
        ("keyless", carol, format!("other.example {key}"), "", ""),
        (
            "revoked",
            carol,
            revoked,
            "",
            "WARNING: revoked key for client.example attempted authentication",
        ),
        (
            "loose",
            carol,
            known,
            "chmod o+w .shosts",
            "Rhosts authentication refused for loose: bad modes for /home/loose/.shosts",
        ),
    ] {
        make(server, user, shosts, &known_hosts, more)?;
        let since = server.now()?;
        let output = log_in(server, user)?;
        ensure!(
            output.code() == Some(255) && output.text().is_empty(),
            "{user}: {output:?}"
        );
        if !said.is_empty() {
            server.wait_for_entry(&since, &[said])?;
        }
    }
    Ok(())
}

/// Makes an account that trusts these hosts and knows these keys.
fn make(server: &Server, user: &str, shosts: &str, known_hosts: &str, more: &str) -> Result<()> {
    server.exec(["useradd", "--create-home", user])?.success()?;
    let script = format!(
        "umask 077; cd; mkdir .ssh; echo '{shosts}' >.shosts; echo '{known_hosts}' >.ssh/known_hosts; {more}"
    );
    let made = server.command(["sh", "-euc", &script]).user(user).run()?;
    made.success()?;
    Ok(())
}
