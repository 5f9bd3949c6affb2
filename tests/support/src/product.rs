//! Our package on a machine, installed as a user would: from the .deb, by apt.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::Machine;
use crate::patience::stretched;

/// The environment variable that names the .deb under test. `cargo xtask test` sets it after building the package.
pub const DEB_VARIABLE: &str = "SSHD_PRIVSEP_DEB";

/// The package's name.
pub const PACKAGE: &str = "sshd-privsep";

/// The .deb under test. There is no silent skipping: without it the suite fails and says what to do.
pub fn deb_under_test() -> Result<PathBuf> {
    let path = std::env::var_os(DEB_VARIABLE)
        .map(PathBuf::from)
        .with_context(|| format!("{DEB_VARIABLE} names no package: run `cargo xtask test`"))?;
    ensure!(
        path.is_file(),
        "{DEB_VARIABLE}: {} is no file",
        path.display()
    );
    Ok(path)
}

/// What holds for our server only, before the file that it shares with OpenSSH's.
pub const OWN_SETTINGS: &str = "/etc/ssh/sshd-privsep.conf";

impl Machine {
    /// Boots a machine of this name with a network of its own, with the package under test installed and its socket
    /// listening on port 22, and with the host keys in [`KNOWN_HOSTS`](crate::users::KNOWN_HOSTS).
    pub fn with_server(name: &str) -> Result<Self> {
        let deb = deb_under_test()?;
        let machine = Self::builder(name).up()?;
        machine.install_deb(&deb)?;
        // All tests come from one address, and failures are what most of them are about.
        machine.write_file(OWN_SETTINGS, b"PerSourcePenalties no\n", 0o644)?;
        machine.start_server()?;
        machine.trust_host_keys(22)?;
        Ok(machine)
    }

    /// Installs a .deb by apt. All that it depends on is in the base tree; anything else is an error.
    pub fn install_deb(&self, deb: &Path) -> Result<String> {
        let inside = "/var/tmp/package.deb";
        self.copy_in(deb, inside, 0o644)?;
        let output = self
            .command([
                "apt-get",
                "install",
                "-y",
                "-q",
                "-o",
                "Dpkg::Use-Pty=0",
                inside,
            ])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .deadline(Duration::from_secs(120))
            .run()?
            .success()?;
        Ok(output.text() + &output.error_text())
    }

    /// Starts the socket and the monitor behind it, and waits until the monitor says that it is ready.
    pub fn start_server(&self) -> Result<()> {
        self.exec(["systemctl", "start", "sshd-privsep.socket"])?
            .success()?;
        // The socket alone would do; starting the monitor now makes its errors visible here and not at the first login.
        let started = self.exec(["systemctl", "start", "sshd-privsep-monitor.service"])?;
        if let Err(error) = started.success() {
            let journal = self.journal(&["-b", "-u", "sshd-privsep*", "-n", "50"])?;
            bail!("{error:#}\n{journal}");
        }
        Ok(())
    }

    /// Waits until a line of the journal, chosen by these journalctl arguments, holds `text`; returns that line.
    pub fn wait_for_journal(
        &self,
        arguments: &[&str],
        text: &str,
        deadline: Duration,
    ) -> Result<String> {
        let began = Instant::now();
        let deadline = stretched(deadline);
        loop {
            let journal = self.journal(arguments)?;
            if let Some(line) = journal.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            ensure!(
                began.elapsed() < deadline,
                "no line with {text:?} in the journal after {deadline:?}:\n{journal}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The id of the connection that the newest line of the journal with one is about.
    pub fn last_connection(&self) -> Result<Option<String>> {
        const FIELD: &str = "\"SSHD_CONN\":\"";
        let journal = self.journal(&[
            "--reverse",
            "--lines=500",
            "--output=json",
            "--output-fields=SSHD_CONN",
        ])?;
        let id = journal.lines().find_map(|line| {
            let (_, value) = line.split_once(FIELD)?;
            let (id, _) = value.split_once('"')?;
            Some(id.to_owned())
        });
        Ok(id)
    }
}
