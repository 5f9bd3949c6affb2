//! No keyword of sshd_config(5) is forgotten: the table of what this server does with each is generated, and kept beside
//! this test for review. After a change of the table: `KEYWORDS=write cargo test -p config`, which writes
//! it into the manual page too.

use config::sshd::{OWN_KEYWORDS, Support, support};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The keywords of OpenSSH 10.5's sshd_config(5), written down from the manual page.
const MANUAL: &str = "\
AcceptEnv AddressFamily AllowAgentForwarding AllowGroups AllowStreamLocalForwarding AllowTcpForwarding AllowUsers
AuthenticationMethods AuthorizedKeysCommand AuthorizedKeysCommandUser AuthorizedKeysFile AuthorizedPrincipalsCommand
AuthorizedPrincipalsCommandUser AuthorizedPrincipalsFile Banner CASignatureAlgorithms ChannelTimeout ChrootDirectory
Ciphers ClientAliveCountMax ClientAliveInterval Compression DenyGroups DenyUsers DisableForwarding ExposeAuthInfo
FingerprintHash ForceCommand GatewayPorts GSSAPIAuthentication GSSAPICleanupCredentials GSSAPIDelegateCredentials
GSSAPIStrictAcceptorCheck HostbasedAcceptedAlgorithms HostbasedAuthentication HostbasedUsesNameFromPacketOnly
HostCertificate HostKey HostKeyAgent HostKeyAlgorithms IgnoreRhosts IgnoreUserKnownHosts Include IPQoS
KbdInteractiveAuthentication KerberosAuthentication KerberosGetAFSToken KerberosOrLocalPasswd KerberosTicketCleanup
KexAlgorithms ListenAddress LoginGraceTime LogLevel LogVerbose MACs Match MaxAuthTries MaxSessions MaxStartups
ModuliFile PAMServiceName PasswordAuthentication PermitEmptyPasswords PermitListen PermitOpen PermitRootLogin PermitTTY
PermitTunnel PermitUserEnvironment PermitUserRC PerSourceMaxStartups PerSourceNetBlockSize PerSourcePenalties
PerSourcePenaltyExemptList PidFile Port PrintLastLog PrintMotd PubkeyAcceptedAlgorithms PubkeyAuthentication
PubkeyAuthOptions RDomain RefuseConnection RekeyLimit RequiredRSASize RevokedKeys SecurityKeyProvider SetEnv
SshdAuthPath SshdSessionPath StreamLocalBindMask StreamLocalBindUnlink StrictModes Subsystem SyslogFacility
TCPKeepAlive TrustedUserCAKeys UnusedConnectionTimeout UseDNS UsePAM VersionAddendum X11DisplayOffset X11Forwarding
X11UseLocalhost XAuthLocation";

#[test]
fn every_keyword_of_the_manual_has_a_state() {
    let manual: BTreeSet<&str> = MANUAL.split_whitespace().collect();
    assert_eq!(manual.len(), 105);
    let has_state = |support| !matches!(support, Support::Obsolete | Support::OldName);
    let known: BTreeSet<&str> = support()
        .iter()
        .filter(|row| has_state(row.support))
        .map(|row| row.name)
        .collect();
    let forgotten: Vec<&&str> = manual.difference(&known).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
    // What the manual does not have is Debian's or ours.
    let own: BTreeSet<&str> = OWN_KEYWORDS.iter().map(|own| own.name).collect();
    let others: Vec<&str> = known
        .difference(&manual)
        .copied()
        .filter(|name| !own.contains(name))
        .collect();
    assert_eq!(
        others,
        [
            "DebianBanner",
            "GSSAPIKexAlgorithms",
            "GSSAPIKeyExchange",
            "GSSAPIStoreCredentialsOnRekey"
        ]
    );
}

#[test]
fn the_reviewed_table_is_the_one_in_the_code() {
    let mut table = String::from("| keyword | in Match | state | |\n|---|---|---|---|\n");
    for row in support() {
        let in_match = if row.in_match { "yes" } else { "no" };
        let state = match row.support {
            Support::Active | Support::ActiveThrough => "active",
            Support::NoEffect => "no effect here",
            Support::Planned => "planned",
            Support::Refused => "planned, refused until then",
            Support::Obsolete => "ignored, as by OpenSSH",
            Support::OldName => "old name of",
        };
        writeln!(
            table,
            "| {} | {in_match} | {state} | {} |",
            row.name, row.why
        )
        .unwrap();
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keywords.md");
    if std::env::var_os("KEYWORDS").is_some_and(|wish| wish == "write") {
        std::fs::write(file, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(table, reviewed, "see the head of {}", file!());
}
