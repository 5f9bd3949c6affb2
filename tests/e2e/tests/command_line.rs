//! The installed `sshd-privsep` beside Debian's `sshd`, with the same words: what -T prints, what both refuse, and how
//! they say so.

#[path = "../../../crates/config/tests/openssh/reviewed.rs"]
mod reviewed;

use anyhow::{Result, ensure};
use e2e::Shared;

static SERVER: Shared = Shared::new("command-line", "");

/// Lists of which each server has its own defaults: equal only where the configuration has them.
const LISTS: &[&str] = &[
    "ciphers",
    "macs",
    "kexalgorithms",
    "casignaturealgorithms",
    "hostbasedacceptedalgorithms",
    "hostkeyalgorithms",
    "pubkeyacceptedalgorithms",
];

/// Host keys of the machine, which Debian's offers all.
const ECDSA: &str = "hostkey /etc/ssh/ssh_host_ecdsa_key";

/// Files, each with its text.
const FILES: &[(&str, &str)] = &[
    ("empty", ""),
    (
        "lists",
        "Ciphers aes256-ctr,aes128-ctr\nMACs hmac-sha2-512\nKexAlgorithms curve25519-sha256\n",
    ),
    (
        "blocks",
        "Port 2200\nListenAddress 127.0.0.1\nListenAddress [::1]:2201\n\
         Match User root,!bob\n  MaxAuthTries 3\n  X11Forwarding yes\n\
         Match Group root Address 10.0.0.0/8\n  PermitTTY no\n\
         Match Host *.example.com\n  Banner /etc/issue\n",
    ),
    (
        "conditions",
        "Match Address 10.0.0.0/8,!10.1.0.0/16\n  AllowTcpForwarding no\n\
         Match LocalAddress 127.0.0.1 LocalPort 2201\n  GatewayPorts clientspecified\n\
         Match Group staff,root\n  MaxSessions 2\n  AuthorizedKeysFile none\n",
    ),
];

/// Words, after which a file and a connection follow.
const WORDS: &[&str] = &[
    "",
    "-p 2022 -p 2023",
    "-4 -g 30s",
    "-6 -q",
    "-dd -o Port=2024 -oMaxStartups=5",
    "-h /etc/ssh/ssh_host_ed25519_key -p 22",
];

const CONNECTIONS: &[&str] = &[
    "",
    "-C user=root,host=a.example.com,addr=10.2.3.4,laddr=127.0.0.1,lport=2201",
    "-C user=nobody,addr=10.1.2.3 -C laddr=127.0.0.1,lport=2201",
    "-C user=no-such-user,addr=192.0.2.1,rdomain=x",
];

#[test]
fn what_is_printed_is_what_sshd_prints() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    server.shell("mkdir -p /run/sshd")?;
    let mut files: Vec<(String, String)> = Vec::new();
    for (name, text) in FILES {
        let path = format!("/root/{name}.conf");
        server.write_file(&path, text.as_bytes(), 0o644)?;
        files.push((path, (*text).to_owned()));
    }
    for path in ["/usr/share/openssh/sshd_config", "/etc/ssh/sshd_config"] {
        files.push((path.to_owned(), server.shell(&format!("cat {path}"))?));
    }
    // One run of a shell for each pair is what costs time; all of them are one script.
    let mut script =
        String::from("set +e; run() { echo \"== $*\"; \"$@\" 2>/dev/null; echo \"exit $?\"; }\n");
    let mut expected = 0;
    for (path, text) in &files {
        for words in WORDS {
            for connection in CONNECTIONS {
                // Debian's asks for them with a Match that needs them; newer ones do not.
                let asks = text.contains("LocalPort") && !connection.contains("lport");
                // Both refuse addresses of the other family.
                let family = words.starts_with("-4") || words.starts_with("-6");
                let excludes = family && text.contains("ListenAddress [");
                if asks || excludes {
                    continue;
                }
                for program in ["/usr/sbin/sshd -T", "sshd-privsep -T"] {
                    script.push_str(&format!("run {program} -f {path} {words} {connection}\n"));
                    expected += 1;
                }
            }
        }
    }
    let output = server.shell(&script)?;
    let runs: Vec<&str> = output.split("== ").filter(|run| !run.is_empty()).collect();
    assert_eq!(runs.len(), expected);
    for pair in runs.chunks(2) {
        let (Some((theirs_named, theirs)), Some((named, ours))) =
            (pair[0].split_once('\n'), pair[1].split_once('\n'))
        else {
            panic!("{pair:?}");
        };
        let text = files.iter().find(|(path, _)| named.contains(path.as_str()));
        let lists = text
            .map_or("", |(_, text)| text.as_str())
            .to_ascii_lowercase();
        let comparable = |printed: &str| -> Vec<String> {
            let own_default = |line: &&String| {
                let name = line.split(' ').next().unwrap_or_default();
                let list =
                    LISTS.contains(&name) && !lists.lines().any(|line| line.starts_with(name));
                !list && *line != ECDSA
            };
            let lines = reviewed::comparable(printed, None);
            lines.iter().filter(own_default).cloned().collect()
        };
        let (theirs, ours) = (comparable(theirs), comparable(ours));
        ensure!(theirs.len() > 60, "{theirs_named}: {theirs:?}");
        let only = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|line| !b.contains(line)).cloned().collect()
        };
        assert_eq!(
            (only(&theirs, &ours), only(&ours, &theirs)),
            (vec![], vec![]),
            "{named}"
        );
        assert_eq!(theirs, ours, "{named}: another order");
    }
    Ok(())
}

