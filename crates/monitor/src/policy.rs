//! One configuration, ready for use: what was read, and what follows from it for workers.
//!
//! A policy never changes. A reload makes a new one, which counts for workers that are welcomed and
//! connections that are accepted afterwards; whatever has begun ends under the policy it began with,
//! so that a worker and its connection always speak of the same algorithms and keys.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use accounts::hostbased::SystemFiles;
use config::sshd::{self, AlgorithmList, Compression, Configuration, Criteria, Offers, SshdConfig};
use rpc::lane::Welcome;
use thiserror::Error;
use wire::names::{CompressionAlgorithm, KexAlgorithm};

use crate::admission::Limits;
use crate::exchange::Offer;
use crate::groups::Groups;
use crate::hostkeys::{HostKey, HostKeys, LoadError};
use crate::options::Source;
use crate::recorded_host::NameLimit;
use crate::rules::{Rules, required_rsa_size, signatures};

/// Everything that an administrator decided.
pub struct Policy {
    /// What `sshd_config` says, Match blocks included.
    pub configuration: Configuration,
    /// What holds outside of them, for the server as a whole.
    pub config: SshdConfig,
    /// Host keys and algorithms for key exchange.
    pub offer: Offer,
    /// Who is let in.
    pub limits: Arc<Limits>,
    /// Which hosts the system trusts, for `hostbased`.
    pub trusted_hosts: SystemFiles,
    /// What is recorded of clients' names.
    pub name_limit: NameLimit,
}

/// A usable policy and what the administrator should know of it.
pub struct Loaded {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Warnings, one each, ready to be shown.
    pub remarks: Vec<String>,
}

/// Why there is no policy. `Display` shows all of it, with file, line and column.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The configuration file.
    #[error(transparent)]
    Configuration(#[from] sshd::Errors),
    /// The host keys: each one's trouble, and that nothing is left.
    #[error("{}", Lines(.0))]
    HostKeys(Vec<LoadError>),
}

impl Policy {
    /// Reads the configuration and the host keys that it names.
    ///
    /// # Errors
    /// See [`PolicyError`]; the caller keeps the policy that it has.
    pub fn load(source: &Source) -> Result<Loaded, PolicyError> {
        let offers = Offers::on_this_machine();
        let lines: Vec<&str> = source.lines.iter().map(String::as_str).collect();
        let configuration = sshd::load(&source.file, &lines, &offers.offered())?;
        let config = configuration.global().config;
        let warnings = configuration.warnings().iter();
        let mut remarks: Vec<String> = warnings.map(ToString::to_string).collect();

        let (mut keys, mut failures) = load_host_keys(&config);
        let fallback = Path::new(sshd::FALLBACK_HOST_KEY);
        if is_default(&config) && fallback.exists() {
            if !keys.is_empty() {
                remarks.push(fallback_unused());
            } else {
                match HostKey::load(fallback) {
                    Ok(key) => keys.push(key),
                    Err(error) => failures.push(error),
                }
            }
        }
        for path in &config.host_certificates {
            failures.extend(HostKey::certify(&mut keys, path).err());
        }
        let host_key_algorithms = signatures(&config.host_key_algorithms);
        let host_keys = match HostKeys::new(keys, &host_key_algorithms) {
            Ok(host_keys) => host_keys,
            Err(none) => {
                failures.push(none);
                return Err(PolicyError::HostKeys(failures));
            }
        };
        remarks.extend(failures.iter().map(ToString::to_string));

        let names = config.kex_algorithms.names().iter();
        let kex: Vec<_> = names
            .filter_map(|name| KexAlgorithm::from_name(name))
            .collect();
        let (groups, remark) = match &config.moduli_file {
            Some(path) if kex.contains(&KexAlgorithm::DhGroupExchangeSha256) => Groups::load(path),
            Some(_) | None => (Groups::default(), None),
        };
        remarks.extend(remark);
        let offer = Offer {
            identification: config.identification(),
            kex,
            host_keys,
            groups,
        };
        let policy = Arc::new(Self {
            limits: Arc::new(Limits::of(&config)),
            trusted_hosts: SystemFiles::default(),
            name_limit: source.name_limit,
            configuration,
            config,
            offer,
        });
        Ok(Loaded { policy, remarks })
    }

