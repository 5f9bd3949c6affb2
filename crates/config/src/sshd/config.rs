//! The values of all keywords.

use super::address::AddressList;
use super::algorithms::{AlgorithmList, Offered};
use super::values::*;
use super::values::{network, numbers};
use crate::pattern::Pattern;
use std::path::PathBuf;
use std::time::Duration;

/// The host keys that are used if no HostKey is configured; those that do not exist are left out by who loads them.
///
/// Unlike OpenSSH's, without the ECDSA key: the provenance of the NIST curves is doubted, and auditors (ssh-audit) count
/// them as a failure. Every client that is still in use knows Ed25519 or RSA.
pub const DEFAULT_HOST_KEYS: &[&str] =
    &["/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"];

/// What is used if none of [`DEFAULT_HOST_KEYS`] exists. Clients that know the host by this key only can be served by a
/// HostKey line.
pub const FALLBACK_HOST_KEY: &str = "/etc/ssh/ssh_host_ecdsa_key";

/// Whether the host keys are those somebody configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeys {
    /// [`DEFAULT_HOST_KEYS`]: one that does not exist is nothing to remark on.
    Default,
    /// Named in the file: one that cannot be loaded is an error.
    Configured,
}

/// How many worker processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerPool {
    /// WorkerPoolIdle: how many wait for connections.
    pub idle: u32,
    /// WorkerPoolMax: how many there are at most, idle and busy. Not less than `idle`.
    pub max: u32,
    /// WorkerStartRate: how many are started per second at most.
    pub start_rate: u32,
}

