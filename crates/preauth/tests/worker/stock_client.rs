//! The worker's driver and engine with a stock `ssh`, and a monitor of the test's own.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64ct::{Base64, Encoding};
use preauth::client::ClientSocket;
use preauth::engine::EngineEnd;
use preauth::{engine, handshake};
use rpc::Violation;
use rpc::lane::{Lane, SessionGrant, ToWorker};
use rpc::preauth::{AuthReply, ConnectionEnd, KeyProofs, Monitor, MonitorFace};
use transport::{HostKey, RekeyLimit, Settings};
use wire::codec::Write as _;
use wire::exchange::ExchangeValues;
use wire::groups::{ChosenGroup, DhGroup, FixedGroup, GroupRequest};
use wire::hostkeys::proof_data;
use wire::names::{
    CipherAlgorithm, CompressionAlgorithm, HashAlgorithm, KexAlgorithm, MacAlgorithm,
    SignatureAlgorithm,
};
use wire::secret::Secret;
use wire::userauth::{
    AuthMethod, AuthOutcome, AuthRequest, Echo, InfoRequest, PasswordRequest, Prompt, Responses,
};

use crate::long_path::LongPath;
use crate::session;

const VERSION: &str = "test_1.0";

const BANNER: &str = "Willkommen, ganz förmlich.\n";

struct TestMonitor {
    key: Ed25519KeyPair,
    /// A host key that is not offered yet.
    next_key: Ed25519KeyPair,
    /// H of the first exchange.
    session: OnceLock<Vec<u8>>,
    lane: Lane,
    chosen: Mutex<Option<ChosenGroup>>,
    /// What the login is worth.
    grant: SessionGrant,
}

fn public_key(key: &Ed25519KeyPair) -> Vec<u8> {
    let mut blob = Vec::new();
    blob.put_string(b"ssh-ed25519");
    blob.put_string(key.public_key().as_ref());
    blob
}

fn host_key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn signature(key: &Ed25519KeyPair, data: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    blob.put_string(b"ssh-ed25519");
    blob.put_string(key.sign(data).as_ref());
    blob
}

/// What `ssh` is told by its SSH_ASKPASS.
const OLD: &str = "correct horse";
const NEW: &str = "battery staple";
const CODE: &str = "123456";

fn secret(text: &str) -> Secret {
    Secret::copy(text.as_bytes()).unwrap()
}

fn question() -> InfoRequest {
    let prompt = |text: &str, echo| Prompt {
        text: text.to_owned(),
        echo,
    };
    let prompts = vec![prompt("Code: ", Echo::On), prompt("PIN: ", Echo::Off)];
    InfoRequest::new("Title".to_owned(), "Look it up.".to_owned(), prompts).unwrap()
}

impl TestMonitor {
    /// A login of alice.
    async fn accept(&self) -> Result<AuthReply, Violation> {
        let (worker_stream, session_stream) = rpc::lane::stream_pair().unwrap();
        let (worker_lane, session_lane) = rpc::lane::pair().unwrap();
        tokio::spawn(session::serve(session_stream, session_lane));
        let message = ToWorker::Session {
            grant: self.grant.clone(),
            rpc: worker_stream,
            lane: worker_lane,
        };
        self.lane.send_to_worker(&message).await.unwrap();
        Ok(AuthOutcome::Accepted.into())
    }
}

impl MonitorFace for TestMonitor {
    async fn choose_group(&self, request: GroupRequest) -> Result<Option<DhGroup>, Violation> {
        let fits = |fixed: &FixedGroup| request.permitted().contains(&fixed.bits());
        let group = FixedGroup::ALL.into_iter().find(fits).unwrap().group();
        *self.chosen.lock().unwrap() = Some(ChosenGroup {
            request,
            group: group.clone(),
        });
        Ok(Some(group))
    }

