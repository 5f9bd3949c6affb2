//! What each process must not be able to do, attempted on the package that ships.
//!
//! * `tests/cage.rs`: a worker of a test build tries, in every phase of a connection.
//! * `tests/privileges.rs`: what the kernel says about each process in each phase.
//! * `tests/second_instance.rs`: that a monitor which somebody starts by hand, and its workers, may no more than others.
//! * `tests/binaries.rs`: what the programs of the package link, and how they are hardened.
//!
//! This library holds what they share: [`shipped`] programs, the kernel's [`status`] page of a process, and the
//! [`worker`] units of a machine.

#![forbid(unsafe_code)]

pub mod shipped;
pub mod status;
pub mod worker;
