//! Configuration: text to typed values, errors with file, line and column.
//!
//! | module | reads | form |
//! |---|---|---|
//! | [`sshd`] | `/etc/ssh/sshd_config` | sshd_config(5) |
//! | [`moduli`] | `/etc/ssh/moduli` | moduli(5) |
//! | [`authorized_keys`] | `~/.ssh/authorized_keys` | sshd(8), AUTHORIZED_KEYS FILE FORMAT |
//!
//! The rule of the crate is that nothing is ignored which restricts: a word that would forbid something and is not enforced
//! by this version is an error that says so. Words that can be ignored without permitting anything give a warning.
//!
//! Nothing here needs a privilege. Files are opened by [`sshd::load`] and [`moduli::load`] only; everything else works on text.

#![forbid(unsafe_code)]

pub mod authorized_keys;
pub mod glob;
pub mod hosts;
pub mod moduli;
pub mod pattern;
pub mod sshd;
