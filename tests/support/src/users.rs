//! Accounts on a machine, with keys, and the stock `ssh` that logs in with them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::exec::Exec;
use crate::machine::Machine;

/// The file in the machine with the server's host keys, in known_hosts format. Written by [`Machine::trust_host_keys`].
pub const KNOWN_HOSTS: &str = "/root/known_hosts";

/// An account with a key that may log in.
#[derive(Debug, Clone)]
pub struct UserKey {
    /// The account.
    pub user: String,
    /// The private key on the host (mode 0600, owner root).
    pub host_path: PathBuf,
    /// The same key inside the machine, for clients that root runs there.
    pub machine_path: String,
    /// The public key: one line of an authorized_keys file.
    pub public: String,
}

impl Machine {
    /// Makes an account with a home directory and a fresh ed25519 key in its authorized_keys.
    pub fn add_user(&self, name: &str) -> Result<UserKey> {
        self.exec(["useradd", "--create-home", "--shell", "/bin/bash", name])?
            .success()?;
        let key = self.make_key(name)?;
        self.authorize(name, &key.public)?;
        Ok(key)
    }

    /// Makes a key named after the account that nothing authorises yet.
    pub fn make_key(&self, name: &str) -> Result<UserKey> {
        let keys = self.directory().join("keys");
        fs::create_dir_all(&keys)?;
        let host_path = keys.join(name);
        let output = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&host_path)
            .stdin(Stdio::null())
            .output()
            .context("ssh-keygen")?;
        ensure!(
            output.status.success(),
            "ssh-keygen failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let public = fs::read_to_string(host_path.with_extension("pub"))?;
        let machine_path = format!("/root/keys/{name}");
        self.copy_in(&host_path, &machine_path, 0o600)?;
        Ok(UserKey {
            user: name.to_owned(),
            host_path,
            machine_path,
            public,
        })
    }

    /// Adds one line to the account's authorized_keys.
    pub fn authorize(&self, user: &str, line: &str) -> Result<()> {
        let script = "umask 077; mkdir -p .ssh; cat >>.ssh/authorized_keys";
        self.command(["sh", "-euc", script])
            .user(user)
            .stdin(format!("{}\n", line.trim_end()).as_bytes())
            .run()?
            .success()?;
        Ok(())
    }

    /// Writes the server's own host keys into [`KNOWN_HOSTS`], read from its files and not from the network: a client
    /// with strict checking then proves that the server holds them. Returns the file's text for `[address]:port`.
    pub fn trust_host_keys(&self, port: u16) -> Result<String> {
        let keys = self.shell("cat /etc/ssh/ssh_host_*_key.pub")?;
        let mut text = String::new();
        for key in keys.lines() {
            // Key type and key; the comment is the machine's business.
            let key: Vec<_> = key.split(' ').take(2).collect();
            let names = match port {
                22 => "127.0.0.1,::1,localhost".to_owned(),
                _ => format!("[127.0.0.1]:{port},[::1]:{port},[localhost]:{port}"),
            };
            text.push_str(&format!("{names} {}\n", key.join(" ")));
        }
        self.write_file(KNOWN_HOSTS, text.as_bytes(), 0o644)?;
        Ok(text)
    }

    /// Stock `ssh` inside the machine, as this user to 127.0.0.1 with this key, strict about the host key. Options and
    /// the remote command follow with [`Exec::args`]; the destination is the first of them that is no option, so
    /// options must come as `options` here.
    pub fn ssh(&self, key: &UserKey, options: &[&str], remote: &[&str]) -> Exec<'_> {
        self.command(["ssh"])
            .args(client_options(key))
            .args(options.iter().copied())
            .arg(format!("{}@127.0.0.1", key.user))
            .args(remote.iter().copied())
    }
}

/// The options with which `ssh`, `scp` and `sftp` inside the machine use this key and nothing else: no configuration
/// file, no agent, no question to a human.
pub fn client_options(key: &UserKey) -> Vec<String> {
    let known_hosts = format!("UserKnownHostsFile={KNOWN_HOSTS}");
    [
        "-F",
        "none",
        "-i",
        key.machine_path.as_str(),
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "IdentityAgent=none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "GlobalKnownHostsFile=none",
        "-o",
        known_hosts.as_str(),
    ]
    .into_iter()
    .map(str::to_owned)
    .collect()
}
