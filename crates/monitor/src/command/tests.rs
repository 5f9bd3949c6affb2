use super::*;
use crate::certificate::Requirements;
use crate::public_key::RequiredRsaSize;
use crate::testing::{
    Client, Directory, Machine, Services, origin, own_name, published, read_public,
};
use wire::names::SignatureAlgorithm;

const REQUIREMENTS: Requirements<'_> = Requirements {
    rsa: RequiredRsaSize(2048),
    authority: SignatureAlgorithm::DEFAULT,
};

fn alice() -> Account {
    Account {
        name: "alice".to_owned(),
        uid: 1000,
        gid: 1000,
        groups: vec![1000],
        home: "/home/alice".into(),
        shell: "/bin/sh".into(),
    }
}

fn plain(blob: &[u8]) -> ClientKey {
    ClientKey::parse(blob, SignatureAlgorithm::Ed25519, REQUIREMENTS).unwrap()
}

fn template(text: &str) -> Template {
    Template::parse(text, "CDFfhiKksTtUu").unwrap()
}

/// What a machine with these lines in its configuration hears of its command.
async fn answer(services: &Arc<Services>, lines: &str) -> Option<Vec<u8>> {
    let machine = Machine::new(&[], lines);
    let key = plain(&Client::new().blob());
    let question = Question {
        account: &alice(),
        key: &key,
        origin: origin(),
    };
    ask(services, Purpose::Keys, &machine.policy.config, question).await
}

/// AuthorizedKeysCommand, run by the user of this process.
async fn answer_of(services: &Arc<Services>, command: &str) -> Option<Vec<u8>> {
    let user = own_name();
    let lines = format!("AuthorizedKeysCommand {command}\nAuthorizedKeysCommandUser {user}");
    answer(services, &lines).await
}

fn saying(text: &[u8], end: CommandEnd) -> Arc<Services> {
    Arc::new(Services {
        command: Some((text.to_vec(), end)),
        ..Services::default()
    })
}

#[test]
fn tokens_of_a_plain_key() {
    let directory = Directory::new();
    let path = directory.key("key", &["-t", "ed25519", "-N", ""]);
    let blob = published(&path);
    let question = Question {
        account: &alice(),
        key: &plain(&blob),
        origin: origin(),
    };
    let line = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    let fingerprint = question.key.fingerprint().to_string();
    let command = template("/bin/%u \"%t %k\" %f %h %U %u%% %C [%D%F%i%K%s%T]");
    let invocation = Invocation::new(Purpose::Keys, &command, &template("keys-%u"), question);
    assert_eq!(
        invocation.words,
        [
            "/bin/%u",
            line.trim(),
            &fingerprint,
            "/home/alice",
            "1000",
            "alice%",
            "192.0.2.7 4711 192.0.2.1 22",
            "[]"
        ]
    );
    let user = CommandUser::Login("keys-alice".to_owned());
    assert_eq!(invocation.user, user);
}

#[test]
fn tokens_of_a_certificate() {
    let directory = Directory::new();
    let key = directory.key("key", &["-t", "ed25519", "-N", ""]);
    let authority = directory.key("authority", &["-t", "ecdsa", "-b", "384", "-N", ""]);
    let options = ["-n", "alice", "-z", "17", "-I", "%u $HOME; x"];
    let path = directory.certificate(&authority, "key", &options);
    let blob = read_public(&path);
    let certified = ClientKey::parse(&blob, SignatureAlgorithm::Ed25519Cert, REQUIREMENTS).unwrap();
    let question = Question {
        account: &alice(),
        key: &certified,
        origin: origin(),
    };
    let command = template("/bin/x %t %T %s %i %k %K %f %F");
    let user = template("nobody");
    let invocation = Invocation::new(Purpose::Principals, &command, &user, question);
    let plain_key = plain(&published(&key));
    let authority_key = ClientKey::parse(
        &published(&authority),
        SignatureAlgorithm::EcdsaNistp384,
        REQUIREMENTS,
    )
    .unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        invocation.words,
        [
            "/bin/x",
            "ssh-ed25519-cert-v01@openssh.com",
            "ecdsa-sha2-nistp384",
            "17",
            "%u $HOME; x",
            text.split(' ').nth(1).unwrap(),
            &Base64::encode_string(&published(&authority)),
            &plain_key.fingerprint().to_string(),
            &authority_key.fingerprint().to_string(),
        ]
    );
}

#[test]
fn without_arguments_the_keys_command_gets_the_user_and_the_other_one_nothing() {
    let key = plain(&Client::new().blob());
    let question = Question {
        account: &alice(),
        key: &key,
        origin: origin(),
    };
    for (purpose, expected) in [
        (Purpose::Keys, vec!["/bin/x", "alice"]),
        (Purpose::Principals, vec!["/bin/x"]),
    ] {
        let invocation =
            Invocation::new(purpose, &template("/bin/x"), &template("nobody"), question);
        assert_eq!(invocation.words, expected);
    }
}

