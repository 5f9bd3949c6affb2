//! Clients of other authors, of more than one generation, and what each of them offers.
//!
//! Each client is a list of words that sends its standard input through a remote `cat` and prints what comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::clients::{self, Compression};
use e2e::{Server, packages, server::eventually};
use support::UserKey;
use support::users::KNOWN_HOSTS;

use crate::algorithms::Offer;
use crate::newer;

/// The remote command.
const ECHO: &str = "cat";

/// How long a client may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often dbclient is called until a call ends. On a busy machine one in a hundred never does, after all of its data,
/// with Debian's sshd as well: in 360 calls, three at once, 3 with sshd and 5 with ours.
const DBCLIENT_CALLS: usize = 3;

/// A client, ready to be run.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its name and where it is from.
    pub name: String,
    plain: Vec<String>,
    compressed: Vec<String>,
}

/// A client that names certificates among its host key algorithms and then cannot verify any, from whatever server
/// ("Unable to exchange encryption keys"): they are the types of user keys that it can log in with.
const LIBSSH2: &str = "curl (libssh2)";

/// Whose version of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The machine's Debian.
    Debian,
    /// The later Debian in the chroot.
    NewerDebian,
    /// The Python Package Index.
    PyPi,
}

/// A client's words, without those that its source puts before them.
type Words = fn(&Server, &UserKey, Compression) -> Result<Vec<String>>;

/// The clients with their sources. (The newest of OpenSSH runs the matrix.)
const CLIENTS: &[(&str, Words, &[Source])] = &[
    ("ssh", clients::ssh, &[Source::Debian]),
    (
        "dbclient",
        clients::dbclient,
        &[Source::Debian, Source::NewerDebian],
    ),
    (
        "plink",
        clients::plink,
        &[Source::Debian, Source::NewerDebian],
    ),
    (
        "paramiko",
        clients::paramiko,
        &[Source::Debian, Source::NewerDebian, Source::PyPi],
    ),
    (
        "asyncssh",
        asyncssh,
        &[Source::Debian, Source::NewerDebian, Source::PyPi],
    ),
    ("libssh", libssh, &[Source::Debian, Source::NewerDebian]),
    (
        "curl (libssh2)",
        curl,
        &[Source::Debian, Source::NewerDebian],
    ),
    ("ssh2 of npm", ssh2, &[Source::NewerDebian]),
];

/// Puts all clients on the machine, for this key's user.
pub fn install(server: &Server, key: &UserKey) -> Result<Vec<Client>> {
    newer::install(server)?;
    packages::install_python(server)?;
    packages::install_node(server)?;
    // curl asks for it.
    let public = format!("{}.pub", key.machine_path);
    server.write_file(&public, key.public.as_bytes(), 0o644)?;
    let mut installed = Vec::new();
    for (name, words, sources) in CLIENTS {
        for source in *sources {
            let call = |compression| -> Result<Vec<String>> {
                let words = words(server, key, compression)?;
                Ok(source.prefix().into_iter().chain(words).collect())
            };
            installed.push(Client {
                name: format!("{name}, {source:?}"),
                plain: call(Compression::Off)?,
                compressed: call(Compression::On)?,
            });
        }
    }
    Ok(installed)
}

impl Source {
    fn prefix(self) -> Vec<String> {
        match self {
            Self::Debian => vec![],
            Self::NewerDebian => vec!["chroot".to_owned(), newer::ROOT.to_owned()],
            Self::PyPi => vec![
                "env".to_owned(),
                format!("PYTHONPATH={}", packages::PYTHON_MODULES),
            ],
        }
    }
}

impl Client {
    /// Logs in, sends `content` and wants it back.
    pub fn must_echo(
        &self,
        server: &Server,
        content: &[u8],
        compression: Compression,
    ) -> Result<()> {
        let words = match compression {
            Compression::Off => &self.plain,
            Compression::On => &self.compressed,
        };
        let call = || {
            server
                .command(words)
                .arg(ECHO)
                .stdin(content)
                .deadline(DEADLINE)
                .run()
                .and_then(support::Output::success)
        };
        let mut output = call();
        if self.name.starts_with("dbclient") {
            for _ in 1..DBCLIENT_CALLS {
                output = output.or_else(|_| call());
            }
        }
        let output = output.with_context(|| self.name.clone())?;
        ensure!(
            output.stdout == content,
            "{}: the data came back changed",
            self.name
        );
        Ok(())
    }
}

