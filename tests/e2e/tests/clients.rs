//! Every stock client logs in, with every algorithm that both sides know, and gets its command's output and exit status.

use anyhow::{Context, Result, ensure};
use e2e::{Peer, Server, Shared};
use support::UserKey;
use support::users::KNOWN_HOSTS;

/// Host keys of all five kinds, two more than `ssh-keygen -A` makes.
const HOST_KEYS: &str = "
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_ecdsa384_key
HostKey /etc/ssh/ssh_host_ecdsa521_key
HostKey /etc/ssh/ssh_host_rsa_key
";

static SERVER: Shared = Shared::new("clients", "");

/// Bytes of every value, and more of them than one packet holds.
fn content() -> Vec<u8> {
    (0..300_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect()
}

/// Logs in with these options, sends [`content`] through a remote `cat`, and wants `ssh -v` to have said `proof`.
fn must_carry_data(server: &Server, key: &UserKey, options: &[&str], proof: &str) -> Result<()> {
    let mut words = vec!["-v"];
    words.extend(options);
    let sent = content();
    let output = server
        .ssh(key, &words, &["cat"])
        .stdin(&sent)
        .run()?
        .success()
        .with_context(|| format!("ssh {options:?}"))?;
    let log = output.error_text();
    ensure!(log.contains(proof), "{options:?}: no {proof:?} in\n{log}");
    ensure!(
        output.stdout == sent,
        "{options:?}: the data came back changed"
    );
    Ok(())
}

#[test]
fn ssh_logs_in_with_each_cipher() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("cipher")?;
    for cipher in [
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes256-ctr",
    ] {
        let option = format!("Ciphers={cipher}");
        let proof = format!("kex: server->client cipher: {cipher} MAC");
        let options = [
            "-o",
            option.as_str(),
            "-o",
            "MACs=hmac-sha2-256-etm@openssh.com",
        ];
        must_carry_data(server, &key, &options, &proof)?;
    }
    Ok(())
}

#[test]
fn ssh_logs_in_with_each_key_exchange_method() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("kex")?;
    // mlkem768x25519-sha256 came with OpenSSH 9.9, which is not in this Debian: see the test after this one.
    for method in ["curve25519-sha256", "curve25519-sha256@libssh.org"] {
        let option = format!("KexAlgorithms={method}");
        let proof = format!("kex: algorithm: {method}");
        must_carry_data(server, &key, &["-o", &option], &proof)?;
    }
    Ok(())
}

/// Offers one method only, logs in, sends data through a remote `cat` before and after a second key exchange.
const MLKEM: &str = r#"
import os, socket, sys, time, paramiko
identity, user = sys.argv[1:]
transport = paramiko.Transport(socket.create_connection(("127.0.0.1", 22)))
transport.get_security_options().kex = ("mlkem768x25519-sha256",)
transport.start_client(timeout=20)
known = [line.split()[2] for line in open("/root/known_hosts")]
assert transport.get_remote_server_key().get_base64() in known
transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(identity))
for exchange in range(2):
    channel = transport.open_session()
    channel.exec_command("cat")
    sent = os.urandom(100000)
    channel.sendall(sent)
    channel.shutdown_write()
    assert channel.makefile("rb").read() == sent
    assert channel.recv_exit_status() == 0
    # paramiko hangs when a CLOSE comes amid a key exchange.
    while not channel.closed:
        time.sleep(0.01)
    transport.renegotiate_keys()
transport.close()
"#;

