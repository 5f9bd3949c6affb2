//! OpenSSH's client with every combination of key exchange method, host key, cipher and MAC.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use compat::algorithms::{Offer, Suite};
use compat::handshakes::{self, options};
use compat::{host_keys, newer};
use e2e::clients::Compression;
use e2e::{Peer, Server};
use support::{Exec, UserKey, progress};

/// Many strangers at a time, none of whom logs in.
const CROWD: &str = "MaxStartups 500:30:500\n";

/// The client's standard input where nothing is to be sent.
const NOTHING: &str = "/dev/null";

/// A file in the machine to be sent through a remote `cat`.
const CONTENT: &str = "/root/content";

/// How to make [`CONTENT`]: what can be compressed between what cannot.
const MAKE_CONTENT: &str =
    "head -c 1500K /dev/urandom; head -c 1M /dev/zero; head -c 1500K /dev/urandom";

/// How many key exchanges there are at least, with new keys every mebibyte that is sent or received.
const EXCHANGES: u32 = 4;

/// A server that offers all it has, and the account whose key logs in.
struct Site {
    server: Server,
    offer: Offer,
    key: UserKey,
}

/// The one that all tests of this file share.
fn site() -> Result<&'static Site> {
    static SITE: OnceLock<Result<Site, String>> = OnceLock::new();
    SITE.get_or_init(|| make_site().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}

fn make_site() -> Result<Site> {
    let server = Server::up("matrix", "")?;
    newer::install(&server)?;
    let keys = host_keys::make_all(&server)?;
    let offer = Offer::of(&server)?;
    let penalties = match server.peer() {
        Peer::Ours => "PerSourcePenalties no\n",
        // This release of OpenSSH does not have them.
        Peer::OpenSsh => "",
    };
    server.configure(&format!("{keys}{}{CROWD}{penalties}", offer.settings()))?;
    server.shell(&format!("{{ {MAKE_CONTENT}; }} >{CONTENT}"))?;
    let key = server.add_user("matrix")?;
    Ok(Site { server, offer, key })
}

impl Site {
    /// The newest client.
    fn newer_python(&self) -> Exec<'_> {
        newer::command(&self.server, ["python3"])
    }
}

/// Fails with the first of `wrong`, of which there were so many among `all`.
fn report(all: usize, wrong: &[String]) -> Result<()> {
    let shown: Vec<_> = wrong.iter().take(12).map(String::as_str).collect();
    ensure!(
        wrong.is_empty(),
        "{} of {all} runs went wrong:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    progress::line(format_args!("{all} combinations"));
    Ok(())
}

/// Makes a handshake with each suite and asks to be let in without a credential, which is refused under the new keys.
fn must_shake_hands(python: Exec<'_>, key: &UserKey, suites: &[Suite]) -> Result<()> {
    let runs: Vec<_> = suites
        .iter()
        .map(|suite| {
            let mut words = options(suite);
            words.extend(["-oPreferredAuthentications=none", "127.0.0.1"].map(str::to_owned));
            words
        })
        .collect();
    let results = handshakes::run(python, key, NOTHING, &runs, Duration::from_secs(500))?;
    let wrong: Vec<_> = suites
        .iter()
        .zip(&results)
        .filter(|(suite, result)| {
            !(result.negotiated(suite, "none")
                && result.exchanges == 1
                && result.last_words.contains("Permission denied"))
        })
        .map(|(suite, result)| format!("{suite:?}: {result:?}"))
        .collect();
    report(suites.len(), &wrong)
}

#[test]
fn ssh_shakes_hands_with_every_combination_of_algorithms() -> Result<()> {
    let site = site()?;
    must_shake_hands(site.newer_python(), &site.key, &site.offer.suites())
}

#[test]
fn the_machines_own_ssh_shakes_hands_with_each_of_its_algorithms() -> Result<()> {
    let site = site()?;
    let offer = site.offer.known_to_debians_openssh(&site.server)?;
    let python = site.server.command(["python3"]);
    must_shake_hands(python, &site.key, &offer.sample())
}

/// Logs in with each suite, sends [`CONTENT`] through a remote `cat` with new keys every mebibyte, and wants it back.
fn must_carry_data(suites: &[Suite], compression: Compression) -> Result<()> {
    let site = site()?;
    let runs: Vec<_> = suites
        .iter()
        .map(|suite| {
            let mut words = options(suite);
            words.extend([
                "-oRekeyLimit=1M".to_owned(),
                format!("-oCompression={}", option(compression)),
                "127.0.0.1".to_owned(),
                "cat".to_owned(),
            ]);
            words
        })
        .collect();
    let python = site.newer_python();
    let results = handshakes::run(python, &site.key, CONTENT, &runs, Duration::from_secs(500))?;
    let sum = site.server.shell(&format!("sha256sum <{CONTENT}"))?;
    let wrong: Vec<_> = suites
        .iter()
        .zip(&results)
        .filter(|(suite, result)| {
            !(result.negotiated(suite, negotiated(compression))
                && result.exchanges >= EXCHANGES
                && result.status == 0
                && sum.starts_with(&result.output))
        })
        .map(|(suite, result)| format!("{suite:?}: {result:?}"))
        .collect();
    report(suites.len(), &wrong)
}

/// The value of the client's option.
fn option(compression: Compression) -> &'static str {
    match compression {
        Compression::Off => "no",
        Compression::On => "yes",
    }
}

/// What `ssh -v` then says.
fn negotiated(compression: Compression) -> &'static str {
    match compression {
        Compression::Off => "none",
        Compression::On => "zlib@openssh.com",
    }
}

#[test]
fn data_survives_new_keys_with_each_cipher_and_mac() -> Result<()> {
    let offer = &site()?.offer;
    let suites: Vec<_> = offer
        .protections()
        .into_iter()
        .zip(offer.kex.iter().cycle())
        .map(|(protection, kex)| Suite {
            kex,
            host_key: "ssh-ed25519",
            protection,
        })
        .collect();
    must_carry_data(&suites, Compression::Off)
}

#[test]
fn data_survives_new_keys_with_each_method_and_host_key() -> Result<()> {
    must_carry_data(&site()?.offer.sample(), Compression::Off)
}

#[test]
fn data_survives_compression_and_new_keys() -> Result<()> {
    must_carry_data(&site()?.offer.sample(), Compression::On)
}
