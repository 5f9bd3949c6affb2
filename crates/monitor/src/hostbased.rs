//! The `hostbased` method (RFC 4252 section 9): a client's host says who its user is.
//!
//! ```text
//!  signature over data built here ─┐
//!  RevokedKeys ──▶ Unrevoked ──────┼─▶ HostProof
//!  files ────────▶ TrustedHost ────┘
//! ```
//!
//! The same is done for whoever asks: for those who are nobody the files are nobody's, and what they
//! say does not count.

use accounts::Source;
use accounts::bounded::NotDone;
use accounts::hostbased::{
    HostKey, HostQuery, HostRefusal, HostSearch, HostVerdict, SystemFiles, TrustedHost, find_host,
};
use accounts::revocation::Unrevoked;
use config::sshd::YesNo;
use journal::Escaped;
use tracing::{debug, error, info};
use wire::names::SignatureAlgorithm;
use wire::userauth::{HostbasedRequest, UserName};

use crate::account::{FILES_DEADLINE, Standing, blocking};
use crate::client_key::ClientKey;
use crate::exchange::FirstExchange;
use crate::listing::{not_revoked, now, on_account_of};
use crate::public_key::BadSignature;
use crate::rules::{Rules, signatures};
use crate::told::Told;
use crate::verify::SERVICE;

/// How much of a name that the client chose is shown, as in OpenSSH.
const NAME_SHOWN: usize = 100;

/// A host that is trusted for `user` signed, for this very connection, that its user wants to log in.
///
/// Made by [`prove`] only.
#[derive(Debug)]
pub struct HostProof {
    user: UserName,
    key: ClientKey,
    trusted: TrustedHost,
    described: String,
}

impl HostProof {
    /// The user whom the signature names.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The host's key.
    pub fn key(&self) -> &ClientKey {
        &self.key
    }

    /// The account whose files, or the system's, trust the host.
    pub fn account(&self) -> &accounts::Account {
        self.trusted.account()
    }

