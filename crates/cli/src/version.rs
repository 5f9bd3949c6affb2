//! `-V`.

/// Name and version, as the first line of `-V`.
pub const VERSION: &str = concat!("sshd-privsep ", env!("CARGO_PKG_VERSION"));
