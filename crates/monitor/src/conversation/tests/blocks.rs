//! Match blocks and who is kept out: what holds for one connection and not for another.

use super::*;

/// The group that the user of the tests has by default.
fn own_group() -> String {
    let id = std::process::Command::new("id")
        .arg("-gn")
        .output()
        .unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

/// What the rightful owner of a listed key is told.
async fn outcome(machine: &Machine, client: &Client, user: &str) -> AuthOutcome {
    let (mut bench, session) = Bench::exchanged(machine).await;
    let signature = client.sign(&session, user);
    bench
        .ask(publickey(user, client.blob(), Some(signature)))
        .await
        .unwrap()
}

/// Blocks about the connection of the tests, from 192.0.2.7 to 192.0.2.1 port 22, and about others.
fn blocks(user: &str) -> Vec<(String, bool)> {
    let group = own_group();
    [
        (format!("User {user}"), true),
        ("User other".to_owned(), false),
        (format!("User *,!{user}"), false),
        (format!("Group {group}"), true),
        (format!("Group *,!{group}"), false),
        ("Address 192.0.2.0/24".to_owned(), true),
        ("Address *,!192.0.2.7".to_owned(), false),
        ("Host 192.0.2.7".to_owned(), true),
        ("LocalAddress 192.0.2.1".to_owned(), true),
        ("LocalPort 22".to_owned(), true),
        ("LocalPort 23".to_owned(), false),
        // The socket is bound to no device: an empty name, which sshd compares as well.
        ("RDomain *".to_owned(), true),
        ("RDomain vrf*".to_owned(), false),
        ("all".to_owned(), true),
        ("invalid-user".to_owned(), false),
        (format!("User {user} LocalPort 23"), false),
    ]
    .to_vec()
}

#[tokio::test]
async fn a_block_takes_a_method_from_those_it_is_about_and_from_nobody_else() {
    let client = Client::new();
    let user = Machine::new(&[], "").user;
    for (criteria, about_us) in blocks(&user) {
        let machine = Machine::new(
            &[&client],
            &format!("Match {criteria}\n PubkeyAuthentication no\n"),
        );
        let refused = AuthOutcome::Refused {
            methods: Vec::new(),
            partial_success: false,
        };
        let expected = match about_us {
            true => refused,
            false => AuthOutcome::Accepted,
        };
        assert_eq!(
            outcome(&machine, &client, &user).await,
            expected,
            "{criteria}"
        );
    }
}

#[tokio::test]
async fn the_banner_and_the_number_of_tries_are_those_of_the_user() {
    let directory = Directory::new();
    let file = |name: &str| directory.write(name, name).display().to_string();
    let user = Machine::new(&[], "").user;
    let machine = Machine::new(
        &[],
        &format!(
            "Banner {}\nMatch User {user}\n Banner {}\n MaxAuthTries 2\nMatch invalid-user\n Banner {}\n MaxAuthTries 1\n",
            file("all"),
            file("own"),
            file("invalid"),
        ),
    );
    for (name, banner, tries) in [
        (user.as_str(), "own", 2),
        (UNKNOWN, "invalid", 1),
        ("root", "all", 6),
    ] {
        if name == "root" && user == "root" {
            continue;
        }
        let (mut bench, _) = Bench::exchanged(&machine).await;
        let mut outcomes = Vec::new();
        for attempt in 0..tries {
            let asks = publickey(name, Client::new().blob(), None);
            let answer = bench.conversation.authenticate(asks).await.unwrap();
            let first = (attempt == 0).then(|| banner.as_bytes().to_vec());
            let expected: Vec<_> = first.into_iter().collect();
            assert_eq!(answer.banners, expected, "{name}");
            outcomes.push(answer.outcome);
        }
        let last = outcomes.pop().unwrap();
        assert_eq!(last, AuthOutcome::TooManyFailures, "{name}");
        assert!(
            outcomes.iter().all(|outcome| *outcome == refused()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_algorithm_is_accepted_from_those_whose_block_has_it() {
    let client = Client::new();
    let user = Machine::new(&[], "").user;
    let only_rsa = "PubkeyAcceptedAlgorithms rsa-sha2-512\n";
    let both = "PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-512\n";
    for (global, matched, expected) in [
        (only_rsa, both, AuthOutcome::Accepted),
        (both, only_rsa, refused()),
    ] {
        let machine = Machine::new(
            &[&client],
            &format!("{global}Match User {user}\n {matched}"),
        );
        assert_eq!(outcome(&machine, &client, &user).await, expected);
    }
}

#[tokio::test]
async fn the_worker_hears_once_of_algorithms_that_are_the_users_own() {
    let user = Machine::new(&[], "").user;
    let lines =
        "Match User {user}\n PubkeyAcceptedAlgorithms rsa-sha2-512\n".replace("{user}", &user);
    let machine = Machine::new(&[], &lines);
    for (name, own) in [(user.as_str(), vec!["rsa-sha2-512"]), (UNKNOWN, Vec::new())] {
        let (mut bench, _) = Bench::exchanged(&machine).await;
        for expected in [own, Vec::new()] {
            let asks = request(name, AuthMethod::None);
            let answer = bench.conversation.authenticate(asks).await.unwrap();
            assert_eq!(answer.pubkey_algorithms, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn the_session_is_told_what_holds_for_its_user() {
    let client = Client::new();
    let user = Machine::new(&[], "").user;
    let machine = Machine::new(
        &[&client],
        &format!(
            "MaxSessions 3\nClientAliveInterval 5\nSubsystem sftp /x\nMatch User {user}\n MaxSessions 1\n \
             ClientAliveInterval 7\n RekeyLimit 1M 60\n ForceCommand /z\n PermitTTY no\n AcceptEnv ONLY\n Subsystem sftp /y\n"
        ),
    );
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let signature = client.sign(&session, &user);
    let signs = publickey(&user, client.blob(), Some(signature));
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);
    let ToWorker::Session { grant, .. } = bench.worker.receive_to_worker().await.unwrap() else {
        panic!("another message");
    };
    assert_eq!((grant.max_sessions, grant.client_alive_interval), (1, 7));
    assert_eq!((grant.rekey_bytes, grant.rekey_seconds), (1 << 20, 60));
    let (_, stdio) = bench.services.sessions.lock().unwrap().remove(0);
    let stdio = Lane::new(stdio).unwrap();
    let ToSession::Start { start, .. } = stdio.receive_to_session().await.unwrap();
    assert_eq!((start.max_sessions, start.permit_tty), (1, false));
    assert_eq!(start.accept_env, ["ONLY"]);
    assert_eq!(start.forced_command.as_deref(), Some("/z"));
    assert_eq!(start.subsystems, [("sftp".to_owned(), "/y".to_owned())]);
}

#[tokio::test]
async fn who_is_kept_out_gets_what_an_unknown_user_gets() {
    let client = Client::new();
    let user = Machine::new(&[], "").user;
    let group = own_group();
    for (rule, expected) in [
        (format!("AllowUsers {user}"), AuthOutcome::Accepted),
        (
            format!("AllowUsers {user}@192.0.2.0/24"),
            AuthOutcome::Accepted,
        ),
        (format!("AllowUsers {user}@198.51.100.0/24"), refused()),
        ("AllowUsers other".to_owned(), refused()),
        (format!("DenyUsers {user}"), refused()),
        (
            format!("DenyUsers {user}@198.51.100.*"),
            AuthOutcome::Accepted,
        ),
        (format!("AllowGroups {group}"), AuthOutcome::Accepted),
        ("AllowGroups other".to_owned(), refused()),
        (format!("DenyGroups {group}"), refused()),
        (format!("Match User {user}\n DenyGroups {group}"), refused()),
        (
            format!("AllowUsers other\nMatch Address 192.0.2.7\n AllowUsers {user}"),
            AuthOutcome::Accepted,
        ),
    ] {
        let machine = Machine::new(&[&client], &rule);
        assert_eq!(outcome(&machine, &client, &user).await, expected, "{rule}");
        assert_eq!(
            outcome(&machine, &client, UNKNOWN).await,
            refused(),
            "{rule}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_ends_when_its_user_is_named() {
    let machine = Machine::new(&[], &format!("Match User {UNKNOWN}\n RefuseConnection yes"));
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let none = request(UNKNOWN, AuthMethod::None);
    let broken = bench.ask(none.clone()).await.unwrap_err();
    assert!(matches!(broken, Broken::Prohibited), "{broken}");
    assert_eq!(bench.conversation.phase.name(), "over");
    bench.ask(none).await.unwrap_err();
    let (mut bench, _) = Bench::exchanged(&machine).await;
    bench
        .refused(request(&machine.user, AuthMethod::None))
        .await;
}
