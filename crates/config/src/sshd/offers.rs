//! The algorithms of this server, as every reader of its configuration needs them: the monitor, which obeys it, and the
//! command line, which shows it.

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
    /// What crate `wire` has names for.
    pub fn ours() -> Self {
        let ciphers = CipherAlgorithm::ALL;
        Self {
            kex: Names::new(KexAlgorithm::ALL, KexAlgorithm::DEFAULT, KexAlgorithm::name),
            ciphers: Names::new(ciphers, ciphers, CipherAlgorithm::name),
            macs: Names::new(MacAlgorithm::ALL, MacAlgorithm::DEFAULT, MacAlgorithm::name),
            signatures: Names::signatures(|_| true),
            host_keys: Names::signatures(SignatureAlgorithm::is_of_hosts),
            authorities: Names::signatures(|algorithm| !algorithm.is_certificate()),
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
        }
    }
}
