//! Who may log in, and with which key. Linked by the monitor only.
//!
//! ```text
//!  lookup("alice")          ──▶ Account           NSS: name, ids, groups, home, shell
//!  look_at_shell(account)   ──▶ Shell             as the user
//!  login_permitted(login)   ──▶ PermittedAccount  locked, shell, AllowUsers and its kin; the methods for root
//!  find_key(query)          ──▶ AuthorizedKey     authorized_keys, read as the user
//!  trusted_authority(file)  ──▶ TrustedAuthority  TrustedUserCAKeys
//!  certified(query, ..)     ──▶ AuthorizedKey     a certificate by such an authority
//!  unrevoked(files, blob)   ──▶ Unrevoked         RevokedKeys
//!  find_host(query)         ──▶ TrustedHost       known_hosts and shosts, the user's read as the user
//! ```
//!
//! [`PermittedAccount`], [`AuthorizedKey`] and the others are proofs: made in these functions only, which did the check. To
//! review who may log in is to read them and their tests.
//!
//! Questions about the contents of files are pure functions, with the client and the time given:
//!
//! | module | answers | for |
//! |---|---|---|
//! | [`certificate`] | what a certificate permits, or why not | TrustedUserCAKeys, `cert-authority` |
//! | [`trusted_authorities`] | whether an authority is listed | TrustedUserCAKeys |
//! | [`revocation`] | whether a key or certificate is revoked | RevokedKeys |
//! | [`known_hosts`] | whether a host's key is known | HostbasedAuthentication |
//! | [`trusted_hosts`] | whether a host is trusted for a user | hosts.equiv, `.shosts` |
//!
//! What a user keeps in the home directory is read **with the user's own identity**, in a thread that takes it for
//! this one purpose ([`identity`](mod@identity)), so that neither a link nor a mount makes root read what the user could
//! not. All of it may block (LDAP, NFS, a FUSE file system that the user wrote), so it runs in threads that are abandoned
//! at a deadline, and whose number is bounded ([`bounded`]).

#![forbid(unsafe_code)]

mod access;
mod account;
pub mod bounded;
pub mod certificate;
pub mod hostbased;
pub mod identity;
mod key_text;
mod keys;
pub mod known_hosts;
mod method;
mod permission;
mod principals;
mod printable;
mod program;
pub mod revocation;
mod server_file;
mod shell;
mod strict_modes;
#[cfg(test)]
mod testing;
mod time_zone;
mod told;
pub mod trusted_authorities;
pub mod trusted_hosts;
mod user_file;

pub use access::{AccessRule, Source};
pub use account::{Account, LookupError, group_names, group_names_within, lookup, lookup_within};
pub use keys::{
    AuthorizedKey, CertifiedQuery, KeyQuery, KeyRefusal, KeySearch, Place, RefusedCertificate,
    Verdict, certified, find_key, find_key_in_lines,
};
pub use method::{ForcedCommand, Method};
pub use permission::{
    AccountState, Denial, Login, Permission, PermittedAccount, Policy, login_permitted,
};
pub use principals::{PrincipalRefusal, Principals, principals_in_lines, read_principals};
pub use program::{ProgramRefusal, check_program};
pub use server_file::FileError;
pub use shell::{Shell, look_at_shell};
pub use strict_modes::Kind;
pub use time_zone::SystemZone;
pub use user_file::{FileRefusal, Purpose};
