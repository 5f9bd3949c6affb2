//! Every stock client logs in and gets its command's output and exit status. (With every algorithm: see the suite
//! `compat`.)

use anyhow::{Context, Result};
use e2e::clients::{Compression, STOCK};
use e2e::{Peer, Shared};

static SERVER: Shared = Shared::new("clients", "");

/// Bytes of every value, and more of them than one packet holds.
fn content() -> Vec<u8> {
    (0..300_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect()
}

#[test]
fn a_client_without_a_common_method_is_told_so() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("nokex")?;
    for (option, complaint) in [
        (
            "KexAlgorithms=diffie-hellman-group1-sha1",
            "no matching key exchange method found",
        ),
        ("Ciphers=3des-cbc", "no matching cipher found"),
        (
            "HostKeyAlgorithms=ecdsa-sha2-nistp521",
            "no matching host key type found",
        ),
    ] {
        let output = server.ssh(&key, &["-o", option], &["true"]).run()?;
        assert_eq!(output.code(), Some(255), "{option}");
        let said = output.error_text();
        assert!(said.contains(complaint), "{option}: {said}");
    }
    Ok(())
}

#[test]
fn ssh_logs_in_with_each_type_of_user_key() -> Result<()> {
    let server = SERVER.get()?;
    let owner = server.add_user("userkey")?;
    for (name, make, algorithm) in [
        ("ed25519", vec!["-t", "ed25519"], "ssh-ed25519"),
        (
            "p256",
            vec!["-t", "ecdsa", "-b", "256"],
            "ecdsa-sha2-nistp256",
        ),
        (
            "p384",
            vec!["-t", "ecdsa", "-b", "384"],
            "ecdsa-sha2-nistp384",
        ),
        (
            "p521",
            vec!["-t", "ecdsa", "-b", "521"],
            "ecdsa-sha2-nistp521",
        ),
        ("rsa2048", vec!["-t", "rsa", "-b", "2048"], "rsa-sha2-256"),
        ("rsa4096", vec!["-t", "rsa", "-b", "4096"], "rsa-sha2-512"),
    ] {
        let key = server.extra_key(&owner, name, &make)?;
        let option = format!("PubkeyAcceptedAlgorithms={algorithm}");
        let output = server
            .ssh(&key, &["-v", "-o", &option], &["id -un"])
            .run()?
            .success()
            .with_context(|| name.to_owned())?;
        assert_eq!(output.text(), "userkey\n", "{name}");
    }
    Ok(())
}

#[test]
fn ssh_cannot_log_in_with_sha1_signatures() -> Result<()> {
    let server = SERVER.get()?;
    let owner = server.add_user("sha1")?;
    let key = server.extra_key(&owner, "rsa", &["-t", "rsa", "-b", "2048"])?;
    let options = ["-o", "PubkeyAcceptedAlgorithms=ssh-rsa"];
    let output = server.ssh(&key, &options, &["true"]).run()?;
    assert_eq!(output.code(), Some(255));
    Ok(())
}

#[test]
fn each_client_gets_output_errors_and_exit_status_of_a_command() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("clients")?;
    for (name, client) in STOCK {
        let before = client(server, &key, Compression::Off)?;
        for status in [0, 1, 42, 254] {
            let command = format!("id -un; echo oops >&2; exit {status}");
            let output = server
                .command(before.iter())
                .arg(&command)
                .run()
                .with_context(|| (*name).to_owned())?;
            assert_eq!(output.code(), Some(status), "{name}: {output:?}");
            assert_eq!(output.text(), "clients\n", "{name}: {output:?}");
            assert!(output.error_text().contains("oops"), "{name}: {output:?}");
        }
    }
    Ok(())
}

#[test]
fn each_client_sends_and_receives_data() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("datacl")?;
    let sent = content();
    for (name, client) in STOCK {
        let output = server
            .command(client(server, &key, Compression::Off)?)
            .arg("cat")
            .stdin(&sent)
            .run()?
            .success()
            .with_context(|| (*name).to_owned())?;
        assert!(output.stdout == sent, "{name}: the data came back changed");
    }
    Ok(())
}

#[test]
fn each_client_is_refused_without_an_authorised_key() -> Result<()> {
    let server = SERVER.get()?;
    server.add_user("nobodys")?;
    let mut stranger = server.make_key("stranger")?;
    "nobodys".clone_into(&mut stranger.user);
    for (name, client) in STOCK {
        let output = server
            .command(client(server, &stranger, Compression::Off)?)
            .arg("echo in")
            .run()?;
        // Not the exit status: dbclient says 0 when its standard input has ended before.
        assert_eq!(output.text(), "", "{name}: {output:?}");
    }
    Ok(())
}

#[test]
fn the_server_names_itself_and_keeps_strict_key_exchange() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("strict")?;
    let output = server
        .ssh(&key, &["-vvv"], &["true"])
        .run()?
        .success()?
        .error_text();
    if server.peer() == Peer::Ours {
        assert!(
            output.contains("remote software version OpenSSH_compatible_sshd_privsep_"),
            "{output}"
        );
    }
    // The countermeasure to CVE-2023-48795 (Terrapin), in the server's own list.
    assert!(output.contains("kex-strict-s-v00@openssh.com"), "{output}");
    Ok(())
}
