//! What some clients do differently, by their identification string.
//!
//! From OpenSSH's `compat.c`, as far as it concerns a server with the algorithms of
//! [`names`](crate::names), and clients that can still agree with it on some. Not here are mistakes
//! in version 1 of the protocol, in messages that this server never sends (SSH_MSG_IGNORE), and one
//! that no offer can avoid, since ours is out before the client's line is here: OpenSSH 6.5 and 6.6 fail in one of 512 exchanges by curve25519-sha256@libssh.org.
//! Nor what such old releases of OpenSSH need that `ssh-rsa` alone lets in: port 0 in the connections of `-R 0`
//! (SSH_BUG_DYNAMIC_RPORT), and signatures by another algorithm than the request of a certificate names
//! (SSH_BUG_SIGTYPE).
//!
//! Paramiko, JSch, libssh, libssh2, Dropbear and AsyncSSH need nothing of this kind.

/// One difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// Cannot replace keys: it is not asked to (SSH_BUG_NOREKEY).
    NoRekey,
    /// Disconnects when it is told of host keys: it gets no hostkeys-00@openssh.com
    /// (SSH_BUG_HOSTKEYS).
    NoHostKeyUpdates,
    /// Does not understand SSH_MSG_DEBUG: its user is told nothing by one (SSH_BUG_DEBUG).
    NoDebug,
    /// Begins a group exchange with the message of the draft, number 30, which is refused. OpenSSH
    /// does not offer it any; here the offer is out before, and group exchange no default
    /// (SSH_OLD_DHGEX).
    OldGroupExchange,
    /// Understands OpenSSH's own requests, such as eow@openssh.com; others may disconnect
    /// (SSH_NEW_OPENSSH).
    OpensshRequests,
}

/// What one client does differently. None is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks(&'static [Quirk]);

impl Quirks {
    /// Of the client with this identification string (RFC 4253 section 4.2); the first row that
    /// fits counts.
    pub fn of(identification: &[u8]) -> Self {
        // softwareversion and comments: what follows "SSH-protoversion-".
        let mut fields = identification.splitn(3, |byte| *byte == b'-');
        let software = fields.nth(2).unwrap_or_default();
        let row = CLIENTS
            .iter()
            .find(|(names, _)| names.iter().any(|name| name.fits(software)));
        Self(row.map_or(&[], |(_, quirks)| quirks))
    }

    /// Whether this is one of them.
    pub fn has(self, quirk: Quirk) -> bool {
        self.0.contains(&quirk)
    }
}

/// The form of a name.
enum Name {
    Begins(&'static str),
    Is(&'static str),
}

impl Name {
    fn fits(&self, software: &[u8]) -> bool {
        match self {
            Self::Begins(name) => software.starts_with(name.as_bytes()),
            Self::Is(name) => software == name.as_bytes(),
        }
    }
}

use Name::{Begins, Is};
use Quirk::{NoDebug, NoHostKeyUpdates, NoRekey, OldGroupExchange, OpensshRequests};

const CLIENTS: &[(&[Name], &[Quirk])] = &[
    (&[Begins("Sun_SSH_1.0")], &[NoRekey]),
    (
        &[
            Begins("OpenSSH_2"),
            Begins("OpenSSH_3"),
            Begins("OpenSSH_4"),
        ],
        &[],
    ),
    (&[Begins("OpenSSH")], &[OpensshRequests]),
    (&[Begins("3.0.")], &[NoDebug]),
    (&[Begins("Cisco-1.")], &[NoHostKeyUpdates]),
    (
        &[
            // Development versions before September 2014.
            Begins("PuTTY_Local:"),
            Begins("PuTTY-Release-0.5"),
            Begins("PuTTY_Release_0.5"),
            Begins("PuTTY_Release_0.60"),
            Begins("PuTTY_Release_0.61"),
            Begins("PuTTY_Release_0.62"),
            Begins("PuTTY_Release_0.63"),
            Begins("PuTTY_Release_0.64"),
            // A fork of it.
            Begins("FuTTY"),
        ],
        &[OldGroupExchange],
    ),
    (
        &[
            Begins("TeraTerm SSH"),
            Begins("TTSSH/1.5."),
            Begins("TTSSH/2.1"),
            Begins("TTSSH/2.2"),
            Begins("TTSSH/2.3"),
            Begins("TTSSH/2.4"),
            Begins("TTSSH/2.5"),
            Begins("TTSSH/2.6"),
            Begins("TTSSH/2.70"),
            Begins("TTSSH/2.71"),
            Begins("TTSSH/2.72"),
        ],
        &[NoHostKeyUpdates],
    ),
    // Newer ones, which have a version in their names, understand it.
    (&[Begins("Twisted_")], &[]),
    (&[Begins("Twisted")], &[NoDebug]),
    (
        &[
            Begins("WinSCP_release_4"),
            Begins("WinSCP_release_5.0"),
            Is("WinSCP_release_5.1"),
            Begins("WinSCP_release_5.1."),
            Is("WinSCP_release_5.5"),
            Begins("WinSCP_release_5.5."),
            Is("WinSCP_release_5.6"),
            Begins("WinSCP_release_5.6."),
            Is("WinSCP_release_5.7"),
            Is("WinSCP_release_5.7.1"),
            Is("WinSCP_release_5.7.2"),
            Is("WinSCP_release_5.7.3"),
            Is("WinSCP_release_5.7.4"),
        ],
        &[OldGroupExchange],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(software: &str) -> &'static [Quirk] {
        Quirks::of(format!("SSH-2.0-{software}").as_bytes()).0
    }

    #[test]
    fn clients_are_known_by_what_follows_the_protocol_version() {
        assert_eq!(of("OpenSSH_4.9"), []);
        assert_eq!(of("OpenSSH_5.3"), [OpensshRequests]);
        assert_eq!(of("OpenSSH_7.4p1 Debian-10+deb9u7"), [OpensshRequests]);
        assert_eq!(of("OpenSSH_7.8"), [OpensshRequests]);
        assert_eq!(of("OpenSSH_10.2"), [OpensshRequests]);
        assert_eq!(of("PuTTY_Release_0.63"), [OldGroupExchange]);
        assert_eq!(of("TTSSH/2.72 Win32"), [NoHostKeyUpdates]);
        assert_eq!(of("Sun_SSH_1.0.1"), [NoRekey]);
        assert_eq!(of("Cisco-1.25"), [NoHostKeyUpdates]);
        assert_eq!(of("3.0.1 SSH Secure Shell"), [NoDebug]);
        assert_eq!(of("Twisted"), [NoDebug]);
        assert!(Quirks::of(b"SSH-1.99-Sun_SSH_1.0").has(NoRekey));
    }

    #[test]
    fn clients_of_today_and_lines_without_a_name_have_none() {
        for software in [
            "PuTTY_Release_0.83",
            "Twisted_24.11.0",
            "WinSCP_release_5.7.5",
            "WinSCP_release_5.11",
            "paramiko_3.5.1",
            "JSCH-0.2.26",
            "libssh2_1.11.1",
            "libssh_0.11.2",
            "dropbear_2025.88",
            "AsyncSSH_2.21.0",
            "not_OpenSSH_5.3",
            "",
        ] {
            assert_eq!(of(software), [], "{software}");
        }
        assert_eq!(Quirks::of(b"SSH-2.0").0, []);
        assert_eq!(Quirks::of(b"").0, []);
    }
}
