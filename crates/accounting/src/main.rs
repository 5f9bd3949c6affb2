//! `accounting`: see the library's documentation.
//!
//! Started by systemd with its listening socket, and with what a predecessor left, as a user of its own in the group
//! `utmp`.
#![forbid(unsafe_code)]

use accounting::book::Book;
use accounting::{server, store};
use anyhow::Context as _;
use journal::{Destination, Identity, LevelFilter, Role};

fn main() -> anyhow::Result<()> {
    let identity = Identity::of(Role::Accounting);
    journal::init(Destination::journal(), identity, LevelFilter::INFO).context("journal")?;
    let inheritance = store::inherit().context("sockets of systemd")?;
    server::serve(inheritance, &Book::of_system()).context("serving")
}
