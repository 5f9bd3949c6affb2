//! A machine's life: up, attach, list, down.

mod ending;
mod place;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

pub use self::ending::{Listing, list, remove, sweep};
use self::ending::{lock, teardown, watchdog};
use self::place::{cgroups, check_name, directory, join, mount_overlay};
use crate::exec::{Exec, Output};
use crate::patience::stretched;
use crate::process::Process;
use crate::progress::{self, Step};
use crate::record::Record;
use crate::{base, host};

/// How long a boot may take. Half a second is usual on an idle machine; a loaded one gets its time.
const BOOT_DEADLINE: Duration = Duration::from_secs(60);
/// Joins the cgroups in $CGROUPS and becomes systemd-nspawn, in a session of its own: a Ctrl-C at the terminal must
/// reach the machine's owner only, who then takes it down.
const START: &str = r#"
for cgroup in $CGROUPS; do
    echo $$ >"$cgroup/cgroup.procs" || exit 1
done
exec setsid systemd-nspawn "$@"
"#;

/// What a machine sees of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A loopback of its own and nothing else. For tests: clients run inside.
    Private,
    /// The host's network, so that a port on the host's 127.0.0.1 reaches the machine.
    HostLoopback,
}

/// Who decides when a machine goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// The value: the machine is down when it is dropped or when this process ends in whatever way.
    Owned,
    /// Somebody later: the machine stays up until it is taken down by name.
    Kept,
}

/// A machine to be. Made by [`Machine::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    network: Network,
    lifetime: Lifetime,
}

impl Builder {
    /// Chooses the network. [`Network::Private`] unless said otherwise.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Chooses who ends the machine. [`Lifetime::Owned`] unless said otherwise.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Boots the machine and waits until systemd says that it is running.
    ///
    /// Sweeps away what killed owners left behind first.
    ///
    /// # Errors
    ///
    /// Not root; no base tree; a machine of this name is up; it did not boot (with its console's text).
    pub fn up(self) -> Result<Machine> {
        host::require_root()?;
        check_name(&self.name)?;
        let tree = base::ensure_tree()?;
        sweep()?;
        let mut step = Step::begin(format!("booting machine {}", self.name));
        let mut machine = self.start(&tree)?;
        machine.wait_until_running(&mut step)?;
        if self.lifetime == Lifetime::Kept {
            machine.keep()?;
        }
        step.done();
        Ok(machine)
    }

    /// Lays the overlay and starts systemd-nspawn on it. From the first line on a watchdog stands behind us.
    fn start(&self, tree: &Path) -> Result<Machine> {
        let lock = lock()?;
        let directory = directory(&self.name);
        ensure!(
            !directory.exists(),
            "machine {0} is up already; `cargo xtask machine down {0}` ends it",
            self.name
        );
        fs::create_dir_all(&directory)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let mut record = Record {
            instance: format!("{}-{now}", std::process::id()),
            network: self.network,
            owner: Process::now(std::process::id()),
            nspawn: None,
            leader: None,
        };
        record.write(&directory)?;
        let mut machine = Machine {
            watchdog: Some(watchdog(&self.name, &record.instance)?),
            name: self.name.clone(),
            directory,
            leader: Process { pid: 0, started: 0 },
            network: self.network,
            lifetime: Lifetime::Owned,
            nspawn: None,
        };
        let root = mount_overlay(&machine.directory, tree)?;
        let cgroups = cgroups(&self.name)?;
        for cgroup in &cgroups {
            fs::create_dir_all(cgroup)
                .with_context(|| format!("{}: cannot create", cgroup.display()))?;
        }
        let console = File::create(machine.console_path())?;
        let mut command = Command::new("sh");
        command
            .args(["-c", START, "start-machine", "--quiet", "--boot"])
            // Neither machined nor a manager on the host has a part in this: there may be none.
            .args(["--register=no", "--keep-unit", "--settings=no"])
            .args([
                "--console=pipe",
                "--link-journal=no",
                "--timezone=off",
                "--resolv-conf=off",
            ])
            // Cages are made of these; the container's own filter of this systemd does not know them yet.
            .arg("--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self")
            .arg(format!("--machine={}", self.name))
            .arg("--directory")
            .arg(&root)
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .env("CGROUPS", join(&cgroups))
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console);
        if self.network == Network::Private {
            command.arg("--private-network");
        }
        let child = command.spawn().context("systemd-nspawn")?;
        record.nspawn = Process::now(child.id());
        machine.nspawn = Some(child);
        record.write(&machine.directory)?;
        drop(lock);
        Ok(machine)
    }
}

