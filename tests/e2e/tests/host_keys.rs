//! Host keys and their certificates as stock `ssh` sees them, and signatures that have gone out of use.

use anyhow::Result;
use e2e::{Server, Shared};
use support::users::client_options;
use support::{Exec, UserKey};

static SERVER: Shared = Shared::new("hostkeys", "");

/// A certificate beside the plain keys, and SHA-1 signatures for those who ask for them.
const SETTINGS: &str =
    "HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\nPubkeyAcceptedAlgorithms +ssh-rsa\n";

/// Makes an authority and has it certify the host.
const CERTIFY: &str = r"
ssh-keygen -q -t ed25519 -N '' -f /root/authority
ssh-keygen -q -s /root/authority -h -I host -n 127.0.0.1 /etc/ssh/ssh_host_ed25519_key.pub
";

fn server() -> Result<&'static Server> {
    SERVER.prepared(|server| {
        server.shell(CERTIFY)?;
        server.configure(SETTINGS)
    })
}

/// `ssh` with a file of known hosts of its own; of options that occur twice the first counts.
fn ssh<'a>(server: &'a Server, key: &UserKey, known_hosts: &str, options: &[&str]) -> Exec<'a> {
    server
        .command(["ssh", "-vvv", "-o"])
        .arg(format!("UserKnownHostsFile={known_hosts}"))
        .args(options.iter().copied())
        .args(client_options(key))
        .arg(format!("{}@127.0.0.1", key.user))
}

#[test]
fn a_host_certificate_is_enough_for_who_trusts_its_authority() -> Result<()> {
    let server = server()?;
    let key = server.add_user("certified")?;
    server.shell(
        "printf '@cert-authority 127.0.0.1 %s\n' \"$(cat /root/authority.pub)\" >/root/by_authority",
    )?;
    let output = ssh(server, &key, "/root/by_authority", &[])
        .arg("id -un")
        .run()?
        .success()?;
    assert_eq!(output.text(), "certified\n");
    let said = output.error_text();
    assert!(
        said.contains("Server host certificate: ssh-ed25519-cert-v01@openssh.com"),
        "{said}"
    );
    // The request is bound to the certificate whole, which is what the client was shown.
    assert!(
        said.contains("using publickey-hostbound-v00@openssh.com"),
        "{said}"
    );

    // Another authority's word counts for nothing.
    server.shell(
        "ssh-keygen -q -t ed25519 -N '' -f /root/stranger
         printf '@cert-authority 127.0.0.1 %s\n' \"$(cat /root/stranger.pub)\" >/root/by_stranger",
    )?;
    let output = ssh(server, &key, "/root/by_stranger", &[])
        .arg("true")
        .run()?;
    assert_eq!(output.code(), Some(255));
    Ok(())
}

#[test]
fn sha1_signatures_count_where_they_are_configured() -> Result<()> {
    let server = server()?;
    let owner = server.add_user("sha1ok")?;
    let key = server.extra_key(&owner, "rsa", &["-t", "rsa", "-b", "2048"])?;
    let options = ["-v", "-o", "PubkeyAcceptedAlgorithms=ssh-rsa"];
    let output = server.ssh(&key, &options, &["id -un"]).run()?.success()?;
    assert_eq!(output.text(), "sha1ok\n");
    Ok(())
}
