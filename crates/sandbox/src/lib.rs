//! The cages: what each process of sshd-privsep gives up for good before it meets a byte that it did not choose.
//!
//! ```text
//!  systemd unit            enter(Role)                                             driver
//!  ────────────   ┌──────────────────────────────────────────────────────────┐   ─────────────
//!  uid, bounding  │ alone? ─► privileges ─► landlock ─► seccomp ─► self-check │   run(Sandboxed)
//!  set, cgroup,   │ one       no_new_privs  files, TCP,  system     read back │   takes the token
//!  first filter   │ thread    capabilities  sockets,     calls by   from the  │   by value
//!                 │           rlimits, dump signals      allow-list kernel    │
//!                 └──────────────────────────────────────────────────────────┘
//! ```
//!
//! * [`enter`] builds the cage of a [`Role`] and yields the [`Sandboxed`] token. The token has no other source, so a
//!   driver that takes it by value cannot run outside of a cage; every failure is an [`Error`] and there is no way on.
//! * [`Rule`] is one line of a role's system call table: the call, the conditions on its arguments, and the reason why
//!   the role cannot do without it. The tables are data ([`Role::rules`]), in one file per role, made to be reviewed.
//! * [`UNIT_SYSTEM_CALL_FILTER`] is the wider list that the worker's systemd unit carries: it guards the instructions
//!   before [`enter`], which the dynamic loader and the cage's own construction need.
//! * [`jail`] is another wall, which an administrator puts up: ChrootDirectory.
//!
//! Everything here is a one-way street by kernel rule: no_new_privs, landlock domains and seccomp filters can be added
//! to but never taken off (`prctl(2)`, `landlock(7)`, `seccomp(2)`).

#![forbid(unsafe_code)]

mod cage;
mod filter;
pub mod jail;
mod privileges;
#[cfg(feature = "probe")]
pub mod probe;
mod roles;
mod rule;
mod ruleset;
mod status;
mod unit;

pub use cage::{Error, Sandboxed, enter, enter_from_jail};
pub use filter::FilterError;
pub use privileges::PrivilegeError;
pub use roles::Role;
pub use rule::{Condition, Rule, Syscall, Test, Verdict};
pub use ruleset::RulesetError;
pub use status::{StatusError, StatusPage};
pub use unit::UNIT_SYSTEM_CALL_FILTER;
