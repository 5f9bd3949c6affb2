//! What it takes to be logged in: proofs, each made by the module that did the check.
//!
//! ```text
//!  verify::prove_possession ─▶ SignatureProof ─┐
//!                                              ├─▶ KeyProof ─┐
//!  listing::find ────────────▶ ListedKey ──────┘             │
//!  hostbased::prove ─────────▶ HostProof ────────────────────┼─▶ MethodProof ─▶ Progress ─▶ CompletedMethods ─┐
//!  pam_process::begin ───────▶ PamProof ─▶ DialogProof ──────┘                                                ├─▶ AuthenticatedUser ─▶ open_session
//!  account::admit ───────────▶ AccountProof ──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! No proof can be copied or made from parts: fields are private, and each arrow is the only
//! constructor. To review who can log in is to read what these arrows begin at.
//!
//! A new method is a variant of [`MethodProof`] around a proof of its own module, and an arm in each
//! of its functions: which method it counts as, whom it is about, and what it restricts.

use accounts::{Account, AuthorizedKey, ForcedCommand, Method};
use config::authorized_keys::Constraints;
use config::sshd::PubkeyAuthOptions;
use rpc::lane::Password;
use rpc::pam::{PasswordState, Variable};
use thiserror::Error;
use wire::userauth::UserName;

use crate::account::AccountProof;
use crate::authenticate::dialog::{self, DialogProof};
use crate::client_key::ClientKey;
use crate::hostbased::HostProof;
use crate::listing::ListedKey;
use crate::pam_process::PamProof;
use crate::progress::CompletedMethods;
use crate::verify::{Demands, SignatureProof, Unsaid};

/// Two proofs are about different users or keys. It cannot happen as the modules are written; these
/// types are there so that it cannot be overlooked either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("proofs do not belong together")]
pub struct Mismatch;

/// Why `publickey` is not completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Incomplete {
    /// See there.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The authenticator did not say what it must.
    #[error(transparent)]
    Unsaid(#[from] Unsaid),
}

/// An authentication method was completed.
#[derive(Debug)]
pub enum MethodProof {
    /// `publickey` (RFC 4252 section 7)
    PublicKey(KeyProof),
    /// `hostbased` (RFC 4252 section 9)
    Hostbased(Box<HostProof>),
    /// `password`, `keyboard-interactive`, or `none`.
    Dialog(DialogProof),
}

/// The client holds the private key, an account lists it, and the authenticator that it may be on
/// said what PubkeyAuthOptions and the listing demand.
#[derive(Debug)]
pub struct KeyProof {
    signature: SignatureProof,
    listed: Box<ListedKey>,
}

/// Somebody who may log in, and proved to be the one.
#[derive(Debug)]
pub struct AuthenticatedUser {
    account: AccountProof,
    methods: CompletedMethods,
}

impl KeyProof {
    /// A certificate is listed by its own blob, and never counts as the key inside.
    ///
    /// # Errors
    /// The proofs are of different keys, or the authenticator did not say enough.
    pub fn new(
        signature: SignatureProof,
        listed: Box<ListedKey>,
        options: PubkeyAuthOptions,
    ) -> Result<Self, Incomplete> {
        if listed.blob() != Some(signature.key().blob()) {
            return Err(Mismatch.into());
        }
        Demands::new(options, listed.key().constraints()).met_by(&signature)?;
        Ok(Self { signature, listed })
    }

    fn is_of(&self, account: &AccountProof) -> bool {
        self.signature.user() == account.user() && self.listed.key().account() == account.account()
    }
}

impl MethodProof {
    /// Which method it was.
    pub fn method(&self) -> Method {
        match self {
            Self::PublicKey(_) => Method::PublicKey,
            Self::Hostbased(_) => Method::Hostbased,
            Self::Dialog(proof) => proof.method(),
        }
    }

