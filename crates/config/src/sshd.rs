//! `/etc/ssh/sshd_config`, see sshd_config(5).
//!
//! [`load`] reads a file and what it includes; [`parse`] reads text. Both report **all** errors of a run, each with file,
//! line, column and a marker, and warnings for what has no effect. Of a keyword that occurs more than once the first value
//! counts, unless it is one that collects (AcceptEnv, HostCertificate, HostKey, Subsystem).
//!
//! ```text
//!  text ── lexer ──▶ statement ── keywords ──▶ settings ──▶ SshdConfig
//!            │                       │            │
//!            └───────────────────────┴────────────┴──▶ report: errors, warnings
//! ```

mod algorithms;
mod include;
mod keywords;
mod lexer;
mod parser;
mod report;
mod settings;
mod values;

pub use algorithms::{AlgorithmList, Offered, Range};
pub use include::{FileSystem, IncludedFile, Includes, NoFiles};
pub use keywords::{OWN_KEYWORDS, OwnKeyword};
pub use parser::{load, parse};
pub use report::{Error, ErrorKind, Errors, Location, Warning, WarningKind};
pub use values::{
    AuthorizedKeysFile, Compression, LogLevel, MaxStartups, PermitRootLogin, RekeyLimit, Subsystem,
    UnknownToken, YesNo,
};

use crate::pattern::Pattern;
use std::path::PathBuf;
use std::time::Duration;

/// The host keys that are used if no HostKey is configured; those that do not exist are left out by who loads them.
///
/// Unlike OpenSSH's, without the ECDSA key: the provenance of the NIST curves is doubted, and auditors (ssh-audit) count
/// them as a failure. Every client that is still in use knows Ed25519 or RSA.
pub const DEFAULT_HOST_KEYS: &[&str] =
    &["/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"];

/// What is used if none of [`DEFAULT_HOST_KEYS`] exists. Clients that know the host by this key only can be served by a
/// HostKey line.
pub const FALLBACK_HOST_KEY: &str = "/etc/ssh/ssh_host_ecdsa_key";

/// A configuration and the remarks on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What is configured.
    pub config: SshdConfig,
    /// What the administrator should know.
    pub warnings: Vec<Warning>,
}

/// Whether the host keys are those somebody configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeys {
    /// [`DEFAULT_HOST_KEYS`]: one that does not exist is nothing to remark on.
    Default,
    /// Named in the file: one that cannot be loaded is an error.
    Configured,
}

/// How many worker processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerPool {
    /// WorkerPoolIdle: how many wait for connections.
    pub idle: u32,
    /// WorkerPoolMax: how many there are at most, idle and busy. Not less than `idle`.
    pub max: u32,
    /// WorkerStartRate: how many are started per second at most.
    pub start_rate: u32,
}