/// What each client offers, of what `offer` holds: asked from the client itself, by a program in the server's place.
/// The server must be down meanwhile.
pub fn offers(server: &Server, offer: &Offer, clients: &[Client]) -> Result<Vec<Offer>> {
    let listener = server
        .command(["python3", "-u", "-c", include_str!("offers.py")])
        .spawn()?;
    listener.wait_for("listening\n", Duration::from_secs(10))?;
    let mut offers = Vec::new();
    for client in clients {
        let known = listener.stdout_so_far().len();
        let mut running = server.command(&client.plain).arg(ECHO).spawn()?;
        let mut line = String::new();
        eventually("a client shows its offer", Duration::from_secs(20), || {
            let said = listener.stdout_so_far();
            let news = String::from_utf8_lossy(said.get(known..).unwrap_or_default()).into_owned();
            let whole = news.ends_with('\n');
            line = news;
            Ok(whole)
        })
        .with_context(|| client.name.clone())?;
        running.kill()?;
        let lists: Vec<Vec<String>> = line
            .lines()
            .next()
            .unwrap_or_default()
            .split('\t')
            .map(|list| list.split(',').map(str::to_owned).collect())
            .collect();
        let [kex, host_keys, ciphers, macs, ..] = lists.as_slice() else {
            anyhow::bail!("{}: no offer: {line}", client.name);
        };
        let mut common = offer
            .common(kex, host_keys, ciphers, macs)
            .with_context(|| client.name.clone())?;
        if client.name.starts_with(LIBSSH2) {
            common.host_keys.retain(|name| !name.contains("-cert-"));
        }
        offers.push(common);
    }
    Ok(offers)
}

fn asyncssh(_server: &Server, key: &UserKey, compression: Compression) -> Result<Vec<String>> {
    let program = include_str!("clients/asyncssh.py");
    // It knows certificates.
    Ok(script(
        &["python3", "-c", program],
        key,
        KNOWN_HOSTS,
        compression,
    ))
}

fn libssh(server: &Server, key: &UserKey, compression: Compression) -> Result<Vec<String>> {
    let program = include_str!("clients/libssh.py");
    let known_hosts = plain_known_hosts(server, key)?;
    Ok(script(
        &["python3", "-c", program],
        key,
        &known_hosts,
        compression,
    ))
}

fn ssh2(server: &Server, key: &UserKey, compression: Compression) -> Result<Vec<String>> {
    let modules = format!("NODE_PATH={}", packages::NODE_MODULES);
    let program = include_str!("clients/ssh2.js");
    let words = ["env", &modules, "node", "-e", program, "--"];
    let known_hosts = plain_known_hosts(server, key)?;
    Ok(script(&words, key, &known_hosts, compression))
}

fn plain_known_hosts(server: &Server, key: &UserKey) -> Result<String> {
    let path = format!("/root/known_hosts.{}", key.user);
    clients::plain_known_hosts(server, &path)?;
    Ok(path)
}

/// A program that is told key, user, known hosts, compression and command.
fn script(
    program: &[&str],
    key: &UserKey,
    known_hosts: &str,
    compression: Compression,
) -> Vec<String> {
    let arguments = [
        &key.machine_path,
        &key.user,
        known_hosts,
        compression.word(),
    ];
    program
        .iter()
        .chain(&arguments)
        .map(|word| (*word).to_owned())
        .collect()
}

/// Up by SFTP, and down both by SFTP and by SCP. curl looks for one type of host key in its known hosts and offers no
/// other, so here it takes any (`-k`): that the server holds its keys is shown by the other clients.
fn curl(_server: &Server, key: &UserKey, compression: Compression) -> Result<Vec<String>> {
    let (path, user) = (&key.machine_path, &key.user);
    let more = match compression {
        Compression::Off => "",
        Compression::On => "--compressed-ssh",
    };
    let curl = format!("curl -sSk {more} --key {path} --pubkey {path}.pub -u {user}:");
    let program = format!(
        "set -eu; file=127.0.0.1/home/{user}/echo.$$; back=$(mktemp -d); \
         {curl} -T - sftp://$file; {curl} -o $back/sftp sftp://$file; {curl} -o $back/scp scp://$file; \
         cmp $back/sftp $back/scp; cat $back/scp; rm -r $back"
    );
    Ok(["sh", "-c", &program].map(str::to_owned).to_vec())
}
