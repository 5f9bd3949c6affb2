//! What users may be told, after their login, of what did not count before it: what OpenSSH tells them (auth_debug_add).
//!
//! It is less than what is logged: neither the list of a `from` nor who signed a certificate.

use crate::hostbased::HostRefusal;
use crate::keys::KeyRefusal;
use crate::principals::PrincipalRefusal;
use crate::printable::Printable;
use crate::user_file::{FileRefusal, Purpose};
use config::authorized_keys::Malformed;

impl KeyRefusal {
    /// In OpenSSH's words, if it does not only log this. (It says "Refused by key options", too, after each line that says
    /// which one: that is left out. That a quotation has no end it says without the place.)
    #[must_use]
    pub fn told(&self) -> Option<String> {
        match self {
            Self::File(refusal) => refusal.told(Purpose::Keys),
            Self::Malformed {
                why: Malformed::Options(_) | Malformed::UnterminatedQuote,
                ..
            } => Some(self.to_string()),
            Self::Unmet { place, told, .. } => Some(format!("{place}: {told}")),
            Self::Certificate(refused) => refused.told(),
            Self::Malformed { .. } | Self::Extension(_) | Self::Identity(_) => None,
        }
    }
}

impl PrincipalRefusal {
    /// The same.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        match self {
            Self::File(refusal) => refusal.told(Purpose::Principals),
            Self::Malformed {
                path,
                line,
                why: Malformed::Options(why),
            } => Some(format!(
                "{}:{line}: bad principals options: {why}",
                Printable(path)
            )),
            Self::Malformed { .. } | Self::TooMany { .. } | Self::Identity(_) => None,
        }
    }
}

impl HostRefusal {
    /// The same. (Of what it did not use for another reason, or did use, OpenSSH tells as well; that is for the log here.)
    #[must_use]
    pub fn told(&self) -> Option<String> {
        match self {
            Self::NoHome { .. } | Self::Home { .. } => Some(self.to_string()),
            Self::Rhosts { path, .. } => Some(format!("Bad file modes for {}", Printable(path))),
            Self::KnownHosts { path, .. } => Some(format!(
                "Ignored {}: bad ownership or modes",
                Printable(path)
            )),
            Self::Unreadable { .. }
            | Self::Revoked { .. }
            | Self::Certificate(_)
            | Self::Identity(_) => None,
        }
    }
}

impl FileRefusal {
    fn told(&self, purpose: Purpose) -> Option<String> {
        match self {
            Self::BadOwnershipOrModes { kind, path } => Some(format!(
                "Ignored {purpose}: bad ownership or modes for {kind} {}",
                Printable(path)
            )),
            Self::NotRegular { .. } | Self::TooLong { .. } | Self::Unreadable { .. } => None,
        }
    }
}
