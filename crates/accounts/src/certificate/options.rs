//! Critical options and extensions of user certificates, PROTOCOL.certkeys.

use super::Permitted;
use config::authorized_keys::Constraints;
use config::sshd::{AddressList, YesNo};
use std::net::IpAddr;
use thiserror::Error;
use wire::certificate::{Certificate, CertificateOption};
use wire::codec::Reader;

/// The longest command or list of addresses, in bytes: what a certificate can hold at all.
const TEXT_LIMIT: usize = wire::certificate::CERTIFICATE_LIMIT;

/// Why options of a certificate cannot be obeyed. The names are the authority's text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadCertificateOptions {
    /// A critical option that there is not.
    #[error("Certificate critical option {0:?} is not supported")]
    Unsupported(String),
    /// An option without its value, or with something behind it.
    #[error("Certificate option {0:?} corrupt")]
    Corrupt(String),
    /// Anything but addresses and networks.
    #[error("Certificate source-address contents invalid")]
    SourceAddress,
}

/// What the options say. A certificate permits what its extensions name, and nothing else.
pub(super) fn read(certificate: &Certificate) -> Result<Permitted, BadCertificateOptions> {
    let mut constraints = Constraints::default();
    let session = &mut constraints.session;
    for flag in [
        &mut session.agent_forwarding,
        &mut session.port_forwarding,
        &mut session.pty,
        &mut session.user_rc,
        &mut session.x11_forwarding,
    ] {
        *flag = YesNo::No;
    }
    for option in &certificate.critical_options {
        critical(option, &mut constraints)?;
    }
    let mut ignored = Vec::new();
    for option in &certificate.extensions {
        match extension(&option.name, &mut constraints) {
            Known::Yes => empty(option)?,
            Known::No => ignored.push(option.name.clone()),
        }
    }
    Ok(Permitted {
        constraints,
        ignored,
    })
}

enum Known {
    Yes,
    No,
}

fn critical(
    option: &CertificateOption,
    constraints: &mut Constraints,
) -> Result<(), BadCertificateOptions> {
    match option.name.as_str() {
        "force-command" => constraints.session.forced_command = Some(text(option)?),
        "source-address" => constraints
            .source_addresses
            .push(addresses(&text(option)?)?),
        "verify-required" => {
            empty(option)?;
            constraints.verify_required = YesNo::Yes;
        }
        name => return Err(BadCertificateOptions::Unsupported(name.to_owned())),
    }
    Ok(())
}

fn extension(name: &str, constraints: &mut Constraints) -> Known {
    let session = &mut constraints.session;
    match name {
        "permit-agent-forwarding" => session.agent_forwarding = YesNo::Yes,
        "permit-port-forwarding" => session.port_forwarding = YesNo::Yes,
        "permit-pty" => session.pty = YesNo::Yes,
        "permit-user-rc" => session.user_rc = YesNo::Yes,
        "permit-X11-forwarding" => session.x11_forwarding = YesNo::Yes,
        "no-touch-required" => constraints.touch_required = YesNo::No,
        _ => return Known::No,
    }
    Known::Yes
}

/// The data of an option that is one string without NUL.
fn text(option: &CertificateOption) -> Result<String, BadCertificateOptions> {
    let corrupt = || BadCertificateOptions::Corrupt(option.name.clone());
    let mut reader = Reader::new(&option.data);
    let text = reader.text(TEXT_LIMIT).map_err(|_| corrupt())?;
    reader.finish().map_err(|_| corrupt())?;
    match text.contains('\0') {
        true => Err(corrupt()),
        false => Ok(text.to_owned()),
    }
}

fn empty(option: &CertificateOption) -> Result<(), BadCertificateOptions> {
    match option.data.is_empty() {
        true => Ok(()),
        false => Err(BadCertificateOptions::Corrupt(option.name.clone())),
    }
}

/// addr_match_cidr_list() of OpenSSH: no wildcards, no names, nothing excluded.
fn addresses(text: &str) -> Result<AddressList, BadCertificateOptions> {
    let plain = text.split(',').all(|entry| {
        let address = entry.split_once('/').map_or(entry, |(address, _)| address);
        address.parse::<IpAddr>().is_ok()
    });
    match (plain, AddressList::parse(text)) {
        (true, Ok(list)) => Ok(list),
        _ => Err(BadCertificateOptions::SourceAddress),
    }
}