    /// By which of its submethods, for `keyboard-interactive:pam` of AuthenticationMethods.
    pub fn submethod(&self) -> Option<&'static str> {
        match self.method() {
            Method::KeyboardInteractive => Some(dialog::PAM),
            Method::None | Method::PublicKey | Method::Password | Method::Hostbased => None,
        }
    }

    /// The key that the client or its host proved to have.
    pub fn key(&self) -> Option<&ClientKey> {
        match self {
            Self::PublicKey(proof) => Some(proof.signature.key()),
            Self::Hostbased(proof) => Some(proof.key()),
            Self::Dialog(_) => None,
        }
    }

    /// What else the journal tells of it.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::PublicKey(_) | Self::Dialog(_) => None,
            Self::Hostbased(proof) => Some(proof.described()),
        }
    }

    /// Its line for ExposeAuthInfo: `METHOD[/SUBMETHOD] [KEY] [DETAIL]`.
    pub fn auth_info(&self) -> String {
        let mut line = self.method().name().to_owned();
        if let Some(submethod) = self.submethod() {
            line = format!("{line}/{submethod}");
        }
        if let Some(key) = self.key() {
            line = format!("{line} {}", key.text());
        }
        if let Some(detail) = self.detail() {
            line = format!("{line} {detail}");
        }
        line + "\n"
    }

    /// Whether it permits one command only.
    pub fn forced_command(&self) -> ForcedCommand {
        let constraints = self.constraints();
        match constraints.and_then(|constraints| constraints.session.forced_command.as_ref()) {
            Some(_) => ForcedCommand::Present,
            None => ForcedCommand::Absent,
        }
    }

    /// What it restricts the session to.
    pub fn constraints(&self) -> Option<&Constraints> {
        self.listed().map(AuthorizedKey::constraints)
    }

    /// The user's key, as the account lists it.
    pub fn listed(&self) -> Option<&AuthorizedKey> {
        match self {
            Self::PublicKey(proof) => Some(proof.listed.key()),
            Self::Hostbased(_) | Self::Dialog(_) => None,
        }
    }

    /// Whether it is about this very account, and the name that it was asked for by.
    fn is_of(&self, account: &AccountProof) -> bool {
        match self {
            Self::PublicKey(proof) => proof.is_of(account),
            Self::Hostbased(proof) => {
                proof.user() == account.user() && proof.account() == account.account()
            }
            Self::Dialog(proof) => proof.user() == account.user(),
        }
    }
}

impl AuthenticatedUser {
    /// A user whose account may be used, and may be used by the methods that were all completed for
    /// this very account.
    ///
    /// # Errors
    /// The proofs are of different users or accounts, or PermitRootLogin is against it.
    pub fn new(methods: CompletedMethods, account: AccountProof) -> Result<Self, Mismatch> {
        let fits = |proof: &MethodProof| {
            let permitted = account.permits(proof.method(), proof.forced_command());
            proof.is_of(&account) && permitted.is_ok()
        };
        match methods.proofs().iter().all(fits) {
            true => Ok(Self { account, methods }),
            false => Err(Mismatch),
        }
    }

    /// The name that the client asked for.
    pub fn user(&self) -> &UserName {
        self.account.user()
    }

    /// The account of that name.
    pub fn account(&self) -> &Account {
        self.account.account()
    }

    /// What all of the methods together restrict the session to.
    pub fn constraints(&self) -> &Constraints {
        self.methods.constraints()
    }

    /// What PAM or shadow(5) accepted, in the order of it.
    pub fn dialogs(&self) -> impl Iterator<Item = &PamProof> {
        self.methods().iter().filter_map(|proof| match proof {
            MethodProof::Dialog(proof) => Some(proof.accepted()),
            MethodProof::PublicKey(_) | MethodProof::Hostbased(_) => None,
        })
    }

    /// The environment of the PAM transactions, in the order of the methods.
    pub fn pam_environment(&self) -> impl Iterator<Item = &Variable> {
        self.dialogs().flat_map(PamProof::environment)
    }

    /// Whether the session is for a change of the password only: shadow(5) says so (UsePAM no), whatever other method was
    /// completed besides. PAM has had it changed, or says so to the session itself.
    pub fn password(&self) -> Password {
        let expired = |proof: &PamProof| proof.password() == PasswordState::MustChange;
        match self.dialogs().any(expired) {
            true => Password::Expired,
            false => Password::Good,
        }
    }

    /// What was proved, in the order of it.
    pub fn methods(&self) -> &[MethodProof] {
        self.methods.proofs()
    }

    /// How the user was authenticated, as ExposeAuthInfo and PAM modules are told: a line for each
    /// method, in sshd's form.
    pub fn auth_info(&self) -> String {
        self.methods().iter().map(MethodProof::auth_info).collect()
    }
}