/// The values of all keywords, obeyed or not. Each field is named after its keyword, see sshd_config(5).
///
/// Of a file without Match blocks this is the configuration of every connection; otherwise
/// [`Configuration::effective`](super::Configuration::effective) makes one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdConfig {
    /// AcceptEnv: names of the variables that a client may set.
    pub accept_env: Vec<Pattern>,
    /// AddressFamily.
    pub address_family: AddressFamily,
    /// AllowAgentForwarding.
    pub allow_agent_forwarding: YesNo,
    /// AllowGroups; empty permits all.
    pub allow_groups: Vec<Pattern>,
    /// AllowStreamLocalForwarding.
    pub allow_stream_local_forwarding: Forwarding,
    /// AllowTcpForwarding.
    pub allow_tcp_forwarding: Forwarding,
    /// AllowUsers; empty permits all.
    pub allow_users: Vec<UserPattern>,
    /// AuthenticationMethods.
    pub authentication_methods: AuthenticationMethods,
    /// AuthorizedKeysCommand.
    pub authorized_keys_command: Option<Template>,
    /// AuthorizedKeysCommandUser.
    pub authorized_keys_command_user: Option<Template>,
    /// AuthorizedKeysFile; none means that no file holds keys.
    pub authorized_keys_files: Vec<AuthorizedKeysFile>,
    /// AuthorizedPrincipalsCommand.
    pub authorized_principals_command: Option<Template>,
    /// AuthorizedPrincipalsCommandUser.
    pub authorized_principals_command_user: Option<Template>,
    /// AuthorizedPrincipalsFile.
    pub authorized_principals_file: Option<AuthorizedKeysFile>,
    /// Banner: a file.
    pub banner: Option<PathBuf>,
    /// CASignatureAlgorithms.
    pub ca_signature_algorithms: AlgorithmList,
    /// ChannelTimeout.
    pub channel_timeouts: Vec<ChannelTimeout>,
    /// ChrootDirectory.
    pub chroot_directory: Option<Template>,
    /// Ciphers.
    pub ciphers: AlgorithmList,
    /// ClientAliveCountMax: unanswered probes after which a client is dead; 0 is never.
    pub client_alive_count_max: u32,
    /// ClientAliveInterval: silence after which a client is probed; none is never.
    pub client_alive_interval: Option<Duration>,
    /// Compression.
    pub compression: Compression,
    /// DenyGroups.
    pub deny_groups: Vec<Pattern>,
    /// DenyUsers.
    pub deny_users: Vec<UserPattern>,
    /// DisableForwarding.
    pub disable_forwarding: YesNo,
    /// ExposeAuthInfo.
    pub expose_auth_info: YesNo,
    /// FingerprintHash.
    pub fingerprint_hash: FingerprintHash,
    /// ForceCommand: a command line for the user's shell, or `internal-sftp` with its arguments.
    pub force_command: Option<String>,
    /// GatewayPorts.
    pub gateway_ports: GatewayPorts,
    /// GSSAPIAuthentication.
    pub gssapi_authentication: YesNo,
    /// GSSAPICleanupCredentials.
    pub gssapi_cleanup_credentials: YesNo,
    /// GSSAPIDelegateCredentials.
    pub gssapi_delegate_credentials: YesNo,
    /// GSSAPIStrictAcceptorCheck.
    pub gssapi_strict_acceptor_check: YesNo,
    /// HostbasedAcceptedAlgorithms.
    pub hostbased_accepted_algorithms: AlgorithmList,
    /// HostbasedAuthentication.
    pub hostbased_authentication: YesNo,
    /// HostbasedUsesNameFromPacketOnly.
    pub hostbased_uses_name_from_packet_only: YesNo,
    /// HostCertificate.
    pub host_certificates: Vec<PathBuf>,
    /// HostKey: private key files.
    pub host_keys: Vec<PathBuf>,
    /// Whether `host_keys` is the default.
    pub host_keys_origin: HostKeys,
    /// HostKeyAgent: a socket, or `SSH_AUTH_SOCK`.
    pub host_key_agent: Option<String>,
    /// HostKeyAlgorithms.
    pub host_key_algorithms: AlgorithmList,
    /// IgnoreRhosts.
    pub ignore_rhosts: IgnoreRhosts,
    /// IgnoreUnknown: patterns of keywords, separated by commas. The reader obeyed it.
    pub ignore_unknown: Option<String>,
    /// IgnoreUserKnownHosts.
    pub ignore_user_known_hosts: YesNo,
    /// IPQoS.
    pub ip_qos: IpQos,
    /// KbdInteractiveAuthentication.
    pub kbd_interactive_authentication: YesNo,
    /// KerberosAuthentication.
    pub kerberos_authentication: YesNo,
    /// KerberosGetAFSToken.
    pub kerberos_get_afs_token: YesNo,
    /// KerberosOrLocalPasswd.
    pub kerberos_or_local_passwd: YesNo,
    /// KerberosTicketCleanup.
    pub kerberos_ticket_cleanup: YesNo,
    /// KexAlgorithms.
    pub kex_algorithms: AlgorithmList,
    /// ListenAddress; empty is all addresses. See [`Self::listeners`].
    pub listen_addresses: Vec<ListenAddress>,
    /// LoginGraceTime: time to authenticate; none is unlimited.
    pub login_grace_time: Option<Duration>,
    /// LogLevel.
    pub log_level: LogLevel,
    /// LogVerbose: patterns of OpenSSH's source files, functions and lines.
    pub log_verbose: Vec<String>,
    /// MACs.
    pub macs: AlgorithmList,
    /// MaxAuthTries: failures after which a connection is closed.
    pub max_auth_tries: u32,
    /// MaxSessions: session channels of a connection that may be open at a time.
    pub max_sessions: u32,
    /// MaxStartups.
    pub max_startups: MaxStartups,
    /// ModuliFile.
    pub moduli_file: Option<PathBuf>,
    /// PAMServiceName: a plain file name.
    pub pam_service_name: String,
    /// PasswordAuthentication.
    pub password_authentication: YesNo,
    /// PermitEmptyPasswords.
    pub permit_empty_passwords: YesNo,
    /// PermitListen.
    pub permit_listen: PermitForward,
    /// PermitOpen.
    pub permit_open: PermitForward,
    /// PermitRootLogin.
    pub permit_root_login: PermitRootLogin,
    /// PermitTTY.
    pub permit_tty: YesNo,
    /// PermitTunnel.
    pub permit_tunnel: Tunnel,
    /// PermitUserEnvironment.
    pub permit_user_environment: PermitUserEnvironment,
    /// PermitUserRC.
    pub permit_user_rc: YesNo,
    /// PerSourceMaxStartups; none is unlimited.
    pub per_source_max_startups: Option<u32>,
    /// PerSourceNetBlockSize.
    pub per_source_net_block_size: PerSourceNetBlockSize,
    /// PerSourcePenalties.
    pub per_source_penalties: PerSourcePenalties,
    /// PerSourcePenaltyExemptList.
    pub per_source_penalty_exempt: Option<AddressList>,
    /// PidFile.
    pub pid_file: Option<PathBuf>,
    /// Port. See [`Self::listeners`].
    pub ports: Vec<u16>,
    /// PrintLastLog.
    pub print_last_log: YesNo,
    /// PrintMotd.
    pub print_motd: YesNo,
    /// PubkeyAcceptedAlgorithms.
    pub pubkey_accepted_algorithms: AlgorithmList,
    /// PubkeyAuthentication.
    pub pubkey_authentication: YesNo,
    /// PubkeyAuthOptions.
    pub pubkey_auth_options: PubkeyAuthOptions,
    /// RDomain.
    pub rdomain: Option<String>,
    /// RefuseConnection.
    pub refuse_connection: YesNo,
    /// RekeyLimit.
    pub rekey_limit: RekeyLimit,
    /// RequiredRSASize: the smallest RSA modulus, in bits.
    pub required_rsa_size: u32,
    /// RevokedKeys.
    pub revoked_keys: Vec<PathBuf>,
    /// SecurityKeyProvider: a library, or `internal`.
    pub security_key_provider: Option<String>,
    /// SessionProperties: each name once.
    pub session_properties: Vec<SessionProperty>,
    /// SetEnv.
    pub set_env: Vec<Variable>,
    /// SoftwareVersion, if it is set. See [`Self::identification`].
    pub software_version: Option<String>,
    /// SshdAuthPath, if it is set.
    pub sshd_auth_path: Option<PathBuf>,
    /// SshdSessionPath, if it is set.
    pub sshd_session_path: Option<PathBuf>,
    /// StreamLocalBindMask: the umask of sockets.
    pub stream_local_bind_mask: u32,
    /// StreamLocalBindUnlink.
    pub stream_local_bind_unlink: YesNo,
    /// StrictModes.
    pub strict_modes: YesNo,
    /// Subsystem.
    pub subsystems: Vec<Subsystem>,
    /// SyslogFacility.
    pub syslog_facility: SyslogFacility,
    /// TCPKeepAlive.
    pub tcp_keep_alive: YesNo,
    /// TrustedUserCAKeys.
    pub trusted_user_ca_keys: Option<PathBuf>,
    /// UnusedConnectionTimeout; none is never.
    pub unused_connection_timeout: Option<Duration>,
    /// UseDNS.
    pub use_dns: YesNo,
    /// UsePAM: whether PAM alone judges locked accounts.
    pub use_pam: YesNo,
    /// VersionAddendum: text after the version in the identification string.
    pub version_addendum: Option<String>,
    /// X11DisplayOffset.
    pub x11_display_offset: u32,
    /// X11Forwarding.
    pub x11_forwarding: YesNo,
    /// X11UseLocalhost.
    pub x11_use_localhost: YesNo,
    /// XAuthLocation.
    pub xauth_location: Option<PathBuf>,
    /// WorkerPoolIdle, WorkerPoolMax and WorkerStartRate.
    pub worker_pool: WorkerPool,
}

