//! Programs that start `ssh` for what they do: of administrators, for backups, instead of `ssh` and of a VPN.

use anyhow::{Result, ensure};

use crate::{Kept, Site};

/// Files for ansible: what the second run does not find changed is what it was made.
const PLAYBOOK: &str = r#"
- hosts: server
  gather_facts: false
  tasks:
    - ping:
    - copy: {src: up/size5000011, dest: large, mode: "0640"}
    - copy: {src: "up/sub directory/", dest: "sub directory"}
    - template: {src: template.j2, dest: rendered}
      vars: {word: ünï}
    - copy: {content: "of root\n", dest: /home/ansible/of_root, mode: "0600"}
      become: true
    - fetch: {src: down/size262145, dest: fetched, flat: true}
    - command: id -un
      become: true
      changed_when: false
      register: who
    - assert: {that: who.stdout == "root"}
"#;

#[test]
fn ansible_pings_copies_renders_and_becomes_root() -> Result<()> {
    let site = Site::new("ansible")?;
    let server = site.server;
    server.write_file("/root/ansible/playbook.yml", PLAYBOOK.as_bytes(), 0o644)?;
    server.write_file(
        "/etc/sudoers.d/ansible",
        b"ansible ALL=(ALL) NOPASSWD: ALL\n",
        0o440,
    )?;
    site.shell(
        "printf '{{ word }} {{ 6 * 7 }}\\n' >template.j2; \
         echo \"server ansible_ssh_common_args='-F $CONFIG' ansible_python_interpreter=/usr/bin/python3\" >hosts",
    )?;
    // By SFTP and a terminal for sudo; then by pipes alone.
    for (variables, changed) in [
        ("ANSIBLE_SSH_TRANSFER_METHOD=sftp", "changed=4 "),
        (
            "ANSIBLE_SSH_TRANSFER_METHOD=piped ANSIBLE_PIPELINING=1",
            "changed=0 ",
        ),
    ] {
        let said = site
            .shell(&format!(
                "{variables} ansible-playbook -i hosts playbook.yml"
            ))?
            .text();
        ensure!(said.contains(changed), "{said}");
    }
    site.shell(
        "cd /home/ansible; cmp large ~/ansible/up/size5000011; diff -r 'sub directory' '/root/ansible/up/sub directory'; \
         test \"$(cat rendered)\" = 'ünï 42'; cmp /root/ansible/fetched down/size262145; \
         test \"$(stat -c %a%U large of_root)\" = \"$(printf '640ansible\\n600root')\"",
    )?;
    Ok(())
}

#[test]
fn borg_keeps_archives_and_gives_them_back() -> Result<()> {
    let site = Site::new("borg")?;
    site.shell(
        "export BORG_RSH=\"ssh -F $CONFIG\" BORG_BASE_DIR=$PWD BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes; \
         export BORG_REPO=ssh://server/./repository; \
         borg init -e none; borg create ::one up; mv up whole; borg create ::two whole; \
         borg check --verify-data; borg extract ::one",
    )?;
    site.must_be_equal("/root/borg/whole", "/root/borg/up", Kept::All)
}

#[test]
fn restic_backs_up_to_sftp_and_restores() -> Result<()> {
    let site = Site::new("restic")?;
    site.shell(
        "restic() { command restic --no-cache -q -r sftp:server:repository \
           -o sftp.command=\"ssh -F $CONFIG server -s sftp\" \"$@\"; }; \
         export RESTIC_PASSWORD=secret; \
         restic init; restic backup up; restic check --read-data; restic restore latest --target restored",
    )?;
    site.must_be_equal("/root/restic/up", "/root/restic/restored/up", Kept::All)
}

/// The session that started it has ended: that of mosh lives on, as its user's.
#[test]
fn mosh_outlives_the_session_that_started_it() -> Result<()> {
    let site = Site::new("mosh")?;
    let program = format!(
        r#"
from terminal import *
import hashlib, subprocess
def processes(name):
    return subprocess.run(["pgrep", "-u", "mosh", "-x", name], capture_output=True, text=True).stdout.split()
t = Terminal(["mosh", "--ssh=ssh -F {}", "server"])
t.wait_for("$ ", 60)
t.type("printf '%s:%s\\n' $(seq 20000 | sha256sum | cut -c1-40) $(printf '\\342\\230\\203')\r")
expected = hashlib.sha256("".join(f"{{number}}\n" for number in range(1, 20001)).encode()).hexdigest()[:40]
t.wait_for(expected + ":☃", 60)
assert len(processes("mosh-server")) == 1
t.type("tty; ps -o comm= -p $PPID | tr a-z A-Z\r")
t.wait_for("/dev/pts/", 60)
t.wait_for("MOSH-SERVER", 60)
t.type("exit\r")
assert t.wait_for_end(60) == 0
"#,
        site.config
    );
    site.server.run_python(&program)?;
    Ok(())
}

/// From a host of its own, which has no other way to where it wants.
#[test]
fn sshuttle_carries_what_has_no_route() -> Result<()> {
    let site = Site::new("sshuttle")?;
    site.server.shell(
        "ip netns add sshuttle; ip link add sshuttle type veth peer name client netns sshuttle; \
         ip address add 192.0.2.1/24 dev sshuttle; ip link set sshuttle up; \
         ip address add 198.51.100.7/32 dev lo; \
         ip -n sshuttle address add 192.0.2.2/24 dev client; ip -n sshuttle link set client up; \
         ip -n sshuttle link set lo up; ip -n sshuttle route add 198.51.100.0/24 dev lo",
    )?;
    site.run(&["python3", "-c", include_str!("clients/sshuttle.py")])?;
    Ok(())
}
