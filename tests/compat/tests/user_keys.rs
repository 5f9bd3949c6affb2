//! How users prove that they hold their keys: security keys, in software; signatures bound to the host key.

use anyhow::Result;
use compat::newer;
use e2e::{Server, Shared, packages};
use support::users::client_options;
use support::{Exec, UserKey};

static SERVER: Shared = Shared::new("user-keys", "");

/// The types of security keys.
const ALGORITHMS: &[&str] = &[
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The program that is client and device at once.
fn device(server: &Server) -> Exec<'_> {
    server
        .command([
            "python3",
            "-c",
            include_str!("../src/clients/security_key.py"),
        ])
        .env("PYTHONPATH", packages::PYTHON_MODULES)
}

/// Makes a key of this type, with which its account may log in under these options.
fn make(server: &Server, owner: &UserKey, algorithm: &str, options: &str) -> Result<String> {
    let path = format!("/root/keys/{}-{}", owner.user, &algorithm[..8]);
    device(server)
        .args(["make", algorithm, &path])
        .run()?
        .success()?;
    let public = server.shell(&format!("cat {path}.pub"))?;
    server.authorize(&owner.user, &format!("{options}{public}"))?;
    Ok(path)
}

#[test]
fn a_touched_security_key_logs_in_and_an_untouched_one_does_not() -> Result<()> {
    let server = SERVER.get()?;
    packages::install_python(server)?;
    let owner = server.add_user("touch")?;
    for algorithm in ALGORITHMS {
        let path = make(server, &owner, algorithm, "")?;
        let login = |presence| {
            device(server)
                .args(["login", &path, &owner.user, presence, "echo in"])
                .run()
        };
        assert_eq!(login("touched")?.success()?.text(), "in\n", "{algorithm}");
        let refused = login("untouched")?;
        assert_eq!(refused.text(), "", "{algorithm}");
        assert!(
            refused.error_text().contains("permission denied"),
            "{algorithm}: {refused:?}"
        );
    }
    Ok(())
}

#[test]
fn signatures_are_bound_to_the_host_key_where_the_client_can() -> Result<()> {
    let server = SERVER.get()?;
    newer::install(server)?;
    let key = server.add_user("bound")?;
    for (option, method) in [
        ("yes", "publickey-hostbound-v00@openssh.com"),
        ("host-bound", "publickey-hostbound-v00@openssh.com"),
        ("unbound", "publickey"),
    ] {
        let output = newer::command(server, ["ssh", "-vvv"])
            .args(client_options(&key))
            .arg(format!("-oPubkeyAuthentication={option}"))
            .args(["-l", &key.user, "127.0.0.1", "echo in"])
            .run()?
            .success()?;
        assert_eq!(output.text(), "in\n", "{option}");
        let proof = format!("using {method} with ");
        let log = output.error_text();
        assert!(log.contains(&proof), "{option}: {log}");
    }
    Ok(())
}
