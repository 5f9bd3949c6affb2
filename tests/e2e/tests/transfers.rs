//! 100 MiB each way with every program that moves files over SSH, whole and unchanged, also while keys are replaced.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Server, Shared};
use support::UserKey;

/// More than any buffer on the way, and many times the window of a channel.
const LARGE: &str = "100M";

/// Still many times a channel's window, for what is repeated.
const MEDIUM: &str = "24M";

/// How long one transfer may take. Usual are one to three seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// Each connection of this server replaces its keys after every 16 MiB, whatever the client does.
static SERVER: Shared = Shared::new("transfers", "RekeyLimit 16M\n");

/// A user with a random file in the home directory, a random file at root's, and the way there.
struct Site {
    server: &'static Server,
    key: UserKey,
    config: String,
}

impl Site {
    fn new(user: &str, size: &str) -> Result<Self> {
        let server = SERVER.get()?;
        let key = server.add_user(user)?;
        let config = server.client_config(&key, "")?;
        server.shell(&format!(
            "mkdir -p /root/{user}; \
             head -c {size} /dev/urandom >/root/{user}/up; \
             head -c {size} /dev/urandom >/home/{user}/down; \
             chown {user}: /home/{user}/down"
        ))?;
        Ok(Self {
            server,
            key,
            config,
        })
    }

    /// Runs a script as root in the directory of the file `up`, with `$CONFIG` for `ssh -F`. It must make `up` appear
    /// as the user's `up`, and the user's `down` here.
    fn both_ways(&self, script: &str) -> Result<()> {
        let user = &self.key.user;
        self.server
            .command(["sh", "-euc", &format!("cd /root/{user}; {script}")])
            .env("CONFIG", &self.config)
            .env("GIT_SSH_COMMAND", &format!("ssh -F {}", self.config))
            .deadline(DEADLINE)
            .run()?
            .success()
            .with_context(|| script.to_owned())?;
        self.must_be_the_same("up")?;
        self.must_be_the_same("down")
    }

    /// Compares the two copies of a file, and removes the one that was made.
    fn must_be_the_same(&self, name: &str) -> Result<()> {
        let user = &self.key.user;
        let sums = self.server.shell(&format!(
            "sha256sum /root/{user}/{name} /home/{user}/{name} | cut -d' ' -f1 | uniq"
        ))?;
        ensure!(
            sums.lines().count() == 1,
            "{name}: the copy differs: {sums}"
        );
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let user = &self.key.user;
        self.server
            .exec([
                "rm",
                "-rf",
                &format!("/root/{user}"),
                &format!("/home/{user}"),
            ])
            .ok();
    }
}

#[test]
fn ssh_pipes_both_ways() -> Result<()> {
    Site::new("pipe", LARGE)?.both_ways(
        "ssh -F $CONFIG server 'cat >up' <up; \
         ssh -F $CONFIG server 'cat down' >down",
    )
}

#[test]
fn one_channel_carries_both_directions_at_once() -> Result<()> {
    Site::new("duplex", LARGE)?
        .both_ways("ssh -F $CONFIG server 'cat down & cat >up; wait' <up >down")
}

#[test]
fn scp_in_its_sftp_mode_and_its_old_one() -> Result<()> {
    let site = Site::new("scp", LARGE)?;
    for mode in ["", "-O"] {
        site.both_ways(&format!(
            "scp -q {mode} -F $CONFIG up server:up; scp -q {mode} -F $CONFIG server:down down"
        ))?;
        site.server.shell("rm /home/scp/up /root/scp/down")?;
    }
    Ok(())
}

#[test]
fn sftp_puts_and_gets() -> Result<()> {
    Site::new("sftp", LARGE)?
        .both_ways("printf 'put up\\nget down\\n' | sftp -q -b - -F $CONFIG server")
}

#[test]
fn rsync_pushes_and_pulls() -> Result<()> {
    Site::new("rsync", LARGE)?.both_ways(
        "rsync -e \"ssh -F $CONFIG\" up server:up; rsync -e \"ssh -F $CONFIG\" server:down down",
    )
}

#[test]
fn git_pushes_and_clones() -> Result<()> {
    let site = Site::new("git", LARGE)?;
    site.server
        .command([
            "sh",
            "-euc",
            "git config --global core.compression 0; \
             git config --global init.defaultBranch main; \
             git init -q --bare there.git; \
             git init -q work; cd work; mv ../down down; git add down; \
             git -c user.name=t -c user.email=t@t commit -qm down; \
             git push -q ../there.git main; mv down ..",
        ])
        .user("git")
        .run()?
        .success()?;
    site.both_ways(
        "git config --global core.compression 0; \
         git clone -q server:there.git clone; cp clone/down down; cp up clone/up; cd clone; git add up; \
         git -c user.name=t -c user.email=t@t commit -qm up; git push -q; \
         ssh -F $CONFIG server 'git -C there.git show main:up >up'",
    )
}

#[test]
fn the_client_replaces_keys_every_mebibyte() -> Result<()> {
    let site = Site::new("rekey", LARGE)?;
    site.both_ways(
        "ssh -v -F $CONFIG -o RekeyLimit=1M server 'cat >up' <up 2>log.up; \
         ssh -v -F $CONFIG -o RekeyLimit=1M server 'cat down' >down 2>log.down",
    )?;
    for log in ["log.up", "log.down"] {
        let count = site.server.shell(&format!(
            "grep -c 'SSH2_MSG_NEWKEYS sent' /root/rekey/{log}"
        ))?;
        assert!(
            count.trim().parse::<u32>()? > 30,
            "{log}: {count} exchanges"
        );
    }
    Ok(())
}

#[test]
fn the_server_replaces_keys_at_its_own_limit() -> Result<()> {
    let site = Site::new("srekey", LARGE)?;
    site.both_ways(
        "ssh -v -F $CONFIG server 'cat >up' <up 2>log.up; \
         ssh -v -F $CONFIG server 'cat down' >down 2>log.down",
    )?;
    for log in ["log.up", "log.down"] {
        let count = site.server.shell(&format!(
            "grep -c 'SSH2_MSG_NEWKEYS sent' /root/srekey/{log}"
        ))?;
        assert!(
            count.trim().parse::<u32>()? >= 6,
            "{log}: {count} exchanges"
        );
    }
    Ok(())
}

#[test]
fn ciphers_with_their_own_counters_survive_rekeying_under_load() -> Result<()> {
    let site = Site::new("ciphers", MEDIUM)?;
    for cipher in [
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes256-ctr",
    ] {
        site.both_ways(&format!(
            "ssh -F $CONFIG -c {cipher} -o RekeyLimit=2M server 'cat down & cat >up; wait' <up >down"
        ))
        .context(cipher)?;
    }
    Ok(())
}
