//! `cargo xtask test`: every test there is, in the order from quick to slow.

use anyhow::{Result, bail};
use support::host;
use support::product::{DEB_VARIABLE, deb_under_test};
use support::progress::Step;

use crate::deb::{self, Profile};
use crate::side_by_side;
use crate::workspace::{cargo, run as run_command};

const HELP: &str = "\
cargo xtask test [--only unit|e2e|security|compat] [FILTER]

  unit       unit and property tests of all crates, sshd_config compared with OpenSSH's sshd; need cargo and apt-get
  e2e        stock clients against the installed package on test machines; need root
  security   what each caged process must not be able to do, attempted; need root
  compat     every combination of algorithms, with clients of many authors and ages; need root

FILTER is passed to cargo test: only tests whose name contains it run. SSHD_PRIVSEP_TEST_SUITE=trixie makes the machines
that Debian instead of the host's.
";

/// Names the worker that tries its own cage, for the security suite.
const PROBE_VARIABLE: &str = "SSHD_PRIVSEP_CAGE_PROBE";

/// Names the directory of the programs whose times tell who exists, for the e2e suite.
const TIMING_CONTROL_VARIABLE: &str = "SSHD_PRIVSEP_TIMING_CONTROL";

/// What unit tests need beyond cargo: what Debian's sshd is linked with, which is taken out of its package for the
/// comparison of configurations and not installed; and who judges manual pages.
pub(crate) const UNIT_PACKAGES: &[&str] = &["libwrap0", "libgssapi-krb5-2", "mandoc"];

/// The packages whose tests need a machine, and with it the package under test.
const ON_MACHINES: &[&str] = &["e2e", "security", "compat"];

/// Runs `test` with the words after it.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (only, filter) = match words {
        ["--only", suite, rest @ ..] => (Some(*suite), rest),
        rest => (None, rest),
    };
    let known = only.is_none_or(|only| only == "unit" || ON_MACHINES.contains(&only));
    if !known || filter.len() > 1 || filter.iter().any(|word| word.starts_with('-')) {
        bail!("{HELP}");
    }
    let chosen = |suite: &str| only.is_none_or(|only| only == suite);
    let on_machines: Vec<_> = ON_MACHINES
        .iter()
        .copied()
        .filter(|suite| chosen(suite))
        .collect();

    if !on_machines.is_empty() {
        // Said now and not after ten minutes of other tests; and said, not skipped.
        host::require_root()?;
        host::ensure_packages(host::MACHINE_PACKAGES)?;
    }
    host::ensure_packages(deb::BUILD_PACKAGES)?;
    if chosen("unit") {
        host::ensure_packages(UNIT_PACKAGES)?;
        unit(filter)?;
    }
    if !on_machines.is_empty() {
        // First, for the package's build then puts the programs that ship in their places.
        let mut built = Vec::new();
        if on_machines.contains(&"security") {
            built.push((PROBE_VARIABLE, deb::build_probe()?));
        }
        if on_machines.contains(&"e2e") {
            let control = deb::build_timing_control(Profile::Release)?;
            built.push((TIMING_CONTROL_VARIABLE, control));
        }
        // The tests run what ships: optimised, stripped, installed by apt.
        let deb = deb::build(Profile::Release)?;
        support::base::ensure_tree()?;
        built.push((DEB_VARIABLE, deb));
        let step = Step::begin("tests on machines");
        side_by_side::test(&on_machines, &built, filter)?;
        step.done();
    }
    Ok(())
}

fn unit(filter: &[&str]) -> Result<()> {
    let step = Step::begin("unit and property tests");
    let mut command = cargo(&["test", "--workspace", "--locked"])?;
    for suite in ON_MACHINES {
        command.args(["--exclude", suite]);
    }
    run_command(command.args(filter))?;
    step.done();
    Ok(())
}

/// `cargo xtask timing`: what the times of refusals tell, with as many attempts as it takes to see little. The variable
/// for a ready package counts.
pub(crate) fn timing() -> Result<()> {
    let (control, deb) = match std::env::var_os(DEB_VARIABLE) {
        Some(_) => (deb::build_timing_control(Profile::Dev)?, deb_under_test()?),
        None => (
            deb::build_timing_control(Profile::Release)?,
            deb::build(Profile::Release)?,
        ),
    };
    let step = Step::begin("times of refusals");
    let mut command = cargo(&["test", "--locked", "-p", "e2e", "--test", "timing"])?;
    command.args(["--", "--nocapture"]);
    command
        .env(DEB_VARIABLE, deb)
        .env(TIMING_CONTROL_VARIABLE, control)
        .env("SSHD_PRIVSEP_TIMING_ATTEMPTS", "500");
    run_command(&mut command)?;
    step.done();
    Ok(())
}

/// `cargo xtask soak`: what a plain run makes short. Many logins, with and without a terminal, leave nothing behind;
/// many files and a large one are transferred; long streams wait for their readers.
pub(crate) fn soak() -> Result<()> {
    let deb = match std::env::var_os(DEB_VARIABLE) {
        Some(_) => deb_under_test()?,
        None => deb::build(Profile::Release)?,
    };
    for (what, file, test, variables) in SOAKS {
        let step = Step::begin(*what);
        let mut command = cargo(&["test", "--locked", "-p", "e2e", "--test", file, "--", test])?;
        command
            .args(["--nocapture"])
            .env(DEB_VARIABLE, &deb)
            .envs(variables.iter().copied());
        run_command(&mut command)?;
        step.done();
    }
    Ok(())
}

/// What each is, in which file and test, and how much of it.
#[expect(clippy::type_complexity, reason = "a table")]
const SOAKS: &[(&str, &str, &str, &[(&str, &str)])] = &[
    (
        "a thousand logins",
        "resilience",
        "many_logins_leave_nothing_behind",
        &[("SSHD_PRIVSEP_SOAK_LOGINS", "1000")],
    ),
    (
        "streams of 3 GiB",
        "backpressure",
        "",
        &[("SSHD_PRIVSEP_STREAM_MIB", "3072")],
    ),
    (
        "a thousand killed clients of sftp",
        "sftp",
        "a_client_killed_at_any_moment_leaves_no_descriptor",
        &[("SSHD_PRIVSEP_SFTP_KILLS", "1000")],
    ),
    (
        "100,000 files and 20 GiB",
        "sftp",
        "many_files_and_a_sparse_one_come_and_go_whole",
        &[
            ("SSHD_PRIVSEP_SFTP_FILES", "100000"),
            ("SSHD_PRIVSEP_SFTP_SPARSE", "20G"),
        ],
    ),
];

/// `cargo xtask units`: systemd's opinion of the units, on a machine with the package.
pub(crate) fn units() -> Result<()> {
    let deb = deb::build(Profile::Dev)?;
    let machine = support::Machine::builder("units").up()?;
    machine.install_deb(&deb)?;
    for exposure in machine.check_units()? {
        println!("{exposure}");
    }
    machine.down()
}
