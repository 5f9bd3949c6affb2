use super::*;
use config::authorized_keys::{LocalTime, principal};
use config::sshd::YesNo;
use wire::codec::Write;

struct Greenwich;

impl LocalTime for Greenwich {
    fn seconds(&self, local: u64) -> Option<u64> {
        Some(local)
    }
}

fn situation(address: &str) -> Situation<'_> {
    Situation {
        host: address,
        address: address.parse().ok(),
        now: 1500,
        zone: &Greenwich,
    }
}

fn strings(parts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    parts
        .iter()
        .for_each(|part| out.put_string(part.as_bytes()));
    out
}

/// The fields of a certificate, to be changed one at a time.
struct Fields {
    kind: u32,
    principals: Vec<&'static str>,
    after: u64,
    before: u64,
    critical: Vec<(&'static str, Vec<u8>)>,
    extensions: Vec<(&'static str, Vec<u8>)>,
}

impl Fields {
    fn new() -> Self {
        Self {
            kind: 1,
            principals: vec!["alice", "staff"],
            after: 1000,
            before: 2000,
            critical: Vec::new(),
            extensions: vec![("permit-pty", Vec::new())],
        }
    }

    fn certificate(&self) -> Certificate {
        let options = |options: &[(&str, Vec<u8>)]| {
            let mut out = Vec::new();
            for (name, data) in options {
                out.put_string(name.as_bytes());
                out.put_string(data);
            }
            out
        };
        let mut out = strings(&["ssh-ed25519-cert-v01@openssh.com", "nonce"]);
        out.put_string(&[7; 32]);
        out.put_uint64(42);
        out.put_uint32(self.kind);
        out.put_string(b"id");
        out.put_string(&strings(&self.principals));
        out.put_uint64(self.after);
        out.put_uint64(self.before);
        out.put_string(&options(&self.critical));
        out.put_string(&options(&self.extensions));
        out.put_string(b"");
        out.put_string(b"authority");
        out.put_string(b"signature");
        Certificate::decode(&out).unwrap()
    }

    fn judge(&self, trust: Trust<'_>) -> Result<Permitted, CertificateRefusal> {
        judge(&self.certificate(), trust, situation("192.0.2.7"))
    }
}

/// What becomes of a certificate under each kind of trust, all of which mean alice.
fn everywhere(fields: &Fields) -> [Result<Permitted, CertificateRefusal>; 4] {
    let options = |text: &str| Options::parse(text).unwrap();
    let (plain, named) = (
        options("cert-authority"),
        options("cert-authority,principals=\"bob,staff\""),
    );
    let line = |options| {
        let user = "alice";
        fields.judge(Trust::ByLine { options, user })
    };
    let principals = principals(&["bob", "staff"]);
    [
        fields.judge(Trust::ForUser("alice")),
        fields.judge(Trust::ForPrincipals(&principals)),
        line(&plain),
        line(&named),
    ]
}

fn principals(lines: &[&str]) -> Vec<Principal> {
    let read = |line: &&str| principal(line.as_bytes()).unwrap().unwrap();
    lines.iter().map(read).collect()
}

#[test]
fn a_certificate_permits_what_its_extensions_name() {
    for permitted in everywhere(&Fields::new()) {
        let session = permitted.unwrap().constraints.session;
        assert_eq!(session.pty, YesNo::Yes);
        for flag in [
            session.agent_forwarding,
            session.port_forwarding,
            session.user_rc,
            session.x11_forwarding,
        ] {
            assert_eq!(flag, YesNo::No);
        }
    }
    let all = [
        "no-touch-required",
        "permit-X11-forwarding",
        "permit-agent-forwarding",
        "permit-port-forwarding",
        "permit-pty",
        "permit-user-rc",
    ];
    let fields = Fields {
        extensions: all.map(|name| (name, Vec::new())).to_vec(),
        ..Fields::new()
    };
    let permitted = fields.judge(Trust::ForUser("alice")).unwrap();
    assert_eq!(permitted.constraints.names(), ["no-touch-required"]);
}

#[test]
fn it_must_be_for_users_and_valid_and_for_somebody() {
    use CertificateRefusal::*;
    let fields = Fields::new;
    for (fields, expected) in [
        (
            Fields {
                kind: 2,
                ..fields()
            },
            NotForUsers,
        ),
        (
            Fields {
                after: 1501,
                ..fields()
            },
            NotYetValid,
        ),
        (
            Fields {
                before: 1500,
                ..fields()
            },
            Expired,
        ),
    ] {
        for refused in everywhere(&fields) {
            assert_eq!(refused, Err(expected.clone()));
        }
    }
    let within = Fields {
        after: 1500,
        before: 1501,
        ..fields()
    };
    assert!(everywhere(&within).iter().all(Result::is_ok));
    let nobody = Fields {
        principals: Vec::new(),
        ..fields()
    };
    let [user, file, line, named] = everywhere(&nobody);
    for refused in [user, line] {
        assert_eq!(refused, Err(NoPrincipals));
    }
    for refused in [file, named] {
        assert_eq!(refused, Err(NoAuthorizedPrincipal));
    }
}

#[test]
fn it_must_name_the_user_or_an_authorized_principal() {
    use CertificateRefusal::*;
    // One name with a comma is not two, and case counts.
    for principals in [
        vec!["mallory"],
        vec!["alice,staff"],
        vec!["Alice", "STAFF"],
        vec!["*"],
        vec![""],
    ] {
        let fields = Fields {
            principals,
            ..Fields::new()
        };
        let [user, file, line, named] = everywhere(&fields);
        for refused in [user, line] {
            assert_eq!(refused, Err(OtherPrincipals));
        }
        for refused in [file, named] {
            assert_eq!(refused, Err(NoAuthorizedPrincipal));
        }
    }
    // Where principals are authorized, the user's name is none of them by itself.
    let alice = Fields {
        principals: vec!["alice"],
        ..Fields::new()
    };
    let [user, file, line, named] = everywhere(&alice);
    assert!(user.is_ok() && line.is_ok() && file.is_err() && named.is_err());
    assert_eq!(
        alice.judge(Trust::ForPrincipals(&[])),
        Err(NoAuthorizedPrincipal)
    );
}

#[test]
fn critical_options_are_obeyed_or_refuse() {
    use BadCertificateOptions::*;
    let with = |name, data| Fields {
        critical: vec![(name, data)],
        ..Fields::new()
    };
    let corrupt = |name: &str| Err(CertificateRefusal::Options(Corrupt(name.to_owned())));
    let unsupported = |name: &str| Err(CertificateRefusal::Options(Unsupported(name.to_owned())));
    for (name, data, expected) in [
        ("force-command", strings(&["x"]), Ok(["command"].as_slice())),
        ("verify-required", Vec::new(), Ok(&["verify-required"])),
        ("source-address", strings(&["192.0.2.0/24,::1"]), Ok(&[])),
        ("force-command", Vec::new(), corrupt("force-command")),
        (
            "force-command",
            strings(&["x", "y"]),
            corrupt("force-command"),
        ),
        (
            "force-command",
            strings(&["x\0y"]),
            corrupt("force-command"),
        ),
        (
            "verify-required",
            strings(&["x"]),
            corrupt("verify-required"),
        ),
        ("source-address", Vec::new(), corrupt("source-address")),
        ("permit-pty", Vec::new(), unsupported("permit-pty")),
        (
            "new@example.com",
            Vec::new(),
            unsupported("new@example.com"),
        ),
    ] {
        for found in everywhere(&with(name, data.clone())) {
            let found = found.map(|permitted| permitted.constraints.names());
            let restrictions = |names: Vec<&'static str>| {
                let of_extensions = |name: &&str| !name.starts_with("no-");
                names.into_iter().filter(of_extensions).collect::<Vec<_>>()
            };
            assert_eq!(
                found.map(restrictions),
                expected.clone().map(<[_]>::to_vec),
                "{name}"
            );
        }
    }
    for list in [
        "192.0.2.*",
        "!192.0.2.7",
        "192.0.2.1/24",
        "a.example.com",
        "",
        "192.0.2.7,,::1",
        "192.0.2.7 ",
    ] {
        for found in everywhere(&with("source-address", strings(&[list]))) {
            assert_eq!(
                found,
                Err(CertificateRefusal::Options(SourceAddress)),
                "{list}"
            );
        }
    }
    for found in everywhere(&with("source-address", strings(&["198.51.100.0/24"]))) {
        assert!(matches!(
            found,
            Err(CertificateRefusal::ByCertificate(Unmet::SourceAddress(_)))
        ));
    }
}

#[test]
fn unknown_extensions_are_ignored_by_name_and_known_ones_have_no_data() {
    let with = |name, data| Fields {
        extensions: vec![(name, data)],
        ..Fields::new()
    };
    for name in ["force-command", "verify-required", "new@example.com"] {
        let permitted = with(name, strings(&["x"])).judge(Trust::ForUser("alice"));
        let permitted = permitted.unwrap();
        assert_eq!(permitted.ignored, [name]);
        assert_eq!(permitted.constraints.session.forced_command, None);
    }
    let corrupt = BadCertificateOptions::Corrupt("permit-pty".to_owned());
    let found = with("permit-pty", strings(&["x"])).judge(Trust::ForUser("alice"));
    assert_eq!(found, Err(corrupt.into()));
}

#[test]
fn the_line_and_the_certificate_hold_together() {
    let forced = Fields {
        critical: vec![("force-command", strings(&["x"]))],
        ..Fields::new()
    };
    let by_line = |text: &str| {
        let options = Options::parse(text).unwrap();
        let user = "alice";
        forced.judge(Trust::ByLine {
            options: &options,
            user,
        })
    };
    let names = |permitted: Permitted| permitted.constraints.names();
    assert!(names(by_line("cert-authority,no-pty").unwrap()).contains(&"no-pty"));
    assert!(by_line("cert-authority,command=\"x\"").is_ok());
    assert!(matches!(
        by_line("cert-authority,command=\"y\""),
        Err(CertificateRefusal::Contradiction(_))
    ));
    assert!(matches!(
        by_line("cert-authority,from=\"10.0.0.0/8\""),
        Err(CertificateRefusal::ByLine(_))
    ));
    assert_eq!(by_line("no-pty"), Err(CertificateRefusal::NoAuthority));

    let by_principal = |lines: &[&str]| forced.judge(Trust::ForPrincipals(&principals(lines)));
    assert!(names(by_principal(&["no-pty alice"]).unwrap()).contains(&"no-pty"));
    assert!(matches!(
        by_principal(&["command=\"y\" alice"]),
        Err(CertificateRefusal::Contradiction(_))
    ));
    // The first line that names a principal decides, as in OpenSSH.
    assert!(matches!(
        by_principal(&["expiry-time=\"19700101000001Z\" staff", "alice"]),
        Err(CertificateRefusal::ByPrincipal(Unmet::Expired(_)))
    ));
}
