//! User keys of every type, in the format of every client.

use anyhow::{Context, Result};
use support::UserKey;

use crate::Server;

impl Server {
    /// Makes a key with these options of `ssh-keygen` on the machine and lets it log in as `user`.
    pub fn extra_key(&self, user: &UserKey, name: &str, options: &[&str]) -> Result<UserKey> {
        let path = format!("/root/keys/{}-{name}", user.user);
        self.command(["ssh-keygen", "-q", "-N", "", "-f", &path])
            .args(options.iter().copied())
            .run()?
            .success()?;
        let public = self.shell(&format!("cat {path}.pub"))?;
        self.authorize(&user.user, &public)?;
        Ok(UserKey {
            user: user.user.clone(),
            host_path: self.root().join(path.trim_start_matches('/')),
            machine_path: path,
            public,
        })
    }

    /// The key as dropbear's clients read it.
    pub fn dropbear_key(&self, key: &UserKey) -> Result<String> {
        let path = format!("{}.dropbear", key.machine_path);
        self.exec([
            "dropbearconvert",
            "openssh",
            "dropbear",
            &key.machine_path,
            &path,
        ])?
        .success()?;
        Ok(path)
    }

    /// The key as PuTTY's clients read it.
    pub fn putty_key(&self, key: &UserKey) -> Result<String> {
        let path = format!("{}.ppk", key.machine_path);
        self.exec(["puttygen", &key.machine_path, "-O", "private", "-o", &path])?
            .success()?;
        Ok(path)
    }

    /// `SHA256:…` of a public key file in the machine.
    pub fn fingerprint(&self, public_path: &str) -> Result<String> {
        self.exec(["ssh-keygen", "-lf", public_path])?
            .success()?
            .text()
            .split(' ')
            .nth(1)
            .map(str::to_owned)
            .context("ssh-keygen shows no fingerprint")
    }

    /// `SHA256:…` of a user's key.
    pub fn key_fingerprint(&self, key: &UserKey) -> Result<String> {
        let path = format!("{}.pub", key.machine_path);
        self.write_file(&path, key.public.as_bytes(), 0o644)?;
        self.fingerprint(&path)
    }
}
