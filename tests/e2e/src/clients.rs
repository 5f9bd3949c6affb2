//! Stock clients, each as the words that run one command on the server: with this key and no other, strict about the
//! host key, no question to a human.

use anyhow::Result;
use support::UserKey;
use support::users::KNOWN_HOSTS;

use crate::Server;

/// A program that runs one command on the server, as the words before the command.
pub type Client = fn(&Server, &UserKey, Compression) -> Result<Vec<String>>;

/// Whether a client asks for compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// It does not.
    Off,
    /// It does, if it can.
    On,
}

/// The clients of this file. All of them take the remote command as their last word.
pub const STOCK: &[(&str, Client)] = &[
    ("ssh", ssh),
    ("dbclient", dbclient),
    ("plink", plink),
    ("paramiko", paramiko),
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}

/// OpenSSH's client.
pub fn ssh(server: &Server, key: &UserKey, compression: Compression) -> Result<Vec<String>> {
    let config = server.client_config(key, "")?;
    let option = match compression {
        Compression::Off => "-oCompression=no",
        Compression::On => "-oCompression=yes",
    };
    Ok(words(&["ssh", "-F", &config, option, "server"]))
}

/// Dropbear's client. It has no switch for compression.
pub fn dbclient(server: &Server, key: &UserKey, _compression: Compression) -> Result<Vec<String>> {
    let home = format!("/root/dropbear.{}", key.user);
    plain_known_hosts(server, &format!("{home}/.ssh/known_hosts"))?;
    let identity = server.dropbear_key(key)?;
    let destination = format!("{}@127.0.0.1", key.user);
    let home = format!("HOME={home}");
    Ok(words(&[
        "env",
        &home,
        "dbclient",
        "-i",
        &identity,
        &destination,
    ]))
}

/// PuTTY's client.
pub fn plink(server: &Server, key: &UserKey, compression: Compression) -> Result<Vec<String>> {
    let identity = server.putty_key(key)?;
    let fingerprints =
        server.shell("for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done")?;
    let mut words = words(&["plink", "-batch", "-noagent"]);
    for line in fingerprints.lines() {
        let fingerprint = line.split(' ').nth(1).unwrap_or_default();
        words.extend(["-hostkey".to_owned(), fingerprint.to_owned()]);
    }
    if compression == Compression::On {
        words.push("-C".to_owned());
    }
    words.extend(["-i", &identity, "-l", &key.user, "127.0.0.1"].map(str::to_owned));
    Ok(words)
}

/// Paramiko, with new keys before the command.
pub fn paramiko(server: &Server, key: &UserKey, compression: Compression) -> Result<Vec<String>> {
    let known_hosts = format!("/root/paramiko.{}", key.user);
    plain_known_hosts(server, &known_hosts)?;
    Ok(words(&[
        "python3",
        "-c",
        include_str!("clients/paramiko.py"),
        &key.machine_path,
        &key.user,
        &known_hosts,
        compression.word(),
    ]))
}

impl Compression {
    /// For clients that are scripts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "plain",
            Self::On => "compressed",
        }
    }
}

/// Writes the server's host keys for clients that know nothing of certificates and want one name in a line.
pub fn plain_known_hosts(server: &Server, path: &str) -> Result<()> {
    server.shell(&format!(
        "mkdir -p $(dirname {path}); sed -n '/^@/!s/^[^ ]*/127.0.0.1/p' {KNOWN_HOSTS} >{path}"
    ))?;
    Ok(())
}
