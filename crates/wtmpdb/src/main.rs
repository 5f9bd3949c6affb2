//! `wtmpdb`: see the library's documentation.
//!
//! Started by systemd with its socket for datagrams as stdin, as root without privileges.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;

use anyhow::Context as _;
use journal::{Destination, Identity, LevelFilter, Role};
use wtmpdb::database::Database;
use wtmpdb::server;

fn main() -> anyhow::Result<()> {
    // Its cage has no sockets.
    let identity = Identity::of(Role::Wtmpdb);
    journal::init(Destination::Daemon, identity, LevelFilter::INFO).context("journal")?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let socket = socket.context("socket at stdin")?.into();
    server::serve(&socket, &Database::of_system()).context("serving")
}