#[test]
fn paramiko_logs_in_with_the_hybrid_post_quantum_method() -> Result<()> {
    // OpenSSH of this Debian does not have it.
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let key = server.add_user("mlkem")?;
    server.install_new_paramiko()?;
    server
        .python(MLKEM)
        .args([&key.machine_path, &key.user])
        .env("PYTHONPATH", e2e::pypi::MODULES)
        .run()?
        .success()?;
    Ok(())
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
            "HostKeyAlgorithms=ssh-dss",
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
fn ssh_accepts_each_type_of_host_key() -> Result<()> {
    // Its own machine: other tests trust the host keys that they found.
    let server = Server::up("hostkeys", "")?;
    for bits in ["384", "521"] {
        let path = format!("/etc/ssh/ssh_host_ecdsa{bits}_key");
        server
            .exec([
                "ssh-keygen",
                "-q",
                "-t",
                "ecdsa",
                "-b",
                bits,
                "-N",
                "",
                "-f",
                &path,
            ])?
            .success()?;
    }
    server.configure(HOST_KEYS)?;
    server.trust_host_keys(22)?;
    let key = server.add_user("hostkey")?;
    for algorithm in [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-256",
        "rsa-sha2-512",
    ] {
        let option = format!("HostKeyAlgorithms={algorithm}");
        let proof = format!("kex: host key algorithm: {algorithm}");
        must_carry_data(&server, &key, &["-o", &option], &proof)?;
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

/// A program that runs one command on the server, as the words before the command.
type Client = fn(&Server, &UserKey) -> Result<Vec<String>>;

/// All of them take the remote command as their last word.
const CLIENTS: &[(&str, Client)] = &[
    ("ssh", ssh),
    ("dbclient", dbclient),
    ("plink", plink),
    ("paramiko", paramiko),
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}

fn ssh(server: &Server, key: &UserKey) -> Result<Vec<String>> {
    let config = server.client_config(key, "")?;
    Ok(words(&["ssh", "-F", &config, "server"]))
}

fn dbclient(server: &Server, key: &UserKey) -> Result<Vec<String>> {
    let home = format!("/root/dropbear.{}", key.user);
    server.shell(&format!(
        "mkdir -p {home}/.ssh; cp {KNOWN_HOSTS} {home}/.ssh/known_hosts; \
         sed -i 's/^[^ ]*/127.0.0.1/' {home}/.ssh/known_hosts"
    ))?;
    let identity = server.dropbear_key(key)?;
    let destination = format!("{}@127.0.0.1", key.user);
    let home = format!("HOME={home}");
    Ok(words(&[
        "env",
        &home,
        "dbclient",
        "-i",
        &identity,
        &destination,
    ]))
}

fn plink(server: &Server, key: &UserKey) -> Result<Vec<String>> {
    let identity = server.putty_key(key)?;
    let fingerprint = server.fingerprint("/etc/ssh/ssh_host_ed25519_key.pub")?;
    Ok(words(&[
        "plink",
        "-batch",
        "-noagent",
        "-hostkey",
        &fingerprint,
        "-i",
        &identity,
        "-l",
        &key.user,
        "127.0.0.1",
    ]))
}

const PARAMIKO: &str = r#"
import sys, paramiko
identity, user, known_hosts, command = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known_hosts)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect("127.0.0.1", username=user, key_filename=identity, allow_agent=False, look_for_keys=False)
stdin, stdout, stderr = client.exec_command(command)
sent = sys.stdin.buffer.read()
import threading
def feed():
    stdin.write(sent)
    stdin.channel.shutdown_write()
feeder = threading.Thread(target=feed)
feeder.start()
sys.stdout.buffer.write(stdout.read())
sys.stderr.buffer.write(stderr.read())
feeder.join()
status = stdout.channel.recv_exit_status()
client.close()
sys.exit(status)
"#;

fn paramiko(server: &Server, key: &UserKey) -> Result<Vec<String>> {
    let known_hosts = format!("/root/paramiko.{}", key.user);
    server.shell(&format!(
        "sed 's/^[^ ]*/127.0.0.1/' {KNOWN_HOSTS} >{known_hosts}"
    ))?;
    Ok(words(&[
        "python3",
        "-c",
        PARAMIKO,
        &key.machine_path,
        &key.user,
        &known_hosts,
    ]))
}

#[test]
fn each_client_gets_output_errors_and_exit_status_of_a_command() -> Result<()> {
    let server = SERVER.get()?;
    let key = server.add_user("clients")?;
    for (name, client) in CLIENTS {
        let before = client(server, &key)?;
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
    for (name, client) in CLIENTS {
        let output = server
            .command(client(server, &key)?)
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
    for (name, client) in CLIENTS {
        let output = server
            .command(client(server, &stranger)?)
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
            output.contains("remote software version sshd_privsep_"),
            "{output}"
        );
    }
    // The countermeasure to CVE-2023-48795 (Terrapin), in the server's own list.
    assert!(output.contains("kex-strict-s-v00@openssh.com"), "{output}");
    Ok(())
}
