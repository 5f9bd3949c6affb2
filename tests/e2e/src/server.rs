//! The server under test: our package on a machine, or Debian's OpenSSH on the same machine.

use std::ops::Deref;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use support::patience::stretched;
use support::{Machine, UserKey, progress};

use crate::script;

/// The environment variable that chooses the server: absent or `ours` for the package under test, `openssh` for
/// Debian's.
pub const PEER_VARIABLE: &str = "SSHD_PRIVSEP_PEER";

/// The file of settings, for both servers.
pub const CONFIGURATION: &str = "/etc/ssh/sshd_config";

/// Who serves port 22 of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The package under test.
    Ours,
    /// Debian's OpenSSH, to compare with.
    OpenSsh,
}

impl Peer {
    /// The one that the environment asks for.
    pub fn from_environment() -> Result<Self> {
        match std::env::var(PEER_VARIABLE).as_deref() {
            Err(_) | Ok("" | "ours") => Ok(Self::Ours),
            Ok("openssh") => Ok(Self::OpenSsh),
            Ok(other) => bail!("{PEER_VARIABLE}: {other:?} is neither `ours` nor `openssh`"),
        }
    }

    /// The unit that is reloaded after a change of the configuration.
    pub fn main_unit(self) -> &'static str {
        match self {
            Self::Ours => "sshd-privsep-monitor.service",
            Self::OpenSsh => "ssh.service",
        }
    }
}

/// A machine with a server on port 22.
#[derive(Debug)]
pub struct Server {
    machine: Machine,
    peer: Peer,
    /// The configuration file as its package installed it.
    packaged: String,
}

impl Deref for Server {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Server {
    /// Boots a machine for a topic and starts the server that the environment asks for, with these lines before its
    /// packaged configuration.
    pub fn up(topic: &str, settings: &str) -> Result<Self> {
        Self::up_as(topic, settings, Peer::from_environment()?)
    }

    /// As [`Server::up`], with the server that is named.
    pub fn up_as(topic: &str, settings: &str, peer: Peer) -> Result<Self> {
        let name = format!("e2e-{topic}-{}", std::process::id());
        let machine = match peer {
            Peer::Ours => Machine::with_server(&name)?,
            Peer::OpenSsh => Machine::builder(&name).up()?,
        };
        if peer == Peer::OpenSsh {
            machine.shell(&format!(
                "cp /usr/share/openssh/sshd_config {CONFIGURATION}; ssh-keygen -A; systemctl start ssh.service"
            ))?;
            machine.trust_host_keys(22)?;
        }
        let packaged = machine.shell(&format!("cat {CONFIGURATION}"))?;
        script::install_modules(&machine)?;
        let server = Self {
            machine,
            peer,
            packaged,
        };
        if !settings.is_empty() {
            server.configure(settings)?;
        }
        Ok(server)
    }

    /// Who serves.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Puts these settings before the packaged ones and reloads; returns when they are in force. The first value of a
    /// setting counts, so they win.
    pub fn configure(&self, settings: &str) -> Result<()> {
        let text = format!("{settings}\n{}", self.packaged);
        self.write_file(CONFIGURATION, text.as_bytes(), 0o644)?;
        self.reload()
    }

    /// Asks the server to read its configuration again; returns when it is in force.
    pub fn reload(&self) -> Result<()> {
        let since = self.now()?;
        let unit = self.peer.main_unit();
        let reloaded = self.exec(["systemctl", "reload", unit])?;
        if let Err(error) = reloaded.success() {
            bail!("{error:#}\n{}", self.journal(&["--since", &since])?);
        }
        if self.peer == Peer::Ours {
            // Ours ends when it is over, and was a success.
            return Ok(());
        }
        self.wait_for_journal(
            &["--since", &since, "-t", "sshd", "-o", "cat"],
            "Server listening on 0.0.0.0 port 22",
            Duration::from_secs(10),
        )?;
        eventually("the reload ends", Duration::from_secs(10), || {
            Ok(self.shell(&format!("systemctl show -P ActiveState {unit}"))? == "active\n")
        })
    }

    /// The machine's present time, for `--since`. (Not a cursor: journalctl of systemd 252 skips the first match after
    /// one.)
    pub fn now(&self) -> Result<String> {
        Ok(self.shell("date +@%s.%6N")?.trim().to_owned())
    }

    /// Proves that the server still serves: a login with this key runs a command.
    pub fn must_serve(&self, key: &UserKey) -> Result<()> {
        let output = self.ssh(key, &[], &["echo still here"]).run()?.success()?;
        ensure!(output.text() == "still here\n", "{output:?}");
        Ok(())
    }

    /// A file in the machine for `ssh -F`: host `server` with this key and strict checks, for programs that start
    /// `ssh` themselves. Returns its path.
    pub fn client_config(&self, key: &UserKey, more: &str) -> Result<String> {
        let path = format!("/root/ssh_config.{}", key.user);
        let text = format!(
            "Host server\n\
             HostName 127.0.0.1\n\
             User {}\n\
             IdentityFile {}\n\
             IdentitiesOnly yes\n\
             IdentityAgent none\n\
             BatchMode yes\n\
             StrictHostKeyChecking yes\n\
             UserKnownHostsFile {}\n\
             GlobalKnownHostsFile none\n\
             {more}\n",
            key.user,
            key.machine_path,
            support::users::KNOWN_HOSTS
        );
        self.write_file(&path, text.as_bytes(), 0o600)?;
        Ok(path)
    }
}

/// The one server of a test binary, booted by the first test that asks for it.
#[derive(Debug)]
pub struct Shared {
    topic: &'static str,
    settings: &'static str,
    server: OnceLock<Result<Server, String>>,
    prepared: OnceLock<Result<(), String>>,
}

impl Shared {
    /// A server to be, see [`Server::up`].
    pub const fn new(topic: &'static str, settings: &'static str) -> Self {
        Self {
            topic,
            settings,
            server: OnceLock::new(),
            prepared: OnceLock::new(),
        }
    }

    /// The server.
    pub fn get(&'static self) -> Result<&'static Server> {
        self.server
            .get_or_init(|| {
                Server::up(self.topic, self.settings).map_err(|error| format!("{error:#}"))
            })
            .as_ref()
            .map_err(|error| anyhow!("{error}"))
    }

    /// The server after `prepare`, which runs for the first test that asks. All tests of a binary pass the same.
    ///
    /// # Errors
    ///
    /// It cannot be started, or prepared: every test hears of it.
    pub fn prepared(
        &'static self,
        prepare: impl FnOnce(&Server) -> Result<()>,
    ) -> Result<&'static Server> {
        let server = self.get()?;
        let prepared = || prepare(server).map_err(|error| format!("{error:#}"));
        match self.prepared.get_or_init(prepared) {
            Ok(()) => Ok(server),
            Err(error) => Err(anyhow!("{error}")),
        }
    }

    /// The server if it is ours, for tests of what only ours has. Says so otherwise.
    pub fn ours(&'static self) -> Result<Option<&'static Server>> {
        if Peer::from_environment()? == Peer::Ours {
            return self.get().map(Some);
        }
        progress::line(format_args!("this test is about our own server only"));
        Ok(None)
    }
}

/// Asks again until the answer is yes.
///
/// # Errors
///
/// The deadline has passed; the text says what was waited for.
pub fn eventually(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let began = Instant::now();
    let deadline = stretched(deadline);
    while !ask()? {
        ensure!(began.elapsed() < deadline, "not after {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
