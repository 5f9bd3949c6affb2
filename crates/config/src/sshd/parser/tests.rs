use super::*;
use crate::sshd::PamService;
use crate::sshd::{
    Compression, FileSystem, HostKeys, LogLevel, MaxStartups, NoFiles, OWN_KEYWORDS,
    PermitRootLogin, Range, RekeyLimit, YesNo,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const fn all(names: &'static [&'static str]) -> Range<'static> {
    Range {
        supported: names,
        default: names,
    }
}

const OFFERED: Offered<'static> = Offered {
    kex: all(&["mlkem768x25519-sha256", "curve25519-sha256"]),
    ciphers: all(&[
        "chacha20-poly1305@openssh.com",
        "aes256-gcm@openssh.com",
        "aes256-ctr",
    ]),
    macs: all(&["hmac-sha2-256-etm@openssh.com"]),
    host_key: all(&["ssh-ed25519", "rsa-sha2-512"]),
    pubkey: all(&["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"]),
    authority: all(&["ssh-ed25519", "rsa-sha2-512"]),
    pam_service: PamService::Sshd,
};

/// What Debian 12 installs, with its comments left out.
const DEBIAN_12: &str = "\
Include /etc/ssh/sshd_config.d/*.conf
#Port 22
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem\tsftp\t/usr/lib/openssh/sftp-server
#Match User anoncvs
#\tX11Forwarding no
";

#[derive(Default)]
struct Files(BTreeMap<&'static str, &'static str>);

