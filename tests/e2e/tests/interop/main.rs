//! Programs of many authors that speak SSH, or start `ssh` for what they do: what they moved is compared by checksum.
//!
//! Each test passes with Debian's sshd, too. What the suites `transfers` and `forwarding` show with OpenSSH's own
//! programs, rsync and git is not shown again.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use e2e::{Server, Shared, clients, packages};
use support::{Output, Packages, UserKey};

mod forwards;
mod sessions;
mod sftp;
mod tools;

static SERVER: Shared = Shared::new(
    "interop",
    "MaxStartups 100:30:200\nMaxSessions 60\nX11Forwarding yes\n",
);

/// Debian's programs that no other suite needs. An X server in software draws without Mesa, which would bring a
/// compiler.
const PROGRAMS: Packages = Packages {
    names: &[
        "ansible-core",
        "borgbackup",
        "iptables",
        "lftp",
        "mosh",
        "nodejs",
        "rclone",
        "restic",
        "sshfs",
        "sshuttle",
        "x11-utils",
        "xvfb",
    ],
    without: &["libgl1-mesa-dri"],
};

/// How long what one test starts may take. Usual are one to ten seconds, for all of it.
const DEADLINE: Duration = Duration::from_secs(150);

/// A user on the server, a directory of root's on the client's side, and a tree of files at each.
struct Site {
    server: &'static Server,
    key: UserKey,
    /// For `ssh -F`: host `server`.
    config: String,
    /// Host keys for clients that know less than `ssh`.
    known_hosts: String,
}

/// What a program keeps of a tree besides names and content.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// Nothing, and it makes no directory that no file is in.
    Files,
    /// Directories.
    Names,
    /// Directories, and the time of each file.
    Times,
    /// Directories, and the times and modes of all files.
    All,
}

/// The server with all clients on it.
fn server() -> Result<&'static Server> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    let server = SERVER.get()?;
    INSTALLED
        .get_or_init(|| install(server).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))?;
    Ok(server)
}

fn install(server: &Server) -> Result<()> {
    server.install_packages(PROGRAMS)?;
    packages::install_python(server)?;
    packages::install_node(server)?;
    // For sshfs; systemd-nspawn gives a machine few devices.
    server.shell("mknod /dev/fuse c 10 229")?;
    let trees = include_str!("trees.py");
    server.write_file("/root/modules/trees.py", trees.as_bytes(), 0o644)
}

impl Site {
    /// A user with a tree `down` at home, and `/root/USER` with a tree `up`.
    fn new(user: &str) -> Result<Self> {
        let server = server()?;
        let key = server.add_user(user)?;
        let config = server.client_config(&key, "")?;
        let known_hosts = format!("/root/{user}/known_hosts");
        clients::plain_known_hosts(server, &known_hosts)?;
        server.run_python(&format!(
            "import trees; trees.make('/root/{user}/up'); trees.make('/home/{user}/down')"
        ))?;
        server.shell(&format!("chown -R {user}: /home/{user}/down"))?;
        Ok(Self {
            server,
            key,
            config,
            known_hosts,
        })
    }

    /// Runs a command as root in `/root/USER`, with the way to the server in its environment.
    fn run(&self, words: &[&str]) -> Result<Output> {
        let UserKey {
            user, machine_path, ..
        } = &self.key;
        self.server
            .command(["env", "-C", &format!("/root/{user}")])
            .args(words.iter().copied())
            .env("CONFIG", &self.config)
            .env("KEY", machine_path)
            .env("KNOWN_HOSTS", &self.known_hosts)
            .env("LOGIN", user)
            .env("GIT_SSH_COMMAND", &format!("ssh -F {}", self.config))
            .deadline(DEADLINE)
            .run()?
            .success()
    }

    /// Runs a shell script as [`Site::run`] does.
    fn shell(&self, script: &str) -> Result<Output> {
        self.run(&["sh", "-euc", script])
            .with_context(|| script.to_owned())
    }

    /// `up` has become the user's `up`, and the user's `down` is here: the copies are as the originals.
    fn must_be_copied(&self, kept: Kept) -> Result<()> {
        let user = &self.key.user;
        for (name, original, copy) in [("up", "root", "home"), ("down", "home", "root")] {
            self.must_be_equal(
                &format!("/{original}/{user}/{name}"),
                &format!("/{copy}/{user}/{name}"),
                kept,
            )?;
        }
        Ok(())
    }

    /// Compares two trees.
    fn must_be_equal(&self, original: &str, copy: &str, kept: Kept) -> Result<()> {
        let kept = format!("{kept:?}");
        self.server.run_python(&format!(
            "import trees; trees.compare({original:?}, {copy:?}, {kept:?})"
        ))?;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let user = &self.key.user;
        self.server
            .shell(&format!("rm -rf /root/{user} /home/{user}"))
            .ok();
    }
}
