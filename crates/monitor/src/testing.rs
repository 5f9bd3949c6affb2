//! What several modules' tests need: a policy from files, a client with a key, a service manager
//! that only remembers.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use rpc::lane::Lane;
use rpc::pam::{self, Channel};
use rpc::{ConnectionId, Endpoints};
use wire::codec::Write;
use wire::exchange::ExchangeValues;
use wire::groups::ChosenGroup;
use wire::names::{KexAlgorithm, SignatureAlgorithm};
use wire::userauth::{AuthMethod, AuthRequest, PublicKeyRequest, UserName, signed_data};
use zeroize::Zeroizing;

use crate::open_session::Origin;
use crate::options::Source;
use crate::policy::Policy;
use crate::routing_domain::RoutingDomain;
use crate::systemd::{
    CommandEnd, CommandUnit, CommandUser, PamUnit, ServiceManager, SessionUnit, StartError,
    WorkerUnit,
};
use crate::verify::SERVICE;

/// A directory that goes with its value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("monitor-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a private key with ssh-keygen.
    pub(crate) fn key(&self, name: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-C", "", "-f"])
            .arg(&path)
            .args(options)
            .status()
            .unwrap();
        assert!(made.success());
        path
    }

    /// Makes a certificate for the public key file of `key` with ssh-keygen; its path.
    pub(crate) fn certificate(&self, authority: &Path, key: &str, options: &[&str]) -> PathBuf {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-I", "key id", "-s"])
            .arg(authority)
            .args(options)
            .arg(self.path(&format!("{key}.pub")))
            .status()
            .unwrap();
        assert!(made.success());
        self.path(&format!("{key}-cert.pub"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A machine with one host key and one user's authorized keys.
pub(crate) struct Machine {
    /// Its files are read again for each search.
    _directory: Directory,
    pub(crate) policy: Arc<Policy>,
    /// The user who runs the tests.
    pub(crate) user: String,
}

impl Machine {
    /// With `authorized` in the user's file, and `more` in the configuration.
    pub(crate) fn new(authorized: &[&Client], more: &str) -> Self {
        let lines: String = authorized.iter().map(|client| client.line()).collect();
        Self::with_lines(&lines, more)
    }

    /// With these lines in the user's file.
    pub(crate) fn with_lines(lines: &str, more: &str) -> Self {
        let directory = Directory::new();
        // The user whom the search impersonates must be able to reach the file.
        fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o755)).unwrap();
        let keys = directory.write("authorized_keys", lines);
        let host_key = directory.key("host_key", &["-t", "ed25519", "-N", ""]);
        // Match blocks go to the end: what follows one is in it.
        let (more, blocks) = more.split_at(more.find("Match ").unwrap_or(more.len()));
        let config = format!(
            "{more}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPermitRootLogin yes\nUsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n{blocks}\n",
            host_key.display(),
            keys.display(),
        );
        let file = directory.write("sshd_config", &config);
        Self {
            policy: load(&file),
            _directory: directory,
            user: own_name(),
        }
    }

    /// Q_C and so on of an exchange that this machine offers.
    pub(crate) fn exchange(&self, share: u8) -> ExchangeValues {
        ExchangeValues {
            client_identification: b"SSH-2.0-test".to_vec(),
            client_kexinit: vec![20, 1, 2],
            server_kexinit: vec![20, 3, 4],
            kex: KexAlgorithm::Curve25519Sha256,
            host_key: SignatureAlgorithm::Ed25519,
            client_share: vec![share; 32],
            server_share: vec![8; 32],
            shared_secret: Zeroizing::new(vec![9; 32]),
        }
    }

    /// H of an exchange, computed here.
    pub(crate) fn hash(&self, values: &ExchangeValues) -> Vec<u8> {
        self.hash_with(values, None)
    }

    /// The same, in a group that was exchanged.
    pub(crate) fn hash_with(
        &self,
        values: &ExchangeValues,
        group: Option<&ChosenGroup>,
    ) -> Vec<u8> {
        let offer = &self.policy.offer;
        let host_key = offer.host_keys.public().remove(0).public_key;
        let input = values.hash_input(offer.identification.as_bytes(), &host_key, group);
        digest::digest(&digest::SHA256, &input).as_ref().to_vec()
    }
}

pub(crate) fn load(file: &Path) -> Arc<Policy> {
    let source = Source {
        file: file.to_owned(),
        name_limit: Default::default(),
        lines: Vec::new(),
    };
    match Policy::load(&source) {
        Ok(loaded) => loaded.policy,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn own_name() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

/// The public key blob that ssh-keygen wrote beside a private key.
pub(crate) fn published(private: &Path) -> Vec<u8> {
    read_public(&private.with_extension("pub"))
}

/// The blob in a public key or certificate file.
pub(crate) fn read_public(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    Base64::decode_vec(text.split(' ').nth(1).unwrap().trim()).unwrap()
}

/// A security key in software (OpenSSH PROTOCOL.u2f).
pub(crate) enum SecurityKey {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl SecurityKey {
    const APPLICATION: &[u8] = b"ssh:";

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn ecdsa() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::Ed25519(_) => SignatureAlgorithm::SkEd25519,
            Self::Ecdsa(_) => SignatureAlgorithm::SkEcdsaNistp256,
        }
    }

    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        blob.put_string(self.algorithm().name().as_bytes());
        match self {
            Self::Ed25519(pair) => blob.put_string(pair.public_key().as_ref()),
            Self::Ecdsa(pair) => {
                blob.put_string(b"nistp256");
                blob.put_string(pair.public_key().as_ref());
            }
        }
        blob.put_string(Self::APPLICATION);
        blob
    }

    /// Its line in authorized_keys.
    pub(crate) fn line(&self) -> String {
        let blob = Base64::encode_string(&self.blob());
        format!("{} {blob}\n", self.algorithm().name())
    }

    pub(crate) fn sign(&self, data: &[u8], flags: u8, counter: u32) -> Vec<u8> {
        self.assert(self.algorithm(), flags, counter, &[], data)
    }

    /// Under this name, if the key can.
    pub(crate) fn sign_as(
        &self,
        algorithm: SignatureAlgorithm,
        data: &[u8],
        flags: u8,
        counter: u32,
    ) -> Option<Vec<u8>> {
        match (self, algorithm) {
            (Self::Ecdsa(_), SignatureAlgorithm::WebauthnSkEcdsaNistp256) => {
                let page = Page::about(data);
                Some(self.sign_for_page(&page, flags, counter))
            }
            _ if algorithm == self.algorithm() => Some(self.sign(data, flags, counter)),
            _ => None,
        }
    }

    /// For a web page.
    pub(crate) fn sign_for_page(&self, page: &Page, flags: u8, counter: u32) -> Vec<u8> {
        let algorithm = SignatureAlgorithm::WebauthnSkEcdsaNistp256;
        let client_data = page.client_data.as_bytes();
        let mut blob = self.assert(algorithm, flags, counter, page.extensions, client_data);
        blob.put_string(page.origin.as_bytes());
        blob.put_string(client_data);
        blob.put_string(page.extensions);
        blob
    }

    fn assert(
        &self,
        algorithm: SignatureAlgorithm,
        flags: u8,
        counter: u32,
        extensions: &[u8],
        data: &[u8],
    ) -> Vec<u8> {
        let mut signed = digest::digest(&digest::SHA256, Self::APPLICATION)
            .as_ref()
            .to_vec();
        signed.put_byte(flags);
        signed.put_uint32(counter);
        signed.put_bytes(extensions);
        signed.put_bytes(digest::digest(&digest::SHA256, data).as_ref());
        let mut blob = Vec::new();
        blob.put_string(algorithm.name().as_bytes());
        match self {
            Self::Ed25519(pair) => blob.put_string(pair.sign(&signed).as_ref()),
            Self::Ecdsa(pair) => {
                let fixed = pair.sign(&SystemRandom::new(), &signed).unwrap();
                let mut numbers = Vec::new();
                for half in fixed.as_ref().chunks(32) {
                    numbers.put_mpint(half);
                }
                blob.put_string(&numbers);
            }
        }
        blob.put_byte(flags);
        blob.put_uint32(counter);
        blob
    }
}

/// What a browser adds.
pub(crate) struct Page {
    pub(crate) origin: String,
    pub(crate) client_data: String,
    pub(crate) extensions: &'static [u8],
}

impl Page {
    /// One that has this signed.
    pub(crate) fn about(data: &[u8]) -> Self {
        let challenge = Base64UrlUnpadded::encode_string(data);
        let origin = "https://login.example.com".to_owned();
        Self {
            client_data: format!(
                "{{\"type\":\"webauthn.get\",\"challenge\":\"{challenge}\",\"origin\":\"{origin}\",\"crossOrigin\":false}}"
            ),
            origin,
            extensions: &[],
        }
    }
}

/// A client with an Ed25519 key.
pub(crate) struct Client(Ed25519KeyPair);

impl Client {
    pub(crate) fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519");
        blob.put_string(self.0.public_key().as_ref());
        blob
    }

    /// Its line in authorized_keys.
    pub(crate) fn line(&self) -> String {
        format!("ssh-ed25519 {}\n", Base64::encode_string(&self.blob()))
    }

    /// What a client signs for a login.
    pub(crate) fn sign(&self, session: &[u8], user: &str) -> Vec<u8> {
        self.sign_under(session, user, "ssh-ed25519", &self.blob())
    }

    /// The same with an algorithm name and a key of the caller's choice.
    pub(crate) fn sign_under(
        &self,
        session: &[u8],
        user: &str,
        algorithm: &str,
        key: &[u8],
    ) -> Vec<u8> {
        let user = UserName::new(user).unwrap();
        self.sign_data(&signed_data(session, &user, SERVICE, algorithm, key, None))
    }

    /// A signature blob over anything.
    pub(crate) fn sign_data(&self, data: &[u8]) -> Vec<u8> {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519");
        blob.put_string(self.0.sign(data).as_ref());
        blob
    }
}

