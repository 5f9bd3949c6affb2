//! Passwords and keyboard-interactive, with a thread for the process that holds the transaction.

use rpc::lane::Password;
use rpc::pam::{
    Channel, End, Message, PasswordState, Question as Asks, Refusal, Secret, Start, Style, Subject,
    Task, Verdict,
};
use wire::userauth::{KeyboardInteractiveRequest, PasswordRequest};

use super::*;
use crate::testing::PamScript;

const PASSWORDS: &str = "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\n";

fn secret(text: &str) -> Secret {
    Secret::copy(text.as_bytes()).unwrap()
}

fn password(user: &str) -> AuthRequest {
    let login = PasswordRequest::Login(secret("hunter2"));
    request(user, AuthMethod::Password(login))
}

fn interactive(user: &str) -> AuthRequest {
    let submethods = String::new();
    let method = KeyboardInteractiveRequest { submethods };
    request(user, AuthMethod::KeyboardInteractive(method))
}

fn accepted() -> Verdict {
    Verdict::Accepted {
        password: PasswordState::Kept,
        environment: Vec::new(),
    }
}

fn refused_for(refusal: Refusal) -> Verdict {
    Verdict::Refused {
        refusal,
        reason: "Authentication failure".to_owned(),
    }
}

fn end(verdict: Verdict) -> End {
    End {
        verdict,
        messages: Vec::new(),
        delay: Duration::ZERO,
    }
}

/// Comes to this end, if it was asked what is expected.
fn ends(verdict: Verdict, expected: impl FnOnce(&Start) + Send + 'static) -> PamScript {
    Box::new(move |channel: Channel| {
        expected(&channel.start().unwrap());
        drop(channel.end(&end(verdict)));
    })
}

/// Lets in whoever is somebody, as a process does.
fn lets_in() -> PamScript {
    Box::new(|channel: Channel| {
        let verdict = match channel.start().unwrap().subject {
            Subject::Somebody => accepted(),
            Subject::Nobody => refused_for(Refusal::Credentials),
        };
        drop(channel.end(&end(verdict)));
    })
}

fn says(style: Style, text: &str) -> Message {
    Message {
        style,
        text: text.to_owned(),
    }
}

/// Says hello, asks twice at once, and lets in whoever answers "a" and "b".
fn asks() -> PamScript {
    Box::new(|channel: Channel| {
        channel.start().unwrap();
        let hello = vec![says(Style::Information, "hello")];
        let Ok(none) = channel.ask(&Asks { messages: hello }) else {
            return;
        };
        assert_eq!(none, []);
        let messages = vec![says(Style::Secret, "A: "), says(Style::Visible, "B: ")];
        let Ok(answers) = channel.ask(&Asks { messages }) else {
            return;
        };
        let verdict = match answers == [secret("a"), secret("b")] {
            true => accepted(),
            false => refused_for(Refusal::Credentials),
        };
        drop(channel.end(&end(verdict)));
    })
}

fn methods(methods: &[&str], partial_success: bool) -> AuthOutcome {
    AuthOutcome::Refused {
        methods: methods.iter().map(ToString::to_string).collect(),
        partial_success,
    }
}

fn all() -> AuthOutcome {
    methods(&["publickey", "password", "keyboard-interactive"], false)
}

impl Bench {
    async fn answer(&mut self, answers: &[&str]) -> Result<AuthOutcome, Broken> {
        let answers = answers.iter().map(|answer| secret(answer)).collect();
        let responses = Responses::Given(answers);
        Ok(self.conversation.answer_question(responses).await?.outcome)
    }

    fn started(&self) -> usize {
        self.services.pam_started.lock().unwrap().len()
    }

    /// Waits until every process that was started has been stopped.
    async fn all_stopped(&self) {
        while self.services.pam_stopped.lock().unwrap().len() < self.started() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_right_password_logs_in() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let user = machine.user.clone();
    let expected = user.clone();
    bench.services.script_pam(ends(accepted(), move |start| {
        assert_eq!(start.user.as_str(), expected);
        assert_eq!(start.task, Task::Password(secret("hunter2")));
        assert_eq!(start.remote_host.as_str(), "192.0.2.7");
    }));
    let outcome = bench.ask(password(&user)).await.unwrap();
    assert_eq!(outcome, AuthOutcome::Accepted);
    bench.all_stopped().await;
}

#[tokio::test]
async fn an_unknown_user_costs_the_same_and_is_told_the_same() {
    let machine = Machine::new(&[], PASSWORDS);
    for (user, subject) in [
        (UNKNOWN, Subject::Nobody),
        (machine.user.as_str(), Subject::Somebody),
    ] {
        let (mut bench, _) = Bench::exchanged(&machine).await;
        let refusal = refused_for(Refusal::Credentials);
        let script = ends(refusal, move |start| assert_eq!(start.subject, subject));
        bench.services.script_pam(script);
        let asked = Instant::now();
        assert_eq!(bench.ask(password(user)).await.unwrap(), all());
        assert!(asked.elapsed() >= Duration::from_millis(125));
        assert_eq!(bench.started(), 1);

        bench.services.script_pam(asks());
        let asked = bench.ask(interactive(user)).await.unwrap();
        assert!(matches!(asked, AuthOutcome::InfoRequest(_)));
        assert_eq!(bench.answer(&["a", "wrong"]).await.unwrap(), all());
        assert_eq!(bench.started(), 2);
    }
}

#[tokio::test]
async fn who_is_locked_out_after_a_right_password_is_cut_off() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let refusal = refused_for(Refusal::Account);
    bench.services.script_pam(ends(refusal, |_| ()));
    let outcome = bench.ask(password(&machine.user)).await.unwrap();
    assert_eq!(outcome, AuthOutcome::Denied);
    assert_eq!(bench.conversation.phase.name(), "denied");
}