/// The values of all keywords that are obeyed. Each field is named after its keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdConfig {
    /// AcceptEnv: names of the variables that a client may set.
    pub accept_env: Vec<Pattern>,
    /// AuthorizedKeysFile; none means that no file holds keys.
    pub authorized_keys_files: Vec<AuthorizedKeysFile>,
    /// CASignatureAlgorithms.
    pub ca_signature_algorithms: AlgorithmList,
    /// Ciphers.
    pub ciphers: AlgorithmList,
    /// ClientAliveCountMax: unanswered probes after which a client is dead; 0 is never.
    pub client_alive_count_max: u32,
    /// ClientAliveInterval: silence after which a client is probed; none is never.
    pub client_alive_interval: Option<Duration>,
    /// Compression.
    pub compression: Compression,
    /// HostCertificate: certificates for keys of `host_keys`.
    pub host_certificates: Vec<PathBuf>,
    /// HostKey: private key files.
    pub host_keys: Vec<PathBuf>,
    /// Whether `host_keys` is the default.
    pub host_keys_origin: HostKeys,
    /// HostKeyAlgorithms.
    pub host_key_algorithms: AlgorithmList,
    /// KexAlgorithms.
    pub kex_algorithms: AlgorithmList,
    /// LogLevel.
    pub log_level: LogLevel,
    /// LoginGraceTime: time to authenticate; none is unlimited.
    pub login_grace_time: Option<Duration>,
    /// MACs.
    pub macs: AlgorithmList,
    /// MaxAuthTries: failures after which a connection is closed.
    pub max_auth_tries: u32,
    /// MaxSessions: session channels of a connection that may be open at a time.
    pub max_sessions: u32,
    /// MaxStartups.
    pub max_startups: MaxStartups,
    /// PermitRootLogin.
    pub permit_root_login: PermitRootLogin,
    /// PermitTTY.
    pub permit_tty: YesNo,
    /// PubkeyAcceptedAlgorithms.
    pub pubkey_accepted_algorithms: AlgorithmList,
    /// PubkeyAuthentication.
    pub pubkey_authentication: YesNo,
    /// RekeyLimit.
    pub rekey_limit: RekeyLimit,
    /// RequiredRSASize: the smallest RSA modulus, in bits.
    pub required_rsa_size: u32,
    /// StrictModes.
    pub strict_modes: YesNo,
    /// Subsystem.
    pub subsystems: Vec<Subsystem>,
    /// UsePAM: whether PAM alone judges locked accounts.
    pub use_pam: YesNo,
    /// VersionAddendum: text after the version in the identification string.
    pub version_addendum: Option<String>,
    /// WorkerPoolIdle, WorkerPoolMax and WorkerStartRate.
    pub worker_pool: WorkerPool,
}

impl SshdConfig {
    /// What holds if nothing is configured. The defaults are OpenSSH's.
    #[must_use]
    pub fn defaults(offered: &Offered<'_>) -> Self {
        let mut config = Self::blank(offered);
        config.fill_in();
        config
    }

    /// Whether AcceptEnv lets a client set the variable `name`.
    #[must_use]
    pub fn accepts_env(&self, name: &str) -> bool {
        self.accept_env.iter().any(|pattern| pattern.matches(name))
    }

    /// The defaults, with collecting keywords empty.
    fn blank(offered: &Offered<'_>) -> Self {
        Self {
            accept_env: Vec::new(),
            authorized_keys_files: vec![
                AuthorizedKeysFile(".ssh/authorized_keys".to_owned()),
                AuthorizedKeysFile(".ssh/authorized_keys2".to_owned()),
            ],
            ca_signature_algorithms: AlgorithmList::default_of(offered.authority),
            ciphers: AlgorithmList::default_of(offered.ciphers),
            client_alive_count_max: 3,
            client_alive_interval: None,
            compression: Compression::Delayed,
            host_certificates: Vec::new(),
            host_keys: Vec::new(),
            host_keys_origin: HostKeys::Configured,
            host_key_algorithms: AlgorithmList::default_of(offered.host_key),
            kex_algorithms: AlgorithmList::default_of(offered.kex),
            log_level: LogLevel::Info,
            login_grace_time: Some(Duration::from_secs(120)),
            macs: AlgorithmList::default_of(offered.macs),
            max_auth_tries: 6,
            max_sessions: 10,
            max_startups: MaxStartups {
                start: 10,
                rate: 30,
                full: 100,
            },
            permit_root_login: PermitRootLogin::ProhibitPassword,
            permit_tty: YesNo::Yes,
            pubkey_accepted_algorithms: AlgorithmList::default_of(offered.pubkey),
            pubkey_authentication: YesNo::Yes,
            rekey_limit: RekeyLimit {
                bytes: None,
                time: None,
            },
            required_rsa_size: 1024,
            strict_modes: YesNo::Yes,
            subsystems: Vec::new(),
            use_pam: YesNo::No,
            version_addendum: None,
            worker_pool: WorkerPool {
                idle: 4,
                max: 512,
                start_rate: 20,
            },
        }
    }

    /// Fills in what collecting keywords have if they do not occur.
    fn fill_in(&mut self) {
        if self.host_keys.is_empty() {
            self.host_keys = DEFAULT_HOST_KEYS.iter().map(PathBuf::from).collect();
            self.host_keys_origin = HostKeys::Default;
        }
    }
}
