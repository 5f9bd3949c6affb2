//! What the time of a refusal tells: nothing about whether the user exists or may log in.
//!
//! Each attempt is the first of its connection and for a name of its own: the delay of a refusal has a part that is
//! constant for a name, so that the same name twice would be one value twice. Kinds of users take turns, so that whatever
//! else happens on the machine happens to all of them.
//!
//! `cargo xtask timing` makes 500 attempts for each kind; a plain run makes fewer, and finds what is grossly wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::server::CONFIGURATION;
use e2e::statistics::kolmogorov_smirnov;
use e2e::{Peer, Server};
use support::progress;

/// How many attempts for each kind of user.
const ATTEMPTS_VARIABLE: &str = "SSHD_PRIVSEP_TIMING_ATTEMPTS";
const FEW: usize = 40;

/// Below this a difference is believed.
const SIGNIFICANT: f64 = 0.01;

/// Who is tried: names that exist, that nobody has, that are denied by name and whose password is locked.
const KINDS: [&str; 4] = ["known", "absent", "denied", "locked"];

const SETTINGS: &str = "UsePAM yes\nDenyUsers denied*\nMaxStartups 100\n";

/// Attempts, in turns; prints the kind and the seconds of each. `none` is asked for by the kind of that name.
const PROGRAM: &str = "
import logging, random, socket, sys, time
import paramiko
logging.getLogger('paramiko').addHandler(logging.NullHandler())
key = paramiko.ECDSAKey.generate()
first, last, kinds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(',')
def attempt(kind, number):
    name = 'known' if kind == 'none' else kind
    transport = paramiko.Transport(socket.create_connection(('127.0.0.1', 22), timeout=30))
    try:
        transport.start_client(timeout=30)
        # Names of one length, in random order: which it is must not hang on the number.
        began = time.perf_counter()
        try:
            if kind == 'none':
                transport.auth_none(f'{name}{number:04}')
            else:
                transport.auth_publickey(f'{name}{number:04}', key)
            raise SystemExit('logged in')
        except paramiko.AuthenticationException:
            print(kind, time.perf_counter() - began, flush=True)
    finally:
        transport.close()
for number in range(first, last):
    for kind in random.sample(kinds, len(kinds)):
        attempt(kind, number)
";

#[test]
fn a_refusal_takes_no_other_time_for_who_is_nobody_or_may_not_log_in() -> Result<()> {
    if Peer::from_environment()? != Peer::Ours {
        return Ok(());
    }
    let attempts = match std::env::var(ATTEMPTS_VARIABLE) {
        Ok(number) => number.parse().context(ATTEMPTS_VARIABLE)?,
        Err(_) => FEW,
    };
    let server = Server::up("timing", "")?;
    server.write_file(CONFIGURATION, SETTINGS.as_bytes(), 0o644)?;
    server.reload()?;
    add_accounts(&server, attempts * 2)?;

    let mut suspects: Vec<&str> = KINDS
        .iter()
        .copied()
        .filter(|kind| *kind != "known")
        .collect();
    // One sample in a hundred differs by chance. One pair of them in ten thousand does.
    for round in 0..2 {
        let kinds = [["known", "none"].as_slice(), &suspects].concat();
        let times = measure(&server, round * attempts, attempts, &kinds)?;
        let known = times("known");
        suspects.retain(|kind| {
            let result = kolmogorov_smirnov(&known, &times(kind));
            progress::line(format_args!(
                "known and {kind}, {attempts} each: D = {:.3}, p = {:.3}",
                result.distance, result.p
            ));
            result.p < SIGNIFICANT
        });
        // What is not held back is seen: the test can fail. A few attempts on a busy machine do not show it.
        let free = kolmogorov_smirnov(&known, &times("none"));
        progress::line(format_args!("known and not held back: p = {:.3}", free.p));
        ensure!(
            attempts <= FEW || free.p < SIGNIFICANT,
            "nothing is held back: {free:?}"
        );
        if suspects.is_empty() {
            return Ok(());
        }
    }
    anyhow::bail!("refusals take another time for {suspects:?}");
}

/// Accounts without a key, written at once: a thousand calls of useradd(8) take minutes.
fn add_accounts(server: &Server, count: usize) -> Result<()> {
    server.shell(&format!(
        "uid=20000
         for kind in known denied locked; do for number in $(seq -f %04g 0 {}); do
             uid=$((uid + 1))
             echo $kind$number:x:$uid:100::/home/$kind$number:/bin/sh >&3
             case $kind in locked) echo $kind$number:!:19000:0:99999:7::: >&4;;
                           *) echo \"$kind$number:*:19000:0:99999:7:::\" >&4;; esac
         done; done 3>>/etc/passwd 4>>/etc/shadow",
        count - 1
    ))?;
    Ok(())
}

/// The times of each kind, in milliseconds.
fn measure(
    server: &Server,
    first: usize,
    count: usize,
    kinds: &[&str],
) -> Result<impl Fn(&str) -> Vec<f64> + use<>> {
    let output = server
        .python(PROGRAM)
        .args([
            first.to_string(),
            (first + count).to_string(),
            kinds.join(","),
        ])
        .deadline(Duration::from_secs(600))
        .run()?
        .success()?
        .text();
    let mut times = Vec::new();
    for line in output.lines() {
        let (kind, seconds) = line.split_once(' ').context("a line of the program")?;
        times.push((kind.to_owned(), seconds.parse::<f64>()? * 1000.0));
    }
    ensure!(times.len() == count * kinds.len(), "{output}");
    Ok(move |kind: &str| {
        let of = times.iter().filter(|(of, _)| of == kind);
        of.map(|(_, time)| *time).collect()
    })
}
