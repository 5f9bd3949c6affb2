//! What a client did before its connection ended without a login, as far as that is an offence.
//!
//! The worker may be the client's by now. What counts is what the monitor was asked and what it
//! answered; to report a harmless end, or not to report one, changes nothing for the better.

use wire::userauth::AuthMethod;

use crate::admission::Offence;
use crate::audit::Validity;

/// What it did, the worst of it. As in sshd (10.3), an attempt that somebody has judged weighs more than the name of
/// nobody. Keys and hosts of nobody are not judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conduct {
    /// It did not try to authenticate.
    #[default]
    Silent,
    /// It tried to be somebody who does not exist or may not log in.
    InvalidUser,
    /// It tried.
    Attempted,
}

impl Conduct {
    /// It asked to be authenticated with this method, as a user of this standing.
    pub fn asked(&mut self, method: &AuthMethod, validity: Validity) {
        let asked = match (validity, method) {
            (Validity::Invalid, AuthMethod::Password(_)) => Self::Attempted,
            (
                Validity::Invalid,
                AuthMethod::None
                | AuthMethod::Unsupported(_)
                | AuthMethod::KeyboardInteractive(_)
                | AuthMethod::PublicKey(_)
                | AuthMethod::Hostbased(_),
            ) => Self::InvalidUser,
            // What clients begin with to hear what there is; and what nobody here looks at.
            (Validity::Valid, AuthMethod::None | AuthMethod::Unsupported(_)) => Self::Silent,
            // Asks to be asked. The attempt is the answer.
            (Validity::Valid, AuthMethod::KeyboardInteractive(_)) => Self::Silent,
            (
                Validity::Valid,
                AuthMethod::PublicKey(_) | AuthMethod::Password(_) | AuthMethod::Hostbased(_),
            ) => Self::Attempted,
        };
        *self = (*self).max(asked);
    }

    /// It answered a question.
    pub fn answered(&mut self) {
        *self = (*self).max(Self::Attempted);
    }

    /// What to penalise it for.
    pub fn offence(self) -> Offence {
        match self {
            Self::Silent => Offence::NoAuth,
            Self::Attempted => Offence::AuthFail,
            Self::InvalidUser => Offence::InvalidUser,
        }
    }
}
