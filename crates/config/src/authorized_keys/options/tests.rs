//! What is read and what is refused was compared with Debian's sshd 9.2p1: a login was tried by each line of
//! [`LIKE_OPENSSH`] and of [`REFUSED`], and succeeded or failed with these very words. Differences stand beside their lines.

use super::*;
use proptest::prelude::*;

fn session(text: &str) -> crate::authorized_keys::SessionConstraints {
    Options::parse(text).unwrap().constraints.session
}

fn names(text: &str) -> Vec<&'static str> {
    Options::parse(text).unwrap().constraints.names()
}

#[test]
fn each_flag_takes_away_and_gives_back_whatever_its_case() {
    for (flag, name) in [
        ("agent-forwarding", "no-agent-forwarding"),
        ("port-forwarding", "no-port-forwarding"),
        ("pty", "no-pty"),
        ("user-rc", "no-user-rc"),
        ("X11-forwarding", "no-X11-forwarding"),
        ("touch-required", "no-touch-required"),
    ] {
        assert_eq!(names(flag), [""; 0]);
        assert_eq!(names(&format!("no-{flag}")), [name]);
        assert_eq!(names(&format!("NO-{}", flag.to_uppercase())), [name]);
        assert_eq!(names(&format!("no-{flag},{flag}")), [""; 0]);
        assert_eq!(names(&format!("{flag},no-{flag}")), [name]);
    }
    assert_eq!(names("verify-required"), ["verify-required"]);
    assert_eq!(names("verify-required,no-verify-required"), [""; 0]);
}

#[test]
fn restrict_takes_everything_away_and_what_follows_gives_back() {
    let all = [
        "no-agent-forwarding",
        "no-port-forwarding",
        "no-pty",
        "no-user-rc",
        "no-X11-forwarding",
        "restrict",
    ];
    assert_eq!(names("restrict"), all);
    assert_eq!(names("pty,user-rc,Restrict"), all);
    let without_pty: Vec<&str> = all.into_iter().filter(|name| *name != "no-pty").collect();
    assert_eq!(names("restrict,pty"), without_pty);
    // A tunnel that is named is meant, wherever it stands.
    assert_eq!(session("restrict,tunnel=\"3\"").tunnel, Tunnel::Device(3));
    assert_eq!(session("tunnel=\"3\",restrict").tunnel, Tunnel::Device(3));
}

