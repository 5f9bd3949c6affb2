//! Descriptors in the runtime's reactor.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers an owned descriptor for readiness.
///
/// # Errors
/// The descriptor cannot be polled (a regular file), or it is registered already.
pub fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "unsound for types whose descriptor can change under it; an OwnedFd cannot, and \
                  the replacement is an unsafe function"
    )]
    AsyncFd::with_interest(descriptor, interest)
}