/// A machine that is up.
#[derive(Debug)]
pub struct Machine {
    name: String,
    directory: PathBuf,
    leader: Process,
    network: Network,
    lifetime: Lifetime,
    /// Present when this process started the machine: to be reaped.
    nspawn: Option<Child>,
    watchdog: Option<Child>,
}

impl Machine {
    /// A machine with this name: lower-case letters, digits and hyphens.
    pub fn builder(name: &str) -> Builder {
        Builder {
            name: name.to_owned(),
            network: Network::Private,
            lifetime: Lifetime::Owned,
        }
    }

    /// A machine that was brought up earlier with [`Lifetime::Kept`]. Dropping the value leaves it up.
    pub fn attach(name: &str) -> Result<Self> {
        host::require_root()?;
        check_name(name)?;
        let directory = directory(name);
        let record =
            Record::read(&directory).with_context(|| format!("no machine named {name} is up"))?;
        ensure!(
            !record.is_stale(),
            "machine {name} has died; `cargo xtask machine down {name}` removes it"
        );
        Ok(Self {
            name: name.to_owned(),
            leader: record
                .leader
                .with_context(|| format!("machine {name} is still booting"))?,
            network: record.network,
            lifetime: Lifetime::Kept,
            nspawn: None,
            watchdog: None,
            directory,
        })
    }

    /// The machine's name, which is its host name too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it sees of the network.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The process on the host that is the machine's PID 1.
    pub fn leader_pid(&self) -> u32 {
        self.leader.pid
    }

    /// Whether the machine's PID 1 is there.
    pub fn is_alive(&self) -> bool {
        self.leader.alive()
    }

