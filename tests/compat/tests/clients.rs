//! Each client of another author uses each of its algorithms: logs in with a key, sends data and gets it back.

use anyhow::{Result, ensure};
use compat::algorithms::{Offer, Suite};
use compat::clients::{self, Client};
use compat::cover::cover;
use compat::host_keys;
use e2e::clients::Compression;
use e2e::{Peer, Server};
use support::progress;

/// How many clients log in at a time.
const AT_A_TIME: usize = 4;

/// Bytes of every value, and enough for several keys where the client replaces them every 256 KiB.
fn content() -> Vec<u8> {
    (0..250_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect()
}

/// The lines of sshd_config that leave one combination.
fn only(suite: &Suite) -> String {
    Offer {
        kex: vec![suite.kex],
        host_keys: vec![suite.host_key],
        ciphers: vec![suite.protection.cipher],
        macs: match suite.protection.mac {
            Some(mac) => vec![mac],
            // It is not used, but there must be one.
            None => vec!["hmac-sha2-256-etm@openssh.com"],
        },
    }
    .settings()
}

/// The clients echo at the same time, some of them. All that went wrong is in the error.
fn all_must_echo(server: &Server, clients: &[&Client], compression: Compression) -> Result<()> {
    let content = content();
    let mut wrong = Vec::new();
    for some in clients.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            let running: Vec<_> = some
                .iter()
                .map(|client| scope.spawn(|| client.must_echo(server, &content, compression)))
                .collect();
            for (client, thread) in some.iter().zip(running) {
                match thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => wrong.push(format!("{error:#}")),
                    Err(_) => wrong.push(format!("{}: panic", client.name)),
                }
            }
        });
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn each_client_uses_each_of_its_algorithms() -> Result<()> {
    let server = Server::up("compat-clients", "")?;
    let keys = host_keys::make_all(&server)?;
    let offer = Offer::of(&server)?;
    let key = server.add_user("client")?;
    let clients = clients::install(&server, &key)?;
    let units = match server.peer() {
        Peer::Ours => "sshd-privsep.socket sshd-privsep-monitor.service",
        Peer::OpenSsh => "ssh.service",
    };
    server.shell(&format!("systemctl stop {units}"))?;
    let offers = clients::offers(&server, &offer, &clients)?;
    server.shell(&format!("systemctl start {units}"))?;
    for (client, offer) in clients.iter().zip(&offers) {
        progress::line(format_args!(
            "{}: {} methods, {} host keys, {} ciphers, {} MACs",
            client.name,
            offer.kex.len(),
            offer.host_keys.len(),
            offer.ciphers.len(),
            offer.macs.len()
        ));
    }

    let mut wrong = Vec::new();
    let rows = cover(&offers);
    for row in &rows {
        server.configure(&format!("{keys}{}", only(&row.suite)))?;
        let chosen: Vec<_> = row
            .clients
            .iter()
            .filter_map(|index| clients.get(*index))
            .collect();
        if let Err(error) = all_must_echo(&server, &chosen, Compression::Off) {
            wrong.push(format!("{:?}: {error:#}", row.suite));
        }
    }
    progress::line(format_args!("{} combinations", rows.len()));

    server.configure(&format!("{keys}{}", offer.settings()))?;
    let all: Vec<_> = clients.iter().collect();
    if let Err(error) = all_must_echo(&server, &all, Compression::On) {
        wrong.push(format!("with compression: {error:#}"));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
