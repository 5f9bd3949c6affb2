use config::sshd::{NoFiles, Offers};

use super::*;

/// What a configuration with these lines says.
fn limits(lines: &[&str]) -> Limits {
    let (text, offers) = (
        lines.join(
            "
",
        ),
        Offers::ours(),
    );
    let read = sshd::read_text(&text, "sshd_config", &[], &NoFiles, &offers.offered());
    Limits::of(&read.unwrap().global().config)
}

fn penalties(settings: &str) -> Limits {
    limits(&[&format!("PerSourcePenalties {settings}")])
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const PEER: &str = "192.0.2.1";

/// Seconds that a source has left, if any.
fn left(penalties: &mut Penalties, now: Instant) -> Option<u64> {
    let list = penalties.list(now);
    list.first().map(|listed| listed.left.as_secs())
}

#[test]
fn each_offence_has_its_own_time_and_words() {
    let limits = penalties(
        "crash:20 authfail:21 noauth:22 invaliduser:23 grace-exceeded:24 refuseconnection:25 min:1",
    );
    for (offence, time, words) in [
        (Offence::Crash, 20, "caused crash"),
        (Offence::AuthFail, 21, "failed authentication"),
        (
            Offence::NoAuth,
            22,
            "connections without attempting authentication",
        ),
        (
            Offence::InvalidUser,
            23,
            "attempted authentication by invalid user",
        ),
        (Offence::GraceExceeded, 24, "exceeded LoginGraceTime"),
        (
            Offence::RefuseConnection,
            25,
            "connection prohibited by RefuseConnection",
        ),
    ] {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let effect = penalties.add(address(PEER), offence, &limits, now);
        assert_eq!(effect, Some(Effect::New(Force::Active)));
        let at = |seconds| now + Duration::from_secs(seconds);
        let refused = penalties
            .check(address(PEER), &limits, at(time))
            .unwrap_err();
        assert_eq!(refused.reason(), format!("penalty: {words}"));
        let later = at(time) + Duration::from_millis(1);
        assert_eq!(penalties.check(address(PEER), &limits, later), Ok(()));
        assert!(penalties.list(later).is_empty());
    }
}

#[test]
fn offences_add_up_and_count_from_min_on() {
    let limits = penalties("authfail:5 min:15");
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    let mut fail = |now| penalties.add(address(PEER), Offence::AuthFail, &limits, now);
    assert_eq!(fail(now), Some(Effect::New(Force::Deferred)));
    let seconds = Duration::from_secs;
    let deferred = |left| Some(Effect::Prolonged(Force::Deferred, seconds(left)));
    assert_eq!(fail(now), deferred(10));
    // More than `min`, not as much.
    assert_eq!(fail(now), deferred(15));
    let now = now + seconds(2);
    assert_eq!(fail(now), Some(Effect::Activated(seconds(18))));
    assert_eq!(
        fail(now),
        Some(Effect::Prolonged(Force::Active, seconds(23)))
    );
    // It stays until it has run out.
    let almost = now + seconds(22);
    penalties.check(address(PEER), &limits, almost).unwrap_err();
}

#[test]
fn the_last_offence_gives_the_reason() {
    let limits = penalties("min:1 crash:90 noauth:10");
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    penalties.add(address(PEER), Offence::Crash, &limits, now);
    penalties.add(address(PEER), Offence::NoAuth, &limits, now);
    let refused = penalties.check(address(PEER), &limits, now);
    assert_eq!(refused, Err(Refused::For(Offence::NoAuth)));
}

#[test]
fn no_sum_is_more_than_max() {
    let limits = penalties("authfail:40 max:100 min:1");
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    for _ in 0..20 {
        penalties.add(address(PEER), Offence::AuthFail, &limits, now);
    }
    assert_eq!(left(&mut penalties, now), Some(100));
}

#[test]
fn no_penalties_and_penalties_of_no_time_are_none() {
    for settings in ["no", "crash:0"] {
        let limits = penalties(settings);
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let effect = penalties.add(address(PEER), Offence::Crash, &limits, now);
        assert_eq!(effect, None, "{settings}");
        assert!(penalties.list(now).is_empty());
    }
    // What was there before a reload does not count either.
    let (mut penalties_before, now) = (Penalties::default(), Instant::now());
    penalties_before.add(address(PEER), Offence::Crash, &penalties("yes"), now);
    let off = penalties("no");
    assert_eq!(penalties_before.check(address(PEER), &off, now), Ok(()));
}

#[test]
fn who_shares_a_block_shares_a_penalty() {
    let limits = limits(&["PerSourceNetBlockSize 24:48"]);
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    for peer in ["192.0.2.1", "2001:db8:7:1::1"] {
        penalties.add(address(peer), Offence::Crash, &limits, now);
    }
    let mut check = |peer: &str| penalties.check(address(peer), &limits, now).is_err();
    for same in ["192.0.2.200", "::ffff:192.0.2.3", "2001:db8:7:2::9"] {
        assert!(check(same), "{same}");
    }
    for other in ["192.0.3.1", "2001:db8:8::1"] {
        assert!(!check(other), "{other}");
    }
}

#[test]
fn a_full_table_forgets_who_would_be_forgotten_first() {
    let limits = penalties("max-sources4:2 min:1 crash:90 noauth:10");
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    penalties.add(address("192.0.2.1"), Offence::Crash, &limits, now);
    penalties.add(address("192.0.2.2"), Offence::NoAuth, &limits, now);
    penalties.add(address("192.0.2.3"), Offence::Crash, &limits, now);
    let sources: Vec<_> = penalties.list(now).iter().map(|l| l.source).collect();
    let expected: [Network; 2] = ["192.0.2.1", "192.0.2.3"].map(|text| text.parse().unwrap());
    assert_eq!(sources, expected);
    assert_eq!(penalties.check(address("192.0.2.2"), &limits, now), Ok(()));
    // The other family has a table of its own.
    penalties.add(address("2001:db8::1"), Offence::Crash, &limits, now);
    assert_eq!(penalties.list(now).len(), 3);
}

#[test]
fn a_full_table_refuses_everybody_if_the_administrator_says_so() {
    let limits = penalties("max-sources4:1 overflow:deny-all overflow6:permissive crash:90");
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    let innocent = address("198.51.100.1");
    assert_eq!(penalties.check(innocent, &limits, now), Ok(()));
    penalties.add(address(PEER), Offence::Crash, &limits, now);
    let full = Err(Refused::TooManySources);
    assert_eq!(penalties.check(innocent, &limits, now), full);
    assert_eq!(
        penalties.add(innocent, Offence::Crash, &limits, now),
        Some(Effect::NoRoom)
    );
    let other_family = address("2001:db8::1");
    assert_eq!(penalties.check(other_family, &limits, now), Ok(()));
    let later = now + Duration::from_secs(91);
    assert_eq!(penalties.check(innocent, &limits, later), Ok(()));
}

#[test]
fn a_table_of_no_size_holds_nothing() {
    let limits = penalties("max-sources4:0 crash:90");
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    penalties.add(address(PEER), Offence::Crash, &limits, now);
    assert!(penalties.list(now).is_empty());
    assert!(penalties.v4.by_expiry.is_empty());
}

#[test]
fn both_orders_of_a_table_hold_the_same() {
    let limits = penalties("max-sources4:50 crash:90 noauth:3 max:200 min:5");
    let (mut penalties, start) = (Penalties::default(), Instant::now());
    for step in 0_u32..2000 {
        let now = start + Duration::from_millis(u64::from(step) * 50);
        let peer = IpAddr::V4((step * 7919 % 83).into());
        match step % 5 {
            0 => penalties.pardon(limits.source(peer)),
            1 => drop(penalties.add(peer, Offence::Crash, &limits, now)),
            _ => drop(penalties.add(peer, Offence::NoAuth, &limits, now)),
        }
        let Table {
            by_source,
            by_expiry,
        } = &penalties.v4;
        assert!(by_source.len() <= 50);
        let mut listed: Vec<_> = by_source.iter().map(|(s, p)| (p.expiry, *s)).collect();
        listed.sort();
        assert!(listed.iter().eq(by_expiry.iter()));
    }
}

#[test]
fn an_administrator_clears_one_source_or_all() {
    let limits = limits(&["PerSourceNetBlockSize 24:64"]);
    let (mut penalties, now) = (Penalties::default(), Instant::now());
    for peer in ["192.0.2.1", "198.51.100.1", "2001:db8::1"] {
        penalties.add(address(peer), Offence::Crash, &limits, now);
    }
    let network = |text: &str| Some(text.parse().unwrap());
    // Its address is enough, whatever the block.
    assert_eq!(penalties.clear(network("192.0.2.77"), now), 1);
    assert_eq!(penalties.clear(network("192.0.2.77"), now), 0);
    assert_eq!(penalties.clear(network("2001:db8::/32"), now), 1);
    assert_eq!(penalties.clear(None, now), 1);
    assert!(penalties.list(now).is_empty());
}