impl Includes for Files {
    fn resolve(&self, pattern: &str) -> Result<Vec<IncludedFile>, ErrorKind> {
        let pattern = crate::pattern::Pattern::new(pattern);
        let files = self.0.iter().filter(|(name, _)| pattern.matches(name));
        Ok(files
            .map(|(name, text)| IncludedFile {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
            .collect())
    }

    fn service(&self, name: &str) -> Option<u16> {
        (name == "ssh").then_some(22)
    }
}

fn parse(text: &str, includes: &dyn Includes) -> Result<Configuration, Errors> {
    let file = IncludedFile {
        name: "f".to_owned(),
        text: text.to_owned(),
    };
    Parsed::new(&[file], &[], includes, &OFFERED).obeyed()
}

fn loaded(text: &str) -> Configuration {
    parse(text, &NoFiles).unwrap_or_else(|errors| panic!("{errors}"))
}

fn config(text: &str) -> SshdConfig {
    loaded(text).global().config
}

fn warnings(text: &str) -> Vec<String> {
    loaded(text)
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn errors(text: &str) -> Vec<String> {
    match parse(text, &NoFiles) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn nothing_configured_is_openssh_default() {
    let config = config("");
    assert_eq!(config, SshdConfig::defaults(&OFFERED));
    assert_eq!(config.login_grace_time, Some(Duration::from_secs(120)));
    assert_eq!(
        config.max_startups,
        MaxStartups {
            start: 10,
            rate: 30,
            full: 100
        }
    );
    assert_eq!(config.permit_root_login, PermitRootLogin::ProhibitPassword);
    assert_eq!(config.host_keys.len(), 2);
    assert_eq!(config.host_keys_origin, HostKeys::Default);
    assert_eq!(config.kex_algorithms.names(), OFFERED.kex.default);
}

#[test]
fn own_keywords_have_the_documented_defaults() {
    for own in OWN_KEYWORDS {
        assert_eq!(
            config(&format!("{} {}", own.name, own.default)),
            config(""),
            "{}",
            own.name
        );
    }
}

#[test]
fn debians_file_loads_without_a_warning() {
    let loaded = loaded(DEBIAN_12);
    let config = loaded.global().config;
    assert_eq!(config.use_pam, YesNo::Yes);
    assert!(config.accepts_env("LC_ALL") && config.accepts_env("LANG"));
    assert!(!config.accepts_env("LD_PRELOAD"));
    assert_eq!(config.subsystems[0].name, "sftp");
    assert_eq!(config.subsystems[0].command, "/usr/lib/openssh/sftp-server");
    assert_eq!(loaded.warnings.len(), 0, "{:?}", loaded.warnings);
    assert_eq!(config.x11_forwarding, YesNo::Yes);
}

#[test]
fn every_active_keyword_sets_its_value() {
    let config = config(
        "AcceptEnv A B*\nAcceptEnv C\nAuthorizedKeysFile %h/keys /etc/keys/%u\nBanner /etc/issue.net\nCiphers aes256-ctr\n\
         ClientAliveCountMax 0\nClientAliveInterval 15\nCompression no\nFingerprintHash SHA256\nHostKey /a\nHostKey /b\nHostKey /a\n\
         CASignatureAlgorithms rsa-sha2-512\nHostCertificate /a-cert.pub\nHostCertificate none\n\
         HostKeyAlgorithms -rsa*\nKexAlgorithms ^curve25519*\nLogLevel debug\nLoginGraceTime 1m30s\nMACs +hmac-sha2-512\n\
         MaxAuthTries 3\nMaxSessions 0\nMaxStartups 3:50:9\nPermitRootLogin without-password\nPermitTTY no\n\
         PubkeyAcceptedKeyTypes ssh-ed25519\nPubkeyAuthentication no\nRekeyLimit 1G 1h\nRequiredRSASize 3072\n\
         StrictModes no\nSubsystem sftp \"/a b/sftp\" -l 'I N' # why\nUsePAM yes\nVersionAddendum here #1\n\
         WorkerPoolIdle 8\nWorkerPoolMax 8\nWorkerStartRate 5\n",
    );
    assert!(config.accepts_env("C") && config.accepts_env("B1") && !config.accepts_env("AB"));
    let home = PathBuf::from("/home/u");
    let files: Vec<PathBuf> = config
        .authorized_keys_files
        .iter()
        .map(|file| file.expand("u", 7, &home))
        .collect();
    assert_eq!(files, [home.join("keys"), PathBuf::from("/etc/keys/u")]);
    assert_eq!(config.banner, Some(PathBuf::from("/etc/issue.net")));
    assert_eq!(config.ciphers.names(), ["aes256-ctr"]);
    assert_eq!(config.client_alive_count_max, 0);
    assert_eq!(config.client_alive_interval, Some(Duration::from_secs(15)));
    assert_eq!(config.compression, Compression::No);
    assert_eq!(config.ca_signature_algorithms.names(), ["rsa-sha2-512"]);
    assert_eq!(config.host_certificates, [PathBuf::from("/a-cert.pub")]);
    assert_eq!(config.host_keys, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.host_keys_origin, HostKeys::Configured);
    assert_eq!(config.host_key_algorithms.names(), ["ssh-ed25519"]);
    assert_eq!(
        config.kex_algorithms.names(),
        ["curve25519-sha256", "mlkem768x25519-sha256"]
    );
    assert_eq!(config.log_level, LogLevel::Debug1);
    assert_eq!(config.login_grace_time, Some(Duration::from_secs(90)));
    assert_eq!(config.macs.names(), OFFERED.macs.default);
    assert_eq!(config.max_auth_tries, 3);
    assert_eq!(config.max_sessions, 0);
    assert_eq!(
        config.max_startups,
        MaxStartups {
            start: 3,
            rate: 50,
            full: 9
        }
    );
    assert_eq!(config.permit_root_login, PermitRootLogin::ProhibitPassword);
    assert_eq!(config.permit_tty, YesNo::No);
    assert_eq!(config.pubkey_accepted_algorithms.names(), ["ssh-ed25519"]);
    assert_eq!(config.pubkey_authentication, YesNo::No);
    assert_eq!(
        config.rekey_limit,
        RekeyLimit {
            bytes: Some(1 << 30),
            time: Some(Duration::from_secs(3600))
        }
    );
    assert_eq!(config.required_rsa_size, 3072);
    assert_eq!(config.strict_modes, YesNo::No);
    assert_eq!(config.subsystems[0].command, "\"/a b/sftp\" -l \"I N\"");
    assert_eq!(config.use_pam, YesNo::Yes);
    assert_eq!(config.version_addendum.as_deref(), Some("here #1"));
    assert_eq!(
        (
            config.worker_pool.idle,
            config.worker_pool.max,
            config.worker_pool.start_rate
        ),
        (8, 8, 5)
    );
}

#[test]
fn zero_and_none_turn_off() {
    let config = config(
        "LoginGraceTime 0\nClientAliveInterval 0\nVersionAddendum none\nAuthorizedKeysFile none\nRekeyLimit default none\n",
    );
    assert_eq!(config.login_grace_time, None);
    assert_eq!(config.client_alive_interval, None);
    assert_eq!(config.version_addendum, None);
    assert!(config.authorized_keys_files.is_empty());
    assert_eq!(
        config.rekey_limit,
        RekeyLimit {
            bytes: None,
            time: None
        }
    );
}

#[test]
fn compression_is_always_delayed_if_there_is_any() {
    for text in ["", "Compression yes", "Compression Delayed"] {
        assert_eq!(config(text).compression, Compression::Delayed, "{text}");
    }
}

#[test]
fn the_first_value_counts_and_later_ones_must_be_valid() {
    assert_eq!(config("MaxAuthTries 3\nmaxauthtries 4\n").max_auth_tries, 3);
    assert_eq!(errors("MaxAuthTries 3\nMaxAuthTries x\n").len(), 1);
}

#[test]
fn an_included_file_counts_where_it_is_included() {
    let files = Files(BTreeMap::from([
        ("/d/20.conf", "MaxSessions 20\nMaxAuthTries 20"),
        ("/d/10.conf", "MaxSessions 10\nInclude /nested"),
        ("/nested", "LoginGraceTime 5"),
    ]));
    let loaded = parse(
        "MaxAuthTries 1\nInclude /d/*.conf /missing\nLoginGraceTime 9",
        &files,
    );
    let config = loaded.unwrap().global().config;
    assert_eq!(config.max_auth_tries, 1);
    assert_eq!(config.max_sessions, 10);
    assert_eq!(config.login_grace_time, Some(Duration::from_secs(5)));
}

#[test]
fn with_the_file_none_options_and_defaults_hold() {
    for name in ["none", "None"] {
        let loaded = load(Path::new(name), &["MaxSessions 3"], &OFFERED);
        let config = loaded.unwrap().global().config;
        assert_eq!((config.max_sessions, config.max_auth_tries), (3, 6));
    }
    assert!(load(Path::new("./none"), &[], &OFFERED).is_err());
}

#[test]
fn an_error_in_an_included_file_names_that_file() {
    let files = Files(BTreeMap::from([("/d/10.conf", "\nPermitRotLogin no")]));
    let Errors(errors) = parse("Include /d/*", &files).unwrap_err();
    assert!(
        errors[0]
            .to_string()
            .starts_with("/d/10.conf:2:1: unknown keyword")
    );
}

#[test]
fn includes_that_include_each_other_end() {
    let files = Files(BTreeMap::from([("/a", "Include /a")]));
    let Errors(errors) = parse("Include /a", &files).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].kind, ErrorKind::IncludeDepth(DEPTH_LIMIT));
    let files = Files(BTreeMap::from([
        ("/a", "Include /*\nInclude /*"),
        ("/b", "Include /*"),
    ]));
    let Errors(errors) = parse("Include /*", &files).unwrap_err();
    assert!(
        errors
            .iter()
            .any(|error| error.kind == ErrorKind::IncludeCount(COUNT_LIMIT))
    );
}

#[test]
fn an_unknown_keyword_is_shown_with_a_marker_and_a_suggestion() {
    assert_eq!(
        errors("# x\n  PermitRotLogin no\n"),
        [
            "f:2:3: unknown keyword \"PermitRotLogin\" (did you mean PermitRootLogin?)\n      PermitRotLogin no\n      \
          ^^^^^^^^^^^^^^"
        ]
    );
    assert_eq!(
        errors("FlyToTheMoon yes"),
        ["f:1:1: unknown keyword \"FlyToTheMoon\"\n    FlyToTheMoon yes\n    ^^^^^^^^^^^^"]
    );
}

#[test]
fn all_errors_are_reported_in_one_run_and_in_order() {
    let got =
        errors("Prt 22\nMaxAuthTries many\nUsePAM\nBanner \"x\nMaxSessions 1 2\nStrictModes yes\n");
    let starts = [
        "f:1:1: unknown",
        "f:2:14: MaxAuthTries: \"many\"",
        "f:3:1: UsePAM needs",
        "f:4:8: quot",
        "f:5:15: MaxS",
    ];
    assert_eq!(got.len(), starts.len());
    for (error, start) in got.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_pam_service_is_a_file_name() {
    assert_eq!(errors("PAMServiceName my-ssh_2.strict"), [""; 0]);
    for name in ["../login", "/etc/pam.d/login", ".", "\"a b\""] {
        assert_eq!(errors(&format!("PAMServiceName {name}")).len(), 1, "{name}");
    }
}

#[test]
fn what_forbids_something_is_never_ignored() {
    for line in ["Match User alice\n RDomain x", "RDomain x"] {
        let got = errors(line);
        assert!(
            got.len() == 1 && got[0].contains("cannot be ignored"),
            "{line}: {got:?}"
        );
    }
}

#[test]
fn methods_that_are_not_enabled_are_named_if_nobody_could_log_in() {
    let switches = "PubkeyAuthentication yes\nPasswordAuthentication no";
    let methods = "AuthenticationMethods publickey,password hostbased password:x";
    let got = errors(&format!("{switches}\n{methods}"));
    let expected = "f:3:1: AuthenticationMethods cannot be satisfied by enabled authentication methods: \
                    not enabled are password, hostbased\n";
    assert!(
        got.iter().any(|error| error.starts_with(expected)),
        "{got:?}"
    );
    for satisfiable in ["publickey,password publickey", "password none"] {
        let got = errors(&format!("{switches}\nAuthenticationMethods {satisfiable}"));
        assert!(
            !got.iter().any(|error| error.contains("satisfied")),
            "{got:?}"
        );
    }
}

#[test]
fn a_forced_command_is_the_rest_of_its_line() {
    for (text, expected) in [
        ("ForceCommand /bin/a 'b c' # d", Some("/bin/a 'b c' # d")),
        ("ForceCommand none", None),
        (
            "ForceCommand none # not a comment",
            Some("none # not a comment"),
        ),
        ("ForceCommand internal-sftpd", Some("internal-sftpd")),
    ] {
        assert_eq!(config(text).force_command.as_deref(), expected, "{text}");
    }
}

#[test]
fn values_that_ask_for_what_happens_anyway_get_no_remark() {
    let quiet = "PasswordAuthentication no\nForceCommand none\nAuthenticationMethods any\nX11Forwarding no\n\
                 RevokedKeys none\nChrootDirectory none\nSyslogFacility AUTH\n";
    assert!(warnings(quiet).is_empty());
}

#[test]
fn what_has_no_effect_is_remarked() {
    let got = warnings(
        "Port 2222\nSshdAuthPath /x\nUsePrivilegeSeparation sandbox\nKerberosAuthentication yes\nUsePAM no",
    );
    assert_eq!(
        got[0],
        "f:2:1: SshdAuthPath has no effect: the processes are systemd units"
    );
    assert!(got[1].ends_with("UsePrivilegeSeparation is deprecated and has no effect"));
    assert!(got[2].ends_with(
        "KerberosAuthentication has no effect in this version: GSSAPI and Kerberos are not offered"
    ));
    assert_eq!(got.len(), 4);
}

#[test]
fn lines_below_a_match_are_checked_and_do_not_count_for_everybody() {
    let got = errors("Match User a\n  MaxSessions x\n  PermitTTY no\n");
    assert_eq!(got.len(), 1);
    assert_eq!(
        config("Match User a\n PermitTTY no\n").permit_tty,
        YesNo::Yes
    );
}

#[test]
fn values_out_of_range_are_errors() {
    for line in [
        "MaxAuthTries -1",
        "MaxAuthTries 99999999999",
        "LoginGraceTime soon",
        "ClientAliveInterval 1y",
        "MaxStartups 10:30",
        "PermitRootLogin maybe",
        "PermitTTY perhaps",
        "StrictModes true",
        "RekeyLimit 5",
        "Compression zlib",
        "RekeyLimit 1G later",
        "LogLevel LOUD",
        "AuthorizedKeysFile %k",
        "AuthorizedKeysFile none .ssh/authorized_keys",
        "AcceptEnv A=B",
        "VersionAddendum café",
        "Subsystem sftp",
        "FingerprintHash crc32",
        "AuthorizedKeysFile ~/.ssh/authorized_keys",
        "Ciphers aes256-crt",
        "Ciphers 3des-cbc",
        "SessionProperties",
        "SessionProperties MemoryMax",
        "SessionProperties none TasksMax=5",
        "SessionProperties TasksMax=5 TasksMax=6",
        "SoftwareVersion",
        "SoftwareVersion \"\"",
        "SoftwareVersion \"two words\"",
        "SoftwareVersion two words",
        "SoftwareVersion open-ssh",
        "SoftwareVersion caf\u{e9}",
        "SoftwareVersion a\u{7f}",
        "WorkerPoolIdle 0",
        "WorkerPoolIdle 65",
        "WorkerPoolIdle 10\nWorkerPoolMax 9",
        "WorkerStartRate 0",
        "Port",
        "Banner \"\u{fffd}\"",
        "=",
    ] {
        assert_eq!(errors(line).len(), 1, "{line}: {:?}", errors(line));
    }
}

#[test]
fn what_two_lines_together_make_wrong_is_shown_at_one_of_them() {
    for (text, start) in [
        (
            "WorkerPoolIdle 10\nWorkerPoolMax 9",
            "f:2:1: WorkerPoolIdle 10 is larger",
        ),
        ("\nWorkerPoolMax 3", "f:2:1: WorkerPoolIdle 4 is larger"),
        (
            "AuthorizedKeysCommand /x",
            "f:1:1: AuthorizedKeysCommand needs AuthorizedKeysCommandUser",
        ),
        (
            "AddressFamily inet\nListenAddress ::",
            "f:2:1: ListenAddress :: is not",
        ),
        (&"Port 1\n".repeat(257), "f:257:1: more than 256 ports"),
    ] {
        let got = errors(text);
        assert!(got.len() == 1 && got[0].starts_with(start), "{got:?}");
    }
}

#[test]
fn an_algorithm_only_openssh_has_is_remarked_at_its_place() {
    assert_eq!(
        warnings("Ciphers aes128-cbc,aes256-ctr"),
        ["f:1:9: Ciphers: aes128-cbc is not offered by this server"]
    );
}

#[test]
fn bytes_that_are_not_text_harm_only_outside_of_comments() {
    let directory = std::env::temp_dir().join(format!("config-latin1-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("sshd_config");
    std::fs::write(&path, b"# f\xfcr alle\nMaxSessions 3 # \xfc\n").unwrap();
    let good = load(&path, &[], &OFFERED);
    std::fs::write(&path, b"Banner /etc/\xfc\n").unwrap();
    let bad = load(&path, &[], &OFFERED);
    let missing = load(&directory.join("none"), &[], &OFFERED);
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(good.unwrap().global().config.max_sessions, 3);
    assert_eq!(bad.unwrap_err().0[0].kind, ErrorKind::NotUtf8);
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .starts_with("cannot read /")
    );
}

#[test]
fn line_ends_of_other_systems_are_no_part_of_a_value() {
    assert_eq!(
        config("VersionAddendum x\r\nMaxSessions 3\r\n")
            .version_addendum
            .as_deref(),
        Some("x")
    );
}

#[test]
fn the_real_file_system_resolves_nothing_for_a_directory_that_is_not_there() {
    assert_eq!(FileSystem.resolve("/nonexistent/*.conf"), Ok(Vec::new()));
}

fn any_line() -> impl Strategy<Value = String> {
    let keyword = proptest::sample::select(
        keywords::KEYWORDS
            .iter()
            .map(|row| row.name.to_owned())
            .collect::<Vec<_>>(),
    );
    let value = prop_oneof![
        "[ -~]{0,20}",
        "\\PC{0,20}",
        "[0-9]{1,12}[smhdwKMG:,]{0,2}",
        Just("yes".to_owned()),
        Just("none".to_owned()),
        Just("+*,-a".to_owned()),
    ];
    (keyword, prop_oneof![Just(" "), Just("="), Just("")], value)
        .prop_map(|(keyword, separator, value)| format!("{keyword}{separator}{value}"))
}

proptest! {
    #[test]
    fn no_text_panics_and_every_error_can_be_shown(lines in proptest::collection::vec(any_line(), 0..6)) {
        match parse(&lines.join("\n"), &Files(BTreeMap::from([("/a", "Include *")]))) {
            Ok(loaded) => drop(loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()),
            Err(errors) => prop_assert!(!errors.to_string().is_empty()),
        }
    }

    #[test]
    fn arbitrary_text_does_not_panic(text in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
        if let Err(errors) = parse(&text, &NoFiles) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn remarks_on_one_line_share_its_text() {
    let text = format!("Ciphers {}aes256-ctr\n", "3des-cbc,".repeat(1000));
    let configuration = read_text(&text, "f", &[], &NoFiles, &OFFERED).unwrap();
    let mut remarks = configuration.warnings().iter();
    let first = &remarks.next().unwrap().location.text;
    assert_eq!(remarks.len(), 999);
    assert!(remarks.all(|remark| Arc::ptr_eq(&remark.location.text, first)));
}

#[test]
fn ignore_unknown_skips_what_nobody_knows_after_it() {
    let read = |text: &str| read_text(text, "f", &[], &NoFiles, &OFFERED);
    let ignored = "IgnoreUnknown Fly*,!FlyHigh\nflyToTheMoon \"x y\"\nMatch User a\nFlyBack\n";
    assert!(read(ignored).is_ok());
    let options = ["IgnoreUnknown=Fly*"];
    assert!(read_text("FlyHigh 1", "f", &options, &NoFiles, &OFFERED).is_ok());
    for (text, line) in [
        // Before it, excluded, not the first, known, and with a value that cannot be split.
        ("Fly x\nIgnoreUnknown Fly*\n", 1),
        ("IgnoreUnknown Fly*,!FlyHigh\nFlyHigh x\n", 2),
        ("IgnoreUnknown Walk*\nIgnoreUnknown Fly*\nFly x\n", 3),
        ("IgnoreUnknown *\nPort x\n", 2),
        ("IgnoreUnknown *\nFly \"x\n", 2),
    ] {
        let Errors(errors) = read(text).unwrap_err();
        let lines = errors.iter().flat_map(|error| &error.location);
        assert_eq!(
            lines.map(|place| place.line).collect::<Vec<_>>(),
            [line],
            "{text}"
        );
    }
}

#[test]
fn the_own_file_counts_before_the_one_for_both_servers() {
    let directory = std::env::temp_dir().join(format!("config-own-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (own, shared) = (directory.join("own"), directory.join("shared"));
    std::fs::write(&own, "WorkerPoolIdle 7\nMatch User a\nPermitTTY no\n").unwrap();
    std::fs::write(&shared, "MaxSessions 3\nWorkerPoolIdle 9\n").unwrap();
    let read = |own: Option<&Path>| {
        let files = files(own, &shared).unwrap();
        let read = Parsed::new(&files, &[], &NoFiles, &OFFERED).shown();
        read.unwrap().global().config
    };
    let (with, without) = (read(Some(&own)), read(None));
    let missing = read(Some(&directory.join("missing")));
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!((with.worker_pool.idle, with.max_sessions), (7, 3));
    // Its Match ends with it.
    assert_eq!(with.permit_tty, YesNo::Yes);
    assert_eq!((without.worker_pool.idle, &without), (9, &missing));
}

#[test]
fn the_server_is_called_what_is_configured_and_its_line_stays_short() {
    let called = |text: &str| config(text).identification();
    let ours = concat!(
        "SSH-2.0-OpenSSH_compatible_sshd_privsep_",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(called(""), ours);
    assert_eq!(called("SoftwareVersion none"), ours);
    assert_eq!(
        called("SoftwareVersion sshd_privsep\nVersionAddendum with comment"),
        "SSH-2.0-sshd_privsep with comment"
    );
    // RFC 4253 section 4.2: 255 bytes with "SSH-2.0-", the space and CR LF.
    let both = |name, addendum| {
        let (name, addendum) = ("n".repeat(name), "a".repeat(addendum));
        format!("VersionAddendum {addendum}\nSoftwareVersion {name}")
    };
    assert_eq!(called(&both(116, 128)).len(), 253);
    let found = errors(&both(117, 128));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("f:2:1: SoftwareVersion and VersionAddendum make")
            && found[0].contains("256 bytes"),
        "{found:?}"
    );
    assert_eq!(
        errors(&format!("SoftwareVersion {}", "n".repeat(246))).len(),
        1
    );
}

#[test]
fn a_property_of_sessions_that_is_unknown_is_shown_with_the_nearest() {
    let found = errors("Match User a\nSessionProperties TasksMax=5 MemoryMx=1G");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("f:2:30: SessionProperties: \"MemoryMx=1G\" is not one of"),
        "{found:?}"
    );
    assert!(found[0].contains("did you mean MemoryMax?"), "{found:?}");
}