    /// The machine's directory on the host. Keys of its users are below it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The machine's root directory as the host sees it (without its /run and /tmp, which are mounts of its own).
    pub fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// CPU time used by all that the machine started itself, since its boot. Commands run by [`Machine::command`]
    /// do not count: they are in the caller's cgroup, so a test can tell the server's time from its clients'.
    pub fn cpu_time(&self) -> Result<Duration> {
        let cgroup = cgroups(&self.name)?
            .into_iter()
            .next()
            .context("no cgroup")?;
        let path = cgroup.join("payload/cpu.stat");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let microseconds = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))
            .with_context(|| format!("{}: no usage_usec", path.display()))?;
        Ok(Duration::from_micros(microseconds.parse()?))
    }

    /// A command inside the machine, to be refined and run.
    pub fn command<I, A>(&self, words: I) -> Exec<'_>
    where
        I: IntoIterator<Item = A>,
        A: Into<String>,
    {
        Exec::new(self, words.into_iter().map(Into::into).collect())
    }

    /// Runs a command inside as root and collects what it says, whatever its exit status.
    pub fn exec<I, A>(&self, words: I) -> Result<Output>
    where
        I: IntoIterator<Item = A>,
        A: Into<String>,
    {
        self.command(words).run()
    }

    /// Runs a shell script inside as root; an exit status other than 0 is an error. Returns standard output.
    pub fn shell(&self, script: &str) -> Result<String> {
        Ok(self.exec(["sh", "-euc", script])?.success()?.text())
    }

    /// The machine's journal by `journalctl` with these arguments, with every line that was written so far. Also works
    /// when the machine's PID 1 has died.
    pub fn journal(&self, arguments: &[&str]) -> Result<String> {
        let mut words = vec!["journalctl", "--no-pager"];
        if self.leader.alive() {
            self.exec(["journalctl", "--sync"])?.success()?;
            words.extend(arguments);
            return Ok(self.exec(words)?.success()?.text());
        }
        let directory = format!(
            "--directory={}",
            self.root().join("var/log/journal").display()
        );
        words.push(&directory);
        words.extend(arguments);
        let output = Command::new("journalctl")
            .args(words.iter().skip(1))
            .output()?;
        ensure!(
            output.status.success(),
            "journalctl failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Copies a file of the host into the machine, with the given mode bits.
    pub fn copy_in(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let content = fs::read(from).with_context(|| from.display().to_string())?;
        self.write_file(to, &content, mode)
    }

    /// Writes a file inside the machine. Goes through a process inside, so that it also reaches the machine's own
    /// mounts, such as /run and /tmp.
    pub fn write_file(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let script = format!(
            "umask 077; mkdir -p \"$(dirname \"$1\")\"; cat >\"$1\"; chmod {mode:o} \"$1\""
        );
        self.command(["sh", "-euc", &script, "write", path])
            .stdin(content)
            .run()?
            .success()
            .with_context(|| format!("writing {path} in machine {}", self.name))?;
        Ok(())
    }

    /// Copies a file out of the machine.
    pub fn copy_out(&self, from: &str, to: &Path) -> Result<()> {
        let content = self.exec(["cat", "--", from])?.success()?.stdout;
        fs::write(to, content).with_context(|| to.display().to_string())
    }

    /// Takes the machine down and waits until nothing of it is left: no process, mount, cgroup or directory.
    pub fn down(mut self) -> Result<()> {
        self.teardown()
    }

    pub(crate) fn leader(&self) -> Process {
        self.leader
    }

    fn console_path(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    fn wait_until_running(&mut self, step: &mut Step) -> Result<()> {
        let began = Instant::now();
        let mut state = "no PID 1 yet".to_owned();
        while began.elapsed() < stretched(BOOT_DEADLINE) {
            if let Some(child) = &mut self.nspawn
                && let Some(status) = child.try_wait()?
            {
                bail!("systemd-nspawn ended ({status}):\n{}", self.console());
            }
            if self.leader.pid == 0 {
                self.find_leader()?;
            } else {
                let output = self.exec(["systemctl", "is-system-running"]);
                state = output.map_or_else(|error| error.to_string(), |output| output.text());
                match state.trim() {
                    "running" => return Ok(()),
                    // A unit of the base tree failed: a broken machine would blame the product for its own faults.
                    "degraded" => bail!(
                        "machine {} came up degraded:\n{}",
                        self.name,
                        self.exec(["systemctl", "--failed", "--no-legend"])?.text()
                    ),
                    _ => {}
                }
            }
            step.pulse(state.trim());
            std::thread::sleep(Duration::from_millis(25));
        }
        bail!(
            "machine {} was not up after {BOOT_DEADLINE:?} (state: {}):\n{}",
            self.name,
            state.trim(),
            self.console()
        )
    }

    fn find_leader(&mut self) -> Result<()> {
        let mut record = Record::read(&self.directory).context("the machine's record is gone")?;
        let nspawn = record.nspawn.context("systemd-nspawn was not started")?;
        if let Some(leader) = nspawn.namespace_init() {
            self.leader = leader;
            record.leader = Some(leader);
            record.write(&self.directory)?;
        }
        Ok(())
    }

    fn console(&self) -> String {
        fs::read(self.console_path()).map_or_else(
            |error| format!("(no console text: {error})"),
            |text| String::from_utf8_lossy(&text).into_owned(),
        )
    }

    fn keep(&mut self) -> Result<()> {
        let mut record = Record::read(&self.directory).context("the machine's record is gone")?;
        record.owner = None;
        record.write(&self.directory)?;
        self.lifetime = Lifetime::Kept;
        self.dismiss_watchdog()
    }

    fn dismiss_watchdog(&mut self) -> Result<()> {
        if let Some(mut watchdog) = self.watchdog.take() {
            // Killed before its pipe closes, otherwise it would do what it is for.
            watchdog.kill()?;
            watchdog.wait()?;
        }
        Ok(())
    }

    fn teardown(&mut self) -> Result<()> {
        self.lifetime = Lifetime::Kept;
        self.dismiss_watchdog()?;
        let lock = lock()?;
        teardown(&self.name)?;
        drop(lock);
        if let Some(mut child) = self.nspawn.take() {
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Owned
            && let Err(error) = self.teardown()
        {
            progress::line(format_args!(
                "machine {}: not taken down: {error:#}",
                self.name
            ));
        }
    }
}
