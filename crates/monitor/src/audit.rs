//! What the journal says of logins, in OpenSSH's words: tools and people search for them.
//!
//! The fields `conn`, `peer`, `peer_port`, `local` and `local_port` come from the connection's span;
//! here are those of the event. Text that the peer chose goes through [`Escaped`].

mod admission;
mod end;

use std::fmt;
use std::time::Duration;

use accounts::revocation::RevokedKey;
use accounts::{AuthorizedKey, KeyRefusal, Method, Place};
use config::authorized_keys::MergeError;
use journal::message_id::{
    ACCEPTED, ADMISSION_REFUSED, AUTHORIZED_KEYS_REFUSED, DISCONNECTED, FAILED, GRACE_TIMEOUT,
    INVALID_USER, SESSION_ENDED, SESSION_STARTED, WORKER_LOST,
};
use journal::{Escaped, RateLimit, Verdict};
use rpc::{Endpoint, Endpoints};
use tracing::{debug, error, info, warn};
use wire::userauth::UserName;

use crate::client_key::ClientKey;
use crate::connections::Administrator;
use crate::listing::Remark;
use crate::open_session::Origin;
use crate::progress::Skipped;
use crate::proof::AuthenticatedUser;
use crate::verify::Unsaid;

pub use self::admission::{dropped, exempted, penalised, penalties_cleared, throttling};
pub use self::end::{Stage, reported};

/// The line for a connection that is looked at for the first time.
pub fn connection(origin: Origin) {
    let (peer, local) = (origin.endpoints.peer(), origin.endpoints.local());
    let rdomain = match origin.rdomain {
        Some(rdomain) => format!(" rdomain \"{rdomain}\""),
        None => String::new(),
    };
    debug!("Connection from {peer} on {local}{rdomain}");
}

/// LoginGraceTime is over. `pid` is the worker's, 0 if the client had none yet.
pub fn grace_timeout(endpoints: Endpoints, pid: i32) {
    static TIMEOUTS: RateLimit = RateLimit::new(20, Duration::from_secs(10));
    if let Verdict::Log { suppressed } = TIMEOUTS.check() {
        info!(
            message_id = GRACE_TIMEOUT,
            suppressed,
            "Timeout before authentication for connection from {} to {}, pid = {pid}",
            endpoints.peer().address(),
            endpoints.local().address(),
        );
    }
}

/// An administrator ended the connection.
pub fn killed(endpoints: Endpoints, user: Option<&str>, by: Administrator) {
    let peer = endpoints.peer();
    match user.map(Escaped::word) {
        Some(user) => info!(
            message_id = DISCONNECTED,
            user = %user,
            reason = "killed",
            "Connection of user {user} from {peer} ended by {by}"
        ),
        None => info!(
            message_id = DISCONNECTED,
            reason = "killed",
            "Connection from {peer} ended by {by}"
        ),
    }
}

/// Who tries to log in, as the lines name them.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The name that binds the connection.
    pub user: &'a UserName,
    /// Whether there is such a user who may log in.
    pub validity: Validity,
    /// Between which addresses.
    pub endpoints: Endpoints,
}

/// Whether a user exists and may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Not looked up yet, or in order.
    Valid,
    /// Does not exist or may not log in.
    Invalid,
}

/// Whether an attempt is worth a line at the level that everybody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// One failure among few: a client that tries its keys.
    Light,
    /// Half of MaxAuthTries is used up.
    Heavy,
}

impl Weight {
    /// That of a line after `count` failures, with MaxAuthTries `limit`.
    pub fn of(count: u32, limit: u32) -> Self {
        match count >= limit / 2 {
            true => Self::Heavy,
            false => Self::Light,
        }
    }
}

/// What a method came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A login.
    Accepted,
    /// It was completed, and others are wanted.
    Partial,
    /// The client has the next word.
    Postponed,
    /// Nothing.
    Failed,
}

/// A method, as the lines name it.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// Which.
    pub method: Method,
    /// By which of its submethods.
    pub submethod: Option<&'static str>,
    /// With which key.
    pub key: Option<&'a ClientKey>,
    /// And what else is known of it.
    pub detail: Option<&'a str>,
}