    /// What a worker is told before it has a client.
    pub fn welcome(&self) -> Welcome {
        let config = &self.config;
        Welcome {
            software_version: self
                .offer
                .identification
                .trim_start_matches("SSH-2.0-")
                .to_owned(),
            host_keys: self.offer.host_keys.public(),
            kex_algorithms: names(&config.kex_algorithms),
            ciphers: names(&config.ciphers),
            macs: names(&config.macs),
            compression: compression(config.compression)
                .iter()
                .map(|method| method.name().to_owned())
                .collect(),
            pubkey_algorithms: names(&config.pubkey_accepted_algorithms),
            rekey_bytes: config.rekey_limit.bytes.unwrap_or(0),
            rekey_seconds: config.rekey_limit.time.map_or(0, whole_seconds),
        }
    }

    /// The signature algorithms for publickey of a connection, if workers were told of others.
    pub fn algorithms_apart(&self, connection: &SshdConfig) -> Vec<String> {
        let algorithms = &connection.pubkey_accepted_algorithms;
        match *algorithms == self.config.pubkey_accepted_algorithms {
            true => Vec::new(),
            false => names(algorithms),
        }
    }

    /// What holds for a connection.
    pub fn rules(&self, connection: &Criteria) -> Rules {
        let mut rules = Rules::new(self.configuration.effective(connection).config);
        rules.name_limit = self.name_limit;
        rules
    }
}

/// The names of a list, in order.
fn names(list: &AlgorithmList) -> Vec<String> {
    list.names().iter().map(|&name| name.to_owned()).collect()
}

/// Whole seconds, at most those of `u32`.
pub(crate) fn whole_seconds(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// The host keys that can be loaded, and what kept the others from it.
fn load_host_keys(config: &SshdConfig) -> (Vec<HostKey>, Vec<LoadError>) {
    let (mut keys, mut failures) = (Vec::new(), Vec::new());
    for path in &config.host_keys {
        match HostKey::load(path) {
            Ok(key) if key.is_weaker_than(required_rsa_size(config)) => {
                failures.push(LoadError::Unusable {
                    path: path.clone(),
                    reason: "its RSA modulus is smaller than RequiredRSASize",
                });
            }
            Ok(key) => keys.push(key),
            Err(error) if error.is_missing() && is_default(config) => {}
            Err(error) => failures.push(error),
        }
    }
    (keys, failures)
}

/// Some clients may know this host by its ECDSA key only: OpenSSH before 8.5 asked for it first.
fn fallback_unused() -> String {
    let path = sshd::FALLBACK_HOST_KEY;
    format!(
        "{path} is not offered: NIST curves are not in the default set; \"HostKey\" lines for it and the other host keys offer it"
    )
}

fn is_default(config: &SshdConfig) -> bool {
    config.host_keys_origin == sshd::HostKeys::Default
}

/// What is offered, "none" first as in OpenSSH: clients that prefer to compress still do.
fn compression(setting: Compression) -> &'static [CompressionAlgorithm] {
    match setting {
        Compression::Delayed => &[
            CompressionAlgorithm::None,
            CompressionAlgorithm::ZlibDelayed,
        ],
        Compression::No => &[CompressionAlgorithm::None],
    }
}

/// One item per line.
struct Lines<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Lines<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn workers_are_told_of_compression_unless_it_is_off() {
        let offered = |setting| Machine::new(&[], setting).policy.welcome().compression;
        assert_eq!(offered(""), ["none", "zlib@openssh.com"]);
        assert_eq!(offered("Compression yes"), ["none", "zlib@openssh.com"]);
        assert_eq!(offered("Compression no"), ["none"]);
    }
}
