//! In which order a client says the two paths of SSH_FXP_SYMLINK.
//!
//! draft-ietf-secsh-filexfer-02 section 6.10 has the link first. OpenSSH always had its target first (PROTOCOL section
//! 4.1), and most clients follow OpenSSH whoever serves them: OpenSSH, libssh2 and curl, Paramiko, JSch, Apache MINA,
//! Cyberduck, Go's pkg/sftp. Some follow the draft unless the server has a name of which they know better. Taken for one of the
//! others, these would get a link with the name of its target.

use rpc::lane::Identifications;

/// The order of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symlinks {
    /// As OpenSSH's.
    TargetFirst,
    /// As in the draft.
    LinkFirst,
}

/// What a server's identification string must be for a client to say the target first.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// It has one of these anywhere, the comment included.
    Has(&'static [&'static [u8]]),
    /// It begins with one of these.
    Begins(&'static [&'static [u8]]),
    /// It has the name and the number of a release of OpenSSH, of which the first part has at most so many digits.
    Release { digits: usize },
}

/// Clients that follow the draft, by the beginnings of their identification strings; the first row that fits counts.
const FOLLOWERS: &[(&[&[u8]], Known)] = &[
    // asyncssh/sftp.py, SFTPClientHandler, _nonstandard_symlink_impls.
    (
        &[b"SSH-2.0-AsyncSSH_"],
        Known::Has(&[b"OpenSSH", b"paramiko"]),
    ),
    // libssh, sftp_symlink in src/sftp.c and ssh_analyze_banner in src/misc.c. Until 0.11 the minor number is looked for
    // where it is after a major number of one digit. The first names had a minus sign.
    (
        &[
            b"SSH-2.0-libssh-0.",
            b"SSH-2.0-libssh_0.6",
            b"SSH-2.0-libssh_0.7",
            b"SSH-2.0-libssh_0.8",
            b"SSH-2.0-libssh_0.9",
            b"SSH-2.0-libssh_0.10",
            b"SSH-2.0-libssh_0.11",
        ],
        Known::Release { digits: 1 },
    ),
    (&[b"SSH-2.0-libssh_"], Known::Release { digits: 2 }),
    // ssh2 of npm, RE_OPENSSH in lib/protocol/SFTP.js.
    (
        &[b"SSH-2.0-ssh2js"],
        Known::Begins(&[b"SSH-2.0-OpenSSH", b"SSH-2.0-dropbear"]),
    ),
    // phpseclib/Net/SFTP.php, symlink().
    (
        &[b"SSH-2.0-phpseclib_"],
        Known::Begins(&[b"SSH-2.0-OpenSSH"]),
    ),
    // WinSCP, CreateLink in core/SftpFileSystem.cpp and IsOpenSSH in core/PuttyIntf.cpp.
    (
        &[b"SSH-2.0-WinSCP_"],
        Known::Begins(&[b"SSH-2.0-OpenSSH", b"SSH-2.0-Sun_SSH"]),
    ),
];

impl Symlinks {
    /// The order that the client uses with this server.
    pub(crate) fn between(identifications: &Identifications) -> Self {
        let Identifications { client, server } = identifications;
        let row = FOLLOWERS
            .iter()
            .find(|(clients, _)| begins(client, clients));
        match row {
            Some((_, known)) if !known.fits(server) => Self::LinkFirst,
            Some(_) | None => Self::TargetFirst,
        }
    }
}

impl Known {
    fn fits(self, server: &[u8]) -> bool {
        match self {
            Self::Has(names) => names.iter().any(|name| behind(server, name).is_some()),
            Self::Begins(names) => begins(server, names),
            Self::Release { digits } => behind(server, b"OpenSSH").is_some_and(|rest| {
                // What stands between name, major and minor number is not looked at.
                let major = rest.get(1..).unwrap_or_default();
                let length = major.iter().take_while(|c| c.is_ascii_digit()).count();
                let minor = major.get(length + 1);
                (1..=digits).contains(&length)
                    && !major.starts_with(b"0")
                    && minor.is_some_and(u8::is_ascii_digit)
            }),
        }
    }
}

fn begins(line: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|name| line.starts_with(name))
}

/// What follows the first occurrence of `name`.
fn behind<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = line.windows(name.len()).position(|part| part == name)?;
    line.get(at + name.len()..)
}

#[cfg(test)]
mod tests {
    use super::Symlinks::{LinkFirst, TargetFirst};
    use super::*;

    fn order(client: &str, server: &str) -> Symlinks {
        Symlinks::between(&Identifications {
            client: format!("SSH-2.0-{client}").into_bytes(),
            server: format!("SSH-2.0-{server}").into_bytes(),
        })
    }

    #[test]
    fn who_follows_the_draft_does_so_until_the_server_has_a_name_that_it_knows() {
        // A name of nobody's, our own, a release, a new one, and one in a comment.
        let servers = [
            "sshd_privsep_0.1.0",
            "OpenSSH_compatible_sshd_privsep_0.1.0",
            "OpenSSH_9.9p1",
            "OpenSSH_10.2",
            "sshd_privsep_0.1.0 OpenSSH_9.9",
        ];
        let (l, t) = (LinkFirst, TargetFirst);
        for (client, expected) in [
            ("AsyncSSH_2.24.1", [l, t, t, t, t]),
            ("libssh-0.6.3", [l, l, t, l, t]),
            ("libssh_0.10.6", [l, l, t, l, t]),
            ("libssh_0.12.2", [l, l, t, t, t]),
            ("ssh2js1.17.0", [l, t, t, t, l]),
            ("phpseclib_3.0 (openssl)", [l, t, t, t, l]),
            ("WinSCP_release_6.5.3", [l, t, t, t, l]),
            ("OpenSSH_10.2", [t; 5]),
            ("libssh2_1.11.1", [t; 5]),
            ("paramiko_5.1.0", [t; 5]),
            ("Go", [t; 5]),
            ("OpenSSH_10.2 libssh_", [t; 5]),
            ("", [t; 5]),
        ] {
            assert_eq!(
                servers.map(|server| order(client, server)),
                expected,
                "{client}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_a_release_of_openssh_is_none() {
        for server in [
            "OpenSSH",
            "OpenSSH_",
            "OpenSSH_9",
            "OpenSSH_9.",
            "OpenSSH_9.x",
            "OpenSSH_0.9",
            "OpenSSH_123.4",
        ] {
            assert_eq!(order("libssh_0.12.2", server), LinkFirst, "{server}");
        }
    }
}