impl Subject<'_> {
    fn peer(&self) -> Endpoint {
        self.endpoints.peer()
    }

    fn name(&self) -> Escaped<'_> {
        Escaped::word(self.user.as_str())
    }

    fn invalid(&self) -> &'static str {
        match self.validity {
            Validity::Valid => "",
            Validity::Invalid => "invalid user ",
        }
    }

    /// No such user.
    pub fn invalid_user(&self) {
        let (name, peer) = (self.name(), self.peer());
        info!(
            message_id = INVALID_USER,
            user = %name,
            "Invalid user {name} from {peer}"
        );
    }

    /// There is such a user, who may not log in.
    pub fn denied(&self, denial: &accounts::Denial) {
        let (name, peer) = (self.name(), self.peer());
        let from = match denial {
            accounts::Denial::Root => format!(" FROM {peer}"),
            _ => String::new(),
        };
        info!(
            message_id = INVALID_USER,
            user = %name,
            reason = %denial,
            "{denial}{from}"
        );
    }

    /// RefuseConnection.
    pub fn prohibited(&self) {
        let (name, peer, invalid) = (self.name(), self.peer(), self.invalid());
        info!(
            message_id = ADMISSION_REFUSED,
            user = %name,
            reason = "RefuseConnection",
            "administratively prohibited connection for {invalid}{name} from {peer}"
        );
    }

    /// It is not known whether there is such a user.
    pub fn unclear(&self, error: &accounts::LookupError) {
        let name = self.name();
        error!(message_id = INVALID_USER, user = %name, reason = %error, "{name}: {error}");
    }

    /// Something about a key that was looked for.
    pub fn about_key(&self, key: &ClientKey, remark: &Remark) {
        let name = self.name();
        let (kind, fingerprint) = (key.log_name(), key.fingerprint());
        macro_rules! line {
            ($level:ident, $($text:tt)*) => {
                $level!(
                    message_id = AUTHORIZED_KEYS_REFUSED,
                    user = %name,
                    reason = %remark,
                    $($text)*
                )
            };
        }
        match remark {
            Remark::Revoked(revoked @ RevokedKey::Named { .. }) => {
                line!(error, "Authentication key {kind} {fingerprint} {revoked}");
            }
            Remark::Revoked(revoked) => {
                line!(
                    error,
                    "Error checking authentication key {kind} {fingerprint} in {revoked}"
                );
            }
            Remark::Key(refusal @ KeyRefusal::Certificate(_)) => line!(error, "{refusal}"),
            Remark::Key(refusal) => line!(info, "{refusal}"),
            Remark::Principal(refusal) => line!(info, "{refusal}"),
            Remark::Untrusted(untrusted) => {
                debug!(user = %name, reason = %untrusted, "{untrusted}")
            }
        }
    }

    /// An account lists a key, whether or not the client has it.
    pub fn listed(&self, key: &ClientKey, listed: &AuthorizedKey) {
        let (name, place) = (self.name(), listed.place());
        match key {
            ClientKey::Plain(key) => {
                let (kind, fingerprint) = (key.log_name(), key.fingerprint());
                debug!(user = %name, "Accepted key {kind} {fingerprint} found at {place}");
            }
            ClientKey::Certified(certified) => {
                let certificate = certified.certificate();
                let (id, serial) = (Escaped::new(&certificate.key_id), certificate.serial);
                let authority = certified.authority();
                let (kind, fingerprint) = (authority.log_name(), authority.fingerprint());
                let authority = match place {
                    Place::Line { .. } => {
                        format!("CA {kind} {fingerprint} found at {place}")
                    }
                    Place::Authorities(_) => format!("{kind} CA {fingerprint} via {place}"),
                };
                debug!(
                    user = %name,
                    "Accepted certificate ID \"{id}\" (serial {serial}) signed by {authority}"
                );
            }
        }
    }

    /// The signature of an authenticator does not say what it must.
    pub fn unsaid(&self, key: &ClientKey, unsaid: Unsaid) {
        let (name, peer, invalid) = (self.name(), self.peer(), self.invalid());
        let (kind, fingerprint) = (key.log_name(), key.fingerprint());
        error!(
            message_id = FAILED,
            user = %name,
            method = "publickey",
            key_type = kind,
            key_fp = %fingerprint,
            reason = %unsaid,
            "public key {kind} {fingerprint} signature for {invalid}{name} from {peer} rejected: {unsaid}"
        );
    }

    /// The client's key is none that could be verified.
    pub fn key_unusable(&self, reason: &dyn fmt::Display) {
        let name = self.name();
        info!(user = %name, reason = %reason, "userauth_pubkey: {reason}");
    }

    /// The algorithm of the client's signature is not among PubkeyAcceptedAlgorithms.
    pub fn algorithm_refused(&self, algorithm: &str) {
        let (name, algorithm) = (self.name(), Escaped::word(algorithm));
        info!(
            user = %name,
            "userauth_pubkey: signature algorithm {algorithm} not in PubkeyAcceptedAlgorithms [preauth]"
        );
    }

    /// A key that completed a method of this connection already (AuthenticationMethods).
    pub fn key_used(&self, key: &ClientKey) {
        let (name, key_type) = (self.name(), key.log_name());
        info!(user = %name, key_type, "refusing previously-used {key_type} key [preauth]");
    }

    /// Two methods restrict the session to what cannot both hold.
    pub fn inconsistent(&self, why: MergeError) {
        let name = self.name();
        error!(user = %name, "inconsistent authentication options: {why} [preauth]");
    }

    /// PermitRootLogin forced-commands-only, and the key has a command.
    pub fn root_has_command(&self) {
        let name = self.name();
        info!(user = %name, "Root login accepted for forced command.");
    }

    /// PAM refused somebody whom it talked with.
    pub fn pam_refused(&self, reason: &str) {
        let (name, peer, reason) = (self.name(), self.peer().address(), Escaped::new(reason));
        let illegal = match self.validity {
            Validity::Valid => "",
            Validity::Invalid => "illegal user ",
        };
        error!(
            user = %name,
            reason = %reason,
            "PAM: {reason} for {illegal}{name} from {peer}"
        );
    }

    /// PAM's account phase refused somebody whose password is right: sshd's process ends of that.
    pub fn account_refused(&self) {
        let name = self.name();
        error!(
            priority = "crit",
            user = %name,
            "Access denied for user {name} by PAM account configuration [preauth]"
        );
    }

    /// A list of AuthenticationMethods is never begun.
    pub fn skipped(&self, skipped: &Skipped) {
        let (name, list) = (self.name(), skipped.list());
        error!(user = %name, "{skipped} [preauth]");
        info!(
            user = %name,
            "Authentication methods list \"{list}\" contains disabled method, skipping [preauth]"
        );
    }

    /// AuthenticationMethods leaves nothing that could be tried.
    pub fn no_methods(&self) {
        let (name, peer) = (self.name(), self.peer());
        error!(
            user = %name,
            "No AuthenticationMethods left after eliminating disabled methods [preauth]"
        );
        info!(
            message_id = DISCONNECTED,
            user = %name,
            "Disconnecting {}{name} {peer}: no authentication methods enabled [preauth]",
            self.kind(),
        );
    }

    /// What a method came to. sshd's `auth_log`.
    pub fn tried(&self, word: Word, tried: Tried<'_>, weight: Weight) {
        let (name, peer, invalid) = (self.name(), self.peer(), self.invalid());
        let (key_type, key_fp) = (
            tried.key.map(ClientKey::log_name),
            tried.key.map(|key| key.fingerprint().to_string()),
        );
        let key = match (tried.key.map(Described), tried.detail) {
            (Some(key), Some(detail)) => format!(": {key}, {detail}"),
            (Some(key), None) => format!(": {key}"),
            (None, Some(detail)) => format!(": {detail}"),
            (None, None) => String::new(),
        };
        let (begin, end) = match word {
            Word::Accepted => ("Accepted", ""),
            Word::Partial => ("Partial", ""),
            // Said by sshd's worker, all else by its monitor.
            Word::Postponed => ("Postponed", " [preauth]"),
            Word::Failed => ("Failed", ""),
        };
        let message_id = match word {
            Word::Accepted => Some(ACCEPTED),
            Word::Failed => Some(FAILED),
            Word::Partial | Word::Postponed => None,
        };
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    message_id,
                    user = %name,
                    method = tried.method.name(),
                    key_type,
                    key_fp,
                    "{begin} {tried} for {invalid}{name} from {peer} ssh2{key}{end}"
                )
            };
        }
        match (word, self.validity, tried.method, weight) {
            // Nobody looks for the keys of nobody: sshd says one line of them, at the end, and who counts such lines
            // would count a stranger twice.
            (Word::Failed, Validity::Invalid, Method::PublicKey | Method::Hostbased, _) => {}
            (Word::Accepted, ..)
            | (_, Validity::Invalid, ..)
            | (_, _, Method::Password, _)
            | (_, _, _, Weight::Heavy) => line!(info),
            (_, Validity::Valid, _, Weight::Light) => line!(debug),
        }
    }

    fn kind(&self) -> &'static str {
        match self.validity {
            Validity::Valid => "authenticating user ",
            Validity::Invalid => "invalid user ",
        }
    }

    /// MaxAuthTries is used up.
    pub fn too_many_failures(&self) {
        let (name, peer, invalid) = (self.name(), self.peer(), self.invalid());
        error!(
            message_id = FAILED,
            user = %name,
            "maximum authentication attempts exceeded for {invalid}{name} from {peer} ssh2 [preauth]"
        );
        let kind = self.kind();
        info!(
            message_id = DISCONNECTED,
            user = %name,
            "Disconnecting {kind}{name} {peer}: Too many authentication failures [preauth]"
        );
    }
}

