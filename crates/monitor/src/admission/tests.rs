use config::sshd::{MaxStartups, Offers};

use super::*;

const STARTUPS: MaxStartups = MaxStartups {
    start: 10,
    rate: 30,
    full: 100,
};

/// The defaults, with these startups.
fn startups(max_startups: MaxStartups) -> Limits {
    let config = SshdConfig::defaults(&Offers::ours().offered());
    Limits {
        max_startups,
        ..Limits::of(&config)
    }
}

fn per_source(most: u32) -> Limits {
    Limits {
        per_source: Some(most),
        block: PerSourceNetBlockSize { v4: 24, v6: 64 },
        ..startups(STARTUPS)
    }
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn decide(admission: &Admission, limits: &Limits, roll: u32) -> Verdict {
    admission.decide(None, limits, roll, Instant::now()).0
}

/// The ticket of one who is let in, or why they are not.
fn from(admission: &Admission, limits: &Limits, peer: &str) -> Result<Ticket, Reason> {
    match admission
        .decide(address(peer), limits, 99, Instant::now())
        .0
    {
        Verdict::Admitted(ticket) => Ok(ticket),
        Verdict::Dropped { reason, .. } => Err(reason),
    }
}

#[test]
fn chance_grows_linearly_from_rate_at_start_to_all_at_full() {
    for (number, percent) in [
        (0, 0),
        (9, 0),
        (10, 30),
        (55, 65),
        (99, 99),
        (100, 100),
        (u32::MAX, 100),
    ] {
        assert_eq!(drop_percentage(STARTUPS, number), percent, "at {number}");
    }
}

#[test]
fn start_equal_to_full_is_a_plain_limit() {
    let plain = MaxStartups {
        start: 10,
        rate: 30,
        full: 10,
    };
    assert_eq!(drop_percentage(plain, 9), 0);
    assert_eq!(drop_percentage(plain, 10), 100);
}

#[test]
fn the_roll_decides_at_the_chance() {
    let (admission, limits) = (Admission::default(), startups(STARTUPS));
    let tickets: Vec<_> = (0..10).map(|_| decide(&admission, &limits, 0)).collect();
    assert!(tickets.iter().all(|v| matches!(v, Verdict::Admitted(_))));
    assert!(matches!(
        decide(&admission, &limits, 29),
        Verdict::Dropped {
            number: 10,
            reason: Reason::MaxStartups
        }
    ));
    assert!(matches!(
        decide(&admission, &limits, 30),
        Verdict::Admitted(_)
    ));
}

#[test]
fn a_dropped_ticket_makes_room() {
    let admission = Admission::default();
    let one = startups(MaxStartups {
        start: 1,
        rate: 100,
        full: 1,
    });
    let ticket = decide(&admission, &one, 99);
    assert_eq!(admission.unauthenticated(), 1);
    assert!(matches!(
        decide(&admission, &one, 99),
        Verdict::Dropped { number: 1, .. }
    ));
    drop(ticket);
    assert!(matches!(decide(&admission, &one, 99), Verdict::Admitted(_)));
}

#[test]
fn a_source_has_its_share_and_no_more_and_others_have_theirs() {
    let (admission, limits) = (Admission::default(), per_source(2));
    let first = from(&admission, &limits, "192.0.2.1").unwrap();
    let _second = from(&admission, &limits, "192.0.2.2").unwrap();
    let third = from(&admission, &limits, "192.0.2.3").unwrap_err();
    assert_eq!(third, Reason::PerSourceMaxStartups);
    let mapped = from(&admission, &limits, "::ffff:192.0.2.3").unwrap_err();
    assert_eq!(mapped, Reason::PerSourceMaxStartups);

    let _neighbour = from(&admission, &limits, "192.0.3.1").unwrap();
    let _other = from(&admission, &limits, "2001:db8::1").unwrap();
    let _same = from(&admission, &limits, "2001:db8::ffff:1").unwrap();
    from(&admission, &limits, "2001:db8::2").unwrap_err();
    // Who has no address belongs to no source.
    assert!(matches!(
        decide(&admission, &limits, 99),
        Verdict::Admitted(_)
    ));
    drop(first);
    let _again = from(&admission, &limits, "192.0.2.3").unwrap();
    from(&admission, &limits, "192.0.2.4").unwrap_err();
}

#[test]
fn a_source_of_none_is_remembered_by_nobody() {
    let (admission, limits) = (Admission::default(), per_source(1));
    for last in 0..=255 {
        drop(from(&admission, &limits, &format!("10.0.{last}.1")).unwrap());
    }
    assert!(admission.books().by_source.is_empty());
}

#[test]
fn a_share_that_is_configured_later_counts_who_is_there() {
    let admission = Admission::default();
    let _here = from(&admission, &startups(STARTUPS), "192.0.2.1").unwrap();
    let limits = Limits {
        per_source: Some(1),
        ..startups(STARTUPS)
    };
    from(&admission, &limits, "192.0.2.1").unwrap_err();
}

#[test]
fn a_flood_is_remarked_on_when_it_begins_and_when_it_is_clearly_over() {
    let admission = Admission::default();
    let two = startups(MaxStartups {
        start: 2,
        rate: 100,
        full: 2,
    });
    let now = Instant::now();
    let next = || admission.decide(None, &two, 0, now);
    let (first, second) = (next(), next());
    assert_eq!((first.1, second.1), (None, None));
    assert_eq!(next().1, Some(Remark::Begins));
    assert_eq!(next().1, None);
    drop(first);
    let third = next();
    assert!(matches!(third, (Verdict::Admitted(_), None)));
    drop((second, third));
    assert!(matches!(next().1, Some(Remark::IsOver(_))));
}

#[test]
fn a_login_pardons_its_source_and_no_other() {
    let (admission, limits) = (Admission::default(), startups(STARTUPS));
    let now = Instant::now();
    for peer in ["192.0.2.1", "192.0.2.2"] {
        let peer = peer.parse().unwrap();
        admission
            .penalise(peer, Offence::Crash, &limits, now)
            .unwrap();
    }
    let refused = Reason::Penalty(Refused::For(Offence::Crash));
    assert_eq!(from(&admission, &limits, "192.0.2.1").unwrap_err(), refused);
    admission.pardon("::ffff:192.0.2.1".parse().unwrap(), &limits);
    from(&admission, &limits, "192.0.2.1").unwrap();
    assert_eq!(from(&admission, &limits, "192.0.2.2").unwrap_err(), refused);
}

#[test]
fn who_is_exempt_gets_no_penalty_and_none_counts() {
    let admission = Admission::default();
    let limits = Limits {
        exempt: Some(AddressList::parse("!192.0.2.9,192.0.2.0/24,2001:db8::/32").unwrap()),
        ..startups(STARTUPS)
    };
    let now = Instant::now();
    let crash = |peer: &str| {
        let peer = peer.parse().unwrap();
        admission.penalise(peer, Offence::Crash, &limits, now)
    };
    for exempt in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"] {
        assert_eq!(crash(exempt), None, "{exempt}");
    }
    for not in ["192.0.2.9", "192.0.3.1", "2001:db9::1"] {
        assert!(crash(not).is_some(), "{not}");
        from(&admission, &limits, not).unwrap_err();
    }
    // At once, also for what was there before.
    let network = "192.0.3.0/24".parse().unwrap();
    assert_eq!(admission.exempt(network), Exemption::Added);
    from(&admission, &limits, "192.0.3.1").unwrap();
    assert_eq!(crash("192.0.3.2"), None);
    assert_eq!(admission.list(now).1, [network]);
}

#[test]
fn exemptions_have_a_bound() {
    let admission = Admission::default();
    let network = |number: usize| {
        let bits = u32::try_from(number).unwrap();
        Network::around(IpAddr::V4(bits.into()), 32)
    };
    for number in 0..EXEMPTIONS {
        assert_eq!(admission.exempt(network(number)), Exemption::Added);
    }
    assert_eq!(admission.exempt(network(EXEMPTIONS)), Exemption::TooMany);
    assert_eq!(admission.exempt(network(0)), Exemption::Added);
}
