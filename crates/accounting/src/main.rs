//! `accounting`: see the library's documentation.
//!
//! Started by systemd with its listening socket as stdin, as a user of its own in the group `utmp`.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;

use accounting::book::Book;
use accounting::server;
use anyhow::Context as _;
use journal::{Destination, Identity, LevelFilter, Role};

fn main() -> anyhow::Result<()> {
    let identity = Identity::of(Role::Accounting);
    journal::init(Destination::journal(), identity, LevelFilter::INFO).context("journal")?;
    let listener = std::io::stdin().as_fd().try_clone_to_owned();
    server::serve(&listener.context("socket at stdin")?, &Book::of_system()).context("serving")
}
