//! AuthenticationMethods: partial success, and keys that count once.

use super::*;

fn partial(methods: &[&str]) -> AuthOutcome {
    AuthOutcome::Refused {
        methods: methods.iter().map(ToString::to_string).collect(),
        partial_success: true,
    }
}

#[tokio::test]
async fn two_keys_are_two_different_ones() {
    let (one, other) = (Client::new(), Client::new());
    let machine = Machine::new(&[&one, &other], "AuthenticationMethods publickey,publickey");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let signed =
        |client: &Client| publickey(user, client.blob(), Some(client.sign(&session, user)));
    assert_eq!(
        bench.ask(signed(&one)).await.unwrap(),
        partial(&["publickey"])
    );
    // The same key again, asked for and signed with.
    bench.refused(publickey(user, one.blob(), None)).await;
    bench.refused(signed(&one)).await;
    assert_eq!(
        bench.ask(signed(&other)).await.unwrap(),
        AuthOutcome::Accepted
    );
}

#[tokio::test]
async fn partial_success_is_no_failure_and_a_failure_after_it_is_no_partial_success() {
    let (one, stranger) = (Client::new(), Client::new());
    let machine = Machine::new(
        &[&one],
        "MaxAuthTries 2\nAuthenticationMethods publickey,publickey",
    );
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let signs = publickey(user, one.blob(), Some(one.sign(&session, user)));
    assert_eq!(bench.ask(signs).await.unwrap(), partial(&["publickey"]));
    bench.refused(publickey(user, stranger.blob(), None)).await;
    let asks = publickey(user, stranger.blob(), None);
    assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::TooManyFailures);
}

#[tokio::test]
async fn a_user_whose_lists_are_all_switched_off_is_sent_away() {
    let client = Client::new();
    let machine = Machine::new(
        &[&client],
        "AuthenticationMethods publickey\nMatch User *\n PubkeyAuthentication no\n",
    );
    for user in [machine.user.as_str(), UNKNOWN] {
        let (mut bench, _) = Bench::exchanged(&machine).await;
        let outcome = bench.ask(request(user, AuthMethod::None)).await;
        assert_eq!(outcome.unwrap(), AuthOutcome::NoMethods);
        let again = bench.ask(request(user, AuthMethod::None)).await;
        assert!(matches!(again, Err(Broken::Violation(_))));
    }
}

#[tokio::test]
async fn two_keys_that_force_two_commands_are_no_login() {
    let (one, other) = (Client::new(), Client::new());
    let lines = |second: &str| {
        format!(
            "command=\"one\" {}command=\"{second}\" {}",
            one.line(),
            other.line()
        )
    };
    for (second, expected) in [
        ("two", methods_left(&["publickey"])),
        ("one", AuthOutcome::Accepted),
    ] {
        let machine =
            Machine::with_lines(&lines(second), "AuthenticationMethods publickey,publickey");
        let (mut bench, session) = Bench::exchanged(&machine).await;
        let user = machine.user.as_str();
        let signed =
            |client: &Client| publickey(user, client.blob(), Some(client.sign(&session, user)));
        assert_eq!(
            bench.ask(signed(&one)).await.unwrap(),
            partial(&["publickey"])
        );
        assert_eq!(
            bench.ask(signed(&other)).await.unwrap(),
            expected,
            "{second}"
        );
        let opened = bench.services.sessions.lock().unwrap().len();
        assert_eq!(opened, usize::from(expected == AuthOutcome::Accepted));
    }
}

fn methods_left(methods: &[&str]) -> AuthOutcome {
    AuthOutcome::Refused {
        methods: methods.iter().map(ToString::to_string).collect(),
        partial_success: false,
    }
}
