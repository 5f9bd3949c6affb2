use super::*;
use crate::authorized_keys::Options;

/// A machine whose clock shows UTC.
struct Greenwich;

impl LocalTime for Greenwich {
    fn seconds(&self, local: u64) -> Option<u64> {
        Some(local)
    }
}

const NOW: u64 = 1_769_817_600;

fn constraints(options: &str) -> Constraints {
    Options::parse(options).unwrap().constraints
}

fn check(constraints: &Constraints, host: &str, address: &str) -> Result<(), Unmet> {
    constraints.met_by(Situation {
        host,
        address: address.parse().ok(),
        now: NOW,
        zone: &Greenwich,
    })
}

#[test]
fn without_constraints_anybody_may() {
    let none = Constraints::default();
    assert_eq!(check(&none, "UNKNOWN", ""), Ok(()));
    assert_eq!(constraints(""), none);
    assert_eq!(none.names(), [""; 0]);
}

#[test]
fn a_client_must_come_from_where_the_line_says() {
    let inside = constraints("from=\"192.0.2.0/24,!192.0.2.7,*.Example.com\"");
    for (host, address, may) in [
        ("192.0.2.8", "192.0.2.8", true),
        ("192.0.2.7", "192.0.2.7", false),
        ("a.example.com", "192.0.2.7", false),
        ("a.example.com", "198.51.100.1", true),
        ("198.51.100.1", "198.51.100.1", false),
        ("UNKNOWN", "", false),
    ] {
        assert_eq!(check(&inside, host, address).is_ok(), may, "{host}");
    }
    let refusal = check(&inside, "b", "198.51.100.1").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "not from a permitted host (required=192.0.2.0/24,!192.0.2.7,*.example.com)"
    );
}

#[test]
fn a_line_counts_to_its_last_second() {
    assert!(check(&constraints("expiry-time=\"20260131Z\""), "a", "").is_ok());
    let over = check(&constraints("expiry-time=\"20260130\""), "a", "");
    let refusal = over.unwrap_err().to_string();
    assert_eq!(refusal, "entry expired at 2026-01-30T00:00:00");
    let earliest = "expiry-time=\"20300101Z\",expiry-time=\"20200101Z\"";
    assert!(check(&constraints(earliest), "a", "").is_err());
}

#[test]
fn a_certificate_s_addresses_are_no_names() {
    let certificate = Constraints {
        source_addresses: vec![AddressList::parse("192.0.2.0/24").unwrap()],
        ..Constraints::default()
    };
    assert!(check(&certificate, "a", "192.0.2.7").is_ok());
    for address in ["198.51.100.1", ""] {
        assert!(matches!(
            check(&certificate, "192.0.2.7", address),
            Err(Unmet::SourceAddress(_))
        ));
    }
}

#[test]
fn merged_constraints_hold_together() {
    let key =
        constraints("from=\"192.0.2.0/24\",no-pty,expiry-time=\"20300101Z\",permitopen=\"a:1\"");
    let other = constraints("from=\"*.7\",no-user-rc,expiry-time=\"20310101Z\",verify-required");
    for (one, two) in [(&key, &other), (&other, &key)] {
        let merged = one.clone().merge(two.clone()).unwrap();
        assert_eq!(
            merged.names(),
            ["no-pty", "no-user-rc", "permitopen", "verify-required"]
        );
        assert_eq!(merged.expiry.len(), 2);
        assert!(check(&merged, "192.0.2.7", "192.0.2.7").is_ok());
        assert!(check(&merged, "192.0.2.8", "192.0.2.8").is_err());
        assert!(check(&merged, "10.0.0.7", "10.0.0.7").is_err());
    }
}

#[test]
fn touch_is_required_unless_both_do_without() {
    let without = constraints("no-touch-required");
    let merged = |one: &Constraints, two: &Constraints| one.clone().merge(two.clone()).unwrap();
    assert_eq!(
        merged(&without, &Constraints::default()).touch_required,
        YesNo::Yes
    );
    assert_eq!(merged(&without, &without).touch_required, YesNo::No);
}

#[test]
fn forced_commands_must_be_the_same() {
    let (one, other) = (constraints("command=\"a\""), constraints("command=\"b\""));
    let merge = |one: &Constraints, two: &Constraints| one.clone().merge(two.clone());
    let refusal = merge(&one, &other).unwrap_err();
    assert_eq!(refusal.to_string(), "forced command options do not match");
    for merged in [
        merge(&one, &one),
        merge(&one, &Constraints::default()),
        merge(&Constraints::default(), &one),
    ] {
        assert_eq!(merged.unwrap().session.forced_command.as_deref(), Some("a"));
    }
}

#[test]
fn merging_never_permits_what_one_of_both_refuses() {
    let lines = [
        "",
        "restrict",
        "restrict,pty",
        "no-pty,no-touch-required",
        "tunnel=\"1\"",
        "restrict,tunnel=\"2\"",
        "no-agent-forwarding,no-port-forwarding",
        "no-X11-forwarding,no-user-rc",
        "verify-required",
    ];
    for one in lines {
        for other in lines {
            let (one, other) = (constraints(one), constraints(other));
            let merged = one.clone().merge(other.clone()).unwrap();
            for restriction in one.names().into_iter().chain(other.names()) {
                // A device that is named takes the place of "any" and gives way to "none".
                if !["tunnel", "no-touch-required"].contains(&restriction) {
                    assert!(merged.names().contains(&restriction), "{restriction}");
                }
            }
        }
    }
}
