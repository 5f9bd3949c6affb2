//! What it takes to be logged in: proofs, each made by the module that did the check.
//!
//! ```text
//!  verify::prove_possession ─▶ SignatureProof ─┐
//!                                              ├─▶ MethodProof ─┐
//!  accounts::find_key ───────▶ AuthorizedKey ──┘                ├─▶ AuthenticatedUser ─▶ open_session
//!  account::admit ───────────▶ AccountProof ────────────────────┘
//! ```
//!
//! No proof can be copied or made from parts: fields are private, and each arrow is the only
//! constructor. To review who can log in is to read what these arrows begin at.

use accounts::{Account, AuthorizedKey};
use thiserror::Error;
use wire::userauth::UserName;

use crate::account::AccountProof;
use crate::client_key::ClientKey;
use crate::public_key::Fingerprint;
use crate::verify::SignatureProof;

/// Two proofs are about different users or keys. It cannot happen as the modules are written; these
/// types are there so that it cannot be overlooked either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("proofs do not belong together")]
pub struct Mismatch;

/// An authentication method was completed.
#[derive(Debug)]
pub struct MethodProof {
    signature: SignatureProof,
    listed: AuthorizedKey,
}

/// Somebody who may log in, and proved to be the one.
#[derive(Debug)]
pub struct AuthenticatedUser {
    account: AccountProof,
    method: MethodProof,
}

impl MethodProof {
    /// `publickey` (RFC 4252 section 7): the client holds the private key, and an account lists it.
    ///
    /// An account lists plain keys only so far. The blob of a certificate is none of them, also when
    /// the key inside is.
    ///
    /// # Errors
    /// The proofs are of different keys.
    pub fn publickey(signature: SignatureProof, listed: AuthorizedKey) -> Result<Self, Mismatch> {
        match signature.key().blob() == listed.key_blob() {
            true => Ok(Self { signature, listed }),
            false => Err(Mismatch),
        }
    }
}

impl AuthenticatedUser {
    /// A user whose account may be used and who completed a method for this very account.
    ///
    /// # Errors
    /// The proofs are of different users or accounts.
    pub fn new(method: MethodProof, account: AccountProof) -> Result<Self, Mismatch> {
        let same_user = method.signature.user() == account.user();
        let same_account = method.listed.account() == account.account();
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
