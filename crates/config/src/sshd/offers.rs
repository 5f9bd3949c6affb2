//! The algorithms of this server and what the machine has for it, as every reader of its configuration needs them: the monitor, which obeys it, and the
//! command line, which shows it.

use std::path::Path;

use wire::names::{CipherAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm};

use super::{Offered, Range};

/// The names of everything that this server can do and of what it does by default.
#[derive(Debug, Clone)]
pub struct Offers {
    kex: Names,
    ciphers: Names,
    macs: Names,
    signatures: Names,
    host_keys: Names,
    authorities: Names,
    pam_service: PamService,
}

/// The PAM service that judges where PAMServiceName does not say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PamService {
    /// OpenSSH's. What an administrator has in its file, a second factor say, holds here too.
    Sshd,
    /// The one of this server's package, on a machine where OpenSSH's server never was.
    Own,
}

impl PamService {
    /// The one of a machine with these directories of services.
    fn of(directories: &[&Path]) -> Self {
        let is_there = |directory: &&Path| directory.join(Self::Sshd.name()).exists();
        match directories.iter().any(is_there) {
            true => Self::Sshd,
            false => Self::Own,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::Own => "sshd-privsep",
        }
    }
}

#[derive(Debug, Clone)]
struct Names {
    supported: Vec<&'static str>,
    default: Vec<&'static str>,
}

impl Names {
    fn new<A: Copy>(supported: &[A], default: &[A], name: fn(A) -> &'static str) -> Self {
        let names = |list: &[A]| list.iter().map(|algorithm| name(*algorithm)).collect();
        Self {
            supported: names(supported),
            default: names(default),
        }
    }

    /// Those of the signature algorithms for which `fits` holds.
    fn signatures(fits: fn(SignatureAlgorithm) -> bool) -> Self {
        let of = |list: &[SignatureAlgorithm]| -> Vec<SignatureAlgorithm> {
            list.iter().copied().filter(|a| fits(*a)).collect()
        };
        Self::new(
            &of(SignatureAlgorithm::ALL),
            &of(SignatureAlgorithm::DEFAULT),
            SignatureAlgorithm::name,
        )
    }

    fn range(&self) -> Range<'_> {
        Range {
            supported: &self.supported,
            default: &self.default,
        }
    }
}

impl Offers {
    /// What crate `wire` has names for, on a machine that has the PAM services of this one.
    #[must_use]
    pub fn on_this_machine() -> Self {
        // pam.d(5)
        let directories = ["/etc/pam.d", "/usr/lib/pam.d"].map(Path::new);
        Self {
            pam_service: PamService::of(&directories),
            ..Self::ours()
        }
    }

    /// What crate `wire` has names for, on a machine that has all files.
    pub fn ours() -> Self {
        let ciphers = CipherAlgorithm::ALL;
        let mut authorities = Names::signatures(|algorithm| !algorithm.is_certificate());
        // As in OpenSSH: no authority signs in a browser unless a list says so.
        let browser = SignatureAlgorithm::WebauthnSkEcdsaNistp256.name();
        authorities.default.retain(|name| *name != browser);
        Self {
            kex: Names::new(KexAlgorithm::ALL, KexAlgorithm::DEFAULT, KexAlgorithm::name),
            ciphers: Names::new(ciphers, ciphers, CipherAlgorithm::name),
            macs: Names::new(MacAlgorithm::ALL, MacAlgorithm::DEFAULT, MacAlgorithm::name),
            signatures: Names::signatures(|_| true),
            host_keys: Names::signatures(SignatureAlgorithm::is_of_hosts),
            authorities,
            pam_service: PamService::Sshd,
        }
    }

    /// The same for the reader of a configuration.
    pub fn offered(&self) -> Offered<'_> {
        Offered {
            kex: self.kex.range(),
            ciphers: self.ciphers.range(),
            macs: self.macs.range(),
            host_key: self.host_keys.range(),
            pubkey: self.signatures.range(),
            authority: self.authorities.range(),
            pam_service: self.pam_service,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshds_service_judges_where_there_is_one() {
        let directory = std::env::temp_dir().join(format!("config-pam-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let of_both = || PamService::of(&[Path::new("/nonexistent"), &directory]);
        assert_eq!(of_both().name(), "sshd-privsep");
        std::fs::write(directory.join("sshd"), "").unwrap();
        assert_eq!(of_both().name(), "sshd");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