/// A request for `user`.
pub(crate) fn request(user: &str, method: AuthMethod) -> AuthRequest {
    AuthRequest {
        user: UserName::new(user).unwrap(),
        service: SERVICE.to_owned(),
        method,
    }
}

/// A publickey request for `user`.
pub(crate) fn publickey(user: &str, key: Vec<u8>, signature: Option<Vec<u8>>) -> AuthRequest {
    let algorithm = "ssh-ed25519".to_owned();
    let fields = PublicKeyRequest {
        algorithm,
        key,
        host_key: None,
        signature,
    };
    request(user, AuthMethod::PublicKey(fields))
}

pub(crate) fn origin() -> Origin {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Origin {
        id: ConnectionId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8]),
        endpoints: Endpoints::inet(address("192.0.2.7:4711"), address("192.0.2.1:22")),
        rdomain: Some(RoutingDomain::default()),
    }
}

/// What a process for a PAM transaction does, beginning with [`Channel::start`].
pub(crate) type PamScript = Box<dyn FnOnce(Channel) + Send>;

/// A script that takes any task and comes to this end.
pub(crate) fn pam_ends(verdict: pam::Verdict) -> PamScript {
    Box::new(|channel| {
        channel.start().unwrap();
        let end = pam::End {
            verdict,
            messages: Vec::new(),
            delay: Duration::ZERO,
        };
        // A monitor that has given up is no failure of the process.
        drop(channel.end(&end));
    })
}