    /// See [`described`].
    pub fn described(&self) -> &str {
        &self.described
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Hostbased {
    /// The host is believed.
    Proved(Box<HostProof>),
    /// It would be, had it signed this.
    Forged(ClientKey),
    /// It is not, or its user may not log in. With the key, if it was one.
    Refused(Option<ClientKey>),
}

/// In which connection a host speaks.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// What the signature is bound to.
    pub first: &'a FirstExchange,
    /// The name that binds the connection.
    pub user: &'a UserName,
    /// Whether there is such a user.
    pub standing: &'a Standing,
    /// What holds for the connection.
    pub rules: &'a Rules,
    /// Files that speak for all users.
    pub files: &'a SystemFiles,
    /// Where it comes from.
    pub source: &'a Source,
}

/// Decides one request. Why a host is not believed is in the journal then, and what of it is for the user in `told`.
pub async fn prove(
    request: &HostbasedRequest,
    situation: Situation<'_>,
    told: &mut Told,
) -> Hostbased {
    let Situation {
        first, user, rules, ..
    } = situation;
    let (algorithm, key) = match usable_key(request, rules) {
        Ok(usable) => usable,
        Err(why) => {
            debug!("userauth_hostbased: {why}");
            return Hostbased::Refused(None);
        }
    };
    // Signature first, files second, for whatever user: the order must not tell who exists.
    let signed = verify(first, user, request, algorithm, &key);
    let unrevoked = not_revoked(rules, key.blob()).await;
    if let Err(revoked) = &unrevoked {
        error!("{revoked}");
    }
    let trusted = search(request, &key, situation, told).await;
    match (signed, unrevoked, trusted) {
        (Ok(()), Ok(unrevoked), Some(trusted)) if same_key(&key, &unrevoked, &trusted) => {
            Hostbased::Proved(Box::new(HostProof {
                user: user.clone(),
                key,
                trusted,
                described: described(request),
            }))
        }
        (Err(BadSignature), Ok(_), Some(_)) => Hostbased::Forged(key),
        _ => Hostbased::Refused(Some(key)),
    }
}

/// Verifies the signature over what the monitor knows itself: the session, the user who binds the
/// connection, the service, and the names as they will be looked for. An authenticator need not have
/// been touched: hosts have no fingers.
fn verify(
    first: &FirstExchange,
    user: &UserName,
    request: &HostbasedRequest,
    algorithm: SignatureAlgorithm,
    key: &ClientKey,
) -> Result<(), BadSignature> {
    let data = request.signed_data(first.session().as_bytes(), user, SERVICE);
    key.verify(algorithm, &data, &request.signature).map(drop)
}

/// Whether the proofs are about the same key.
fn same_key(key: &ClientKey, unrevoked: &Unrevoked, trusted: &TrustedHost) -> bool {
    key.blob() == unrevoked.blob() && key.blob() == trusted.key_blob()
}

/// What the lines of this method have at their end (auth2_record_info of OpenSSH).
pub fn described(request: &HostbasedRequest) -> String {
    let user = Escaped::new(&request.client_user).limit(NAME_SHOWN);
    let host = Escaped::new(without_dot(&request.host_name)).limit(NAME_SHOWN);
    format!("client user \"{user}\", client host \"{host}\"")
}

/// OpenSSH's client sends a name with the dot of DNS's root, but no file has one.
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// The key of a request, if this server verifies with it.
fn usable_key(
    request: &HostbasedRequest,
    rules: &Rules,
) -> Result<(SignatureAlgorithm, ClientKey), String> {
    let accepted = signatures(&rules.config.hostbased_accepted_algorithms);
    let algorithm = SignatureAlgorithm::from_name(&request.algorithm)
        .filter(|algorithm| accepted.contains(algorithm))
        .ok_or_else(|| {
            let name = Escaped::word(&request.algorithm);
            format!("signature algorithm {name} not in HostbasedAcceptedAlgorithms")
        })?;
    let key = ClientKey::parse(&request.key, algorithm, rules.key_requirements());
    Ok((algorithm, key.map_err(|error| error.to_string())?))
}

async fn search(
    request: &HostbasedRequest,
    key: &ClientKey,
    situation: Situation<'_>,
    told: &mut Told,
) -> Option<TrustedHost> {
    let Situation {
        user,
        standing,
        rules,
        files,
        source,
        ..
    } = situation;
    let (account, owner) = on_account_of(user, standing);
    let claimed = without_dot(&request.host_name);
    let address = source
        .address
        .map_or_else(|| "UNKNOWN".to_owned(), |address| address.to_string());
    let by_packet = rules.config.hostbased_uses_name_from_packet_only == YesNo::Yes;
    let (host, address) = match by_packet {
        true => (claimed.to_owned(), claimed.to_owned()),
        false => {
            // As in sshd: the hosts of nobody are not worth a line.
            let mismatch = !source.host.eq_ignore_ascii_case(claimed);
            if mismatch && matches!(standing, Standing::Permitted(_)) {
                info!(
                    "userauth_hostbased mismatch: client sends {}, but we resolve {address} to {}",
                    Escaped::word(claimed),
                    source.host
                );
            }
            (source.host.clone(), address)
        }
    };
    let query = HostQuery {
        account,
        owner,
        host,
        address,
        client_user: request.client_user.clone(),
        key: match key {
            ClientKey::Plain(key) => HostKey::Plain(key.blob().to_vec()),
            ClientKey::Certified(certified) => {
                HostKey::Certified(Box::new(certified.certificate().clone()))
            }
        },
        strict_modes: rules.config.strict_modes,
        ignore_rhosts: rules.config.ignore_rhosts,
        ignore_user_known_hosts: rules.config.ignore_user_known_hosts,
        now: now(),
    };
    let files = files.clone();
    let work = move || find_host(query.clone(), files.clone(), FILES_DEADLINE);
    let busy = |search: &HostSearch| matches!(search.verdict, HostVerdict::Unknown(NotDone::Busy));
    let HostSearch { verdict, refusals } = blocking(work, busy).await?;
    // Nobody's files list nothing, whatever was found in them.
    let Standing::Permitted(_) = standing else {
        return None;
    };
    for refusal in &refusals {
        report(refusal);
    }
    told.keep(refusals.iter().filter_map(HostRefusal::told));
    match verdict {
        HostVerdict::Trusted(trusted) => {
            debug!(
                "Accepted {} public key {} from {}@{}",
                key.log_name(),
                key.fingerprint(),
                Escaped::word(trusted.client_user()),
                Escaped::word(trusted.host()),
            );
            Some(trusted)
        }
        HostVerdict::NotTrusted | HostVerdict::Unknown(_) => None,
    }
}

fn report(refusal: &HostRefusal) {
    match refusal {
        HostRefusal::Revoked { .. } | HostRefusal::Certificate(_) => error!("{refusal}"),
        _ => info!("{refusal}"),
    }
}

#[cfg(test)]
mod tests;