    async fn sign_exchange(&self, values: ExchangeValues) -> Result<Vec<u8>, Violation> {
        let identification = format!("SSH-2.0-{VERSION}");
        let chosen = self.chosen.lock().unwrap().take();
        assert_eq!(
            chosen.is_some(),
            values.kex == KexAlgorithm::DhGroupExchangeSha256
        );
        let key = public_key(&self.key);
        let input = values.hash_input(identification.as_bytes(), &key, chosen.as_ref());
        let algorithm = match values.kex.hash() {
            HashAlgorithm::Sha256 => &digest::SHA256,
            HashAlgorithm::Sha384 => &digest::SHA384,
            HashAlgorithm::Sha512 => &digest::SHA512,
        };
        let hash = digest::digest(algorithm, &input);
        self.session.get_or_init(|| hash.as_ref().to_vec());
        Ok(signature(&self.key, hash.as_ref()))
    }

    async fn authenticate(&self, request: AuthRequest) -> Result<AuthReply, Violation> {
        match request.method {
            AuthMethod::PublicKey(key) if key.signature.is_none() => {
                Ok(AuthOutcome::KeyAcceptable.into())
            }
            AuthMethod::PublicKey(_) => self.accept().await,
            AuthMethod::Password(PasswordRequest::Login(password)) if password == secret(OLD) => {
                let prompt = "Your password has expired.".to_owned();
                Ok(AuthOutcome::PasswordChange { prompt }.into())
            }
            AuthMethod::Password(PasswordRequest::Change { old, new })
                if [&old, &new] == [&secret(OLD), &secret(NEW)] =>
            {
                self.accept().await
            }
            AuthMethod::KeyboardInteractive(_) => Ok(AuthOutcome::InfoRequest(question()).into()),
            _ => Ok(AuthReply {
                banners: vec![BANNER.as_bytes().to_vec()],
                ..AuthOutcome::Refused {
                    methods: ["publickey", "password", "keyboard-interactive"]
                        .map(str::to_owned)
                        .to_vec(),
                    partial_success: false,
                }
                .into()
            }),
        }
    }

    async fn answer(&self, responses: Responses) -> Result<AuthReply, Violation> {
        match responses {
            Responses::Given(given) if given == [secret(CODE), secret(OLD)] => self.accept().await,
            Responses::Given(_) | Responses::Impossible => Err(Violation::new("wrong answer")),
        }
    }

    async fn prove_host_keys(&self, host_keys: Vec<Vec<u8>>) -> Result<KeyProofs, Violation> {
        let session = self.session.get().unwrap();
        let prove = |blob: &Vec<u8>| {
            let key = match *blob == public_key(&self.next_key) {
                true => &self.next_key,
                false => &self.key,
            };
            signature(key, &proof_data(session, blob))
        };
        Ok(KeyProofs::Proved(host_keys.iter().map(prove).collect()))
    }

    async fn report(&self, _: ConnectionEnd) -> Result<(), Violation> {
        Ok(())
    }
}

fn settings(key: &Ed25519KeyPair, next_key: &Ed25519KeyPair) -> Arc<Settings> {
    Arc::new(Settings {
        software_version: VERSION.to_owned(),
        host_keys: vec![
            HostKey {
                public_key: public_key(key),
                algorithms: vec![SignatureAlgorithm::Ed25519],
            },
            HostKey {
                public_key: public_key(next_key),
                algorithms: Vec::new(),
            },
        ],
        kex: KexAlgorithm::ALL.to_vec(),
        ciphers: CipherAlgorithm::ALL.to_vec(),
        macs: MacAlgorithm::ALL.to_vec(),
        compression: CompressionAlgorithm::ALL.to_vec(),
        pubkey_algorithms: SignatureAlgorithm::ALL.to_vec(),
        rekey: RekeyLimit::default(),
    })
}

/// A login of alice.
fn grant() -> SessionGrant {
    SessionGrant {
        user: "alice".to_owned(),
        max_sessions: 10,
        ..SessionGrant::default()
    }
}

/// A server for one connection; its port, and the end of the connection.
fn serve_one(rekey_bytes: Option<u64>) -> (u16, thread::JoinHandle<EngineEnd>) {
    serve(SessionGrant {
        rekey_bytes: rekey_bytes.unwrap_or(0),
        ..grant()
    })
}

