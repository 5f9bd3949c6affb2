//! The algorithms that this server has: what the suites put together in every way.
//!
//! The lists stand here once more, apart from the server's own: an algorithm that is lost from those is missed here,
//! and one that is new there must be added here
//! (`a_server_with_everything_switched_on_offers_what_the_suites_try`).

use anyhow::{Result, ensure};
use e2e::{Peer, Server};

/// Key exchange methods.
const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha256",
];

/// Signature algorithms of host keys.
const HOST_KEYS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
];

/// Ciphers.
const CIPHERS: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];

/// Message authentication codes.
const MACS: &[&str] = &[
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "umac-128-etm@openssh.com",
    "umac-64-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "umac-128@openssh.com",
    "umac-64@openssh.com",
    "hmac-sha1-etm@openssh.com",
];

/// What two sides agree on in one key exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// The key exchange method.
    pub kex: &'static str,
    /// The signature algorithm of the host key.
    pub host_key: &'static str,
    /// What protects packets.
    pub protection: Protection,
}

/// What protects packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// The cipher.
    pub cipher: &'static str,
    /// The message authentication code; none if the cipher has its own.
    pub mac: Option<&'static str>,
}

/// Algorithms by kind: those of a server, or those of them that a client has too.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Key exchange methods.
    pub kex: Vec<&'static str>,
    /// Signature algorithms of host keys.
    pub host_keys: Vec<&'static str>,
    /// Ciphers.
    pub ciphers: Vec<&'static str>,
    /// Message authentication codes.
    pub macs: Vec<&'static str>,
}

impl Offer {
    /// All that our server has.
    pub fn ours() -> Self {
        Self {
            kex: KEX.to_vec(),
            host_keys: HOST_KEYS.to_vec(),
            ciphers: CIPHERS.to_vec(),
            macs: MACS.to_vec(),
        }
    }

    /// All that the server under test has: if it is OpenSSH, what its release knows of ours.
    pub fn of(server: &Server) -> Result<Self> {
        let ours = Self::ours();
        if server.peer() == Peer::Ours {
            return Ok(ours);
        }
        ours.known_to_debians_openssh(server)
    }

    /// The part of it that OpenSSH of the machine's Debian has.
    pub fn known_to_debians_openssh(&self, server: &Server) -> Result<Self> {
        let ask = |kind| -> Result<Vec<String>> {
            let names = server.shell(&format!("ssh -Q {kind}"))?;
            Ok(names.lines().map(str::to_owned).collect())
        };
        self.common(
            &ask("kex")?,
            &ask("key-sig")?,
            &ask("cipher")?,
            &ask("mac")?,
        )
    }

    /// The part of it that is in the lists of another side.
    ///
    /// # Errors
    ///
    /// There is nothing to agree on.
    pub fn common(
        &self,
        kex: &[String],
        host_keys: &[String],
        ciphers: &[String],
        macs: &[String],
    ) -> Result<Self> {
        let both = |ours: &[&'static str], theirs: &[String]| -> Vec<&'static str> {
            let theirs = |name: &&str| theirs.iter().any(|other| other == name);
            ours.iter().copied().filter(theirs).collect()
        };
        let mut common = Self {
            kex: both(&self.kex, kex),
            host_keys: both(&self.host_keys, host_keys),
            ciphers: both(&self.ciphers, ciphers),
            macs: both(&self.macs, macs),
        };
        if common.macs.is_empty() {
            common.ciphers.retain(|cipher| authenticates(cipher));
        }
        for list in [&common.kex, &common.host_keys, &common.ciphers] {
            ensure!(
                !list.is_empty(),
                "no common algorithm: {kex:?} {host_keys:?} {ciphers:?} {macs:?}"
            );
        }
        Ok(common)
    }

    /// Every cipher that has its own authentication, and every other one with every message authentication code.
    pub fn protections(&self) -> Vec<Protection> {
        let mut protections = Vec::new();
        for cipher in self.ciphers.iter().copied() {
            if authenticates(cipher) {
                protections.push(Protection { cipher, mac: None });
                continue;
            }
            protections.extend(self.macs.iter().copied().map(|mac| Protection {
                cipher,
                mac: Some(mac),
            }));
        }
        protections
    }

    /// Every combination there is.
    pub fn suites(&self) -> Vec<Suite> {
        let mut suites = Vec::new();
        for protection in self.protections() {
            for host_key in self.host_keys.iter().copied() {
                suites.extend(self.kex.iter().copied().map(|kex| Suite {
                    kex,
                    host_key,
                    protection,
                }));
            }
        }
        suites
    }

    /// A few combinations in which each algorithm occurs.
    pub fn sample(&self) -> Vec<Suite> {
        let protections = self.protections();
        let count = self
            .kex
            .len()
            .max(self.host_keys.len())
            .max(protections.len());
        self.kex
            .iter()
            .cycle()
            .zip(self.host_keys.iter().cycle())
            .zip(protections.iter().cycle())
            .take(count)
            .map(|((kex, host_key), protection)| Suite {
                kex,
                host_key,
                protection: *protection,
            })
            .collect()
    }

    /// The lines of sshd_config with which a server offers exactly this.
    pub fn settings(&self) -> String {
        format!(
            "KexAlgorithms {}\nHostKeyAlgorithms {}\nCiphers {}\nMACs {}\n",
            self.kex.join(","),
            self.host_keys.join(","),
            self.ciphers.join(","),
            self.macs.join(",")
        )
    }
}

/// Whether a cipher authenticates by itself.
pub fn authenticates(cipher: &str) -> bool {
    cipher.contains("poly1305") || cipher.contains("gcm")
}
