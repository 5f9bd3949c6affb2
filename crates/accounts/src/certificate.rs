//! What a user certificate is good for, PROTOCOL.certkeys: for whom, when, from where, and for what.
//!
//! Whose word counts and whether the signature verifies is decided elsewhere; here the authority is taken for trusted and
//! the fields for signed. The order of the questions is OpenSSH's, since the first refusal is what the journal gets.

mod options;

use config::authorized_keys::{
    Constraints, MergeError, Options, Principal, Role, Situation, Unmet,
};
use thiserror::Error;
use wire::certificate::{Certificate, CertificateKind};

pub use options::BadCertificateOptions;

/// Why an authority's certificates count for an account.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// TrustedUserCAKeys: certificates that name the user.
    ForUser(&'a str),
    /// TrustedUserCAKeys with AuthorizedPrincipalsFile or AuthorizedPrincipalsCommand: certificates that have one of
    /// these, in the order of the file. None are in a file that is not there.
    ForPrincipals(&'a [Principal]),
    /// A line of authorized_keys with `cert-authority`: certificates that have one of its `principals`, or name the user
    /// if it says nothing about them.
    ByLine {
        /// The options of the line.
        options: &'a Options,
        /// The user.
        user: &'a str,
    },
}

/// What a certificate permits, together with the line that made it count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    /// The constraints that hold. Those about the client and the time are met.
    pub constraints: Constraints,
    /// Extensions that nobody knows and that are ignored: a line of the journal each, in OpenSSH.
    pub ignored: Vec<String>,
}

/// Why a certificate is refused. `Display` is what OpenSSH says behind `Refusing certificate ID … signed by … CA …:`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateRefusal {
    /// For a host.
    #[error("Certificate invalid: not a user certificate")]
    NotForUsers,
    /// "valid after" is to come.
    #[error("Certificate invalid: not yet valid")]
    NotYetValid,
    /// "valid before" has come.
    #[error("Certificate invalid: expired")]
    Expired,
    /// For nobody. Older versions of OpenSSH took it to be for everybody (CVE-2024-7594 is what came of that).
    #[error("Certificate lacks principal list")]
    NoPrincipals,
    /// For others.
    #[error("Certificate invalid: name is not a listed principal")]
    OtherPrincipals,
    /// For none of those who may be this user.
    #[error("Certificate does not contain an authorized principal")]
    NoAuthorizedPrincipal,
    /// Something about it cannot be understood.
    #[error("Invalid certificate options: {0}")]
    Options(#[from] BadCertificateOptions),
    /// Its own constraints are not met.
    #[error("Refused by certificate options: {0}")]
    ByCertificate(Unmet),
    /// Those of the principal's line are not.
    #[error("Refused by certificate principals options: {0}")]
    ByPrincipal(Unmet),
    /// Those of the authority's line are not.
    #[error("Refused by key options: {0}")]
    ByLine(Unmet),
    /// The line is not one of an authority.
    #[error("key is not marked as a certificate authority")]
    NoAuthority,
    /// Certificate and line contradict each other.
    #[error(transparent)]
    Contradiction(#[from] MergeError),
}

/// Whether a certificate counts for an account, now and from where the client is.
///
/// # Errors
///
/// Why it does not.
pub fn judge(
    certificate: &Certificate,
    trust: Trust<'_>,
    situation: Situation<'_>,
) -> Result<Permitted, CertificateRefusal> {
    let by_certificate = || {
        let own = options::read(certificate)?;
        let met = own.constraints.met_by(situation);
        met.map_err(CertificateRefusal::ByCertificate)?;
        Ok::<Permitted, CertificateRefusal>(own)
    };
    match trust {
        Trust::ForUser(user) => {
            valid(certificate, situation.now)?;
            names(certificate, user)?;
            by_certificate()
        }
        Trust::ForPrincipals(principals) => {
            let principal = principals
                .iter()
                .find(|principal| certificate.principals.contains(&principal.name))
                .ok_or(CertificateRefusal::NoAuthorizedPrincipal)?;
            valid(certificate, situation.now)?;
            let own = by_certificate()?;
            let line = &principal.options.constraints;
            line.met_by(situation)
                .map_err(CertificateRefusal::ByPrincipal)?;
            together(line, own)
        }
        Trust::ByLine { options, user } => {
            let Role::Authority { principals } = &options.role else {
                return Err(CertificateRefusal::NoAuthority);
            };
            let line = &options.constraints;
            line.met_by(situation).map_err(CertificateRefusal::ByLine)?;
            let permitted = together(line, by_certificate()?)?;
            // Whole elements are compared: a principal with a comma in it is one, and no list (CVE-2026-35414).
            let listed = |principals: &Vec<String>| {
                certificate
                    .principals
                    .iter()
                    .any(|principal| principals.contains(principal))
            };
            if principals
                .as_ref()
                .is_some_and(|principals| !listed(principals))
            {
                return Err(CertificateRefusal::NoAuthorizedPrincipal);
            }
            valid(certificate, situation.now)?;
            if principals.is_none() {
                names(certificate, user)?;
            }
            Ok(permitted)
        }
    }
}

/// For users, now, and for somebody.
fn valid(certificate: &Certificate, now: u64) -> Result<(), CertificateRefusal> {
    if certificate.kind != CertificateKind::User {
        return Err(CertificateRefusal::NotForUsers);
    }
    if now < certificate.validity.after {
        return Err(CertificateRefusal::NotYetValid);
    }
    if now >= certificate.validity.before {
        return Err(CertificateRefusal::Expired);
    }
    match certificate.principals.is_empty() {
        true => Err(CertificateRefusal::NoPrincipals),
        false => Ok(()),
    }
}

/// For this user.
fn names(certificate: &Certificate, user: &str) -> Result<(), CertificateRefusal> {
    let named = certificate.principals.iter().any(|name| name == user);
    match named {
        true => Ok(()),
        false => Err(CertificateRefusal::OtherPrincipals),
    }
}

fn together(line: &Constraints, own: Permitted) -> Result<Permitted, CertificateRefusal> {
    Ok(Permitted {
        constraints: line.clone().merge(own.constraints)?,
        ..own
    })
}

#[cfg(test)]
mod tests;