#[test]
fn values_are_read_with_their_quotes_resolved() {
    let command = |text: &str| session(text).forced_command.unwrap();
    assert_eq!(command(r#"command="a b,c=d""#), "a b,c=d");
    assert_eq!(command(r#"COMMAND="say \"hi\"""#), r#"say "hi""#);
    assert_eq!(command(r#"command="\\n \n""#), r"\\n \n");
    assert_eq!(command(r#"command="""#), "");
    assert_eq!(command("command=\"a\" ssh-ed25519"), "a");
}

#[test]
fn of_variables_the_first_counts() {
    let text = r#"environment="A=1",environment="A=2",environment="B_2=x=y",environment="AA=""#;
    let variables = [("A", "1"), ("B_2", "x=y"), ("AA", "")];
    let expected = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(session(text).environment, expected);
}

#[test]
fn the_earliest_of_several_times_counts() {
    let constraints = |text| Options::parse(text).unwrap().constraints;
    let text = "expiry-time=\"20300101Z\",expiry-time=\"20200101Z\"";
    assert_eq!(constraints(text).expiry.len(), 2);
}

#[test]
fn authorities_have_principals() {
    let role = |text| Options::parse(text).unwrap().role;
    assert_eq!(role(""), Role::User);
    let principals = None;
    assert_eq!(role("cert-authority"), Role::Authority { principals });
    let principals = Some(vec!["alice".to_owned(), "b c".to_owned()]);
    let text = "principals=\"alice,b c\",Cert-Authority";
    assert_eq!(role(text), Role::Authority { principals });
}

#[test]
fn forwardings_have_hosts_and_ports() {
    for (text, host, port) in [
        ("permitopen=\"localhost:80\"", "localhost", Some(80)),
        ("permitopen=\"*:*\"", "*", None),
        ("permitopen=\"[::1]:65535\"", "::1", Some(65535)),
        ("permitopen=\"a/80\"", "a", Some(80)),
        ("permitopen=\":80\"", "", Some(80)),
        ("permitopen=\"a:080\"", "a", Some(80)),
    ] {
        let open = session(text).permit_open;
        assert_eq!(
            (open[0].host.as_str(), open[0].port),
            (host, port),
            "{text}"
        );
    }
    for (text, host, port) in [
        ("permitlisten=\"8080\"", "*", Some(8080)),
        ("permitlisten=\"*\"", "*", None),
        ("permitlisten=\"localhost:8080\"", "localhost", Some(8080)),
    ] {
        let listen = session(text).permit_listen;
        assert_eq!(
            (listen[0].host.as_str(), listen[0].port),
            (host, port),
            "{text}"
        );
    }
    let both = session("permitopen=\"a:1\",permitopen=\"b:2\"");
    assert_eq!(both.permit_open.len(), 2);
}

#[test]
fn tunnels_have_numbers() {
    assert_eq!(session("tunnel=\"0\"").tunnel, Tunnel::Device(0));
    assert_eq!(session("tunnel=\"Any\"").tunnel, Tunnel::Any);
    assert_eq!(
        session("tunnel=\"1\",tunnel=\"2\"").tunnel,
        Tunnel::Device(2)
    );
}

#[test]
fn nothing_between_commas_is_no_option() {
    assert_eq!(names(",,no-pty,,restrict,pty").len(), 5);
    assert_eq!(names("no-pty, ssh-ed25519"), ["no-pty"]);
    assert_eq!(names(""), [""; 0]);
}

/// Lines by which sshd lets in, perhaps not now or not from here.
const LIKE_OPENSSH: &[&str] = &[
    "NO-PTY,x11-Forwarding",
    "no-verify-required",
    ",,no-pty,,restrict,pty",
    "command=\"say \\\"hi\\\"\"",
    "environment=\"A=1\",environment=\"A=2\"",
    "environment=\"AA=\"",
    "from=\"127.0.0.*,!127.0.0.2\"",
    "from=\"!127.0.0.1,*\"",
    "expiry-time=\"209902312359utc\"",
    "expiry-time=\"20990101\",expiry-time=\"20200101\"",
    "permitopen=\"*:*\"",
    "permitopen=\"[::1]:65535\"",
    "permitopen=\"a/80\"",
    "permitopen=\":80\"",
    "permitopen=\"a:080\"",
    "permitlisten=\"8080\"",
    "permitlisten=\"*\"",
    "tunnel=\"1\",tunnel=\"2\"",
    "tunnel=\"2147483645\"",
];

/// Lines by which it does not.
const REFUSED: &[(&str, BadOptions)] = &[
    ("no-such-option", BadOptions::Unknown),
    ("no-pty,pties", BadOptions::Unknown),
    ("no-restrict", BadOptions::Unknown),
    ("no-cert-authority", BadOptions::Unknown),
    ("no-no-pty", BadOptions::Unknown),
    ("pty=\"yes\"", BadOptions::Unknown),
    ("no-pty\"x\"", BadOptions::Unknown),
    ("command", BadOptions::Unknown),
    ("commands=\"x\"", BadOptions::Unknown),
    ("=\"x\"", BadOptions::Unknown),
    ("command=\"a\"b", BadOptions::Unknown),
    ("command=\"a\";no-pty", BadOptions::Unknown),
    ("command=a", BadOptions::StartQuote),
    ("command= \"a\"", BadOptions::StartQuote),
    ("command=", BadOptions::StartQuote),
    ("command=\"a", BadOptions::EndQuote),
    ("command=\"a\\\"", BadOptions::EndQuote),
    (
        "command=\"a\",command=\"a\"",
        BadOptions::Multiple("command"),
    ),
    ("from=\"*\",from=\"*\"", BadOptions::Multiple("from")),
    (
        "cert-authority,principals=\"a\",principals=\"a\"",
        BadOptions::Multiple("principals"),
    ),
    ("principals=\"a\"", BadOptions::NotHere("principals")),
    ("expiry-time=\"soon\"", BadOptions::ExpiryTime),
    ("expiry-time=\"19700101Z\"", BadOptions::ExpiryTime),
    ("environment=\"A\"", BadOptions::Environment),
    ("environment=\"A-B=1\"", BadOptions::Environment),
    ("environment=\"=1\"", BadOptions::Environment),
    ("from=\"10.0.0.1/8\"", BadOptions::From),
    ("from=\"a,,b\"", BadOptions::From),
    ("from=\"\"", BadOptions::From),
    ("permitopen=\"a\"", BadOptions::PermissionPort),
    ("permitopen=\"a:0\"", BadOptions::PermissionPort),
    ("permitopen=\"a:65536\"", BadOptions::PermissionPort),
    ("permitopen=\"::1:80\"", BadOptions::PermissionPort),
    // OpenSSH takes a sign, and looks the service up.
    ("permitopen=\"a:+1\"", BadOptions::PermissionPort),
    ("permitopen=\"a:http\"", BadOptions::PermissionPort),
    ("permitopen=\"[::1:80\"", BadOptions::PermissionHost),
    ("permitopen=\"[::1]80\"", BadOptions::PermissionHost),
    ("permitlisten=\"\"", BadOptions::PermissionPort),
    ("tunnel=\"\"", BadOptions::Tunnel),
    ("tunnel=\"-1\"", BadOptions::Tunnel),
    ("tunnel=\"2147483646\"", BadOptions::Tunnel),
    // At the end of a text only: a blank behind the comma ends the options.
    ("no-pty,", BadOptions::UnexpectedEnd),
];

#[test]
fn what_openssh_reads_is_read() {
    for text in LIKE_OPENSSH {
        assert!(Options::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn one_bad_option_spoils_the_line() {
    for (text, expected) in REFUSED {
        assert_eq!(Options::parse(text), Err(*expected), "{text}");
    }
    let long = format!("permitopen=\"{}:1\"", "x".repeat(HOST_LIMIT + 1));
    assert_eq!(Options::parse(&long), Err(BadOptions::PermissionHost));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-zA-Z0-9=,\"\\\\ \\[\\]:*é-]{0,60}") {
        drop(Options::parse(&text));
    }

    #[test]
    fn no_list_of_likely_options_panics(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("restrict"), Just("pty"), Just("no-"), Just(","), Just("="), Just("\""), Just("\\"), Just("from"),
                Just("tunnel"), Just("permitopen"), Just("[::1]:22"), Just("environment"), Just("A=1"), Just("expiry-time"),
                Just("20260101"), Just("é"), Just("principals"), Just("cert-authority"),
            ],
            0..16,
        )
    ) {
        drop(Options::parse(&parts.concat()));
    }

    #[test]
    fn restrict_leaves_what_no_later_option_gives_back(before in "(pty,|user-rc,|port-forwarding,|agent-forwarding,){0,6}") {
        let names = names(&(before + "restrict"));
        prop_assert_eq!(names.len(), 6);
    }
}