#[tokio::test]
async fn nobody_logs_in_whatever_a_process_says() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    bench.services.script_pam(ends(accepted(), |_| ()));
    assert_eq!(bench.ask(password(UNKNOWN)).await.unwrap(), all());
    bench.services.script_pam(asks());
    bench.ask(interactive(UNKNOWN)).await.unwrap();
    assert_eq!(bench.answer(&["a", "b"]).await.unwrap(), all());
}

#[tokio::test]
async fn root_with_a_password_is_nobody_unless_permitted() {
    for setting in ["prohibit-password", "forced-commands-only", "no", "yes"] {
        let machine = Machine::new(&[], &format!("{PASSWORDS}PermitRootLogin {setting}"));
        let (mut bench, _) = Bench::exchanged(&machine).await;
        bench.services.script_pam(lets_in());
        let outcome = bench.ask(password("root")).await.unwrap();
        assert_eq!(outcome == AuthOutcome::Accepted, setting == "yes");
    }
}

#[tokio::test]
async fn questions_of_modules_reach_the_user_and_the_answers_the_modules() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    bench.services.script_pam(asks());
    let asked = bench.ask(interactive(&machine.user)).await.unwrap();
    let AuthOutcome::InfoRequest(question) = asked else {
        panic!("{asked:?}");
    };
    assert_eq!(question.instruction(), "");
    let texts = question.prompts().iter().map(|prompt| prompt.text.as_str());
    assert_eq!(texts.collect::<Vec<_>>(), ["hello\nA: ", "B: "]);
    let outcome = bench.answer(&["a", "b"]).await.unwrap();
    assert_eq!(outcome, AuthOutcome::Accepted);
    bench.all_stopped().await;
}

#[tokio::test]
async fn another_number_of_answers_is_a_failure_and_ends_the_dialog() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    for answers in [[].as_slice(), &["a"], &["a", "b", "c"]] {
        bench.services.script_pam(asks());
        bench.ask(interactive(&machine.user)).await.unwrap();
        assert_eq!(bench.answer(answers).await.unwrap(), all());
    }
    bench.all_stopped().await;
}

#[tokio::test]
async fn an_answer_without_a_question_ends_the_connection() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let broken = bench.answer(&["a"]).await.unwrap_err();
    assert!(matches!(broken, Broken::Violation(_)));

    let (mut bench, _) = Bench::exchanged(&machine).await;
    bench.services.script_pam(asks());
    bench.ask(interactive(&machine.user)).await.unwrap();
    bench.answer(&["a", "wrong"]).await.unwrap();
    let broken = bench.answer(&["a", "b"]).await.unwrap_err();
    assert!(matches!(broken, Broken::Violation(_)));
    assert_eq!(bench.conversation.phase.name(), "over");
}

#[tokio::test]
async fn another_request_abandons_the_question_and_counts() {
    let machine = Machine::new(&[], &format!("{PASSWORDS}MaxAuthTries 3"));
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    for _ in 0..3 {
        bench.services.script_pam(asks());
        let asked = bench.ask(interactive(user)).await.unwrap();
        assert!(matches!(asked, AuthOutcome::InfoRequest(_)));
    }
    // Three were abandoned by now, and the fourth has no process.
    let outcome = bench.ask(interactive(user)).await.unwrap();
    assert_eq!(outcome, AuthOutcome::TooManyFailures);
    assert_eq!(bench.started(), 3);
    bench.all_stopped().await;
}

