//! Displays, remote screens, agents and jumps: programs with other programs behind them.

use anyhow::Result;
use support::UserKey;

use crate::Site;

/// A real X server before the client, with a real cookie, and real X clients behind the server.
#[test]
fn x_clients_reach_the_display_of_the_client() -> Result<()> {
    let site = Site::new("display")?;
    site.run(&["python3", "-c", include_str!("clients/x11.py")])?;
    Ok(())
}

/// As of a remote screen: events and small updates without pause, large updates between them, and a download beside.
#[test]
fn small_updates_both_ways_pass_beside_large_ones() -> Result<()> {
    let site = Site::new("screen")?;
    site.run(&["python3", "-c", include_str!("clients/screen.py")])?;
    Ok(())
}

#[test]
fn two_jumps_through_the_server_itself() -> Result<()> {
    let site = Site::new("jumps")?;
    let UserKey { machine_path, .. } = &site.key;
    site.server.client_config(
        &site.key,
        &format!(
            "Host first second\n\
             HostName 127.0.0.1\n\
             User jumps\n\
             IdentityFile {machine_path}\n\
             IdentitiesOnly yes\n\
             StrictHostKeyChecking yes\n\
             UserKnownHostsFile {}\n",
            support::users::KNOWN_HOSTS
        ),
    )?;
    site.shell(
        "ssh -F $CONFIG -J first,second server 'cat down/size5000011 & cat >received; wait' \
           <up/size5000011 >received; \
         cmp received /home/jumps/down/size5000011; cmp up/size5000011 /home/jumps/received",
    )?;
    Ok(())
}

/// The key is in the agent of the client alone, and logs in from the server, and from there.
#[test]
fn the_agent_of_the_client_logs_in_behind_the_server() -> Result<()> {
    let site = Site::new("hops")?;
    let next = "ssh -A -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oLogLevel=ERROR -oBatchMode=yes 127.0.0.1";
    let said = site.shell(&format!(
        "eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; ssh-add -q $KEY; \
         ssh-add -l >here; ssh -A -F $CONFIG -oIdentityAgent=SSH_AUTH_SOCK server {next} {next} ssh-add -l >there; \
         cmp here there; cat there"
    ))?;
    anyhow::ensure!(said.text().contains(" hops (ED25519)"), "{said:?}");
    Ok(())
}
