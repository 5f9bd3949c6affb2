//! The package, as an administrator meets it: install, upgrade, remove, purge.

use std::collections::BTreeSet;

use anyhow::Result;
use support::Machine;
use support::product::{PACKAGE, deb_under_test};

/// All files of the machine that a package could leave behind, with their kind and mode. Logs, caches and the package
/// manager's own records are not the package's.
fn files(machine: &Machine) -> Result<BTreeSet<String>> {
    let listing = machine.shell(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \
         -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/lib/systemd \
         -o -path /root/keys \\) -prune -o -printf '%p %y %m\\n'",
    )?;
    Ok(listing.lines().map(str::to_owned).collect())
}

fn is_active(machine: &Machine, unit: &str) -> Result<bool> {
    Ok(machine
        .exec(["systemctl", "is-active", "--quiet", unit])?
        .code()
        == Some(0))
}

#[test]
fn starts_nothing_and_says_how_to_start() -> Result<()> {
    let machine = Machine::builder("test-packaging-quiet").up()?;
    let said = machine.install_deb(&deb_under_test()?)?;
    assert!(
        said.contains("systemctl enable --now sshd-privsep.socket"),
        "{said}"
    );
    assert!(!said.contains("ssh.service"), "{said}");
    assert!(!is_active(&machine, "sshd-privsep.socket")?);
    assert!(!is_active(&machine, "sshd-privsep-monitor.service")?);
    let enabled = machine.exec(["systemctl", "is-enabled", "sshd-privsep.socket"])?;
    assert_eq!(enabled.text().trim(), "disabled");
    machine.down()
}

#[test]
fn leaves_a_running_openssh_alone_and_says_so() -> Result<()> {
    let machine = Machine::builder("test-packaging-beside").up()?;
    machine.shell("ssh-keygen -A; : >/etc/ssh/sshd_config; systemctl start ssh.service")?;
    let said = machine.install_deb(&deb_under_test()?)?;
    assert!(
        said.contains("ssh.service (OpenSSH) holds that port now"),
        "{said}"
    );
    // Who starts it all the same hears of it, and OpenSSH goes on.
    let started = machine.exec(["systemctl", "start", "sshd-privsep.socket"])?;
    assert_ne!(started.code(), Some(0));
    let journal = machine.journal(&["-u", "sshd-privsep.socket", "-o", "cat"])?;
    assert!(journal.contains("Address already in use"), "{journal}");
    assert!(is_active(&machine, "ssh.service")?);
    machine.down()
}

#[test]
fn units_are_accepted_by_systemd_and_not_exposed() -> Result<()> {
    let machine = Machine::builder("test-packaging-units").up()?;
    machine.install_deb(&deb_under_test()?)?;
    machine.check_units()?;
    machine.down()
}

#[test]
fn installed_files_have_their_owners_and_modes() -> Result<()> {
    let machine = Machine::builder("test-packaging-files").up()?;
    machine.install_deb(&deb_under_test()?)?;
    let mode = |path: &str| machine.shell(&format!("stat -c '%U:%G %a' {path}"));
    for program in [
        "monitor",
        "preauth",
        "session",
        "pam",
        "sftp",
        "accounting",
        "wtmpdb",
    ] {
        let path = format!("/usr/libexec/sshd-privsep/{program}");
        assert_eq!(mode(&path)?, "root:root 755\n", "{path}");
    }
    for path in [
        "/usr/lib/*/security/pam_sshd_privsep.so",
        "/usr/lib/systemd/system/sshd-privsep.socket",
        "/usr/lib/systemd/system/sshd-privsep-session-.service.d/10-vendor.conf",
        "/usr/lib/systemd/system/sshd-privsep-pam-.service.d/10-vendor.conf",
        "/usr/lib/systemd/system/sshd-privsep-command-.service.d/10-vendor.conf",
        "/usr/lib/systemd/catalog/sshd-privsep.catalog",
        "/etc/pam.d/sshd-privsep",
        "/etc/pam.d/sshd-privsep-greeting",
        "/usr/lib/systemd/system/sshd-privsep-accounting.service",
        "/usr/lib/systemd/system/sshd-privsep-wtmpdb.service",
        "/etc/ssh/sshd_config",
        "/usr/share/doc/sshd-privsep/copyright",
        "/usr/share/man/man8/sshd-privsep.8.gz",
    ] {
        assert_eq!(mode(path)?, "root:root 644\n", "{path}");
    }
    assert_eq!(mode("/run/sshd-privsep")?, "root:root 700\n");
    machine.shell("getent passwd sshd-privsep | grep -q ':/nonexistent:/usr/sbin/nologin$'")?;
    assert_eq!(machine.shell("dpkg --verify sshd-privsep")?, "");
    // Each program and the module has its page.
    machine.shell("cd /usr/share/man/man8; ls sshd-privsep.8.gz sshd-privsep-monitor.8.gz pam_sshd_privsep.8.gz \
                   sshd-privsep-preauth.8.gz sshd-privsep-session.8.gz sshd-privsep-pam.8.gz sshd-privsep-sftp.8.gz \
                   sshd-privsep-generator.8.gz sshd-privsep-accounting.8.gz sshd-privsep-wtmpdb.8.gz")?;
    machine.down()
}

