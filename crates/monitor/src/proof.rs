//! What it takes to be logged in: proofs, each made by the module that did the check.
//!
//! ```text
//!  verify::prove_possession ─▶ SignatureProof ─┐
//!                                              ├─▶ MethodProof ─┐
//!  listing::find ────────────▶ ListedKey ──────┘                ├─▶ AuthenticatedUser ─▶ open_session
//!  account::admit ───────────▶ AccountProof ────────────────────┘
//! ```
//!
//! No proof can be copied or made from parts: fields are private, and each arrow is the only
//! constructor. To review who can log in is to read what these arrows begin at.

use accounts::Account;
use config::sshd::PubkeyAuthOptions;
use thiserror::Error;
use wire::userauth::UserName;

use crate::account::AccountProof;
use crate::client_key::ClientKey;
use crate::listing::ListedKey;
use crate::public_key::Fingerprint;
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
pub struct MethodProof {
    signature: SignatureProof,
    listed: Box<ListedKey>,
}

/// Somebody who may log in, and proved to be the one.
#[derive(Debug)]
pub struct AuthenticatedUser {
    account: AccountProof,
    method: MethodProof,
}

impl MethodProof {
    /// `publickey` (RFC 4252 section 7): the client holds the private key, an account lists it, and
    /// the authenticator that it may be on said what PubkeyAuthOptions and the listing demand.
    ///
    /// A certificate is listed by its own blob, and never counts as the key inside.
    ///
    /// # Errors
    /// The proofs are of different keys, or the authenticator did not say enough.
    pub fn publickey(
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
}

impl AuthenticatedUser {
    /// A user whose account may be used and who completed a method for this very account.
    ///
    /// # Errors
    /// The proofs are of different users or accounts.
    pub fn new(method: MethodProof, account: AccountProof) -> Result<Self, Mismatch> {
        let same_user = method.signature.user() == account.user();
        let same_account = method.listed.key().account() == account.account();
        match same_user && same_account {
            true => Ok(Self { account, method }),
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

    /// The key that opened it.
    pub fn key(&self) -> &ClientKey {
        self.method.signature.key()
    }

    /// That key's fingerprint for the journal.
    pub fn fingerprint(&self) -> Fingerprint {
        self.key().fingerprint()
    }
}