fn serve(grant: SessionGrant) -> (u16, thread::JoinHandle<EngineEnd>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (tcp, _) = listener.accept().unwrap();
        runtime.block_on(async {
            let (key, next_key) = (host_key(3), host_key(4));
            let settings = settings(&key, &next_key);
            let (worker_stream, monitor_stream) = rpc::lane::stream_pair().unwrap();
            let (worker_lane, monitor_lane) = rpc::lane::pair().unwrap();
            let face = TestMonitor {
                key,
                next_key,
                session: OnceLock::new(),
                lane: Lane::new(monitor_lane).unwrap(),
                chosen: Mutex::new(None),
                grant,
            };
            tokio::spawn(rpc::preauth::serve(
                rpc::grpc::stream(monitor_stream).unwrap(),
                face,
            ));
            let socket = ClientSocket::new(tcp.into()).unwrap();
            let mut monitor = Monitor::start(rpc::grpc::stream(worker_stream).unwrap())
                .await
                .unwrap();
            let lane = Lane::new(worker_lane).unwrap();
            match handshake::run(&socket, settings, &mut monitor, &lane).await {
                Ok(login) => engine::run(socket, login, monitor).await,
                Err(failed) => panic!("handshake: {:?}", failed),
            }
        })
    });
    (port, server)
}

struct Ssh {
    directory: PathBuf,
    options: Vec<String>,
}

impl Ssh {
    fn new(name: &str, options: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("preauth-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let key = directory.join("key");
        if !key.exists() {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&key)
                .status()
                .unwrap();
            assert!(made.success());
        }
        let options = options.iter().map(|option| format!("-o{option}")).collect();
        Self { directory, options }
    }

    fn command(&self, port: u16, remote: &str) -> Command {
        let mut command = Command::new("ssh");
        // Of options that occur twice the first counts.
        command
            .args(&self.options)
            .args([
                "-F",
                "none",
                "-T",
                "-oStrictHostKeyChecking=no",
                "-oUserKnownHostsFile=/dev/null",
            ])
            .args([
                "-oIdentitiesOnly=yes",
                "-oLogLevel=ERROR",
                "-oBatchMode=yes",
            ])
            .arg("-i")
            .arg(self.directory.join("key"))
            .args(["-p", &port.to_string(), "alice@127.0.0.1", remote]);
        command
    }