impl SshdConfig {
    /// What holds if nothing is configured. The defaults are OpenSSH's.
    #[must_use]
    pub fn defaults(offered: &Offered<'_>) -> Self {
        let mut config = Self::blank(offered);
        config.fill_in();
        config
    }

    /// Whether AcceptEnv lets a client set the variable `name`.
    #[must_use]
    pub fn accepts_env(&self, name: &str) -> bool {
        self.accept_env.iter().any(|pattern| pattern.matches(name))
    }

    /// The sockets to listen on: Port, ListenAddress and AddressFamily together.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        network::listeners(&self.ports, &self.listen_addresses, self.address_family)
    }

    /// Whether a method of AuthenticationMethods is enabled.
    pub(crate) fn enables(&self, method: &str) -> bool {
        let switch = match method {
            "publickey" => self.pubkey_authentication,
            "password" => self.password_authentication,
            "keyboard-interactive" => self.kbd_interactive_authentication,
            "hostbased" => self.hostbased_authentication,
            "gssapi-with-mic" => self.gssapi_authentication,
            // Enabled, as far as sshd's check goes: it lets in accounts without a password.
            "none" => YesNo::Yes,
            _ => YesNo::No,
        };
        switch == YesNo::Yes
    }

    /// The defaults, before lines are read.
    pub(crate) fn blank(offered: &Offered<'_>) -> Self {
        Self {
            accept_env: Vec::new(),
            address_family: AddressFamily::Any,
            allow_agent_forwarding: YesNo::Yes,
            allow_groups: Vec::new(),
            allow_stream_local_forwarding: Forwarding::Yes,
            allow_tcp_forwarding: Forwarding::Yes,
            allow_users: Vec::new(),
            authentication_methods: AuthenticationMethods::default(),
            authorized_keys_command: None,
            authorized_keys_command_user: None,
            authorized_keys_files: vec![
                AuthorizedKeysFile(".ssh/authorized_keys".to_owned()),
                AuthorizedKeysFile(".ssh/authorized_keys2".to_owned()),
            ],
            authorized_principals_command: None,
            authorized_principals_command_user: None,
            authorized_principals_file: None,
            banner: None,
            ca_signature_algorithms: AlgorithmList::default_of(offered.authority),
            channel_timeouts: Vec::new(),
            chroot_directory: None,
            ciphers: AlgorithmList::default_of(offered.ciphers),
            client_alive_count_max: 3,
            client_alive_interval: None,
            compression: Compression::Delayed,
            deny_groups: Vec::new(),
            deny_users: Vec::new(),
            disable_forwarding: YesNo::No,
            expose_auth_info: YesNo::No,
            fingerprint_hash: FingerprintHash::Sha256,
            force_command: None,
            gateway_ports: GatewayPorts::No,
            gssapi_authentication: YesNo::No,
            gssapi_cleanup_credentials: YesNo::Yes,
            gssapi_delegate_credentials: YesNo::Yes,
            gssapi_strict_acceptor_check: YesNo::Yes,
            hostbased_accepted_algorithms: AlgorithmList::hostbased(),
            hostbased_authentication: YesNo::No,
            hostbased_uses_name_from_packet_only: YesNo::No,
            host_certificates: Vec::new(),
            host_keys: Vec::new(),
            host_keys_origin: HostKeys::Default,
            host_key_agent: None,
            host_key_algorithms: AlgorithmList::default_of(offered.host_key),
            ignore_rhosts: IgnoreRhosts::Yes,
            ignore_unknown: None,
            ignore_user_known_hosts: YesNo::No,
            ip_qos: IpQos {
                interactive: Dscp::EF,
                bulk: Dscp::CS0,
            },
            kbd_interactive_authentication: YesNo::Yes,
            kerberos_authentication: YesNo::No,
            kerberos_get_afs_token: YesNo::No,
            kerberos_or_local_passwd: YesNo::Yes,
            kerberos_ticket_cleanup: YesNo::Yes,
            kex_algorithms: AlgorithmList::default_of(offered.kex),
            listen_addresses: Vec::new(),
            login_grace_time: Some(Duration::from_secs(120)),
            log_level: LogLevel::Info,
            log_verbose: Vec::new(),
            macs: AlgorithmList::default_of(offered.macs),
            max_auth_tries: 6,
            max_sessions: 10,
            max_startups: MaxStartups {
                start: 10,
                rate: 30,
                full: 100,
            },
            moduli_file: Some("/etc/ssh/moduli".into()),
            pam_service_name: offered.pam_service.name().to_owned(),
            password_authentication: YesNo::Yes,
            permit_empty_passwords: YesNo::No,
            permit_listen: PermitForward::Any,
            permit_open: PermitForward::Any,
            permit_root_login: PermitRootLogin::ProhibitPassword,
            permit_tty: YesNo::Yes,
            permit_tunnel: Tunnel::No,
            permit_user_environment: PermitUserEnvironment::No,
            permit_user_rc: YesNo::Yes,
            per_source_max_startups: None,
            per_source_net_block_size: PerSourceNetBlockSize { v4: 32, v6: 128 },
            per_source_penalties: PerSourcePenalties::default(),
            per_source_penalty_exempt: None,
            pid_file: Some("/run/sshd.pid".into()),
            ports: Vec::new(),
            print_last_log: YesNo::Yes,
            print_motd: YesNo::Yes,
            pubkey_accepted_algorithms: AlgorithmList::default_of(offered.pubkey),
            pubkey_authentication: YesNo::Yes,
            pubkey_auth_options: PubkeyAuthOptions::default(),
            rdomain: None,
            refuse_connection: YesNo::No,
            rekey_limit: RekeyLimit {
                bytes: None,
                time: None,
            },
            required_rsa_size: 1024,
            revoked_keys: Vec::new(),
            security_key_provider: Some("internal".to_owned()),
            session_properties: Vec::new(),
            set_env: Vec::new(),
            software_version: None,
            sshd_auth_path: None,
            sshd_session_path: None,
            stream_local_bind_mask: 0o177,
            stream_local_bind_unlink: YesNo::No,
            strict_modes: YesNo::Yes,
            subsystems: Vec::new(),
            syslog_facility: SyslogFacility::Auth,
            tcp_keep_alive: YesNo::Yes,
            trusted_user_ca_keys: None,
            unused_connection_timeout: None,
            use_dns: YesNo::No,
            use_pam: YesNo::No,
            version_addendum: None,
            x11_display_offset: 10,
            x11_forwarding: YesNo::No,
            x11_use_localhost: YesNo::Yes,
            xauth_location: Some("/usr/bin/xauth".into()),
            worker_pool: WorkerPool {
                idle: 4,
                max: 512,
                start_rate: 20,
            },
        }
    }

    /// Fills in what keywords that collect have if they do not occur, once all lines are read.
    pub(crate) fn fill_in(&mut self) {
        if self.host_keys_origin == HostKeys::Default {
            self.host_keys = DEFAULT_HOST_KEYS.iter().map(PathBuf::from).collect();
        }
        if self.ports.is_empty() {
            self.ports = vec![22];
        }
        self.per_source_penalties = self.per_source_penalties.filled_in();
        // A time of zero says `never`; until now it had to be told from no time.
        self.rekey_limit.time = self.rekey_limit.time.and_then(numbers::some_if_not_zero);
    }
}