#[test]
fn mistakes_end_as_with_sshd() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    server.write_file("/root/bad.conf", b"MaxAuthTries x\n", 0o644)?;
    // The words; whether both say the same on the first line.
    let cases = [
        ("-V", false),
        ("-t -f /nonexistent", false),
        ("-t -f /root/bad.conf", false),
        ("-T -o MaxAuthTries=x", false),
        ("-t extra", true),
        ("-t -x", true),
        ("-t -f", true),
        ("--long", true),
        ("-t -p 0", true),
        ("-t -p 70000", true),
        ("-t -g soon", true),
        ("-C user=a", true),
        ("-t -C user=a", true),
        ("-T -C usr=a", true),
        ("-T -C lport=x", true),
        ("-t -h /nonexistent", false),
        ("-t -b 1 -k 1 -Q", false),
        ("-t", false),
    ];
    for (words, same) in cases {
        let run = |program: &str| {
            let said =
                server.shell(&format!("set +e; {program} {words} 2>&1; echo \"exit $?\""))?;
            let first = said.lines().next().unwrap_or_default().to_owned();
            anyhow::Ok((first, said.lines().last().unwrap_or_default().to_owned()))
        };
        let (theirs, ours) = (run("/usr/sbin/sshd")?, run("sshd-privsep")?);
        assert_eq!(theirs.1, ours.1, "{words}: {theirs:?}, {ours:?}");
        assert!(!same || theirs.0 == ours.0, "{words}: {theirs:?}, {ours:?}");
    }
    Ok(())
}

#[test]
fn checks_need_no_root_and_leave_nothing() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let before = server.shell("ls -lR --time-style=full-iso /etc/ssh /run/sshd-privsep")?;
    for words in ["-t", "-T", "-G", "-T -C user=root"] {
        let output = server
            .command(["runuser", "-u", "nobody", "--", "sshd-privsep"])
            .args(words.split(' '))
            .run()?
            .success()?;
        assert_eq!(output.text().is_empty(), words == "-t", "{words}");
        let said = output.error_text();
        assert_eq!(
            said.contains(
                "Unable to load host key \"/etc/ssh/ssh_host_ed25519_key\": Permission denied"
            ),
            words != "-G",
            "{words}: {said}"
        );
    }
    let after = server.shell("ls -lR --time-style=full-iso /etc/ssh /run/sshd-privsep")?;
    assert_eq!(before, after);
    Ok(())
}

#[test]
fn root_is_told_what_the_monitor_thinks_of_the_host_keys() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    server.shell("echo rubbish > /root/rubbish; chmod 600 /root/rubbish")?;
    let output = server.exec(["sshd-privsep", "-T", "-f", "none", "-h", "/root/rubbish"])?;
    assert_eq!((output.code(), output.text()), (Some(1), String::new()));
    assert!(output.error_text().contains("/root/rubbish"), "{output:?}");
    Ok(())
}
