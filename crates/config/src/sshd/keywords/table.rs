//! The table itself.

use super::Scope::{Global, Match};
use super::{Keyword, Scope, State};
use crate::sshd::algorithms;
use crate::sshd::setting::{Field, Setting};
use crate::sshd::values::words::word;
use crate::sshd::values::{
    access, environment, identification, limits, network, numbers, paths, session,
};

/// The field of the configuration that a keyword sets, and the kind of its values.
macro_rules! field {
    ($($field:ident).+: $kind:expr) => {
        Some(&Field {
            get: |config| &config.$($field).+,
            get_mut: |config| &mut config.$($field).+,
            kind: $kind,
        })
    };
}

/// The keywords of OpenSSH 10.5 in the order of sshd_config(5), then the old ones, Debian's, and ours. One row each, which
/// rustfmt would not make of them.
#[rustfmt::skip]
pub(crate) const KEYWORDS: &[Keyword] = &[
    active("AcceptEnv", Match, field!(accept_env: environment::NAMES)),
    Keyword::new("AddressFamily", Global, field!(address_family: word()), SOCKET_UNIT),
    active("AllowAgentForwarding", Match, field!(allow_agent_forwarding: word())),
    active("AllowGroups", Match, field!(allow_groups: access::GROUPS)),
    active("AllowStreamLocalForwarding", Match, field!(allow_stream_local_forwarding: word())),
    active("AllowTcpForwarding", Match, field!(allow_tcp_forwarding: word())),
    active("AllowUsers", Match, field!(allow_users: access::USERS)),
    active("AuthenticationMethods", Match, field!(authentication_methods: access::METHODS)),
    active("AuthorizedKeysCommand", Match, field!(authorized_keys_command: paths::KEYS_COMMAND)),
    active("AuthorizedKeysCommandUser", Match, field!(authorized_keys_command_user: paths::COMMAND_USER)),
    active("AuthorizedKeysFile", Match, field!(authorized_keys_files: paths::KEY_FILES)),
    active("AuthorizedPrincipalsCommand", Match, field!(authorized_principals_command: paths::PRINCIPALS_COMMAND)),
    active("AuthorizedPrincipalsCommandUser", Match, field!(authorized_principals_command_user: paths::COMMAND_USER)),
    active("AuthorizedPrincipalsFile", Match, field!(authorized_principals_file: paths::KEY_FILE)),
    active("Banner", Match, field!(banner: paths::FILE)),
    active("CASignatureAlgorithms", Match, field!(ca_signature_algorithms: algorithms::CA_LIST)),
    active("ChannelTimeout", Match, field!(channel_timeouts: limits::CHANNEL_TIMEOUTS)),
    active("ChrootDirectory", Match, field!(chroot_directory: paths::DIRECTORY)),
    active("Ciphers", Global, field!(ciphers: algorithms::CIPHER_LIST)),
    active("ClientAliveCountMax", Match, field!(client_alive_count_max: numbers::INTEGER)),
    active("ClientAliveInterval", Match, field!(client_alive_interval: numbers::TIME)),
    active("Compression", Global, field!(compression: word())),
    active("DenyGroups", Match, field!(deny_groups: access::GROUPS)),
    active("DenyUsers", Match, field!(deny_users: access::USERS)),
    active("DisableForwarding", Match, field!(disable_forwarding: word())),
    active("ExposeAuthInfo", Match, field!(expose_auth_info: word())),
    Keyword::new("FingerprintHash", Global, field!(fingerprint_hash: word().last()),
        State::ActiveExcept(&[
            ("md5", ONE_FINGERPRINT), ("sha1", ONE_FINGERPRINT), ("sha384", ONE_FINGERPRINT), ("sha512", ONE_FINGERPRINT),
        ])),
    active("ForceCommand", Match, field!(force_command: paths::LINE)),
    active("GatewayPorts", Match, field!(gateway_ports: word())),
    not_yet("GSSAPIAuthentication", Match, field!(gssapi_authentication: word()), NO_GSSAPI, &["no"]),
    not_yet("GSSAPICleanupCredentials", Global, field!(gssapi_cleanup_credentials: word()), NO_GSSAPI, &["yes", "no"]),
    not_yet("GSSAPIDelegateCredentials", Global, field!(gssapi_delegate_credentials: word()),
        NO_GSSAPI, &["yes", "no"]),
    not_yet("GSSAPIStrictAcceptorCheck", Global, field!(gssapi_strict_acceptor_check: word()),
        NO_GSSAPI, &["yes", "no"]),
    active("HostbasedAcceptedAlgorithms", Match, field!(hostbased_accepted_algorithms: algorithms::HOSTBASED_LIST)),
    active("HostbasedAuthentication", Match, field!(hostbased_authentication: word())),
    active("HostbasedUsesNameFromPacketOnly", Match, field!(hostbased_uses_name_from_packet_only: word())),
    active("HostCertificate", Global, field!(host_certificates: paths::CERTIFICATES)),
    active("HostKey", Global, field!(host_keys: paths::FILES)),
    not_yet("HostKeyAgent", Global, field!(host_key_agent: paths::FILE_OR_WORD),
        "host keys are read from files", &["none"]),
    active("HostKeyAlgorithms", Global, field!(host_key_algorithms: algorithms::HOST_KEY_LIST)),
    active("IgnoreRhosts", Match, field!(ignore_rhosts: word())),
    active("IgnoreUserKnownHosts", Global, field!(ignore_user_known_hosts: word())),
    Keyword::new("Include", Match, None, State::Include),
    active("IPQoS", Match, field!(ip_qos: network::IP_QOS)),
    active("KbdInteractiveAuthentication", Match, field!(kbd_interactive_authentication: word())),
    not_yet("KerberosAuthentication", Match, field!(kerberos_authentication: word()), NO_GSSAPI, &["no"]),
    not_yet("KerberosGetAFSToken", Global, field!(kerberos_get_afs_token: word()), NO_GSSAPI, &["yes", "no"]),
    not_yet("KerberosOrLocalPasswd", Global, field!(kerberos_or_local_passwd: word()), NO_GSSAPI, &["yes", "no"]),
    not_yet("KerberosTicketCleanup", Global, field!(kerberos_ticket_cleanup: word()), NO_GSSAPI, &["yes", "no"]),
    active("KexAlgorithms", Global, field!(kex_algorithms: algorithms::KEX_LIST)),
    Keyword::new("ListenAddress", Global, field!(listen_addresses: network::LISTEN), SOCKET_UNIT),
    active("LoginGraceTime", Global, field!(login_grace_time: numbers::TIME)),
    active("LogLevel", Match, field!(log_level: word())),
    not_yet("LogVerbose", Match, field!(log_verbose: environment::LOG_VERBOSE),
        "LogLevel holds for every part alike", &["none"]),
    active("MACs", Global, field!(macs: algorithms::MAC_LIST)),
    Keyword::new("Match", Match, None, State::Match),
    active("MaxAuthTries", Match, field!(max_auth_tries: numbers::INTEGER)),
    active("MaxSessions", Match, field!(max_sessions: numbers::INTEGER)),
    active("MaxStartups", Global, field!(max_startups: limits::MAX_STARTUPS)),
    active("ModuliFile", Global, field!(moduli_file: paths::FILE)),
    active("PAMServiceName", Global, field!(pam_service_name: paths::SERVICE)),
    active("PasswordAuthentication", Match, field!(password_authentication: word())),
    active("PermitEmptyPasswords", Match, field!(permit_empty_passwords: word())),
    active("PermitListen", Match, field!(permit_listen: network::PERMIT_LISTEN)),
    active("PermitOpen", Match, field!(permit_open: network::PERMIT_OPEN)),
    active("PermitRootLogin", Match, field!(permit_root_login: word())),
    active("PermitTTY", Match, field!(permit_tty: word())),
    active("PermitTunnel", Match, field!(permit_tunnel: word())),
    active("PermitUserEnvironment", Global, field!(permit_user_environment: environment::USER_ENVIRONMENT)),
    active("PermitUserRC", Match, field!(permit_user_rc: word())),
    active("PerSourceMaxStartups", Global, field!(per_source_max_startups: numbers::INTEGER_OR_NONE)),
    active("PerSourceNetBlockSize", Global, field!(per_source_net_block_size: limits::NET_BLOCK)),
    active("PerSourcePenalties", Global, field!(per_source_penalties: limits::PENALTIES)),
    active("PerSourcePenaltyExemptList", Global, field!(per_source_penalty_exempt: limits::EXEMPT)),
    no_effect("PidFile", Global, field!(pid_file: paths::FILE),
        "systemd knows the server's processes; only a second instance writes the file", &["none"]),
    Keyword::new("Port", Global, field!(ports: network::PORTS), SOCKET_UNIT),
    active("PrintLastLog", Global, field!(print_last_log: word())),
    active("PrintMotd", Global, field!(print_motd: word())),
    active("PubkeyAcceptedAlgorithms", Match, field!(pubkey_accepted_algorithms: algorithms::PUBKEY_LIST)),
    active("PubkeyAuthentication", Match, field!(pubkey_authentication: word())),
    active("PubkeyAuthOptions", Match, field!(pubkey_auth_options: access::PUBKEY_OPTIONS)),
    refused("RDomain", Match, field!(rdomain: paths::ROUTING_DOMAIN),
        "sessions would run outside of their routing domain", &["none"]),
    active("RefuseConnection", Match, field!(refuse_connection: word())),
    active("RekeyLimit", Match, field!(rekey_limit: limits::REKEY)),
    active("RequiredRSASize", Match, field!(required_rsa_size: numbers::INTEGER)),
    active("RevokedKeys", Match, field!(revoked_keys: paths::FILE_LIST)),
    not_yet("SecurityKeyProvider", Global, field!(security_key_provider: paths::FILE_OR_WORD),
        "host keys on security keys are not used", &["internal", "none"]),
    active("SetEnv", Match, field!(set_env: environment::VARIABLES)),
    no_effect("SshdAuthPath", Global, field!(sshd_auth_path: paths::FOREIGN_FILE),
        "the processes are systemd units", &[]),
    no_effect("SshdSessionPath", Global, field!(sshd_session_path: paths::FOREIGN_FILE),
        "the processes are systemd units", &[]),
    active("StreamLocalBindMask", Match, field!(stream_local_bind_mask: numbers::MODE)),
    active("StreamLocalBindUnlink", Match, field!(stream_local_bind_unlink: word())),
    active("StrictModes", Global, field!(strict_modes: word())),
    active("Subsystem", Match, field!(subsystems: environment::SUBSYSTEMS)),
    active("SyslogFacility", Global, field!(syslog_facility: word())),
    active("TCPKeepAlive", Global, field!(tcp_keep_alive: word())),
    active("TrustedUserCAKeys", Match, field!(trusted_user_ca_keys: paths::FILE)),
    active("UnusedConnectionTimeout", Match, field!(unused_connection_timeout: numbers::TIME_OR_NONE)),
    active("UseDNS", Global, field!(use_dns: word())),
    Keyword::new("UsePAM", Global, field!(use_pam: word()),
        State::ActiveExcept(&[("no", PAM_ALWAYS)])),
    active("VersionAddendum", Global, field!(version_addendum: identification::ADDENDUM)),
    active("X11DisplayOffset", Match, field!(x11_display_offset: numbers::INTEGER)),
    active("X11Forwarding", Match, field!(x11_forwarding: word())),
    active("X11UseLocalhost", Match, field!(x11_use_localhost: word())),
    active("XAuthLocation", Global, field!(xauth_location: paths::FILE)),
    // Names that keywords had before.
    old("ChallengeResponseAuthentication", "KbdInteractiveAuthentication"),
    old("DSAAuthentication", "PubkeyAuthentication"),
    old("HostbasedAcceptedKeyTypes", "HostbasedAcceptedAlgorithms"),
    old("HostDSAKey", "HostKey"),
    old("KeepAlive", "TCPKeepAlive"),
    old("PubkeyAcceptedKeyTypes", "PubkeyAcceptedAlgorithms"),
    old("SKeyAuthentication", "KbdInteractiveAuthentication"),
    // What OpenSSH accepts and does not obey.
    deprecated("AFSTokenPassing", Global),
    deprecated("AuthorizedKeysFile2", Match),
    deprecated("CheckMail", Global),
    deprecated("KerberosTgtPassing", Global),
    deprecated("KeyRegenerationInterval", Global),
    Keyword::new("Protocol", Global, None, State::Ignored),
    deprecated("ReverseMappingCheck", Global),
    deprecated("RhostsAuthentication", Global),
    deprecated("RhostsRSAAuthentication", Match),
    deprecated("RSAAuthentication", Match),
    deprecated("ServerKeyBits", Global),
    deprecated("UseLogin", Global),
    deprecated("UsePrivilegeSeparation", Global),
    deprecated("VerifyReverseMapping", Global),
    // What Debian's patches add.
    no_effect("DebianBanner", Global, None, "the identification string names no distribution", &["no"]),
    not_yet("GSSAPIKexAlgorithms", Global, None, NO_GSSAPI, &[]),
    not_yet("GSSAPIKeyExchange", Global, None, NO_GSSAPI, &["no"]),
    not_yet("GSSAPIStoreCredentialsOnRekey", Global, None, NO_GSSAPI, &["no"]),
    deprecated("GSSAPIUseSessionCredCache", Global),
    deprecated("GSSUseSessionCCache", Global),
    // Ours: see OWN_KEYWORDS.
    Keyword::new("IgnoreUnknown", Global, field!(ignore_unknown: paths::NAME), State::IgnoreUnknown),
    active("SessionProperties", Match, field!(session_properties: session::PROPERTIES)),
    active("SoftwareVersion", Global, field!(software_version: identification::SOFTWARE_VERSION)),
    active("WorkerPoolIdle", Global, field!(worker_pool.idle: numbers::POOL_IDLE)),
    active("WorkerPoolMax", Global, field!(worker_pool.max: numbers::POOL_MAX)),
    active("WorkerStartRate", Global, field!(worker_pool.start_rate: numbers::START_RATE)),
];

