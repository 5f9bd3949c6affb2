//! The effective configuration as text, as `sshd -T` prints it.

use super::config::SshdConfig;
use super::configuration::Effective;
use super::keywords::{self, OWN_KEYWORDS};

/// The keywords in the order of OpenSSH's dump_config().
const ORDER: &[&str] = &[
    "Port",
    "AddressFamily",
    "ListenAddress",
    "UsePAM",
    "PAMServiceName",
    "LoginGraceTime",
    "X11DisplayOffset",
    "MaxAuthTries",
    "MaxSessions",
    "ClientAliveInterval",
    "ClientAliveCountMax",
    "RequiredRSASize",
    "StreamLocalBindMask",
    "UnusedConnectionTimeout",
    "PermitRootLogin",
    "IgnoreRhosts",
    "IgnoreUserKnownHosts",
    "HostbasedAuthentication",
    "HostbasedUsesNameFromPacketOnly",
    "PubkeyAuthentication",
    "KerberosAuthentication",
    "KerberosOrLocalPasswd",
    "KerberosTicketCleanup",
    "KerberosGetAFSToken",
    "GSSAPIAuthentication",
    "GSSAPICleanupCredentials",
    "GSSAPIDelegateCredentials",
    "GSSAPIStrictAcceptorCheck",
    "PasswordAuthentication",
    "KbdInteractiveAuthentication",
    "PrintMotd",
    "PrintLastLog",
    "X11Forwarding",
    "X11UseLocalhost",
    "PermitTTY",
    "PermitUserRC",
    "StrictModes",
    "TCPKeepAlive",
    "PermitEmptyPasswords",
    "Compression",
    "GatewayPorts",
    "UseDNS",
    "AllowTcpForwarding",
    "AllowAgentForwarding",
    "DisableForwarding",
    "AllowStreamLocalForwarding",
    "StreamLocalBindUnlink",
    "FingerprintHash",
    "ExposeAuthInfo",
    "RefuseConnection",
    "PidFile",
    "ModuliFile",
    "XAuthLocation",
    "Ciphers",
    "MACs",
    "Banner",
    "ForceCommand",
    "ChrootDirectory",
    "TrustedUserCAKeys",
    "SecurityKeyProvider",
    "AuthorizedPrincipalsFile",
    "VersionAddendum",
    "AuthorizedKeysCommand",
    "AuthorizedKeysCommandUser",
    "AuthorizedPrincipalsCommand",
    "AuthorizedPrincipalsCommandUser",
    "HostKeyAgent",
    "KexAlgorithms",
    "CASignatureAlgorithms",
    "HostbasedAcceptedAlgorithms",
    "HostKeyAlgorithms",
    "PubkeyAcceptedAlgorithms",
    "RDomain",
    "SshdSessionPath",
    "SshdAuthPath",
    "PerSourcePenaltyExemptList",
    "LogLevel",
    "SyslogFacility",
    "AuthorizedKeysFile",
    "RevokedKeys",
    "HostKey",
    "HostCertificate",
    "AllowUsers",
    "DenyUsers",
    "AllowGroups",
    "DenyGroups",
    "AcceptEnv",
    "SetEnv",
    "AuthenticationMethods",
    "LogVerbose",
    "ChannelTimeout",
    "Subsystem",
    "MaxStartups",
    "PerSourceMaxStartups",
    "PerSourceNetBlockSize",
    "PermitTunnel",
    "IPQoS",
    "RekeyLimit",
    "PermitOpen",
    "PermitListen",
    "PermitUserEnvironment",
    "PubkeyAuthOptions",
    "PerSourcePenalties",
];

impl SshdConfig {
    /// The configuration as `sshd -T` prints it: names in lower case, one value per line. Read again it gives the same.
    ///
    /// Differences from OpenSSH: values that would not be read again are quoted, the server's own keywords are added if
    /// they have no default value, and names of hosts in ListenAddress stay names.
    #[must_use]
    pub fn print(&self) -> String {
        let own = OWN_KEYWORDS
            .iter()
            .filter(|own| self.values(own.name) != [own.default]);
        let names = ORDER.iter().copied().chain(own.map(|own| own.name));
        let mut text = String::new();
        for name in names {
            for value in self.values(name) {
                text.push_str(&format!("{} {value}\n", name.to_ascii_lowercase()));
            }
        }
        text
    }

    /// The lines of one keyword in [`Self::print`], without its name.
    fn values(&self, name: &str) -> Vec<String> {
        if name == "ListenAddress" {
            return self.listeners().iter().map(ToString::to_string).collect();
        }
        let setting = keywords::find(name).and_then(|keyword| keyword.setting);
        setting.map_or_else(Vec::new, |setting| setting.show(self))
    }
}

/// One value of a configuration, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The keyword's proper name.
    pub keyword: &'static str,
    /// The values as `sshd -T` shows them.
    pub values: Vec<String>,
    /// `file:line` of each line that contributed; none for a default.
    pub set_by: Vec<String>,
}

impl Effective {
    /// Every value with the lines that set it.
    #[must_use]
    pub fn explain(&self) -> Vec<Explained> {
        let own = OWN_KEYWORDS.iter().map(|own| own.name);
        let explain = |keyword: &'static str| {
            let lines = self.set_by.get(keyword).map_or(&[][..], Vec::as_slice);
            let place =
                |line: &std::sync::Arc<super::Location>| format!("{}:{}", line.file, line.line);
            Explained {
                keyword,
                values: self.config.values(keyword),
                set_by: lines.iter().map(place).collect(),
            }
        };
        ORDER.iter().copied().chain(own).map(explain).collect()
    }
}