    /// Down and up at the same time: cat returns what it gets.
    fn echo(&self, data: &[u8], rekey_bytes: Option<u64>) -> Output {
        let (port, server) = serve_one(rekey_bytes);
        let mut child = self
            .command(port, "cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let sent = data.to_vec();
        let writer = thread::spawn(move || std::io::Write::write_all(&mut input, &sent).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        server.join().unwrap();
        output
    }

    fn run(&self, remote: &str, rekey_bytes: Option<u64>) -> Output {
        let (port, server) = serve_one(rekey_bytes);
        let output = self
            .command(port, remote)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let end = server.join().unwrap();
        assert!(
            matches!(end, EngineEnd::Disconnected { .. } | EngineEnd::Closed),
            "{end:?}"
        );
        output
    }
}

/// Bytes in which a missing or a repeated part shows.
fn noise(length: u32) -> Vec<u8> {
    (0..length)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

impl Drop for Ssh {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

#[test]
fn a_command_runs_and_its_status_and_streams_come_back() {
    let ssh = Ssh::new("command", &[]);
    let output = ssh.run("echo out; echo err >&2; exit 42", None);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn ssh_is_told_when_a_program_reads_no_more() {
    let ssh = Ssh::new("unread", &["LogLevel=DEBUG1"]);
    let (port, server) = serve_one(None);
    let output = ssh
        .command(port, "exec <&-; sleep 1; exit 6")
        .stdin(std::fs::File::open("/dev/zero").unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let told = said.find("rtype eow@openssh.com").expect(&said);
    assert!(told < said.find("rtype exit-status").unwrap(), "{said}");
    server.join().unwrap();
}

/// As with sshd, and whatever the program did with its input.
#[test]
fn ssh_is_told_when_a_program_has_ended_that_it_could_go_on_to_feed() {
    let ssh = Ssh::new("ended", &["LogLevel=DEBUG1"]);
    let (port, server) = serve_one(None);
    let (stdin, _open) = std::io::pipe().unwrap();
    let output = ssh.command(port, "exit 7").stdin(stdin).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("rtype eow@openssh.com"), "{said}");
    server.join().unwrap();
}

/// Answers what `ssh` asks, whatever asks for it.
const ASKPASS: &str = "#!/bin/sh
case $1 in
*Code*) echo 123456 ;;
*new*) echo 'battery staple' ;;
*) echo 'correct horse' ;;
esac
";

#[test]
fn what_the_user_types_reaches_the_monitor() {
    for method in ["password", "keyboard-interactive"] {
        let preferred = format!("PreferredAuthentications={method}");
        let ssh = Ssh::new(method, &["BatchMode=no", &preferred, "LogLevel=INFO"]);
        let askpass = ssh.directory.join("askpass");
        std::fs::write(&askpass, ASKPASS).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&askpass, executable).unwrap();
        let (port, server) = serve_one(None);
        let output = ssh
            .command(port, "echo in")
            .env("SSH_ASKPASS", &askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"in\n", "{method}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = match method {
            "password" => "Your password has expired.",
            _ => "Look it up.",
        };
        assert!(said.contains(expected), "{method}: {said}");
        server.join().unwrap();
    }
}

#[test]
fn every_cipher_carries_data_both_ways_with_every_mac() {
    let data = noise(1_000_000);
    for cipher in CipherAlgorithm::ALL {
        for mac in MacAlgorithm::ALL {
            let ssh = Ssh::new(
                "ciphers",
                &[
                    &format!("Ciphers={}", cipher.name()),
                    &format!("MACs={}", mac.name()),
                ],
            );
            let output = ssh.echo(&data, None);
            assert!(output.status.success(), "{cipher:?} {mac:?}: {output:?}");
            assert!(output.stdout == data, "{cipher:?} {mac:?}");
            if cipher.name().contains("gcm") || cipher.name().contains("poly1305") {
                // No MAC is negotiated: once is enough.
                break;
            }
        }
    }
}

#[test]
fn every_key_exchange_that_the_client_has_works_first_and_again() {
    let known = Command::new("ssh").args(["-Q", "kex"]).output().unwrap();
    let known = String::from_utf8(known.stdout).unwrap();
    let methods: Vec<_> = KexAlgorithm::ALL
        .iter()
        .map(|kex| kex.name())
        .filter(|name| known.lines().any(|line| line == *name))
        .collect();
    assert!(methods.len() >= 11, "{methods:?}");
    for name in methods {
        // A second exchange after 1 MiB, of which three come down.
        let options = [&*format!("KexAlgorithms={name}"), "RekeyLimit=1M"];
        let output = Ssh::new("kex", &options).run("head -c 3000000 /dev/zero", None);
        assert!(output.status.success(), "{name}: {output:?}");
        assert_eq!(output.stdout.len(), 3_000_000, "{name}");
    }
}

#[test]
fn a_banner_is_shown() {
    let output = Ssh::new("banner", &["LogLevel=INFO"]).run("true", None);
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(shown.contains(BANNER), "{shown}");
}

#[test]
fn data_survives_rekeys_of_both_sides() {
    for (limit, server, compression) in [
        ("RekeyLimit=1M", None, "Compression=no"),
        ("RekeyLimit=default", Some(1 << 20), "Compression=no"),
        ("RekeyLimit=1M", Some(1 << 21), "Compression=yes"),
    ] {
        let ssh = Ssh::new("rekey", &[limit, compression]);
        // Half of it can be compressed.
        let mut data = noise(20_000_000);
        data.iter_mut()
            .filter(|byte| **byte < 128)
            .for_each(|byte| *byte = 0);
        let output = ssh.echo(&data, server);
        assert!(output.status.success());
        assert!(
            output.stdout == data,
            "data differs after rekey ({limit}, {compression})"
        );
    }
}

/// OpenSSH's window is two megabytes, and so is ours to begin with.
#[test]
fn a_window_grows_with_what_the_path_holds() {
    let ssh = Ssh::new("long", &[]);
    let (port, server) = serve_one(None);
    let path = LongPath::new(port, Duration::from_millis(100));
    let mut child = ssh
        .command(path.port, "cat >/dev/null")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for _ in 0..64 {
        input.write_all(&[0; 1 << 20]).unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    server.join().unwrap();
    let most = path.most_on_the_way();
    assert!((3 << 20..10 << 20).contains(&most), "{most}");
}

/// Limits are the session's: before login the keys were a moment old.
#[test]
fn keys_are_replaced_when_their_time_is_up() {
    let ssh = Ssh::new("time", &["LogLevel=DEBUG1"]);
    let (port, server) = serve(SessionGrant {
        rekey_seconds: 1,
        ..grant()
    });
    let remote = "for i in 1 2 3 4 5 6 7 8; do sleep 0.5; echo $i; done";
    let output = ssh.command(port, remote).output().unwrap();
    server.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"1\n2\n3\n4\n5\n6\n7\n8\n");
    let said = String::from_utf8(output.stderr).unwrap();
    let exchanges = said.matches("SSH2_MSG_NEWKEYS sent").count();
    assert!((3..=5).contains(&exchanges), "{exchanges}: {said}");
}

#[test]
fn a_program_that_ignores_its_input_does_not_hang_the_client() {
    let ssh = Ssh::new("ignores", &[]);
    let (port, worker) = serve_one(None);
    let mut child = ssh
        .command(port, "exec 0<&-; sleep 0.2; echo done")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // The client may stop reading its input when the channel closes: EPIPE is fine.
    let writer = thread::spawn(move || std::io::Write::write_all(&mut input, &vec![0; 10_000_000]));
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    drop(writer.join().unwrap());
    worker.join().unwrap();
}

#[test]
fn a_background_child_with_open_pipes_has_the_last_word() {
    let ssh = Ssh::new("background", &[]);
    let output = ssh.run("(sleep 1; echo late) & echo started; exit 3", None);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "started\nlate\n");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_session_that_ends_takes_the_connection_with_it() {
    let ssh = Ssh::new("terminated", &[]);
    let (port, worker) = serve_one(None);
    let output = ssh
        .command(port, "terminate-session")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(255));
    let end = worker.join().unwrap();
    assert!(
        matches!(end, EngineEnd::Session(_) | EngineEnd::Engine(_)),
        "{end:?}"
    );
}

