//! Many runs of the OpenSSH client: what each negotiated, what came back, how it ended.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use support::users::client_options;
use support::{Exec, UserKey};

use crate::algorithms::{Protection, Suite};

/// Runs a list of clients inside the machine and prints a line for each.
const PROGRAM: &str = include_str!("handshakes.py");

/// How many clients run at a time. Each waits for the server as long as it works itself, so more than the processors.
const AT_A_TIME: &str = "6";

/// What one client run showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The key exchange method.
    pub kex: String,
    /// The signature algorithm of the host key.
    pub host_key: String,
    /// Cipher, MAC and compression from client to server, as `ssh -v` prints them.
    pub client_to_server: String,
    /// The same from server to client.
    pub server_to_client: String,
    /// How many key exchanges there were.
    pub exchanges: u32,
    /// SHA-256 of the client's standard output.
    pub output: String,
    /// The client's exit status.
    pub status: i32,
    /// The last line that the client said.
    pub last_words: String,
}

impl Handshake {
    /// Whether exactly this suite and compression was negotiated, in each exchange and in both directions.
    pub fn negotiated(&self, suite: &Suite, compression: &str) -> bool {
        let packets = packets(suite.protection, compression);
        self.kex == suite.kex
            && self.host_key == suite.host_key
            && self.client_to_server == packets
            && self.server_to_client == packets
    }

    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        let [
            kex,
            host_key,
            client_to_server,
            server_to_client,
            exchanges,
            output,
            status,
            last_words,
        ] = fields.as_slice()
        else {
            anyhow::bail!("a client run ended without a result: {line}");
        };
        Ok(Self {
            kex: (*kex).to_owned(),
            host_key: (*host_key).to_owned(),
            client_to_server: (*client_to_server).to_owned(),
            server_to_client: (*server_to_client).to_owned(),
            exchanges: exchanges.parse()?,
            output: (*output).to_owned(),
            status: status.parse()?,
            last_words: (*last_words).to_owned(),
        })
    }
}

/// The options with which `ssh` asks for this suite and nothing else.
pub fn options(suite: &Suite) -> Vec<String> {
    let mut options = vec![
        format!("-oKexAlgorithms={}", suite.kex),
        format!("-oHostKeyAlgorithms={}", suite.host_key),
        format!("-oCiphers={}", suite.protection.cipher),
    ];
    options.extend(suite.protection.mac.map(|mac| format!("-oMACs={mac}")));
    options
}

/// Runs `ssh -v` as `key`'s user once for each list of words (options and a remote command), with the file `content` as
/// standard input. `python` is where it happens: a Python of the machine, or of a chroot there.
pub fn run(
    python: Exec<'_>,
    key: &UserKey,
    content: &str,
    runs: &[Vec<String>],
    deadline: Duration,
) -> Result<Vec<Handshake>> {
    let list: String = runs.iter().map(|words| words.join("\t") + "\n").collect();
    let output = python
        .args(["-c", PROGRAM, AT_A_TIME, content, "ssh", "-v"])
        .args(client_options(key))
        .args(["-l", &key.user])
        // Keys that the server shows after login are the business of a test of its own.
        .arg("-oUpdateHostKeys=no")
        .stdin(list.as_bytes())
        .deadline(deadline)
        .run()?
        .success()?;
    let text = output.text();
    let results: Vec<_> = text.lines().collect();
    ensure!(
        results.len() == runs.len(),
        "{} results of {} runs",
        results.len(),
        runs.len()
    );
    results
        .iter()
        .zip(runs)
        .map(|(line, words)| Handshake::parse(line).with_context(|| words.join(" ")))
        .collect()
}

/// As `ssh -v` prints it.
fn packets(protection: Protection, compression: &str) -> String {
    format!(
        "cipher: {} MAC: {} compression: {compression}",
        protection.cipher,
        protection.mac.unwrap_or("<implicit>")
    )
}