#[tokio::test]
async fn what_a_successful_command_writes_is_the_answer() {
    let services = saying(b"ssh-ed25519 AAAA\n", CommandEnd::Exited(0));
    let said = answer_of(&services, "/usr/bin/env -i %u").await;
    assert_eq!(said.as_deref(), Some(b"ssh-ed25519 AAAA\n".as_slice()));
    let expected = ["/usr/bin/env", "-i", "alice"].map(str::to_owned).to_vec();
    let ran = services.commands.lock().unwrap().clone();
    assert_eq!(ran, [(CommandUser::Login(own_name()), expected)]);
}

#[tokio::test]
async fn nothing_is_asked_where_no_command_is_configured() {
    let services = saying(b"x", CommandEnd::Exited(0));
    assert_eq!(answer(&services, "").await, None);
    assert!(services.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_command_that_fails_has_said_nothing() {
    for end in [
        CommandEnd::Exited(1),
        CommandEnd::Killed(9),
        CommandEnd::Stopped,
    ] {
        let services = saying(b"ssh-ed25519 AAAA\n", end);
        assert_eq!(answer_of(&services, "/usr/bin/env").await, None, "{end:?}");
        assert_eq!(services.commands.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn nor_has_one_that_writes_too_much() {
    let full = saying(&vec![b'#'; FILE_LIMIT], CommandEnd::Exited(0));
    assert_eq!(
        answer_of(&full, "/usr/bin/env")
            .await
            .map(|text| text.len()),
        Some(FILE_LIMIT)
    );
    let more = saying(&vec![b'#'; FILE_LIMIT + 1], CommandEnd::Exited(0));
    assert_eq!(answer_of(&more, "/usr/bin/env").await, None);
}

#[tokio::test]
async fn a_command_that_hangs_is_stopped_at_its_deadline() {
    let services = Arc::new(Services::default());
    let asked = Instant::now();
    assert_eq!(answer_of(&services, "/usr/bin/env").await, None);
    assert!((DEADLINE..DEADLINE + GRACE).contains(&asked.elapsed()));
}

#[tokio::test]
async fn a_command_is_not_run_if_somebody_else_could_have_changed_it() {
    let services = saying(b"x", CommandEnd::Exited(0));
    let directory = Directory::new();
    let program = directory.write("program", "#!/bin/sh\n");
    for command in [
        program.to_str().unwrap(),
        "/nonexistent/program",
        "/usr/bin",
    ] {
        assert_eq!(answer_of(&services, command).await, None, "{command}");
    }
    let nobody = "AuthorizedKeysCommand /usr/bin/env\nAuthorizedKeysCommandUser no-such-user-%u";
    assert_eq!(answer(&services, nobody).await, None);
    assert_eq!(answer_of(&services, "/usr/bin/env # it's").await, None);
    assert!(services.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn commands_of_one_account_that_hang_leave_room_for_others() {
    let hanging: Vec<_> = (0..100)
        .map(|_| tokio::spawn(Asker::Account(4_000_001).room()))
        .collect();
    tokio::task::yield_now().await;
    let soon = Duration::from_secs(5);
    let other = timeout_at(Instant::now() + soon, Asker::Account(4_000_002).room()).await;
    assert!(other.is_ok());
    let client = Asker::Client(Some(Network::around("192.0.2.99".parse().unwrap(), 32)));
    assert!(
        timeout_at(Instant::now() + soon, client.room())
            .await
            .is_ok()
    );
    let waiting = hanging.iter().filter(|room| !room.is_finished()).count();
    assert_eq!(waiting, 92);
}

#[tokio::test]
async fn names_of_hosts_are_asked_for_by_a_user_who_is_nothing_else() {
    let services = saying(b"192.0.2.7 client", CommandEnd::Exited(0));
    let said = getent(
        &services,
        origin().id,
        None,
        "hosts",
        "192.0.2.7".to_owned(),
    )
    .await;
    assert_eq!(said.as_deref(), Some(b"192.0.2.7 client".as_slice()));
    let ran = services.commands.lock().unwrap().clone();
    let words = ["/usr/bin/getent", "hosts", "192.0.2.7"].map(str::to_owned);
    assert_eq!(ran, [(CommandUser::OfItsOwn, words.to_vec())]);
}

#[test]
fn the_times_of_the_last_runs_are_taken_in_turn() {
    let times = Times::new();
    assert_eq!(times.next(), Times::GUESS);
    let time = |number: usize| Duration::from_millis(u64::try_from(number).unwrap());
    (0..Times::LIMIT + 3).for_each(|number| times.note(time(number)));
    let mut taken: Vec<Duration> = (0..Times::LIMIT).map(|_| times.next()).collect();
    taken.sort();
    let last: Vec<Duration> = (3..Times::LIMIT + 3).map(time).collect();
    assert_eq!(taken, last);
}

#[tokio::test]
async fn who_is_nobody_waits_as_long_and_nothing_is_run() {
    let machine = Machine::new(&[], "");
    let asked = Instant::now();
    pretend(Purpose::Principals, &machine.policy.config).await;
    assert!(asked.elapsed() < Times::GUESS);
    let lines = "AuthorizedPrincipalsCommand /usr/bin/env\nAuthorizedPrincipalsCommandUser nobody";
    let machine = Machine::new(&[], lines);
    let asked = Instant::now();
    pretend(Purpose::Principals, &machine.policy.config).await;
    assert!(asked.elapsed() >= Times::GUESS);
}
