//! The test machine: a throwaway Debian with systemd as PID 1, on any host where one is root.
//!
//! ```text
//!  /var/cache/sshd-privsep/base-<hash>          /var/lib/sshd-privsep-machines/<name>/
//!  Debian tree, made once by mmdebstrap ──lower─┐  upper/ work/ ──upper─┐
//!                                               └──── overlay on root/ ─┘
//!                                                        │ systemd-nspawn --boot
//!                         cgroup <name>/payload ◄────────┘
//!   Machine::exec ── nsenter ──► any command inside, as root or as a user
//! ```
//!
//! A [`Machine`] is up when [`Builder::up`] returns and gone when it is dropped. It is gone as well when its owner
//! is killed: a watchdog process waits for the end of a pipe and runs the same teardown. Machines differ by name and
//! may run side by side; each has a cgroup, a process table and (by default) a network of its own.
//!
//! - [`base`]: the cached Debian tree
//! - [`debian`]: how trees of Debian packages are made
//! - [`cache`]: where they are kept, and other things that are made once
//! - [`machine`]: up, down, attach, list
//! - [`exec`]: commands inside, with deadlines
//! - [`patience`]: how long these deadlines are beside other tests
//! - [`users`]: accounts with keys, and the stock client that uses them
//! - [`product`]: our package, installed as a user would
//! - [`packages`]: Debian packages for the machine of one suite
//! - [`units`]: what systemd-analyze thinks of our units
//! - [`host`]: what the host must have
//! - [`progress`]: lines that say what takes so long

#![forbid(unsafe_code)]

pub mod base;
pub mod cache;
pub mod debian;
pub mod exec;
pub mod host;
pub mod machine;
pub mod packages;
pub mod patience;
mod process;
pub mod product;
pub mod progress;
mod record;
pub mod units;
pub mod users;

pub use exec::{Exec, Output, Running};
pub use machine::{Builder, Lifetime, Machine, Network};
pub use packages::Packages;
pub use users::UserKey;
