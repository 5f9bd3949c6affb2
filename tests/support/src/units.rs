//! What `systemd-analyze` says about our units, on a machine where the package is installed.

use anyhow::{Result, ensure};

use crate::machine::Machine;

/// Units to verify, with an instance or session where the name is a pattern.
const UNITS: &[&str] = &[
    "sshd-privsep.socket",
    "sshd-privsep-ctl.socket",
    "sshd-privsep-admin.socket",
    "sshd-privsep-accounting.socket",
    "sshd-privsep-wtmpdb.socket",
    "sshd-privsep-monitor.service",
    "sshd-privsep-preauth@1.service",
    "sshd-privsep-accounting.service",
    "sshd-privsep-wtmpdb.service",
    "sshd-privsep-keygen.service",
    "system-sshd_privsep.slice",
    "system-sshd_privsep-preauth.slice",
];

/// The highest exposure that each service may have, in tenths of `systemd-analyze security`'s scale (0 is best, 100
/// worst). The worker's would be lower with a mount namespace, which each connection would pay for; its own cage does
/// that work and more, where systemd-analyze cannot see it. Sessions are not here: a full account must be able to do
/// all that its user may.
const EXPOSURE_LIMITS: &[(&str, u32)] = &[
    ("sshd-privsep-monitor.service", 17),
    ("sshd-privsep-preauth@1.service", 25),
    ("sshd-privsep-keygen.service", 9),
    ("sshd-privsep-wtmpdb.service", 15),
    // PAM modules change accounts and become users; and no mount namespace, for the same reason as for workers.
    (PAM, 48),
];

/// Units that have no file are given one for the judgement; all that matters of them is in drop-ins.
const TRANSIENT: &[&str] = &[
    PAM,
    "sshd-privsep-session-0.service",
    "sshd-privsep-command-0-0.service",
];
const PAM: &str = "sshd-privsep-pam-0-0.service";

impl Machine {
    /// Fails unless systemd accepts every line of every unit, and no service is more exposed than its limit.
    /// Returns one line per service with its exposure.
    pub fn check_units(&self) -> Result<Vec<String>> {
        for unit in TRANSIENT {
            let file = format!("/run/systemd/system/{unit}");
            self.write_file(&file, b"[Service]\nExecStart=/usr/bin/true\n", 0o644)?;
        }
        self.exec(["systemctl", "daemon-reload"])?.success()?;
        let judgement = self.judge_units();
        self.shell(&format!(
            "cd /run/systemd/system; rm {}; systemctl daemon-reload",
            TRANSIENT.join(" ")
        ))?;
        judgement
    }

    fn judge_units(&self) -> Result<Vec<String>> {
        let verified = self
            .command(["systemd-analyze", "verify", "--man=no"])
            .args(UNITS.iter().chain(TRANSIENT).copied())
            .run()?
            .success()?;
        // An unknown directive is a warning only: it says so and ends with 0.
        ensure!(
            verified.error_text().is_empty(),
            "{}",
            verified.error_text()
        );

        let mut exposures = Vec::new();
        for (unit, limit) in EXPOSURE_LIMITS {
            let limit = limit.to_string();
            let judged = self.exec([
                "systemd-analyze",
                "security",
                "--no-pager",
                "--threshold",
                &limit,
                unit,
            ])?;
            let text = judged.text();
            let exposure = text
                .lines()
                .rfind(|line| line.contains("exposure level"))
                .unwrap_or_default();
            ensure!(
                judged.code() == Some(0),
                "{unit}: more exposed than {limit} tenths: {exposure}\n{}{text}",
                judged.error_text()
            );
            exposures.push(
                exposure
                    .trim_start_matches(|c: char| !c.is_ascii())
                    .trim()
                    .to_owned(),
            );
        }
        Ok(exposures)
    }
}
