//! A client that knows one host key learns the others (hostkeys-00@openssh.com, hostkeys-prove-00@openssh.com).

use std::collections::BTreeSet;

use anyhow::Result;
use compat::{host_keys, newer};
use e2e::Server;
use e2e::clients::plain_known_hosts;
use support::users::{KNOWN_HOSTS, client_options};

/// The client's file: one key at first.
const LEARNED: &str = "/root/learned_hosts";

/// Long enough for the client to have the proofs and write its file.
const COMMAND: &str = "sleep 2";

/// Type and key of each line.
fn keys(text: &str) -> BTreeSet<String> {
    let plain = text.lines().filter(|line| !line.starts_with('@'));
    plain
        .filter_map(|line| line.split_once(' '))
        .map(|(_, key)| key.trim().to_owned())
        .collect()
}

#[test]
fn a_client_that_knows_one_host_key_learns_the_others() -> Result<()> {
    let server = Server::up("compat-learning", "")?;
    let settings = host_keys::make_all(&server)?;
    server.configure(&settings)?;
    newer::install(&server)?;
    let key = server.add_user("learner")?;
    let all = keys(&server.shell(&format!("cat {KNOWN_HOSTS}"))?);
    assert_eq!(all.len(), 5);
    for client in [vec![], vec!["chroot", newer::ROOT]] {
        // To a line with more than one name ssh would add nothing.
        plain_known_hosts(&server, LEARNED)?;
        server.shell(&format!("sed -i '/ ssh-ed25519 /!d' {LEARNED}"))?;
        let output = server
            .command(client)
            .args(["ssh", "-v"])
            // The first value of an option counts.
            .arg(format!("-oUserKnownHostsFile={LEARNED}"))
            .arg("-oUpdateHostKeys=yes")
            .args(client_options(&key))
            .args(["-l", &key.user, "127.0.0.1", COMMAND])
            .run()?
            .success()?;
        let learned = keys(&server.shell(&format!("cat {LEARNED}"))?);
        assert_eq!(learned, all, "{}", output.error_text());
    }
    Ok(())
}
