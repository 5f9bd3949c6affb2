//! What others find wrong with the algorithms of the packaged configuration.

use anyhow::{Context, Result, ensure};
use e2e::{Shared, packages};

static SERVER: Shared = Shared::new("audit", "");

/// ssh-audit's words about every method that a quantum computer would break later, in what was recorded today.
const NOT_POST_QUANTUM: &str = "does not provide protection against post-quantum attacks";

/// A finding that stays, and why.
struct Exception {
    algorithm: &'static str,
    finding: &'static str,
    #[expect(dead_code, reason = "for the reader of the table")]
    reason: &'static str,
}

/// What a server cannot do without if the clients that are out there are to log in. Who has none of them names the rest
/// in sshd_config.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        algorithm: "curve25519-sha256",
        finding: NOT_POST_QUANTUM,
        reason: "the only good method of PuTTY up to 0.77, OpenSSH 7.4 to 8.4, libssh, libssh2, Go; offered after the hybrids",
    },
    Exception {
        algorithm: "curve25519-sha256@libssh.org",
        finding: NOT_POST_QUANTUM,
        reason: "the same method for clients from before RFC 8731: paramiko, OpenSSH 6.5 to 7.3",
    },
    Exception {
        algorithm: "hmac-sha2-256",
        finding: "using encrypt-and-MAC mode",
        reason: "libssh2 before 1.11 (curl, libgit2, PHP of Debian 12) has no other way to authenticate a packet",
    },
];

#[test]
fn ssh_audit_finds_nothing_but_what_compatibility_costs() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    packages::install_python(server)?;
    let findings = server
        .command(["python3", "-c", include_str!("../src/findings.py")])
        .env("PYTHONPATH", packages::PYTHON_MODULES)
        .deadline(std::time::Duration::from_secs(120))
        .run()?
        .success()?
        .text();
    let mut offered = 0;
    let mut unexpected = Vec::new();
    let mut found = Vec::new();
    for line in findings.lines() {
        let [_, algorithm, level, text] = line.split('\t').collect::<Vec<_>>()[..] else {
            anyhow::bail!("no finding: {line}");
        };
        if level == "offered" {
            offered += 1;
            continue;
        }
        let exception = EXCEPTIONS
            .iter()
            .position(|exception| exception.algorithm == algorithm && exception.finding == text);
        match exception {
            Some(index) => found.push(index),
            None => unexpected.push(line),
        }
    }
    ensure!(offered > 12, "ssh-audit saw too little:\n{findings}");
    ensure!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    for (index, exception) in EXCEPTIONS.iter().enumerate() {
        ensure!(
            found.contains(&index),
            "{}: {:?} is not found any more, the exception can go",
            exception.algorithm,
            exception.finding
        );
    }
    Ok(())
}

/// asyncssh without its word for strict key exchange, with the cipher that the Terrapin attack is about.
const NOT_STRICT: &str = r#"
import asyncio, sys, asyncssh
identity, user = sys.argv[1:]
connection_class = asyncssh.connection.SSHConnection
connection_class._get_extra_kex_algs = lambda self: [b"ext-info-c"]
connection_class._strict_kex = property(lambda self: False, lambda self, offered: None)

async def main():
    async with asyncssh.connect("127.0.0.1", username=user, client_keys=[identity], known_hosts=None, config=None,
                                agent_path=None, encryption_algs=["chacha20-poly1305@openssh.com"]) as connection:
        assert connection.get_extra_info("send_cipher") == "chacha20-poly1305@openssh.com"
        print((await connection.run("echo in")).stdout, end="")

asyncio.run(main())
"#;

/// CVE-2023-48795 needs both sides to be closed. What the server does with a client that is open is OpenSSH's choice:
/// it serves it.
#[test]
fn a_client_without_strict_key_exchange_is_served_as_by_openssh() -> Result<()> {
    let server = SERVER.get()?;
    packages::install_python(server)?;
    let key = server.add_user("terrapin")?;
    let output = server
        .command(["python3", "-c", NOT_STRICT, &key.machine_path, &key.user])
        .env("PYTHONPATH", packages::PYTHON_MODULES)
        .run()?
        .success()
        .context("asyncssh")?;
    assert_eq!(output.text(), "in\n");
    Ok(())
}