#[test]
fn the_exit_status_arrives_after_a_client_that_has_closed_the_channel() {
    // Both sides have said EOF long before the program ends: OpenSSH's client closes then, and its
    // server answers with the status before it closes, too.
    let ssh = Ssh::new("late-status", &[]);
    let output = ssh.run("echo out; exec >&- 2>&-; sleep 0.8; exit 5", None);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn the_client_learns_a_host_key_that_is_not_offered_yet() {
    let ssh = Ssh::new("hostkeys", &[]);
    let known_hosts = ssh.directory.join("known_hosts");
    let line = |port, seed| {
        let blob = Base64::encode_string(&public_key(&host_key(seed)));
        format!("[127.0.0.1]:{port} ssh-ed25519 {blob}")
    };
    let (port, worker) = serve_one(None);
    std::fs::write(&known_hosts, line(port, 3) + "\n").unwrap();
    let ssh = Ssh::new(
        "hostkeys",
        &[
            "UpdateHostKeys=yes",
            "HashKnownHosts=no",
            "StrictHostKeyChecking=yes",
            &format!("UserKnownHostsFile={}", known_hosts.display()),
        ],
    );
    // The client goes as soon as the command has ended, whatever it has yet to learn.
    let output = ssh
        .command(port, "sleep 1; echo done")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    worker.join().unwrap();
    let known = std::fs::read_to_string(known_hosts).unwrap();
    assert!(known.contains(&line(port, 3)), "{known}");
    assert!(known.contains(&line(port, 4)), "{known}");
}
