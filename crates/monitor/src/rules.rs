//! What holds for one connection: the configuration with the Match blocks that are about it.
//!
//! As in sshd, the blocks are evaluated once, when the first user name binds the connection, and for
//! names that nobody has as well. What is decided before (algorithms, MaxStartups, LoginGraceTime)
//! is decided by what stands outside of the blocks, and sshd_config(5) permits it there only.

use accounts::{Account, Method, Source};
use config::sshd::{self, AlgorithmList, Criteria, LogLevel, SshdConfig, SyslogFacility, YesNo};
use journal::{Facility, LevelFilter};
use rpc::Endpoints;
use rpc::pam::{Authority, Service};
use wire::names::SignatureAlgorithm;
use wire::userauth::UserName;

use crate::certificate::Requirements;
use crate::open_session::Origin;
use crate::public_key::RequiredRsaSize;
use crate::recorded_host::NameLimit;

/// The values of one connection, or those outside of Match.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The values of `sshd_config`.
    pub config: SshdConfig,
    /// Signature algorithms for publickey.
    pub pubkey_algorithms: Vec<SignatureAlgorithm>,
    /// Signature algorithms of certificate authorities.
    authority_algorithms: Vec<SignatureAlgorithm>,
    /// What is recorded of clients' names.
    pub name_limit: NameLimit,
}

impl Rules {
    /// The rules that a configuration says.
    pub fn new(config: SshdConfig) -> Self {
        Self {
            pubkey_algorithms: signatures(&config.pubkey_accepted_algorithms),
            authority_algorithms: signatures(&config.ca_signature_algorithms),
            name_limit: NameLimit::default(),
            config,
        }
    }

    /// RequiredRSASize and CASignatureAlgorithms.
    pub fn key_requirements(&self) -> Requirements<'_> {
        Requirements {
            rsa: required_rsa_size(&self.config),
            authority: &self.authority_algorithms,
        }
    }

    /// Whether a method is switched on. `none` always is: what it needs is PermitEmptyPasswords.
    pub fn enables(&self, method: Method) -> bool {
        let switch = match method {
            Method::None => YesNo::Yes,
            Method::PublicKey => self.config.pubkey_authentication,
            Method::Hostbased => self.config.hostbased_authentication,
            Method::Password => self.config.password_authentication,
            Method::KeyboardInteractive => self.config.kbd_interactive_authentication,
        };
        switch == YesNo::Yes
    }

    /// Who judges accounts and passwords: UsePAM and PAMServiceName.
    pub fn authority(&self) -> Authority {
        match self.config.use_pam {
            // The reader of the configuration holds the name to the same rule.
            YesNo::Yes => {
                Authority::Pam(Service::new(&self.config.pam_service_name).unwrap_or_default())
            }
            YesNo::No => Authority::Shadow,
        }
    }
}

/// LogLevel in the terms of the journal: VERBOSE is `debug`, DEBUG is everything.
pub fn log_level(config: &SshdConfig) -> LevelFilter {
    match config.log_level {
        LogLevel::Quiet => LevelFilter::OFF,
        LogLevel::Fatal | LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Debug1 | LogLevel::Debug2 | LogLevel::Debug3 => LevelFilter::TRACE,
    }
}

/// SyslogFacility in the terms of the journal.
pub fn facility(config: &SshdConfig) -> Facility {
    match config.syslog_facility {
        SyslogFacility::Daemon => Facility::Daemon,
        SyslogFacility::User => Facility::User,
        SyslogFacility::Auth => Facility::Auth,
        SyslogFacility::AuthPriv => Facility::AuthPriv,
        SyslogFacility::Local0 => Facility::Local0,
        SyslogFacility::Local1 => Facility::Local1,
        SyslogFacility::Local2 => Facility::Local2,
        SyslogFacility::Local3 => Facility::Local3,
        SyslogFacility::Local4 => Facility::Local4,
        SyslogFacility::Local5 => Facility::Local5,
        SyslogFacility::Local6 => Facility::Local6,
        SyslogFacility::Local7 => Facility::Local7,
    }
}

/// Who wants to log in from where, as Match blocks see it.
pub fn criteria(
    user: &UserName,
    account: Option<&Account>,
    groups: Vec<String>,
    origin: Origin,
    source: &Source,
) -> Criteria {
    let local = origin.endpoints.local();
    Criteria {
        // As the client spelled it, which is what sshd compares.
        user: Some(user.as_str().to_owned()),
        account: match account {
            Some(_) => sshd::Account::Exists,
            None => sshd::Account::Invalid,
        },
        groups,
        host: Some(source.host.clone()),
        address: source.address,
        local_address: local.ip(),
        local_port: Some(local.port()),
        rdomain: origin.rdomain.map(|rdomain| rdomain.to_string()),
    }
}

/// Where a connection comes from, by its address alone; see [`host_name`](crate::host_name).
pub fn source(endpoints: Endpoints) -> Source {
    Source {
        host: endpoints.peer().address().to_string(),
        address: endpoints.peer().ip(),
    }
}

/// RequiredRSASize. Below 1024 bits nobody goes, whatever is configured; nor does OpenSSH.
pub(crate) fn required_rsa_size(config: &SshdConfig) -> RequiredRsaSize {
    let bits = config.required_rsa_size.max(1024);
    RequiredRsaSize(usize::try_from(bits).unwrap_or(usize::MAX))
}

/// The algorithms of a list.
pub(crate) fn signatures(list: &AlgorithmList) -> Vec<SignatureAlgorithm> {
    let names = list.names().iter();
    names
        .filter_map(|name| SignatureAlgorithm::from_name(name))
        .collect()
}