/// Remembers what it was asked for.
#[derive(Default)]
pub(crate) struct Services {
    pub(crate) refuses: bool,
    /// As if PAM said no to each session: its unit ends before its program runs.
    pub(crate) fails_sessions: bool,
    /// Otherwise it refuses workers.
    pub(crate) starts_workers: bool,
    pub(crate) workers: Mutex<Vec<WorkerUnit>>,
    /// How each session's user was authenticated, as the PAM stack of its unit hears.
    pub(crate) told_pam: Mutex<Vec<String>>,
    /// User and standard input of each session.
    pub(crate) sessions: Mutex<Vec<(String, OwnedFd)>>,
    pub(crate) killed: Mutex<Vec<String>>,
    /// What commands write and how they end; none of them ends by itself without it.
    pub(crate) command: Option<(Vec<u8>, CommandEnd)>,
    /// User, program and arguments of each command.
    pub(crate) commands: Mutex<Vec<(CommandUser, Vec<String>)>>,
    /// What the next processes for PAM transactions do, each in a thread of its own. Without a script none is started.
    pub(crate) pam_scripts: Mutex<VecDeque<PamScript>>,
    /// Their units, in the order of their starts and of their ends.
    pub(crate) pam_started: Mutex<Vec<String>>,
    pub(crate) pam_stopped: Mutex<Vec<String>>,
}