#[test]
fn keeps_a_configuration_that_is_there_already() -> Result<()> {
    let machine = Machine::builder("test-packaging-keep").up()?;
    machine.write_file("/etc/ssh/sshd_config", b"# mine\n", 0o600)?;
    machine.install_deb(&deb_under_test()?)?;
    machine
        .exec(["apt-get", "purge", "-y", PACKAGE])?
        .success()?;
    assert_eq!(machine.shell("cat /etc/ssh/sshd_config")?, "# mine\n");
    machine.down()
}

#[test]
fn purge_leaves_nothing_but_logs() -> Result<()> {
    let machine = Machine::builder("test-packaging-purge").up()?;
    // With OpenSSH's server installed, configuration and host keys would be that package's to remove.
    machine
        .exec(["apt-get", "purge", "-y", "openssh-server"])?
        .success()?;
    let before = files(&machine)?;
    machine.install_deb(&deb_under_test()?)?;
    machine
        .exec(["systemctl", "enable", "sshd-privsep.socket"])?
        .success()?;
    machine.start_server()?;
    assert!(
        machine
            .shell("ls /etc/ssh")?
            .contains("ssh_host_ed25519_key")
    );

    machine
        .exec(["apt-get", "remove", "-y", PACKAGE])?
        .success()?;
    assert!(!is_active(&machine, "sshd-privsep.socket")?);
    assert!(!is_active(&machine, "sshd-privsep-monitor.service")?);
    assert_eq!(
        machine.shell("ls /etc/pam.d/sshd-privsep")?.trim(),
        "/etc/pam.d/sshd-privsep"
    );

    machine
        .exec(["apt-get", "purge", "-y", PACKAGE])?
        .success()?;
    let after = files(&machine)?;
    // The password files' backups are written by whoever adds or removes an account.
    let added: Vec<_> = after
        .difference(&before)
        .filter(|line| {
            !line.starts_with("/etc/passwd-")
                && !line.starts_with("/etc/shadow-")
                && !line.starts_with("/etc/group-")
                && !line.starts_with("/etc/gshadow-")
        })
        .collect();
    assert!(added.is_empty(), "left behind: {added:#?}");
    assert_eq!(
        before.difference(&after).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_ne!(
        machine.exec(["getent", "passwd", "sshd-privsep"])?.code(),
        Some(0)
    );
    assert_eq!(
        machine.shell("systemctl list-units --all --no-legend 'sshd-privsep*' 'system-sshd*'")?,
        ""
    );
    machine.down()
}

#[test]
fn an_upgrade_restarts_the_monitor_and_keeps_the_sockets() -> Result<()> {
    let machine = Machine::builder("test-packaging-upgrade").up()?;
    machine.install_deb(&deb_under_test()?)?;
    machine.start_server()?;
    let show = |unit: &str, property: &str| {
        machine.shell(&format!("systemctl show --value -p {property} {unit}"))
    };
    let monitor = show("sshd-privsep-monitor.service", "MainPID")?;
    let socket = show("sshd-privsep.socket", "ActiveEnterTimestampMonotonic")?;
    machine
        .exec([
            "apt-get",
            "install",
            "-y",
            "--reinstall",
            "/var/tmp/package.deb",
        ])?
        .success()?;
    assert!(is_active(&machine, "sshd-privsep-monitor.service")?);
    assert_ne!(show("sshd-privsep-monitor.service", "MainPID")?, monitor);
    assert_eq!(
        show("sshd-privsep.socket", "ActiveEnterTimestampMonotonic")?,
        socket
    );
    machine.down()
}
