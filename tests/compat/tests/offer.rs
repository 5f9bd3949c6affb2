//! The tables of the suites are complete: what they try is what the server can offer.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use compat::algorithms::Offer;
use compat::host_keys;
use e2e::{Peer, Server};

/// All that the server has, whatever it offers by default.
const EVERYTHING: &str = "KexAlgorithms *\nHostKeyAlgorithms *\nCiphers *\nMACs *\n";

/// Words that are no methods, in the list of methods.
const SIGNALS: &[&str] = &["ext-info-s", "kex-strict-s-v00@openssh.com"];

/// One list of the server's KEXINIT, from the words of `ssh -vv`.
fn list<'log>(server_kexinit: &'log str, name: &str) -> Result<BTreeSet<&'log str>> {
    let line = server_kexinit
        .lines()
        .find_map(|line| line.split_once(&format!("{name}: ")))
        .with_context(|| format!("no {name} in {server_kexinit}"))?;
    Ok(line.1.trim().split(',').collect())
}

#[test]
fn a_server_with_everything_switched_on_offers_what_the_suites_try() -> Result<()> {
    if Peer::from_environment()? != Peer::Ours {
        return Ok(());
    }
    let server = Server::up("compat-offer", "")?;
    let keys = host_keys::make_all(&server)?;
    server.configure(&format!("{keys}{EVERYTHING}"))?;
    let log = server
        .exec(["ssh", "-vv", "-F", "none", "-oBatchMode=yes", "127.0.0.1"])?
        .error_text();
    let (_, kexinit) = log
        .split_once("peer server KEXINIT proposal")
        .context("no KEXINIT of the server")?;
    let tried = Offer::ours();
    for (name, tried) in [
        ("KEX algorithms", &tried.kex),
        ("host key algorithms", &tried.host_keys),
        ("ciphers ctos", &tried.ciphers),
        ("ciphers stoc", &tried.ciphers),
        ("MACs ctos", &tried.macs),
        ("MACs stoc", &tried.macs),
    ] {
        let mut offered = list(kexinit, name)?;
        offered.retain(|word| !SIGNALS.contains(word));
        assert_eq!(offered, tried.iter().copied().collect(), "{name}");
    }
    Ok(())
}