impl Services {
    /// Has the next process for a PAM transaction do this.
    pub(crate) fn script_pam(&self, script: PamScript) {
        self.pam_scripts.lock().unwrap().push_back(script);
    }
}

impl ServiceManager for Services {
    async fn start_worker(&self, worker: WorkerUnit) -> Result<(), StartError> {
        if !self.starts_workers {
            return Err(StartError::Deadline);
        }
        self.workers.lock().unwrap().push(worker);
        Ok(())
    }

    async fn start_session(&self, unit: SessionUnit) -> Result<(), StartError> {
        if self.refuses {
            return Err(StartError::Deadline);
        }
        if !self.fails_sessions {
            let mut heard = [0; 1024];
            let length = rustix::io::read(&unit.stdio, &mut heard).unwrap();
            let heard = String::from_utf8(heard[..length].to_vec()).unwrap();
            self.told_pam.lock().unwrap().push(heard);
            // The program's part: it says so when it has read what it is to know, which waits for the test.
            let stdio = unit.stdio.try_clone().unwrap();
            Lane::new(stdio).unwrap().send_ready("").await.unwrap();
            self.sessions.lock().unwrap().push((unit.user, unit.stdio));
        }
        Ok(())
    }

    async fn run_command(
        &self,
        unit: CommandUnit,
        enough: impl Future<Output = ()> + Send,
    ) -> Result<CommandEnd, StartError> {
        if self.refuses {
            return Err(StartError::Deadline);
        }
        let words = [vec![unit.program], unit.arguments].concat();
        self.commands.lock().unwrap().push((unit.user, words));
        let Some((text, end)) = self.command.clone() else {
            enough.await;
            return Ok(CommandEnd::Stopped);
        };
        // More than a pipe holds may be more than its reader wants.
        std::thread::spawn(move || drop(fs::File::from(unit.stdout).write_all(&text)));
        Ok(end)
    }

    async fn kill_worker(&self, unit: &str) -> Result<(), StartError> {
        self.killed.lock().unwrap().push(unit.to_owned());
        Ok(())
    }

    async fn limit_session(&self, _unit: &str, _percent: u32) -> Result<(), StartError> {
        Err(StartError::Deadline)
    }

    async fn stop_session(&self, unit: &str) -> Result<(), StartError> {
        self.killed.lock().unwrap().push(unit.to_owned());
        Ok(())
    }

    async fn start_pam(&self, unit: PamUnit) -> Result<(), StartError> {
        let script = self.pam_scripts.lock().unwrap().pop_front();
        let script = script.ok_or(StartError::Deadline)?;
        let name = PamUnit::name(unit.id, unit.number);
        self.pam_started.lock().unwrap().push(name);
        std::thread::spawn(move || script(Channel::new(unit.stdio).unwrap()));
        Ok(())
    }

    async fn stop_pam(&self, unit: &str) -> Result<(), StartError> {
        self.pam_stopped.lock().unwrap().push(unit.to_owned());
        Ok(())
    }
}