/// A login. The line is about the method that completed it.
pub fn accepted(user: &AuthenticatedUser, endpoints: Endpoints) {
    completed(user, endpoints, Word::Accepted);
}

/// The methods are complete, and PAM's account phase refuses the user.
pub fn account_denied(user: &AuthenticatedUser, endpoints: Endpoints) {
    completed(user, endpoints, Word::Failed);
    subject_of(user, endpoints).account_refused();
}

fn completed(user: &AuthenticatedUser, endpoints: Endpoints, word: Word) {
    if let Some(proof) = user.methods().last() {
        let tried = Tried {
            method: proof.method(),
            submethod: proof.submethod(),
            key: proof.key(),
            detail: proof.detail(),
        };
        subject_of(user, endpoints).tried(word, tried, Weight::Light);
    }
}

fn subject_of(user: &AuthenticatedUser, endpoints: Endpoints) -> Subject<'_> {
    Subject {
        user: user.user(),
        validity: Validity::Valid,
        endpoints,
    }
}

impl Tried<'_> {
    /// A method as such.
    pub fn by(method: Method) -> Self {
        Self {
            method,
            submethod: None,
            key: None,
            detail: None,
        }
    }
}

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.name())?;
        match self.submethod {
            Some(submethod) => write!(f, "/{submethod}"),
            None => Ok(()),
        }
    }
}