#[tokio::test]
async fn an_expired_password_is_changed_during_the_login() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let expired = Verdict::PasswordExpired {
        environment: Vec::new(),
    };
    bench.services.script_pam(ends(expired, |_| ()));
    let outcome = bench.ask(password(&machine.user)).await.unwrap();
    assert!(matches!(outcome, AuthOutcome::PasswordChange { .. }));
    bench.services.script_pam(ends(accepted(), |start| {
        let (old, new) = (secret("hunter2"), secret("hunter3"));
        assert_eq!(start.task, Task::PasswordChange { old, new });
    }));
    let (old, new) = (secret("hunter2"), secret("hunter3"));
    let change = AuthMethod::Password(PasswordRequest::Change { old, new });
    let outcome = bench.ask(request(&machine.user, change)).await.unwrap();
    assert_eq!(outcome, AuthOutcome::Accepted);
}

#[tokio::test]
async fn a_session_learns_that_it_is_for_a_change_of_the_password() {
    for (state, expected) in [
        (PasswordState::Kept, Password::Good),
        (PasswordState::Changed, Password::Good),
        (PasswordState::MustChange, Password::Expired),
    ] {
        let machine = Machine::new(&[], PASSWORDS);
        let (mut bench, _) = Bench::exchanged(&machine).await;
        let verdict = Verdict::Accepted {
            password: state,
            environment: Vec::new(),
        };
        bench.services.script_pam(ends(verdict, |_| ()));
        let outcome = bench.ask(password(&machine.user)).await.unwrap();
        assert_eq!(outcome, AuthOutcome::Accepted);
        let (_, stdio) = bench.services.sessions.lock().unwrap().remove(0);
        let stdio = Lane::new(stdio).unwrap();
        let ToSession::Start { start, .. } = stdio.receive_to_session().await.unwrap();
        assert_eq!(start.login.password, expected, "{state:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_password_starts_no_process() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    for nothing in [
        PasswordRequest::Login(secret("")),
        PasswordRequest::Impossible,
    ] {
        let ask = request(&machine.user, AuthMethod::Password(nothing));
        assert_eq!(bench.ask(ask).await.unwrap(), all());
    }
    assert_eq!(bench.started(), 0);
}

#[tokio::test]
async fn none_is_enough_for_an_empty_password_if_that_is_permitted() {
    for (setting, outcome) in [("yes", AuthOutcome::Accepted), ("no", all())] {
        let machine = Machine::new(&[], &format!("{PASSWORDS}PermitEmptyPasswords {setting}"));
        let (mut bench, _) = Bench::exchanged(&machine).await;
        bench.services.script_pam(ends(accepted(), |start| {
            assert_eq!(start.task, Task::Password(secret("")));
        }));
        let none = request(&machine.user, AuthMethod::None);
        assert_eq!(bench.ask(none).await.unwrap(), outcome);
        assert_eq!(bench.started(), usize::from(setting == "yes"));
    }
}

#[tokio::test]
async fn a_module_that_has_had_enough_is_not_asked_again() {
    let machine = Machine::new(&[], PASSWORDS);
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let enough = refused_for(Refusal::NoMoreTries);
    bench.services.script_pam(ends(enough, |_| ()));
    let key_is_left = methods(&["publickey"], false);
    let outcome = bench.ask(password(&machine.user)).await.unwrap();
    assert_eq!(outcome, key_is_left);
    let outcome = bench.ask(interactive(&machine.user)).await.unwrap();
    assert_eq!(outcome, key_is_left);
    assert_eq!(bench.started(), 1);
}

#[tokio::test]
async fn lists_mix_keys_passwords_and_questions() {
    let client = Client::new();
    let list = "AuthenticationMethods publickey,keyboard-interactive:pam password,publickey";
    let machine = Machine::new(&[&client], &format!("{PASSWORDS}{list}"));
    let user = machine.user.as_str();
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let signs = || publickey(user, client.blob(), Some(client.sign(&session, user)));
    let both = methods(&["publickey", "password"], false);
    assert_eq!(bench.ask(interactive(user)).await.unwrap(), both);
    let outcome = bench.ask(signs()).await.unwrap();
    assert_eq!(
        outcome,
        methods(&["password", "keyboard-interactive"], true)
    );
    bench.services.script_pam(asks());
    bench.ask(interactive(user)).await.unwrap();
    let outcome = bench.answer(&["a", "b"]).await.unwrap();
    assert_eq!(outcome, AuthOutcome::Accepted);

    let (mut bench, session) = Bench::exchanged(&machine).await;
    bench.services.script_pam(lets_in());
    let outcome = bench.ask(password(user)).await.unwrap();
    assert_eq!(outcome, methods(&["publickey"], true));
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);
}

#[tokio::test]
async fn without_pam_there_is_nobody_to_ask() {
    let machine = Machine::new(
        &[],
        &format!("{PASSWORDS}AuthenticationMethods keyboard-interactive:bsdauth"),
    );
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let outcome = bench.ask(interactive(&machine.user)).await.unwrap();
    assert_eq!(outcome, methods(&["keyboard-interactive"], false));
    assert_eq!(bench.started(), 0);
}
