//! Host keys of every type, a certificate for each, and a client's file that trusts both.

use anyhow::Result;
use e2e::Server;
use support::users::KNOWN_HOSTS;

/// Makes what `ssh-keygen -A` does not, and an authority that certifies all.
const MAKE: &str = r#"
cd /etc/ssh
for bits in 384 521; do
    test -e ssh_host_ecdsa${bits}_key || ssh-keygen -q -t ecdsa -b $bits -N '' -f ssh_host_ecdsa${bits}_key
done
ssh-keygen -q -t ed25519 -N '' -f /root/authority
ssh-keygen -q -s /root/authority -h -I host -n 127.0.0.1 ssh_host_*_key.pub
"#;

/// Host keys by the names of their files.
const NAMES: &[&str] = &["ed25519", "ecdsa", "ecdsa384", "ecdsa521", "rsa"];

/// Makes the keys, lets the clients of the machine trust them, and returns the lines of sshd_config that name them.
pub fn make_all(server: &Server) -> Result<String> {
    server.shell(MAKE)?;
    server.trust_host_keys(22)?;
    server.shell(&format!(
        "printf '@cert-authority 127.0.0.1 %s\\n' \"$(cat /root/authority.pub)\" >>{KNOWN_HOSTS}"
    ))?;
    Ok(NAMES
        .iter()
        .map(|name| {
            let key = format!("/etc/ssh/ssh_host_{name}_key");
            format!("HostKey {key}\nHostCertificate {key}-cert.pub\n")
        })
        .collect())
}