/// A key as OpenSSH's log has it: type and fingerprint, and of a certificate who signed what.
struct Described<'a>(&'a ClientKey);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.log_name(), self.0.fingerprint())?;
        match self.0 {
            ClientKey::Plain(_) => Ok(()),
            ClientKey::Certified(certified) => write!(
                f,
                " ID {} (serial {}) CA {} {}",
                Escaped::word(&certified.certificate().key_id),
                certified.certificate().serial,
                certified.authority().log_name(),
                certified.authority().fingerprint(),
            ),
        }
    }
}

/// A session is up.
pub fn session_started(user: &str, unit: &str) {
    let user = Escaped::word(user);
    debug!(
        message_id = SESSION_STARTED,
        user = %user,
        session_unit = unit,
        "Session of user {user} runs as {unit}"
    );
}

/// A session's process has ended.
pub fn session_ended(user: &str, unit: &str) {
    let user = Escaped::word(user);
    debug!(
        message_id = SESSION_ENDED,
        user = %user,
        session_unit = unit,
        "Session of user {user} ended"
    );
}

/// A worker broke the contract: it is corrupted, or has a bug.
pub fn violation(unit: &str, phase: &'static str, violation: &rpc::Violation) {
    warn!(
        message_id = WORKER_LOST,
        worker_unit = unit,
        phase,
        reason = %violation,
        "worker {unit} did what phase {phase:?} does not permit, its connection is ended: {violation}"
    );
}

/// A worker ended without a last word: it crashed, or was killed.
pub fn worker_lost(unit: &str, phase: &'static str) {
    warn!(
        message_id = WORKER_LOST,
        worker_unit = unit,
        phase,
        "worker {unit} ended in phase {phase:?} without saying why"
    );
}
