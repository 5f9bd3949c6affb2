//! SoftwareVersion and VersionAddendum: what a client reads first of the server (RFC 4253 section 4.2).

use super::paths::{LINE, some_unless_none};
use crate::sshd::config::SshdConfig;
use crate::sshd::lexer;
use crate::sshd::setting::{Kind, or_none};

/// What this server is called if nothing is configured. To servers of other names OpenSSH's client says neither that nobody
/// reads their output any more (eow@openssh.com) nor that it wants no more sessions (no-more-sessions@openssh.com). No release
/// is named: clients avoid the mistakes of releases, and scanners look them up.
const SOFTWARE_VERSION_OF_OURS: &str = concat!(
    "OpenSSH_compatible_sshd_privsep_",
    env!("CARGO_PKG_VERSION")
);

/// Longest identification string, CR and LF included.
pub(crate) const LINE_LIMIT: usize = 255;

/// SoftwareVersion.
pub(crate) const SOFTWARE_VERSION: Kind<Option<String>> = Kind::new(
    |arguments| {
        let word = arguments.word("a name, or none")?;
        // A minus sign ends "softwareversion" for some clients, a space does for all.
        let legal = |byte| matches!(byte, b'!'..=b'~') && byte != b'-';
        if word.text.is_empty() || !word.text.bytes().all(legal) {
            return Err(arguments.bad(
                word,
                "a name of printable ASCII characters without space and minus sign",
            ));
        }
        Ok(some_unless_none(&word.text))
    },
    |name| or_none(name.as_ref().map(|name| lexer::quoted(name))),
);

/// VersionAddendum.
pub(crate) const ADDENDUM: Kind<Option<String>> = Kind {
    read: |arguments| {
        let text = arguments.tail("a text, or none")?;
        if text.text.len() > 128 || !text.text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(arguments.bad(text, "a text of at most 128 printable ASCII characters"));
        }
        Ok(some_unless_none(&text.text))
    },
    ..LINE
};

impl SshdConfig {
    /// The server's identification string, without CR LF.
    #[must_use]
    pub fn identification(&self) -> String {
        let name = self.software_version.as_deref();
        let name = name.unwrap_or(SOFTWARE_VERSION_OF_OURS);
        match &self.version_addendum {
            None => format!("SSH-2.0-{name}"),
            Some(addendum) => format!("SSH-2.0-{name} {addendum}"),
        }
    }
}
