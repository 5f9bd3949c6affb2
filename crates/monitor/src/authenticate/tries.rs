//! How often a client has tried, and what is used up by it.
//!
//! There are two numbers of failures, because there are in OpenSSH: its worker counts every request
//! that leads nowhere, for MaxAuthTries; its monitor counts credentials that were judged, and by that
//! number chooses how loud the next line of the journal is.

use std::mem;

use accounts::Method;
use wire::userauth::AuthMethod;

use crate::audit::Weight;

/// Requests of one connection, whatever becomes of them (as in OpenSSH): questions about acceptable
/// keys are no failures and yet cost a look into files.
const REQUESTS_LIMIT: u32 = 1024;

/// What one connection has tried.
#[derive(Debug, Default)]
pub(super) struct Tries {
    requests: u32,
    failures: u32,
    judged: u32,
    none: NoneMethod,
    passwords: Passwords,
    pam: Pam,
}

/// Whether `none` can be tried. It can be once.
#[derive(Debug, Default, PartialEq, Eq)]
enum NoneMethod {
    #[default]
    Untried,
    Tried,
}

/// Whether a password came, be it an empty one of `none`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Passwords {
    /// None did.
    #[default]
    Untried,
    /// One did.
    Tried,
}

/// Whether PAM can be asked. A module can say that it is enough (PAM_MAXTRIES).
#[derive(Debug, Default, PartialEq, Eq)]
enum Pam {
    #[default]
    Permitted,
    Exhausted,
}

/// Whether a failure was one of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A signature did not verify, a password was wrong.
    Judged,
    /// There was nothing to judge: the key is not listed, the method not offered.
    Unjudged,
}

/// What a request costs when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Price {
    /// `none` as the first of all asks which methods there are (RFC 4252 section 5.2).
    Nothing,
    /// One of MaxAuthTries.
    Try,
}

/// Whether there may be a next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    /// There may.
    Left,
    /// There may not.
    UsedUp,
}

impl Tries {
    /// What later requests depend on, as far as tests go.
    #[cfg(test)]
    pub(super) fn summary(&self) -> String {
        let (none, passwords, pam) = (&self.none, &self.passwords, &self.pam);
        format!(
            "{} {} {none:?} {passwords:?} {pam:?}",
            self.is_fresh(),
            self.failures
        )
    }

    /// Whether nothing was asked yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.requests == 0
    }

    /// A request came.
    pub(super) fn request(&mut self, method: &AuthMethod) -> Price {
        self.requests = self.requests.saturating_add(1);
        match (self.requests, method) {
            (1, AuthMethod::None) => Price::Nothing,
            _ => Price::Try,
        }
    }

    /// Whether a method is left to be tried.
    pub(super) fn permit(&self, method: Method) -> bool {
        match method {
            Method::None => self.none == NoneMethod::Untried,
            Method::Password | Method::KeyboardInteractive => self.pam == Pam::Permitted,
            Method::PublicKey | Method::Hostbased => true,
        }
    }

    /// `none` is tried now.
    pub(super) fn try_none(&mut self) {
        self.none = NoneMethod::Tried;
    }

    /// PAM is not to be asked any more.
    pub(super) fn exhaust_passwords(&mut self) {
        self.pam = Pam::Exhausted;
    }

    /// A password comes; what was before it.
    pub(super) fn try_password(&mut self) -> Passwords {
        mem::replace(&mut self.passwords, Passwords::Tried)
    }

    /// A request failed.
    pub(super) fn fail(&mut self, price: Price, verdict: Verdict) {
        self.failures = self.failures.saturating_add(match price {
            Price::Nothing => 0,
            Price::Try => 1,
        });
        self.judged = self.judged.saturating_add(match verdict {
            Verdict::Judged => 1,
            Verdict::Unjudged => 0,
        });
    }

    /// What is left for requests that are neither failures nor logins.
    pub(super) fn requests_left(&self) -> Budget {
        match self.requests < REQUESTS_LIMIT {
            true => Budget::Left,
            false => Budget::UsedUp,
        }
    }

    /// What is left after a failure, with MaxAuthTries `limit`.
    pub(super) fn left(&self, limit: u32) -> Budget {
        match self.failures < limit {
            true => self.requests_left(),
            false => Budget::UsedUp,
        }
    }

    /// How loud a line about a judgement is.
    pub(super) fn weight(&self, limit: u32) -> Weight {
        Weight::of(self.judged, limit)
    }

    /// How loud a line about a question to the client is.
    pub(super) fn weight_of_question(&self, limit: u32) -> Weight {
        Weight::of(self.failures, limit)
    }
}