const fn active(
    name: &'static str,
    scope: Scope,
    setting: Option<&'static dyn Setting>,
) -> Keyword {
    Keyword::new(name, scope, setting, State::Active)
}

const fn no_effect(
    name: &'static str,
    scope: Scope,
    setting: Option<&'static dyn Setting>,
    why: &'static str,
    neutral: &'static [&'static str],
) -> Keyword {
    let keyword = Keyword::new(name, scope, setting, State::NoEffect(why));
    Keyword { neutral, ..keyword }
}

const fn not_yet(
    name: &'static str,
    scope: Scope,
    setting: Option<&'static dyn Setting>,
    why: &'static str,
    neutral: &'static [&'static str],
) -> Keyword {
    let keyword = Keyword::new(name, scope, setting, State::NotYet(why));
    Keyword { neutral, ..keyword }
}

const fn refused(
    name: &'static str,
    scope: Scope,
    setting: Option<&'static dyn Setting>,
    why: &'static str,
    neutral: &'static [&'static str],
) -> Keyword {
    let keyword = Keyword::new(name, scope, setting, State::Refused(why));
    Keyword { neutral, ..keyword }
}

const fn deprecated(name: &'static str, scope: Scope) -> Keyword {
    Keyword::new(name, scope, None, State::Deprecated)
}

const fn old(name: &'static str, new: &'static str) -> Keyword {
    Keyword::new(name, Global, None, State::OldNameOf(new))
}

const SOCKET_UNIT: State =
    State::ActiveThrough("sshd-privsep-generator tells sshd-privsep.socket where to listen");
const ONE_FINGERPRINT: &str = "fingerprints are SHA256";
const NO_GSSAPI: &str = "GSSAPI and Kerberos are not offered";
const PAM_ALWAYS: &str = "PAM is not asked who may log in, and opens sessions all the same";
