//! What a method found: nothing of what that means.

use std::time::Duration;

use accounts::Method;
use rpc::pam::Refusal as PamRefusal;
use wire::userauth::InfoRequest;

use super::dialog;
use super::tries::Verdict;
use crate::audit::Tried;
use crate::client_key::ClientKey;
use crate::proof::MethodProof;

/// What a method found.
pub(super) enum Attempt {
    /// It was completed; and what modules said.
    Proved(MethodProof, String),
    /// The key would do.
    Acceptable,
    /// The password is right and has expired; how to ask for a new one.
    Expired(String),
    /// The user is to answer.
    Question(dialog::Open, InfoRequest),
    /// It failed.
    Failed(Failed),
    /// It was not looked at: it is not offered, or the request is none that could succeed. sshd has
    /// no line for these.
    Unheard,
}

/// A method that failed, for the journal.
pub(super) struct Failed {
    pub(super) method: Method,
    pub(super) submethod: Option<&'static str>,
    pub(super) key: Option<ClientKey>,
    /// What the line has at its end.
    pub(super) detail: Option<String>,
    pub(super) verdict: Verdict,
    /// What modules said, as far as the user may know.
    pub(super) said: String,
    /// How long PAM would have the user wait.
    pub(super) delay: Duration,
    /// What PAM said.
    pub(super) pam: Option<(PamRefusal, String)>,
}

impl Failed {
    pub(super) fn new(method: Method, verdict: Verdict) -> Self {
        Self {
            method,
            submethod: match method {
                Method::KeyboardInteractive => Some(dialog::PAM),
                Method::None | Method::PublicKey | Method::Password | Method::Hostbased => None,
            },
            key: None,
            detail: None,
            verdict,
            said: String::new(),
            delay: Duration::ZERO,
            pam: None,
        }
    }

    /// Of a proof that was in order and is not enough.
    pub(super) fn of(proof: &MethodProof) -> Self {
        Self {
            key: proof.key().cloned(),
            detail: proof.detail().map(str::to_owned),
            ..Self::new(proof.method(), Verdict::Judged)
        }
    }

    /// Whether there is nothing more to try: the password was right, and its user is locked out. sshd ends
    /// the connection. A dialog just fails, for its user was told why in it.
    pub(super) fn denies_account(&self) -> bool {
        matches!(self.pam, Some((PamRefusal::Account, _)))
            && self.method != Method::KeyboardInteractive
    }

    pub(super) fn tried(&self) -> Tried<'_> {
        Tried {
            method: self.method,
            submethod: self.submethod,
            key: self.key.as_ref(),
            detail: self.detail.as_deref(),
        }
    }
}
