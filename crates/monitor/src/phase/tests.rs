use rpc::lane;

use super::*;
use crate::exchange::FirstExchange;
use crate::testing::origin;

/// A phase of each kind.
const ALL: &[&str] = &[
    "awaiting exchange",
    "authenticating",
    "exhausted",
    "denied",
    "open",
    "over",
];

fn phase(name: &str) -> Phase {
    let first = || FirstExchange::for_test(b"id", b"host key");
    match name {
        "awaiting exchange" => Phase::AwaitingExchange,
        "authenticating" => Phase::Authenticating(Authenticating::new(first())),
        "exhausted" => Phase::Exhausted(Box::new(Named::for_test(first()))),
        "denied" => Phase::Denied(Denied(UserName::new("alice").unwrap())),
        "open" => Phase::Open(Open::new(
            Session::for_test("alice", lane::pair().unwrap().0),
            first(),
            Instant::now(),
        )),
        "over" => Phase::Over,
        _ => panic!("{name}"),
    }
}

#[tokio::test]
async fn each_cell_of_the_table_is_as_documented() {
    for name in ALL {
        assert_eq!(phase(name).name(), *name);
        let exchange = phase(name).sign_exchange(Instant::now());
        match *name {
            "awaiting exchange" => assert!(matches!(exchange, Ok(Exchange::First))),
            "authenticating" => assert!(matches!(exchange, Ok(Exchange::Early(_)))),
            "open" => assert!(matches!(exchange, Ok(Exchange::Late(..)))),
            _ => assert!(exchange.is_err(), "{name}"),
        }
        let chosen = phase(name).choose_group();
        assert_eq!(
            chosen.is_ok(),
            matches!(*name, "awaiting exchange" | "authenticating" | "open"),
            "{name}"
        );
        let decided = phase(name).authenticate().is_ok();
        assert_eq!(decided, *name == "authenticating", "{name}");
        let proved = phase(name).prove_host_keys().is_ok();
        assert_eq!(proved, *name == "open", "{name}");
        let phase = phase(name);
        match (*name, phase.report(origin().endpoints)) {
            ("open", Ok(Stage::LoggedIn(user))) => assert_eq!(user, "alice"),
            ("over", reported) => assert!(reported.is_err()),
            ("exhausted" | "denied", Ok(Stage::Before(Some(subject)))) => {
                assert_eq!(subject.user.as_str(), "alice");
            }
            (_, reported) => assert!(matches!(reported, Ok(Stage::Before(None))), "{name}"),
        }
    }
}

/// Before login, with no key exchange left.
fn spent() -> Phase {
    (0..3).fold(phase("authenticating"), |phase, _| {
        match phase.sign_exchange(Instant::now()) {
            Ok(Exchange::Early(state)) => Phase::Authenticating(state),
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn three_rekeys_before_login_and_not_a_fourth() {
    assert!(spent().sign_exchange(Instant::now()).is_err());
    assert!(spent().choose_group().is_err());
}

#[tokio::test]
async fn host_keys_are_proved_a_few_times_and_then_refused() {
    let mut current = phase("open");
    for count in 0..10 {
        let (state, budget) = current.prove_host_keys().unwrap();
        assert_eq!(budget == ProofBudget::Left, count < PROOFS);
        current = Phase::Open(state);
    }
}

#[tokio::test]
async fn rekeys_after_login_wait_once_the_burst_is_used_up() {
    let now = Instant::now();
    let mut current = phase("open");
    let mut longest = Duration::ZERO;
    for count in 0..REKEY_BURST + 10 {
        let Ok(Exchange::Late(state, pause)) = current.sign_exchange(now) else {
            panic!("refused");
        };
        assert_eq!(pause.is_zero(), count < REKEY_BURST);
        longest = longest.max(pause);
        current = Phase::Open(state);
    }
    assert_eq!(longest, Duration::from_secs(1) * 10 / REKEYS_PER_SECOND);
}
